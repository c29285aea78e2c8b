/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Hash chains for things that come and go, which hash_index.h does not know.
 * The thing holds its link; the index owns nothing.
 */
#ifndef NH_POLICY_HASH_CHAINS_H
#define NH_POLICY_HASH_CHAINS_H

#include <stdint.h>

#include "policy/compiler.h"

#define HASH_CHAINS 16384 /* a power of two */

struct hash_link {
	struct hash_link *next;
	uint64_t hash;
};

/* All zero: empty. */
struct hash_chains {
	struct hash_link *first[HASH_CHAINS];
};

/* Where the search for a thing with this hash begins: other hashes stand in
   the same chain. Returns: NULL when there is none. */
struct hash_link *hash_chains_first(
    const struct hash_chains *chains, uint64_t hash) NH_ALL_NONNULL;
void hash_chains_put(struct hash_chains *chains, struct hash_link *link,
    uint64_t hash) NH_ALL_NONNULL;
/* The link has to be in there. */
void hash_chains_take(
    struct hash_chains *chains, struct hash_link *link) NH_ALL_NONNULL;

/* Forgets all, calling drop for each thing, which may free it. */
typedef void hash_chains_drop_fn(struct hash_link *link);
void hash_chains_clear(
    struct hash_chains *chains, hash_chains_drop_fn *drop) NH_ALL_NONNULL;

#endif
