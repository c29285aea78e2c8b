/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state, no allocation. */
#include "policy/order.h"

#include <assert.h>
#include <stddef.h>

#define EIGHTHS 8

/* A host that people declare well is met by a suspended spelling no more than
   one that got well; the next few recoveries stay apart from it. */
#define FORCED_SPELLING 4

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

/* The hosts of one tier that are up, in the order of the file. */
struct tier {
	uint32_t n;
	uint32_t sum; /* of the weights */
	bool equal;   /* all weights are the same */
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
	return input->view.state == HEALTH_UP ? ORDER_WHY_UP
					      : ORDER_WHY_DEFERRED;
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
stride_of(uint32_t sum)
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

/* Takes out what all weights have in common: 2:2 is 1:1. */
static void
reduce(struct tier *tier)
{
	uint32_t divisor = tier->weight[0];

	for (uint32_t i = 1; i < tier->n && divisor > 1; i++)
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
	weight = member->weight * eighths;
	assert(weight > 0);
	if (tier->n > 0 && weight != tier->weight[0])
		tier->equal = false;
	tier->sum += weight;
	tier->weight[tier->n] = weight;
	tier->member[tier->n++] = (uint8_t)i;
}

/*
 * The tier that begins with the host first, which is up: the chosen one, those
 * behind it, and round to those before it.
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
	for (i = first; i < n && members[i].priority == members[first].priority;
	     i++)
		if (is_up(order->why[i]))
			tier_add(&tier, &members[i], &input[i].view, i);
	at = choose(&tier, ticket);
	for (uint32_t k = 0; k < tier.n; k++) {
		append(order, input, tier.member[at]);
		if (++at == tier.n)
			at = 0;
	}
	return i;
}

static bool
is_sooner(const struct health_view *a, const struct health_view *b)
{
	bool a_trial = a->state == HEALTH_TRIAL;
	bool b_trial = b->state == HEALTH_TRIAL;

	if (a_trial != b_trial)
		return a_trial;
	return !a_trial && a->due_ms < b->due_ms;
}

/* All deferred hosts, soonest due first; equal ones stay as in the set. */
static void
append_deferred(
    const struct order_input *input, uint32_t n, struct order *order)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = order->n;

		if (order->why[i] != ORDER_WHY_DEFERRED)
			continue;
		append(order, input, i);
		for (; at > 0 && is_sooner(&input[i].view,
				     &input[order->member[at - 1]].view);
		     at--)
			order->member[at] = order->member[at - 1];
		order->member[at] = (uint8_t)i;
	}
}

void
order_compute(const struct config_member *members,
    const struct order_input *input, uint32_t n, uint32_t ticket,
    struct order *order_r)
{
	uint32_t first = n;

	assert(n <= CONFIG_SET_HOSTS_MAX);
	order_r->n = 0;
	order_r->spelling = 0;
	for (uint32_t i = 0; i < n; i++) {
		order_r->why[i] = (uint8_t)why_of(&input[i]);
		if (first == n && is_up(order_r->why[i]))
			first = i;
	}
	if (first < n) {
		order_r->kind = ORDER_UP;
		for (uint32_t i = append_rotated(
			 members, input, n, first, ticket, order_r);
		     i < n; i++)
			if (is_up(order_r->why[i]))
				append(order_r, input, i);
		return;
	}
	append_deferred(input, n, order_r);
	order_r->kind = order_r->n > 0 ? ORDER_DEFERRED : ORDER_NONE;
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
	};

	_Static_assert(
	    NELEM(texts) == ORDER_WHY_UNRESOLVED + 1, "a text for each reason");
	return texts[why];
}
