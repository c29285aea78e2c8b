/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the map thread; start and stop: the one that made it. */
#include "milter/socketmap_server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/snapshot.h"
#include "milter/socketmap_conn.h"
#include "milter/socketmap_server_limits.h"

#define SERVER_MAGIC 0x6d617073u
#define ACCEPT_MAX   16	   /* connections taken before others' turn */
#define COMPLAIN_MS  10000 /* one complaint of a kind in this time */

const struct socketmap_limits socketmap_limits_usual = {
	.connections = 1024,
	.idle_ms = 300000,
	.unfinished_ms = 30000,
	.evict_idle_ms = 1000,
	.sweep_ms = 1000,
};

struct socketmap_server {
	struct socketmap_conn_owner owner; /* first: callbacks get this */
	uint32_t magic;
	struct socketmap_limits limits;
	pthread_t thread;
	int listen_fd; /* the caller's */
	int stop_fd;   /* an eventfd: written to end the thread */
	/* Held back so that a connection can be taken although others have used
	   up all descriptors; -1 while it is in use. */
	int reserve_fd;
	struct event *accepting, *stopping, *sweeping;
	bool paused; /* not accepting: the clients wait in the backlog */
	bool spared; /* somebody kept his place because he has asked */
	struct snapshot *snapshot;
	TAILQ_HEAD(, socketmap_conn) conns; /* oldest first */
	uint32_t n_conns;
	uint64_t next_number;
	uint64_t complained_ms;
};

static struct socketmap_server *
server_of(void *arg)
{
	struct socketmap_server *server = arg;

	assert(server->magic == SERVER_MAGIC);
	return server;
}

static void
resume(struct socketmap_server *server)
{
	if (server->paused && event_add(server->accepting, NULL) == 0)
		server->paused = false;
}

/* A listening socket that is readable but cannot be served would make the loop
   spin: it is left alone until something ends, or the next sweep. Who has asked
   is answered in this turn, and can go in the next. */
static void
pause_accepting(struct socketmap_server *server, const char *why)
{
	uint64_t now_ms = clock_boot_ms();

	if (server->spared)
		return;
	(void)event_del(server->accepting);
	server->paused = true;
	if (server->complained_ms != 0 &&
	    now_ms - server->complained_ms < COMPLAIN_MS)
		return;
	server->complained_ms = now_ms;
	log_warning("map: new clients have to wait, %u connections: %s",
	    server->n_conns, why);
}

static void
refill_reserve(struct socketmap_server *server)
{
	if (server->reserve_fd == -1)
		server->reserve_fd =
		    fcntl(server->listen_fd, F_DUPFD_CLOEXEC, 0);
}

static void
drop(struct socketmap_server *server, struct socketmap_conn *conn,
    const char *why)
{
	log_debug("map: client %llu: closed after %llu requests: %s",
	    (unsigned long long)conn->number, (unsigned long long)conn->served,
	    why);
	TAILQ_REMOVE(&server->conns, conn, link);
	server->n_conns--;
	socketmap_conn_free(&conn);
	refill_reserve(server);
	resume(server);
}

static void
conn_gone(struct socketmap_conn_owner *owner, struct socketmap_conn *conn,
    const char *why)
{
	drop(server_of(owner), conn, why);
}

static const struct lookup_base *
current_lookup(struct socketmap_conn_owner *owner)
{
	struct socketmap_server *server = server_of(owner);

	(void)snapshot_refresh(&server->snapshot);
	return server->snapshot->base;
}

/* Of one that does not take its answers nothing is read any more. */
static bool
is_spared(struct socketmap_server *server, const struct socketmap_conn *conn)
{
	int unread = 0;

	if (conn->wait != WAIT_READ ||
	    ioctl(conn->fd, FIONREAD, &unread) == -1 || unread == 0)
		return false;
	server->spared = true;
	return true;
}

