/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the follower's loop is the test's; a writer has its own. */
#include "tests/unit/log_writer.h"
#include "tests/unit/suite.h"

/* ---- by rename ---- */

START_TEST(the_old_file_is_read_to_its_end_before_the_new_one)
{
	int old = open_writer(O_APPEND);

	follow(log_path);
	put(old, "1\n");
	expect("1\n");
	rename_log("mail.log.1");
	append(""); /* as logrotate's "create" */
	put(old, "2\n");
	expect("1\n2\n");
	/* As long as nobody writes to the new one the old one is followed. */
	loop_for(base, 3 * still_ms);
	put(old, "3\n4");
	expect("1\n2\n3\n");
	still_ms = 300;
	append("5\n");
	loop_for(base, 50);
	put(old, "\nnot yet whole");
	expect("1\n2\n3\n4\n");
	expect("1\n2\n3\n4\n5\n");
	/* What had no end in the old one is no part of the new one. */
	append("6\n");
	expect("1\n2\n3\n4\n5\n6\n");
	ck_assert_int_eq(scratch_count("log", "."), 0);
	(void)close(old);
}
END_TEST

START_TEST(each_new_file_waits_until_the_old_one_was_still)
{
	char want[64] = "", line[16];

	still_ms = 200;
	linger_ms = NEVER_MS;
	append("");
	follow(log_path);
	for (int i = 0; i < 4; i += 2) {
		int old = open_writer(O_APPEND);
		uint64_t begin_ms;

		/* Quiet for long; that says nothing of now. */
		loop_for(base, 2 * still_ms);
		rename_log("mail.log.1");
		begin_ms = clock_boot_ms();
		(void)snprintf(line, sizeof(line), "%d\n", i + 1);
		append(line);
		loop_for(base, still_ms / 2);
		(void)snprintf(line, sizeof(line), "%d\n", i);
		put(old, line);
		(void)snprintf(want + 2 * i, sizeof(want) - 2 * (size_t)i,
		    "%d\n%d\n", i, i + 1);
		expect(want);
		ck_assert_uint_ge(
		    clock_boot_ms() - begin_ms, still_ms + still_ms / 2);
		(void)close(old);
	}
}
END_TEST

START_TEST(an_old_file_that_is_never_still_does_not_hide_the_new_one)
{
	int old = open_writer(O_APPEND);
	uint64_t end_ms = clock_boot_ms() + LOOP_PATIENCE_MS;

	still_ms = NEVER_MS;
	linger_ms = 200;
	follow(log_path);
	rename_log("mail.log.1");
	append("new\n");
	while (strstr(seen, "new\n") == NULL) {
		ck_assert_uint_lt(clock_boot_ms(), end_ms);
		put(old, "old\n");
		loop_turn(base);
	}
	ck_assert(strncmp(seen, "old\nold\n", 8) == 0);
	(void)close(old);
}
END_TEST

START_TEST(files_that_rotate_faster_than_they_get_still_are_all_read)
{
	enum { ROTATIONS = 3 * FILES_MAX };
	char want[ROTATIONS * 8] = "", line[8], name[16];

	still_ms = NEVER_MS;
	follow(log_path);
	for (int i = 0; i < ROTATIONS; i++) {
		(void)snprintf(line, sizeof(line), "%d\n", i);
		strcat(want, line);
		append(line);
		LOOP_UNTIL(base, has_noticed());
		(void)snprintf(name, sizeof(name), "mail.log.%d", i);
		rename_log(name);
	}
	still_ms = 0;
	append("end\n");
	strcat(want, "end\n");
	expect(want);
}
END_TEST

START_TEST(files_that_rotate_during_a_backlog_are_kept_up_to_a_limit)
{
	char want[256] = "first\n", line[8], name[16];
	int keeper = open_writer(O_APPEND);

	still_ms = 0;
	linger_ms = 0;
	follow(log_path);
	/* Long, and without a line. */
	ck_assert_int_eq(ftruncate(keeper, 20 * 1024 * 1024), 0);
	put(keeper, "\nfirst\n");
	(void)close(keeper);
	for (int i = 0; i < 2 * FILES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "mail.log.%d", i);
		rename_log(name);
		(void)snprintf(line, sizeof(line), "%d\n", i);
		append(line);
		for (int n = 0; n < 10 && !has_noticed(); n++)
			loop_turn(base);
		ck_assert(has_noticed() == (i < FILES_MAX - 1));
		if (i < FILES_MAX - 1 || i == 2 * FILES_MAX - 1)
			strcat(want, line);
	}
	/* The rest of the long one, of which one line is cut off. */
	LOOP_UNTIL(base, n_seen == FILES_MAX + 2);
	ck_assert_str_eq(seen + DELIVERY_LINE_MAX + 1, want);
}
END_TEST

START_TEST(an_empty_file_between_is_passed)
{
	follow(log_path);
	append("1\n");
	expect("1\n");
	for (int i = 0; i < 2; i++) {
		rename_log("mail.log.1");
		append("");
		LOOP_UNTIL(base, has_noticed());
	}
	append("2\n");
	expect("1\n2\n");
}
END_TEST

START_TEST(a_file_that_is_moved_onto_the_name_is_the_new_one)
{
	char other[SCRATCH_PATH_MAX];

	append("old\n");
	follow(log_path);
	append("1\n");
	append_bytes(scratch_path("other", other), "2\n", 2);
	ck_assert_int_eq(rename(other, log_path), 0);
	expect("1\n2\n");
}
END_TEST

