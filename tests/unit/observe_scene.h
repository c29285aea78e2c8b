/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * nexthopctl observe in a thread of its own, and the test in the part of the
 * daemon and of the log. The times of the command are variables here, and its
 * attempts to connect are counted. Each failure ends the test.
 */
#ifndef NH_TESTS_UNIT_OBSERVE_SCENE_H
#define NH_TESTS_UNIT_OBSERVE_SCENE_H

static unsigned pause_ms = 10, pause_max_ms = 40, refused_ms = 20,
		last_ms = 20000;
#define CTL_OBSERVE_PAUSE_MS	 pause_ms
#define CTL_OBSERVE_PAUSE_MAX_MS pause_max_ms
#define CTL_OBSERVE_REFUSED_MS	 refused_ms
#define CTL_OBSERVE_LAST_MS	 last_ms

#include "milter/ctl_client.h"

static _Atomic unsigned n_dialled;

static inline int
counted_dial(const char *path, struct err *err)
{
	n_dialled++;
	return ctl_client_dial(path, err);
}

#define ctl_client_dial counted_dial
#include "milter/ctl_observe.c"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include "tests/unit/loop_scene.h"
#include "tests/unit/scratch.h"

#define PATIENCE_S 20

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listen_fd;	 /* the daemon's; -1: it is not there */
static int daemon_fd;	 /* the connection */
static int in_fd, log_w; /* what the command reads, and the other end */
static FILE *out, *log_file;
static char *out_text;
static size_t out_len;
static pthread_t thread;
static int status;

static inline void
open_daemon(void)
{
	(void)unlink(address.sun_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listen_fd, 8), 0);
}

static inline void
close_daemon(void)
{
	(void)close(listen_fd);
	listen_fd = -1;
}

static inline void
begin(void)
{
	char path[SCRATCH_PATH_MAX];
	int fds[2];

	(void)signal(SIGPIPE, SIG_DFL);
	scratch_begin();
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
	    scratch_path("s", path));
	open_daemon();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	in_fd = fds[0];
	log_w = fds[1];
	daemon_fd = -1;
	out = open_memstream(&out_text, &out_len);
	log_file = fopen(scratch_path("said", path), "we");
	ck_assert_ptr_nonnull(log_file);
}

static inline void
end(void)
{
	if (daemon_fd != -1)
		(void)close(daemon_fd);
	if (listen_fd != -1)
		close_daemon();
	(void)close(in_fd);
	(void)fclose(log_file);
	free(out_text);
	scratch_end();
}

static inline void *
run(void *arg)
{
	(void)arg;
	status = ctl_observe(address.sun_path, in_fd, out, log_file);
	return NULL;
}

static inline void
start(void)
{
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

/* The command's exit status; out is complete then. */
static inline int
finish(void)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(fclose(out), 0);
	return status;
}

static inline void
accept_observer(void)
{
	const struct timeval patience = { PATIENCE_S, 0 };

	daemon_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ne(daemon_fd, -1);
	ck_assert_int_eq(setsockopt(daemon_fd, SOL_SOCKET, SO_RCVTIMEO,
			     &patience, sizeof(patience)),
	    0);
}

static inline void
close_observer(void)
{
	(void)close(daemon_fd);
	daemon_fd = -1;
}

/* The daemon gets exactly this next. */
static inline void
expect(const char *text)
{
	char got[4096];
	size_t len = strlen(text);

	ck_assert_uint_lt(len, sizeof(got));
	ck_assert_int_eq(recv(daemon_fd, got, len, MSG_WAITALL), (ssize_t)len);
	ck_assert_int_eq(memcmp(got, text, len), 0);
}

static inline void
expect_end(void)
{
	char byte;

	ck_assert_int_eq(recv(daemon_fd, &byte, 1, 0), 0);
}

static inline void
answer(const char *text)
{
	ck_assert_int_eq(send(daemon_fd, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
}

static inline void
log_text(const char *text)
{
	ck_assert_int_eq(
	    write(log_w, text, strlen(text)), (ssize_t)strlen(text));
}

static inline int
has_said(const char *pattern)
{
	return scratch_count("said", pattern);
}

static inline void
wait_said(const char *pattern, int n)
{
	uint64_t end_ms = clock_boot_ms() + PATIENCE_S * 1000;

	while (has_said(pattern) < n) {
		ck_assert_msg(clock_boot_ms() < end_ms, "not said: %s in\n%s",
		    pattern, scratch_read("said"));
		(void)usleep(1000);
	}
}

/* Until the command has read all that was logged. */
static inline void
wait_read(void)
{
	uint64_t end_ms = clock_boot_ms() + PATIENCE_S * 1000;
	int n;

	do {
		ck_assert_uint_lt(clock_boot_ms(), end_ms);
		(void)usleep(1000);
		ck_assert_int_eq(ioctl(in_fd, FIONREAD, &n), 0);
	} while (n > 0);
}

#endif
