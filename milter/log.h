/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The milter log: syslog, standard error or a file. One line says the whole
 * story. In the worker a thread of the log's own writes, so that a stuck
 * syslog daemon or disk never holds up a lookup or a transaction: when its
 * queue is full, lines are dropped and their number is logged.
 */
#ifndef NH_MILTER_LOG_H
#define NH_MILTER_LOG_H

#include <stdarg.h>
#include <stdbool.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"

#define LOG_LINE_MAX 2048 /* longer lines are cut */

/*
 * Opens (or, at a reload, opens anew: that is what logrotate needs) the target.
 * Until the first call everything goes to standard error.
 * Returns: 0; -1 with err (the target in use stays).
 * Thread: any.
 */
int log_open(
    const struct config_log *log, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Starts and ends the writer thread (the worker, after fork). log_stop writes
 * what is queued; lines logged later are written directly.
 * Returns: 0, -1 when the thread cannot be made (then lines are written
 * directly).
 */
int log_start(void);
void log_stop(void);

/* Would a line of this level be written? */
bool log_wants(enum config_log_level level);

/*
 * Writes one line; the caller has made text of strangers printable. Newlines
 * and control characters that slip through are replaced.
 * Thread: any; errno is kept. Never blocks while the writer runs.
 */
void log_error(const char *fmt, ...) NH_PRINTF(1, 2);
void log_warning(const char *fmt, ...) NH_PRINTF(1, 2);
void log_info(const char *fmt, ...) NH_PRINTF(1, 2);
void log_debug(const char *fmt, ...) NH_PRINTF(1, 2);
void log_line(enum config_log_level level, const char *fmt, ...)
    NH_PRINTF(2, 3);

#endif
