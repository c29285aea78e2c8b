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

static struct scratch scratch;
static struct health_table *table;

static void
set_up(void)
{
	scratch_make(&scratch);
	table = scratch_open(&scratch, HEALTH_TABLE_CREATED);
}

static void
tear_down(void)
{
	health_table_close(&table);
	scratch_remove(&scratch);
}

static void
reopen(enum health_table_opened expected)
{
	health_table_close(&table);
	table = scratch_open(&scratch, expected);
}

/* The bytes, to play a writer that was killed. */
struct bytes {
	struct layout_header *header;
	struct layout_host *hosts;
	struct layout_set *sets;
	uint32_t *host_index, *set_index;
	struct layout_history *history;
};

static struct bytes
bytes_of(void)
{
	unsigned char *base = scratch_mapping(table);
	struct bytes bytes;

	bytes.header = (void *)base;
	bytes.hosts = (void *)(base + bytes.header->hosts_at);
	bytes.sets = (void *)(base + bytes.header->sets_at);
	bytes.host_index = (void *)(base + bytes.header->host_index_at);
	bytes.set_index = (void *)(base + bytes.header->set_index_at);
	bytes.history = (void *)(base + bytes.header->history_at);
	return bytes;
}

/* Two hosts with all that can be kept, two sets. */
static void
fill(void)
{
	struct health_detail detail = scratch_detail();
	struct health_override_info info = {
		.kind = OVERRIDE_DRAIN, .since_ms = 5, .reason = "for good"
	};

	ck_assert_uint_eq(scratch_add(table, 0), 0);
	ck_assert_uint_eq(scratch_add(table, 1), 1);
	health_table_write(table, 0, &detail);
	health_table_set_override(table, 0, &info);
	info.until_ms = SCRATCH_NOW_MS + 1000;
	health_table_set_override(table, 1, &info);
	health_table_count(table, 0, COUNTER_PICKED);
	scratch_note(table, 0, 0, 20);
	scratch_note(table, 1, 90, 93);
	ck_assert_uint_eq(health_table_add_set(table, 1), 0);
	ck_assert_uint_eq(health_table_add_set(table, 2), 1);
	for (int i = 0; i < 70000; i++)
		(void)health_table_draw(table, 1, SCRATCH_NOW_MS);
	health_table_set_generation(table, 6);
}

static void
must_be_filled(bool times)
{
	struct health_detail detail;
	struct health_override_info info;
	struct health_table_header_info header;
	uint32_t ticket;

	ck_assert_uint_eq(scratch_add(table, 0), 0);
	ck_assert_uint_eq(scratch_add(table, 1), 1);
	health_table_read(table, 0, &detail);
	if (times)
		scratch_is_detail(&detail);
	else
		ck_assert_int_eq(detail.health.state, HEALTH_UP);
	health_table_get_override(table, 0, &info);
	ck_assert_int_eq(info.kind, OVERRIDE_DRAIN);
	ck_assert_str_eq(info.reason, "for good");
	ck_assert_uint_eq(info.since_ms, times ? 5 : 0);
	health_table_get_override(table, 1, &info);
	ck_assert_int_eq(info.kind, times ? OVERRIDE_DRAIN : OVERRIDE_NONE);
	ck_assert_uint_eq(info.until_ms, times ? SCRATCH_NOW_MS + 1000 : 0);
	ck_assert_uint_eq(health_table_counter(table, 0, COUNTER_PICKED), 1);
	scratch_has_changes(table, 0, times ? 4 : 20, 20);
	scratch_has_changes(table, 1, times ? 90 : 93, 93);
	ck_assert_uint_eq(health_table_find_set(table, 2), 1);
	ck_assert_uint_eq(
	    health_table_cursor(table, 1), (hash_mix(2) & 0xffff) + 70000);
	ck_assert_int_eq(
	    health_table_last_drawn(table, 1, SCRATCH_NOW_MS, 1000, &ticket),
	    times);
	health_table_header(table, &header);
	ck_assert_uint_eq(header.generation, 6);
}

START_TEST(attaching_again_keeps_everything)
{
	struct health_table_header_info info;

	fill();
	scratch.birth.pid = 4712;
	scratch.birth.now_ms += 10;
	scratch.birth.ticket_key.k0 = 1;
	reopen(HEALTH_TABLE_ATTACHED);
	must_be_filled(true);
	health_table_header(table, &info);
	ck_assert_uint_eq(info.writer_pid, 4712);
	ck_assert_uint_eq(info.writer_start_ms, SCRATCH_NOW_MS + 10);
}
END_TEST

static const struct health_table_size sizes[] = {
	{ 65, 5, 64 },
	{ 10, 65, 64 },
	{ 10, 5, 65 },
	{ 5000, 5000, 4096 },
};

