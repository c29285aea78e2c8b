/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * A file in the place of the health table that somebody hostile has made: any
 * bytes, or a good table with bytes changed, cut or made longer, under checks
 * that hold or not. Random bytes alone never get past the magic.
 *
 * Thread: the fuzzer's only one.
 */
#ifndef NH_TESTS_FUZZ_HOSTILE_TABLE_H
#define NH_TESTS_FUZZ_HOSTILE_TABLE_H

#include "policy/health_table.h"
#include "tests/fuzz/frame.h"

#define HOSTILE_NOW_MS UINT64_C(5000000)
#define HOSTILE_HOSTS  4 /* hosts and sets that the good table has */

/* What the good table was made with. */
extern const struct health_table_birth hostile_birth;
extern const struct health_table_size hostile_size;

/* The path of the file, in a folder that is gone when the process ends. */
const char *hostile_table_path(void);

/* Puts the file there that the input asks for. */
void hostile_table_put(struct feed *input);

/* The hosts of the good table are 10.0.0.1, 10.0.0.2 ...; its sets have these
   keys. */
struct host hostile_host(unsigned i);
uint64_t hostile_set(unsigned i);

#endif
