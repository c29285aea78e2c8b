/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no allocation, and no state that shows: a thread remembers
   strides that it has found. */
#include "policy/order.h"

#include <assert.h>
#include <stddef.h>

#define EIGHTHS 8

/* A host that people declare well is met by a suspended spelling no more than
   one that got well; the next few recoveries stay apart from it. */
#define FORCED_SPELLING 4

/*
 * A list with an offered host is a destination of its own at each trial: had
 * all its hosts failed the time before, qmgr(8) would not try the same text
 * again for minimal_backoff_time, and the trial would come to nothing. Clear of
 * the spellings above; with them below SOCKETMAP_SPELLINGS.
 */
#define OFFERED_SPELLING  8
#define OFFERED_SPELLINGS 128

/*
 * How far from the golden section a stride is looked for. The sum of the
 * weights is at most 64 * 1000 * 8 and so has at most seven prime factors;
 * among 26 neighbours one is then coprime to it (Jacobsthal's function of
 * 2 * 3 * 5 * 7 * 11 * 13 * 17).
 */
#define STRIDE_REACH 13
/* An unevenness that needs no better one (every sum but 6 and 54 below 100 has
   such a stride). */
#define STRIDE_EVEN 4
/* Whose strides a thread remembers. */
#define STRIDES_KEPT 64

/* The hosts of one tier that are up, in the order of the file. */
struct tier {
	uint32_t n;
	uint32_t sum; /* of the weights */
	bool equal;   /* all weights are the same */
	bool slow;    /* a host that has returned has some eighths only */
	uint32_t weight[CONFIG_SET_HOSTS_MAX];
	uint8_t member[CONFIG_SET_HOSTS_MAX];
};

static enum order_why
why_of(const struct order_input *input)
{
	switch (input->view.override) {
	case OVERRIDE_DISABLED:
		return ORDER_WHY_DISABLED;
	case OVERRIDE_DRAIN:
		return ORDER_WHY_DRAIN;
	case OVERRIDE_NONE:
	case OVERRIDE_FORCED_UP:
		break;
	}
	/* What the MTA cannot use stays out even when forced: as the last item
	   of a list it could bounce mail. */
	if (input->wrong_family)
		return ORDER_WHY_FAMILY;
	if (!input->view.usable)
		return ORDER_WHY_UNRESOLVED;
	if (input->view.override == OVERRIDE_FORCED_UP)
		return ORDER_WHY_FORCED;
	if (input->view.state == HEALTH_UP)
		return ORDER_WHY_UP;
	if (input->view.state == HEALTH_DEFERRED)
		return ORDER_WHY_DEFERRED;
	return input->offered ? ORDER_WHY_OFFERED : ORDER_WHY_TRIAL;
}

static bool
is_up(uint8_t why)
{
	return why == ORDER_WHY_UP || why == ORDER_WHY_FORCED;
}

static void
append(struct order *order, const struct order_input *input, uint32_t member)
{
	order->member[order->n++] = (uint8_t)member;
	order->spelling += input[member].view.recoveries;
	if (order->why[member] == ORDER_WHY_FORCED)
		order->spelling += FORCED_SPELLING;
}

static void
append_offered(struct order *order, const struct order_input *input,
    uint32_t member, uint32_t ticket)
{
	append(order, input, member);
	order->spelling += OFFERED_SPELLING + ticket % OFFERED_SPELLINGS;
}

static uint32_t
common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * How unevenly steps of stride walk a cycle of sum places: the largest quotient
 * of the continued fraction stride / sum. Gives up at limit, and on a stride
 * that is not coprime to sum (it would not meet every place).
 */
static uint32_t
unevenness(uint32_t stride, uint32_t sum, uint32_t limit)
{
	uint32_t a = sum, b = stride, worst = 0;

	while (b != 0 && worst < limit) {
		uint32_t quotient = a / b;
		uint32_t rest = a - quotient * b;

		if (quotient > worst)
			worst = quotient;
		a = b;
		b = rest;
	}
	return b == 0 && a == 1 ? worst : limit;
}

/*
 * The step in which a cycle of sum places is walked, so that every place is
 * met once a cycle and the places of one host far apart: coprime to sum, near
 * its golden section, and among the neighbours there one that walks evenly
 * (for 15 places 8 would go 0 8 1 9 2 10 ...).
 */
