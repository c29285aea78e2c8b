/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state. */
#include "milter/endpoint.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

int
endpoint_parse(const char *literal, uint16_t port, struct endpoint *endpoint_r)
{
	memset(endpoint_r, 0, sizeof(*endpoint_r));
	endpoint_r->port = port;
	endpoint_r->family = AF_INET;
	if (inet_pton(AF_INET, literal, &endpoint_r->v4) == 1)
		return 0;
	endpoint_r->family = AF_INET6;
	if (inet_pton(AF_INET6, literal, &endpoint_r->v6) == 1)
		return 0;
	return -1;
}

socklen_t
endpoint_sockaddr(
    const struct endpoint *endpoint, struct sockaddr_storage *address_r)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	memset(address_r, 0, sizeof(*address_r));
	if (endpoint->family == AF_INET) {
		v4.sin_port = htons(endpoint->port);
		v4.sin_addr = endpoint->v4;
		memcpy(address_r, &v4, sizeof(v4));
		return sizeof(v4);
	}
	assert(endpoint->family == AF_INET6);
	v6.sin6_port = htons(endpoint->port);
	v6.sin6_addr = endpoint->v6;
	memcpy(address_r, &v6, sizeof(v6));
	return sizeof(v6);
}

const char *
endpoint_text(const struct endpoint *endpoint, char text_r[ENDPOINT_TEXT_MAX])
{
	const char *text;

	text =
	    endpoint->family == AF_INET
		? inet_ntop(AF_INET, &endpoint->v4, text_r, ENDPOINT_TEXT_MAX)
		: inet_ntop(AF_INET6, &endpoint->v6, text_r, ENDPOINT_TEXT_MAX);
	assert(text != NULL);
	return text;
}

bool
endpoint_local_text(int fd, char text_r[ENDPOINT_TEXT_MAX])
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	struct endpoint local = { .family = AF_INET };
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	bool known = false;

	memset(&address, 0, sizeof(address));
	memcpy(text_r, "-", 2);
	if (getsockname(fd, (struct sockaddr *)&address, &len) == -1)
		return false;
	if (address.ss_family == AF_INET) {
		memcpy(&v4, &address, sizeof(v4));
		local.v4 = v4.sin_addr;
		known = local.v4.s_addr != htonl(INADDR_ANY);
	} else if (address.ss_family == AF_INET6) {
		memcpy(&v6, &address, sizeof(v6));
		local.family = AF_INET6;
		local.v6 = v6.sin6_addr;
		known = !IN6_IS_ADDR_UNSPECIFIED(&local.v6);
	}
	if (known)
		(void)endpoint_text(&local, text_r);
	return known;
}
