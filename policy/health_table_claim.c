/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; health_table_release is the probe thread's. */
#include "policy/health_table_map.h"

#include <assert.h>

/*
 * The word, which stands for itself (relaxed loads and stores suffice):
 *
 *     63            24 23          2 1          0
 *    | until_ms       | tag         | enum kind  |
 *
 * The tag is a hash of (set, ticket). Should another ticket have the same one,
 * one more message meets the host: with 22 bits that happens once in four
 * million questions.
 */
#define CLAIM_KIND_MASK	  3u
#define CLAIM_TAG_SHIFT	  2
#define CLAIM_TAG_MASK	  (((UINT64_C(1) << 22) - 1) << CLAIM_TAG_SHIFT)
#define CLAIM_UNTIL_SHIFT 24
#define CLAIM_UNTIL_MAX	  ((UINT64_C(1) << 40) - 1) /* 34 years */

enum kind {
	KIND_ASKED = 0, /* by a question */
	KIND_CALLED,	/* for a message that has been asked for */
	KIND_DRAWN,
	KIND_USED
};

/* How far apart the clocks of two that claim may have been read; an end that is
   later than that is damage. */
#define CLAIM_AHEAD_MS 60000

static uint64_t
word_of(uint64_t set_key, uint32_t ticket, uint64_t until_ms, enum kind kind)
{
	if (until_ms > CLAIM_UNTIL_MAX)
		until_ms = CLAIM_UNTIL_MAX;
	return until_ms << CLAIM_UNTIL_SHIFT |
	       (hash_mix(set_key + ticket) & CLAIM_TAG_MASK) | (uint64_t)kind;
}

static uint64_t
until_of(uint64_t word)
{
	return word >> CLAIM_UNTIL_SHIFT;
}

static enum kind
kind_of(uint64_t word)
{
	return (enum kind)(word & CLAIM_KIND_MASK);
}

static bool
same_ticket(uint64_t word, uint64_t other)
{
	return (word & CLAIM_TAG_MASK) == (other & CLAIM_TAG_MASK);
}

static enum health_claim
state_of(uint64_t word, uint64_t now_ms)
{
	uint64_t until_ms = until_of(word);

	if (until_ms > now_ms)
		return kind_of(word) >= KIND_DRAWN ? CLAIM_OPEN : CLAIM_WEAK;
	if (kind_of(word) == KIND_USED &&
	    now_ms - until_ms < HEALTH_CLAIM_KEPT_MS)
		return CLAIM_OVER;
	return CLAIM_NONE;
}

/* May mine take the place of word? */
static bool
gives_way(uint64_t word, uint64_t mine, uint64_t now_ms)
{
	if (until_of(word) > until_of(mine) + CLAIM_AHEAD_MS)
		return true;
	switch (state_of(word, now_ms)) {
	case CLAIM_NONE:
		return true;
	case CLAIM_WEAK:
		return kind_of(mine) != KIND_ASKED;
	case CLAIM_OPEN:
	case CLAIM_OVER:
		break;
	}
	return false;
}

static bool
claim(struct health_table *table, uint32_t slot, uint64_t mine, uint64_t now_ms)
{
	_Atomic uint64_t *trial = &health_table_slot(table, slot)->trial;
	uint64_t word = atomic_load_explicit(trial, memory_order_relaxed);

	assert(until_of(mine) > now_ms);
	do {
		if (!gives_way(word, mine, now_ms))
			return until_of(word) > now_ms &&
			       same_ticket(word, mine);
	} while (!atomic_compare_exchange_weak_explicit(
	    trial, &word, mine, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool
health_table_claim(struct health_table *table, uint32_t slot, uint64_t set_key,
    uint32_t ticket, uint64_t now_ms, uint64_t until_ms)
{
	return claim(table, slot,
	    word_of(set_key, ticket, until_ms, KIND_DRAWN), now_ms);
}

bool
health_table_claim_called(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms, uint64_t until_ms)
{
	return claim(table, slot,
	    word_of(set_key, ticket, until_ms, KIND_CALLED), now_ms);
}

bool
health_table_claim_weakly(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms, uint64_t until_ms)
{
	return claim(table, slot,
	    word_of(set_key, ticket, until_ms, KIND_ASKED), now_ms);
}

bool
health_table_claimed_by(const struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms)
{
	uint64_t word = atomic_load_explicit(
	    &health_table_slot(table, slot)->trial, memory_order_relaxed);

	return until_of(word) > now_ms &&
	       same_ticket(word, word_of(set_key, ticket, 0, KIND_ASKED));
}

void
health_table_claim_used(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms)
{
	_Atomic uint64_t *trial = &health_table_slot(table, slot)->trial;
	uint64_t word = atomic_load_explicit(trial, memory_order_relaxed);

	/* Lost only to somebody who has changed it meanwhile: to another who
	   says the same, or to the end of the claim. */
	if (until_of(word) > now_ms &&
	    (kind_of(word) == KIND_CALLED || kind_of(word) == KIND_DRAWN) &&
	    same_ticket(word, word_of(set_key, ticket, 0, KIND_ASKED)))
		(void)atomic_compare_exchange_strong_explicit(trial, &word,
		    word | KIND_USED, memory_order_relaxed,
		    memory_order_relaxed);
}

enum health_claim
health_table_claim_state(
    const struct health_table *table, uint32_t slot, uint64_t now_ms)
{
	return state_of(
	    atomic_load_explicit(
		&health_table_slot(table, slot)->trial, memory_order_relaxed),
	    now_ms);
}

void
health_table_release(struct health_table *table, uint32_t slot)
{
	atomic_store_explicit(
	    &health_table_slot(table, slot)->trial, 0, memory_order_relaxed);
}
