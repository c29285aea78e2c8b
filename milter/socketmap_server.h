/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The map thread: a socketmap server on libevent that does lookups and nothing
 * else. qmgr(8) stands still while it asks, so nothing here ever waits.
 */
#ifndef NH_MILTER_SOCKETMAP_SERVER_H
#define NH_MILTER_SOCKETMAP_SERVER_H

#include "policy/compiler.h"
#include "policy/err.h"

struct socketmap_server;

/*
 * Starts the thread on a listening socket (non-blocking; stays the caller's).
 * Signals that end a process must be blocked or ignored in the calling thread.
 * Returns: 0, or -1 with err.
 */
int socketmap_server_start(int listen_fd, struct socketmap_server **server_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
/* Ends the thread and joins it; connections are closed. */
void socketmap_server_stop(struct socketmap_server **server) NH_ALL_NONNULL;

#endif
