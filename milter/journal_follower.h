/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Follows the mail lines of the systemd journal (SYSLOG_FACILITY 2) from its
 * end on, through libsystemd: over rotation and removal of its files, and over
 * errors, after which it goes on behind the record that was read last. So many
 * records at a time as take a few milliseconds, then the loop has a turn.
 * Of the machine's journal only the system's files are read. Still any program
 * may write there with any tag: a record is as true as a line of a log file.
 */
#ifndef NH_MILTER_JOURNAL_FOLLOWER_H
#define NH_MILTER_JOURNAL_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "policy/compiler.h"
#include "policy/err.h"

struct journal_follower;

/* One record: its tag ("postfix/smtp"), its process (0: not told) and its text,
   cut off at DELIVERY_LINE_MAX; records of several lines are left out. Called
   from the loop; must not free the follower. */
typedef void journal_follower_record_fn(void *arg, const char *tag,
    size_t tag_len, uint32_t pid, const char *text, size_t len);

/*
 * directory: NULL for the machine's journal, else a folder with journal files
 * (tests). A journal that cannot be opened now, or in which nothing may be
 * read, is tried again every two seconds; then what is written from then on is
 * read.
 * Returns: 0; -1 with err (no memory, built without libsystemd). Owns: the
 * caller. Thread: the one that runs base.
 */
int journal_follower_create(struct event_base *base, const char *directory,
    journal_follower_record_fn *record, void *arg,
    struct journal_follower **follower_r, struct err *err) NH_MUSTCHECK
    NH_NONNULL(1, 3, 5, 6);
void journal_follower_free(struct journal_follower **follower) NH_ALL_NONNULL;

/* Is it open and readable? Logged when it changes, as for log_follower. */
bool journal_follower_is_open(
    const struct journal_follower *follower) NH_ALL_NONNULL;

#endif
