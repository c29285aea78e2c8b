/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdlib.h>

#include "milter/clock.h"
#include "milter/flusher.h"
#include "milter/prober_parts.h"
#include "policy/hash_index.h"
#include "policy/lookup.h"
#include "policy/xalloc.h"

/* Of a host in more sets than this, these are looked at: "alone" is a reason to
   be careful, no promise. */
#define ALONE_SETS 64

#define NO_HOST UINT32_MAX

/* Is a host of the set up, other than this one? */
static bool
any_up(const struct prober *prober, uint32_t set, uint32_t other_than,
    uint64_t now_ms)
{
	const struct config *config = prober_config(prober);
	const struct config_member *member =
	    &config->members[config->sets[set].first_member];
	struct lookup_answer answer;

	(void)lookup_with_ticket(prober->snapshot->base,
	    prober->route_of_set[set], 0, now_ms, &answer);
	for (uint32_t i = 0; i < config->sets[set].n_members; i++) {
		if ((answer.order.why[i] == ORDER_WHY_UP ||
			answer.order.why[i] == ORDER_WHY_FORCED) &&
		    member[i].host != other_than)
			return true;
	}
	return false;
}

bool
prober_sets_alone(const struct prober_target *target)
{
	const struct prober *prober = target->prober;
	uint32_t at = prober->first_set[target->index];
	uint32_t end = prober->first_set[target->index + 1];
	uint64_t now_ms = clock_boot_ms();

	for (uint32_t n = 0; at < end && n < ALONE_SETS; at++, n++) {
		if (!any_up(prober, prober->set_of[at], target->index, now_ms))
			return true;
	}
	return false;
}

/* What it has become, to the flusher. */
static void
tell(const struct prober *prober, uint32_t set)
{
	uint64_t key = prober_config(prober)->sets[set].key;

	if (prober->flusher == NULL)
		return;
	if (prober->set_is_up[set])
		flusher_recovered(prober->flusher, key);
	else
		flusher_failed(prober->flusher, key);
}

static void
index_down(const struct prober *prober, const struct config *old,
    struct hash_index *down)
{
	hash_index_init(down, 0);
	for (uint32_t i = 0; old != NULL && i < old->n_sets; i++) {
		if (!prober->set_is_up[i])
			hash_index_add(down, old->sets[i].key, i);
	}
}

static bool
is_among(const struct hash_index *down, const struct config *old, uint64_t key)
{
	struct hash_index_at at;

	for (uint32_t i = hash_index_first(down, key, &at);
	     i != HASH_INDEX_NONE; i = hash_index_next(down, key, &at)) {
		if (old->sets[i].key == key)
			return true;
	}
	return false;
}

/* A set that stays up is no news, but mail may have come to it from one that
   was not: with a host more or less it is another set. */
static bool
is_news(const struct prober *prober, uint32_t set, bool was_down)
{
	return !prober->set_is_up[set] || was_down ||
	       (prober->flusher != NULL &&
		   flusher_has_moved(
		       prober->flusher, prober_config(prober)->sets[set].key));
}

void
prober_sets_build(struct prober *prober, const struct config *old)
{
	const struct config *config = prober_config(prober);
	uint64_t now_ms = clock_boot_ms();
	struct hash_index down;

	index_down(prober, old, &down);
	free(prober->set_is_up);
	prober->set_is_up = xcalloc((size_t)config->n_sets + 1, sizeof(bool));
	for (uint32_t i = 0; i < config->n_sets; i++) {
		prober->set_is_up[i] = any_up(prober, i, NO_HOST, now_ms);
		if (is_news(
			prober, i, is_among(&down, old, config->sets[i].key)))
			tell(prober, i);
	}
	hash_index_clear(&down);
}

void
prober_sets_look(struct prober_target *target)
{
	struct prober *prober = target->prober;
	uint64_t now_ms = clock_boot_ms();
	uint32_t end = prober->first_set[target->index + 1];

	for (uint32_t at = prober->first_set[target->index]; at < end; at++) {
		uint32_t set = prober->set_of[at];
		bool up = any_up(prober, set, NO_HOST, now_ms);

		if (up == prober->set_is_up[set])
			continue;
		prober->set_is_up[set] = up;
		tell(prober, set);
	}
}
