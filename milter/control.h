/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The control socket: nexthopctl's line to the running daemon. A request is one
 * line ("reload", "probe [192.168.1.10]:25"); the answer is lines of text, each
 * after "= ", then a last line "OK" or "ERROR text". Many clients at once, each
 * bounded in length and time; a slow client harms nobody.
 *
 * A command may take further lines ("observe"): what follows its request line
 * then belongs to it, until the client ends its sending side. There is no limit
 * of time for those, a quiet log is normal, and the connection ends with that
 * request. Who sends without a pause is read at a pace that leaves the loop
 * time for others.
 */
#ifndef NH_MILTER_CONTROL_H
#define NH_MILTER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "policy/compiler.h"
#include "policy/err.h"

struct control;
struct control_request; /* one request under way */

/*
 * One command. Called on the probe thread with the rest of the line (no
 * command word, blanks trimmed). It must end in control_done, now or later.
 * cancel may be NULL: called when the client has gone; the command must not
 * touch the request afterwards.
 *
 * With line, which may be NULL, it takes lines: each whole one (of one longer
 * than DELIVERY_LINE_MAX the beginning; NUL bytes may be in it) is valid during
 * the call, which may be the last because control_done is called in it. end,
 * then no line will come any more: the command must end now, or soon. A command
 * with line has end and cancel.
 */
struct control_command {
	const char *name;
	void (*run)(
	    struct control_request *request, const char *rest, void *arg);
	void (*cancel)(struct control_request *request, void *arg);
	void (*line)(struct control_request *request, const char *text,
	    size_t len, void *arg);
	void (*end)(struct control_request *request, void *arg);
};

/*
 * Serves commands (a table of n, which must outlive the server) on a listening
 * socket (stays the caller's).
 * Thread: the probe thread; create and free: whoever starts and ends it, while
 * it does not run.
 */
int control_create(struct event_base *base, int listen_fd,
    const struct control_command *commands, size_t n, void *arg,
    struct control **control_r, struct err *err) NH_MUSTCHECK
    NH_NONNULL(1, 3, 6, 7);
void control_free(struct control **control) NH_ALL_NONNULL;

/* One line of the answer (control characters are replaced). */
void control_say(struct control_request *request, const char *fmt, ...)
    NH_PRINTF(2, 3) NH_NONNULL(1, 2);
/* The end: error NULL says OK. The request is gone after this. */
void control_done(struct control_request *request, const char *error)
    NH_NONNULL(1);

#endif
