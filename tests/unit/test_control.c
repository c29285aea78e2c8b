/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one; the loop is stepped between what the clients do. */
#include "tests/unit/control_scene.h"
#include "tests/unit/suite.h"

#include <sys/resource.h>

static struct control_request *held;
static unsigned n_cancelled;
static struct peer a, b;

/* ---- the commands ---- */

static void
run_hello(struct control_request *request, const char *rest, void *arg)
{
	ck_assert_ptr_eq(arg, &held);
	(void)rest;
	control_say(request, "one");
	control_say(request, "%s %d", "two", 2);
	control_done(request, NULL);
}

static void
run_echo(struct control_request *request, const char *rest, void *arg)
{
	(void)arg;
	control_say(request, "%s", rest);
	control_done(request, NULL);
}

static void
run_fail(struct control_request *request, const char *rest, void *arg)
{
	(void)rest;
	(void)arg;
	control_done(request, "it\nfailed");
}

static void
run_dirty(struct control_request *request, const char *rest, void *arg)
{
	(void)rest;
	(void)arg;
	control_say(request, "a\nOK\r\033[2J\177b");
	control_done(request, NULL);
}

static void
run_flood(struct control_request *request, const char *rest, void *arg)
{
	(void)rest;
	(void)arg;
	for (int i = 0; i < 100000; i++)
		control_say(request, "%063d", i);
	control_done(request, NULL);
}

static void
run_hold(struct control_request *request, const char *rest, void *arg)
{
	(void)rest;
	(void)arg;
	held = request;
}

static void
cancel_hold(struct control_request *request, void *arg)
{
	(void)arg;
	ck_assert_ptr_eq(request, held);
	held = NULL;
	n_cancelled++;
}

static const struct control_command commands[] = {
	{ .name = "hello", .run = run_hello },
	{ .name = "echo", .run = run_echo },
	{ .name = "fail", .run = run_fail },
	{ .name = "dirty", .run = run_dirty },
	{ .name = "flood", .run = run_flood },
	{ .name = "hold", .run = run_hold, .cancel = cancel_hold },
	{ .name = "stubborn", .run = run_hold },
};

/* ---- requests and answers ---- */

static void
setup(void)
{
	open_room(commands, NELEM(commands), &held);
}

static const struct {
	const char *request, *answer;
} dialogues[] = {
	{ "hello\n", "= one\n= two 2\nOK\n" },
	{ "hello\r\n", "= one\n= two 2\nOK\n" },
	{ "echo a  b\n", "= a  b\nOK\n" },
	{ " \techo\t [::1]:25 \t\n", "= [::1]:25\nOK\n" },
	{ "echo\n", "= \nOK\n" },
	{ "fail\n", "ERROR it?failed\n" },
	{ "dirty\n", "= a?OK??[2J?b\nOK\n" },
	{ "\n", "ERROR empty request\n" },
	{ " \r\n", "ERROR empty request\n" },
	{ "nope at all\n", "ERROR unknown command \"nope\"\n" },
	{ "ech\n", "ERROR unknown command \"ech\"\n" },
	{ "echoo\n", "ERROR unknown command \"echoo\"\n" },
	{ "HELLO\n", "ERROR unknown command \"HELLO\"\n" },
	{ "\033[2J\n", "ERROR unknown command \"\\x1b[2J\"\n" },
	{ "echo 1\necho 2\n\necho 3\n",
	    "= 1\nOK\n= 2\nOK\nERROR empty request\n= 3\nOK\n" },
};

START_TEST(each_request_line_gets_its_answer)
{
	peer_dial(&a);
	ask(&a, dialogues[_i].request, dialogues[_i].answer);
	ask(&a, "echo still here\n", "= still here\nOK\n");
}
END_TEST

START_TEST(a_line_that_comes_byte_by_byte_is_one_request)
{
	static const char line[] = "echo drip\n";

	peer_dial(&a);
	for (size_t i = 0; line[i] != '\0'; i++) {
		char byte[2] = { line[i], '\0' };

		listen_to(&a);
		ck_assert_uint_eq(a.len, 0);
		say(&a, byte);
		step();
	}
	PUMP_UNTIL(has_said(&a, "= drip\nOK\n"));
}
END_TEST

static const struct {
	size_t len; /* of the line, without its end */
	bool end;
	bool good;
} line_lengths[] = {
	{ CONTROL_LINE_MAX, true, true },
	{ CONTROL_LINE_MAX + 1, true, false },
	{ CONTROL_LINE_MAX + 1, false, false },
	{ 60000, false, false },
};

