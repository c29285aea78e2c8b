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

START_TEST(a_new_table_is_a_private_file_with_its_space_reserved)
{
	struct health_table_header_info info;
	struct stat status;

	ck_assert_int_eq(stat(scratch.path, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0640);
	ck_assert_uint_ge(
	    (uint64_t)status.st_blocks * 512, (uint64_t)status.st_size);
	health_table_header(table, &info);
	ck_assert_uint_eq(info.bytes, (uint64_t)status.st_size);
	ck_assert_uint_eq(info.hosts_max, 64);
	ck_assert_uint_eq(info.sets_max, 64);
	ck_assert_uint_eq(info.tickets_max, 64);
	ck_assert_uint_eq(info.hosts_used, 0);
	ck_assert_uint_eq(info.writer_pid, 4711);
	ck_assert_uint_eq(info.writer_start_ms, SCRATCH_NOW_MS);
	ck_assert_uint_eq(info.heartbeat_ms, SCRATCH_NOW_MS);
	ck_assert_int_eq(access(scratch.new_path, F_OK), -1);
	ck_assert_str_eq(scratch.why.text, "");
}
END_TEST

START_TEST(the_umask_does_not_change_the_mode)
{
	struct stat status;

	health_table_close(&table);
	ck_assert_int_eq(unlink(scratch.path), 0);
	(void)umask(_i == 0 ? 0 : 0777);
	table = scratch_open(&scratch, HEALTH_TABLE_CREATED);
	ck_assert_int_eq(stat(scratch.path, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0640);
}
END_TEST

START_TEST(half_as_many_hosts_and_sets_again_have_room)
{
	struct health_table_header_info info;

	health_table_close(&table);
	ck_assert_int_eq(unlink(scratch.path), 0);
	scratch.size = (struct health_table_size){ 1000, 500, 100 };
	table = scratch_open(&scratch, HEALTH_TABLE_CREATED);
	health_table_header(table, &info);
	ck_assert_uint_eq(info.hosts_max, 1500);
	ck_assert_uint_eq(info.sets_max, 750);
	ck_assert_uint_eq(info.tickets_max, 128);
}
END_TEST

START_TEST(more_than_a_table_can_hold_is_refused_in_words)
{
	health_table_close(&table);
	scratch.size.hosts = _i == 0 ? UINT32_MAX : LAYOUT_HOSTS_MAX + 1;
	scratch_open_fails(&scratch, "File too large");
	scratch.size.hosts = 1;
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
}
END_TEST

START_TEST(hosts_are_found_by_name_and_port)
{
	static const char *const texts[] = { "192.168.1.10", "192.168.1.10:26",
		"[2001:db8::1]:25", "mx.example.net", "mx.example.net:2525" };
	struct host host, back;

	for (uint32_t i = 0; i < NELEM(texts); i++) {
		ck_assert_int_eq(host_parse(texts[i], 0, &host, NULL), 0);
		ck_assert_uint_eq(
		    health_table_find_host(table, &host), HEALTH_TABLE_NONE);
		ck_assert_uint_eq(health_table_add_host(table, &host), i);
		ck_assert_uint_eq(health_table_add_host(table, &host), i);
	}
	for (uint32_t i = 0; i < NELEM(texts); i++) {
		ck_assert_int_eq(host_parse(texts[i], 0, &host, NULL), 0);
		ck_assert_uint_eq(health_table_find_host(table, &host), i);
		ck_assert_int_eq(health_table_host(table, i, &back), 0);
		ck_assert(host_equal(&host, &back));
	}
	ck_assert_int_eq(health_table_host(table, 5, &back), -1);
	ck_assert_int_eq(health_table_host(table, 64, &back), -1);
	ck_assert_int_eq(
	    health_table_host(table, HEALTH_TABLE_NONE, &back), -1);
}
END_TEST

START_TEST(a_full_table_has_no_room_and_says_so)
{
	struct health_table_header_info info;

	ck_assert(health_table_has_room(table, 64, 64));
	ck_assert(!health_table_has_room(table, 65, 0));
	ck_assert(!health_table_has_room(table, 0, UINT32_MAX));
	for (uint32_t i = 0; i < 64; i++) {
		ck_assert_uint_eq(scratch_add(table, i), i);
		ck_assert_uint_eq(health_table_add_set(table, i), i);
	}
	ck_assert_uint_eq(scratch_add(table, 64), HEALTH_TABLE_NONE);
	ck_assert_uint_eq(health_table_add_set(table, 64), HEALTH_TABLE_NONE);
	ck_assert_uint_eq(scratch_add(table, 7), 7);
	ck_assert(health_table_has_room(table, 0, 0));
	ck_assert(!health_table_has_room(table, 1, 0));
	ck_assert(!health_table_has_room(table, 0, 1));
	health_table_header(table, &info);
	ck_assert_uint_eq(info.hosts_used, 64);
	ck_assert_uint_eq(info.sets_used, 64);
}
END_TEST

START_TEST(a_new_host_is_up_and_usable)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_override_info info;
	struct health_detail detail;
	struct health_view view;

	health_table_view(table, slot, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, HEALTH_UP);
	ck_assert_int_eq(view.override, OVERRIDE_NONE);
	ck_assert(view.usable && !view.silent);
	ck_assert_uint_eq(view.due_ms, 0);
	health_table_read(table, slot, &detail);
	ck_assert_int_eq(detail.health.state, HEALTH_UP);
	ck_assert_uint_eq(detail.health.since_ms, SCRATCH_NOW_MS);
	ck_assert_str_eq(detail.last.text, "");
	health_table_get_override(table, slot, &info);
	ck_assert_int_eq(info.kind, OVERRIDE_NONE);
	ck_assert_str_eq(info.reason, "");
	for (int i = 0; i < COUNTER_COUNT; i++)
		ck_assert_uint_eq(
		    health_table_counter(table, slot, (enum health_counter)i),
		    0);
}
END_TEST

static const struct health_detail views[] = {
	{ .health = { .state = HEALTH_UP }, .usable = true },
	{ .health = { .state = HEALTH_UP }, .usable = false },
	{ .health = { .state = HEALTH_UP, .slow_step = 8 }, .usable = true },
	{ .health = { .state = HEALTH_UP, .recoveries = 255 }, .usable = true },
	{ .health = { .state = HEALTH_TRIAL, .due_ms = 1 }, .usable = true },
	{ .health = { .state = HEALTH_DEFERRED,
	      .due_ms = LAYOUT_TIME_MAX,
	      .silent = true,
	      .slow_step = 1,
	      .recoveries = 1 } },
};

START_TEST(what_is_written_is_viewed)
{
	const struct health_detail *written = &views[_i];
	uint32_t slot = scratch_add(table, 1);
	struct health_view view;

	scratch_add(table, 2);
	health_table_write(table, slot, written);
	health_table_view(table, slot, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, written->health.state);
	ck_assert_int_eq(view.usable, written->usable);
	ck_assert_int_eq(view.silent, written->health.silent);
	ck_assert_uint_eq(view.slow_step, written->health.slow_step);
	ck_assert_uint_eq(view.recoveries, written->health.recoveries);
	ck_assert_uint_eq(view.due_ms, written->health.due_ms);
	health_table_view(table, 1, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.state, HEALTH_UP);
}
END_TEST

START_TEST(what_is_written_is_read_also_after_many_writes)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_detail detail = scratch_detail();

	for (int i = 0; i < 5; i++) {
		detail.health.failures = (uint32_t)i;
		health_table_write(table, slot, &detail);
		health_table_read(table, slot, &detail);
		ck_assert_uint_eq(detail.health.failures, (uint32_t)i);
	}
	detail.health.failures = 3;
	health_table_write(table, slot, &detail);
	health_table_read(table, slot, &detail);
	scratch_is_detail(&detail);
}
END_TEST

