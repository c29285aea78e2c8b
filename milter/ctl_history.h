/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * `nexthopctl history HOST[:PORT]`: the last changes of a host's state, as the
 * table keeps them. Works while the daemon is down.
 */
#ifndef NH_MILTER_CTL_HISTORY_H
#define NH_MILTER_CTL_HISTORY_H

#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"

/* Returns: enum ctl_exit. */
int ctl_history_run(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;

/* The same for an attached table and a host as text; ports of the host that are
   not in the table are said to be so on standard error. */
int ctl_history_print(
    const struct ctl *ctl, const char *text, FILE *out) NH_ALL_NONNULL;

#endif
