/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Files that another program wrote, or another version of this one: what their
 * header says of them, and what becomes of a file of layout 1.0.
 *
 * Thread: the test's own process, one thread.
 */
#include "policy/health_table.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "policy/health_layout.h"
#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

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
	scratch_must_be_sane(table);
	health_table_close(&table);
}

START_TEST(what_is_no_table_is_replaced_in_words)
{
	char noise[5000];
	uint64_t state = 1;

	scratch.size.hosts = scratch.size.sets = SCRATCH_MANY;
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
	    "has layout 0.1; this program reads layout 1 only" },
	{ offsetof(struct layout_header, major), 2, 7, true,
	    "has layout 7.1; this program reads layout 1 only" },
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
	{ offsetof(struct layout_header, history_at), 8, 0, true,
	    "damaged header" },
	{ offsetof(struct layout_header, history_at), 8, UINT64_MAX, true,
	    "damaged header" },
	{ offsetof(struct layout_header, history_size), 8, 64, true,
	    "damaged header" },
	{ offsetof(struct layout_header, minor), 2, 0, true, "damaged header" },
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

	scratch.size.hosts = scratch.size.sets = SCRATCH_MANY;
	scratch_leave_many(&scratch);
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

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	longer = calloc(1, size + 4096);
	ck_assert_ptr_nonnull(longer);
	memcpy(longer, bytes, size);
	header = (void *)longer;
	header->minor = LAYOUT_MINOR + 1;
	header->reserved_sections[0] = size;
	header->reserved_sections[1] = 4096;
	header->file_size += 4096;
	header->check = hash_bytes(hash_key_fixed, longer, LAYOUT_CHECK_AT);
	scratch_put(&scratch, longer, size + 4096);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	scratch_must_be_sane(table);
	health_table_close(&table);
	free(longer);
	free(bytes);
}
END_TEST

/*
 * A file of layout 1.0 with 64 hosts, sets and tickets, byte by byte: these
 * numbers are history and change no more, whatever policy/health_layout.h says.
 */
#define OLD_SIZE   96768
#define OLD_INDEX  128 /* cells of either index */
#define OLD_HOST   512 /* the first slot */
#define OLD_DETAIL (OLD_HOST + 344)
#define OLD_CELLS  90624
#define OLD_SET	   91136
#define OLD_SETS   95232 /* the index of the sets */
#define OLD_USED   0x64657355

