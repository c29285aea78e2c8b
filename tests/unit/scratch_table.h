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

#include "policy/health_layout.h"
#include "policy/health_table.h"

#define SCRATCH_NOW_MS	   UINT64_C(5000000)
#define SCRATCH_DUE_MAX_MS (UINT64_C(1000) * 3600 * 24 * 8)
#define SCRATCH_MANY	   40 /* hosts and sets that scratch_leave_many leaves */

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
		    .silent = true,
		    .successes = 7,
		    .delivery_failures = 4,
		    .delivery_successes = 5,
		    .blind = true,
		    .overruled = true,
		    .flaps = 6,
		    .unheard = 2,
		    .stage = STAGE_MAIL,
		    .fell_by = SOURCE_DELIVERY,
		    .rose_by = SOURCE_PROBE },
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

static inline void
scratch_is_health(const struct health *health)
{
	struct health_detail some = scratch_detail();

	ck_assert_uint_eq(
	    health->delivery_failures, some.health.delivery_failures);
	ck_assert_uint_eq(
	    health->delivery_successes, some.health.delivery_successes);
	ck_assert(health->blind && health->overruled);
	ck_assert_uint_eq(health->flaps, some.health.flaps);
	ck_assert_uint_eq(health->unheard, some.health.unheard);
	ck_assert_uint_eq(health->stage, some.health.stage);
	ck_assert_uint_eq(health->fell_by, some.health.fell_by);
	ck_assert_uint_eq(health->rose_by, some.health.rose_by);
}

/* Is it what scratch_detail gave? */
static inline void
scratch_is_detail(const struct health_detail *detail)
{
	struct health_detail some = scratch_detail();

	scratch_is_health(&detail->health);

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

/* The n-th change of a host, every field with a value of its own. */
static inline struct health_history
scratch_change(uint32_t n)
{
	struct health_history change = { .at_ms = SCRATCH_NOW_MS + n,
		.is_override = n % 4 == 3,
		.from = (uint8_t)(n % 3),
		.to = (uint8_t)((n + 1) % 3),
		.blind = n % 2 == 1,
		.backoff_ms = n * 10 + 1,
		.count = n + 2,
		.stage = (enum outcome_stage)(n % STAGE_COUNT),
		.source = (enum outcome_source)(n % SOURCE_COUNT),
		.code = (uint16_t)(400 + n % 100) };

	(void)snprintf(change.text, sizeof(change.text), "change %u", n);
	return change;
}

static inline bool
scratch_is_change(const struct health_history *change, uint32_t n)
{
	struct health_history some = scratch_change(n);

	return change->at_ms == some.at_ms &&
	       change->is_override == some.is_override &&
	       change->from == some.from && change->to == some.to &&
	       change->blind == some.blind &&
	       change->backoff_ms == some.backoff_ms &&
	       change->count == some.count && change->stage == some.stage &&
	       change->source == some.source && change->code == some.code &&
	       memcmp(change->text, some.text, sizeof(some.text)) == 0;
}

/* Notes the changes first .. last - 1. */
static inline void
scratch_note(
    struct health_table *table, uint32_t slot, uint32_t first, uint32_t last)
{
	for (uint32_t n = first; n < last; n++) {
		struct health_history change = scratch_change(n);

		health_table_note(table, slot, &change);
	}
}

/* Wants the changes first .. last - 1 to be all that the history has. */
static inline void
scratch_has_changes(const struct health_table *table, uint32_t slot,
    uint32_t first, uint32_t last)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n = health_table_history(table, slot, list);

	REQUIRE(n == last - first, "%u changes, not %u", n, last - first);
	for (uint32_t i = 0; i < n; i++)
		REQUIRE(scratch_is_change(&list[i], last - 1 - i),
		    "change %u: %s", i, list[i].text);
}

/* Where the file begins in memory, to play a writer that was killed. */
static inline unsigned char *
scratch_mapping(const struct health_table *table)
{
	struct health_table_header_info info;
	struct hash_key key;
	uint32_t n;
	unsigned char *tickets =
	    (unsigned char *)health_table_tickets(table, &n, &key);

	health_table_header(table, &info);
	return tickets + n * sizeof(struct ticket_slot) +
	       info.hosts_max * sizeof(struct layout_history) - info.bytes;
}