/*
 * Who goes when there is no room: the oldest that never finished a request,
 * else the one that has been idle longest, if that is long enough; but nobody
 * whose bytes are still to be read: Postfix takes a closed connection well once
 * (it connects again), and not twice for one question. Postfix asks right after
 * it has connected, so whoever wants to lock it out has to keep busy.
 */
static struct socketmap_conn *
find_victim(struct socketmap_server *server)
{
	uint64_t now_ms = clock_boot_ms();
	struct socketmap_conn *conn, *idlest = NULL;

	server->spared = false;
	TAILQ_FOREACH(conn, &server->conns, link)
	{
		if (conn->served == 0 && !is_spared(server, conn))
			return conn;
		if (conn->served != 0 &&
		    (idlest == NULL || conn->active_ms < idlest->active_ms))
			idlest = conn;
	}
	if (idlest != NULL &&
	    now_ms - idlest->active_ms >= server->limits.evict_idle_ms &&
	    !is_spared(server, idlest))
		return idlest;
	return NULL;
}

static bool
evict(struct socketmap_server *server)
{
	struct socketmap_conn *victim = find_victim(server);

	if (victim == NULL)
		return false;
	drop(server, victim, "room is needed");
	return true;
}

static void
admit(struct socketmap_server *server, int fd)
{
	struct socketmap_conn *conn =
	    socketmap_conn_create(&server->owner, fd, ++server->next_number);

	if (conn == NULL) {
		(void)close(fd);
		return;
	}
	TAILQ_INSERT_TAIL(&server->conns, conn, link);
	server->n_conns++;
}

static bool
is_scarcity(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	       error == ENOMEM;
}

/*
 * Makes room for one descriptor.
 * Returns: whether there is some now.
 */
static bool
find_descriptor(struct socketmap_server *server)
{
	if (evict(server))
		return true;
	if (server->reserve_fd == -1)
		return false;
	(void)close(server->reserve_fd);
	server->reserve_fd = -1;
	return true;
}

/*
 * What to do when accept failed; taken is the number of connections that this
 * turn took already.
 * Returns: true to try it again at once.
 */
static bool
after_failure(struct socketmap_server *server, int error, int taken)
{
	if (error == EAGAIN)
		return false;
	if (!is_scarcity(error))
		return true; /* that client's trouble: ECONNABORTED, ... */
	/* Without descriptors accept(2) fails whether a client waits or not: it
	   is only certain of the first one that the event told of. */
	if (taken > 0)
		return false;
	if (find_descriptor(server))
		return true;
	pause_accepting(server, strerror(error));
	return false;
}

static void
on_connection(evutil_socket_t listen_fd, short what, void *arg)
{
	struct socketmap_server *server = server_of(arg);
	int taken = 0;

	(void)what;
	for (int tries = 0; tries < ACCEPT_MAX; tries++) {
		bool full = server->n_conns >= server->limits.connections;
		int fd;

		if (full && find_victim(server) == NULL) {
			pause_accepting(server, "all of them are busy");
			return;
		}
		fd = accept4(
		    listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && !after_failure(server, errno, taken))
			return;
		if (fd == -1)
			continue;
		if (full)
			(void)evict(server);
		admit(server, fd);
		taken++;
	}
}

static const char *
overdue(const struct socketmap_server *server,
    const struct socketmap_conn *conn, uint64_t now_ms)
{
	if (conn->since_ms != 0)
		return now_ms - conn->since_ms >= server->limits.unfinished_ms
			   ? "unfinished for too long"
			   : NULL;
	return now_ms - conn->active_ms >= server->limits.idle_ms ? "idle"
								  : NULL;
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct socketmap_server *server = server_of(arg);
	uint64_t now_ms = clock_boot_ms();
	struct socketmap_conn *next;

	(void)fd;
	(void)what;
	for (struct socketmap_conn *conn = TAILQ_FIRST(&server->conns);
	     conn != NULL; conn = next) {
		const char *why = overdue(server, conn, now_ms);

		next = TAILQ_NEXT(conn, link);
		if (why != NULL)
			drop(server, conn, why);
	}
	refill_reserve(server);
	resume(server);
	/* Lets go of a configuration that is no longer current, asked or not.
	 */
	(void)snapshot_refresh(&server->snapshot);
}

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)event_base_loopbreak(server_of(arg)->owner.event_base);
}