START_TEST(text_of_strangers_is_kept_printable)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_detail detail = scratch_detail();
	struct health_override_info info = { .kind = OVERRIDE_DRAIN };

	memset(detail.last.text, 'x', sizeof(detail.last.text));
	memcpy(detail.last.text, "a\x01\x7f\xff\n", 5);
	health_table_write(table, slot, &detail);
	health_table_read(table, slot, &detail);
	ck_assert_uint_eq(strlen(detail.last.text), OUTCOME_TEXT_MAX - 1);
	ck_assert_int_eq(strncmp(detail.last.text, "a????xxx", 8), 0);
	memset(info.reason, 'y', sizeof(info.reason));
	info.reason[1] = '\t';
	health_table_set_override(table, slot, &info);
	health_table_get_override(table, slot, &info);
	ck_assert_uint_eq(strlen(info.reason), HEALTH_TABLE_REASON_MAX - 1);
	ck_assert_int_eq(strncmp(info.reason, "y?yy", 4), 0);
}
END_TEST

START_TEST(an_override_holds_until_its_end)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_override_info info = { .kind = (enum health_override)_i,
		.until_ms = SCRATCH_NOW_MS + 100,
		.since_ms = SCRATCH_NOW_MS,
		.reason = "new disks" };
	struct health_view view;

	health_table_set_override(table, slot, &info);
	health_table_view(table, slot, SCRATCH_NOW_MS + 99, &view);
	ck_assert_int_eq(view.override, _i);
	health_table_view(table, slot, SCRATCH_NOW_MS + 100, &view);
	ck_assert_int_eq(view.override, OVERRIDE_NONE);
	info.until_ms = 0;
	health_table_set_override(table, slot, &info);
	health_table_view(table, slot, UINT64_MAX, &view);
	ck_assert_int_eq(view.override, _i);
	ck_assert_int_eq(view.state, HEALTH_UP);
}
END_TEST

