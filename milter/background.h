/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Long work that must not cost those time who wait for an answer.
 */
#ifndef NH_MILTER_BACKGROUND_H
#define NH_MILTER_BACKGROUND_H

#include "policy/compiler.h"

/*
 * Runs work(arg) on a thread of its own that gives way to all other threads of
 * the process (nice 10), and waits for its end. The caller's own priority
 * stays: without privileges nobody gets his old one back.
 * Without a further thread the caller runs it.
 * Thread: any that may wait.
 */
void background_run(void (*work)(void *arg), void *arg) NH_NONNULL(1);

#endif
