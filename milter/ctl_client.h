/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The other end of the control socket (control.h says what is spoken there).
 */
#ifndef NH_MILTER_CTL_CLIENT_H
#define NH_MILTER_CTL_CLIENT_H

#include <stdint.h>
#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"
#include "policy/err.h"

enum ctl_answer {
	CTL_ANSWER_OK = 0,
	CTL_ANSWER_ERROR, /* the daemon's word is in err */
	CTL_ANSWER_NONE	  /* not reached, or no whole answer: err */
};

/*
 * Connects to the socket at path, without blocking.
 * Returns: a descriptor, or -1 with err in words for people. Owns: the caller.
 */
int ctl_client_dial(
    const char *path, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Sends one request line (without its end) to the socket at path and copies
 * the lines of the answer to out as they come.
 * Units: wait_ms is for the whole exchange.
 */
enum ctl_answer ctl_client_ask(const char *path, const char *request,
    uint32_t wait_ms, FILE *out, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/* `probe HOST[:PORT]`, `reload`. Returns: enum ctl_exit. */
int ctl_client_probe(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;
int ctl_client_reload(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;

#endif
