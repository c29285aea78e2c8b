/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Where deliveries are observed: the followed logs, the journal, and lines that
 * `nexthopctl observe` sends. All become struct delivery_line, and what they
 * say goes to the prober (health) and to the flusher (waiting mail).
 */
#ifndef NH_MILTER_OBSERVER_H
#define NH_MILTER_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/delivery.h"
#include "policy/err.h"

struct observer;

/* Thread: the probe thread; create and free: whoever starts and ends it, while
   it does not run. Owns: the caller. calls is copied. */
int observer_create(struct event_base *base, const struct delivery_calls *calls,
    struct observer **observer_r, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
void observer_free(struct observer **observer) NH_ALL_NONNULL;
/* Takes up the followers of a configuration, which outlives the next call;
   those that stay keep their place. */
void observer_adopt(
    struct observer *observer, const struct config *config) NH_ALL_NONNULL;

/* A line from nexthopctl observe. */
void observer_line(
    struct observer *observer, const char *text, size_t len) NH_ALL_NONNULL;
/* One more, or one less, who sends lines. */
void observer_joined(struct observer *observer) NH_ALL_NONNULL;
void observer_left(struct observer *observer) NH_ALL_NONNULL;

/* Are deliveries observed now: some log is open, or somebody sends? */
bool observer_is_alive(const struct observer *observer) NH_ALL_NONNULL;
/* Lines that told of a delivery to a host of ours, since the start. */
uint64_t observer_heard(const struct observer *observer) NH_ALL_NONNULL;

#endif
