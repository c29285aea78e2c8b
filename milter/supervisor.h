/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * The supervisor: owns the listening sockets and the worker. A worker that dies
 * is replaced; SIGHUP is a reload (libmilter itself would stop on it); SIGTERM
 * and SIGINT drain and stop. The worker is spoken to through a pipe, never by
 * signals.
 */
#ifndef NH_MILTER_SUPERVISOR_H
#define NH_MILTER_SUPERVISOR_H

#include "policy/compiler.h"
#include "policy/config.h"

/* What goes through the pipe to the worker, a byte each. End of file: stop. */
#define SUPERVISOR_SAYS_RELOAD 'R'
#define SUPERVISOR_SAYS_STOP   'S'
/* What the worker answers. */
#define WORKER_SAYS_READY    'k'
#define WORKER_SAYS_HEARD    'h' /* that a reload is wanted */
#define WORKER_SAYS_RELOADED 'r'
/* Exit status of a worker that would fail again at once: no restart, unless one
   has been ready before. */
#define WORKER_EXIT_HOPELESS 78

/*
 * Runs until told to stop.
 * Owns: *config, freed.
 * Returns: the exit status of the program: 0 after an orderly stop, 1 when
 * it could not start.
 */
int supervisor_run(struct config **config) NH_ALL_NONNULL;

#endif
