/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the map would answer for an address, and why: the same lookup as the
 * daemon's, on the same table, with nothing drawn.
 */
#ifndef NH_MILTER_CTL_LOOKUP_H
#define NH_MILTER_CTL_LOOKUP_H

#include <stdint.h>
#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"

#define CTL_LOOKUP_COUNT_MAX 1000000

/*
 * Prints the answer for address; with count > 0 also what the next count
 * tickets would select. ctl->config is there; ctl->table may be NULL (all
 * hosts count as up).
 * Returns: enum ctl_exit; trouble when text is no address.
 */
int ctl_lookup_print(const struct ctl *ctl, const char *text, uint32_t count,
    FILE *out) NH_ALL_NONNULL;

/* `lookup ADDRESS [--count N]`. Returns: enum ctl_exit. */
int ctl_lookup_run(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;

#endif
