/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the map server bears of its clients. Private to the server and to its
 * test, which has no minutes to wait.
 */
#ifndef NH_MILTER_SOCKETMAP_SERVER_LIMITS_H
#define NH_MILTER_SOCKETMAP_SERVER_LIMITS_H

#include <stdint.h>

#include "milter/socketmap_server.h"

struct socketmap_limits {
	uint32_t connections;	/* at most so many at once */
	uint32_t idle_ms;	/* a client that asks nothing is left alone so
				   long: Postfix closes after 10 s itself, and
				   a server that closes first costs mail */
	uint32_t unfinished_ms; /* for one request, and for taking an answer */
	uint32_t evict_idle_ms; /* where room is needed, clients idle for so
				   long may go, the longest idle first */
	uint32_t sweep_ms;	/* how often times are looked at */
};

extern const struct socketmap_limits socketmap_limits_usual;

/* As socketmap_server_start, with limits of its own (copied). */
int socketmap_server_start_with(int listen_fd,
    const struct socketmap_limits *limits, struct socketmap_server **server_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
