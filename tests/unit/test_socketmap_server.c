/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's (clients), the map thread, and one that asks a lot. */
#include "milter/socketmap_server.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/snapshot.h"
#include "milter/socketmap_server_limits.h"
#include "tests/unit/map_client.h"
#include "tests/unit/suite.h"

START_TEST(a_client_gets_its_answers)
{
	int fd;

	start(&socketmap_limits_usual);
	fd = new_client();
	for (int i = 0; i < 3; i++) {
		ask(fd);
		put_request(fd, "*");
		expect_answer(fd, "NOTFOUND ");
		put_request(fd, "a@b.hold.test");
		expect_answer(fd, "OK nexthop-hold:b.hold.test");
	}
	(void)close(fd);
	stop();
}
END_TEST

START_TEST(dribbled_bytes_are_answered_and_hold_up_nobody)
{
	static const char request[] = "26:transport user@example.com,";
	int slow, quick;

	start(&socketmap_limits_usual);
	slow = new_client();
	quick = new_client();
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		put(slow, request + i, 1);
		ask(quick);
	}
	expect_answer(slow, "OK nexthop:[192.168.1.10]:25");
	(void)close(slow);
	(void)close(quick);
	stop();
}
END_TEST

/* Each is answered with TEMP and a closed connection, or just closed. */
static const struct {
	const char *bytes;
	size_t len;
} violations[] = {
#define BYTES(text)                                                            \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}
	BYTES("x"),
	BYTES("\r\n"),
	BYTES("GET / HTTP/1.0\r\n\r\n"),
	BYTES(":transport *,"),
	BYTES("-1:transport *,"),
	BYTES("011:transport *,"),
	BYTES("11:transport *;"),
	BYTES("5:transport *,"),
	BYTES("10001:transport *,"),
	BYTES("999999999999999999999999999999:transport *,"),
	BYTES("\0\0\0\0"),
	BYTES("\xff\xfe\xfd"),
	BYTES("11:transport *,x"),
	BYTES("11:transport *,11:transport *;11:transport *,"),
#undef BYTES
};

START_TEST(a_violation_ends_in_temp_or_a_closed_connection)
{
	const char *said = NULL;
	int fd, other, n = 0;

	start(&socketmap_limits_usual);
	other = new_client();
	ask(other);
	fd = new_client();
	put(fd, violations[_i].bytes, violations[_i].len);
	while ((said = get_answer(fd)) != NULL && ++n < 10)
		ck_assert(strcmp(said, "NOTFOUND ") == 0 ||
			  strncmp(said, "TEMP ", 5) == 0);
	ck_assert_int_lt(n, 10);
	(void)close(fd);
	ask(other);
	(void)close(other);
	stop();
}
END_TEST

START_TEST(an_oversized_request_harms_nobody)
{
	static char big[64 * 1024];
	int fd, other;

	start(&socketmap_limits_usual);
	other = new_client();
	fd = new_client();
	memset(big, '1', sizeof(big));
	(void)send(fd, big, sizeof(big), MSG_DONTWAIT);
	expect_closed(fd);
	ask(other);
	/* The longest that is allowed is just another unknown address. */
	fd = new_client();
	memset(big, 'x', 10000);
	memcpy(big, "transport ", 10);
	put(fd, "10000:", 6);
	put(fd, big, 10000);
	put(fd, ",", 1);
	expect_answer(fd, "NOTFOUND ");
	ask(fd);
	(void)close(fd);
	(void)close(other);
	stop();
}
END_TEST

static void
expect_big_answer(int fd)
{
	const char *got = get_answer(fd);
	int hosts = 0;

	ck_assert_ptr_nonnull(got);
	ck_assert_int_eq(strncmp(got, "OK nexthop:[192.168.", 20), 0);
	for (; (got = strchr(got, '[')) != NULL; got++)
		hosts++;
	ck_assert_int_eq(hosts, BIG_LIST);
}

static const char *
small_key(int i, char *key, size_t size)
{
	(void)snprintf(key, size, "a@n%d.hold.test", i);
	return key;
}

static void
expect_small_answer(int fd, int i)
{
	char want[64];

	(void)snprintf(want, sizeof(want), "OK nexthop-hold:n%d.hold.test", i);
	expect_answer(fd, want);
}

START_TEST(more_requests_than_one_turn_answers_come_in_the_next)
{
	char requests[9000], key[64];
	size_t len = 0;
	int fd, n = 0;

	start(&socketmap_limits_usual);
	fd = new_client();
	for (; len + 64 < sizeof(requests); n++)
		len += make_request(small_key(n, key, sizeof(key)),
		    requests + len, sizeof(requests) - len);
	/* One write, and then silence. */
	put(fd, requests, len);
	for (int i = 0; i < n; i++)
		expect_small_answer(fd, i);
	(void)close(fd);
	stop();
}
END_TEST

START_TEST(answers_that_had_to_wait_are_sent_when_they_are_read)
{
	char requests[9000], key[64];
	size_t len = 0;
	int fd, other, n = 0;

	start_on(_i == 1, &socketmap_limits_usual);
	other = new_client();
	fd = new_client();
	for (; len + 64 < sizeof(requests); n++)
		len += make_request(
		    n % 10 == 0 ? small_key(n, key, sizeof(key)) : "a@big.test",
		    requests + len, sizeof(requests) - len);
	put(fd, requests, len);
	/* Each of these is a turn of the other's, too: it takes all requests
	   in and gets stuck in its answers. */
	for (int i = 0; i < 100; i++)
		ask(other);
	for (int i = 0; i < n; i++)
		if (i % 10 == 0)
			expect_small_answer(fd, i);
		else
			expect_big_answer(fd);
	ask(fd);
	(void)close(other);
	(void)close(fd);
	stop();
}
END_TEST