START_TEST(a_line_longer_than_the_limit_is_refused)
{
	static char line[65536];
	size_t len = line_lengths[_i].len;

	memset(line, 'x', len);
	memcpy(line, "echo ", 5);
	line[len] = line_lengths[_i].end ? '\n' : '\0';
	line[len + 1] = '\0';
	peer_dial(&a);
	say(&a, line);
	if (line_lengths[_i].good) {
		PUMP_UNTIL(has_said(&a, "x\nOK\n"));
		ck_assert_uint_eq(a.len, 2 + len - 5 + 1 + 3);
		return;
	}
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "ERROR line too long\n");
}
END_TEST

START_TEST(a_zero_byte_is_refused)
{
	peer_dial(&a);
	ck_assert_int_eq(send(a.fd, "echo a\0b\n", 9, MSG_NOSIGNAL), 9);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "ERROR zero byte in the request\n");
}
END_TEST

START_TEST(who_ends_its_sending_side_gets_all_answers_and_the_end)
{
	peer_dial(&a);
	say(&a, "hold\nhello\n");
	ck_assert_int_eq(shutdown(a.fd, SHUT_WR), 0);
	PUMP_UNTIL(held != NULL);
	peer_dial(&b);
	ask(&b, "hello\n", "= one\n= two 2\nOK\n");
	ck_assert_uint_eq(n_cancelled, 0);
	control_say(held, "at last");
	control_done(held, NULL);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "= at last\nOK\n= one\n= two 2\nOK\n");
}
END_TEST

START_TEST(an_answer_given_later_reaches_its_client)
{
	peer_dial(&a);
	say(&a, "hold\necho next\n");
	PUMP_UNTIL(held != NULL);
	control_say(held, "line");
	PUMP_UNTIL(has_said(&a, "= line\n"));
	control_done(held, "no");
	PUMP_UNTIL(has_said(&a, "= line\nERROR no\n= next\nOK\n"));
}
END_TEST

/* ---- clients that go ---- */

START_TEST(a_client_that_goes_cancels_its_request)
{
	peer_dial(&a);
	say(&a, "hold\n");
	PUMP_UNTIL(held != NULL);
	(void)close(a.fd);
	PUMP_UNTIL(n_cancelled == 1);
	peer_dial(&b);
	ask(&b, "hello\n", "= one\n= two 2\nOK\n");
}
END_TEST

START_TEST(a_request_that_cannot_be_cancelled_ends_without_its_client)
{
	peer_dial(&a);
	say(&a, "stubborn\n");
	PUMP_UNTIL(held != NULL);
	(void)close(a.fd);
	PUMP_UNTIL(LIST_EMPTY(&control->clients));
	ck_assert_uint_eq(control->n, 1);
	control_say(held, "to nobody");
	control_done(held, NULL);
	ck_assert_uint_eq(control->n, 0);
}
END_TEST

START_TEST(a_request_that_cannot_be_cancelled_outlives_the_server)
{
	peer_dial(&a);
	say(&a, "stubborn\n");
	PUMP_UNTIL(held != NULL);
	control_free(&control);
	ck_assert_ptr_null(control);
	control_say(held, "to nobody");
	control_done(held, NULL);
}
END_TEST

START_TEST(the_end_of_the_server_cancels_what_is_under_way)
{
	peer_dial(&a);
	say(&a, "hold\n");
	PUMP_UNTIL(held != NULL);
	control_free(&control);
	ck_assert_uint_eq(n_cancelled, 1);
	PUMP_UNTIL(has_gone(&a));
}
END_TEST

START_TEST(who_goes_on_talking_during_a_request_is_dropped)
{
	static char noise[CONTROL_LINE_MAX + 2];

	memset(noise, '\n', sizeof(noise) - 1);
	peer_dial(&a);
	say(&a, "hold\n");
	PUMP_UNTIL(held != NULL);
	say(&a, noise);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_uint_eq(n_cancelled, 1);
}
END_TEST

/* ---- limits ---- */

