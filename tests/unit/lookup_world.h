/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the tests of lookups share: a real configuration file, a real table
 * file, and what binds them.
 */
#ifndef NH_TESTS_UNIT_LOOKUP_WORLD_H
#define NH_TESTS_UNIT_LOOKUP_WORLD_H

#include "policy/lookup.h"

#define START_MS 1000000

struct world {
	char folder[64];
	char table_path[80];
	struct config *config;
	struct health_table *table;
	struct lookup_base *base;
	uint64_t now_ms;
};

/* The one of this test's process. */
extern struct world world;

#define A "192.168.1.10"
#define B "192.168.1.20"
#define C "192.168.1.30"

/* A route of example.com to A and B. */
extern const char world_two_hosts[];
/* A route, a parent, a route by DNS, an address literal; domains not routed. */
extern const char world_many_kinds[];

/* A new folder; the clock at its start. */
void world_make_folder(void);
/* The configuration of this text. */
void world_load(const char *routes);
void world_open_table(uint32_t hosts, uint32_t sets);
void world_bind(bool add);
/* All of these: what the daemon has after its start. */
void world_setup(const char *routes);
void world_teardown(void);

/* The slot of the host with this name. */
uint32_t world_slot(const char *name);
void world_set_state(
    const char *name, enum health_state state, uint64_t due_ms);
void world_set_usable(const char *name, bool usable);

struct address world_address(const char *text);
struct lookup_answer world_ask(const char *text);
/* "192.168.1.10:25 192.168.1.20:25". Valid until the next call. */
const char *world_hosts(const struct lookup_answer *answer);
/*
 * What the milter does at end-of-message for a message to one domain.
 * Returns: the ticket.
 */
uint32_t world_take_message(const char *const *recipients, size_t n);

#endif
