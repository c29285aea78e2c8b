/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The bounded queue between those who log and the writer thread: a ring of
 * bytes. Private to the log; not locked by itself.
 */
#ifndef NH_MILTER_LOG_QUEUE_H
#define NH_MILTER_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "milter/log_target.h"
#include "policy/compiler.h"

#define LOG_QUEUE_BYTES ((size_t)512 * 1024)

/*
 * Copies an entry in. Debug lines may fill half of the queue, info three
 * quarters: a flood of small talk does not push out what matters.
 * Returns: false when there is no room for this level.
 */
bool log_queue_put(const struct log_entry *entry) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Takes the oldest entry out; its text is copied to text (size bytes).
 * Returns: false when the queue is empty.
 */
bool log_queue_take(struct log_entry *entry_r, char *text,
    size_t size) NH_MUSTCHECK NH_ALL_NONNULL;

bool log_queue_is_empty(void);
/* Is it time to empty it? Long before a line is refused. */
bool log_queue_is_filling(void);

#endif
