/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Text from strangers (network, files, operators) made harmless: what goes
 * into a log line, an answer or the table passes through here.
 */
#ifndef NH_POLICY_PRINTABLE_H
#define NH_POLICY_PRINTABLE_H

#include <stddef.h>

#include "policy/compiler.h"

/*
 * Copies len bytes of text into out (size bytes with the final zero):
 * printable ASCII is kept, a backslash is doubled, everything else becomes
 * \xHH; what does not fit is cut and ends in "...".
 * Returns: out. size must be at least 8.
 * Thread: any.
 */
char *printable(
    const char *text, size_t len, char *out, size_t size) NH_ALL_NONNULL;

#endif
