/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The current configuration, bound to the shared table: immutable, counted,
 * swapped whole. Everybody who needs it takes a reference here; nobody keeps a
 * global pointer. No thread that must not wait ever frees one: snapshots
 * without a reference are freed by snapshot_reap.
 */
#ifndef NH_MILTER_SNAPSHOT_H
#define NH_MILTER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"
#include "policy/health_table.h"
#include "policy/lookup.h"

struct snapshot {
	struct config *config;
	struct health_table *table;
	struct lookup_base *base;
	uint32_t generation; /* counts up from 1 */
	/* private: references, chain of the retired, shared table's count */
	struct snapshot_private *private;
};

/*
 * Makes config current: opens the table named in it the first time, later
 * keeps it or replaces it by a larger one, makes slots for what is new, and
 * publishes. Says in the log how the table was opened (created, attached with
 * n states, rebuilt because ...).
 * Owns: config, on success.
 * Returns: 0; -1 with err (what was current stays, config stays the caller's).
 * Thread: before the threads start, then the probe thread only.
 */
int snapshot_adopt(
    struct config *config, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/* A reference to the current one; never NULL after the first adopt. */
struct snapshot *snapshot_get(void) NH_MUSTCHECK;
void snapshot_put(struct snapshot **snapshot) NH_ALL_NONNULL;

/*
 * For a thread that keeps a reference over many requests: exchanges *mine when
 * a newer one is current. Without a newer one this is one atomic load.
 * Returns: whether it was exchanged.
 */
bool snapshot_refresh(struct snapshot **mine) NH_ALL_NONNULL;

/* Frees what nobody refers to any more. Thread: the probe thread. */
void snapshot_reap(void);

/*
 * Whether the current table is still what nexthopctl and a next worker find
 * under its name, all of it. Thread: the probe thread.
 */
bool snapshot_table_in_place(void);

/* Drops everything (orderly end, tests): no reference may be out. */
void snapshot_end(void);

#endif