START_TEST(growing_keeps_everything_and_tells_the_old_handles)
{
	struct health_table *old;
	struct health_table_header_info info;

	fill();
	if (health_table_attach(
		scratch.path, scratch.birth.boot_id, &old, &scratch.why) == -1)
		ck_abort_msg("%s", scratch.why.text);
	ck_assert(!health_table_superseded(old));
	scratch.size = sizes[_i];
	reopen(HEALTH_TABLE_GROWN);
	ck_assert(health_table_superseded(old));
	ck_assert(!health_table_superseded(table));
	must_be_filled(true);
	health_table_header(table, &info);
	ck_assert_uint_ge(info.hosts_max, scratch.size.hosts);
	ck_assert_uint_ge(info.sets_max, scratch.size.sets);
	ck_assert_uint_ge(info.tickets_max, scratch.size.tickets);
	health_table_close(&old);
	reopen(HEALTH_TABLE_ATTACHED);
	must_be_filled(true);
}
END_TEST

/* The word of a claim, whatever it holds: it is no less true in the new file
   and means nothing after a reboot. */
START_TEST(a_claim_goes_along_when_a_table_grows)
{
	const uint64_t claim = (SCRATCH_NOW_MS + 30000) << 16 | 0x1234;
	size_t at = offsetof(struct layout_host, counters) - sizeof(claim);
	uint64_t word;

	fill();
	memcpy((char *)bytes_of().hosts + at, &claim, sizeof(claim));
	scratch.size.hosts = 200;
	reopen(HEALTH_TABLE_GROWN);
	memcpy(&word, (char *)bytes_of().hosts + at, sizeof(word));
	ck_assert_uint_eq(word, claim);
	scratch.birth.boot_id[0] ^= 1;
	reopen(HEALTH_TABLE_REBOOTED);
	memcpy(&word, (char *)bytes_of().hosts + at, sizeof(word));
	ck_assert_uint_eq(word, 0);
}
END_TEST

START_TEST(growing_for_one_thing_keeps_the_room_that_others_use)
{
	scratch.size.hosts = 90;
	reopen(HEALTH_TABLE_GROWN);
	for (uint32_t n = 0; n < 90; n++)
		ck_assert_uint_eq(scratch_add(table, n), n);
	scratch.size.hosts = 1;
	scratch.size.sets = 500;
	reopen(HEALTH_TABLE_GROWN);
	for (uint32_t n = 0; n < 90; n++)
		ck_assert_uint_eq(scratch_add(table, n), n);
}
END_TEST

START_TEST(less_wanted_than_there_is_changes_nothing)
{
	fill();
	scratch.size = (struct health_table_size){ 1, 1, 1 };
	reopen(HEALTH_TABLE_ATTACHED);
	must_be_filled(true);
}
END_TEST

START_TEST(many_hosts_and_sets_survive_several_growths)
{
	for (uint32_t n = 0; n < 3000; n++) {
		if (!health_table_has_room(table, 1, 1)) {
			scratch.size.hosts = n + 1;
			scratch.size.sets = n + 1;
			reopen(HEALTH_TABLE_GROWN);
		}
		REQUIRE(scratch_add(table, n) == n, "host %u", n);
		REQUIRE(
		    health_table_add_set(table, hash_mix(n)) == n, "set %u", n);
	}
	for (uint32_t n = 0; n < 3000; n++) {
		struct host host = scratch_host(n);

		REQUIRE(
		    health_table_find_host(table, &host) == n, "host %u", n);
		REQUIRE(health_table_find_set(table, hash_mix(n)) == n,
		    "set %u", n);
	}
}
END_TEST

START_TEST(after_a_reboot_times_are_void_and_the_rest_is_kept)
{
	fill();
	scratch.birth.boot_id[15] ^= 1;
	scratch.birth.now_ms = 100;
	reopen(HEALTH_TABLE_REBOOTED);
	must_be_filled(false);
	reopen(HEALTH_TABLE_ATTACHED);
	must_be_filled(false);
}
END_TEST

static void
forget(uint32_t *index, uint32_t n, uint32_t slot)
{
	for (uint32_t i = 0; i < n; i++) {
		if (index[i] == slot + 1)
			index[i] = 0;
	}
}

/* Added, but the writer was killed before it was counted, or indexed. */
START_TEST(a_half_added_host_or_set_is_completed)
{
	struct bytes bytes;
	struct host host = scratch_host(1);

	fill();
	bytes = bytes_of();
	if (_i % 2 == 0) {
		bytes.header->hosts_used = 1;
		bytes.header->sets_used = 1;
	}
	forget(bytes.host_index, bytes.header->host_index_max, 1);
	forget(bytes.set_index, bytes.header->set_index_max, 1);
	ck_assert_uint_eq(
	    health_table_find_host(table, &host), HEALTH_TABLE_NONE);
	reopen(HEALTH_TABLE_ATTACHED);
	ck_assert_uint_eq(health_table_find_host(table, &host), 1);
	must_be_filled(true);
	ck_assert_uint_eq(scratch_add(table, 2), 2);
	ck_assert_uint_eq(health_table_add_set(table, 3), 2);
}
END_TEST

