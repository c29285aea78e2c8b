/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process; readers beside a writer in the last test. */
#include "policy/health_table.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "policy/health_layout.h"
#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define NOTES	100000 /* by the writer of the race */
#define READERS 2
#define READS	30000 /* by each */

static struct scratch scratch;
static struct health_table *table;

static void
set_up(void)
{
	scratch_make(&scratch);
	table = scratch_open(&scratch, HEALTH_TABLE_CREATED);
	ck_assert_uint_eq(scratch_add(table, 0), 0);
	ck_assert_uint_eq(scratch_add(table, 1), 1);
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

static struct layout_history *
bytes_of(uint32_t slot)
{
	unsigned char *base = scratch_mapping(table);
	struct layout_header *header = (void *)base;

	return (struct layout_history *)(void *)(base + header->history_at) +
	       slot;
}

START_TEST(a_new_host_has_no_history)
{
	scratch_has_changes(table, 0, 0, 0);
}
END_TEST

START_TEST(the_newest_changes_are_listed_newest_first)
{
	for (uint32_t n = 1; n <= 50; n++) {
		scratch_note(table, 0, n - 1, n);
		scratch_has_changes(table, 0,
		    n > HEALTH_HISTORY_MAX ? n - HEALTH_HISTORY_MAX : 0, n);
		scratch_has_changes(table, 1, 0, 0);
	}
	scratch_note(table, 1, 7, 8);
	scratch_has_changes(table, 0, 34, 50);
	scratch_has_changes(table, 1, 7, 8);
}
END_TEST

START_TEST(numbers_of_changes_may_wrap)
{
	bytes_of(0)->next_turn = UINT32_MAX - 4;
	scratch_note(table, 0, 0, 20);
	scratch_has_changes(table, 0, 4, 20);
}
END_TEST

START_TEST(words_of_strangers_are_kept_printable)
{
	struct health_history change = scratch_change(1), list[16];

	memset(change.text, 'x', sizeof(change.text));
	memcpy(change.text, "a\x01\x7f\xff\n", 5);
	change.at_ms = UINT64_MAX;
	health_table_note(table, 0, &change);
	ck_assert_uint_eq(health_table_history(table, 0, list), 1);
	ck_assert_uint_eq(strlen(list[0].text), OUTCOME_TEXT_MAX - 1);
	ck_assert_int_eq(strncmp(list[0].text, "a????xxx", 8), 0);
	ck_assert_uint_eq(list[0].at_ms, LAYOUT_TIME_MAX);
	/* In the file too, whoever reads it. */
	ck_assert_int_eq(strncmp((char *)bytes_of(0) +
				     offsetof(struct layout_history, changes) +
				     offsetof(struct layout_change, text),
			     "a????xxx", 8),
	    0);
}
END_TEST

START_TEST(a_tool_sees_what_the_worker_notes)
{
	struct health_table *tool;

	if (health_table_attach(
		scratch.path, scratch.birth.boot_id, &tool, &scratch.why) == -1)
		ck_abort_msg("%s", scratch.why.text);
	scratch_note(table, 1, 0, 5);
	scratch_has_changes(tool, 1, 0, 5);
	health_table_close(&tool);
}
END_TEST

START_TEST(a_history_goes_on_in_the_next_life)
{
	scratch_note(table, 0, 0, 20);
	reopen(HEALTH_TABLE_ATTACHED);
	scratch_has_changes(table, 0, 4, 20);
	scratch_note(table, 0, 20, 23);
	scratch_has_changes(table, 0, 7, 23);
	scratch.size.hosts = 500;
	reopen(HEALTH_TABLE_GROWN);
	scratch_has_changes(table, 0, 7, 23);
	scratch_note(table, 0, 23, 24);
	scratch_has_changes(table, 0, 8, 24);
	scratch.birth.boot_id[0] ^= 1;
	reopen(HEALTH_TABLE_REBOOTED);
	scratch_has_changes(table, 0, 0, 0);
}
END_TEST

/* The writer was killed when _i words of the next change were written. */
START_TEST(a_half_written_change_costs_the_oldest_at_most)
{
	struct layout_history *history = bytes_of(0);

	scratch_note(table, 0, 0, 20);
	for (size_t i = 0; i < (size_t)_i; i++)
		history->changes[20 % LAYOUT_HISTORY][i] = 0x2121212121212121;
	scratch_has_changes(table, 0, _i == 0 ? 4 : 5, 20);
	reopen(HEALTH_TABLE_ATTACHED);
	scratch_has_changes(table, 0, _i == 0 ? 4 : 5, 20);
	scratch_note(table, 0, 20, 21);
	scratch_has_changes(table, 0, 5, 21);
}
END_TEST

START_TEST(a_change_that_was_written_but_not_counted_is_not_there)
{
	scratch_note(table, 0, 0, 20);
	bytes_of(0)->next_turn--;
	scratch_has_changes(table, 0, 4, 19);
	scratch_note(table, 0, 19, 21);
	scratch_has_changes(table, 0, 5, 21);
}
END_TEST

START_TEST(a_change_with_any_word_damaged_is_left_out)
{
	struct health_history list[HEALTH_HISTORY_MAX];

	scratch_note(table, 0, 0, 20);
	bytes_of(0)->changes[10][_i] ^= 1;
	ck_assert_uint_eq(
	    health_table_history(table, 0, list), HEALTH_HISTORY_MAX - 1);
	for (uint32_t i = 0; i < HEALTH_HISTORY_MAX - 1; i++)
		ck_assert(scratch_is_change(&list[i], 19 - i - (i >= 9)));
	reopen(HEALTH_TABLE_ATTACHED);
}
END_TEST

/* Bytes of a change that no writer writes, under a check that holds. */
static const struct {
	size_t offset;
	unsigned char value, is_override;
	bool kept;
} bytes[] = {
	{ offsetof(struct layout_change, is_override), 2, 2, false },
	{ offsetof(struct layout_change, from), HEALTH_TRIAL, 0, true },
	{ offsetof(struct layout_change, from), HEALTH_TRIAL + 1, 0, false },
	{ offsetof(struct layout_change, to), HEALTH_TRIAL, 0, true },
	{ offsetof(struct layout_change, to), HEALTH_TRIAL + 1, 0, false },
	{ offsetof(struct layout_change, from), OVERRIDE_FORCED_UP, 1, true },
	{ offsetof(struct layout_change, to), OVERRIDE_FORCED_UP, 1, true },
	{ offsetof(struct layout_change, from), OVERRIDE_FORCED_UP + 1, 1,
	    false },
	{ offsetof(struct layout_change, to), OVERRIDE_FORCED_UP + 1, 1,
	    false },
	{ offsetof(struct layout_change, blind), 2, 0, false },
	{ offsetof(struct layout_change, stage), STAGE_COUNT, 0, false },
	{ offsetof(struct layout_change, source), SOURCE_COUNT, 0, false },
	{ offsetof(struct layout_change, at_ms) + 6, 1, 0, false },
	{ offsetof(struct layout_change, turn), 1, 0, false },
	{ offsetof(struct layout_change, text), '\n', 0, true },
};

START_TEST(a_change_without_sense_is_left_out_whatever_its_check_says)
{
	unsigned char *change = (unsigned char *)bytes_of(0) +
				offsetof(struct layout_history, changes);
	struct health_history list[HEALTH_HISTORY_MAX];
	uint64_t check;

	scratch_note(table, 0, 0, 1);
	change[offsetof(struct layout_change, is_override)] =
	    bytes[_i].is_override;
	change[bytes[_i].offset] = bytes[_i].value;
	check = hash_bytes(
	    hash_key_fixed, change, offsetof(struct layout_change, check));
	memcpy(change + offsetof(struct layout_change, check), &check,
	    sizeof(check));
	ck_assert_uint_eq(health_table_history(table, 0, list), bytes[_i].kept);
	if (bytes[_i].value == '\n')
		ck_assert_int_eq(list[0].text[0], '?');
}
END_TEST

START_TEST(random_bytes_in_the_history_harm_nobody)
{
	struct health_detail detail = scratch_detail();
	struct health_history list[HEALTH_HISTORY_MAX];
	unsigned char *at;
	uint64_t state = 88172645463325252 + (uint64_t)_i;

	health_table_write(table, 0, &detail);
	at = (void *)bytes_of(0);
	for (size_t i = 0; i < 2 * sizeof(struct layout_history); i++)
		at[i] = (unsigned char)scratch_random(&state);
	ck_assert_uint_eq(health_table_history(table, 0, list), 0);
	reopen(HEALTH_TABLE_ATTACHED);
	health_table_read(table, 0, &detail);
	scratch_is_detail(&detail);
	scratch_note(table, 0, 0, 3);
	scratch_has_changes(table, 0, 0, 3);
	scratch.size.hosts = 500;
	reopen(HEALTH_TABLE_GROWN);
	scratch_has_changes(table, 0, 0, 3);
	scratch_has_changes(table, 1, 0, 0);
}
END_TEST

/* ---- a writer beside readers ---- */

static struct {
	atomic_bool torn;
	atomic_ulong seen;
} race;

/* Thread: the one writer. */
static void *
note_all(void *unused)
{
	(void)unused;
	scratch_note(table, 0, HEALTH_HISTORY_MAX, NOTES);
	return NULL;
}

/* Whole changes, in the order in which they were made; the oldest may be in
   the making. A reader that the writer overtakes misses more. */
static bool
history_is_whole(const struct health_history *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!scratch_is_change(
			&list[i], (uint32_t)(list[i].at_ms - SCRATCH_NOW_MS)) ||
		    (i > 0 && list[i].at_ms >= list[i - 1].at_ms) ||
		    list[0].at_ms - list[i].at_ms >= HEALTH_HISTORY_MAX)
			return false;
	}
	return true;
}