static uint32_t
find_stride(uint32_t sum)
{
	uint32_t golden = (uint32_t)((uint64_t)sum * 2654435769U >> 32);
	uint32_t best = 1, least = UINT32_MAX;

	for (uint32_t away = 0;
	     away <= STRIDE_REACH && away < golden && least > STRIDE_EVEN;
	     away++) {
		for (int side = 0; side < 2; side++) {
			uint32_t stride =
			    side == 0 ? golden - away : golden + away;
			uint32_t grade = unevenness(stride, sum, least);

			if (grade >= least)
				continue;
			least = grade;
			best = stride;
		}
	}
	return best;
}

/* As find_stride, which costs more than all the rest of an order: a thread
   meets few sums. */
static uint32_t
stride_of(uint32_t sum)
{
	static _Thread_local struct {
		uint32_t sum, stride; /* sum 0: none */
	} found[STRIDES_KEPT];
	uint32_t at = sum % STRIDES_KEPT;

	if (found[at].sum != sum) {
		found[at].stride = find_stride(sum);
		found[at].sum = sum;
	}
	return found[at].stride;
}

/* Takes out what all weights have in common: 2:2 is 1:1. Whole weights have
   mostly nothing but the eighths: then the first few show it. */
static void
reduce(struct tier *tier)
{
	uint32_t least = tier->slow ? 1 : EIGHTHS;
	uint32_t divisor = tier->weight[0];

	for (uint32_t i = 1; i < tier->n && divisor > least; i++)
		divisor = common_divisor(divisor, tier->weight[i]);
	if (divisor <= 1)
		return;
	for (uint32_t i = 0; i < tier->n; i++)
		tier->weight[i] /= divisor;
	tier->sum /= divisor;
}

/* Which of the tier's hosts the ticket chooses. */
static uint32_t
choose(struct tier *tier, uint32_t ticket)
{
	uint32_t place, host = 0;

	if (tier->equal)
		return ticket % tier->n;
	reduce(tier);
	place = ticket % tier->sum;
	place = (uint32_t)((uint64_t)place * stride_of(tier->sum) % tier->sum);
	/* The weights' sum is above place: it ends in time.
	   NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	while (place >= tier->weight[host])
		place -= tier->weight[host++];
	return host;
}

static void
tier_add(struct tier *tier, const struct config_member *member,
    const struct health_view *view, uint32_t i)
{
	uint32_t eighths = view->slow_step;
	uint32_t weight;

	if (eighths == 0 || eighths > EIGHTHS)
		eighths = EIGHTHS;
	if (eighths < EIGHTHS)
		tier->slow = true;
	weight = member->weight * eighths;
	assert(weight > 0);
	if (tier->n > 0 && weight != tier->weight[0])
		tier->equal = false;
	tier->sum += weight;
	tier->weight[tier->n] = weight;
	tier->member[tier->n++] = (uint8_t)i;
}

/*
 * The tier of the host first, the first one to be listed: what is offered, then
 * of those that are up the chosen one, those behind it, and round to those
 * before it.
 * Returns: where the next tier begins.
 */
static uint32_t
append_rotated(const struct config_member *members,
    const struct order_input *input, uint32_t n, uint32_t first,
    uint32_t ticket, struct order *order)
{
	struct tier tier;
	uint32_t at, i;

	tier.n = tier.sum = 0;
	tier.equal = true;
	tier.slow = false;
	for (i = first; i < n && members[i].priority == members[first].priority;
	     i++) {
		if (is_up(order->why[i]))
			tier_add(&tier, &members[i], &input[i].view, i);
		else if (order->why[i] == ORDER_WHY_OFFERED)
			append_offered(order, input, i, ticket);
	}
	if (tier.n == 0)
		return i;
	at = choose(&tier, ticket);
	for (uint32_t k = 0; k < tier.n; k++) {
		append(order, input, tier.member[at]);
		if (++at == tier.n)
			at = 0;
	}
	return i;
}

/*
 * Silence costs a message the MTA's whole timeout, a refusal nothing. And the
 * MTA keeps the list that a message began with: when another host is well again
 * those that have begun would still wait for the silent one, one after another.
 */
static bool
is_before(const struct health_view *a, const struct health_view *b)
{
	bool a_trial = a->state == HEALTH_TRIAL;
	bool b_trial = b->state == HEALTH_TRIAL;

	if (a_trial != b_trial)
		return a_trial;
	if (a_trial)
		return false;
	return a->silent != b->silent ? b->silent : a->due_ms < b->due_ms;
}

/* All deferred hosts: those in trial, those that answered, those that were
   silent; soonest due first, and equal ones stay as in the set. */
static void
append_deferred(
    const struct order_input *input, uint32_t n, struct order *order)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = order->n;

		if (order->why[i] != ORDER_WHY_DEFERRED &&
		    order->why[i] != ORDER_WHY_TRIAL)
			continue;
		append(order, input, i);
		for (; at > 0 && is_before(&input[i].view,
				     &input[order->member[at - 1]].view);
		     at--)
			order->member[at] = order->member[at - 1];
		order->member[at] = (uint8_t)i;
	}
}

