#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Formatting is clang-format's job; versions differ in detail, so only the one
# that the tree is formatted with judges.

. "$(dirname "$0")/common.sh"

tool=$(judge clang-format 14) || exit 77	# a skip, and shown
for file in $(c_files); do
	"$tool" --dry-run --Werror --style=file "$file" 2>&1 | head -n 5 >&2
	"$tool" --style=file "$file" | cmp -s - "$file" ||
	    complain "$file: run clang-format -i"
done
exit $status
