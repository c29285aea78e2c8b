/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's (clients), the map thread, and one that floods. */
#include "milter/socketmap_server_limits.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "milter/clock.h"
#include "tests/unit/map_client.h"
#include "tests/unit/suite.h"

START_TEST(an_unfinished_request_has_its_time)
{
	const struct socketmap_limits limits = { .connections = 16,
		.idle_ms = 60000,
		.unfinished_ms = 100,
		.evict_idle_ms = 1000,
		.sweep_ms = 10 };
	int half, silent, other;

	start(&limits);
	other = new_client();
	silent = new_client();
	half = new_client();
	ask(half);
	put(half, "11:transport", 12);
	expect_closed(half);
	ask(other);
	/* To ask nothing is no fault. */
	ck_assert(is_open(silent));
	ask(silent);
	(void)close(silent);
	(void)close(other);
	stop();
}
END_TEST

START_TEST(each_request_has_a_time_of_its_own)
{
	const struct socketmap_limits limits = { .connections = 16,
		.idle_ms = 60000,
		.unfinished_ms = 600,
		.evict_idle_ms = 1000,
		.sweep_ms = 10 };
	static const char request[] = "11:transport *,11:transport *,";
	uint64_t end_ms;
	int fd;

	start(&limits);
	end_ms = clock_boot_ms() + 2 * limits.unfinished_ms;
	fd = new_client();
	put(fd, request, 5);
	/* There is always a part of the next one. */
	while (clock_boot_ms() < end_ms) {
		put(fd, request + 5, 15);
		expect_answer(fd, "NOTFOUND ");
	}
	(void)close(fd);
	stop();
}
END_TEST

START_TEST(an_idle_client_is_closed_in_the_end)
{
	const struct socketmap_limits limits = { .connections = 16,
		.idle_ms = 200,
		.unfinished_ms = 60000,
		.evict_idle_ms = 1000,
		.sweep_ms = 10 };
	uint64_t before;
	int fd;

	start(&limits);
	fd = new_client();
	ask(fd);
	before = clock_boot_ms();
	expect_closed(fd);
	ck_assert_uint_ge(clock_boot_ms() + 5, before + limits.idle_ms);
	stop();
}
END_TEST

START_TEST(silent_clients_beyond_the_cap_lock_nobody_out)
{
	const struct socketmap_limits limits = { .connections = 8,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 60000,
		.sweep_ms = 1000 };
	int silent[40], old, fd;

	start(&limits);
	old = new_client();
	ask(old);
	for (int i = 0; i < 40; i++) {
		silent[i] = new_client();
		if (i % 2 == 0)
			put(silent[i], "11:tran", 7);
		fd = new_client();
		ask(fd);
		(void)close(fd);
	}
	/* Whoever had an answer was not thrown out for them. */
	ask(old);
	ck_assert(!is_open(silent[0]));
	for (int i = 0; i < 40; i++)
		(void)close(silent[i]);
	(void)close(old);
	stop();
}
END_TEST

/* As when a worker begins that many have waited for. */
START_TEST(who_has_asked_is_answered_before_he_gives_room)
{
	enum { ASKERS = 40 };
	const struct socketmap_limits limits = { .connections = 4,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 0,
		.sweep_ms = 1000 };
	struct err err = { "" };
	int fd[ASKERS];

	start(&limits);
	socketmap_server_stop(&server);
	for (int i = 0; i < ASKERS; i++) {
		fd[i] = new_client();
		put_request(fd[i], "user@example.com");
	}
	ck_assert_int_eq(
	    socketmap_server_start_with(listen_fd, &limits, &server, &err), 0);
	for (int i = 0; i < ASKERS; i++) {
		expect_answer(fd[i], "OK nexthop:[192.168.1.10]:25");
		(void)close(fd[i]);
	}
	stop();
}
END_TEST

