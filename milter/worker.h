/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * The worker: the process that does the work. Its main thread, which is not the
 * first one, starts the others (libmilter's, the map thread, the probe thread),
 * has the configuration parsed at a reload (milter/background.h), and at the
 * end waits for open transactions.
 */
#ifndef NH_MILTER_WORKER_H
#define NH_MILTER_WORKER_H

#include "milter/listener.h"
#include "policy/compiler.h"
#include "policy/config.h"

/*
 * Runs until the supervisor says stop, or is gone (end of file on from_fd).
 * Owns: config.
 * Returns: the exit status; WORKER_EXIT_HOPELESS when it could not start, for a
 * reason that is in the log.
 */
int worker_run(struct config *config, const struct listeners *listeners,
    int from_fd, int to_fd) NH_ALL_NONNULL;

#endif
