/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any. */
#include "policy/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	return or_die(calloc(n, size), n, size);
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
