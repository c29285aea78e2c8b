/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A route of two hosts, one of them in trial, for the tests of lookups.
 */
#ifndef NH_TESTS_UNIT_TRIAL_SCENE_H
#define NH_TESTS_UNIT_TRIAL_SCENE_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/lookup_world.h"

#define TO	   "user@example.com"
#define PATIENT_MS 10000 /* how long a trial waits for a drawn ticket */

/* A route of example.com that wants this when all are deferred; A in trial, and
   B in this tier and state. */
static inline void
set_scene(const char *wish, int b_priority, enum health_state b)
{
	char text[400];

	(void)snprintf(text, sizeof(text),
	    "routes = ( { domain = \"example.com\"; when_all_deferred = "
	    "\"%s\"; hosts = ( { host = \"" A "\"; priority = 10; },"
	    " { host = \"" B "\"; priority = %d; } ); } );",
	    wish, b_priority);
	world_setup(text);
	world_set_state(A, HEALTH_TRIAL, world.now_ms + PATIENT_MS);
	world_set_state(B, b, b == HEALTH_UP ? 0 : world.now_ms + 100000);
}

static inline uint32_t
draw(void)
{
	uint32_t ticket;

	ck_assert(lookup_draw(world.base, 0, world.now_ms, &ticket));
	return ticket;
}

static inline struct lookup_answer
with_ticket(uint32_t ticket)
{
	struct lookup_answer answer;

	memset(&answer, 0xa5, sizeof(answer));
	(void)lookup_with_ticket(world.base, 0, ticket, world.now_ms, &answer);
	return answer;
}

static inline uint32_t
message_to(const char *recipient)
{
	return world_take_message(&recipient, 1);
}

static inline enum health_claim
claim_of(const char *name)
{
	return health_table_claim_state(
	    world.table, world_slot(name), world.now_ms);
}

static inline uint64_t
picked(const char *name)
{
	return health_table_counter(
	    world.table, world_slot(name), COUNTER_PICKED);
}

#define LISTS(answer, wanted)                                                  \
	do {                                                                   \
		struct lookup_answer got = (answer);                           \
                                                                               \
		ck_assert_str_eq(world_hosts(&got), wanted);                   \
	} while (0)

#endif
