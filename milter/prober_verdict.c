/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdlib.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/prober_parts.h"
#include "policy/lookup.h"
#include "policy/xalloc.h"

#define TAKE_OVER_HOSTS	   16	/* probed at once when a host is deferred */
#define TAKE_OVER_SETS	   16	/* of its sets that are looked at */
#define TAKE_OVER_TICKETS  32	/* of each set */
#define TAKE_OVER_PAUSE_MS 1000 /* between two such probes of one host */
#define NETWORK_HOSTS	   4	/* fewer that fail are no sign */

/* ---- our own network? ---- */

static enum prober_sight
sight_of(const struct observation *seen)
{
	if (seen->outcome == OUTCOME_TIMEOUT ||
	    seen->outcome == OUTCOME_UNREACHABLE)
		return SIGHT_NETWORK_FAILS;
	return SIGHT_ANSWERS;
}

static void
count_sight(struct prober_target *target, enum prober_sight sight)
{
	struct prober *prober = target->prober;

	prober->n_sighted -= target->sight != SIGHT_NONE;
	prober->n_network_fails -= target->sight == SIGHT_NETWORK_FAILS;
	target->sight = sight;
	prober->n_sighted += sight != SIGHT_NONE;
	prober->n_network_fails += sight == SIGHT_NETWORK_FAILS;
}

/*
 * Each host's newest probe counts, and those are not older than one interval.
 * When all of them met silence, the cable is a likelier cause than all hosts.
 */
static void
suspect_network(struct prober *prober)
{
	bool all_fail = prober->n_sighted >= NETWORK_HOSTS &&
			prober->n_network_fails == prober->n_sighted;

	if (all_fail == prober->network_suspect)
		return;
	/* Only an answer clears the suspicion, not a host that is removed. */
	if (!all_fail && prober->n_network_fails == prober->n_sighted &&
	    prober->n_sighted > 0)
		return;
	prober->network_suspect = all_fail;
	if (all_fail)
		log_warning("none of %u hosts answers: our own network? "
			    "back-offs do not grow until one does",
		    prober->n_sighted);
	else
		log_info("hosts answer again: our own network is well");
}

void
prober_verdict_forget(struct prober_target *target)
{
	count_sight(target, SIGHT_NONE);
}

/* ---- who takes over the share of a host that was deferred ---- */

void
prober_shares_free(struct prober *prober)
{
	free(prober->first_set);
	free(prober->set_of);
	free(prober->route_of_set);
	prober->first_set = NULL;
	prober->set_of = NULL;
	prober->route_of_set = NULL;
}

/* The sets of each host, in one array: counted, then filled from behind. */
void
prober_shares_build(struct prober *prober)
{
	const struct config *config = prober_config(prober);
	uint32_t *first;

	prober_shares_free(prober);
	first = xcalloc((size_t)config->n_hosts + 1, sizeof(*first));
	prober->first_set = first;
	prober->set_of =
	    xcalloc((size_t)config->n_members + 1, sizeof(*prober->set_of));
	prober->route_of_set =
	    xcalloc((size_t)config->n_sets + 1, sizeof(*prober->route_of_set));
	for (uint32_t i = 0; i < config->n_members; i++)
		first[config->members[i].host]++;
	for (uint32_t i = 1; i <= config->n_hosts; i++)
		first[i] += first[i - 1];
	for (uint32_t s = 0; s < config->n_sets; s++) {
		const struct config_set *set = &config->sets[s];

		for (uint32_t k = 0; k < set->n_members; k++)
			prober->set_of
			    [--first[config->members[set->first_member + k]
					 .host]] = s;
	}
	for (uint32_t i = config->n_routes; i-- > 0;) {
		if (config->routes[i].set != CONFIG_NO_SET)
			prober->route_of_set[config->routes[i].set] = i;
	}
}

