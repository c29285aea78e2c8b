/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the supervisor's only one. */
#include "milter/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/privileges.h"
#include "milter/service_manager.h"

/* One socket as it is wanted. */
struct wish {
	const char *name;	  /* as the service manager calls it */
	const char *text;	  /* where: the configuration's spelling */
	const char *user, *group; /* whose; "": the daemon's, the user's */
	mode_t mode;
};

union any_address {
	struct sockaddr sa;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t
to_address(const struct config_socket *where, union any_address *to)
{
	memset(to, 0, sizeof(*to));
	if (where->is_unix) {
		to->un.sun_family = AF_UNIX;
		memcpy(to->un.sun_path, where->path, sizeof(where->path));
		return sizeof(to->un);
	}
	if (where->host.kind == HOST_IPV6) {
		to->in6.sin6_family = AF_INET6;
		to->in6.sin6_port = htons(where->host.port);
		(void)inet_pton(AF_INET6, where->host.name, &to->in6.sin6_addr);
		return sizeof(to->in6);
	}
	to->in.sin_family = AF_INET;
	to->in.sin_port = htons(where->host.port);
	if (inet_pton(AF_INET, where->host.name, &to->in.sin_addr) != 1)
		to->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(to->in);
}

/* Removes a UNIX socket that a dead process left. */
static int
clear_stale(const struct config_socket *where, const union any_address *address,
    socklen_t len, struct err *err)
{
	struct stat st;
	int fd, rc, error;

	if (!where->is_unix || lstat(where->path, &st) == -1)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		err_set(err, "%s exists and is no socket", where->path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		err_set(err, "socket: %s", strerror(errno));
		return -1;
	}
	rc = connect(fd, &address->sa, len);
	error = rc == 0 ? 0 : errno;
	(void)close(fd);
	if (error == ECONNREFUSED)
		(void)unlink(where->path);
	if (error == ECONNREFUSED || error == ENOENT)
		return 0;
	if (error == 0 || error == EAGAIN)
		err_set(
		    err, "%s: another process serves this socket", where->path);
	else /* whose it is cannot be known: not ours to remove */
		err_set(err, "%s exists: %s", where->path, strerror(error));
	return -1;
}

/* The mode and the group decide who may ask: the MTA's user, nobody else. */
static int
set_access(const char *path, const struct wish *wish, struct err *err)
{
	const struct group *entry;

	privileges_give(wish->user, path);
	if (wish->group[0] != '\0') {
		entry = getgrnam(wish->group);
		if (entry == NULL) {
			err_set(
			    err, "socket_group: no group \"%s\"", wish->group);
			return -1;
		}
		if (chown(path, (uid_t)-1, entry->gr_gid) == -1) {
			err_set(err, "%s: cannot give it to group %s: %s", path,
			    wish->group, strerror(errno));
			return -1;
		}
	}
	if (chmod(path, wish->mode) == -1) {
		err_set(err, "%s: chmod: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

static int
bind_and_listen(int fd, const char *text, const union any_address *address,
    socklen_t len, struct err *err)
{
	mode_t mask = umask(0177);
	int one = 1, rc;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	rc = bind(fd, &address->sa, len);
	(void)umask(mask);
	if (rc == 0)
		rc = listen(fd, SOMAXCONN);
	if (rc == -1)
		err_set(err, "cannot listen on %s: %s", text, strerror(errno));
	return rc;
}

static int
open_one(const struct wish *wish, struct listener *listener, struct err *err)
{
	const char *text = wish->text;
	struct config_socket where;
	union any_address address;
	struct stat st;
	socklen_t len;

	if (config_socket_parse(text, &where, err) == -1)
		return -1;
	len = to_address(&where, &address);
	if (clear_stale(&where, &address, len, err) == -1)
		return -1;
	listener->fd = socket(address.sa.sa_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd == -1) {
		err_set(err, "socket for %s: %s", text, strerror(errno));
		return -1;
	}
	if (bind_and_listen(listener->fd, text, &address, len, err) == -1)
		return -1;
	if (!where.is_unix)
		return 0;
	memcpy(listener->path, where.path, sizeof(listener->path));
	if (stat(where.path, &st) == 0)
		listener->inode = (unsigned long)st.st_ino;
	return set_access(where.path, wish, err);
}

int
listeners_open(
    const struct config *config, struct listeners *listeners_r, struct err *err)
{
	char control[sizeof("unix:") + sizeof(listeners_r->socket[0].path)];
	const char *user = config->user, *group = config->socket_group;
	const struct wish wanted[LISTENER_COUNT] = {
		[LISTENER_MILTER] = { "milter", config->milter_socket, user,
		    group, config->socket_mode },
		[LISTENER_MAP] = { "map", config->map_socket, user, group,
		    config->socket_mode },
		[LISTENER_CONTROL] = { "control", control, user, "", 0600 },
	};

	(void)snprintf(
	    control, sizeof(control), "unix:%s", config->control_socket);
	memset(listeners_r, 0, sizeof(*listeners_r));
	for (int i = 0; i < LISTENER_COUNT; i++)
		listeners_r->socket[i].fd = -1;
	for (int i = 0; i < LISTENER_COUNT; i++) {
		struct listener *one = &listeners_r->socket[i];

		one->fd = service_manager_socket(wanted[i].name);
		if (one->fd != -1) {
			(void)fcntl(one->fd, F_SETFL, O_NONBLOCK);
			continue;
		}
		if (open_one(&wanted[i], one, err) == -1) {
			listeners_close(listeners_r);
			return -1;
		}
	}
	return 0;
}

void
listeners_close(struct listeners *listeners)
{
	struct stat st;

	for (int i = 0; i < LISTENER_COUNT; i++) {
		struct listener *one = &listeners->socket[i];

		if (one->fd != -1)
			(void)close(one->fd);
		one->fd = -1;
		/* A successor may have put its own there meanwhile. */
		if (one->path[0] != '\0' && stat(one->path, &st) == 0 &&
		    (unsigned long)st.st_ino == one->inode)
			(void)unlink(one->path);
		one->path[0] = '\0';
	}
}
