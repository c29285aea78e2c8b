/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A log file in a scratch folder, a follower of it, and all lines that it has
 * delivered. The follower's times are variables here, so that a test takes no
 * longer than it must and meets only the one that it is about. Each failure
 * ends the test.
 */
#ifndef NH_TESTS_UNIT_LOG_SCENE_H
#define NH_TESTS_UNIT_LOG_SCENE_H

static unsigned look_ms = 20;
static unsigned still_ms = 100;
static unsigned linger_ms = 60000;
static unsigned patience_ms = 100;
#define LOG_FOLLOWER_LOOK_MS	 look_ms
#define LOG_FOLLOWER_STILL_MS	 still_ms
#define LOG_FOLLOWER_LINGER_MS	 linger_ms
#define LOG_FOLLOWER_PATIENCE_MS patience_ms
#include "milter/log_follower.c"

#include <check.h>
#include <fcntl.h>
#include <sys/types.h>

#include "tests/unit/loop_scene.h"
#include "tests/unit/scratch.h"

#define NEVER_MS 1000000

static struct event_base *base;
static struct log_follower *follower;
static char log_path[SCRATCH_PATH_MAX];
/* Each line that was delivered, with an end. */
static char *seen;
static size_t seen_len;
static unsigned n_seen;

static inline void
note_line(void *arg, const char *line, size_t len)
{
	ck_assert_ptr_eq(arg, &seen);
	seen = realloc(seen, seen_len + len + 2);
	ck_assert_ptr_nonnull(seen);
	memcpy(seen + seen_len, line, len);
	seen_len += len;
	memcpy(seen + seen_len, "\n", 2);
	seen_len++;
	n_seen++;
}

static inline void
begin(void)
{
	scratch_begin();
	scratch_open_log(CONFIG_LOG_INFO);
	(void)scratch_path("mail.log", log_path);
	base = event_base_new();
	seen = strdup("");
	ck_assert_ptr_nonnull(seen);
}

static inline void
end(void)
{
	log_follower_free(&follower);
	ck_assert_ptr_null(follower);
	(void)event_base_dispatch(base);
	event_base_free(base);
	free(seen);
	scratch_end();
}

static inline void
follow(const char *path)
{
	struct err err = { "" };

	if (log_follower_create(
		base, path, note_line, &seen, &follower, &err) == -1)
		ck_abort_msg("%s", err.text);
	ck_assert_uint_eq(n_seen, 0);
}

static inline void
append_bytes(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	ck_assert_int_eq(close(fd), 0);
}

static inline void
append(const char *text)
{
	append_bytes(log_path, text, strlen(text));
}

/* Waits until these lines, all in all, have been delivered. */
static inline void
expect(const char *lines)
{
	LOOP_UNTIL(base, seen_len >= strlen(lines));
	ck_assert_str_eq(seen, lines);
}

static inline void
rename_log(const char *name)
{
	char path[SCRATCH_PATH_MAX];

	ck_assert_int_eq(rename(log_path, scratch_path(name, path)), 0);
}

/* A writer that has opened the log once, and stays with that file. */
static inline int
open_writer(int more)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_CLOEXEC | more, 0644);

	ck_assert_int_ne(fd, -1);
	return fd;
}

/* Has it seen the file that the path names? */
static inline bool
has_noticed(void)
{
	struct stat info;

	ck_assert_int_eq(stat(log_path, &info), 0);
	return is_followed(follower, &info);
}

#endif
