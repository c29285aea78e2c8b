/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one; the loop is stepped between what the clients do. */
#include "tests/unit/control_scene.h"
#include "tests/unit/suite.h"

#define KEPT_MAX (64 * 1024)

static struct control_request *held; /* told its end, not done */
static unsigned n_run, n_lines, n_cancelled;
static size_t n_bytes;
static char kept[KEPT_MAX]; /* the lines, each with an end */
static size_t kept_len;
static bool is_late; /* ends by itself, after its end */
static struct peer a, b;

static void
run_lines(struct control_request *request, const char *rest, void *arg)
{
	ck_assert_ptr_eq(arg, &kept);
	n_run++;
	if (strcmp(rest, "no") == 0)
		control_done(request, "not now");
	else if (rest[0] != '\0')
		control_say(request, "hello %s", rest);
}

static void
take_line_of(
    struct control_request *request, const char *text, size_t len, void *arg)
{
	ck_assert_ptr_eq(arg, &kept);
	n_lines++;
	n_bytes += len;
	if (kept_len + len + 1 < sizeof(kept)) {
		memcpy(kept + kept_len, text, len);
		kept_len += len;
		kept[kept_len++] = '\n';
		kept[kept_len] = '\0';
	}
	if (len == 4 && memcmp(text, "stop", len) == 0)
		control_done(request, "stopped");
	if (len == 3 && memcmp(text, "say", len) == 0)
		control_say(request, "said");
}

static void
end_lines(struct control_request *request, void *arg)
{
	ck_assert_ptr_eq(arg, &kept);
	ck_assert_ptr_null(held);
	control_say(request, "%u lines", n_lines);
	if (is_late)
		held = request;
	else
		control_done(request, NULL);
}

static void
cancel_lines(struct control_request *request, void *arg)
{
	(void)request;
	ck_assert_ptr_eq(arg, &kept);
	held = NULL;
	n_cancelled++;
}

static void
run_hello(struct control_request *request, const char *rest, void *arg)
{
	(void)rest;
	(void)arg;
	control_done(request, NULL);
}

static const struct control_command commands[] = {
	{ .name = "hello", .run = run_hello },
	{ .name = "lines",
	    .run = run_lines,
	    .cancel = cancel_lines,
	    .line = take_line_of,
	    .end = end_lines },
};

static void
setup(void)
{
	open_room(commands, NELEM(commands), &kept);
	peer_dial(&a);
}

static void
end_sending(struct peer *peer)
{
	ck_assert_int_eq(shutdown(peer->fd, SHUT_WR), 0);
}

/* ---- lines ---- */

static const struct {
	const char *bytes, *lines, *answer;
} dialogues[] = {
	{ "lines\n", "", "= 0 lines\nOK\n" },
	{ "lines\none\ntwo\n", "one\ntwo\n", "= 2 lines\nOK\n" },
	{ "lines you \none\n", "one\n", "= hello you\n= 1 lines\nOK\n" },
	{ "lines\n\n  a\t\r\n\n", "\n  a\t\r\n\n", "= 3 lines\nOK\n" },
	{ "lines\nhello\nlines\n", "hello\nlines\n", "= 2 lines\nOK\n" },
	{ "hello\nlines\nsay\n", "say\n", "OK\n= said\n= 1 lines\nOK\n" },
	{ "lines\nwhole\nnot whole", "whole\n", "= 1 lines\nOK\n" },
};

START_TEST(what_follows_the_request_are_its_lines)
{
	const char *bytes = dialogues[_i].bytes;

	say(&a, bytes);
	end_sending(&a);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, dialogues[_i].answer);
	ck_assert_str_eq(kept, dialogues[_i].lines);
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

START_TEST(bytes_that_come_one_by_one_give_the_same)
{
	const char *bytes = dialogues[_i].bytes;

	for (size_t i = 0; bytes[i] != '\0'; i++) {
		ck_assert_int_eq(send(a.fd, bytes + i, 1, MSG_NOSIGNAL), 1);
		step();
	}
	end_sending(&a);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, dialogues[_i].answer);
	ck_assert_str_eq(kept, dialogues[_i].lines);
}
END_TEST

