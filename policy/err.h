/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One error in words, in a buffer of the caller: policy/ neither logs nor
 * exits, it tells its caller what was wrong and the caller decides.
 */
#ifndef NH_POLICY_ERR_H
#define NH_POLICY_ERR_H

#include "policy/compiler.h"

#define ERR_TEXT_MAX 256

struct err {
	char text[ERR_TEXT_MAX];
};

/*
 * Puts the formatted text into err, cut at ERR_TEXT_MAX - 1 bytes.
 * NULL: err may be NULL (nothing happens then).
 */
void err_set(struct err *err, const char *fmt, ...) NH_PRINTF(2, 3);

#endif