/* Leaves a table with deferred hosts, overrides, cursors; then closed. */
static inline void
scratch_leave_many(struct scratch *scratch)
{
	struct health_table *table =
	    scratch_open(scratch, HEALTH_TABLE_CREATED);
	struct health_detail detail = scratch_detail();
	struct health_override_info info = { .kind = OVERRIDE_DRAIN,
		.reason = "new disks" };
	uint32_t slot;

	for (unsigned i = 0; i < SCRATCH_MANY; i++) {
		slot = scratch_add(table, i);
		if (i % 2 == 0)
			health_table_write(table, slot, &detail);
		if (i % 3 == 0)
			health_table_set_override(table, slot, &info);
		(void)health_table_add_set(table, hash_mix(i));
		scratch_note(table, slot, 0, i);
	}
	health_table_close(&table);
}

/* Some may be missing; none is invented. */
static inline void
scratch_history_must_be_sane(const struct health_table *table, uint32_t slot)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n = health_table_history(table, slot, list);

	REQUIRE(n <= HEALTH_HISTORY_MAX, "slot %u: %u changes", slot, n);
	for (uint32_t i = 0; i < n; i++)
		REQUIRE(scratch_is_change(&list[i],
			    (uint32_t)(list[i].at_ms - SCRATCH_NOW_MS)),
		    "slot %u: change %u", slot, i);
}

static inline void
scratch_host_must_be_sane(struct health_table *table, uint32_t slot)
{
	struct health_view view;
	struct health_detail detail;
	struct health_override_info info;
	struct host host;

	scratch_history_must_be_sane(table, slot);
	if (health_table_host(table, slot, &host) == -1)
		return;
	health_table_view(table, slot, SCRATCH_NOW_MS, &view);
	health_table_read(table, slot, &detail);
	health_table_get_override(table, slot, &info);
	REQUIRE(view.state <= HEALTH_TRIAL && view.slow_step <= 8 &&
		    view.due_ms <= SCRATCH_NOW_MS + SCRATCH_DUE_MAX_MS,
	    "slot %u: view", slot);
	REQUIRE(detail.health.state == view.state &&
		    detail.health.due_ms == view.due_ms &&
		    detail.last.outcome < OUTCOME_COUNT &&
		    detail.last.stage < STAGE_COUNT &&
		    detail.last.source < SOURCE_COUNT &&
		    strlen(detail.last.text) < OUTCOME_TEXT_MAX,
	    "slot %u: detail", slot);
	REQUIRE(info.kind <= OVERRIDE_FORCED_UP &&
		    strlen(info.reason) < HEALTH_TABLE_REASON_MAX,
	    "slot %u: override", slot);
	REQUIRE(health_table_find_host(table, &host) == slot,
	    "slot %u: not found", slot);
}

/* Whatever was kept can be used: all hosts and sets, old and new ones. */
static inline void
scratch_must_be_sane(struct health_table *table)
{
	struct health_table_header_info info;
	uint32_t slot, set, ticket;

	health_table_header(table, &info);
	REQUIRE(info.hosts_used <= info.hosts_max && info.hosts_max <= 96 &&
		    info.sets_used <= info.sets_max && info.sets_max <= 96,
	    "counts");
	for (slot = 0; slot < info.hosts_max; slot++)
		scratch_host_must_be_sane(table, slot);
	for (unsigned i = 0; i < SCRATCH_MANY; i++) {
		slot = scratch_add(table, i);
		REQUIRE(slot < info.hosts_max, "no room for host %u", i);
		scratch_host_must_be_sane(table, slot);
		set = health_table_add_set(table, hash_mix(i));
		REQUIRE(set < info.sets_max, "no room for set %u", i);
		ticket = health_table_draw(table, set, SCRATCH_NOW_MS);
		REQUIRE(health_table_cursor(table, set) == ticket + 1, "draw");
	}
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
