/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The clocks and random numbers of the running system, as policy/ wants them
 * (it takes time and randomness as arguments).
 */
#ifndef NH_MILTER_CLOCK_H
#define NH_MILTER_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include "policy/compiler.h"

/* CLOCK_BOOTTIME in milliseconds: goes on while the machine sleeps. */
uint64_t clock_boot_ms(void);

/* A time span as libevent wants it. */
struct timeval clock_timeval(uint64_t ms);

/* The identity of this boot (Linux: /proc/sys/kernel/random/boot_id); all
   zero where it cannot be read. */
void clock_boot_id(uint8_t id_r[16]) NH_ALL_NONNULL;

/* Writes the wall-clock time that belongs to a boot time, RFC 3339 in UTC
   ("2026-01-31T12:00:00Z"). size at least 21. */
char *clock_rfc3339(uint64_t boot_ms, char *out, size_t size) NH_ALL_NONNULL;

/* Fills with random bytes of the kernel; aborts where there are none. */
void clock_random(void *bytes, size_t len) NH_ALL_NONNULL;

#endif
