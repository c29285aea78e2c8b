/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * How each unit test program ends.
 */
#ifndef NH_TESTS_UNIT_SUITE_H
#define NH_TESTS_UNIT_SUITE_H

#include <check.h>

/*
 * Runs suite and frees it.
 * Returns: the exit status of the program.
 */
int suite_run(Suite *suite);

#endif
