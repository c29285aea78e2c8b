/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/health_table.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "policy/health_layout.h"
#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define DUE_MAX_MS (UINT64_C(1000) * 3600 * 24 * 8)
#define MANY	   40 /* hosts and sets in the table that is damaged */

static struct scratch scratch;

static void
set_up(void)
{
	scratch_make(&scratch);
}

static void
tear_down(void)
{
	scratch_remove(&scratch);
}

/* A table with deferred hosts, overrides, cursors; then closed. */
static void
leave_a_table(void)
{
	struct health_table *table =
	    scratch_open(&scratch, HEALTH_TABLE_CREATED);
	struct health_detail detail = scratch_detail();
	struct health_override_info info = { .kind = OVERRIDE_DRAIN,
		.reason = "new disks" };
	uint32_t slot;

	for (unsigned i = 0; i < MANY; i++) {
		slot = scratch_add(table, i);
		if (i % 2 == 0)
			health_table_write(table, slot, &detail);
		if (i % 3 == 0)
			health_table_set_override(table, slot, &info);
		(void)health_table_add_set(table, hash_mix(i));
	}
	health_table_close(&table);
}

static void
host_must_be_sane(struct health_table *table, uint32_t slot)
{
	struct health_view view;
	struct health_detail detail;
	struct health_override_info info;
	struct host host;

	if (health_table_host(table, slot, &host) == -1)
		return;
	health_table_view(table, slot, SCRATCH_NOW_MS, &view);
	health_table_read(table, slot, &detail);
	health_table_get_override(table, slot, &info);
	REQUIRE(view.state <= HEALTH_TRIAL && view.slow_step <= 8 &&
		    view.due_ms <= SCRATCH_NOW_MS + DUE_MAX_MS,
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
static void
must_be_sane(struct health_table *table)
{
	struct health_table_header_info info;
	uint32_t slot, set, ticket;

	health_table_header(table, &info);
	REQUIRE(info.hosts_used <= info.hosts_max && info.hosts_max <= 96 &&
		    info.sets_used <= info.sets_max && info.sets_max <= 96,
	    "counts");
	for (slot = 0; slot < info.hosts_max; slot++)
		host_must_be_sane(table, slot);
	for (unsigned i = 0; i < MANY; i++) {
		slot = scratch_add(table, i);
		REQUIRE(slot < info.hosts_max, "no room for host %u", i);
		host_must_be_sane(table, slot);
		set = health_table_add_set(table, hash_mix(i));
		REQUIRE(set < info.sets_max, "no room for set %u", i);
		ticket = health_table_draw(table, set, SCRATCH_NOW_MS);
		REQUIRE(health_table_cursor(table, set) == ticket + 1, "draw");
	}
}

/*
 * A tool and then the worker open what is there. However it is taken, it is
 * sane, and the next opening finds nothing to complain of.
 */
static void
open_and_judge(const char *what, size_t at)
{
	enum health_table_opened how;
	struct health_table *table;
	struct health_view view;
	struct host host = scratch_host(1);
	uint32_t slot;

	if (health_table_attach(scratch.path, scratch.birth.boot_id, &table,
		&scratch.why) == 0) {
		slot = health_table_find_host(table, &host);
		if (slot != HEALTH_TABLE_NONE)
			health_table_view(table, slot, SCRATCH_NOW_MS, &view);
		health_table_close(&table);
	} else {
		REQUIRE(scratch.why.text[0] != '\0', "refused without a word");
	}
	REQUIRE(health_table_open(scratch.path, &scratch.size, &scratch.birth,
		    &table, &how, &scratch.why) == 0,
	    "%s at %zu: %s", what, at, scratch.why.text);
	REQUIRE(how == HEALTH_TABLE_ATTACHED || how == HEALTH_TABLE_REBUILT,
	    "%s at %zu: opened as %d", what, at, (int)how);
	REQUIRE((how == HEALTH_TABLE_REBUILT) == (scratch.why.text[0] != '\0'),
	    "%s at %zu: %d says: %s", what, at, (int)how, scratch.why.text);
	must_be_sane(table);
	health_table_close(&table);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	health_table_close(&table);
}

static const unsigned char masks[] = { 0x01, 0x80, 0xff };

/* Where the bytes lie that are damaged one by one. */
static const struct {
	const char *what;
	size_t header_offset; /* of the uint64_t that says where; 0: there */
	size_t bytes;
} regions[] = {
	{ "header", 0, sizeof(struct layout_header) },
	{ "first host", offsetof(struct layout_header, hosts_at),
	    sizeof(struct layout_host) },
	{ "host index", offsetof(struct layout_header, host_index_at), 512 },
	{ "sets", offsetof(struct layout_header, sets_at), 256 },
	{ "set index", offsetof(struct layout_header, set_index_at), 512 },
};

START_TEST(any_byte_may_be_damaged)
{
	size_t size, start = 0;
	unsigned char *bytes, was;
	uint64_t at;

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	if (regions[_i].header_offset != 0) {
		memcpy(&at, bytes + regions[_i].header_offset, sizeof(at));
		start = at;
	}
	for (size_t i = start; i < start + regions[_i].bytes; i++) {
		was = bytes[i];
		/* The header is short: every kind of damage to each byte. */
		for (size_t k = 0; k < (_i == 0 ? NELEM(masks) : 1); k++) {
			bytes[i] = was ^ masks[(i + k) % NELEM(masks)];
			scratch_put(&scratch, bytes, size);
			open_and_judge(regions[_i].what, i - start);
		}
		bytes[i] = was;
	}
	free(bytes);
}
END_TEST

START_TEST(many_bytes_may_be_damaged_at_once)
{
	size_t size;
	unsigned char *bytes, *damaged;
	uint64_t state = 88172645463325252, n, at;

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	damaged = malloc(size);
	ck_assert_ptr_nonnull(damaged);
	for (size_t round = 0; round < 500; round++) {
		memcpy(damaged, bytes, size);
		n = 1 + scratch_random(&state) % 2000;
		for (uint64_t i = 0; i < n; i++) {
			/* The fixed header stays: else nothing is looked at. */
			at = LAYOUT_FIXED_SIZE + scratch_random(&state) %
						     (size - LAYOUT_FIXED_SIZE);
			damaged[at] = (unsigned char)scratch_random(&state);
		}
		scratch_put(&scratch, damaged, size);
		open_and_judge("random", round);
	}
	free(damaged);
	free(bytes);
}
END_TEST

START_TEST(a_slot_of_random_bytes_is_dropped_and_others_are_kept)
{
	size_t size;
	unsigned char *bytes;
	uint64_t state = 4711 + (uint64_t)_i;
	struct layout_host *hosts;
	struct health_table *table;
	struct health_detail detail;
	struct host host = scratch_host(2);

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	hosts = (void *)(bytes + sizeof(struct layout_header));
	for (size_t i = 4; i < sizeof(hosts[0]); i++)
		((unsigned char *)&hosts[0])[i] =
		    (unsigned char)scratch_random(&state);
	scratch_put(&scratch, bytes, size);
	free(bytes);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	ck_assert_ptr_nonnull(
	    strstr(scratch.why.text, "1 entries do not validate"));
	ck_assert_uint_eq(health_table_find_host(table, &host), 1);
	health_table_read(table, 1, &detail);
	scratch_is_detail(&detail);
	host = scratch_host(0);
	ck_assert_uint_eq(
	    health_table_find_host(table, &host), HEALTH_TABLE_NONE);
	health_table_close(&table);
}
END_TEST

/* Changes the closed table: what a worker must notice and drop. */
struct change {
	const char *name;
	void (*make)(struct layout_header *header, struct layout_host *hosts,
	    unsigned char *bytes);
};

static void
rename_host(struct layout_host *host, const char *text)
{
	memset(host->text, 0, sizeof(host->text));
	strcpy(host->text, text);
	host->key = hash_bytes(hash_key_fixed, text, strlen(text));
}

#define CHANGE(name, ...)                                                      \
	static void name(struct layout_header *header,                         \
	    struct layout_host *hosts, unsigned char *bytes)                   \
	{                                                                      \
		(void)header, (void)hosts, (void)bytes;                        \
		__VA_ARGS__;                                                   \
	}

CHANGE(no_brackets, rename_host(&hosts[1], "10.0.0.1:26"))
CHANGE(upper_case, rename_host(&hosts[1], "[MX.example.net]:25"))
CHANGE(no_port, rename_host(&hosts[1], "[10.0.0.1]"))
CHANGE(two_hosts, rename_host(&hosts[1], "[10.0.0.1]:25,[10.0.0.2]:25"))
CHANGE(no_text, rename_host(&hosts[1], ""))
CHANGE(endless_text, memset(hosts[1].text, 'a', sizeof(hosts[1].text)))
CHANGE(wrong_key, hosts[1].key++)
CHANGE(no_such_override, hosts[1].override_word = 7)
CHANGE(endless_override, hosts[1].override_word = ~0ull << LAYOUT_TIME_SHIFT)
CHANGE(half_used, hosts[1].used = 1)
CHANGE(half_used_set, bytes[header->sets_at] = 1)
CHANGE(unused, hosts[1].used = 0)
CHANGE(unused_set, memset(bytes + header->sets_at, 0, 4))
CHANGE(twice, hosts[1] = hosts[2])
CHANGE(full_index, memset(bytes + header->host_index_at, 1,
		       header->host_index_max * sizeof(uint32_t)))

static const struct change changes[] = {
	{ "a name without brackets", no_brackets },
	{ "a name in upper case", upper_case },
	{ "a name without a port", no_port },
	{ "two hosts in one name", two_hosts },
	{ "no name", no_text },
	{ "a name without an end", endless_text },
	{ "a key of another name", wrong_key },
	{ "no such override", no_such_override },
	{ "an override for thousands of years", endless_override },
	{ "neither used nor unused", half_used },
	{ "a set neither used nor unused", half_used_set },
	{ "an indexed host that is not used", unused },
	{ "an indexed set that is not used", unused_set },
	{ "a host twice", twice },
	{ "an index without an end", full_index },
};

START_TEST(what_no_kill_can_cause_is_noticed_and_dropped)
{
	size_t size;
	unsigned char *bytes;
	struct layout_header *header;
	struct health_table *table;
	struct health_detail detail;
	struct host host = scratch_host(4);

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	header = (void *)bytes;
	changes[_i].make(header, (void *)(header + 1), bytes);
	scratch_put(&scratch, bytes, size);
	free(bytes);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	health_table_read(table, health_table_find_host(table, &host), &detail);
	scratch_is_detail(&detail);
	must_be_sane(table);
	health_table_close(&table);
}
END_TEST

START_TEST(a_detail_with_any_word_changed_is_noticed)
{
	size_t size;
	unsigned char *bytes;
	struct layout_host *host;
	struct health_table *table;

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	host = (void *)(bytes + sizeof(struct layout_header));
	host->detail[host->detail_turn / 2 % 2][_i] ^= 1;
	scratch_put(&scratch, bytes, size);
	free(bytes);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	must_be_sane(table);
	health_table_close(&table);
}
END_TEST

START_TEST(a_host_deferred_for_years_is_dropped)
{
	struct health_table *table =
	    scratch_open(&scratch, HEALTH_TABLE_CREATED);
	struct health_detail detail = scratch_detail();
	uint32_t slot = scratch_add(table, 1);
	struct host host = scratch_host(1);

	detail.health.due_ms = SCRATCH_NOW_MS + DUE_MAX_MS + (uint64_t)_i;
	health_table_write(table, slot, &detail);
	health_table_close(&table);
	table = scratch_open(
	    &scratch, _i == 0 ? HEALTH_TABLE_ATTACHED : HEALTH_TABLE_REBUILT);
	ck_assert_uint_eq(health_table_find_host(table, &host),
	    _i == 0 ? 0 : HEALTH_TABLE_NONE);
	health_table_close(&table);
}
END_TEST

START_TEST(a_file_may_be_cut_anywhere)
{
	size_t size;
	unsigned char *bytes;

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	for (size_t cut = 0; cut < size; cut += cut < 700 ? 1 : 997) {
		scratch_put(&scratch, bytes, cut);
		open_and_judge("cut", cut);
	}
	free(bytes);
}
END_TEST

/* What the words of a file in place of the table are. */
static void
must_be_replaced(const void *bytes, size_t size, const char *words)
{
	struct health_table *table;

	scratch_put(&scratch, bytes, size);
	ck_assert_int_eq(health_table_attach(scratch.path,
			     scratch.birth.boot_id, &table, &scratch.why),
	    -1);
	ck_assert_ptr_null(table);
	ck_assert_msg(strstr(scratch.why.text, words) != NULL, "says: %s",
	    scratch.why.text);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	ck_assert_msg(strstr(scratch.why.text, words) != NULL, "says: %s",
	    scratch.why.text);
	must_be_sane(table);
	health_table_close(&table);
}

START_TEST(what_is_no_table_is_replaced_in_words)
{
	char noise[5000];
	uint64_t state = 1;

	scratch.size.hosts = scratch.size.sets = MANY;
	must_be_replaced("", 0, "too short (0 bytes)");
	must_be_replaced("hello\n", 6, "too short (6 bytes)");
	memset(noise, 0, sizeof(noise));
	must_be_replaced(noise, sizeof(noise), "is no health table");
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)scratch_random(&state);
	must_be_replaced(noise, sizeof(noise), "is no health table");
}
END_TEST

/* A header that says something else, with its check made right again. */
static const struct {
	size_t offset, bytes;
	uint64_t value;
	bool whole; /* the check is made right */
	const char *words;
} headers[] = {
	{ offsetof(struct layout_header, major), 2, 0, true,
	    "has layout 0.0; this program reads layout 1 only" },
	{ offsetof(struct layout_header, major), 2, 7, true,
	    "has layout 7.0; this program reads layout 1 only" },
	{ offsetof(struct layout_header, byte_order), 4, 0x04030201, true,
	    "machine of another kind" },
	{ offsetof(struct layout_header, boot_id), 1, 0, false,
	    "damaged header" },
	{ offsetof(struct layout_header, header_size), 4, 256, true,
	    "damaged header" },
	{ offsetof(struct layout_header, host_size), 4, 64, true,
	    "damaged header" },
	{ offsetof(struct layout_header, hosts_max), 4, UINT32_MAX, true,
	    "damaged header" },
	{ offsetof(struct layout_header, hosts_max), 4, 65, true,
	    "damaged header" },
	{ offsetof(struct layout_header, sets_max), 4, 0x80000000, true,
	    "damaged header" },
	{ offsetof(struct layout_header, tickets_max), 4, 0, true,
	    "damaged header" },
	{ offsetof(struct layout_header, tickets_max), 4, 65, true,
	    "damaged header" },
	{ offsetof(struct layout_header, host_index_max), 4, 0, true,
	    "damaged header" },
	{ offsetof(struct layout_header, hosts_at), 8, 0, true,
	    "damaged header" },
	{ offsetof(struct layout_header, tickets_at), 8, UINT64_MAX, true,
	    "damaged header" },
	{ offsetof(struct layout_header, file_size), 8, UINT64_MAX, true,
	    "damaged header" },
	{ offsetof(struct layout_header, file_size), 8, 0, true,
	    "damaged header" },
};

START_TEST(a_header_that_lies_is_not_believed)
{
	struct layout_header *header;
	size_t size;
	unsigned char *bytes;

	scratch.size.hosts = scratch.size.sets = MANY;
	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	header = (void *)bytes;
	memcpy(
	    bytes + headers[_i].offset, &headers[_i].value, headers[_i].bytes);
	if (headers[_i].whole)
		header->check =
		    hash_bytes(hash_key_fixed, bytes, LAYOUT_CHECK_AT);
	must_be_replaced(bytes, size, headers[_i].words);
	free(bytes);
}
END_TEST

START_TEST(a_later_minor_layout_with_more_behind_is_read)
{
	struct layout_header *header;
	struct health_table *table;
	size_t size;
	unsigned char *bytes, *longer;

	leave_a_table();
	bytes = scratch_bytes(&scratch, &size);
	longer = calloc(1, size + 4096);
	ck_assert_ptr_nonnull(longer);
	memcpy(longer, bytes, size);
	header = (void *)longer;
	header->minor = LAYOUT_MINOR + 1;
	header->history_at = size;
	header->history_size = 4096;
	header->file_size += 4096;
	header->check = hash_bytes(hash_key_fixed, longer, LAYOUT_CHECK_AT);
	scratch_put(&scratch, longer, size + 4096);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	must_be_sane(table);
	health_table_close(&table);
	free(longer);
	free(bytes);
}
END_TEST

static Suite *
damage_suite(void)
{
	Suite *suite = suite_create("health_table_damage");
	TCase *bytes = tcase_create("bytes");

	tcase_add_checked_fixture(bytes, set_up, tear_down);
	tcase_set_timeout(bytes, 300);
	tcase_add_loop_test(
	    bytes, any_byte_may_be_damaged, 0, (int)NELEM(regions));
	tcase_add_test(bytes, many_bytes_may_be_damaged_at_once);
	tcase_add_loop_test(bytes,
	    a_slot_of_random_bytes_is_dropped_and_others_are_kept, 0, 10);
	tcase_add_loop_test(bytes,
	    what_no_kill_can_cause_is_noticed_and_dropped, 0,
	    (int)NELEM(changes));
	tcase_add_loop_test(bytes, a_detail_with_any_word_changed_is_noticed, 0,
	    (int)LAYOUT_DETAIL_WORDS);
	tcase_add_loop_test(bytes, a_host_deferred_for_years_is_dropped, 0, 2);
	tcase_add_test(bytes, a_file_may_be_cut_anywhere);
	tcase_add_test(bytes, what_is_no_table_is_replaced_in_words);
	tcase_add_loop_test(
	    bytes, a_header_that_lies_is_not_believed, 0, (int)NELEM(headers));
	tcase_add_test(bytes, a_later_minor_layout_with_more_behind_is_read);
	suite_add_tcase(suite, bytes);
	return suite;
}

int
main(void)
{
	return suite_run(damage_suite());
}
