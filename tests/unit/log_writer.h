/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Writers for log_scene.h: one that stays with its file, and one that has a
 * thread of its own, numbers its lines and does not wait. Each failure ends the
 * test.
 */
#ifndef NH_TESTS_UNIT_LOG_WRITER_H
#define NH_TESTS_UNIT_LOG_WRITER_H

#include <pthread.h>

#include "tests/unit/log_scene.h"

static inline void
put(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- a writer that does not wait ---- */

#define LINES 20000

static struct {
	pthread_t thread;
	pthread_mutex_t mutex; /* held for each line */
	unsigned n;	       /* lines written */
	bool reopen, done;
} writer = { .mutex = PTHREAD_MUTEX_INITIALIZER };
static unsigned char times_seen[LINES];
static unsigned last_seen;

static inline void
see_number(void *arg, const char *line, size_t len)
{
	char *line_end;
	unsigned long number;

	(void)arg;
	ck_assert_uint_ge(len, 8);
	number = strtoul(line, &line_end, 10);
	ck_assert_uint_lt(number, LINES);
	ck_assert_int_eq(*line_end, ' ');
	ck_assert_int_eq(line[len - 1], '.');
	ck_assert(n_seen == 0 || number > last_seen);
	last_seen = (unsigned)number;
	times_seen[number]++;
	n_seen++;
}

/* Some lines are written in two steps, as a buffer's end makes it. */
static inline void
write_number(int fd, unsigned number)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "%06u %0*d.\n", number,
	    (int)(number * 7919 % 97) + 1, 0);
	int first = number % 5 == 0 ? len / 2 : len;

	(void)!write(fd, line, (size_t)first);
	if (first < len)
		(void)!write(fd, line + first, (size_t)(len - first));
}

static inline void *
run_writer(void *arg)
{
	int fd = open_writer(O_APPEND);

	(void)arg;
	for (unsigned i = 0; i < LINES; i++) {
		(void)pthread_mutex_lock(&writer.mutex);
		if (writer.reopen) {
			(void)close(fd);
			fd = open_writer(O_APPEND);
			writer.reopen = false;
		}
		write_number(fd, i);
		writer.n = i + 1;
		(void)pthread_mutex_unlock(&writer.mutex);
		if (i % 64 == 63)
			(void)usleep(1000);
	}
	(void)pthread_mutex_lock(&writer.mutex);
	writer.done = true;
	(void)pthread_mutex_unlock(&writer.mutex);
	(void)close(fd);
	return NULL;
}

static inline void
start_writer(void)
{
	append("");
	follow(log_path);
	follower->line = see_number;
	ck_assert_int_eq(
	    pthread_create(&writer.thread, NULL, run_writer, NULL), 0);
}

static inline bool
is_written(void)
{
	bool done;

	(void)pthread_mutex_lock(&writer.mutex);
	done = writer.done;
	(void)pthread_mutex_unlock(&writer.mutex);
	return done;
}

static inline unsigned
chance(unsigned n)
{
	static unsigned seed = 1;

	seed = seed * 1103515245U + 12345U;
	return (seed >> 16) % n;
}

#endif
