/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state. */
#include "milter/probe_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Returns: 0, or an errno. */
static int
bind_to(int fd, const char *address, int family)
{
	struct sockaddr_storage local;
	struct endpoint endpoint;
	const int on = 1;
	socklen_t len;

	if (address[0] == '\0' || endpoint_parse(address, 0, &endpoint) == -1 ||
	    endpoint.family != family)
		return 0;
	/* The port is chosen at connect, by destination: there are many more.
	 */
	(void)setsockopt(
	    fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	len = endpoint_sockaddr(&endpoint, &local);
	return bind(fd, (const struct sockaddr *)&local, len) == -1 ? errno : 0;
}

int
probe_connect(
    const struct endpoint *endpoint, const char *bind_address, int *fd_r)
{
	struct sockaddr_storage remote;
	socklen_t len = endpoint_sockaddr(endpoint, &remote);
	int error;

	*fd_r = socket(
	    endpoint->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd_r == -1)
		return errno;
	error = bind_to(*fd_r, bind_address, endpoint->family);
	if (error != 0)
		return error;
	if (connect(*fd_r, (const struct sockaddr *)&remote, len) == -1 &&
	    errno != EINPROGRESS)
		return errno;
	return 0;
}

/*
 * No route at all is our own trouble; a router or a neighbour that says
 * "unreachable" speaks of the host.
 */
enum outcome
probe_connect_outcome(int error, bool at_once)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
		return OUTCOME_REFUSED;
	case ETIMEDOUT:
		return OUTCOME_TIMEOUT;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		return OUTCOME_UNREACHABLE;
	case ENETDOWN:
	case ENOBUFS:
	case ENOMEM:
	case EACCES:
	case EPERM:
	case EADDRNOTAVAIL:
		return OUTCOME_LOCAL;
	}
	return at_once ? OUTCOME_LOCAL : OUTCOME_UNREACHABLE;
}

enum outcome
probe_connect_lost(int error)
{
	switch (error) {
	case ENOMEM:
	case ENOBUFS:
		return OUTCOME_LOCAL;
	case ETIMEDOUT:
		return OUTCOME_TIMEOUT;
	}
	return OUTCOME_LOST;
}
