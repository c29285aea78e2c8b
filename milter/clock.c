/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state. */
#include "milter/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

static int64_t
now_ms(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) == -1)
		abort();
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t
clock_boot_ms(void)
{
	return (uint64_t)now_ms(CLOCK_BOOTTIME);
}

static int
hex_value(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit == '\0' ? NULL : strchr(digits, digit);

	return at == NULL ? -1 : (int)(at - digits);
}

struct timeval
clock_timeval(uint64_t ms)
{
	struct timeval span = { .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	return span;
}

void
clock_boot_id(uint8_t id_r[16])
{
	char text[64];
	ssize_t len = -1;
	size_t n = 0;
	int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);

	memset(id_r, 0, 16);
	if (fd != -1) {
		len = read(fd, text, sizeof(text));
		(void)close(fd);
	}
	for (ssize_t i = 0; i < len && n < 32; i++) {
		int value = hex_value(text[i]);

		if (value == -1)
			continue; /* the dashes */
		id_r[n / 2] = (uint8_t)(id_r[n / 2] << 4 | value);
		n++;
	}
	if (n != 32)
		memset(id_r, 0, 16);
}

char *
clock_rfc3339(uint64_t boot_ms, char *out, size_t size)
{
	int64_t wall =
	    now_ms(CLOCK_REALTIME) - now_ms(CLOCK_BOOTTIME) + (int64_t)boot_ms;
	/* To the nearest second: the two clocks are read one after the other,
	   and the same boot time should read the same each time. */
	time_t seconds = (time_t)((wall + 500) / 1000);
	struct tm tm;

	assert(size >= 21);
	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(out, size, "1970-01-01T00:00:00Z");
	return out;
}

void
clock_random(void *bytes, size_t len)
{
	unsigned char *at = bytes;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}
