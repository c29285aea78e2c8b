/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the follower's loop is the test's; a writer has its own. */
#include "tests/unit/log_writer.h"
#include "tests/unit/suite.h"

/* ---- by truncation ---- */

START_TEST(a_truncated_file_is_read_from_its_beginning)
{
	append("old, and rather long\n");
	follow(log_path);
	append("1\n");
	expect("1\n");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("2\n");
	expect("1\n2\n");
	/* And looked at while nothing is in it. */
	loop_for(base, 3 * look_ms);
	ck_assert_int_eq(truncate(log_path, 0), 0);
	loop_for(base, 3 * look_ms);
	append("3\n4\n");
	expect("1\n2\n3\n4\n");
}
END_TEST

START_TEST(truncated_and_grown_beyond_is_noticed)
{
	char want[4096] = "1\n", line[32];

	follow(log_path);
	append("1\n");
	expect("1\n");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	for (int i = 100; i < 200; i++) {
		(void)snprintf(line, sizeof(line), "%d\n", i);
		append(line);
		strcat(want, line);
	}
	expect(want);
}
END_TEST

START_TEST(a_line_whose_end_was_truncated_is_gone)
{
	follow(log_path);
	append("1\nhalf a li");
	expect("1\n");
	LOOP_UNTIL(base, follower->lines.len == 9);
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("2\n");
	expect("1\n2\n");
}
END_TEST

START_TEST(a_writer_that_goes_on_behind_a_hole_is_understood)
{
	/* Not at the end of the file, but where it was. */
	int keeper = open_writer(0);
	static char old[3 * TAIL_PIECE];

	memset(old, 'x', sizeof(old));
	put(keeper, "old\n");
	ck_assert_int_eq(write(keeper, old, sizeof(old)), (ssize_t)sizeof(old));
	put(keeper, "\n");
	follow(log_path);
	put(keeper, "1\n");
	expect("1\n");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	if (_i == 1)
		loop_for(base, 5 * look_ms);
	put(keeper, "2\n");
	ck_assert_int_eq(write(keeper, "\0\n", 2), 2);
	LOOP_UNTIL(base, n_seen == 3);
	/* Zeros behind it are text, as always. */
	ck_assert_uint_eq(seen_len, 6);
	ck_assert_int_eq(memcmp(seen, "1\n2\n\0\n", 6), 0);
	(void)close(keeper);
}
END_TEST

START_TEST(a_hole_is_not_read_through)
{
	int keeper = open_writer(0);

	/* So long that reading it took minutes. */
	ck_assert_int_ne(lseek(keeper, (off_t)1 << 40, SEEK_SET), -1);
	put(keeper, "old\n");
	follow(log_path);
	ck_assert_int_eq(truncate(log_path, 0), 0);
	put(keeper, "1\n");
	expect("1\n");
	(void)close(keeper);
}
END_TEST

START_TEST(zeros_that_were_written_are_passed_like_a_hole)
{
	static char zeros[2 * TAIL_PIECE + 10];

	follow(log_path);
	append("1\n");
	expect("1\n");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append_bytes(log_path, zeros, sizeof(zeros));
	append("2\n");
	expect("1\n2\n");
}
END_TEST

/* As logrotate's copytruncate. */
static void
copy_log(const char *name)
{
	char path[SCRATCH_PATH_MAX], bytes[4096];
	int from = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_int_ne(from, -1);
	(void)unlink(scratch_path(name, path));
	append_bytes(path, "", 0);
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		append_bytes(path, bytes, (size_t)n);
	(void)close(from);
}

START_TEST(what_was_not_read_before_a_truncation_is_read_from_the_copy)
{
	append("old\n");
	follow(log_path);
	append("1\n2");
	expect("1\n");
	copy_log("mail.log.bak");
	/* Nobody looks between these. */
	append("3\n4\n");
	copy_log("mail.log.1");
	append("lost\n");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("5\n");
	expect("1\n23\n4\n5\n");
	append("6\n");
	expect("1\n23\n4\n5\n6\n");
	ck_assert_uint_eq(follower->n_files, 1);
	/* The copies of the next time are others. */
	append("7\n");
	copy_log("mail.log.2");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("8\n");
	expect("1\n23\n4\n5\n6\n7\n8\n");
}
END_TEST

