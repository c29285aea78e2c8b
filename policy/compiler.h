/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Attributes that let the compiler check what a comment promises, and what C
 * lacks: the number of elements of an array, and the thing whose member a
 * pointer points at.
 */
#ifndef NH_POLICY_COMPILER_H
#define NH_POLICY_COMPILER_H

#include <stddef.h>

#define NH_MUSTCHECK	__attribute__((warn_unused_result))
#define NH_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define NH_ALL_NONNULL	__attribute__((nonnull))
#define NH_PRINTF(f, a) __attribute__((format(printf, f, a)))
/* Wanted soon: the processor may fetch it while other things are done. A
   million scattered places cost more than all else that is done with them. */
#define NH_FETCH(address) __builtin_prefetch(address)
#define NH_FETCH_AHEAD	  8 /* so many turns of a loop before */
#define NELEM(array)	  (sizeof(array) / sizeof((array)[0]))
#define OWNER_OF(pointer, type, member)                                        \
	((struct type *)(void *)((char *)(pointer)-offsetof(                   \
	    struct type, member)))

#endif
