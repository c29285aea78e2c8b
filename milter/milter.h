/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * The milter face: libmilter's callbacks. They note recipients and draw
 * tickets; they never change a message. Nothing but end-of-message costs the
 * MTA a round trip, unless some route says tempfail.
 */
#ifndef NH_MILTER_MILTER_H
#define NH_MILTER_MILTER_H

#include "policy/compiler.h"
#include "policy/err.h"

/*
 * Starts libmilter on a listening socket in a thread of its own. path is the
 * address as the configuration has it: used where libmilter cannot take a
 * socket that is open already. When it returns, libmilter has the descriptors
 * that it cannot do without.
 * Returns: 0, or -1 with err.
 * Thread: the worker's main thread, once. Signals that end a process must be
 * blocked or ignored: libmilter's threads would take them.
 */
int milter_start(int listen_fd, const char *path,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Transactions between MAIL and end-of-message: a stop waits for them, because
 * libmilter drops sessions unanswered when it ends.
 * Thread: any.
 */
unsigned milter_open_transactions(void);

#endif