/* Thread: several. */
static void *
read_all(void *unused)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n;

	(void)unused;
	for (uint32_t i = 0; i < READS; i++) {
		n = health_table_history(table, 0, list);
		if (!history_is_whole(list, n))
			race.torn = true;
		race.seen += n;
	}
	return NULL;
}

START_TEST(a_reader_sees_whole_changes_in_their_order)
{
	pthread_t writer, readers[READERS];

	scratch_note(table, 0, 0, HEALTH_HISTORY_MAX);
	for (size_t i = 0; i < READERS; i++)
		ck_assert_int_eq(
		    pthread_create(&readers[i], NULL, read_all, NULL), 0);
	ck_assert_int_eq(pthread_create(&writer, NULL, note_all, NULL), 0);
	for (size_t i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	pthread_join(writer, NULL);
	ck_assert(!race.torn);
	ck_assert_uint_gt(race.seen, 0);
	scratch_has_changes(table, 0, NOTES - HEALTH_HISTORY_MAX, NOTES);
}
END_TEST

static Suite *
history_suite(void)
{
	Suite *suite = suite_create("health_table_history");
	TCase *all = tcase_create("history");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_set_timeout(all, 300);
	tcase_add_test(all, a_new_host_has_no_history);
	tcase_add_test(all, the_newest_changes_are_listed_newest_first);
	tcase_add_test(all, numbers_of_changes_may_wrap);
	tcase_add_test(all, words_of_strangers_are_kept_printable);
	tcase_add_test(all, a_tool_sees_what_the_worker_notes);
	tcase_add_test(all, a_history_goes_on_in_the_next_life);
	tcase_add_loop_test(all, a_half_written_change_costs_the_oldest_at_most,
	    0, (int)LAYOUT_CHANGE_WORDS + 1);
	tcase_add_test(
	    all, a_change_that_was_written_but_not_counted_is_not_there);
	tcase_add_loop_test(all, a_change_with_any_word_damaged_is_left_out, 0,
	    (int)LAYOUT_CHANGE_WORDS);
	tcase_add_loop_test(all,
	    a_change_without_sense_is_left_out_whatever_its_check_says, 0,
	    (int)NELEM(bytes));
	tcase_add_loop_test(
	    all, random_bytes_in_the_history_harm_nobody, 0, 10);
	tcase_add_test(all, a_reader_sees_whole_changes_in_their_order);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(history_suite());
}