START_TEST(a_line_is_handed_on_when_it_comes)
{
	say(&a, "lines\none\ntw");
	PUMP_UNTIL(n_lines == 1);
	say(&a, "o\n");
	PUMP_UNTIL(n_lines == 2);
	ck_assert_str_eq(kept, "one\ntwo\n");
	ck_assert(!has_gone(&a));
	ck_assert_uint_eq(a.len, 0);
}
END_TEST

START_TEST(a_long_line_is_cut_off_once_and_zero_bytes_pass)
{
	static char line[100000];

	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	say(&a, "lines\n");
	for (size_t at = 0; at < sizeof(line) - 1;) {
		size_t left = sizeof(line) - 1 - at;
		ssize_t n = send(
		    a.fd, line + at, left < 9999 ? left : 9999, MSG_NOSIGNAL);

		at += n > 0 ? (size_t)n : 0;
		step();
	}
	PUMP_UNTIL(n_lines == 1);
	ck_assert_uint_eq(kept_len, DELIVERY_LINE_MAX + 1);
	ck_assert_int_eq(send(a.fd, "a\0b\n", 4, MSG_NOSIGNAL), 4);
	PUMP_UNTIL(n_lines == 2);
	ck_assert_int_eq(memcmp(kept + DELIVERY_LINE_MAX, "\na\0b\n", 5), 0);
}
END_TEST

/* ---- the end ---- */

START_TEST(an_error_at_once_ends_the_connection)
{
	say(&a, "lines no\nhello\nhello\n");
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "ERROR not now\n");
	ck_assert_uint_eq(n_lines, 0);
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

START_TEST(a_command_may_end_in_the_middle_of_its_lines)
{
	say(&a, "lines\none\nstop\nhello\n");
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "ERROR stopped\n");
	ck_assert_str_eq(kept, "one\nstop\n");
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

START_TEST(a_command_may_end_later_than_its_lines)
{
	is_late = true;
	say(&a, "lines\none\n");
	end_sending(&a);
	PUMP_UNTIL(held != NULL);
	/* The end is told once, whatever wakes the client. */
	on_read(
	    LIST_FIRST(&control->clients)->bev, LIST_FIRST(&control->clients));
	for (int i = 0; i < 10; i++)
		step();
	control_say(held, "late");
	control_done(held, NULL);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "= 1 lines\n= late\nOK\n");
}
END_TEST

START_TEST(a_client_that_goes_cancels_the_request)
{
	say(&a, "lines\none\n");
	PUMP_UNTIL(n_lines == 1);
	(void)close(a.fd);
	PUMP_UNTIL(n_cancelled == 1);
	ck_assert_uint_eq(control->n, 0);
}
END_TEST

START_TEST(a_client_that_goes_after_its_end_cancels_it_too)
{
	is_late = true;
	say(&a, "lines\none\n");
	end_sending(&a);
	PUMP_UNTIL(held != NULL);
	(void)close(a.fd);
	/* Nothing is read from it any more: writing tells. */
	while (held != NULL) {
		control_say(held, "are you there?");
		step();
	}
	ck_assert_uint_eq(n_cancelled, 1);
	ck_assert_uint_eq(control->n, 0);
}
END_TEST

START_TEST(the_end_of_the_server_cancels_it)
{
	say(&a, "lines\none\n");
	PUMP_UNTIL(n_lines == 1);
	control_free(&control);
	ck_assert_uint_eq(n_cancelled, 1);
	PUMP_UNTIL(has_gone(&a));
}
END_TEST

/* ---- limits ---- */