#define PIPELINED 30000

static _Atomic bool stuck;

/* Asks and asks; says when the server takes no more. */
static void *
put_many(void *arg)
{
	struct pollfd client = { .fd = *(int *)arg, .events = POLLOUT };
	char key[64];

	for (int i = 0; i < PIPELINED; i++) {
		if (poll(&client, 1, 100) == 0)
			atomic_store(&stuck, true);
		put_request(client.fd, small_key(i, key, sizeof(key)));
	}
	(void)shutdown(client.fd, SHUT_WR);
	atomic_store(&stuck, true);
	return NULL;
}

START_TEST(pipelined_requests_are_answered_in_order_and_to_the_last)
{
	pthread_t thread;
	int fd;

	start_on(_i == 1, &socketmap_limits_usual);
	fd = new_client();
	ck_assert_int_eq(pthread_create(&thread, NULL, put_many, &fd), 0);
	/* Nothing is read before all buffers are full. */
	while (!atomic_load(&stuck))
		(void)sched_yield();
	for (int i = 0; i < PIPELINED; i++)
		expect_small_answer(fd, i);
	/* It had said that this is all. */
	ck_assert_ptr_null(get_answer(fd));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(fd);
	stop();
}
END_TEST

START_TEST(who_asks_and_ends_at_once_gets_the_answer_and_the_end)
{
	start(&socketmap_limits_usual);
	for (int i = 0; i < 100; i++) {
		int fd = new_client();

		put_request(fd, "user@example.com");
		ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
		expect_answer(fd, "OK nexthop:[192.168.1.10]:25");
		expect_closed(fd);
	}
	stop();
}
END_TEST

START_TEST(half_a_request_and_then_the_end_is_no_answer)
{
	int fd;

	start(&socketmap_limits_usual);
	fd = new_client();
	put(fd, "11:trans", 8);
	(void)shutdown(fd, SHUT_WR);
	ck_assert_ptr_null(get_answer(fd));
	(void)close(fd);
	stop();
}
END_TEST

START_TEST(a_reload_is_seen_and_the_old_configuration_let_go)
{
	const struct socketmap_limits limits = { .connections = 16,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 1000,
		.sweep_ms = 10 };
	struct err err = { "" };
	int fd;

	start(&limits);
	fd = new_client();
	ask(fd);
	ck_assert_int_eq(
	    snapshot_adopt(scratch_config(ROUTES("192.168.1.99")), &err), 0);
	put_request(fd, "user@example.com");
	expect_answer(fd, "OK nexthop:[192.168.1.99]:25");
	snapshot_reap();
	(void)close(fd);
	stop();
}
END_TEST

START_TEST(a_stop_closes_all_connections)
{
	int idle, half;

	start(&socketmap_limits_usual);
	idle = new_client();
	ask(idle);
	half = new_client();
	ask(half);
	put(half, "11:tr", 5);
	stop();
	expect_closed(idle);
	expect_closed(half);
}
END_TEST

START_TEST(each_answer_is_in_the_debug_log)
{
	char *log;
	int fd;

	start(&socketmap_limits_usual);
	fd = new_client();
	put_request(fd, "\"a\nb\"@example.com");
	expect_answer(fd, "OK nexthop:[192.168.1.10]:25");
	socketmap_server_stop(&server);
	log = scratch_read("log");
	ck_assert_ptr_nonnull(strstr(log,
	    "debug: map: client 1: transport \"a\\x0ab\"@example.com -> "
	    "OK nexthop:[192.168.1.10]:25\n"));
	free(log);
	(void)close(fd);
	stop();
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_client_gets_its_answers);
	tcase_add_test(tcase, dribbled_bytes_are_answered_and_hold_up_nobody);
	tcase_add_loop_test(tcase,
	    a_violation_ends_in_temp_or_a_closed_connection, 0,
	    (int)NELEM(violations));
	tcase_add_test(tcase, an_oversized_request_harms_nobody);
	tcase_add_test(
	    tcase, more_requests_than_one_turn_answers_come_in_the_next);
	tcase_add_loop_test(
	    tcase, answers_that_had_to_wait_are_sent_when_they_are_read, 0, 2);
	tcase_add_loop_test(tcase,
	    pipelined_requests_are_answered_in_order_and_to_the_last, 0, 2);
	tcase_add_test(
	    tcase, who_asks_and_ends_at_once_gets_the_answer_and_the_end);
	tcase_add_test(tcase, half_a_request_and_then_the_end_is_no_answer);
	tcase_add_test(
	    tcase, a_reload_is_seen_and_the_old_configuration_let_go);
	tcase_add_test(tcase, a_stop_closes_all_connections);
	tcase_add_test(tcase, each_answer_is_in_the_debug_log);
}

int
main(void)
{
	Suite *suite = suite_create("socketmap_server");
	TCase *tcase = tcase_create("socketmap_server");

	tcase_set_timeout(tcase, 60);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
