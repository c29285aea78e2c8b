#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Formatting is clang-format's job; versions differ in detail, so only the one
# that the tree is formatted with judges.

. "$(dirname "$0")/common.sh"

wanted=14
tool=
for candidate in "clang-format-$wanted" clang-format; do
	command -v "$candidate" >/dev/null || continue
	case $("$candidate" --version) in
	*"version $wanted."*) tool=$candidate; break ;;
	esac
done
if [ -z "$tool" ]; then
	echo "format NOT CHECKED: clang-format $wanted is not installed"
	exit 77		# automake counts this as a skip, and shows it
fi
for file in $(c_files); do
	"$tool" --dry-run --Werror --style=file "$file" 2>&1 | head -n 5 >&2
	"$tool" --style=file "$file" | cmp -s - "$file" ||
	    complain "$file: run clang-format -i"
done
exit $status
