/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Numbers found by a hash: open addressing, linear probing, at most half full.
 * Holds (tag, number) pairs only; the caller keeps the things themselves in an
 * array and compares them. Nothing is ever removed. Built while loading,
 * immutable while serving.
 */
#ifndef NH_POLICY_HASH_INDEX_H
#define NH_POLICY_HASH_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"

#define HASH_INDEX_NONE UINT32_MAX

struct hash_index_slot {
	uint32_t tag;	 /* the low half of the hash */
	uint32_t number; /* HASH_INDEX_NONE: empty */
};

struct hash_index {
	struct hash_index_slot *slots;
	uint32_t mask; /* number of slots (a power of two) less one */
	uint32_t n;
};

/*
 * Where a search stands: for (n = hash_index_first(i, hash, &at);
 * n != HASH_INDEX_NONE; n = hash_index_next(i, hash, &at)) compare thing n.
 */
struct hash_index_at {
	uint32_t slot;
};

/*
 * Makes index ready for about n numbers (it grows beyond them).
 * Owns: the caller, hash_index_clear. Aborts on no memory (load time).
 */
void hash_index_init(struct hash_index *index, size_t n) NH_ALL_NONNULL;
void hash_index_clear(struct hash_index *index) NH_ALL_NONNULL;

/* Says that hash is searched for, or added, soon. */
static inline void
hash_index_expect(const struct hash_index *index, uint64_t hash)
{
	NH_FETCH(&index->slots[(uint32_t)hash & index->mask]);
}

/* Adds number; looks for no equal one. */
void hash_index_add(
    struct hash_index *index, uint64_t hash, uint32_t number) NH_ALL_NONNULL;

/*
 * Returns: the first, or next, number whose tag is that of hash, or
 * HASH_INDEX_NONE.
 * Thread: any, as long as nothing is added. No allocation.
 */
uint32_t hash_index_first(const struct hash_index *index, uint64_t hash,
    struct hash_index_at *at_r) NH_ALL_NONNULL;
uint32_t hash_index_next(const struct hash_index *index, uint64_t hash,
    struct hash_index_at *at) NH_ALL_NONNULL;

#endif