START_TEST(the_last_override_of_many_wins)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_override_info info, back;

	for (unsigned i = 1; i < 20000; i++) {
		memset(&info, 0, sizeof(info));
		info.kind = (enum health_override)(i % 4);
		info.since_ms = i;
		info.until_ms = i % 3 == 0 ? 0 : SCRATCH_NOW_MS + i;
		snprintf(info.reason, sizeof(info.reason), "reason %u", i);
		health_table_set_override(table, slot, &info);
		health_table_get_override(table, slot, &back);
		REQUIRE(back.kind == info.kind && back.since_ms == i &&
			    back.until_ms == info.until_ms &&
			    strcmp(back.reason, info.reason) == 0,
		    "override %u: %d %s", i, (int)back.kind, back.reason);
	}
}
END_TEST

/* The slot's bytes, to play a writer that was killed. */
static struct layout_host *
bytes_of(void)
{
	return (void *)(scratch_mapping(table) + sizeof(struct layout_header));
}

START_TEST(a_killed_override_writer_leaves_the_old_override)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_override_info info = {
		.kind = OVERRIDE_DRAIN, .since_ms = 7, .reason = "first"
	};
	struct layout_host *host = &bytes_of()[slot];

	health_table_set_override(table, slot, &info);
	/* Another took a turn and wrote half of its text, or all of it, and
	   died before it stored the word; _i / 2 times. */
	for (int i = 0; i < _i / 2; i++) {
		uint32_t turn = host->override_turn++;

		host->reasons[turn % LAYOUT_TURNS].text[0] = 0x2121212121212121;
		if (_i % 2 == 0)
			host->reasons[turn % LAYOUT_TURNS].seal = 0;
	}
	health_table_get_override(table, slot, &info);
	ck_assert_int_eq(info.kind, OVERRIDE_DRAIN);
	if (_i / 2 < LAYOUT_TURNS)
		ck_assert_str_eq(info.reason, "first");
	else
		ck_assert_str_eq(info.reason, "");
	info.kind = OVERRIDE_DISABLED;
	strcpy(info.reason, "second");
	health_table_set_override(table, slot, &info);
	health_table_get_override(table, slot, &info);
	ck_assert_int_eq(info.kind, OVERRIDE_DISABLED);
	ck_assert_str_eq(info.reason, "second");
}
END_TEST

START_TEST(counters_count)
{
	uint32_t slot = scratch_add(table, 1);

	for (int i = 0; i < 5; i++)
		health_table_count(table, slot, COUNTER_PICKED);
	health_table_count(table, slot, COUNTER_OBSERVED_FAILED);
	ck_assert_uint_eq(health_table_counter(table, slot, COUNTER_PICKED), 5);
	ck_assert_uint_eq(
	    health_table_counter(table, slot, COUNTER_OBSERVED_OK), 0);
	ck_assert_uint_eq(
	    health_table_counter(table, slot, COUNTER_OBSERVED_FAILED), 1);
}
END_TEST

START_TEST(tickets_are_drawn_in_turn_from_a_start_of_the_sets_own)
{
	uint64_t key = 0xabcdef;
	uint32_t set = health_table_add_set(table, key);
	uint32_t other = health_table_add_set(table, 0), first;

	ck_assert_uint_eq(health_table_find_set(table, key), set);
	ck_assert_uint_eq(health_table_find_set(table, 0), other);
	ck_assert_uint_eq(health_table_find_set(table, 1), HEALTH_TABLE_NONE);
	first = health_table_cursor(table, set);
	ck_assert_uint_eq(first, hash_mix(key) & 0xffff);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(health_table_draw(table, set, 1), first + i);
	ck_assert_uint_eq(health_table_cursor(table, set), first + 1000);
	ck_assert_uint_eq(
	    health_table_cursor(table, other), hash_mix(0) & 0xffff);
}
END_TEST