START_TEST(what_only_looks_like_a_copy_is_left_alone)
{
	char path[SCRATCH_PATH_MAX];

	append("old\n");
	follow(log_path);
	append("1\n");
	expect("1\n");
	append("2\n");
	copy_log("other");
	append_bytes(scratch_path("mail.log.1", path), "old\n0\n2\n", 8);
	append_bytes(scratch_path("mail.log.2", path), "old\n1", 5);
	ck_assert_int_eq(
	    symlink(log_path, scratch_path("mail.log.3", path)), 0);
	ck_assert_int_eq(mkdir(scratch_path("mail.log.4", path), 0755), 0);
	ck_assert_int_eq(mkfifo(scratch_path("mail.log.5", path), 0644), 0);
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("3\n");
	expect("1\n3\n");
	ck_assert_int_eq(rmdir(scratch_path("mail.log.4", path)), 0);
}
END_TEST

START_TEST(a_copy_that_is_truncated_in_turn_is_done_with)
{
	static char line[2 * TAIL_PIECE];
	char path[SCRATCH_PATH_MAX];

	append("old\n");
	follow(log_path);
	append("1\n");
	expect("1\n");
	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	append(line);
	copy_log("mail.log.1");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("2\n");
	LOOP_UNTIL(base, follower->n_files == 2 &&
			     follower->files[0].file.offset > TAIL_PIECE);
	ck_assert_int_eq(truncate(scratch_path("mail.log.1", path), 0), 0);
	expect("1\n2\n");
}
END_TEST

/* ---- a writer that does not wait ---- */

/* Without a copy what is in the file and not read is lost, whoever reads. */
static unsigned
truncate_log(bool *lost, bool copy, unsigned *n_before_r)
{
	unsigned n = 0;

	(void)pthread_mutex_lock(&writer.mutex);
	*n_before_r = writer.n;
	if (copy)
		copy_log("mail.log.1");
	for (unsigned i = 0; !copy && i < writer.n; i++) {
		if (times_seen[i] == 0 && !lost[i]) {
			lost[i] = true;
			n++;
		}
	}
	ck_assert_int_eq(truncate(log_path, 0), 0);
	(void)pthread_mutex_unlock(&writer.mutex);
	return n;
}

static off_t
size_of_log(void)
{
	struct stat info;

	ck_assert_int_eq(stat(log_path, &info), 0);
	return info.st_size;
}

START_TEST(no_line_after_a_truncation_is_missed_and_none_is_doubled)
{
	static bool lost[LINES];
	unsigned n_lost = 0, n_truncated = 0, n_before = 0;
	bool copy = _i == 1;

	start_writer();
	while (!is_written()) {
		off_t size;

		loop_for(base, chance(40));
		/* Of a copy that nobody has looked for nothing is left. */
		if (copy)
			LOOP_UNTIL(base, n_seen > n_before || is_written());
		if (is_written())
			break;
		size = size_of_log();
		n_lost += truncate_log(lost, copy, &n_before);
		n_truncated++;
		/* Every other time nobody looks until it is longer again. */
		while (n_truncated % 2 == 0 && !is_written() &&
		       size_of_log() <= size)
			(void)usleep(500);
	}
	(void)pthread_join(writer.thread, NULL);
	LOOP_UNTIL(base, n_seen == LINES - n_lost);
	for (unsigned i = 0; i < LINES; i++)
		ck_assert_uint_eq(times_seen[i], !lost[i]);
	ck_assert_uint_gt(n_truncated, 1);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("log_follower_truncation");
	TCase *cut = tcase_create("by truncation");
	TCase *busy = tcase_create("a writer that does not wait");

	tcase_add_checked_fixture(cut, begin, end);
	tcase_add_test(cut, a_truncated_file_is_read_from_its_beginning);
	tcase_add_test(cut, truncated_and_grown_beyond_is_noticed);
	tcase_add_test(cut, a_line_whose_end_was_truncated_is_gone);
	tcase_add_loop_test(
	    cut, a_writer_that_goes_on_behind_a_hole_is_understood, 0, 2);
	tcase_add_test(cut, a_hole_is_not_read_through);
	tcase_add_test(cut, zeros_that_were_written_are_passed_like_a_hole);
	tcase_add_test(
	    cut, what_was_not_read_before_a_truncation_is_read_from_the_copy);
	tcase_add_test(cut, what_only_looks_like_a_copy_is_left_alone);
	tcase_add_test(cut, a_copy_that_is_truncated_in_turn_is_done_with);
	suite_add_tcase(s, cut);
	tcase_add_checked_fixture(busy, begin, end);
	tcase_set_timeout(busy, 60);
	tcase_add_loop_test(busy,
	    no_line_after_a_truncation_is_missed_and_none_is_doubled, 0, 2);
	suite_add_tcase(s, busy);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
