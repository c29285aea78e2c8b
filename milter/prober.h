/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Who is probed when, and what a probe's outcome does to the table and the log:
 * the schedule of the probe thread. One target a (host, port), however many
 * routes use it.
 */
#ifndef NH_MILTER_PROBER_H
#define NH_MILTER_PROBER_H

#include <stdbool.h>

#include <event2/event.h>

#include "milter/snapshot.h"
#include "policy/compiler.h"
#include "policy/delivery.h"
#include "policy/err.h"
#include "policy/host.h"

struct prober;
struct observer;
struct flusher;

/*
 * Thread: the probe thread (the one that runs base); create and free: whoever
 * starts and ends it, while it does not run.
 * Owns: the caller, prober_free (probes under way are dropped, their
 * connections closed).
 */
int prober_create(struct event_base *base, struct prober **prober_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
void prober_free(struct prober **prober) NH_ALL_NONNULL;

/*
 * Takes up the current snapshot (after snapshot_adopt, and once at start):
 * targets that stay keep their schedule, new ones are probed at once, the first
 * round after start is quick and undelayed; names are resolved.
 */
void prober_adopt(struct prober *prober) NH_ALL_NONNULL;

/*
 * Makes deliveries count: observer says whether they are observed (it is told
 * of each adoption, too), flusher hears of waiting mail and of sets that can be
 * delivered to again. Both outlive the prober. Without this call probes alone
 * decide.
 */
void prober_connect(struct prober *prober, struct observer *observer,
    struct flusher *flusher) NH_ALL_NONNULL;
/* What the observer calls. */
struct delivery_calls prober_delivery_calls(
    struct prober *prober) NH_ALL_NONNULL;

/*
 * Probes one host now and shows the dialogue line by line (for people; the
 * outcome counts like any other probe's when the host is configured, else it is
 * only shown).
 * line: called for each line ("> EHLO ...", "< 250 ...", printable), and once
 * more with text NULL at the end, good telling the verdict.
 */
typedef void prober_line_fn(void *arg, const char *text, bool good);
void prober_probe_now(struct prober *prober, const struct host *host,
    prober_line_fn *line, void *arg) NH_NONNULL(1, 2, 3);
/* Whoever asked is gone: no more calls with this arg. */
void prober_forget(struct prober *prober, void *arg) NH_ALL_NONNULL;

#endif
