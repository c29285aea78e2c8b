/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One address and port to connect to, small enough to keep many of them.
 */
#ifndef NH_MILTER_ENDPOINT_H
#define NH_MILTER_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "policy/compiler.h"

#define ENDPOINT_TEXT_MAX INET6_ADDRSTRLEN /* "192.168.1.10", no port */

struct endpoint {
	int family; /* AF_INET, AF_INET6 */
	uint16_t port;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

/* From the text of an IP address. Returns: 0; -1: it is none. */
int endpoint_parse(const char *literal, uint16_t port,
    struct endpoint *endpoint_r) NH_MUSTCHECK NH_ALL_NONNULL;

/* As the socket calls want it. Returns: the length. */
socklen_t endpoint_sockaddr(const struct endpoint *endpoint,
    struct sockaddr_storage *address_r) NH_ALL_NONNULL;

/* The address as text, without port. Returns: text_r. */
const char *endpoint_text(const struct endpoint *endpoint,
    char text_r[ENDPOINT_TEXT_MAX]) NH_ALL_NONNULL;

/*
 * The local address of a socket as text.
 * Returns: false when it has none (yet): "-".
 */
bool endpoint_local_text(int fd, char text_r[ENDPOINT_TEXT_MAX]) NH_ALL_NONNULL;

#endif
