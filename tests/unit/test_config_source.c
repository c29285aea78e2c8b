/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/config_scene.h"
#include "tests/unit/suite.h"

static int
load(void)
{
	char path[SCRATCH_PATH_MAX];

	return config_load(scratch_path("conf", path), &config, &problems);
}

static void
must_load(const char *text)
{
	scratch_write("conf", text);
	if (load() == -1)
		ck_abort_msg("%s: %s", text, problems.list[0].text);
}

START_TEST(a_quote_in_the_name_of_an_included_file_is_escaped)
{
	scratch_write("a\"b\\c", ROUTE);
	must_load("@include \"a\\\"b\\\\c\"\ntickets = 2048;\n");
	ck_assert_uint_eq(config->n_routes, 1);
	ck_assert_uint_eq(config->tickets, 2048);
}
END_TEST

/* These look like the line that includes a file and are none. */
static const char *const no_includes[] = {
	"helo = \"a.test\"; @include \"none\"\n",
	"@includes \"none\"\n",
	"@include\"none\"\n",
	"@include none\n",
	"@include",
	"@include ",
};

START_TEST(what_only_looks_like_an_include_is_left_to_the_parser)
{
	char text[256];

	(void)snprintf(text, sizeof(text), ROUTE "%s", no_includes[_i]);
	scratch_write("conf", text);
	ck_assert_int_eq(load(), -1);
	ck_assert_uint_eq(problems.n_errors, 1);
	ck_assert_msg(strstr(problems.list[0].text, ":2: syntax error") != NULL,
	    "%s", problems.list[0].text);
}
END_TEST

/* The end of the file is the end of whatever stands there. */
static const struct {
	const char *last;
	const char *user;
	uint32_t tickets;
} endings[] = {
	{ "tickets = 2048", "", 2048 },
	{ "tickets = 0x800", "", 2048 },
	{ "tickets = 2048; /**/", "", 2048 },
	{ "tickets = 2048; //", "", 2048 },
	{ "tickets = 2048; #", "", 2048 },
	{ "user = \"a\"", "a", 65536 },
	{ "user = \"a\" \"b\"", "ab", 65536 },
};

START_TEST(a_file_may_end_without_a_line_end_or_a_semicolon)
{
	char text[256];

	(void)snprintf(text, sizeof(text), ROUTE "%s", endings[_i].last);
	must_load(text);
	ck_assert_str_eq(config->user, endings[_i].user);
	ck_assert_uint_eq(config->tickets, endings[_i].tickets);
}
END_TEST

/* What stops in the middle of something. */
static const struct {
	const char *last;
	const char *piece;
} cuts[] = {
	{ "user = \"a\\", ":2: a string that begins here never" },
	{ "user = \"a\\\"", ":2: a string that begins here never" },
	{ "user = \"", ":2: a string that begins here never" },
	{ "/*", ":2: a comment that begins here never" },
	{ "@include \"a\\", ":2: @include without a closing quote" },
	{ "@include \"", ":2: @include without a closing quote" },
	{ "tickets = ", ":2: syntax error" },
	{ "/", ":2: syntax error" },
};

START_TEST(a_file_that_is_cut_short_is_refused_with_the_line_of_the_cut)
{
	char text[256];

	(void)snprintf(text, sizeof(text), ROUTE "%s", cuts[_i].last);
	scratch_write("conf", text);
	ck_assert_int_eq(load(), -1);
	ck_assert_msg(strstr(problems.list[0].text, cuts[_i].piece) != NULL,
	    "%s", problems.list[0].text);
}
END_TEST

/* It has holes only: nothing of it is read. */
START_TEST(a_file_of_more_than_a_gigabyte_is_refused)
{
	char path[SCRATCH_PATH_MAX];

	scratch_write("conf", ROUTE);
	ck_assert_int_eq(
	    truncate(scratch_path("conf", path), ((off_t)1 << 30) + 1), 0);
	ck_assert_int_eq(load(), -1);
	ck_assert_ptr_nonnull(strstr(problems.list[0].text, "too large"));
}
END_TEST

/* Ten files deep is enough for anybody, ten thousand in all too. */
START_TEST(files_may_include_each_other_ten_deep)
{
	char name[32], text[64];

	for (int depth = 10; depth <= 11; depth++) {
		config_free(&config);
		config_problems_free(&problems);
		for (int i = 1; i < depth; i++) {
			(void)snprintf(name, sizeof(name), "f%d", i);
			(void)snprintf(
			    text, sizeof(text), "@include \"f%d\"\n", i + 1);
			scratch_write(name, text);
		}
		(void)snprintf(name, sizeof(name), "f%d", depth);
		scratch_write(name, ROUTE);
		scratch_write("conf", "@include \"f1\"\n");
		ck_assert_int_eq(load(), depth == 10 ? 0 : -1);
	}
	ck_assert_ptr_nonnull(strstr(
	    problems.list[0].text, "f11\": too many files include each other"));
}
END_TEST

static const struct {
	const char *text;
	enum config_log_target target;
} targets[] = {
	{ "syslog", CONFIG_LOG_SYSLOG },
	{ "stderr", CONFIG_LOG_STDERR },
	{ "/stderr", CONFIG_LOG_FILE },
};

START_TEST(the_log_goes_where_its_row_says)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "log = { target = \"%s\"; };\n%s",
	    targets[_i].text, ROUTE);
	must_load(text);
	ck_assert_int_eq(config->log.target, targets[_i].target);
	if (targets[_i].target == CONFIG_LOG_FILE)
		ck_assert_str_eq(config->log.path, targets[_i].text);
	else
		ck_assert_ptr_null(config->log.path);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_config_source");
	TCase *tcase = tcase_create("source");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(
	    tcase, a_quote_in_the_name_of_an_included_file_is_escaped);
	tcase_add_loop_test(tcase,
	    what_only_looks_like_an_include_is_left_to_the_parser, 0,
	    (int)NELEM(no_includes));
	tcase_add_loop_test(tcase,
	    a_file_may_end_without_a_line_end_or_a_semicolon, 0,
	    (int)NELEM(endings));
	tcase_add_loop_test(tcase,
	    a_file_that_is_cut_short_is_refused_with_the_line_of_the_cut, 0,
	    (int)NELEM(cuts));
	tcase_add_test(tcase, a_file_of_more_than_a_gigabyte_is_refused);
	tcase_add_test(tcase, files_may_include_each_other_ten_deep);
	tcase_add_loop_test(
	    tcase, the_log_goes_where_its_row_says, 0, (int)NELEM(targets));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
