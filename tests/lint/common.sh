# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# shellcheck shell=sh disable=SC2034
# Sourced by the lint tests: where the source is, and how to complain.
# Automake sets srcdir; by hand it is found from the script's own place.

: "${srcdir:=$(dirname "$0")/../..}"
srcdir=$(cd "$srcdir" && pwd) || exit 99
status=0

complain() {
	printf '%s\n' "$*" >&2
	status=1
}

# judge NAME VERSION: tools of other versions find other things, so only the
# one that the tree is clean with judges. Prints what to call, or says that
# nothing was checked.
judge() {
	for candidate in "$1-$2" "$1"; do
		command -v "$candidate" >/dev/null || continue
		case $("$candidate" --version | tr '\n' ' ')- in
		*[Vv]ersion\ "$2".* | Cppcheck\ "$2"[!0-9]*)
			echo "$candidate"
			return 0 ;;
		esac
	done
	echo "NOT CHECKED: $1 $2 is not installed" >&2
	return 1
}

# Files of the project by suffix, without what a build may have left here
# (_build and _inst are distcheck's).
project_files() {
	find "$srcdir" \( -name .git -o -path "$srcdir/build*" \
	    -o -path "$srcdir/_build" -o -path "$srcdir/_inst" \
	    -o -path "$srcdir/nexthop-milter-[0-9]*" -o -name autom4te.cache \
	    -o -name __pycache__ -o -name .pytest_cache -o -name .deps \) \
	    -prune -o -type f \( "$@" \) -print | sort
}

c_files() {
	project_files -name '*.[ch]' | grep -v -e '/config\.h$' \
	    -e '/conftest\.[ch]$' | {
		# config.h at the top is configure's; policy/config.h is ours.
		cat
		[ -f "$srcdir/policy/config.h" ] && echo "$srcdir/policy/config.h"
	}
}
