#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# cppcheck finds nothing but what cppcheck.suppressions names, with reasons.

. "$(dirname "$0")/common.sh"

tool=$(judge cppcheck 2.10) || exit 0
# Without the lists of sys/queue.h it cannot read what uses them.
queue=/usr/include/$(${CC:-cc} -print-multiarch)/sys/queue.h
[ -f "$queue" ] || queue=/usr/include/sys/queue.h
cd "$srcdir" || exit 99
"$tool" -q -j "$(nproc)" --std=c11 --error-exitcode=1 --inline-suppr \
    --enable=warning,style,performance,portability \
    --suppressions-list=tests/lint/cppcheck.suppressions \
    -D_GNU_SOURCE -DHAVE_LIBSYSTEMD=1 -I. --include="$queue" \
    policy milter tests || complain "cppcheck has findings"
exit $status
