/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one; another process holds the lock. */
#include "milter/table_lock.h"

#include <check.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char path[SCRATCH_PATH_MAX];

static void
set_up(void)
{
	scratch_begin();
	(void)scratch_path("health", path);
}

/* Takes the lock in a process of its own, which is there until it is killed. */
static pid_t
let_another_take_it(void)
{
	struct err err;
	int ends[2];
	char done;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		done = table_lock_take(path, &err) == 0 ? 'y' : 'n';
		(void)!write(ends[1], &done, 1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(ends[0], &done, 1), 1);
	ck_assert_int_eq(done, 'y');
	(void)close(ends[0]);
	(void)close(ends[1]);
	return pid;
}

START_TEST(a_lock_is_one_processs_until_that_is_gone)
{
	char owner[64];
	struct err err = { "" };
	struct stat status;
	pid_t pid = let_another_take_it();

	ck_assert_int_eq(table_lock_take(path, &err), -1);
	(void)snprintf(owner, sizeof(owner),
	    "in use by another nexthop-milter (process "
	    "%ld)",
	    (long)pid);
	ck_assert_ptr_nonnull(strstr(err.text, owner));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	/* It is not waited for: a worker's successor does not wait either. */
	ck_assert_int_eq(table_lock_take(path, &err), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	(void)scratch_path("health.lock", owner);
	ck_assert_int_eq(stat(owner, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_lock_that_cannot_be_made_is_an_error_in_words)
{
	char too_long[PATH_MAX + 1], link[SCRATCH_PATH_MAX];
	struct err err = { "" };

	memset(too_long, 'x', PATH_MAX);
	too_long[PATH_MAX] = '\0';
	ck_assert_int_eq(table_lock_take(too_long, &err), -1);
	ck_assert_int_eq(
	    table_lock_take(scratch_path("none/health", link), &err), -1);
	ck_assert_ptr_nonnull(
	    strstr(err.text, "none/health.lock: No such file"));
	/* Somebody else's file must not be emptied by way of a link. */
	scratch_write("victim", "words");
	ck_assert_int_eq(
	    symlink("victim", scratch_path("health.lock", link)), 0);
	ck_assert_int_eq(table_lock_take(path, &err), -1);
	ck_assert_int_eq(scratch_count("victim", "^words$"), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_table_lock");
	TCase *tcase = tcase_create("lock");

	tcase_set_timeout(tcase, 30);
	tcase_add_checked_fixture(tcase, set_up, scratch_end);
	tcase_add_test(tcase, a_lock_is_one_processs_until_that_is_gone);
	tcase_add_test(tcase, a_lock_that_cannot_be_made_is_an_error_in_words);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
