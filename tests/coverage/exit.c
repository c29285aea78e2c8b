/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * A worker ends with _exit(2), which does not write what it has counted. In a
 * build for coverage, and there only, the linker puts this before it
 * (--wrap=_exit), so that the program itself need not know of it.
 */
#include <unistd.h>

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
/* libgcov's, which has no header that every compiler installs. */
void __gcov_dump(void);
/* The names are the linker's. */
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

_Noreturn void
__wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
