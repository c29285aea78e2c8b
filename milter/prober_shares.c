/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdlib.h>

#include "milter/prober_parts.h"
#include "policy/lookup.h"
#include "policy/xalloc.h"

#define TAKE_OVER_HOSTS	   16	/* probed at once when a host is deferred */
#define TAKE_OVER_SETS	   16	/* of its sets that are looked at */
#define TAKE_OVER_TICKETS  32	/* of each set */
#define TAKE_OVER_PAUSE_MS 1000 /* between two such probes of one host */

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

void
prober_shares_take_over(struct prober_target *target, uint64_t now_ms)
{
	struct prober *prober = target->prober;
	uint32_t at = prober->first_set[target->index];
	uint32_t end = prober->first_set[target->index + 1];
	uint32_t left = TAKE_OVER_HOSTS;

	for (uint32_t n = 0; at < end && n < TAKE_OVER_SETS; at++, n++)
		take_over_set(prober, prober->set_of[at], now_ms, &left);
}
