#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# The man pages are clean mdoc, and each program has one.

. "$(dirname "$0")/common.sh"

for page in nexthop-milter.8 nexthopctl.8 nexthop.conf.5; do
	file=$srcdir/milter/$page
	if [ ! -f "$file" ]; then
		complain "$file is missing"
		continue
	fi
	if command -v mandoc >/dev/null; then
		# "style" would object to names of manuals that are not
		# installed here; a warning is an error of ours.
		mandoc -T lint -W warning "$file" >&2 || status=1
	else
		complain "mandoc is not installed: $page was not checked"
	fi
done
exit $status