/*
 * The tiers behind the first one, from the host begin on, as in the file. Hosts
 * in trial are among them: only what all before them refuse for now reaches
 * them, and without another host behind them it would be deferred anyway.
 */
static void
append_later(const struct order_input *input, uint32_t n, uint32_t begin,
    struct order *order)
{
	for (uint32_t i = begin; i < n; i++)
		if (is_up(order->why[i]) || order->why[i] == ORDER_WHY_TRIAL)
			append(order, input, i);
}

/*
 * Why each member is or is not listed. One host is offered, and none behind a
 * tier that has hosts to try: there it needs no claim.
 * Returns: the first one that is up or offered; n: none.
 */
static uint32_t
judge(const struct config_member *members, const struct order_input *input,
    uint32_t n, struct order *order)
{
	uint32_t first = n;
	bool offered = false;

	for (uint32_t i = 0; i < n; i++) {
		enum order_why why = why_of(&input[i]);

		if (why == ORDER_WHY_OFFERED) {
			if (offered ||
			    (first < n &&
				members[i].priority != members[first].priority))
				why = ORDER_WHY_TRIAL;
			else
				offered = true;
		}
		order->why[i] = (uint8_t)why;
		if (first == n &&
		    (is_up(order->why[i]) || why == ORDER_WHY_OFFERED))
			first = i;
	}
	return first;
}

void
order_compute(const struct config_member *members,
    const struct order_input *input, uint32_t n, uint32_t ticket,
    struct order *order_r)
{
	uint32_t first;

	assert(n <= CONFIG_SET_HOSTS_MAX);
	order_r->n = 0;
	order_r->spelling = 0;
	first = judge(members, input, n, order_r);
	if (first < n) {
		order_r->kind = ORDER_UP;
		append_later(input, n,
		    append_rotated(members, input, n, first, ticket, order_r),
		    order_r);
		return;
	}
	append_deferred(input, n, order_r);
	order_r->kind = order_r->n > 0 ? ORDER_DEFERRED : ORDER_NONE;
}

uint32_t
order_claimable(const struct config_member *members,
    const struct order_input *input, uint32_t n)
{
	uint32_t up = n;

	for (uint32_t i = 0; i < n; i++) {
		enum order_why why = why_of(&input[i]);

		if (up < n && members[i].priority != members[up].priority)
			break;
		if (why == ORDER_WHY_TRIAL && !input[i].taken)
			return i;
		if (up == n && is_up((uint8_t)why))
			up = i;
	}
	return n;
}

bool
order_offers(const struct order *order)
{
	return order->n > 0 &&
	       order->why[order->member[0]] == ORDER_WHY_OFFERED;
}

const char *
order_why_text(enum order_why why)
{
	static const char *const texts[] = {
		[ORDER_WHY_UP] = "up",
		[ORDER_WHY_FORCED] = "forced up",
		[ORDER_WHY_DEFERRED] = "deferred",
		[ORDER_WHY_DRAIN] = "drained",
		[ORDER_WHY_DISABLED] = "disabled",
		[ORDER_WHY_FAMILY] = "address family not in use",
		[ORDER_WHY_UNRESOLVED] = "does not resolve",
		[ORDER_WHY_TRIAL] = "in trial",
		[ORDER_WHY_OFFERED] = "in trial, offered to this ticket",
	};

	_Static_assert(
	    NELEM(texts) == ORDER_WHY_OFFERED + 1, "a text for each reason");
	return texts[why];
}
