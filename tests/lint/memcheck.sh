#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Runs a test program under valgrind and judges the memory only: it fails if
# valgrind reports anything of the program or of its children.
#
#	memcheck.sh PROGRAM
#
# A test that fails without a report met what valgrind is not: it is twenty times
# slower, and a program that cannot be started is not noticed by posix_spawn(3)
# under it. Then the program is skipped, and says so; make check without valgrind
# judges it.

set -u

here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
trap 'exit 99' HUP INT TERM

# Children of fork(2) are followed, other programs are not. Threads run one at
# a time: without --fair-sched one that spins keeps the others waiting.
timeout -k 10 300 valgrind -q --fair-sched=yes --leak-check=full \
    --show-leak-kinds=definite,indirect \
    --suppressions="$here/valgrind.supp" --log-file="$folder/%p" "$@"
code=$?
if [ -n "$(find "$folder" -type f -size +0)" ]; then
	cat "$folder"/*
	exit 1
fi
[ $code = 0 ] && exit 0
echo "memcheck: nothing was reported, but the test failed (exit $code)"
exit 77
