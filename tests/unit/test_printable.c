/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/printable.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "policy/err.h"
#include "tests/unit/suite.h"

static const struct {
	const char *text;
	size_t len, size;
	const char *want;
} rows[] = {
	{ "431 Mail system full", 20, 64, "431 Mail system full" },
	{ "", 0, 8, "" },
	{ "a\r\nb", 4, 64, "a\\x0d\\x0ab" },
	{ "nul\0byte", 8, 64, "nul\\x00byte" },
	{ "back\\slash", 10, 64, "back\\\\slash" },
	{ "\xc3\xa4", 2, 64, "\\xc3\\xa4" },
	{ "exactly", 7, 8, "exactly" },
	{ "exactly8", 8, 8, "exac..." },
	{ "\x1b[31m red", 9, 12, "\\x1b[31m..." },
	{ "abc\x01\x02", 5, 8, "abc..." },
};

START_TEST(text_of_strangers_is_escaped_and_capped)
{
	char out[64];

	memset(out, '#', sizeof(out));
	ck_assert_ptr_eq(
	    printable(rows[_i].text, rows[_i].len, out, rows[_i].size), out);
	ck_assert_str_eq(out, rows[_i].want);
	ck_assert_uint_lt(strlen(out), rows[_i].size);
}
END_TEST

START_TEST(an_error_is_cut_at_its_buffer)
{
	struct err err;
	char big[2 * ERR_TEXT_MAX];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&err, "%s", big);
	ck_assert_uint_eq(strlen(err.text), ERR_TEXT_MAX - 1);
	err_set(NULL, "nobody listens %d", 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("printable");
	TCase *tcase = tcase_create("printable");

	tcase_add_loop_test(tcase, text_of_strangers_is_escaped_and_capped, 0,
	    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, an_error_is_cut_at_its_buffer);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
