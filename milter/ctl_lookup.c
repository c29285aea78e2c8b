/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_lookup.h"

#include "milter/clock.h"
#include "milter/ctl_duration.h"
#include "milter/ctl_grid.h"
#include "milter/ctl_host.h"
#include "policy/address.h"
#include "policy/lookup.h"
#include "policy/printable.h"
#include "policy/route.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CELL_SIZE 64
#define WHY_SIZE  (CTL_REASON_MAX + 128)

static const struct config_set *
set_of(const struct lookup_base *base, uint32_t route)
{
	return &base->config->sets[base->config->routes[route].set];
}

static void
print_order(const struct lookup_base *base, const struct lookup_answer *answer,
    FILE *out)
{
	char text[HOST_TEXT_MAX];

	if (answer->kind == LOOKUP_HOLD) {
		fprintf(out, "hold: mail is accepted and waits in the queue");
	} else {
		for (uint32_t k = 0; k < answer->order.n; k++) {
			(void)host_format(lookup_host(base, answer, k), text);
			fprintf(out, "%s%s", k > 0 ? " then " : "", text);
		}
	}
	fprintf(out, "\n");
}

static const char *
ticket_origin(enum lookup_ticket from)
{
	static const char *const texts[] = {
		[TICKET_FOUND] = "left by the milter for this recipient",
		[TICKET_LAST] = "stand-in: the last one drawn",
		[TICKET_HASH] = "stand-in: hash of the recipient",
	};

	_Static_assert(NELEM(texts) == TICKET_HASH + 1, "one for each origin");
	return texts[from];
}

/* Where the member stands in the list; 0: it is not there. */
static uint32_t
place_of(const struct lookup_answer *answer, uint32_t member)
{
	if (answer->kind == LOOKUP_HOLD)
		return 0;
	for (uint32_t k = 0; k < answer->order.n; k++)
		if (answer->order.member[k] == member)
			return k + 1;
	return 0;
}

/* Is the host behind a tier with hosts that are tried before it? Then it is
   listed without a claim. */
static bool
is_behind(const struct config_member *member,
    const struct lookup_answer *answer, uint32_t i)
{
	return answer->order.kind == ORDER_UP &&
	       member[i].priority > member[answer->order.member[0]].priority;
}

/* What a host in trial waits for, unless it is this ticket. */
static const char *
trial_text(const struct ctl *ctl, uint32_t slot, bool behind)
{
	if (behind)
		return ": tried when those before it refuse a message";
	switch (health_table_claim_state(ctl->table, slot, ctl->now_ms)) {
	case CLAIM_NONE:
		break;
	case CLAIM_WEAK:
	case CLAIM_OPEN:
		return ": another message tries it";
	case CLAIM_OVER:
		return ": nothing was heard of the message that tried it";
	}
	return ": one message may try it";
}

/* Returns: how much of out is used. */
static size_t
until_text(
    const struct ctl *ctl, const struct ctl_host *seen, char *out, size_t size)
{
	char until[CELL_SIZE], span[CTL_DURATION_TEXT];
	uint64_t until_ms = ctl_host_until_ms(seen);

	out[0] = '\0';
	if (until_ms == 0)
		return 0;
	if (until_ms <= ctl->now_ms)
		return (size_t)snprintf(
		    out, size, " until probes find it well");
	(void)clock_rfc3339(until_ms, until, sizeof(until));
	(void)ctl_duration_format(until_ms - ctl->now_ms, span, sizeof(span));
	return (size_t)snprintf(out, size, " until %s (%s)%s", until, span,
	    seen->view.override == OVERRIDE_NONE && seen->detail.health.blind
		? ", then one message may try it"
		: "");
}

/* "deferred until ... (8 s): 431 Mail system full (greeting, probe, 2 in a
   row)", "in trial: one message may try it; 452 try later (rcpt, delivery)" */
static void
why_text(const struct ctl *ctl, const struct lookup_base *base, uint32_t host,
    enum order_why why, bool behind, char out[WHY_SIZE])
{
	uint32_t slot = base->host_slot[host];
	char reason[CTL_REASON_MAX];
	struct ctl_host seen;
	size_t len;