START_TEST(idle_clients_give_room_the_longest_idle_first)
{
	const struct socketmap_limits limits = { .connections = 4,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 0,
		.sweep_ms = 1000 };
	int idle[4], fd;

	start(&limits);
	for (int i = 0; i < 4; i++) {
		uint64_t now = clock_boot_ms();

		idle[i] = new_client();
		ask(idle[i]);
		while (clock_boot_ms() == now)
			(void)sched_yield();
	}
	ask(idle[0]);
	fd = new_client();
	ask(fd);
	expect_closed(idle[1]);
	ask(idle[0]);
	ask(idle[2]);
	ask(idle[3]);
	(void)close(fd);
	(void)close(idle[0]);
	(void)close(idle[2]);
	(void)close(idle[3]);
	stop();
}
END_TEST

static double
cpu_seconds(void)
{
	struct timespec used;

	ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

START_TEST(where_all_are_busy_a_new_client_waits_and_nothing_spins)
{
	const struct socketmap_limits limits = { .connections = 4,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 60000,
		.sweep_ms = 60000 };
	struct pollfd waiting = { .events = POLLIN };
	int busy[4];
	double before;

	start(&limits);
	for (int i = 0; i < 4; i++) {
		busy[i] = new_client();
		ask(busy[i]);
	}
	waiting.fd = new_client();
	put_request(waiting.fd, "user@example.com");
	before = cpu_seconds();
	ck_assert_int_eq(poll(&waiting, 1, 300), 0);
	ck_assert_double_lt(cpu_seconds() - before, 0.1);
	(void)close(busy[2]);
	expect_answer(waiting.fd, "OK nexthop:[192.168.1.10]:25");
	for (int i = 0; i < 4; i++)
		if (i != 2)
			(void)close(busy[i]);
	(void)close(waiting.fd);
	stop();
}
END_TEST

/* From now on the process can have so many more descriptors. */
static void
limit_descriptors(int more, struct rlimit *before_r)
{
	struct rlimit limit;
	int next = dup(STDERR_FILENO);

	ck_assert_int_ne(next, -1);
	(void)close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before_r), 0);
	limit = *before_r;
	limit.rlim_cur = (rlim_t)next + (rlim_t)more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(without_descriptors_clients_are_still_answered)
{
	const struct socketmap_limits limits = { .connections = 64,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 0,
		.sweep_ms = 10 };
	int silent[10], asking[4], first;
	struct rlimit before_limit;
	double before;

	start(&limits);
	/* The loop is running and all it needs is open. */
	first = new_client();
	ask(first);
	for (int i = 0; i < 10; i++)
		silent[i] = make_client();
	for (int i = 0; i < 4; i++)
		asking[i] = make_client();
	(void)close(first);
	limit_descriptors(_i, &before_limit);
	for (int i = 0; i < 10; i++)
		connect_client(silent[i]);
	before = cpu_seconds();
	for (int i = 0; i < 4; i++) {
		connect_client(asking[i]);
		ask(asking[i]);
	}
	ck_assert_double_lt(cpu_seconds() - before, 1.0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before_limit), 0);
	for (int i = 0; i < 10; i++)
		(void)close(silent[i]);
	for (int i = 0; i < 4; i++)
		(void)close(asking[i]);
	stop();
}
END_TEST

START_TEST(who_does_not_read_is_closed_and_holds_up_nobody)
{
	const struct socketmap_limits limits = { .connections = 16,
		.idle_ms = 60000,
		.unfinished_ms = 200,
		.evict_idle_ms = 1000,
		.sweep_ms = 10 };
	char request[128];
	size_t len = make_request("a@b.hold.test", request, sizeof(request));
	uint64_t end_ms = clock_boot_ms() + PATIENCE_S * 1000;
	int deaf, other, error = 0;

	start(&limits);
	other = new_client();
	deaf = new_client();
	while (clock_boot_ms() < end_ms) {
		if (send(deaf, request, len, MSG_DONTWAIT) != -1)
			continue;
		error = errno;
		if (error != EAGAIN)
			break;
		ask(other);
	}
	ck_assert(error == EPIPE || error == ECONNRESET);
	ask(other);
	(void)close(deaf);
	(void)close(other);
	stop();
}
END_TEST

