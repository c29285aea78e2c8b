/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A text that is read from left to right, as a line of a log is. Knows nothing
 * of what the line means.
 */
#ifndef NH_POLICY_LINE_TEXT_H
#define NH_POLICY_LINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/host.h"

/* What is left to read; not terminated. */
struct line_text {
	const char *at;
	size_t len;
};

/* A server as the MTA writes it, H[A]. */
struct line_server {
	char name[HOST_NAME_MAX_LEN]; /* canonical as in policy/host.h */
	char address[HOST_NAME_MAX_LEN];
	uint16_t port; /* 0: not told */
};

/* The functions that take something leave text alone when it is not there. */

void line_text_step(struct line_text *text, size_t len) NH_ALL_NONNULL;

/* These very bytes. */
bool line_text_take(struct line_text *text, const char *word) NH_ALL_NONNULL;

/*
 * Bytes by a pattern: "9" is a digit, "a" a letter, "_" a digit or a blank,
 * anything else itself.
 */
bool line_text_take_pattern(
    struct line_text *text, const char *pattern) NH_ALL_NONNULL;

/* A number from 1 to max, with nothing but digits before end. */
bool line_text_take_number(struct line_text *text, uint32_t max,
    const char *end, uint32_t *number_r) NH_ALL_NONNULL;

/* Everything up to the first end, which is taken, too. */
bool line_text_take_until(struct line_text *text, const char *end,
    struct line_text *taken_r) NH_ALL_NONNULL;

bool line_text_is(struct line_text text, const char *word) NH_ALL_NONNULL;
bool line_text_starts(struct line_text text, const char *word) NH_ALL_NONNULL;
bool line_text_ends(struct line_text text, const char *word) NH_ALL_NONNULL;

/* Only these bytes, and at least one. */
bool line_text_only(struct line_text text, const char *bytes) NH_ALL_NONNULL;

/* "H[A]": a name or an address, and an address. The port stays 0. */
bool line_text_take_server(
    struct line_text *text, struct line_server *server_r) NH_ALL_NONNULL;

#endif