static void
put32(unsigned char *bytes, size_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static void
put64(unsigned char *bytes, size_t at, uint64_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static void
put_check(unsigned char *bytes, size_t from, size_t at)
{
	put64(bytes, at, hash_bytes(hash_key_fixed, bytes + from, at - from));
}

static void
put_old_header(unsigned char *bytes)
{
	static const uint32_t counts[] = { 512, 0x01020304, 1408, 64, 16, 64,
		64, 64, OLD_INDEX, OLD_INDEX };
	static const uint64_t places[] = { OLD_SIZE, OLD_HOST, OLD_CELLS,
		OLD_SET, OLD_SETS, 95744 };

	memcpy(bytes, "nexthop\n", 8);
	bytes[8] = 1; /* 1.0; on a machine of the other kind the test fails */
	for (size_t i = 0; i < NELEM(counts); i++)
		put32(bytes, 12 + 4 * i, counts[i]);
	for (size_t i = 0; i < NELEM(places); i++)
		put64(bytes, 56 + 8 * i, places[i]);
	memcpy(bytes + 144, scratch.birth.boot_id, 16);
	put64(bytes, 160, 0x1111); /* the tickets' key */
	put64(bytes, 168, 0x2222);
	put_check(bytes, 0, 184);
	put32(bytes, 196, 6); /* generation */
	put32(bytes, 204, 1); /* hosts used */
	put32(bytes, 208, 1); /* sets used */
	put64(bytes, 216, SCRATCH_NOW_MS - 1);
}

/* What scratch_detail has of what 1.0 knew. */
static void
put_old_detail(unsigned char *bytes)
{
	const unsigned char small[] = { HEALTH_DEFERRED, 200, 8, 1, 1,
		OUTCOME_TEMPORARY, STAGE_GREETING, SOURCE_PROBE, 1 };

	put64(bytes, OLD_DETAIL, SCRATCH_NOW_MS - 5000);
	put64(bytes, OLD_DETAIL + 8, SCRATCH_NOW_MS + 15000);
	put64(bytes, OLD_DETAIL + 16, SCRATCH_NOW_MS);
	put32(bytes, OLD_DETAIL + 24, 3);
	put32(bytes, OLD_DETAIL + 28, 7);
	put32(bytes, OLD_DETAIL + 32, 20000);
	put32(bytes, OLD_DETAIL + 36, 777);
	put32(bytes, OLD_DETAIL + 40, 1234);
	put32(bytes, OLD_DETAIL + 44, 431);
	memcpy(bytes + OLD_DETAIL + 46, small, sizeof(small));
	strcpy((char *)bytes + OLD_DETAIL + 80, "431 Mail system full");
	put_check(bytes, OLD_DETAIL, OLD_DETAIL + 208);
}

static void
put_old_host(unsigned char *bytes)
{
	char text[HOST_TEXT_MAX];
	struct host host = scratch_host(5);
	size_t len = host_format(&host, text);
	uint64_t key = hash_bytes(hash_key_fixed, text, len);

	put32(bytes, OLD_HOST, OLD_USED);
	put64(bytes, OLD_HOST + 8, key);
	put64(bytes, OLD_HOST + 16,
	    (SCRATCH_NOW_MS + 15000) << 16 | 200u << 8 | 8u << 4 | 8 | 1);
	put64(bytes, OLD_HOST + 24, OVERRIDE_DRAIN);
	put64(bytes, OLD_HOST + 40, 99); /* picked */
	put32(bytes, OLD_HOST + 64, 2);
	put32(bytes, OLD_HOST + 68, 1);
	memcpy(bytes + OLD_HOST + 1136, text, len);
	put_old_detail(bytes);
	put32(bytes, OLD_CELLS + 4 * (hash_mix(key) % OLD_INDEX), 1);
}

static void
put_old_set(unsigned char *bytes)
{
	put32(bytes, OLD_SET, OLD_USED);
	put32(bytes, OLD_SET + 4, 1234567); /* its cursor */
	put64(bytes, OLD_SET + 8, 42);
	put32(bytes, OLD_SETS + 4 * (hash_mix(42) % OLD_INDEX), 1);
}

/* Returns: the bytes, more of them behind. Owns: the caller, free(). */
static unsigned char *
old_file(size_t more)
{
	unsigned char *bytes = calloc(1, OLD_SIZE + more);

	ck_assert_ptr_nonnull(bytes);
	put_old_header(bytes);
	put_old_host(bytes);
	put_old_set(bytes);
	return bytes;
}

static void
leave_old_file(void)
{
	unsigned char *bytes = old_file(0);

	scratch_put(&scratch, bytes, OLD_SIZE);
	free(bytes);
}

/* Is the host what scratch_detail has of what 1.0 knew? */
static void
must_know_old_host(const struct health_table *table)
{
	struct health_detail detail, some = scratch_detail();
	struct health nothing = { .state = HEALTH_UP };
	struct host host = scratch_host(5);

	ck_assert_uint_eq(health_table_find_host(table, &host), 0);
	health_table_read(table, 0, &detail);
	ck_assert_uint_eq(
	    detail.health.delivery_failures, nothing.delivery_failures);
	ck_assert(!detail.health.blind && !detail.health.overruled);
	ck_assert_uint_eq(detail.health.rose_by, SOURCE_NONE);
	detail.health.delivery_failures = some.health.delivery_failures;
	detail.health.delivery_successes = some.health.delivery_successes;
	detail.health.blind = detail.health.overruled = true;
	detail.health.flaps = some.health.flaps;
	detail.health.unheard = some.health.unheard;
	detail.health.stage = some.health.stage;
	detail.health.fell_by = some.health.fell_by;
	detail.health.rose_by = some.health.rose_by;
	scratch_is_detail(&detail);
}

static void
must_know_old_file(const struct health_table *table)
{
	struct health_table_header_info info;
	struct health_override_info override;

	must_know_old_host(table);
	health_table_get_override(table, 0, &override);
	ck_assert_int_eq(override.kind, OVERRIDE_DRAIN);
	ck_assert_uint_eq(health_table_counter(table, 0, COUNTER_PICKED), 99);
	ck_assert_uint_eq(health_table_find_set(table, 42), 0);
	ck_assert_uint_eq(health_table_cursor(table, 0), 1234567);
	health_table_header(table, &info);
	ck_assert_uint_eq(info.generation, 6);
}

START_TEST(the_worker_replaces_a_file_of_layout_1_0_and_keeps_all)
{
	struct health_table *table;
	struct hash_key key;
	uint32_t n;

	leave_old_file();
	table = scratch_open(&scratch, HEALTH_TABLE_GROWN);
	must_know_old_file(table);
	(void)health_table_tickets(table, &n, &key);
	ck_assert_uint_eq(key.k0, 0x1111);
	ck_assert_uint_eq(key.k1, 0x2222);
	scratch_has_changes(table, 0, 0, 0);
	scratch_note(table, 0, 0, 3);
	health_table_close(&table);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	must_know_old_file(table);
	scratch_has_changes(table, 0, 0, 3);
	health_table_close(&table);
}
END_TEST

START_TEST(after_a_reboot_it_is_replaced_as_any_other)
{
	struct health_table *table;
	struct health_view view;

	leave_old_file();
	scratch.birth.boot_id[0] ^= 1;
	table = scratch_open(&scratch, HEALTH_TABLE_REBOOTED);
	health_table_view(table, 0, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, HEALTH_UP);
	ck_assert_int_eq(view.override, OVERRIDE_DRAIN);
	health_table_close(&table);
}
END_TEST

START_TEST(a_tool_reads_it_as_it_is)
{
	struct health_table *tool;
	struct health_override_info info = { .kind = OVERRIDE_DISABLED };

	leave_old_file();
	if (health_table_attach(
		scratch.path, scratch.birth.boot_id, &tool, &scratch.why) == -1)
		ck_abort_msg("%s", scratch.why.text);
	must_know_old_file(tool);
	scratch_has_changes(tool, 0, 0, 0);
	scratch_note(tool, 0, 0, 3);
	scratch_has_changes(tool, 0, 0, 0);
	health_table_set_override(tool, 0, &info);
	health_table_get_override(tool, 0, &info);
	ck_assert_int_eq(info.kind, OVERRIDE_DISABLED);
	health_table_close(&tool);
}
END_TEST

START_TEST(damage_in_it_costs_what_is_damaged)
{
	unsigned char *bytes = old_file(0);
	struct health_table *table;
	struct host host = scratch_host(5);

	bytes[OLD_DETAIL + 60] ^= 1;
	scratch_put(&scratch, bytes, OLD_SIZE);
	table = scratch_open(&scratch, HEALTH_TABLE_REPAIRED);
	ck_assert_uint_eq(
	    health_table_find_host(table, &host), HEALTH_TABLE_NONE);
	ck_assert_uint_eq(health_table_find_set(table, 42), 0);
	health_table_close(&table);
	free(bytes);
}
END_TEST

START_TEST(it_ends_behind_its_tickets_and_has_no_history)
{
	unsigned char *bytes = old_file(4096);

	scratch.size.hosts = scratch.size.sets = SCRATCH_MANY;
	must_be_replaced(bytes, OLD_SIZE + 4096, "has 100864 bytes, but");
	put64(bytes, 56, OLD_SIZE + 4096);
	put_check(bytes, 0, 184);
	must_be_replaced(bytes, OLD_SIZE + 4096, "damaged header");
	put64(bytes, 104, OLD_SIZE);
	put64(bytes, 112, 4096);
	put_check(bytes, 0, 184);
	must_be_replaced(bytes, OLD_SIZE + 4096, "damaged header");
	free(bytes);
}
END_TEST

/* A program of 1.0 wants sizes and places before the history to be those that
   it would choose, a later minor version, and more bytes behind. */
START_TEST(a_program_of_1_0_finds_its_places_in_a_new_file)
{
	size_t size;
	unsigned char *ours, *old = old_file(0);

	scratch_leave_many(&scratch);
	ours = scratch_bytes(&scratch, &size);
	ck_assert_uint_gt(size, OLD_SIZE);
	ck_assert_uint_gt(ours[10], 0);
	ck_assert_int_eq(memcmp(ours, old, 10), 0);
	ck_assert_int_eq(memcmp(ours + 12, old + 12, 56 - 12), 0);
	ck_assert_int_eq(memcmp(ours + 64, old + 64, 104 - 64), 0);
	free(ours);
	free(old);
}
END_TEST

static Suite *
layouts_suite(void)
{
	Suite *suite = suite_create("health_table_layouts");
	TCase *headers_case = tcase_create("headers");
	TCase *old = tcase_create("1.0");

	tcase_add_checked_fixture(headers_case, set_up, tear_down);
	tcase_add_test(headers_case, what_is_no_table_is_replaced_in_words);
	tcase_add_loop_test(headers_case, a_header_that_lies_is_not_believed, 0,
	    (int)NELEM(headers));
	tcase_add_test(
	    headers_case, a_later_minor_layout_with_more_behind_is_read);
	suite_add_tcase(suite, headers_case);
	tcase_add_checked_fixture(old, set_up, tear_down);
	tcase_add_test(
	    old, the_worker_replaces_a_file_of_layout_1_0_and_keeps_all);
	tcase_add_test(old, after_a_reboot_it_is_replaced_as_any_other);
	tcase_add_test(old, a_tool_reads_it_as_it_is);
	tcase_add_test(old, damage_in_it_costs_what_is_damaged);
	tcase_add_test(old, it_ends_behind_its_tickets_and_has_no_history);
	tcase_add_test(old, a_program_of_1_0_finds_its_places_in_a_new_file);
	suite_add_tcase(suite, old);
	return suite;
}

int
main(void)
{
	return suite_run(layouts_suite());
}
