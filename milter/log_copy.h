/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The copy that was made of a log before the log was truncated (logrotate's
 * copytruncate): what had not been read by then is there. Thread: any.
 */
#ifndef NH_MILTER_LOG_COPY_H
#define NH_MILTER_LOG_COPY_H

#include <stdbool.h>

#include "milter/tail_file.h"
#include "policy/compiler.h"

/*
 * Looks in the log's folder for a file whose name begins with the log's, like
 * mail.log.1 or mail.log-20261128, and that holds what was read of the log
 * last, where it was read; of several the longest. log: what tail_file_read has
 * just found truncated.
 * Returns: true with *copy_r at what follows; false when there is none.
 * Owns: the caller, tail_file_close.
 */
bool log_copy_open(const char *folder, const char *name,
    const struct tail_file *log,
    struct tail_file *copy_r) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
