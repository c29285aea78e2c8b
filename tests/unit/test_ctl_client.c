/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's, and one that plays the daemon. */
#include "milter/ctl_client.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define SOMEBODY 12345 /* a user that is neither us nor root */

static struct sockaddr_un address;
static int listen_fd;
static char *text; /* what the client has copied */
static size_t text_len;
static struct err err;

static void
set_up(void)
{
	scratch_begin();
	address.sun_family = AF_UNIX;
	(void)scratch_path("control", address.sun_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listen_fd, 4), 0);
}

static void
tear_down(void)
{
	(void)close(listen_fd);
	free(text);
	scratch_end();
}

struct part {
	const char *answer;
	unsigned times; /* it is said */
	bool stays;	/* open, and silent, until the client has gone */
};

static void *
play(void *arg)
{
	const struct part *part = arg;
	int fd = accept(listen_fd, NULL, NULL);
	char byte;

	while (recv(fd, &byte, 1, 0) == 1 && byte != '\n')
		;
	for (unsigned i = 0; i < part->times; i++)
		if (send(fd, part->answer, strlen(part->answer),
			MSG_NOSIGNAL) == -1)
			break;
	while (part->stays && recv(fd, &byte, 1, 0) > 0)
		;
	(void)close(fd);
	return NULL;
}

static enum ctl_answer
ask(struct part part, uint32_t wait_ms)
{
	enum ctl_answer answer;
	pthread_t thread;
	FILE *out;

	free(text);
	text = NULL;
	out = open_memstream(&text, &text_len);
	ck_assert_int_eq(pthread_create(&thread, NULL, play, &part), 0);
	answer =
	    ctl_client_ask(address.sun_path, "probe x", wait_ms, out, &err);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(fclose(out), 0);
	return answer;
}

static const struct {
	struct part part;
	enum ctl_answer answer;
	const char *copied;
	const char *words; /* NULL: err is not set */
} rows[] = {
	{ { "OK\n", 1, true }, CTL_ANSWER_OK, "", NULL },
	{ { "= a\n= b\nOK\n", 1, true }, CTL_ANSWER_OK, "a\nb\n", NULL },
	{ { "= a\nnoise\n= b\nOK\n", 1, false }, CTL_ANSWER_OK, "a\nb\n",
	    NULL },
	{ { "= a\nERROR no such host\n", 1, true }, CTL_ANSWER_ERROR, "a\n",
	    "no such host" },
	{ { "", 1, false }, CTL_ANSWER_NONE, "", "closed the connection" },
	{ { "= a\nO", 1, false }, CTL_ANSWER_NONE, "a\n",
	    "closed the connection" },
	{ { "endless ", 1000, false }, CTL_ANSWER_NONE, "", "an endless line" },
};

START_TEST(an_answer_is_taken_as_its_row_says)
{
	err.text[0] = '\0';
	ck_assert_int_eq(ask(rows[_i].part, 20000), rows[_i].answer);
	ck_assert_str_eq(text, rows[_i].copied);
	if (rows[_i].words == NULL)
		ck_assert_str_eq(err.text, "");
	else
		ck_assert_msg(
		    strstr(err.text, rows[_i].words) != NULL, "%s", err.text);
}
END_TEST

START_TEST(a_daemon_that_says_nothing_is_waited_for_no_longer_than_was_said)
{
	ck_assert_int_eq(
	    ask((struct part){ "= a\n", 1, true }, 50), CTL_ANSWER_NONE);
	ck_assert_str_eq(text, "a\n");
	ck_assert_str_eq(err.text, "the daemon gave no answer in time");
}
END_TEST

START_TEST(without_a_daemon_there_are_words)
{
	char path[SCRATCH_PATH_MAX], too_long[200];

	ck_assert_int_eq(ctl_client_dial(scratch_path("none", path), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "not running (no socket "));
	(void)close(listen_fd);
	listen_fd = -1;
	ck_assert_int_eq(ctl_client_dial(address.sun_path, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "not running (nobody listens"));
	scratch_write("file", "");
	ck_assert_int_eq(
	    ctl_client_dial(scratch_path("file/x", path), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "cannot connect to "));
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	ck_assert_int_eq(ctl_client_dial(too_long, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "too long"));
}
END_TEST

/* A queue of none: the second client finds it full. */
START_TEST(a_daemon_that_takes_nobody_in_is_too_busy)
{
	int fds[2];

	ck_assert_int_eq(listen(listen_fd, 0), 0);
	fds[0] = ctl_client_dial(address.sun_path, &err);
	ck_assert_int_ne(fds[0], -1);
	fds[1] = ctl_client_dial(address.sun_path, &err);
	ck_assert_int_eq(fds[1], -1);
	ck_assert_ptr_nonnull(strstr(err.text, "too busy to answer"));
	(void)close(fds[0]);
}
END_TEST

START_TEST(who_has_no_permission_is_told_who_has)
{
	if (geteuid() != 0)
		return; /* only root can become somebody else */
	ck_assert_int_eq(chmod(scratch_folder, 0755), 0);
	ck_assert_int_eq(chmod(address.sun_path, 0600), 0);
	ck_assert_int_eq(seteuid(SOMEBODY), 0);
	ck_assert_int_eq(ctl_client_dial(address.sun_path, &err), -1);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "only root and the daemon's"));
}
END_TEST

/* The spelling of the option and that of a socket are the same place. */
START_TEST(a_path_may_be_spelled_as_a_socket)
{
	char spelled[sizeof(address.sun_path) + 8];
	int fd;

	(void)snprintf(spelled, sizeof(spelled), "unix:%s", address.sun_path);
	fd = ctl_client_dial(spelled, &err);
	ck_assert_int_ne(fd, -1);
	(void)close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_ctl_client");
	TCase *tcase = tcase_create("client");

	tcase_set_timeout(tcase, 30);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(
	    tcase, an_answer_is_taken_as_its_row_says, 0, (int)NELEM(rows));
	tcase_add_test(tcase,
	    a_daemon_that_says_nothing_is_waited_for_no_longer_than_was_said);
	tcase_add_test(tcase, without_a_daemon_there_are_words);
	tcase_add_test(tcase, a_daemon_that_takes_nobody_in_is_too_busy);
	tcase_add_test(tcase, who_has_no_permission_is_told_who_has);
	tcase_add_test(tcase, a_path_may_be_spelled_as_a_socket);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
