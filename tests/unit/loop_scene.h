/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Turning an event loop until something has happened. Each failure ends the
 * test.
 */
#ifndef NH_TESTS_UNIT_LOOP_SCENE_H
#define NH_TESTS_UNIT_LOOP_SCENE_H

#include <check.h>
#include <dirent.h>
#include <event2/event.h>

#include "milter/clock.h"

#define LOOP_PATIENCE_MS 30000 /* for what must come: then the test fails */

static inline void
loop_on_moment(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* Lets the loop run for a moment, or until something has happened. */
static inline void
loop_turn(struct event_base *base)
{
	const struct timeval moment = { 0, 5000 };

	(void)event_base_once(
	    base, -1, EV_TIMEOUT, loop_on_moment, NULL, &moment);
	(void)event_base_loop(base, EVLOOP_ONCE);
}

#define LOOP_UNTIL(base, condition)                                            \
	do {                                                                   \
		uint64_t end_ = clock_boot_ms() + LOOP_PATIENCE_MS;            \
		while (!(condition)) {                                         \
			ck_assert_msg(clock_boot_ms() < end_,                  \
			    "waited for: %s", #condition);                     \
			loop_turn(base);                                       \
		}                                                              \
	} while (0)

static inline void
loop_for(struct event_base *base, uint64_t ms)
{
	uint64_t end_ms = clock_boot_ms() + ms;

	while (clock_boot_ms() < end_ms)
		loop_turn(base);
}

/* How many descriptors this process has. */
static inline unsigned
loop_count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

#endif