START_TEST(a_file_that_gets_its_name_back_is_not_read_twice)
{
	char path[SCRATCH_PATH_MAX];

	follow(log_path);
	append("1\n");
	expect("1\n");
	rename_log("mail.log.1");
	append("");
	LOOP_UNTIL(base, has_noticed());
	ck_assert_int_eq(rename(scratch_path("mail.log.1", path), log_path), 0);
	append("2\n");
	expect("1\n2\n");
	loop_for(base, 5 * still_ms);
	ck_assert_str_eq(seen, "1\n2\n");
}
END_TEST

START_TEST(a_removed_file_is_followed_until_there_is_a_new_one)
{
	int old = open_writer(O_APPEND);

	follow(log_path);
	ck_assert_int_eq(unlink(log_path), 0);
	put(old, "1\n");
	expect("1\n");
	LOOP_UNTIL(base, !log_follower_is_open(follower));
	put(old, "2\n");
	expect("1\n2\n");
	ck_assert_int_eq(scratch_count("log", "warning: .* does not exist"), 1);
	append("3\n");
	expect("1\n2\n3\n");
	ck_assert(log_follower_is_open(follower));
	ck_assert_int_eq(scratch_count("log", "is followed now$"), 1);
	ck_assert_int_eq(scratch_count("log", "."), 2);
	(void)close(old);
}
END_TEST

START_TEST(a_name_that_is_free_for_a_moment_is_no_trouble)
{
	patience_ms = NEVER_MS;
	append("old\n");
	follow(log_path);
	rename_log("mail.log.1");
	LOOP_UNTIL(base, follower->trouble == ENOENT);
	loop_for(base, 3 * look_ms);
	ck_assert(log_follower_is_open(follower));
	append("1\n");
	expect("1\n");
	ck_assert_int_eq(scratch_count("log", "."), 0);
}
END_TEST

START_TEST(a_symbolic_link_is_followed_wherever_it_points)
{
	char real[SCRATCH_PATH_MAX], next[SCRATCH_PATH_MAX];

	append_bytes(scratch_path("real", real), "old\n", 4);
	ck_assert_int_eq(symlink("real", log_path), 0);
	follow(log_path);
	append("1\n");
	expect("1\n");
	/* Its target rotates. */
	ck_assert_int_eq(rename(real, scratch_path("real.1", next)), 0);
	append("2\n");
	expect("1\n2\n");
	/* It points to another one. */
	append_bytes(scratch_path("next", next), "3\n", 2);
	ck_assert_int_eq(unlink(log_path), 0);
	ck_assert_int_eq(symlink("next", log_path), 0);
	expect("1\n2\n3\n");
}
END_TEST

/* ---- a writer that does not wait ---- */

/* Has it been told, and not taken it up? */
static bool
writer_waits(void)
{
	bool waits;

	(void)pthread_mutex_lock(&writer.mutex);
	waits = writer.reopen && !writer.done;
	(void)pthread_mutex_unlock(&writer.mutex);
	return waits;
}

/* Renames, creates, and tells the writer, with pauses between. */
static void
rotate_by_rename(int i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "mail.log.%d", i);
	rename_log(name);
	loop_for(base, chance(10));
	append("");
	LOOP_UNTIL(base, has_noticed());
	loop_for(base, chance(30));
	(void)pthread_mutex_lock(&writer.mutex);
	writer.reopen = true;
	(void)pthread_mutex_unlock(&writer.mutex);
	loop_for(base, chance(100));
}

START_TEST(no_line_is_missed_or_doubled_while_files_are_renamed)
{
	still_ms = 50;
	start_writer();
	for (int i = 0; !is_written(); i++) {
		/* A file that nobody wrote to keeps the name. */
		LOOP_UNTIL(base, !writer_waits());
		rotate_by_rename(i);
	}
	(void)pthread_join(writer.thread, NULL);
	LOOP_UNTIL(base, n_seen == LINES);
	for (unsigned i = 0; i < LINES; i++)
		ck_assert_uint_eq(times_seen[i], 1);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("log_follower_rotation");
	TCase *rename = tcase_create("by rename");
	TCase *busy = tcase_create("a writer that does not wait");

	tcase_add_checked_fixture(rename, begin, end);
	tcase_add_test(
	    rename, the_old_file_is_read_to_its_end_before_the_new_one);
	tcase_add_test(rename, each_new_file_waits_until_the_old_one_was_still);
	tcase_add_test(
	    rename, an_old_file_that_is_never_still_does_not_hide_the_new_one);
	tcase_add_test(
	    rename, files_that_rotate_faster_than_they_get_still_are_all_read);
	tcase_add_test(
	    rename, files_that_rotate_during_a_backlog_are_kept_up_to_a_limit);
	tcase_add_test(rename, an_empty_file_between_is_passed);
	tcase_add_test(
	    rename, a_file_that_is_moved_onto_the_name_is_the_new_one);
	tcase_add_test(
	    rename, a_file_that_gets_its_name_back_is_not_read_twice);
	tcase_add_test(
	    rename, a_removed_file_is_followed_until_there_is_a_new_one);
	tcase_add_test(rename, a_name_that_is_free_for_a_moment_is_no_trouble);
	tcase_add_test(rename, a_symbolic_link_is_followed_wherever_it_points);
	suite_add_tcase(s, rename);
	tcase_add_checked_fixture(busy, begin, end);
	tcase_set_timeout(busy, 60);
	tcase_add_test(
	    busy, no_line_is_missed_or_doubled_while_files_are_renamed);
	suite_add_tcase(s, busy);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
