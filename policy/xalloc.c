/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any. */
#include "policy/xalloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE  ((size_t)1 << 21)
#define HUGE_LEAST (2 * HUGE_PAGE) /* less is not worth the rounding */

static void *
or_die(void *memory, size_t n, size_t size)
{
	if (memory == NULL && n > 0 && size > 0) {
		fprintf(stderr, "out of memory (%zu x %zu bytes)\n", n, size);
		abort();
	}
	return memory;
}

void *
xcalloc(size_t n, size_t size)
{
	return or_die(
	    n == 0 || size == 0 ? calloc(1, 1) : calloc(n, size), n, size);
}

void *
xcalloc_huge(size_t n, size_t size)
{
	size_t bytes = n * size;
	void *memory;

	if (size == 0 || n > SIZE_MAX / size || bytes < HUGE_LEAST)
		return xcalloc(n, size);
	bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	memory = or_die(aligned_alloc(HUGE_PAGE, bytes), 1, bytes);
	/* A wish: small pages do as well, only slower. */
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	return memset(memory, 0, bytes);
}

void *
xreallocarray(void *old, size_t n, size_t size)
{
	return or_die(reallocarray(old, n, size), n, size);
}

char *
xstrdup(const char *text)
{
	return or_die(strdup(text), 1, 1);
}
