/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * The probe thread: one libevent loop for all that must not hold up a lookup:
 * probes, names, the control socket, the heartbeat, and taking up a new
 * configuration that has been parsed for the main thread.
 */
#ifndef NH_MILTER_PROBE_THREAD_H
#define NH_MILTER_PROBE_THREAD_H

#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"

struct probe_thread;

/*
 * A reload: asked for by the probe thread (control socket) or the supervisor,
 * parsed for the main thread, taken up by the probe thread.
 */
struct reload_job {
	uint64_t request;      /* whoever waits for it; 0: nobody */
	struct config *config; /* NULL: the file is bad */
	struct config_problems problems;
	char kept[256];		 /* options that need a restart, "a, b" */
	struct reload_job *next; /* the probe thread's queue */
};

/*
 * Starts the thread. The first snapshot has been adopted.
 * ask_fd: where it writes the number of a request (8 bytes, non-blocking) that
 * wants a reload. to_fd: the pipe to the supervisor.
 * Returns: 0; -1 with err.
 */
int probe_thread_start(int control_fd, int ask_fd, int to_fd,
    struct probe_thread **thread_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Hands over a parsed job (from malloc).
 * Owns: the probe thread. Thread: the worker's main thread.
 */
void probe_thread_reloaded(
    struct probe_thread *thread, struct reload_job *job) NH_ALL_NONNULL;

/* Ends the thread and joins it. */
void probe_thread_stop(struct probe_thread **thread) NH_ALL_NONNULL;

#endif