START_TEST(a_host_that_was_filled_but_not_marked_used_is_not_there)
{
	struct bytes bytes;

	fill();
	bytes = bytes_of();
	memset(&bytes.hosts[2], 0xa5, sizeof(bytes.hosts[2]));
	bytes.hosts[2].used = 0;
	/* With the history of another host, which validates. */
	bytes.history[2] = bytes.history[0];
	reopen(HEALTH_TABLE_ATTACHED);
	must_be_filled(true);
	ck_assert_uint_eq(scratch_add(table, 2), 2);
	scratch_has_changes(table, 2, 0, 0);
	for (size_t i = 0; i < LAYOUT_HISTORY; i++)
		ck_assert_uint_eq(
		    bytes_of().history[2].changes[i][LAYOUT_CHANGE_WORDS - 1],
		    0);
	reopen(HEALTH_TABLE_ATTACHED);
	ck_assert_uint_eq(scratch_add(table, 2), 2);
	scratch_has_changes(table, 2, 0, 0);
}
END_TEST

START_TEST(a_half_written_detail_leaves_the_one_before_it)
{
	struct health_detail detail;
	struct layout_host *host;

	fill();
	host = bytes_of().hosts;
	for (size_t i = 0; i < (size_t)_i; i++)
		host->detail[(host->detail_turn / 2 + 1) % 2][i] = ~0ull;
	host->detail_turn++;
	health_table_read(table, 0, &detail);
	scratch_is_detail(&detail);
	reopen(HEALTH_TABLE_ATTACHED);
	must_be_filled(true);
	for (uint32_t i = 0; i < 3; i++) {
		detail.health.failures = i;
		health_table_write(table, 0, &detail);
		health_table_read(table, 0, &detail);
		ck_assert_uint_eq(detail.health.failures, i);
		ck_assert_uint_eq(bytes_of().hosts->detail_turn % 2, 0);
	}
}
END_TEST

START_TEST(a_view_of_words_without_meaning_is_up_without_override)
{
	struct health_view view;
	struct health_override_info info;

	fill();
	bytes_of().hosts[0].health = ~0ull;
	bytes_of().hosts[0].override_word = ~0ull;
	health_table_view(table, 0, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, HEALTH_UP);
	ck_assert_int_eq(view.override, OVERRIDE_NONE);
	health_table_get_override(table, 0, &info);
	ck_assert_int_eq(info.kind, OVERRIDE_NONE);
	ck_assert_str_eq(info.reason, "");
}
END_TEST

START_TEST(a_health_word_that_was_not_written_any_more_follows_the_detail)
{
	struct health_view view;

	fill();
	bytes_of().hosts[0].health = 0;
	health_table_view(table, 0, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, HEALTH_UP);
	reopen(HEALTH_TABLE_ATTACHED);
	health_table_view(table, 0, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, HEALTH_DEFERRED);
	ck_assert_uint_eq(view.due_ms, SCRATCH_NOW_MS + 15000);
}
END_TEST

START_TEST(a_mark_left_by_a_killed_replacement_is_taken_back)
{
	fill();
	bytes_of().header->superseded = 1;
	ck_assert(health_table_superseded(table));
	reopen(HEALTH_TABLE_ATTACHED);
	ck_assert(!health_table_superseded(table));
	must_be_filled(true);
}
END_TEST

static Suite *
lives_suite(void)
{
	Suite *suite = suite_create("health_table_lives");
	TCase *all = tcase_create("lives");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_set_timeout(all, 60);
	tcase_add_test(all, attaching_again_keeps_everything);
	tcase_add_loop_test(all,
	    growing_keeps_everything_and_tells_the_old_handles, 0,
	    (int)NELEM(sizes));
	tcase_add_test(all, a_claim_goes_along_when_a_table_grows);
	tcase_add_test(
	    all, growing_for_one_thing_keeps_the_room_that_others_use);
	tcase_add_test(all, less_wanted_than_there_is_changes_nothing);
	tcase_add_test(all, many_hosts_and_sets_survive_several_growths);
	tcase_add_test(all, after_a_reboot_times_are_void_and_the_rest_is_kept);
	tcase_add_loop_test(all, a_half_added_host_or_set_is_completed, 0, 2);
	tcase_add_test(
	    all, a_host_that_was_filled_but_not_marked_used_is_not_there);
	tcase_add_loop_test(all, a_half_written_detail_leaves_the_one_before_it,
	    0, (int)LAYOUT_DETAIL_WORDS + 1);
	tcase_add_test(all,
	    a_health_word_that_was_not_written_any_more_follows_the_detail);
	tcase_add_test(all, a_mark_left_by_a_killed_replacement_is_taken_back);
	tcase_add_test(
	    all, a_view_of_words_without_meaning_is_up_without_override);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(lives_suite());
}
