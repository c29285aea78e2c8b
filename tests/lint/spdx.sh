#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Licence and copyright are the first two lines (after #!) of each source file,
# and each .c file of the programs says on which thread it runs.

. "$(dirname "$0")/common.sh"

licence='SPDX-License-Identifier: BSD-2-Clause'
copyright='Copyright (c) 2026 the nexthop-milter authors'

files=$(project_files -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \
    -o -name '*.awk' -o -name '*.am' -o -name 'configure.ac' \
    -o -name '*.[58]' -o -name '*.service' -o -name '*.socket' \
    -o -path '*/contrib/check' -o -path '*/contrib/coverage' \
    -o -path '*/contrib/demo' \
    -o -path '*/contrib/postfix/enable' -o -path '*/.ci/run')
for file in $files; do
	case $file in
	"$srcdir"/config.h) continue ;;	# configure's
	"$srcdir"/aclocal.m4 | "$srcdir"/py-compile) continue ;;
	esac
	head=$(sed -e '1{/^#!/d;}' "$file" | head -n 2)
	case $head in
	*"$licence"*"$copyright"*) ;;
	*) complain "$file: does not begin with the SPDX and copyright lines" ;;
	esac
	case $file in
	"$srcdir"/policy/*.c | "$srcdir"/milter/*.c)
		sed -n 3p "$file" | grep -q '^/\* Thread' ||
		    complain "$file:3: does not say on which thread it runs" ;;
	esac
done
exit $status
