/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A health table in a directory of its own, for the tests of the table: what a
 * first life of the machine and of the writer look like, and files as bytes.
 */
#ifndef NH_TESTS_UNIT_SCRATCH_TABLE_H
#define NH_TESTS_UNIT_SCRATCH_TABLE_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/health_table.h"

#define SCRATCH_NOW_MS UINT64_C(5000000)

/* For checks in inner loops: Check's own leave a mark in a file each time. */
#define REQUIRE(ok, ...)                                                       \
	do {                                                                   \
		if (!(ok))                                                     \
			ck_abort_msg(__VA_ARGS__);                             \
	} while (0)

struct scratch {
	char directory[40];
	char path[56];
	char new_path[64];
	struct health_table_size size;
	struct health_table_birth birth;
	struct err why; /* of the last opening */
};

static inline void
scratch_make(struct scratch *scratch)
{
	memset(scratch, 0, sizeof(*scratch));
	/* In memory where there is such a place, as /run is: disks make tests
	   that replace thousands of files slow. */
	strcpy(scratch->directory, "/dev/shm/nexthop_table.XXXXXX");
	if (mkdtemp(scratch->directory) == NULL) {
		strcpy(scratch->directory, "/tmp/nexthop_table.XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(scratch->directory));
	}
	snprintf(scratch->path, sizeof(scratch->path), "%s/health",
	    scratch->directory);
	snprintf(scratch->new_path, sizeof(scratch->new_path), "%s.new",
	    scratch->path);
	scratch->size = (struct health_table_size){ 10, 5, 64 };
	memset(scratch->birth.boot_id, 'b', sizeof(scratch->birth.boot_id));
	scratch->birth.ticket_key.k0 = 0x0123456789abcdef;
	scratch->birth.ticket_key.k1 = 0xfedcba9876543210;
	scratch->birth.pid = 4711;
	scratch->birth.now_ms = SCRATCH_NOW_MS;
}

static inline void
scratch_remove(struct scratch *scratch)
{
	if (unlink(scratch->path) == -1)
		(void)rmdir(scratch->path);
	(void)unlink(scratch->new_path);
	(void)rmdir(scratch->directory);
}

/* Opens for the worker and wants it to go in this way. */
static inline struct health_table *
scratch_open(struct scratch *scratch, enum health_table_opened expected)
{
	enum health_table_opened how;
	struct health_table *table;

	if (health_table_open(scratch->path, &scratch->size, &scratch->birth,
		&table, &how, &scratch->why) == -1)
		ck_abort_msg("cannot open: %s", scratch->why.text);
	REQUIRE(how == expected, "opened as %d, not %d: %s", (int)how,
	    (int)expected, scratch->why.text);
	return table;
}

/* Wants opening to fail with these words. */
static inline void
scratch_open_fails(struct scratch *scratch, const char *words)
{
	enum health_table_opened how;
	struct health_table *table;

	REQUIRE(health_table_open(scratch->path, &scratch->size,
		    &scratch->birth, &table, &how, &scratch->why) == -1,
	    "opened as %d", (int)how);
	REQUIRE(table == NULL, "a table in spite of failure");
	REQUIRE(strstr(scratch->why.text, words) != NULL, "says: %s",
	    scratch->why.text);
}

static inline struct host
scratch_host(unsigned n)
{
	struct host host;
	char text[64];

	snprintf(text, sizeof(text), "[10.%u.%u.%u]:%u", n >> 16 & 255,
	    n >> 8 & 255, n & 255, 25 + n % 3);
	REQUIRE(host_parse(text, 0, &host, NULL) == 0, "host %s", text);
	return host;
}

static inline uint32_t
scratch_add(struct health_table *table, unsigned n)
{
	struct host host = scratch_host(n);

	return health_table_add_host(table, &host);
}

/* A deferred host, every field with a value of its own. */
static inline struct health_detail
scratch_detail(void)
{
	struct health_detail detail = {
		.health = { .state = HEALTH_DEFERRED,
		    .failures = 3,
		    .backoff_ms = 20000,
		    .since_ms = SCRATCH_NOW_MS - 5000,
		    .due_ms = SCRATCH_NOW_MS + 15000,
		    .recoveries = 200,
		    .slow_step = 8,
		    .silent = true },
		.usable = true,
		.last = { .outcome = OUTCOME_TEMPORARY,
		    .stage = STAGE_GREETING,
		    .source = SOURCE_PROBE,
		    .silent = true,
		    .code = 431,
		    .latency_us = 1234,
		    .text = "431 Mail system full" },
		.last_seen_ms = SCRATCH_NOW_MS,
		.latency_us = 777,
	};

	return detail;
}

/* Is it what scratch_detail gave? */
static inline void
scratch_is_detail(const struct health_detail *detail)
{
	struct health_detail some = scratch_detail();

	ck_assert_int_eq(detail->health.state, some.health.state);
	ck_assert_uint_eq(detail->health.failures, some.health.failures);
	ck_assert_uint_eq(detail->health.successes, some.health.successes);
	ck_assert_uint_eq(detail->health.backoff_ms, some.health.backoff_ms);
	ck_assert_uint_eq(detail->health.since_ms, some.health.since_ms);
	ck_assert_uint_eq(detail->health.due_ms, some.health.due_ms);
	ck_assert_uint_eq(detail->health.recoveries, some.health.recoveries);
	ck_assert_uint_eq(detail->health.slow_step, some.health.slow_step);
	ck_assert(detail->health.silent && detail->usable);
	ck_assert_int_eq(detail->last.outcome, some.last.outcome);
	ck_assert_int_eq(detail->last.stage, some.last.stage);
	ck_assert_int_eq(detail->last.source, some.last.source);
	ck_assert(detail->last.silent);
	ck_assert_uint_eq(detail->last.code, some.last.code);
	ck_assert_uint_eq(detail->last.latency_us, some.last.latency_us);
	ck_assert_str_eq(detail->last.text, some.last.text);
	ck_assert_uint_eq(detail->last_seen_ms, some.last_seen_ms);
	ck_assert_uint_eq(detail->latency_us, some.latency_us);
}

/* A whole file. Owns: the caller, free(). */
static inline unsigned char *
scratch_bytes(const struct scratch *scratch, size_t *size_r)
{
	struct stat status;
	unsigned char *bytes;
	int fd = open(scratch->path, O_RDONLY | O_CLOEXEC);

	REQUIRE(fd != -1 && fstat(fd, &status) == 0, "no file");
	bytes = malloc((size_t)status.st_size + 1);
	REQUIRE(bytes != NULL, "no memory");
	REQUIRE(read(fd, bytes, (size_t)status.st_size) == status.st_size,
	    "short read");
	(void)close(fd);
	*size_r = (size_t)status.st_size;
	return bytes;
}

/* Puts a file of these bytes in place of the table. */
static inline void
scratch_put(const struct scratch *scratch, const void *bytes, size_t size)
{
	int fd =
	    open(scratch->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	REQUIRE(fd != -1, "cannot write %s", scratch->path);
	REQUIRE(write(fd, bytes, size) == (ssize_t)size, "short write");
	(void)close(fd);
}

/* Numbers that come out the same at each run. state must not be 0. */
static inline uint64_t
scratch_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
