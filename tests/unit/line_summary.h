/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What was read of a delivery line, in one line for tables of tests.
 */
#ifndef NH_TESTS_UNIT_LINE_SUMMARY_H
#define NH_TESTS_UNIT_LINE_SUMMARY_H

#include <stddef.h>

#include "policy/delivery_line.h"

#define LINE_SUMMARY_MAX 4096

/*
 * "other", "event ID FAILURE", or "result ID LOCAL DOMAIN STATUS WAITS RELAY
 * FAILURE"; FAILURE is "-" or "NAME[ADDRESS]:PORT STAGE WORD: TEXT", where WORD
 * is "said" or the outcome's token, with "!" when an EVENT has told it. Parts
 * that say nothing are left out.
 * Returns: text_r.
 */
const char *line_summary(
    const struct delivery_line *line, char text_r[LINE_SUMMARY_MAX]);

/* The same of a message that smtp(8) logs. */
const char *line_summary_of(const char *tag, const char *message,
    size_t message_len, char text_r[LINE_SUMMARY_MAX]);

#endif
