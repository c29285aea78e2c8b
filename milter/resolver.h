/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Host names become addresses, without waiting, off the lookup path. Names are
 * taken as they are (no search domains: the MTA uses none), the hosts file goes
 * before DNS, and both that file and resolv.conf are read anew when they have
 * changed.
 */
#ifndef NH_MILTER_RESOLVER_H
#define NH_MILTER_RESOLVER_H

#include <event2/event.h>
#include <stdint.h>

#include "milter/endpoint.h"
#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"

/* As many as smtp(8) tries of one name (smtp_mx_address_limit). */
#define RESOLVER_ADDRESSES_MAX 5

struct resolver;
struct resolver_query;

enum resolver_kind {
	RESOLVER_FOUND = 0,
	RESOLVER_NONE,	   /* no such name, or no address of the family */
	RESOLVER_TRY_AGAIN /* could not find out: what was known stays */
};

struct resolver_answer {
	enum resolver_kind kind;
	uint32_t n;
	struct endpoint list[RESOLVER_ADDRESSES_MAX]; /* in DNS's order */
	const char *why; /* in words, when nothing was found; static */
};

typedef void resolver_done_fn(void *arg, const struct resolver_answer *answer);

/* Where the system keeps its settings; for tests, elsewhere. */
struct resolver_files {
	const char *resolv_conf; /* "/etc/resolv.conf" */
	const char *hosts;	 /* "/etc/hosts" */
};

/*
 * NULL: files, for those of the system. Its strings must live as long.
 * Owns: the caller, resolver_free (which runs the loop once or twice when
 * queries are under way: they can only end there).
 * Thread: all of it the thread that runs base.
 */
int resolver_create(struct event_base *base, const struct resolver_files *files,
    struct resolver **resolver_r, struct err *err) NH_MUSTCHECK
    NH_NONNULL(1, 3, 4);
void resolver_free(struct resolver **resolver) NH_ALL_NONNULL;

/*
 * Asks for the addresses of name.
 * done: called once, from the loop, never from within resolver_ask.
 * Returns: the query, for resolver_cancel; NULL when there is no memory.
 */
struct resolver_query *resolver_ask(struct resolver *resolver, const char *name,
    uint16_t port, enum config_address_family family, resolver_done_fn *done,
    void *arg) NH_MUSTCHECK NH_NONNULL(1, 2, 5);

/* done will not be called. */
void resolver_cancel(struct resolver_query **query) NH_ALL_NONNULL;

#endif
