/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; the caller's lock, if it needs one. */
#include "policy/hash_chains.h"

struct hash_link *
hash_chains_first(const struct hash_chains *chains, uint64_t hash)
{
	return chains->first[hash % HASH_CHAINS];
}

void
hash_chains_put(
    struct hash_chains *chains, struct hash_link *link, uint64_t hash)
{
	struct hash_link **first = &chains->first[hash % HASH_CHAINS];

	link->hash = hash;
	link->next = *first;
	*first = link;
}

void
hash_chains_take(struct hash_chains *chains, struct hash_link *link)
{
	struct hash_link **at = &chains->first[link->hash % HASH_CHAINS];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
}

void
hash_chains_clear(struct hash_chains *chains, hash_chains_drop_fn *drop)
{
	struct hash_link *link, *next;

	for (size_t i = 0; i < HASH_CHAINS; i++) {
		for (link = chains->first[i]; link != NULL; link = next) {
			next = link->next;
			drop(link);
		}
		chains->first[i] = NULL;
	}
}
