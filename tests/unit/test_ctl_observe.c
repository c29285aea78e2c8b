/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the command has its own; the test plays the daemon and the log. */
#include "tests/unit/observe_scene.h"
#include "tests/unit/suite.h"

/* ---- the usual life ---- */

START_TEST(lines_arrive_when_they_come_and_the_end_is_answered)
{
	start();
	accept_observer();
	expect("observe\n");
	log_text("one\n");
	expect("one\n");
	log_text("two\nthr");
	expect("two\n");
	log_text("ee\n");
	expect("three\n");
	(void)close(log_w);
	expect_end();
	answer("= 3 lines\nOK\n");
	ck_assert_int_eq(finish(), CTL_OK);
	ck_assert_str_eq(out_text, "3 lines\n");
	ck_assert_int_eq(has_said("."), 0);
}
END_TEST

START_TEST(a_last_line_without_an_end_gets_one)
{
	start();
	log_text("one");
	(void)close(log_w);
	accept_observer();
	expect("observe\none\n");
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
}
END_TEST

START_TEST(long_lines_are_cut_off_and_zero_bytes_pass)
{
	static char line[3 * INPUT_SIZE], got[DELIVERY_LINE_MAX + 5];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	start();
	accept_observer();
	expect("observe\n");
	ck_assert_int_eq(
	    write(log_w, line, sizeof(line)), (ssize_t)sizeof(line));
	ck_assert_int_eq(write(log_w, "a\0b\n", 4), 4);
	ck_assert_int_eq(recv(daemon_fd, got, sizeof(got), MSG_WAITALL),
	    (ssize_t)sizeof(got));
	for (size_t i = 0; i < DELIVERY_LINE_MAX; i++)
		ck_assert_int_eq(got[i], 'x');
	ck_assert_int_eq(memcmp(got + DELIVERY_LINE_MAX, "\na\0b\n", 5), 0);
	(void)close(log_w);
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
}
END_TEST

#define LINES 30000

static void *
write_numbers(void *arg)
{
	FILE *file = fdopen(log_w, "w");

	(void)arg;
	for (int i = 0; i < LINES; i++)
		fprintf(file, "%06d %060d\n", i, 0);
	(void)fclose(file);
	return NULL;
}

START_TEST(a_daemon_that_reads_slowly_gets_all_lines)
{
	pthread_t writer;
	char line[68];

	start();
	accept_observer();
	expect("observe\n");
	ck_assert_int_eq(pthread_create(&writer, NULL, write_numbers, NULL), 0);
	(void)usleep(50000); /* until nothing more fits */
	for (int i = 0; i < LINES; i++) {
		ck_assert_int_eq(
		    recv(daemon_fd, line, sizeof(line), MSG_WAITALL),
		    (ssize_t)sizeof(line));
		ck_assert_int_eq(atoi(line), i);
	}
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
	(void)pthread_join(writer, NULL);
}
END_TEST

/* ---- who refuses ---- */

START_TEST(without_a_daemon_it_ends_at_once)
{
	close_daemon();
	if (_i == 1)
		(void)unlink(address.sun_path);
	start();
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_int_eq(has_said("^nexthopctl: the daemon is not running"), 1);
	(void)close(log_w);
}
END_TEST

START_TEST(a_refusal_at_the_start_ends_it)
{
	start();
	accept_observer();
	expect("observe\n");
	answer("ERROR unknown \033[2J\n");
	close_observer();
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_int_eq(has_said("^nexthopctl: unknown \\\\x1b.2J$"), 1);
	(void)close(log_w);
}
END_TEST

START_TEST(words_of_a_daemon_that_has_closed_are_heard)
{
	start();
	accept_observer();
	answer("ERROR too many clients\n");
	/* With the request unread: that resets the connection. */
	close_observer();
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_int_eq(has_said("^nexthopctl: too many clients$"), 1);
	(void)close(log_w);
}
END_TEST

START_TEST(an_error_at_the_end_is_trouble)
{
	start();
	log_text("one\n");
	(void)close(log_w);
	accept_observer();
	expect("observe\none\n");
	expect_end();
	answer("= 1 lines\nERROR no\n");
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_str_eq(out_text, "1 lines\n");
	ck_assert_int_eq(has_said("^nexthopctl: no$"), 1);
}
END_TEST

START_TEST(a_daemon_that_does_not_answer_the_end_is_not_waited_for)
{
	last_ms = 50;
	start();
	accept_observer();
	(void)close(log_w);
	if (_i == 1) {
		expect("observe\n");
		expect_end();
		close_observer();
	}
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_int_eq(
	    has_said(_i == 0 ? "no answer in time" : "has gone"), 1);
}
END_TEST

