/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the loading one; searches on any. */
#include "policy/hash_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy/xalloc.h"

#define SLOTS_MIN 8u
#define SLOTS_MAX (UINT32_C(1) << 31)

static void
make_slots(struct hash_index *index, uint32_t n_slots)
{
	index->slots = xcalloc_huge(n_slots, sizeof(index->slots[0]));
	memset(index->slots, 0xff, n_slots * sizeof(index->slots[0]));
	index->mask = n_slots - 1;
}

void
hash_index_init(struct hash_index *index, size_t n)
{
	uint32_t n_slots = SLOTS_MIN;

	assert(n <= SLOTS_MAX / 2);
	while (n_slots < 2 * n)
		n_slots *= 2;
	make_slots(index, n_slots);
	index->n = 0;
}

void
hash_index_clear(struct hash_index *index)
{
	free(index->slots);
	*index = (struct hash_index){ .slots = NULL };
}

static void
put(struct hash_index *index, uint32_t tag, uint32_t number)
{
	uint32_t slot = tag & index->mask;

	while (index->slots[slot].number != HASH_INDEX_NONE)
		slot = (slot + 1) & index->mask;
	index->slots[slot] = (struct hash_index_slot){ tag, number };
}

static void
grow(struct hash_index *index)
{
	struct hash_index_slot *old = index->slots;
	uint32_t n_old = index->mask + 1;

	assert(n_old <= SLOTS_MAX / 2);
	make_slots(index, n_old * 2);
	for (uint32_t i = 0; i < n_old; i++) {
		if (old[i].number != HASH_INDEX_NONE)
			put(index, old[i].tag, old[i].number);
	}
	free(old);
}

void
hash_index_add(struct hash_index *index, uint64_t hash, uint32_t number)
{
	assert(number != HASH_INDEX_NONE);
	if (2 * ((uint64_t)index->n + 1) > (uint64_t)index->mask + 1)
		grow(index);
	put(index, (uint32_t)hash, number);
	index->n++;
}

/* At most half of the slots are taken, so an empty one ends each search. */
static uint32_t
search(const struct hash_index *index, uint32_t tag, struct hash_index_at *at)
{
	const struct hash_index_slot *slot = &index->slots[at->slot];

	while (slot->number != HASH_INDEX_NONE && slot->tag != tag) {
		at->slot = (at->slot + 1) & index->mask;
		slot = &index->slots[at->slot];
	}
	return slot->number;
}

uint32_t
hash_index_first(
    const struct hash_index *index, uint64_t hash, struct hash_index_at *at_r)
{
	at_r->slot = (uint32_t)hash & index->mask;
	return search(index, (uint32_t)hash, at_r);
}

uint32_t
hash_index_next(
    const struct hash_index *index, uint64_t hash, struct hash_index_at *at)
{
	at->slot = (at->slot + 1) & index->mask;
	return search(index, (uint32_t)hash, at);
}
