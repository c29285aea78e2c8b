/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A control server on a real unix socket, and clients of it. Its two times are
 * variables here, so that a test of a timeout lasts as long as it must and no
 * other one meets it. Each failure ends the test.
 */
#ifndef NH_TESTS_UNIT_CONTROL_SCENE_H
#define NH_TESTS_UNIT_CONTROL_SCENE_H

static unsigned idle_ms = 30000;
#define CONTROL_IDLE_MS	 idle_ms
#define CONTROL_PAUSE_MS 20
#include "milter/control.c"
#include "milter/control_client.c"

#include <check.h>
#include <signal.h>
#include <sys/un.h>

#include "tests/unit/loop_scene.h"

struct peer {
	int fd;
	size_t len;
	bool closed; /* by the server */
	char got[512 * 1024];
};

static char folder[] = "/tmp/nh-control-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static struct event_base *base;
static struct control *control;
static int listen_fd;

static inline void
open_room(const struct control_command *commands, size_t n, void *arg)
{
	struct err err;

	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(
	    address.sun_path, sizeof(address.sun_path), "%s/s", folder);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listen_fd, 64), 0);
	base = event_base_new();
	ck_assert_int_eq(
	    control_create(base, listen_fd, commands, n, arg, &control, &err),
	    0);
}

static inline void
close_room(void)
{
	if (control != NULL)
		control_free(&control);
	event_base_free(base);
	(void)close(listen_fd);
	(void)unlink(address.sun_path);
	(void)rmdir(folder);
}

static inline int
dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(evutil_make_socket_nonblocking(fd), 0);
	return fd;
}

static inline void
peer_dial(struct peer *peer)
{
	peer->fd = dial();
	peer->len = 0;
	peer->closed = false;
}

static inline void
say(struct peer *peer, const char *text)
{
	ck_assert_int_eq(send(peer->fd, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
}

static inline void
listen_to(struct peer *peer)
{
	ssize_t n;

	while (!peer->closed) {
		n = recv(peer->fd, peer->got + peer->len,
		    sizeof(peer->got) - 1 - peer->len, 0);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n <= 0)
			peer->closed = true;
		else
			peer->len += (size_t)n;
	}
	peer->got[peer->len] = '\0';
}

/* One step of the server; waits a little for something to happen. */
static inline void
step(void)
{
	loop_turn(base);
}

#define PUMP_UNTIL(condition) LOOP_UNTIL(base, condition)

static inline bool
has_said(struct peer *peer, const char *text)
{
	listen_to(peer);
	return peer->len >= strlen(text) &&
	       strcmp(peer->got + peer->len - strlen(text), text) == 0;
}

static inline bool
has_gone(struct peer *peer)
{
	listen_to(peer);
	return peer->closed;
}

static inline void
ask(struct peer *peer, const char *request, const char *answer)
{
	peer->len = 0;
	say(peer, request);
	PUMP_UNTIL(has_said(peer, answer));
	ck_assert_str_eq(peer->got, answer);
}

#endif
