/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Runs one program to its end, beside the event loop: no shell, a small
 * environment of its own, nothing of ours left open in it, a deadline, and what
 * it says kept. There is no handler of SIGCHLD, because the process has threads
 * of others (libmilter): the end is seen at its output and by asking for it.
 */
#ifndef NH_MILTER_COMMAND_H
#define NH_MILTER_COMMAND_H

#include <stdint.h>

#include <event2/event.h>

#include "policy/compiler.h"

#define COMMAND_OUTPUT_MAX 1024 /* bytes kept, with the final zero */

enum command_end {
	COMMAND_EXITED = 0, /* status is the exit status */
	COMMAND_KILLED,	    /* by somebody else; status is the signal */
	COMMAND_TIMED_OUT,  /* by us */
	COMMAND_LOST	    /* somebody else has waited for it */
};

struct command_result {
	enum command_end end;
	int status;
	char output[COMMAND_OUTPUT_MAX]; /* standard output and error,
					    printable, in one line */
};

struct command;

/* Called once, from the loop; the command is gone then. */
typedef void command_done_fn(void *arg, const struct command_result *result);

/*
 * Starts argv[0] with these arguments (NULL-terminated). A name without a slash
 * is sought in /usr/sbin, /usr/bin, /sbin and /bin, and that is its PATH too;
 * MAIL_CONFIG and TZ are passed on. It leads a process group of its own, which
 * is killed at the deadline.
 * Owns: *command_r is the caller's until done is called; command_free.
 * Returns: 0; else an errno value, ENOENT when there is no such program, and
 * done is not called.
 * Thread: the one that runs base.
 */
int command_start(struct event_base *base, char *const *argv,
    uint32_t deadline_ms, command_done_fn *done, void *arg,
    struct command **command_r) NH_MUSTCHECK NH_NONNULL(1, 2, 4, 6);

/* Kills it, waits for that, and does not call done. */
void command_free(struct command **command) NH_ALL_NONNULL;

#endif
