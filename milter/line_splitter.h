/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Makes lines of a stream of bytes that comes in pieces. A line is delivered
 * when its end has come, once; of a longer one than DELIVERY_LINE_MAX the
 * beginning. NUL bytes are bytes. Knows no descriptors. Thread: any.
 */
#ifndef NH_MILTER_LINE_SPLITTER_H
#define NH_MILTER_LINE_SPLITTER_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/compiler.h"
#include "policy/delivery_line.h"

struct line_splitter {
	size_t len;    /* of the beginning that waits for its end */
	bool skipping; /* until the next end of a line */
	char text[DELIVERY_LINE_MAX];
};

/*
 * Forgets what waits. in_line: the stream begins somewhere within a line, whose
 * rest is no line: text of strangers in it could look like one.
 */
void line_splitter_reset(
    struct line_splitter *splitter, bool in_line) NH_ALL_NONNULL;

/*
 * Takes bytes up to the end of a line, or all (len is not 0).
 * Returns: how many were taken. *line_r is the line without its end, valid
 * until the next call and as long as bytes; NULL when none has ended.
 */
size_t line_splitter_take(struct line_splitter *splitter, const char *bytes,
    size_t len, const char **line_r, size_t *len_r) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