/* There is always something to read of it, and nobody who reads it. */
START_TEST(who_asks_and_does_not_read_keeps_no_place)
{
	const struct socketmap_limits limits = { .connections = 1,
		.idle_ms = 60000,
		.unfinished_ms = 60000,
		.evict_idle_ms = 0,
		.sweep_ms = 1000 };
	char request[128];
	size_t len = make_request("a@b.hold.test", request, sizeof(request));
	struct pollfd room;
	int deaf, other;

	start(&limits);
	deaf = new_client();
	ask(deaf);
	/* Until it takes no more. */
	do {
		while (send(deaf, request, len, MSG_DONTWAIT) != -1)
			;
		ck_assert_int_eq(errno, EAGAIN);
		room = (struct pollfd){ .fd = deaf, .events = POLLOUT };
	} while (poll(&room, 1, 200) > 0);
	other = new_client();
	ask(other);
	(void)close(deaf);
	(void)close(other);
	stop();
}
END_TEST

static _Atomic bool enough;
static _Atomic unsigned flooded;

/* Keeps the server's input full and takes what it says. */
static void *
flood(void *arg)
{
	int fd = *(int *)arg;
	char requests[4096], answers[65536];
	size_t len = 0, at = 0;

	while (len + 64 < sizeof(requests))
		len += make_request(
		    "a@b.hold.test", requests + len, sizeof(requests) - len);
	while (!atomic_load(&enough)) {
		ssize_t n = send(fd, requests + at, len - at, MSG_DONTWAIT);

		if (n > 0)
			at = (at + (size_t)n) % len;
		n = recv(fd, answers, sizeof(answers), MSG_DONTWAIT);
		if (n > 0)
			(void)atomic_fetch_add(&flooded, (unsigned)n);
	}
	return NULL;
}

START_TEST(a_flooder_starves_nobody)
{
	pthread_t thread;
	unsigned before;
	int flooder, other;

	start(&socketmap_limits_usual);
	flooder = new_client();
	other = new_client();
	ck_assert_int_eq(pthread_create(&thread, NULL, flood, &flooder), 0);
	while (atomic_load(&flooded) < 65536)
		(void)sched_yield();
	before = atomic_load(&flooded);
	for (int i = 0; i < 200; i++)
		ask(other);
	/* It did flood all the while. */
	ck_assert_uint_gt(atomic_load(&flooded), before);
	atomic_store(&enough, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(flooder);
	(void)close(other);
	stop();
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, an_unfinished_request_has_its_time);
	tcase_add_test(tcase, each_request_has_a_time_of_its_own);
	tcase_add_test(tcase, an_idle_client_is_closed_in_the_end);
	tcase_add_test(tcase, silent_clients_beyond_the_cap_lock_nobody_out);
	tcase_add_test(tcase, who_has_asked_is_answered_before_he_gives_room);
	tcase_add_test(tcase, idle_clients_give_room_the_longest_idle_first);
	tcase_add_test(
	    tcase, where_all_are_busy_a_new_client_waits_and_nothing_spins);
	tcase_add_loop_test(
	    tcase, without_descriptors_clients_are_still_answered, 0, 3);
	tcase_add_test(tcase, who_does_not_read_is_closed_and_holds_up_nobody);
	tcase_add_test(tcase, who_asks_and_does_not_read_keeps_no_place);
	tcase_add_test(tcase, a_flooder_starves_nobody);
}

int
main(void)
{
	Suite *suite = suite_create("socketmap_limits");
	TCase *tcase = tcase_create("socketmap_limits");

	tcase_set_timeout(tcase, 60);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
