/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files that take a delivery line apart share, and nobody else
 * includes: the reader of each part.
 */
#ifndef NH_POLICY_DELIVERY_LINE_PARTS_H
#define NH_POLICY_DELIVERY_LINE_PARTS_H

#include <stdbool.h>

#include "policy/compiler.h"
#include "policy/delivery_line.h"
#include "policy/line_text.h"

/* -- delivery_line_reason.c: why one server failed ------------------------ */

/*
 * whole: reason is not cut off at its end. relay: whom the attempt talked to
 * (an empty address: a local socket); NULL: not told. It lends its port, and
 * its name where the reason has none.
 * failure_r: all zero when nobody is to blame.
 * Returns: false when the reason names another server than relay: the MTA
 * writes no such line.
 */
bool delivery_line_reason(struct line_text reason, bool whole,
    const struct line_server *relay,
    struct delivery_failure *failure_r) NH_MUSTCHECK NH_NONNULL(4);

/* -- delivery_line_result.c: what became of a recipient ------------------- */

/*
 * text: what follows "to=<", to the end that the MTA wrote. line: attempt is
 * set, the fields of a RESULT are zero and are filled.
 * Returns: false when it is no such line, or can be read in two ways.
 */
bool delivery_line_result(struct line_text text,
    struct delivery_line *line) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