	len = (size_t)snprintf(out, WHY_SIZE, "%s", order_why_text(why));
	if (slot == HEALTH_TABLE_NONE)
		return;
	ctl_host_read(ctl, &base->config->hosts[host], slot, &seen);
	if (why == ORDER_WHY_TRIAL)
		len += (size_t)snprintf(out + len, WHY_SIZE - len, "%s",
		    trial_text(ctl, slot, behind));
	else
		len += until_text(ctl, &seen, out + len, WHY_SIZE - len);
	assert(len < WHY_SIZE);
	(void)ctl_host_reason(&seen, reason, sizeof(reason));
	/* A name that does not resolve has that in its reason. */
	if (why == ORDER_WHY_UNRESOLVED)
		(void)snprintf(out, WHY_SIZE, "%s", reason);
	else if (why != ORDER_WHY_UP && reason[0] != '\0')
		(void)snprintf(out + len, WHY_SIZE - len, "%s %s",
		    why == ORDER_WHY_TRIAL ? ";" : ":", reason);
}

static void
print_members(const struct ctl *ctl, const struct lookup_base *base,
    const struct lookup_answer *answer, FILE *out)
{
	const struct config_set *set = set_of(base, answer->route);
	const struct config_member *member =
	    &base->config->members[set->first_member];
	struct ctl_grid *grid = ctl_grid_create(5);
	char name[HOST_TEXT_MAX], priority[CELL_SIZE], weight[CELL_SIZE];
	char place[CELL_SIZE], why[WHY_SIZE];

	ctl_grid_add(grid,
	    (const char *[]){ "HOST", "PRIORITY", "WEIGHT", "PLACE", "WHY" });
	for (uint32_t i = 0; i < set->n_members; i++) {
		uint32_t at = place_of(answer, i);

		(void)host_format(&base->config->hosts[member[i].host], name);
		(void)snprintf(priority, sizeof(priority), "%u",
		    (unsigned)member[i].priority);
		(void)snprintf(
		    weight, sizeof(weight), "%u", (unsigned)member[i].weight);
		(void)snprintf(place, sizeof(place), "%" PRIu32, at);
		why_text(ctl, base, member[i].host,
		    (enum order_why)answer->order.why[i],
		    is_behind(member, answer, i), why);
		ctl_grid_add(grid, (const char *[]){ name, priority, weight,
				       at == 0 ? "left out" : place, why });
	}
	ctl_grid_print(grid, out);
	ctl_grid_free(&grid);
}

static const char *
wish_name(uint8_t wish)
{
	static const char *const names[] = { [CONFIG_TRY] = "try",
		[CONFIG_HOLD] = "hold",
		[CONFIG_TEMPFAIL] = "tempfail" };

	assert(wish < NELEM(names));
	return names[wish];
}

/* What becomes of mail that comes now, while no host is up. */
static const char *
outlook(const struct lookup_answer *answer)
{
	if (answer->trial_open)
		return "; a new message tries the host in trial";
	return answer->tempfail ? ": the milter answers 451 to new mail" : "";
}

static void
print_set_answer(const struct ctl *ctl, const struct lookup_base *base,
    const struct lookup_answer *answer, FILE *out)
{
	const struct config_route *route = &base->config->routes[answer->route];

	fprintf(out, "ticket:  %" PRIu32 " (%s)\n", answer->ticket,
	    ticket_origin(answer->ticket_from));
	fprintf(out, "order:   ");
	print_order(base, answer, out);
	if (answer->kind == LOOKUP_HOLD &&
	    route->when_all_deferred == CONFIG_TRY)
		fprintf(out, "         no host may be tried\n");
	else if (answer->order.kind != ORDER_UP)
		fprintf(out,
		    "         no host is up; when_all_deferred = %s%s\n",
		    wish_name(route->when_all_deferred), outlook(answer));
	fprintf(out, "\n");
	print_members(ctl, base, answer, out);
}

