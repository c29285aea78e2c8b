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

#define DUE_MAX_MS SCRATCH_DUE_MAX_MS

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

static bool
is_mended(enum health_table_opened how)
{
	return how == HEALTH_TABLE_REPAIRED || how == HEALTH_TABLE_REBUILT;
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
	REQUIRE(how == HEALTH_TABLE_ATTACHED || is_mended(how),
	    "%s at %zu: opened as %d", what, at, (int)how);
	REQUIRE(is_mended(how) == (scratch.why.text[0] != '\0'),
	    "%s at %zu: %d says: %s", what, at, (int)how, scratch.why.text);
	scratch_must_be_sane(table);
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
	{ "history", offsetof(struct layout_header, history_at),
	    sizeof(struct layout_history) },
};

START_TEST(any_byte_may_be_damaged)
{
	size_t size, start = 0;
	unsigned char *bytes, was;
	uint64_t at;

	scratch_leave_many(&scratch);
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

	scratch_leave_many(&scratch);
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

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	hosts = (void *)(bytes + sizeof(struct layout_header));
	for (size_t i = 4; i < sizeof(hosts[0]); i++)
		((unsigned char *)&hosts[0])[i] =
		    (unsigned char)scratch_random(&state);
	scratch_put(&scratch, bytes, size);
	free(bytes);
	table = scratch_open(&scratch, HEALTH_TABLE_REPAIRED);
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

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	header = (void *)bytes;
	changes[_i].make(header, (void *)(header + 1), bytes);
	scratch_put(&scratch, bytes, size);
	free(bytes);
	table = scratch_open(&scratch, HEALTH_TABLE_REPAIRED);
	health_table_read(table, health_table_find_host(table, &host), &detail);
	scratch_is_detail(&detail);
	scratch_must_be_sane(table);
	health_table_close(&table);
}
END_TEST

START_TEST(a_detail_with_any_word_changed_is_noticed)
{
	size_t size;
	unsigned char *bytes;
	struct layout_host *host;
	struct health_table *table;

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	host = (void *)(bytes + sizeof(struct layout_header));
	host->detail[host->detail_turn / 2 % 2][_i] ^= 1;
	scratch_put(&scratch, bytes, size);
	free(bytes);
	table = scratch_open(&scratch, HEALTH_TABLE_REPAIRED);
	scratch_must_be_sane(table);
	health_table_close(&table);
}
END_TEST

/* Fields of a detail that no writer writes, under a check that holds. */
static const struct {
	size_t offset;
	unsigned char value;
} insane[] = {
	{ offsetof(struct layout_detail, state), HEALTH_TRIAL + 1 },
	{ offsetof(struct layout_detail, slow_step), 9 },
	{ offsetof(struct layout_detail, silent), 2 },
	{ offsetof(struct layout_detail, last_outcome), OUTCOME_COUNT },
	{ offsetof(struct layout_detail, last_stage), STAGE_COUNT },
	{ offsetof(struct layout_detail, last_source), SOURCE_COUNT },
	{ offsetof(struct layout_detail, last_silent), 2 },
	{ offsetof(struct layout_detail, usable), 2 },
	{ offsetof(struct layout_detail, blind), 2 },
	{ offsetof(struct layout_detail, overruled), 2 },
	{ offsetof(struct layout_detail, unheard), HEALTH_UNHEARD_MAX + 1 },
	{ offsetof(struct layout_detail, stage), STAGE_COUNT },
	{ offsetof(struct layout_detail, fell_by), SOURCE_COUNT },
	{ offsetof(struct layout_detail, rose_by), SOURCE_COUNT },
};

/* Leaves many hosts, the first one's detail with row i in it. */
static void
leave_insane(int i)
{
	size_t size;
	unsigned char *bytes, *detail;
	struct layout_host *host;
	uint64_t check;

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	host = (void *)(bytes + sizeof(struct layout_header));
	detail = (unsigned char *)host + offsetof(struct layout_host, detail) +
		 host->detail_turn / 2 % 2 * sizeof(struct layout_detail);
	detail[insane[i].offset] = insane[i].value;
	check = hash_bytes(
	    hash_key_fixed, detail, offsetof(struct layout_detail, check));
	memcpy(detail + offsetof(struct layout_detail, check), &check,
	    sizeof(check));
	scratch_put(&scratch, bytes, size);
	free(bytes);
}

