#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# clang-tidy finds nothing; .clang-tidy and tests/.clang-tidy say what it looks
# for. The words are the compiler's flags: `make check-tidy` knows them.

. "$(dirname "$0")/common.sh"

tool=$(judge clang-tidy 14) || exit 0
files=$(c_files | grep -E "^$srcdir/(policy|milter|tests)/.*\.c$")
[ -n "$files" ] || complain "no C files under $srcdir"
# One file a run: it takes va_start of the second for an unknown function. It
# counts on stderr what it does not show; findings go to stdout.
# shellcheck disable=SC2016
printf '%s\n' "$files" | xargs -P "$(nproc)" -I '{}' \
    sh -c 'tool=$1 file=$2; shift 2; "$tool" --quiet "$file" -- "$@" 2>/dev/null' \
    tidy "$tool" '{}' "$@" || complain "clang-tidy has findings"
exit $status