/* What the next tickets would select, and how often each host comes first. */
static void
print_next(const struct ctl *ctl, const struct lookup_base *base,
    uint32_t route, uint32_t count, FILE *out)
{
	const struct config_set *set = set_of(base, route);
	uint32_t slot = base->set_slot[base->config->routes[route].set];
	uint32_t firsts[CONFIG_SET_HOSTS_MAX] = { 0 }, ticket = 0;
	struct lookup_answer answer;
	char name[HOST_TEXT_MAX];

	if (slot == HEALTH_TABLE_NONE)
		fprintf(out, "\nno cursor is known: counting from ticket 0\n");
	else
		ticket = health_table_cursor(base->table, slot);
	fprintf(out, "\nnext %" PRIu32 " ticket%s:\n", count,
	    count == 1 ? "" : "s");
	for (uint32_t i = 0; i < count; i++) {
		if (lookup_with_ticket(base, route, ticket + i, ctl->now_ms,
			&answer) == LOOKUP_HOSTS)
			firsts[answer.order.member[0]]++;
		fprintf(out, "%" PRIu32 ": ", ticket + i);
		print_order(base, &answer, out);
	}
	if (answer.trial_open)
		fprintf(out, "the one that is drawn first tries the host in "
			     "trial before these\n");
	fprintf(out, "first choice:");
	for (uint32_t i = 0; i < set->n_members; i++) {
		uint32_t host =
		    base->config->members[set->first_member + i].host;

		(void)host_format(&base->config->hosts[host], name);
		fprintf(
		    out, "%s %s %" PRIu32, i > 0 ? "," : "", name, firsts[i]);
	}
	fprintf(out, "\n");
}

static void
print_route(const struct config *config, uint32_t route, FILE *out)
{
	const char *domain = config->routes[route].domain;
	char shown[ADDRESS_DOMAIN_MAX];

	fprintf(out, "route:   %s\n",
	    printable(domain, strlen(domain), shown, sizeof(shown)));
}

int
ctl_lookup_print(
    const struct ctl *ctl, const char *text, uint32_t count, FILE *out)
{
	struct lookup_answer answer;
	struct address address;
	struct lookup_base *base;
	struct err err;

	if (!address_parse(text, strlen(text), &address)) {
		fprintf(stderr,
		    "nexthopctl: this is no mail address with a "
		    "domain: %s\n",
		    text);
		return CTL_TROUBLE;
	}
	if (lookup_bind(ctl->config, ctl->table, false, &base, &err) == -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return CTL_TROUBLE;
	}
	switch (lookup_address(base, &address, ctl->now_ms, &answer)) {
	case LOOKUP_NOT_OURS:
		fprintf(out, "route:   none; the MTA delivers as if there "
			     "were no nexthop-milter\n");
		break;
	case LOOKUP_DNS:
		print_route(ctl->config, answer.route, out);
		fprintf(out, "order:   use_dns: the MTA's own MX lookup\n");
		break;
	case LOOKUP_HOSTS:
	case LOOKUP_HOLD:
		print_route(ctl->config, answer.route, out);
		print_set_answer(ctl, base, &answer, out);
		if (count > 0)
			print_next(ctl, base, answer.route, count, out);
		break;
	}
	lookup_base_free(&base);
	return CTL_OK;
}

static int
parse_count(const char *text, uint32_t *count_r)
{
	char *end;
	long number;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	number = strtol(text, &end, 10);
	if (*end != '\0' || number < 1 || number > CTL_LOOKUP_COUNT_MAX)
		return -1;
	*count_r = (uint32_t)number;
	return 0;
}

int
ctl_lookup_run(struct ctl *ctl, int argc, char **argv)
{
	const char *address = NULL;
	uint32_t count = 0;
	bool good = true;
	struct err err;

	for (int i = 1; i < argc && good; i++) {
		if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			good = parse_count(argv[++i], &count) == 0;
		else if (address == NULL && argv[i][0] != '-')
			address = argv[i];
		else
			good = false;
	}
	if (address == NULL || !good) {
		fprintf(stderr,
		    "usage: nexthopctl lookup ADDRESS [--count N] "
		    "(N: 1 to %d)\n",
		    CTL_LOOKUP_COUNT_MAX);
		return CTL_USAGE;
	}
	if (ctl_attach(ctl, &err) == -1)
		fprintf(stderr,
		    "nexthopctl: %s\n"
		    "nexthopctl: all hosts count as up in what follows\n",
		    err.text);
	ctl->now_ms = clock_boot_ms();
	return ctl_lookup_print(ctl, address, count, stdout);
}