START_TEST(an_idle_client_is_closed_but_not_one_whose_request_is_under_way)
{
	idle_ms = 50;
	peer_dial(&a);
	say(&a, "hold\n");
	PUMP_UNTIL(held != NULL);
	/* Began later, ends earlier. */
	peer_dial(&b);
	PUMP_UNTIL(has_gone(&b));
	ck_assert_uint_eq(b.len, 0);
	ck_assert(!has_gone(&a));
	control_done(held, NULL);
	PUMP_UNTIL(has_said(&a, "OK\n"));
	PUMP_UNTIL(has_gone(&a));
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

START_TEST(a_line_must_be_whole_within_the_idle_time)
{
	idle_ms = 100;
	peer_dial(&a);
	/* A byte every millisecond: no pause ever gets near that time. */
	for (uint64_t end = clock_boot_ms() + 1000, last = 0;
	     clock_boot_ms() < end && !has_gone(&a); step()) {
		if (clock_boot_ms() != last)
			(void)send(a.fd, "x", 1, MSG_NOSIGNAL);
		last = clock_boot_ms();
	}
	ck_assert(has_gone(&a));
	ck_assert_uint_eq(a.len, 0);
}
END_TEST

START_TEST(a_reader_that_stands_still_is_closed_and_holds_up_nobody)
{
	/* The second one must not get idle while the first one's answer is
	   made: that takes long under a sanitizer. */
	idle_ms = 1000;
	peer_dial(&a);
	say(&a, "flood\n");
	peer_dial(&b);
	ask(&b, "hello\n", "= one\n= two 2\nOK\n");
	PUMP_UNTIL(LIST_EMPTY(&control->clients));
	ck_assert_uint_eq(control->n, 0);
}
END_TEST

START_TEST(a_reader_that_stands_still_during_a_request_cancels_it)
{
	idle_ms = 100;
	peer_dial(&a);
	say(&a, "hold\n");
	PUMP_UNTIL(held != NULL);
	for (int i = 0; i < 100000; i++)
		control_say(held, "%063d", i);
	PUMP_UNTIL(n_cancelled == 1);
	ck_assert_uint_eq(control->n, 0);
}
END_TEST

START_TEST(an_answer_is_bounded_and_says_what_was_dropped)
{
	peer_dial(&a);
	say(&a, "flood\n");
	PUMP_UNTIL(has_said(&a, "\nOK\n"));
	ck_assert_uint_le(a.len, CONTROL_OUTPUT_MAX + 1000);
	ck_assert_ptr_nonnull(
	    strstr(a.got, " lines dropped: they were not read in time)\n"));
	ask(&a, "hello\n", "= one\n= two 2\nOK\n");
}
END_TEST

START_TEST(one_client_too_many_is_turned_away_in_words)
{
	int fd[CONTROL_CLIENTS_MAX];

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fd[i] = dial();
		PUMP_UNTIL(control->n == (unsigned)i + 1);
	}
	peer_dial(&a);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "ERROR too many clients\n");
	(void)close(fd[7]);
	PUMP_UNTIL(control->n == CONTROL_CLIENTS_MAX - 1);
	peer_dial(&b);
	ask(&b, "hello\n", "= one\n= two 2\nOK\n");
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (i != 7)
			(void)close(fd[i]);
}
END_TEST

START_TEST(accepting_goes_on_after_descriptors_ran_out)
{
	struct rlimit old, none;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	peer_dial(&a);
	none.rlim_cur = (rlim_t)a.fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	PUMP_UNTIL(event_pending(control->pause, EV_TIMEOUT, NULL));
	ck_assert_uint_eq(control->n, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ask(&a, "hello\n", "= one\n= two 2\nOK\n");
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("control");
	TCase *requests = tcase_create("requests and answers");
	TCase *gone = tcase_create("clients that go");
	TCase *limits = tcase_create("limits");

	tcase_add_checked_fixture(requests, setup, close_room);
	tcase_add_loop_test(requests, each_request_line_gets_its_answer, 0,
	    (int)NELEM(dialogues));
	tcase_add_test(requests, a_line_that_comes_byte_by_byte_is_one_request);
	tcase_add_loop_test(requests, a_line_longer_than_the_limit_is_refused,
	    0, (int)NELEM(line_lengths));
	tcase_add_test(requests, a_zero_byte_is_refused);
	tcase_add_test(
	    requests, who_ends_its_sending_side_gets_all_answers_and_the_end);
	tcase_add_test(requests, an_answer_given_later_reaches_its_client);
	suite_add_tcase(s, requests);
	tcase_add_checked_fixture(gone, setup, close_room);
	tcase_add_test(gone, a_client_that_goes_cancels_its_request);
	tcase_add_test(
	    gone, a_request_that_cannot_be_cancelled_ends_without_its_client);
	tcase_add_test(
	    gone, a_request_that_cannot_be_cancelled_outlives_the_server);
	tcase_add_test(gone, the_end_of_the_server_cancels_what_is_under_way);
	tcase_add_test(gone, who_goes_on_talking_during_a_request_is_dropped);
	suite_add_tcase(s, gone);
	tcase_add_checked_fixture(limits, setup, close_room);
	tcase_set_timeout(limits, 30);
	tcase_add_test(limits,
	    an_idle_client_is_closed_but_not_one_whose_request_is_under_way);
	tcase_add_test(limits, a_line_must_be_whole_within_the_idle_time);
	tcase_add_test(
	    limits, a_reader_that_stands_still_is_closed_and_holds_up_nobody);
	tcase_add_test(
	    limits, a_reader_that_stands_still_during_a_request_cancels_it);
	tcase_add_test(limits, an_answer_is_bounded_and_says_what_was_dropped);
	tcase_add_test(limits, one_client_too_many_is_turned_away_in_words);
	tcase_add_test(limits, accepting_goes_on_after_descriptors_ran_out);
	suite_add_tcase(s, limits);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
