/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Asks the MTA to try mail again that waited for hosts which are well now: runs
 * delivery.flush_command as policy/flush_plan.h says, one process at a time,
 * without a shell, with a deadline. One message alone is asked for with "-i"
 * in place of the command's last "-s"; a command without "-s" cannot do that.
 */
#ifndef NH_MILTER_FLUSHER_H
#define NH_MILTER_FLUSHER_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/delivery.h"
#include "policy/err.h"

struct flusher;

/*
 * Owns: the caller; flusher_free ends a process under way.
 * Thread: the probe thread; create and free: whoever starts and ends it, while
 * it does not run.
 */
int flusher_create(struct event_base *base, struct flusher **flusher_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
void flusher_free(struct flusher **flusher) NH_ALL_NONNULL;
/* At each adoption of a configuration, and once at start; what is needed of
   config is copied. What is known to wait, waits for the sets of config now. */
void flusher_adopt(
    struct flusher *flusher, const struct config *config) NH_ALL_NONNULL;

/* See the functions of the same names in policy/flush_plan.h. */
void flusher_waiting(struct flusher *flusher, uint64_t set,
    const struct delivery_waiting *waiting, bool set_is_up) NH_ALL_NONNULL;
void flusher_blame(
    struct flusher *flusher, uint64_t set, bool set_is_up) NH_ALL_NONNULL;
void flusher_gone(struct flusher *flusher, uint64_t set,
    const struct address *recipient, const char *queue_id) NH_ALL_NONNULL;
/* What is flushed is logged, at info: the first domains by name, the others by
   number. Does nothing without flush_on_recovery. */
void flusher_recovered(struct flusher *flusher, uint64_t set) NH_ALL_NONNULL;
bool flusher_has_moved(
    const struct flusher *flusher, uint64_t set) NH_ALL_NONNULL;
void flusher_failed(struct flusher *flusher, uint64_t set) NH_ALL_NONNULL;

/*
 * Lets one waiting message of the set be tried now, for a trial (also without
 * flush_on_recovery). ready is called at once, before the command runs, with
 * the recipient as written: the caller leaves the claimed ticket for it.
 * Returns: false when there is none, or no way to ask for it.
 */
typedef void flusher_ready_fn(void *arg, const char *to);
bool flusher_try_one(struct flusher *flusher, uint64_t set,
    flusher_ready_fn *ready, void *arg) NH_NONNULL(1, 3);

#endif
