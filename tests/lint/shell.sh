#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# No shell script has anything that shellcheck warns of.

. "$(dirname "$0")/common.sh"

command -v shellcheck >/dev/null || {
	echo "NOT CHECKED: shellcheck is not installed" >&2
	exit 0
}
scripts=$(project_files -name '*.sh' -o -name '*.bash' \
    -o -path '*/contrib/check' -o -path '*/contrib/demo' \
    -o -path '*/contrib/postfix/enable' -o -path '*/.ci/run')
[ -n "$scripts" ] || complain "no scripts under $srcdir"
# Scripts name what they source from here.
cd "$srcdir" || exit 99
# Words are split on purpose: no file of the project has a blank in its name.
# shellcheck disable=SC2086
shellcheck -x -P SCRIPTDIR -S warning $scripts >&2 ||
    complain "shellcheck has findings"
exit $status
