#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# No function over 80 lines, no file over 600.

. "$(dirname "$0")/common.sh"

files=$(c_files)
[ -n "$files" ] || complain "no C files under $srcdir"
# Words are split on purpose: no file of the project has a blank in its name.
# shellcheck disable=SC2086
awk -v limit=80 -v file_limit=600 -f "$(dirname "$0")/funclen.awk" $files >&2 ||
    status=1
exit $status
