/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Memory for loading: either it succeeds or the process ends with a word on
 * standard error. Never used while serving: a lookup allocates nothing, and
 * sessions use calloc and answer "try again" (style of load and serve is told
 * apart by these names).
 */
#ifndef NH_POLICY_XALLOC_H
#define NH_POLICY_XALLOC_H

#include <stddef.h>

#include "policy/compiler.h"

/* Zeroed memory for n objects of size bytes. Owns: the caller, free(). */
void *xcalloc(size_t n, size_t size);
/*
 * As xcalloc, for what is searched at random and large: where the kernel has
 * huge pages, a step into it costs one miss and not a walk through page tables,
 * which in a virtual machine is several. Owns: the caller, free().
 */
void *xcalloc_huge(size_t n, size_t size);
/* As realloc for n objects; the new part is not zeroed. */
void *xreallocarray(void *old, size_t n, size_t size);
/* A copy of text. Owns: the caller, free(). */
char *xstrdup(const char *text) NH_ALL_NONNULL;

#endif
