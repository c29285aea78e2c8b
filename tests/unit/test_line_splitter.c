/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
#include "milter/line_splitter.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

#define BIG (2 * DELIVERY_LINE_MAX)

static struct line_splitter splitter;
static char got[4 * BIG];
static size_t n_got;
static unsigned n_lines;

static void
feed(const char *bytes, size_t len)
{
	const char *line;
	size_t n, line_len;

	for (; len > 0; bytes += n, len -= n) {
		n = line_splitter_take(&splitter, bytes, len, &line, &line_len);
		ck_assert_uint_gt(n, 0);
		ck_assert_uint_le(n, len);
		if (line == NULL)
			continue;
		memcpy(got + n_got, line, line_len);
		n_got += line_len;
		got[n_got++] = '|';
		n_lines++;
	}
}

static void
begin(bool in_line)
{
	memset(got, 0, sizeof(got));
	n_got = 0;
	n_lines = 0;
	line_splitter_reset(&splitter, in_line);
}

static const struct {
	bool in_line;
	const char *bytes, *lines;
} streams[] = {
	{ false, "one\ntwo\nthree\n", "one|two|three|" },
	{ false, "\n\nx\n\n", "||x||" },
	{ false, "one\ntwo", "one|" },
	{ false, "a\r\nb\n", "a\r|b|" },
	{ true, "rest\none\n", "one|" },
	{ true, "\none\n", "one|" },
	{ true, "rest of it", "" },
};

START_TEST(a_stream_gives_the_same_lines_in_pieces_of_any_size)
{
	const char *bytes = streams[_i].bytes;
	size_t len = strlen(bytes);

	for (size_t piece = 1; piece <= len; piece++) {
		begin(streams[_i].in_line);
		for (size_t at = 0; at < len; at += piece)
			feed(bytes + at, len - at < piece ? len - at : piece);
		ck_assert_str_eq(got, streams[_i].lines);
	}
}
END_TEST

static const size_t lengths[] = { DELIVERY_LINE_MAX - 1, DELIVERY_LINE_MAX,
	DELIVERY_LINE_MAX + 1, BIG };

START_TEST(a_line_longer_than_the_limit_is_cut_off_once)
{
	static const size_t pieces[] = { 1, 1000, DELIVERY_LINE_MAX, BIG + 7 };
	static char bytes[BIG + 7];
	size_t len = lengths[_i];
	size_t want = len < DELIVERY_LINE_MAX ? len : DELIVERY_LINE_MAX;

	memset(bytes, 'x', len);
	memcpy(bytes + len, "\nnext\n", 6);
	for (size_t i = 0; i < NELEM(pieces); i++) {
		begin(false);
		for (size_t at = 0; at < len + 6; at += pieces[i])
			feed(bytes + at, len + 6 - at < pieces[i] ? len + 6 - at
								  : pieces[i]);
		ck_assert_uint_eq(n_lines, 2);
		ck_assert_uint_eq(strspn(got, "x"), want);
		ck_assert_str_eq(got + want, "|next|");
	}
}
END_TEST

START_TEST(zero_bytes_pass)
{
	begin(false);
	feed("a\0b\n\0\nc", 7);
	feed("\0\n", 2);
	ck_assert_uint_eq(n_lines, 3);
	ck_assert_uint_eq(n_got, 9);
	ck_assert_int_eq(memcmp(got, "a\0b|\0|c\0|", 9), 0);
}
END_TEST

START_TEST(a_reset_forgets_what_waits)
{
	begin(false);
	feed("half", 4);
	line_splitter_reset(&splitter, false);
	feed("one\n", 4);
	feed("half", 4);
	line_splitter_reset(&splitter, true);
	feed("rest\ntwo\n", 9);
	ck_assert_str_eq(got, "one|two|");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("line_splitter");
	TCase *lines = tcase_create("lines");

	tcase_add_loop_test(lines,
	    a_stream_gives_the_same_lines_in_pieces_of_any_size, 0,
	    (int)NELEM(streams));
	tcase_add_loop_test(lines, a_line_longer_than_the_limit_is_cut_off_once,
	    0, (int)NELEM(lengths));
	tcase_add_test(lines, zero_bytes_pass);
	tcase_add_test(lines, a_reset_forgets_what_waits);
	suite_add_tcase(s, lines);
	return suite_run(s);
}
