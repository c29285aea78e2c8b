/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The operator's word on a host, written into the table through its file: it
 * counts from the next lookup on, and also when the daemon is down.
 */
#ifndef NH_MILTER_CTL_OVERRIDE_H
#define NH_MILTER_CTL_OVERRIDE_H

#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"

/*
 * `drain|disable|enable|force-up HOST[:PORT] [--for DURATION] [--reason TEXT]`;
 * argv[0] is the command. Without a port: all ports of that host.
 * Returns: enum ctl_exit.
 */
int ctl_override_run(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;

#endif
