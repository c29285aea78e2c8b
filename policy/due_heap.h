/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Things ordered by the time at which they are due: a binary heap of members of
 * the things themselves, so that each can be moved or taken out wherever it
 * stands. Knows nothing of the things and has no clock.
 */
#ifndef NH_POLICY_DUE_HEAP_H
#define NH_POLICY_DUE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"

/* The member; all zero is "not in a heap". */
struct due {
	uint64_t at_ms;
	uint32_t place; /* in the heap, plus one; 0: in none */
	uint32_t kind;	/* the owner's business */
};

struct due_heap {
	struct due **list;
	uint32_t n, capacity;
};

static inline bool
due_is_in(const struct due *due)
{
	return due->place != 0;
}

/* Owns: the caller, due_heap_clear; the things are others'. */
void due_heap_clear(struct due_heap *heap) NH_ALL_NONNULL;

/*
 * Puts due in, or moves it to another time.
 * Returns: 0; -1 without memory: it is not in the heap then.
 */
int due_heap_put(
    struct due_heap *heap, struct due *due, uint64_t at_ms) NH_ALL_NONNULL;

/* Takes due out, if it is in. */
void due_heap_remove(struct due_heap *heap, struct due *due) NH_ALL_NONNULL;

/* Returns: what is due first, or NULL. */
struct due *due_heap_first(const struct due_heap *heap) NH_ALL_NONNULL;

#endif
