/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; the map thread asks, libmilter's explain. */
#include "policy/unseen.h"

#include <stdatomic.h>

#include "policy/hash.h"

#define MS_MASK	  0xffffffu
#define TURN_MASK 0xffu
#define SET_MASK  0xffffu /* two sets may look alike: harmless */

/* The part of a question that an explanation has to match. */
#define NAME_MASK 0xffffffff00000000u

static uint64_t
name_of(uint32_t set, const struct address *recipient)
{
	struct hash_key key = hash_key_fixed;

	key.k0 ^= hash_bytes(key, recipient->domain, recipient->domain_len);
	return hash_bytes(key, recipient->local, recipient->local_len) << 48 |
	       (uint64_t)(set & SET_MASK) << 32;
}

void
unseen_asked(struct unseen *unseen, uint32_t set, uint32_t turn,
    const struct address *recipient, uint64_t now_ms)
{
	uint32_t at =
	    atomic_fetch_add_explicit(&unseen->next, 1, memory_order_relaxed);
	uint64_t question = name_of(set, recipient) |
			    (uint64_t)(turn & TURN_MASK) << 24 |
			    (now_ms & MS_MASK);

	atomic_store_explicit(
	    &unseen->question[at % UNSEEN_MAX], question, memory_order_relaxed);
}

void
unseen_explained(
    struct unseen *unseen, uint32_t set, const struct address *recipient)
{
	uint64_t name = name_of(set, recipient), question;

	for (unsigned i = 0; i < UNSEEN_MAX; i++) {
		question = atomic_load_explicit(
		    &unseen->question[i], memory_order_relaxed);
		/* Unless another question has taken the place meanwhile. */
		if ((question & NAME_MASK) == name)
			(void)atomic_compare_exchange_strong(
			    &unseen->question[i], &question, 0);
	}
}

/* What came after now was read looks very old, and is new. */
static uint32_t
age_of(uint64_t question, uint64_t now_ms)
{
	uint32_t age_ms = ((uint32_t)now_ms - (uint32_t)question) & MS_MASK;

	return age_ms <= MS_MASK / 2 ? age_ms : 0;
}

bool
unseen_resolving(const struct unseen *unseen, uint32_t set, uint32_t turn,
    bool just_drawn, uint64_t first_ms, uint64_t now_ms)
{
	bool witness = false, lately = false, since = false;
	unsigned unexplained = 0;

	for (unsigned i = 0; i < UNSEEN_MAX; i++) {
		uint64_t question = atomic_load_explicit(
		    &unseen->question[i], memory_order_relaxed);
		uint32_t age_ms = age_of(question, now_ms);

		if (question == 0 || age_ms > UNSEEN_MEMORY_MS ||
		    ((uint32_t)(question >> 32) & SET_MASK) != (set & SET_MASK))
			continue;
		unexplained++;
		witness = witness || now_ms - age_ms <= first_ms;
		lately = lately || age_ms <= UNSEEN_QUIET_MS;
		since = since || ((uint32_t)(question >> 24) & TURN_MASK) ==
				     (turn & TURN_MASK);
	}
	witness = witness || unexplained == UNSEEN_MAX;
	return witness && (lately || (just_drawn && !since));
}
