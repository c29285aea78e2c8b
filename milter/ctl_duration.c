/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state. */
#include "milter/ctl_duration.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE 60ULL
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static uint64_t
unit_seconds(const char *unit)
{
	static const struct {
		char letter;
		uint64_t seconds;
	} units[] = { { '\0', 1 }, { 's', 1 }, { 'm', MINUTE }, { 'h', HOUR },
		{ 'd', DAY } };

	if (unit[0] != '\0' && unit[1] != '\0')
		return 0;
	for (size_t i = 0; i < NELEM(units); i++)
		if (units[i].letter == unit[0])
			return units[i].seconds;
	return 0;
}

int
ctl_duration_parse(const char *text, uint64_t *ms_r)
{
	unsigned long long number;
	uint64_t unit;
	char *end;

	/* strtoull(3) takes blanks and signs. */
	if (!isdigit((unsigned char)text[0]))
		return -1;
	errno = 0;
	number = strtoull(text, &end, 10);
	unit = unit_seconds(end);
	if (errno != 0 || unit == 0 || number == 0 ||
	    number > CTL_DURATION_MAX_S / unit)
		return -1;
	*ms_r = number * unit * 1000;
	return 0;
}

static char *
format_two(uint64_t big, const char *big_unit, uint64_t small,
    const char *small_unit, char *out, size_t size)
{
	if (small == 0)
		(void)snprintf(out, size, "%" PRIu64 " %s", big, big_unit);
	else
		(void)snprintf(out, size, "%" PRIu64 " %s %" PRIu64 " %s", big,
		    big_unit, small, small_unit);
	return out;
}

char *
ctl_duration_format(uint64_t ms, char *out, size_t size)
{
	uint64_t s = ms / 1000;

	if (ms < 10000 && ms % 1000 != 0) {
		(void)snprintf(
		    out, size, "%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
		return out;
	}
	if (s < 2 * MINUTE)
		return format_two(s, "s", 0, "", out, size);
	if (s < HOUR)
		return format_two(s / MINUTE, "min", 0, "", out, size);
	if (s < DAY)
		return format_two(
		    s / HOUR, "h", s % HOUR / MINUTE, "min", out, size);
	return format_two(s / DAY, "d", s % DAY / HOUR, "h", out, size);
}
