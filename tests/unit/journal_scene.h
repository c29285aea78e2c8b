/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A folder of real journal files, written by systemd-journal-remote(8) from the
 * export format, and a follower of it. Without that program the tests fail:
 * nothing else writes such files. Each failure ends the test.
 */
#ifndef NH_TESTS_UNIT_JOURNAL_SCENE_H
#define NH_TESTS_UNIT_JOURNAL_SCENE_H

static unsigned look_ms = 50;
#define JOURNAL_FOLLOWER_LOOK_MS look_ms
#include "milter/journal_follower.c"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "milter/clock.h"
#include "tests/unit/loop_scene.h"
#include "tests/unit/scratch.h"

static struct event_base *base;
static struct journal_follower *follower;
static char *seen; /* "TAG[PID] TEXT" and an end for each record */
static size_t seen_len;
static unsigned n_seen;

static inline void
note_record(void *arg, const char *tag, size_t tag_len, uint32_t pid,
    const char *text, size_t len)
{
	ck_assert_ptr_eq(arg, &seen);
	seen = realloc(seen, seen_len + tag_len + len + 32);
	ck_assert_ptr_nonnull(seen);
	memcpy(seen + seen_len, tag, tag_len);
	seen_len += tag_len;
	seen_len += (size_t)sprintf(seen + seen_len, "[%u] ", (unsigned)pid);
	memcpy(seen + seen_len, text, len);
	seen_len += len;
	seen[seen_len++] = '\n';
	seen[seen_len] = '\0';
	n_seen++;
}

static inline void
begin(void)
{
	char path[SCRATCH_PATH_MAX];

	scratch_begin();
	scratch_open_log(CONFIG_LOG_INFO);
	ck_assert_int_eq(mkdir(scratch_path("j", path), 0755), 0);
	base = event_base_new();
	seen = strdup("");
	ck_assert_ptr_nonnull(seen);
}

static inline void
end(void)
{
	journal_follower_free(&follower);
	ck_assert_ptr_null(follower);
	(void)event_base_dispatch(base);
	event_base_free(base);
	free(seen);
	scratch_end();
}

static inline void
follow(void)
{
	char path[SCRATCH_PATH_MAX];
	struct err err = { "" };

	if (journal_follower_create(base, scratch_path("j", path), note_record,
		&seen, &follower, &err) == -1)
		ck_abort_msg("%s", err.text);
	ck_assert_uint_eq(n_seen, 0);
}

/* ---- writing ---- */

static inline FILE *
open_writer(const char *name)
{
	char command[256], path[SCRATCH_PATH_MAX];
	FILE *to;

	(void)snprintf(command, sizeof(command),
	    "exec /lib/systemd/systemd-journal-remote -o %s - >%s/remote 2>&1",
	    scratch_path(name, path), scratch_folder);
	to = popen(command, "w");
	ck_assert_ptr_nonnull(to);
	return to;
}

static inline void
close_writer(FILE *to)
{
	if (pclose(to) != 0)
		ck_abort_msg("systemd-journal-remote (package of that name): "
			     "%s",
		    scratch_read("remote"));
}

/* What journald adds to each record. */
static inline void
write_head(FILE *to)
{
	struct timespec now;
	uint8_t boot[16];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	clock_boot_id(boot);
	fprintf(to,
	    "__REALTIME_TIMESTAMP=%lld%06ld\n__MONOTONIC_TIMESTAMP=%llu\n_BOOT_"
	    "ID=",
	    (long long)now.tv_sec, now.tv_nsec / 1000,
	    (unsigned long long)clock_boot_ms() * 1000);
	for (size_t i = 0; i < sizeof(boot); i++)
		fprintf(to, "%02x", (unsigned)boot[i]);
	fprintf(to, "\n");
}

static inline void
write_record(FILE *to, const char *fields)
{
	write_head(to);
	fprintf(to, "%s\n", fields);
}

static inline void
write_line(FILE *to, const char *text)
{
	char fields[256];

	(void)snprintf(fields, sizeof(fields),
	    "SYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=postfix/smtp\nSYSLOG_PID=7\n"
	    "MESSAGE=%s\n",
	    text);
	write_record(to, fields);
}

/* One line into a file of the folder; the writer is gone afterwards. */
static inline void
add_to(const char *name, const char *text)
{
	FILE *to = open_writer(name);

	write_line(to, text);
	close_writer(to);
}

static inline void
add(const char *text)
{
	add_to("j/a.journal", text);
}

static inline void
add_other(void)
{
	FILE *to = open_writer("j/a.journal");

	write_record(to, "SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=x\nMESSAGE=x\n");
	close_writer(to);
}

static inline void
expect(const char *texts)
{
	static const char head[] = "postfix/smtp[7] ";
	char want[1024] = "", word[64];

	for (const char *at = texts; *at != '\0';) {
		size_t n = strcspn(at, " ");

		(void)snprintf(
		    word, sizeof(word), "%s%.*s\n", head, (int)n, at);
		strcat(want, word);
		at += n;
		at += strspn(at, " ");
	}
	LOOP_UNTIL(base, seen_len >= strlen(want));
	ck_assert_str_eq(seen, want);
}

static inline void
move(const char *from, const char *to)
{
	char old[SCRATCH_PATH_MAX], new[SCRATCH_PATH_MAX];

	ck_assert_int_eq(
	    rename(scratch_path(from, old), scratch_path(to, new)), 0);
}

static inline void
erase(const char *name)
{
	char path[SCRATCH_PATH_MAX];

	ck_assert_int_eq(remove(scratch_path(name, path)), 0);
}

#endif
