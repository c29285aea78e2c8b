/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/health_table.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define SOMEBODY 12345 /* a user that is neither us nor root */

static struct scratch scratch;

static void
set_up(void)
{
	scratch_make(&scratch);
}

static void
tear_down(void)
{
	scratch_remove(&scratch);
}

/* A table with a deferred host; closed. */
static void
leave_a_table(void)
{
	struct health_table *table =
	    scratch_open(&scratch, HEALTH_TABLE_CREATED);
	struct health_detail detail = scratch_detail();

	health_table_write(table, scratch_add(table, 0), &detail);
	health_table_close(&table);
}

START_TEST(what_is_no_plain_file_is_refused_and_left_alone)
{
	static const char *const words[] = { "Is a directory",
		"is a symbolic link", "is no plain file", "No such device" };
	struct health_table *table;
	char target[64];

	snprintf(target, sizeof(target), "%s/target", scratch.directory);
	if (_i == 0)
		ck_assert_int_eq(mkdir(scratch.path, 0700), 0);
	else if (_i == 1)
		ck_assert_int_eq(symlink(target, scratch.path), 0);
	else
		ck_assert_int_eq(
		    mknod(scratch.path,
			_i == 2 ? S_IFIFO | 0600 : S_IFSOCK | 0600, 0),
		    0);
	scratch_open_fails(&scratch, words[_i]);
	ck_assert_int_eq(health_table_attach(scratch.path,
			     scratch.birth.boot_id, &table, &scratch.why),
	    -1);
	ck_assert_int_eq(access(target, F_OK), -1);
}
END_TEST

START_TEST(a_tool_finds_no_table_in_words)
{
	struct health_table *table;
	uint8_t other_boot[16] = { 0 };

	ck_assert_int_eq(health_table_attach(scratch.path,
			     scratch.birth.boot_id, &table, &scratch.why),
	    -1);
	ck_assert_ptr_nonnull(strstr(scratch.why.text, "No such file"));
	leave_a_table();
	ck_assert_int_eq(
	    health_table_attach(scratch.path, other_boot, &table, &scratch.why),
	    -1);
	ck_assert_ptr_nonnull(strstr(scratch.why.text, "before the last boot"));
}
END_TEST

START_TEST(a_table_that_anybody_may_write_is_not_trusted)
{
	struct health_table *table;
	struct stat status;

	leave_a_table();
	ck_assert_int_eq(chmod(scratch.path, 0646), 0);
	ck_assert_int_eq(health_table_attach(scratch.path,
			     scratch.birth.boot_id, &table, &scratch.why),
	    -1);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	ck_assert_ptr_nonnull(strstr(scratch.why.text, "anybody may write"));
	health_table_close(&table);
	ck_assert_int_eq(stat(scratch.path, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0640);
}
END_TEST

/* Only root can give files away: for others this test has nothing to do. */
START_TEST(the_worker_trusts_its_own_table_and_roots)
{
	struct health_table *table;

	leave_a_table();
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(scratch.path, SOMEBODY, (gid_t)-1), 0);
	if (health_table_attach(scratch.path, scratch.birth.boot_id, &table,
		&scratch.why) == -1)
		ck_abort_msg("%s", scratch.why.text);
	health_table_close(&table);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	ck_assert_ptr_nonnull(strstr(scratch.why.text, "belongs to user"));
	health_table_close(&table);
}
END_TEST

START_TEST(a_table_that_may_not_be_opened_is_replaced)
{
	struct health_table *table;

	leave_a_table();
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(scratch.path, 0600), 0);
	ck_assert_int_eq(chown(scratch.directory, SOMEBODY, (gid_t)-1), 0);
	ck_assert_int_eq(seteuid(SOMEBODY), 0);
	table = scratch_open(&scratch, HEALTH_TABLE_REBUILT);
	ck_assert_ptr_nonnull(strstr(scratch.why.text, "Permission denied"));
	health_table_close(&table);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* A limit on file sizes is the full disk that needs no root. */
static void
limit_files(rlim_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };

	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(no_space_for_a_new_table_is_an_error_now)
{
	limit_files(4096);
	scratch_open_fails(&scratch, strerror(EFBIG));
	ck_assert_int_eq(access(scratch.path, F_OK), -1);
	ck_assert_int_eq(access(scratch.new_path, F_OK), -1);
}
END_TEST

START_TEST(no_space_to_grow_leaves_the_old_table_in_use)
{
	struct health_table *table, *old;
	struct health_detail detail;

	leave_a_table();
	old = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	limit_files(200000);
	scratch.size.hosts = 5000;
	scratch_open_fails(&scratch, strerror(EFBIG));
	ck_assert_int_eq(access(scratch.new_path, F_OK), -1);
	ck_assert(!health_table_superseded(old));
	scratch.size.hosts = 10;
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	health_table_read(table, 0, &detail);
	scratch_is_detail(&detail);
	health_table_close(&table);
	health_table_close(&old);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_an_error_in_words)
{
	snprintf(scratch.path, sizeof(scratch.path), "%s/no/such",
	    scratch.directory);
	scratch_open_fails(&scratch, "No such file");
}
END_TEST

/* What an earlier life, or an enemy, left under the name of the new file. */
START_TEST(what_stands_in_the_way_of_the_new_file_is_removed)
{
	struct health_table *table;
	char target[64];
	struct stat status;

	snprintf(target, sizeof(target), "%s/target", scratch.directory);
	if (_i == 0) {
		ck_assert_int_eq(symlink(target, scratch.new_path), 0);
	} else {
		leave_a_table();
		ck_assert_int_eq(rename(scratch.path, scratch.new_path), 0);
	}
	table = scratch_open(&scratch, HEALTH_TABLE_CREATED);
	health_table_close(&table);
	ck_assert_int_eq(access(target, F_OK), -1);
	ck_assert_int_eq(lstat(scratch.new_path, &status), -1);
	ck_assert_int_eq(lstat(scratch.path, &status), 0);
	ck_assert(S_ISREG(status.st_mode));
}
END_TEST

static Suite *
files_suite(void)
{
	Suite *suite = suite_create("health_table_files");
	TCase *files = tcase_create("files");

	tcase_add_checked_fixture(files, set_up, tear_down);
	tcase_add_loop_test(
	    files, what_is_no_plain_file_is_refused_and_left_alone, 0, 4);
	tcase_add_test(files, a_tool_finds_no_table_in_words);
	tcase_add_test(files, a_table_that_anybody_may_write_is_not_trusted);
	tcase_add_test(files, the_worker_trusts_its_own_table_and_roots);
	tcase_add_test(files, a_table_that_may_not_be_opened_is_replaced);
	tcase_add_test(files, no_space_for_a_new_table_is_an_error_now);
	tcase_add_test(files, no_space_to_grow_leaves_the_old_table_in_use);
	tcase_add_test(
	    files, a_directory_that_is_not_there_is_an_error_in_words);
	tcase_add_loop_test(
	    files, what_stands_in_the_way_of_the_new_file_is_removed, 0, 2);
	suite_add_tcase(suite, files);
	return suite;
}

int
main(void)
{
	return suite_run(files_suite());
}