static const struct {
	uint64_t drawn_ms, asked_ms;
	bool found;
} lasts[] = {
	{ 5000, 5000, true },
	{ 5000, 5999, true },
	{ 5000, 6000, false },
	{ 5000, 4999, true }, /* a draw a moment ahead of the asker's clock */
	{ 5000, 5000 + UINT32_MAX / 2, false },
	{ 4294967295, 4294967296, true }, /* across the wrap of 32 bits */
	{ 4294967295, 4294969000, false },
	{ 0, 0, true },
};

START_TEST(the_last_ticket_stands_in_for_less_than_a_second)
{
	/* Key 0: its first ticket is 0. */
	uint32_t set = health_table_add_set(table, 0), drawn, ticket = 12345;

	ck_assert(!health_table_last_drawn(
	    table, set, lasts[_i].asked_ms, 1000, &ticket));
	ck_assert_uint_eq(ticket, 12345);
	drawn = health_table_draw(table, set, lasts[_i].drawn_ms);
	ck_assert_int_eq(health_table_last_drawn(
			     table, set, lasts[_i].asked_ms, 1000, &ticket),
	    lasts[_i].found);
	if (lasts[_i].found)
		ck_assert_uint_eq(ticket, drawn);
}
END_TEST

START_TEST(a_tool_sees_what_the_worker_writes_and_the_other_way_round)
{
	uint32_t slot = scratch_add(table, 1);
	struct health_detail detail = scratch_detail();
	struct health_override_info info = { .kind = OVERRIDE_DISABLED };
	struct health_table *tool;
	struct health_view view;
	struct host host = scratch_host(1);

	if (health_table_attach(
		scratch.path, scratch.birth.boot_id, &tool, &scratch.why) == -1)
		ck_abort_msg("%s", scratch.why.text);
	health_table_write(table, slot, &detail);
	ck_assert_uint_eq(health_table_find_host(tool, &host), slot);
	health_table_read(tool, slot, &detail);
	scratch_is_detail(&detail);
	health_table_set_override(tool, slot, &info);
	health_table_view(table, slot, SCRATCH_NOW_MS, &view);
	ck_assert_int_eq(view.override, OVERRIDE_DISABLED);
	health_table_set_generation(table, 9);
	health_table_heartbeat(table, 77);
	struct health_table_header_info seen;
	health_table_header(tool, &seen);
	ck_assert_uint_eq(seen.generation, 9);
	ck_assert_uint_eq(seen.heartbeat_ms, 77);
	health_table_close(&tool);
	ck_assert_ptr_null(tool);
	health_table_close(&tool);
}
END_TEST

static Suite *
health_table_suite(void)
{
	Suite *suite = suite_create("health_table");
	TCase *all = tcase_create("table");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_set_timeout(all, 60);
	tcase_add_test(
	    all, a_new_table_is_a_private_file_with_its_space_reserved);
	tcase_add_loop_test(all, the_umask_does_not_change_the_mode, 0, 2);
	tcase_add_test(all, half_as_many_hosts_and_sets_again_have_room);
	tcase_add_loop_test(
	    all, more_than_a_table_can_hold_is_refused_in_words, 0, 2);
	tcase_add_test(all, hosts_are_found_by_name_and_port);
	tcase_add_test(all, a_full_table_has_no_room_and_says_so);
	tcase_add_test(all, a_new_host_is_up_and_usable);
	tcase_add_loop_test(
	    all, what_is_written_is_viewed, 0, (int)NELEM(views));
	tcase_add_test(all, what_is_written_is_read_also_after_many_writes);
	tcase_add_test(all, text_of_strangers_is_kept_printable);
	tcase_add_loop_test(all, an_override_holds_until_its_end, 0, 4);
	tcase_add_test(all, the_last_override_of_many_wins);
	tcase_add_loop_test(
	    all, a_killed_override_writer_leaves_the_old_override, 0, 12);
	tcase_add_test(all, counters_count);
	tcase_add_test(
	    all, tickets_are_drawn_in_turn_from_a_start_of_the_sets_own);
	tcase_add_loop_test(all,
	    the_last_ticket_stands_in_for_less_than_a_second, 0,
	    (int)NELEM(lasts));
	tcase_add_test(
	    all, a_tool_sees_what_the_worker_writes_and_the_other_way_round);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(health_table_suite());
}