START_TEST(a_quiet_log_is_not_idle)
{
	idle_ms = 50;
	say(&a, "lines\none\n");
	PUMP_UNTIL(n_lines == 1);
	peer_dial(&b);
	PUMP_UNTIL(has_gone(&b));
	loop_for(base, 3 * idle_ms);
	say(&a, "two\n");
	PUMP_UNTIL(n_lines == 2);
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

#define FLOOD_LINE "0123456789012345678901234567890123456789012345678\n"

/* Sends as much as the socket takes. */
static void
flood(struct peer *peer)
{
	static char bytes[1000 * (sizeof(FLOOD_LINE) - 1) + 1];

	if (bytes[0] == '\0')
		for (int i = 0; i < 1000; i++)
			memcpy(bytes + i * 50, FLOOD_LINE, 50);
	while (send(peer->fd, bytes, sizeof(bytes) - 1, MSG_NOSIGNAL) > 0)
		;
}

START_TEST(who_floods_is_held_back_and_holds_up_nobody)
{
	uint64_t begin_ms, ticks;
	size_t before;

	say(&a, "lines\n");
	PUMP_UNTIL(n_run == 1);
	begin_ms = clock_boot_ms();
	while (clock_boot_ms() - begin_ms < 500) {
		flood(&a);
		before = n_bytes;
		(void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		/* What one turn can have read. */
		ck_assert_uint_le(n_bytes - before, CONTROL_PACE_BYTES);
	}
	ck_assert_uint_gt(n_lines, 1000);
	/* There was always something to read, and no more was taken than its
	   pace allows: what was saved up, and the tick that has begun. */
	ticks = (clock_boot_ms() - begin_ms) * 1000 / CONTROL_PACE_US + 2;
	ck_assert_uint_le(n_bytes, ticks * CONTROL_PACE_BYTES);
	peer_dial(&b);
	flood(&a);
	ask(&b, "hello\n", "OK\n");
}
END_TEST

START_TEST(a_big_backlog_arrives_whole)
{
	unsigned sent = 0;

	say(&a, "lines\n");
	while (sent < 100000) {
		if (send(a.fd, FLOOD_LINE, 50, MSG_NOSIGNAL) == 50)
			sent++;
		else
			step();
	}
	end_sending(&a);
	PUMP_UNTIL(has_gone(&a));
	ck_assert_str_eq(a.got, "= 100000 lines\nOK\n");
	ck_assert_uint_eq(n_bytes, 100000 * 49);
}
END_TEST

START_TEST(an_answer_that_nobody_reads_ends_the_request)
{
	idle_ms = 100;
	say(&a, "lines\n");
	for (int i = 0; i < 200000 && n_cancelled == 0; i++) {
		if (send(a.fd, "say\n", 4, MSG_NOSIGNAL) != 4)
			step();
	}
	PUMP_UNTIL(n_cancelled == 1);
	ck_assert_uint_eq(control->n, 0);
}
END_TEST

START_TEST(nothing_is_left_open)
{
	unsigned before;

	PUMP_UNTIL(control->n == 1);
	before = loop_count_descriptors();
	for (int i = 0; i < 5; i++) {
		peer_dial(&b);
		say(&b, "lines\none\n");
		end_sending(&b);
		PUMP_UNTIL(has_gone(&b));
		(void)close(b.fd);
	}
	PUMP_UNTIL(control->n == 1);
	ck_assert_uint_eq(loop_count_descriptors(), before);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("control_lines");
	TCase *lines = tcase_create("lines");
	TCase *ends = tcase_create("the end");
	TCase *limits = tcase_create("limits");

	tcase_add_checked_fixture(lines, setup, close_room);
	tcase_add_loop_test(lines, what_follows_the_request_are_its_lines, 0,
	    (int)NELEM(dialogues));
	tcase_add_loop_test(lines, bytes_that_come_one_by_one_give_the_same, 0,
	    (int)NELEM(dialogues));
	tcase_add_test(lines, a_line_is_handed_on_when_it_comes);
	tcase_add_test(lines, a_long_line_is_cut_off_once_and_zero_bytes_pass);
	suite_add_tcase(s, lines);
	tcase_add_checked_fixture(ends, setup, close_room);
	tcase_add_test(ends, an_error_at_once_ends_the_connection);
	tcase_add_test(ends, a_command_may_end_in_the_middle_of_its_lines);
	tcase_add_test(ends, a_command_may_end_later_than_its_lines);
	tcase_add_test(ends, a_client_that_goes_cancels_the_request);
	tcase_add_test(ends, a_client_that_goes_after_its_end_cancels_it_too);
	tcase_add_test(ends, the_end_of_the_server_cancels_it);
	suite_add_tcase(s, ends);
	tcase_add_checked_fixture(limits, setup, close_room);
	tcase_set_timeout(limits, 30);
	tcase_add_test(limits, a_quiet_log_is_not_idle);
	tcase_add_test(limits, who_floods_is_held_back_and_holds_up_nobody);
	tcase_add_test(limits, a_big_backlog_arrives_whole);
	tcase_add_test(limits, an_answer_that_nobody_reads_ends_the_request);
	tcase_add_test(limits, nothing_is_left_open);
	suite_add_tcase(s, limits);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