START_TEST(an_endless_answer_is_not_kept)
{
	static char bytes[ANSWER_SIZE + 2];

	memset(bytes, 'x', sizeof(bytes) - 1);
	start();
	accept_observer();
	expect("observe\n");
	answer(bytes);
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_int_eq(has_said("endless"), 1);
	(void)close(log_w);
}
END_TEST

/* ---- a daemon that restarts ---- */

START_TEST(a_restarted_daemon_gets_the_newest_lines)
{
	start();
	accept_observer();
	expect("observe\n");
	log_text("one\n");
	expect("one\n");
	close_daemon();
	close_observer();
	wait_said("the daemon has gone; waiting", 1);
	log_text("two\nthree\nfo");
	wait_read();
	open_daemon();
	accept_observer();
	expect("observe\n");
	wait_said("connected again; 2 lines were dropped$", 1);
	log_text("ur\nfive\n");
	expect("four\nfive\n");
	/* And once more, with nothing lost. */
	close_observer();
	accept_observer();
	expect("observe\n");
	wait_said("connected again; 0 lines were dropped$", 1);
	log_text("six\n");
	expect("six\n");
	(void)close(log_w);
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
	ck_assert_int_eq(has_said("."), 4);
}
END_TEST

START_TEST(a_line_that_was_sent_in_part_is_not_continued)
{
	char line[128];
	int last = -1, n = 0;
	FILE *from;

	start();
	accept_observer();
	(void)fcntl(log_w, F_SETFL, O_NONBLOCK);
	/* More than goes into pipe and sockets, and lines of a length that does
	   not fit in evenly. */
	for (uint64_t begin_ms = clock_boot_ms();
	     clock_boot_ms() - begin_ms < 100; n++) {
		(void)snprintf(line, sizeof(line), "%06d %092d\n", n, n);
		while (write(log_w, line, 100) == -1 &&
		       clock_boot_ms() - begin_ms < 100)
			(void)usleep(1000);
	}
	close_observer();
	accept_observer();
	wait_said("connected again; [1-9][0-9]* lines were dropped", 1);
	for (int i = 0; i < 3; i++, n++)
		(void)dprintf(log_w, "%06d %092d\n", n, n);
	(void)close(log_w);
	expect("observe\n");
	from = fdopen(dup(daemon_fd), "r");
	while (fgets(line, sizeof(line), from) != NULL) {
		ck_assert_uint_eq(strlen(line), 100);
		ck_assert_int_gt(atoi(line), last);
		last = atoi(line);
		ck_assert_int_eq(atoi(line + 7), last);
	}
	ck_assert_int_eq(last, n - 1);
	(void)fclose(from);
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
	ck_assert_int_eq(
	    has_said("connected again; [1-9][0-9]* lines were"), 1);
}
END_TEST

START_TEST(a_daemon_that_refuses_later_is_tried_again)
{
	start();
	accept_observer();
	expect("observe\n");
	close_observer();
	accept_observer();
	expect("observe\n");
	answer("ERROR too many clients\n");
	close_observer();
	accept_observer();
	expect("observe\n");
	ck_assert_int_eq(has_said("too many clients; trying again"), 1);
	(void)close(log_w);
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
}
END_TEST

START_TEST(the_end_of_input_without_a_daemon_tells_what_was_dropped)
{
	start();
	accept_observer();
	expect("observe\n");
	close_daemon();
	close_observer();
	wait_said("has gone", 1);
	log_text("one\ntwo");
	(void)close(log_w);
	ck_assert_int_eq(finish(), CTL_TROUBLE);
	ck_assert_int_eq(has_said("at the end of input; 2 lines were drop"), 1);
}
END_TEST

START_TEST(attempts_have_pauses_that_grow)
{
	uint64_t begin_ms, end_ms;

	start();
	accept_observer();
	close_daemon();
	begin_ms = clock_boot_ms();
	end_ms = begin_ms + PATIENCE_S * 1000;
	close_observer();
	while (n_dialled < 10) {
		ck_assert_uint_lt(clock_boot_ms(), end_ms);
		log_text("a line does not hurry it\n");
		(void)usleep(1000);
	}
	/* 10, 20, and seven times 40. */
	ck_assert_uint_ge(clock_boot_ms() - begin_ms, 300);
	(void)close(log_w);
	ck_assert_int_eq(finish(), CTL_TROUBLE);
}
END_TEST

