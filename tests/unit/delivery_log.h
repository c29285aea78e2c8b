/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A delivery log in shorthand, and what was told of it as text.
 *
 *     77 - SERVER FAILURE                  "connect to" has no queue id
 *     77 Q1 SERVER FAILURE                 one server failed
 *     77 Q1 to=R SERVER|none [reused] STATUS [SERVER FAILURE]
 *     error Q1 to=R none suspended         not by smtp(8)
 *
 * SERVER is NAME[/ADDRESS][#PORT]. FAILURE is refused, unreachable, tls,
 * "lost STAGE", "timeout STAGE" or "said STAGE CODE TEXT". STATUS is sent,
 * deferred, bounced, probed, or what a deferred one waits for: suspended, held,
 * other.
 */
#ifndef NH_TESTS_UNIT_DELIVERY_LOG_H
#define NH_TESTS_UNIT_DELIVERY_LOG_H

#include <check.h>

#include "policy/delivery.h"

#define DELIVERY_LOG_SEEN_MAX 4096

/* For checks in inner loops: Check's own leave a mark in a file each time. */
#define REQUIRE(ok, ...)                                                       \
	do {                                                                   \
		if (!(ok))                                                     \
			ck_abort_msg(__VA_ARGS__);                             \
	} while (0)

struct delivery_log {
	struct config *config;
	struct delivery *delivery;
	uint64_t now_ms;
	/* "ok 10.0.0.1:25; refusal? 10.0.0.2:25 #1": a doubt has a question
	   mark, recipients are numbered as they come. */
	char told[16384];
	/* "waits u@example.com host; gone u@example.com" */
	char routes[16384];
	struct delivery_seen seen[DELIVERY_LOG_SEEN_MAX];
	unsigned n_seen; /* also of those that found no room */
};

/* The one of this test's process. */
extern struct delivery_log delivery_log;

/* A configuration with these routes (and pools). */
void delivery_log_begin(const char *routes);
/* Another configuration takes its place. */
void delivery_log_adopt(const char *routes);
void delivery_log_end(void);

struct delivery_line delivery_log_parse(const char *text);
void delivery_log_feed(const char *text);
void delivery_log_feed_all(const char *const *lines, unsigned n);
/* Forgets what was told. */
void delivery_log_clear(void);

/* The number of the host "10.0.0.1:25". */
uint32_t delivery_log_host(const char *text);

#endif
