/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Where log lines end up: syslog, standard error or a file. Private to the log.
 * Knows how a line looks in each of them; knows nothing of queues.
 */
#ifndef NH_MILTER_LOG_TARGET_H
#define NH_MILTER_LOG_TARGET_H

#include <stddef.h>
#include <time.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"

struct log_target;

/* One line: text without newline, of len bytes, and when it was said. */
struct log_entry {
	enum config_log_level level;
	struct timespec when;
	size_t len;
	const char *text;
};

/*
 * Returns: 0; -1 with err (a file that cannot be opened for appending).
 * Owns: the caller, log_target_close.
 */
int log_target_open(const struct config_log *log, struct log_target **target_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
void log_target_close(struct log_target **target) NH_ALL_NONNULL;

/*
 * Writes one line, waiting for a target that is not ready to take it.
 * NULL: target NULL is standard error.
 * Units: wait_ms as in poll(2), -1: as long as the target wants.
 * Returns: 0, -1 when the line is lost (disk full, nobody reads, ...).
 * Thread: one at a time.
 */
int log_target_write(struct log_target *target, const struct log_entry *entry,
    int wait_ms) NH_NONNULL(2);

#endif