START_TEST(a_daemon_that_comes_and_goes_is_not_asked_without_end)
{
	uint64_t begin_ms = clock_boot_ms();

	start();
	for (int i = 0; i < 6; i++) {
		accept_observer();
		close_observer();
	}
	/* 10, 20, and three times 40. */
	ck_assert_uint_ge(clock_boot_ms() - begin_ms, 145);
	(void)close(log_w);
	close_daemon();
	(void)finish();
}
END_TEST

START_TEST(a_daemon_that_was_there_for_long_is_asked_soon)
{
	uint64_t begin_ms, took_ms = UINT64_MAX;

	pause_max_ms = 400;
	start();
	for (int i = 0; i < 5; i++) { /* 10, 20, 40, 80, 160 */
		accept_observer();
		close_observer();
	}
	accept_observer();
	/* Once is enough: a busy machine adds its own pauses. */
	for (int i = 0; i < 5 && took_ms >= 300; i++) {
		(void)usleep((pause_max_ms + 50) * 1000);
		close_observer();
		begin_ms = clock_boot_ms();
		accept_observer();
		took_ms = clock_boot_ms() - begin_ms;
	}
	ck_assert_uint_lt(took_ms, 300);
	(void)close(log_w);
	answer("OK\n");
	(void)finish();
}
END_TEST

START_TEST(an_end_that_the_daemon_makes_is_no_end_of_input)
{
	start();
	accept_observer();
	expect("observe\n");
	answer("OK\n");
	wait_said("has gone; waiting", 1);
	close_observer();
	accept_observer();
	log_text("one\n");
	expect("observe\none\n");
	(void)close(log_w);
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
}
END_TEST

START_TEST(nothing_is_left_open)
{
	unsigned before = loop_count_descriptors();

	start();
	for (int i = 0; i < 3; i++) {
		accept_observer();
		close_observer();
	}
	accept_observer();
	expect("observe\n");
	(void)close(log_w);
	expect_end();
	answer("OK\n");
	ck_assert_int_eq(finish(), CTL_OK);
	close_observer();
	ck_assert_uint_eq(loop_count_descriptors(), before - 1);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("ctl_observe");
	TCase *usual = tcase_create("the usual life");
	TCase *refused = tcase_create("who refuses");
	TCase *restart = tcase_create("a daemon that restarts");

	tcase_add_checked_fixture(usual, begin, end);
	tcase_set_timeout(usual, 30);
	tcase_add_test(
	    usual, lines_arrive_when_they_come_and_the_end_is_answered);
	tcase_add_test(usual, a_last_line_without_an_end_gets_one);
	tcase_add_test(usual, long_lines_are_cut_off_and_zero_bytes_pass);
	tcase_add_test(usual, a_daemon_that_reads_slowly_gets_all_lines);
	suite_add_tcase(s, usual);
	tcase_add_checked_fixture(refused, begin, end);
	tcase_set_timeout(refused, 30);
	tcase_add_loop_test(refused, without_a_daemon_it_ends_at_once, 0, 2);
	tcase_add_test(refused, a_refusal_at_the_start_ends_it);
	tcase_add_test(refused, words_of_a_daemon_that_has_closed_are_heard);
	tcase_add_test(refused, an_error_at_the_end_is_trouble);
	tcase_add_loop_test(refused,
	    a_daemon_that_does_not_answer_the_end_is_not_waited_for, 0, 2);
	tcase_add_test(refused, an_endless_answer_is_not_kept);
	suite_add_tcase(s, refused);
	tcase_add_checked_fixture(restart, begin, end);
	tcase_set_timeout(restart, 30);
	tcase_add_test(restart, a_restarted_daemon_gets_the_newest_lines);
	tcase_add_test(restart, a_line_that_was_sent_in_part_is_not_continued);
	tcase_add_test(restart, a_daemon_that_refuses_later_is_tried_again);
	tcase_add_test(
	    restart, the_end_of_input_without_a_daemon_tells_what_was_dropped);
	tcase_add_test(restart, attempts_have_pauses_that_grow);
	tcase_add_test(
	    restart, a_daemon_that_comes_and_goes_is_not_asked_without_end);
	tcase_add_test(restart, a_daemon_that_was_there_for_long_is_asked_soon);
	tcase_add_test(
	    restart, an_end_that_the_daemon_makes_is_no_end_of_input);
	tcase_add_test(restart, nothing_is_left_open);
	suite_add_tcase(s, restart);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
