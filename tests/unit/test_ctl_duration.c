/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
#include "milter/ctl_duration.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>

static const struct {
	const char *text;
	uint64_t ms; /* 0: refused */
} durations[] = {
	{ "90", 90000 },
	{ "90s", 90000 },
	{ "10m", 600000 },
	{ "2h", 7200000 },
	{ "1d", 86400000 },
	{ "366d", 31622400000 },
	{ "367d", 0 },
	{ "0", 0 },
	{ "", 0 },
	{ "s", 0 },
	{ "-1", 0 },
	{ "+1", 0 },
	{ " 1", 0 },
	{ "1 s", 0 },
	{ "1.5h", 0 },
	{ "1w", 0 },
	{ "1sm", 0 },
	{ "soon", 0 },
	{ "99999999999999999999", 0 },
	{ "18446744073709551615d", 0 },
};

START_TEST(durations_are_read_as_people_write_them)
{
	uint64_t ms = 0;
	int parsed = ctl_duration_parse(durations[_i].text, &ms);

	ck_assert_int_eq(parsed, durations[_i].ms == 0 ? -1 : 0);
	ck_assert_uint_eq(ms, durations[_i].ms);
}
END_TEST

static const struct {
	uint64_t ms;
	const char *text;
} spans[] = {
	{ 0, "0 s" },
	{ 400, "0.4 s" },
	{ 9999, "9.9 s" },
	{ 10999, "10 s" },
	{ 119999, "119 s" },
	{ 120000, "2 min" },
	{ 3599000, "59 min" },
	{ 3600000, "1 h" },
	{ 7500000, "2 h 5 min" },
	{ 86400000, "1 d" },
	{ 273600000, "3 d 4 h" },
	{ UINT64_MAX, "213503982334 d 14 h" },
};

START_TEST(spans_are_told_with_two_figures)
{
	char shown[CTL_DURATION_TEXT];

	ck_assert_str_eq(
	    ctl_duration_format(spans[_i].ms, shown, sizeof(shown)),
	    spans[_i].text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ctl_duration");
	TCase *time = tcase_create("durations");

	tcase_add_loop_test(time, durations_are_read_as_people_write_them, 0,
	    (int)NELEM(durations));
	tcase_add_loop_test(
	    time, spans_are_told_with_two_figures, 0, (int)NELEM(spans));
	suite_add_tcase(s, time);
	return suite_run(s);
}
