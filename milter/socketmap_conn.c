/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the map thread. */
#include "milter/socketmap_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "policy/printable.h"

#define CONN_MAGIC 0x6d617063u

static void on_event(evutil_socket_t fd, short what, void *arg);

static void
set_wait(struct socketmap_conn *conn, enum socketmap_conn_wait wait)
{
	static const struct timeval at_once = { 0, 0 };
	static const short flags[] = {
		[WAIT_READ] = EV_READ | EV_PERSIST,
		[WAIT_WRITE] = EV_WRITE | EV_PERSIST,
		[WAIT_AGAIN] = 0,
	};

	/* The usual case, question after question, changes nothing. */
	if (wait == WAIT_READ && conn->wait == WAIT_READ)
		return;
	conn->wait = wait;
	(void)event_del(&conn->event);
	(void)event_assign(&conn->event, conn->owner->event_base,
	    wait == WAIT_AGAIN ? -1 : conn->fd, flags[wait], on_event, conn);
	(void)event_add(&conn->event, wait == WAIT_AGAIN ? &at_once : NULL);
}

struct socketmap_conn *
socketmap_conn_create(
    struct socketmap_conn_owner *owner, int fd, uint64_t number)
{
	struct socketmap_conn *conn = malloc(sizeof(*conn));

	if (conn == NULL)
		return NULL;
	/* The buffers are left alone: most connections touch little of them. */
	memset(conn, 0, offsetof(struct socketmap_conn, in));
	conn->magic = CONN_MAGIC;
	conn->owner = owner;
	conn->fd = fd;
	conn->number = number;
	conn->active_ms = clock_boot_ms();
	(void)event_assign(&conn->event, owner->event_base, fd,
	    EV_READ | EV_PERSIST, on_event, conn);
	if (event_add(&conn->event, NULL) == -1) {
		free(conn);
		return NULL;
	}
	return conn;
}

void
socketmap_conn_free(struct socketmap_conn **conn)
{
	struct socketmap_conn *old = *conn;

	*conn = NULL;
	if (old == NULL)
		return;
	(void)event_del(&old->event);
	(void)close(old->fd);
	old->magic = 0;
	free(old);
}

static void
say_answer(const struct socketmap_conn *conn,
    const struct socketmap_request *request, const char *answer, size_t len)
{
	char asked[512], said[1024];
	const char *content = memchr(answer, ':', len);

	if (content == NULL)
		return;
	content++;
	log_debug("map: client %llu: %s -> %s",
	    (unsigned long long)conn->number,
	    printable(request->text, request->len, asked, sizeof(asked)),
	    printable(content, (size_t)(answer + len - 1 - content), said,
		sizeof(said)));
}

/*
 * Answers the whole requests of the input, in their order, as far as there is
 * room for answers and this turn allows.
 * Returns: true when it stopped before the input did.
 */
static bool
answer_requests(struct socketmap_conn *conn, uint64_t now_ms)
{
	const struct lookup_base *base = conn->owner->lookup(conn->owner);
	enum socketmap_read found = SOCKETMAP_WHOLE;
	struct socketmap_request request;
	size_t at = 0;
	int n = 0;

	while (n < SOCKETMAP_TURN_MAX &&
	       conn->out_len + SOCKETMAP_OUTPUT_MAX <= sizeof(conn->out)) {
		char *out = conn->out + conn->out_len;
		size_t len;

		found =
		    socketmap_read(conn->in + at, conn->in_len - at, &request);
		if (found != SOCKETMAP_WHOLE)
			break;
		len = socketmap_answer(base, &request, now_ms, out);
		if (log_wants(CONFIG_LOG_DEBUG))
			say_answer(conn, &request, out, len);
		conn->out_len += len;
		at += request.used;
		n++;
	}
	if (found == SOCKETMAP_BROKEN) {
		conn->out_len += socketmap_refuse(conn->out + conn->out_len);
		conn->ending = true;
		at = conn->in_len;
	}
	if (n > 0) {
		conn->served += (uint64_t)n;
		conn->active_ms = now_ms;
		conn->since_ms = 0; /* what is left now began now */
	}
	conn->in_len -= at;
	if (at > 0 && conn->in_len > 0)
		memmove(conn->in, conn->in + at, conn->in_len);
	return found == SOCKETMAP_WHOLE && conn->in_len > 0;
}

/* Returns: 0, -1 when the client is gone. */
static int
flush(struct socketmap_conn *conn)
{
	ssize_t n;

	if (conn->out_len == 0)
		return 0;
	do
		n = send(conn->fd, conn->out, conn->out_len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	conn->out_len -= (size_t)n;
	if (conn->out_len > 0)
		memmove(conn->out, conn->out + n, conn->out_len);
	return 0;
}

/* Returns: 0, -1 when the client is gone. */
static int
fill(struct socketmap_conn *conn)
{
	ssize_t n;

	do
		n = recv(conn->fd, conn->in + conn->in_len,
		    sizeof(conn->in) - conn->in_len, MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (n == 0)
		conn->ending = true;
	conn->in_len += (size_t)n;
	return 0;
}

/* Gives the connection its turn; it may be gone afterwards. */
static void
take_turn(struct socketmap_conn *conn)
{
	uint64_t now_ms = clock_boot_ms();
	bool more = answer_requests(conn, now_ms);

	if (flush(conn) == -1) {
		conn->owner->gone(conn->owner, conn, "connection lost");
		return;
	}
	if (conn->in_len == 0 && conn->out_len == 0)
		conn->since_ms = 0;
	else if (conn->since_ms == 0)
		conn->since_ms = now_ms;
	if (conn->out_len > 0)
		set_wait(conn, WAIT_WRITE);
	else if (more)
		set_wait(conn, WAIT_AGAIN);
	else if (conn->ending)
		conn->owner->gone(conn->owner, conn, "end");
	else
		set_wait(conn, WAIT_READ);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct socketmap_conn *conn = arg;

	(void)fd;
	assert(conn->magic == CONN_MAGIC);
	if ((what & EV_READ) != 0 && fill(conn) == -1) {
		conn->owner->gone(conn->owner, conn, "connection lost");
		return;
	}
	/* Room for answers comes first. */
	if ((what & EV_WRITE) != 0 && flush(conn) == -1) {
		conn->owner->gone(conn->owner, conn, "connection lost");
		return;
	}
	take_turn(conn);
}
