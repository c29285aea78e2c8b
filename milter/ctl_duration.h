/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Spans of time as people write and read them.
 */
#ifndef NH_MILTER_CTL_DURATION_H
#define NH_MILTER_CTL_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"

#define CTL_DURATION_MAX_S (366ULL * 86400) /* longer is a slip of the hand */
#define CTL_DURATION_TEXT  32		    /* bytes that always suffice */

/*
 * Parses "90", "90s", "10m", "2h" or "1d": a whole number above zero and at
 * most one letter.
 * Returns: 0, or -1 when text is none of that or is longer than the maximum.
 */
int ctl_duration_parse(
    const char *text, uint64_t *ms_r) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * "0.4 s", "41 s", "12 min", "2 h 5 min", "3 d 4 h": two figures are enough to
 * know what one looks at.
 * Returns: out. size at least CTL_DURATION_TEXT.
 */
char *ctl_duration_format(uint64_t ms, char *out, size_t size) NH_ALL_NONNULL;

#endif