static void *
map_main(void *arg)
{
	struct socketmap_server *server = server_of(arg);

	(void)pthread_setname_np(pthread_self(), "map");
	server->snapshot = snapshot_get();
	(void)event_base_dispatch(server->owner.event_base);
	return NULL;
}

static void
free_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

static void
server_free(struct socketmap_server **server)
{
	struct socketmap_server *old = *server;
	struct socketmap_conn *conn;

	*server = NULL;
	while ((conn = TAILQ_FIRST(&old->conns)) != NULL) {
		TAILQ_REMOVE(&old->conns, conn, link);
		socketmap_conn_free(&conn);
	}
	free_event(&old->accepting);
	free_event(&old->stopping);
	free_event(&old->sweeping);
	if (old->owner.event_base != NULL)
		event_base_free(old->owner.event_base);
	if (old->stop_fd != -1)
		(void)close(old->stop_fd);
	if (old->reserve_fd != -1)
		(void)close(old->reserve_fd);
	snapshot_put(&old->snapshot);
	old->magic = 0;
	free(old);
}

static int
make_events(struct socketmap_server *server)
{
	struct timeval sweep = { server->limits.sweep_ms / 1000,
		server->limits.sweep_ms % 1000 * 1000 };
	struct event_base *base = event_base_new();

	server->owner.event_base = base;
	if (base == NULL)
		return -1;
	server->accepting = event_new(base, server->listen_fd,
	    EV_READ | EV_PERSIST, on_connection, server);
	server->stopping = event_new(
	    base, server->stop_fd, EV_READ | EV_PERSIST, on_stop, server);
	server->sweeping = event_new(base, -1, EV_PERSIST, on_sweep, server);
	if (server->accepting == NULL || server->stopping == NULL ||
	    server->sweeping == NULL)
		return -1;
	if (event_add(server->accepting, NULL) == -1 ||
	    event_add(server->stopping, NULL) == -1 ||
	    event_add(server->sweeping, &sweep) == -1)
		return -1;
	return 0;
}

static struct socketmap_server *
server_make(int listen_fd, const struct socketmap_limits *limits)
{
	struct socketmap_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return NULL;
	server->magic = SERVER_MAGIC;
	server->owner.lookup = current_lookup;
	server->owner.gone = conn_gone;
	server->limits = *limits;
	server->listen_fd = listen_fd;
	server->reserve_fd = -1;
	TAILQ_INIT(&server->conns);
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	refill_reserve(server);
	if (server->stop_fd == -1 || make_events(server) == -1)
		server_free(&server);
	return server;
}

int
socketmap_server_start_with(int listen_fd,
    const struct socketmap_limits *limits, struct socketmap_server **server_r,
    struct err *err)
{
	struct socketmap_server *server = server_make(listen_fd, limits);
	int rc;

	*server_r = NULL;
	if (server == NULL) {
		err_set(err, "map: %s", strerror(errno));
		return -1;
	}
	rc = pthread_create(&server->thread, NULL, map_main, server);
	if (rc != 0) {
		err_set(err, "map: thread: %s", strerror(rc));
		server_free(&server);
		return -1;
	}
	*server_r = server;
	return 0;
}

int
socketmap_server_start(
    int listen_fd, struct socketmap_server **server_r, struct err *err)
{
	return socketmap_server_start_with(
	    listen_fd, &socketmap_limits_usual, server_r, err);
}

void
socketmap_server_stop(struct socketmap_server **server)
{
	const uint64_t one = 1;

	if (*server == NULL)
		return;
	if (write((*server)->stop_fd, &one, sizeof(one)) !=
	    (ssize_t)sizeof(one))
		abort(); /* an eventfd that is written once takes it */
	(void)pthread_join((*server)->thread, NULL);
	server_free(server);
}
