/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the measuring programs share: a clock, a processor of their own, and
 * configurations of any size. Each program measures one thing a call and prints
 * lines "name value"; what they mean is decided by the part_*.py.
 */
#ifndef NH_TESTS_BENCH_SCENE_H
#define NH_TESTS_BENCH_SCENE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/lookup.h"

#define BENCH_PATH_MAX 64
#define BENCH_START_MS 1000000 /* what the clock of a table shows */

/* How the routes name their hosts. */
enum bench_shape {
	BENCH_POOLS = 0, /* pools of two; many routes share one */
	BENCH_LISTS	 /* a list of two of its own for each */
};

/* Monotonic; and what the process has had of the processors. */
double bench_seconds(void);
double bench_cpu_seconds(void);

/* Says what on standard error and ends the process. */
_Noreturn void bench_fail(const char *what) NH_ALL_NONNULL;

/* A number of the command line, from least on. */
uint32_t bench_number(const char *text, uint32_t least) NH_ALL_NONNULL;
enum bench_shape bench_shape(const char *text) NH_ALL_NONNULL;

/*
 * Stays on the CPU that it is on, with all processes that are started later:
 * where the kernel puts two processes that talk makes a difference of four
 * times and says nothing about a lookup.
 */
void bench_stay_on_one_cpu(void);

/* A folder of the process's own, and names in it. It ends empty. */
void bench_begin_folder(void);
const char *bench_path(
    const char *name, char path_r[BENCH_PATH_MAX]) NH_ALL_NONNULL;
void bench_end_folder(void);

/*
 * Writes a configuration for routes domains d0000000.example .. over hosts
 * hosts, its table PATH.table.
 */
void bench_write_config(const char *path, uint32_t routes, uint32_t hosts,
    enum bench_shape shape) NH_ALL_NONNULL;

/* Reads it. Never NULL. Owns: the caller, config_free. */
struct config *bench_load(const char *path) NH_ALL_NONNULL;

/* A configuration and a new table of its own, which has no name any more. */
struct bench_bound {
	struct config *config;
	struct health_table *table;
	struct lookup_base *base;
};

/* Takes config over. Needs the folder. */
void bench_bind(
    struct config *config, struct bench_bound *bound_r) NH_ALL_NONNULL;
void bench_unbind(struct bench_bound *bound) NH_ALL_NONNULL;

#endif
