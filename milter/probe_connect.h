/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Opening a connection without waiting, and what the system's error numbers say
 * about the host or about this machine.
 */
#ifndef NH_MILTER_PROBE_CONNECT_H
#define NH_MILTER_PROBE_CONNECT_H

#include <stdbool.h>

#include "milter/endpoint.h"
#include "policy/compiler.h"
#include "policy/outcome.h"

/*
 * Starts to connect (non-blocking, close-on-exec). bind_address "" leaves the
 * local address to the system, and so does one of another family.
 * Owns: *fd_r is the caller's, whatever is returned; -1 when there is none.
 * Returns: 0 when connected or under way, else an errno.
 */
int probe_connect(const struct endpoint *endpoint, const char *bind_address,
    int *fd_r) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * What an errno of connecting means. at_once: the call itself gave it, so it is
 * about this machine (no descriptors, no ports, no route); else it came from
 * the network and is about the host.
 */
enum outcome probe_connect_outcome(int error, bool at_once);

/* What an errno of a connection that stood means. */
enum outcome probe_connect_lost(int error);

#endif