START_TEST(a_detail_without_sense_is_noticed_whatever_its_check_says)
{
	struct health_table *table;

	leave_insane(_i);
	table = scratch_open(&scratch, HEALTH_TABLE_REPAIRED);
	scratch_must_be_sane(table);
	health_table_close(&table);
}
END_TEST

/* A tool drops nothing: it must not be led astray by what it reads. */
START_TEST(a_tool_reads_no_number_that_has_no_meaning)
{
	struct health_table *table;
	struct health_detail detail;

	leave_insane(_i);
	ck_assert_int_eq(health_table_attach(scratch.path,
			     scratch.birth.boot_id, &table, &scratch.why),
	    0);
	health_table_read(table, 0, &detail);
	ck_assert_uint_le(detail.health.state, HEALTH_TRIAL);
	ck_assert_uint_lt(detail.health.stage, STAGE_COUNT);
	ck_assert_uint_lt(detail.health.fell_by, SOURCE_COUNT);
	ck_assert_uint_lt(detail.health.rose_by, SOURCE_COUNT);
	ck_assert_uint_lt(detail.last.outcome, OUTCOME_COUNT);
	ck_assert_uint_lt(detail.last.stage, STAGE_COUNT);
	ck_assert_uint_lt(detail.last.source, SOURCE_COUNT);
	ck_assert_uint_eq(detail.health.failures, 3);
	health_table_close(&table);
}
END_TEST

START_TEST(when_a_detail_is_lost_a_tool_reads_what_the_health_word_says)
{
	size_t size;
	unsigned char *bytes;
	struct layout_host *host;
	struct health_table *table;
	struct health_detail detail, some = scratch_detail();
	struct health_view view;

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	host = (void *)(bytes + sizeof(struct layout_header));
	memset(host->detail, 0xa5, sizeof(host->detail));
	scratch_put(&scratch, bytes, size);
	free(bytes);
	ck_assert_int_eq(health_table_attach(scratch.path,
			     scratch.birth.boot_id, &table, &scratch.why),
	    0);
	health_table_read(table, 0, &detail);
	health_table_view(table, 0, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(detail.health.state, HEALTH_DEFERRED);
	ck_assert_uint_eq(detail.health.due_ms, view.due_ms);
	ck_assert_uint_eq(detail.health.recoveries, some.health.recoveries);
	ck_assert_uint_eq(detail.health.slow_step, some.health.slow_step);
	ck_assert(detail.health.silent && detail.usable);
	ck_assert_uint_eq(detail.health.failures, 0);
	ck_assert_str_eq(detail.last.text, "");
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
	    &scratch, _i == 0 ? HEALTH_TABLE_ATTACHED : HEALTH_TABLE_REPAIRED);
	ck_assert_uint_eq(health_table_find_host(table, &host),
	    _i == 0 ? 0 : HEALTH_TABLE_NONE);
	health_table_close(&table);
}
END_TEST

START_TEST(a_file_may_be_cut_anywhere)
{
	size_t size;
	unsigned char *bytes;

	scratch_leave_many(&scratch);
	bytes = scratch_bytes(&scratch, &size);
	for (size_t cut = 0; cut < size; cut += cut < 700 ? 1 : 997) {
		scratch_put(&scratch, bytes, cut);
		open_and_judge("cut", cut);
	}
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
	tcase_add_loop_test(bytes,
	    a_detail_without_sense_is_noticed_whatever_its_check_says, 0,
	    (int)NELEM(insane));
	tcase_add_loop_test(bytes, a_tool_reads_no_number_that_has_no_meaning,
	    0, (int)NELEM(insane));
	tcase_add_test(bytes,
	    when_a_detail_is_lost_a_tool_reads_what_the_health_word_says);
	tcase_add_loop_test(bytes, a_host_deferred_for_years_is_dropped, 0, 2);
	tcase_add_test(bytes, a_file_may_be_cut_anywhere);
	suite_add_tcase(suite, bytes);
	return suite;
}

int
main(void)
{
	return suite_run(damage_suite());
}
