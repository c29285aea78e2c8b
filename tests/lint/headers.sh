#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Every header compiles alone: it includes what it uses. Twice in a row, too.

. "$(dirname "$0")/common.sh"

flags=$(pkg-config --cflags libconfig libevent libevent_openssl openssl \
    jansson check 2>/dev/null)
headers=$(project_files -name '*.h' | grep -E "^$srcdir/(policy|milter|tests)/")
[ -n "$headers" ] || complain "no headers under $srcdir"
for header in $headers; do
	# shellcheck disable=SC2086
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
	    ${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror \
		-I. -I"$srcdir" ${CPPFLAGS-} $flags -fsyntax-only -x c - ||
	    complain "$header does not compile alone"
	case $header in
	"$srcdir"/tests/*) continue ;;
	esac
	guard=NH_$(printf '%s' "${header#"$srcdir"/}" |
	    tr 'a-z/.-' 'A-Z___' )
	grep -q "^#ifndef $guard\$" "$header" ||
	    complain "$header: the include guard is not $guard"
done
exit $status