/* Returns: whether it was sent for now. */
static bool
take_over(struct prober_target *target, uint64_t now_ms)
{
	if (target->take_over_ms != 0 &&
	    now_ms - target->take_over_ms < TAKE_OVER_PAUSE_MS)
		return false;
	target->take_over_ms = now_ms;
	target->show = true;
	if (target->run != NULL)
		target->run->show = true;
	prober_schedule_now(target, true);
	return true;
}

static void
take_over_set(
    struct prober *prober, uint32_t set, uint64_t now_ms, uint32_t *left)
{
	const struct config *config = prober_config(prober);
	const struct lookup_base *base = prober->snapshot->base;
	uint32_t first_member = config->sets[set].first_member;
	struct lookup_answer answer;

	for (uint32_t ticket = 0; ticket < TAKE_OVER_TICKETS; ticket++) {
		uint32_t member;

		/* When all are deferred, each is probed often already. */
		if (*left == 0 ||
		    lookup_with_ticket(base, prober->route_of_set[set], ticket,
			now_ms, &answer) != LOOKUP_HOSTS ||
		    answer.order.kind != ORDER_UP)
			return;
		member = first_member + answer.order.member[0];
		*left -= take_over(
		    prober->targets[config->members[member].host], now_ms);
	}
}

static void
take_over_from(struct prober_target *target, uint64_t now_ms)
{
	struct prober *prober = target->prober;
	uint32_t at = prober->first_set[target->index];
	uint32_t end = prober->first_set[target->index + 1];
	uint32_t left = TAKE_OVER_HOSTS;

	for (uint32_t n = 0; at < end && n < TAKE_OVER_SETS; at++, n++)
		take_over_set(prober, prober->set_of[at], now_ms, &left);
}

/* ---- the table ---- */

static struct health_policy
policy_of(const struct prober *prober)
{
	const struct config_defer *defer = &prober_config(prober)->defer;
	struct health_policy policy = { .fall = defer->fall,
		.rise = defer->rise,
		.first_ms = defer->first_ms,
		.max_ms = defer->max_ms,
		.hold_backoff = prober->network_suspect };

	return policy;
}

static enum health_change
apply(struct prober_target *target, const struct observation *seen,
    uint64_t now_ms)
{
	struct prober *prober = target->prober;
	struct health_table *table = prober->snapshot->table;
	struct health_policy policy = policy_of(prober);
	bool good = outcome_info(seen->outcome)->verdict == VERDICT_OK;
	enum health_change change;
	struct health_detail detail;
	struct health old;

	health_table_read(table, target->slot, &detail);
	old = detail.health;
	change = health_observe(
	    &policy, &old, seen, now_ms, prober_random(prober), &detail.health);
	detail.last_seen_ms = now_ms;
	if (good)
		detail.latency_us = seen->latency_us;
	/* The steady good ones say nothing about why the host is where it is.
	 */
	if (!good || change != HEALTH_SAME || detail.last.source == SOURCE_NONE)
		detail.last = *seen;
	health_table_write(table, target->slot, &detail);
	health_table_count(table, target->slot,
	    good ? COUNTER_OBSERVED_OK : COUNTER_OBSERVED_FAILED);
	prober_log_change(target, change, &old, &detail.health, seen, now_ms);
	return change;
}

void
prober_verdict(struct prober_target *target, const struct observation *seen)
{
	uint64_t now_ms = clock_boot_ms();
	enum health_change change;

	if (outcome_info(seen->outcome)->verdict == VERDICT_NEUTRAL)
		return;
	if (seen->outcome == OUTCOME_POLICY)
		prober_log_grudge(target, seen);
	else if (seen->outcome == OUTCOME_OK &&
		 target->grudge == OUTCOME_POLICY)
		target->grudge = OUTCOME_OK;
	count_sight(target, sight_of(seen));
	suspect_network(target->prober);
	change = apply(target, seen, now_ms);
	if (change == HEALTH_WENT_DEFERRED)
		take_over_from(target, now_ms);
}
