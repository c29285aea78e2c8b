/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/line_text.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) (text), sizeof(text) - 1

/* name "": there is no server; what is left behind it. */
static const struct {
	const char *text;
	size_t len;
	const char *name, *address, *rest;
} server_rows[] = {
	{ BYTES("mx.example.net[192.0.2.1]:25"), "mx.example.net", "192.0.2.1",
	    ":25" },
	{ BYTES("MX.Example.NET.[192.0.2.1]"), "mx.example.net", "192.0.2.1",
	    "" },
	{ BYTES("192.0.2.1[192.0.2.1] said"), "192.0.2.1", "192.0.2.1",
	    " said" },
	{ BYTES("2001:DB8:0::1[2001:db8::1]"), "2001:db8::1", "2001:db8::1",
	    "" },
	{ BYTES(""), "", "", "" },
	{ BYTES("mx[192.0.2.1"), "", "", "mx[192.0.2.1" },
	{ BYTES("mx"), "", "", "mx" },
	{ BYTES("[192.0.2.1]"), "", "", "[192.0.2.1]" },
	{ BYTES("mx[]"), "", "", "mx[]" },
	{ BYTES("mx[mx]"), "", "", "mx[mx]" },
	{ BYTES("mx[[192.0.2.1]]"), "", "", "mx[[192.0.2.1]]" },
	{ BYTES("mx][192.0.2.1]"), "", "", "mx][192.0.2.1]" },
	{ BYTES("mx\0x[192.0.2.1]"), "", "", "mx" },
	{ BYTES("mx[192.0.2.1\0]"), "", "", "mx[192.0.2.1" },
};

START_TEST(a_server_is_a_name_and_an_address)
{
	struct line_text text = { server_rows[_i].text, server_rows[_i].len };
	struct line_server server;
	const char *name = server_rows[_i].name;

	ck_assert(line_text_take_server(&text, &server) == (name[0] != '\0'));
	if (name[0] != '\0') {
		ck_assert_str_eq(server.name, name);
		ck_assert_str_eq(server.address, server_rows[_i].address);
		ck_assert_uint_eq(server.port, 0);
	}
	ck_assert(line_text_starts(text, server_rows[_i].rest));
	ck_assert_ptr_eq(
	    text.at + text.len, server_rows[_i].text + server_rows[_i].len);
}
END_TEST

START_TEST(a_server_with_a_name_of_any_length_is_none)
{
	struct line_server server;

	for (size_t len = 64; len < 4096; len++) {
		char *name = malloc(len);
		struct line_text text = { name, len };

		ck_assert_ptr_nonnull(name);
		memset(name, 'a', len);
		memcpy(name + len - 11, "[192.0.2.1]", 11);
		ck_assert(!line_text_take_server(&text, &server) ||
			  strlen(server.name) == len - 11);
		free(name);
	}
}
END_TEST

static const struct {
	const char *text;
	uint32_t max, number; /* 0: it is none */
} number_rows[] = {
	{ "1]", 9, 1 },
	{ "9]", 9, 9 },
	{ "010]", 10, 10 },
	{ "10]", 9, 0 },
	{ "0]", 9, 0 },
	{ "]", 9, 0 },
	{ "1", 9, 0 },
	{ "1 ]", 9, 0 },
	{ "x]", 9, 0 },
	{ "4294967295]", UINT32_MAX, 4294967295 },
	{ "4294967296]", UINT32_MAX, 0 },
	{ "18446744073709551617]", UINT32_MAX, 0 },
};

START_TEST(numbers_have_an_end_and_a_limit)
{
	const char *start = number_rows[_i].text;
	struct line_text text = { start, strlen(start) };
	uint32_t number = 0;
	bool found =
	    line_text_take_number(&text, number_rows[_i].max, "]", &number);

	ck_assert_uint_eq(number, number_rows[_i].number);
	ck_assert(found == (number != 0));
	ck_assert_uint_eq(text.len, found ? 0 : strlen(start));
}
END_TEST

START_TEST(texts_are_compared_to_their_end)
{
	struct line_text text = { BYTES("ab\0") }, none = { BYTES("") };

	ck_assert(line_text_starts(text, "ab"));
	ck_assert(!line_text_is(text, "ab"));
	ck_assert(!line_text_ends(text, "ab"));
	ck_assert(!line_text_only(text, "ab"));
	text.len = 2;
	ck_assert(line_text_is(text, "ab"));
	ck_assert(line_text_ends(text, "b"));
	ck_assert(line_text_only(text, "ba"));
	ck_assert(!line_text_only(text, "a"));
	ck_assert(!line_text_starts(text, "abc"));
	ck_assert(!line_text_ends(text, "xab"));
	ck_assert(line_text_is(none, ""));
	ck_assert(!line_text_only(none, "a"));
}
END_TEST

START_TEST(what_is_not_taken_stays)
{
	struct line_text text = { BYTES("a1 b, c") }, taken;

	ck_assert(!line_text_take(&text, "b"));
	ck_assert(!line_text_take_pattern(&text, "a9 ab"));
	ck_assert(!line_text_take_pattern(&text, "a9_a, a9"));
	ck_assert(!line_text_take_until(&text, ";", &taken));
	ck_assert_uint_eq(text.len, 7);
	ck_assert(line_text_take_pattern(&text, "a9_"));
	ck_assert(line_text_take_until(&text, ", ", &taken));
	ck_assert(line_text_is(taken, "b"));
	ck_assert(line_text_take(&text, "c"));
	ck_assert_uint_eq(text.len, 0);
}
END_TEST

static Suite *
line_text_suite(void)
{
	Suite *suite = suite_create("test_line_text");
	TCase *text = tcase_create("text");

	tcase_add_loop_test(text, a_server_is_a_name_and_an_address, 0,
	    (int)NELEM(server_rows));
	tcase_add_test(text, a_server_with_a_name_of_any_length_is_none);
	tcase_add_loop_test(
	    text, numbers_have_an_end_and_a_limit, 0, (int)NELEM(number_rows));
	tcase_add_test(text, texts_are_compared_to_their_end);
	tcase_add_test(text, what_is_not_taken_stays);
	suite_add_tcase(suite, text);
	return suite;
}

int
main(void)
{
	return suite_run(line_text_suite());
}
