/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * `nexthopctl observe`: sends the lines of a delivery log that come on standard
 * input to the running daemon, for as long as there are any.
 */
#ifndef NH_MILTER_CTL_OBSERVE_H
#define NH_MILTER_CTL_OBSERVE_H

#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"

/*
 * Sends the lines of descriptor in to the control socket at path and, at the
 * end of input, copies what the daemon says to out. When the daemon goes away
 * it is waited for; lines that come meanwhile are dropped and counted. What
 * happens is told on log.
 * Returns: CTL_OK at the end of input; CTL_TROUBLE when the daemon cannot be
 * reached at the start, or refuses.
 */
int ctl_observe(const char *path, int in, FILE *out, FILE *log) NH_ALL_NONNULL;

/* The command. Returns: enum ctl_exit. */
int ctl_observe_run(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;

#endif
