/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * One worker a table: a lock on a file of its own beside the table (the table
 * itself is replaced by rename, and a lock on it would be left behind). Opened
 * by the worker, because a lock taken before a fork outlives a killed child.
 */
#ifndef NH_MILTER_TABLE_LOCK_H
#define NH_MILTER_TABLE_LOCK_H

#include "policy/compiler.h"
#include "policy/err.h"

/*
 * Takes the lock of the table at path; held until the process ends.
 * Returns: 0; -1 with err (another process holds it, cannot create).
 */
int table_lock_take(
    const char *path, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
