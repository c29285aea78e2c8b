#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Runs fuzz targets that were built with --enable-fuzz, each for that long, and
# prints a line about each. Called by make fuzz, in the build folder.
#
#	run.sh SECONDS TARGET...
#
# A target begins with its seeds and with what earlier runs learned, which is
# kept in fuzz/NAME/corpus. It stops at its first finding: the input is left in
# fuzz/NAME/findings, what the sanitizers said in fuzz/NAME/log. FUZZ_JOBS of
# them run at the same time (as many as there are processors). Exits with 1 if
# anything was found or did not run.

set -u

seconds=$1
shift
source=$(cd "$(dirname "$0")" && pwd) || exit 1
jobs=${FUZZ_JOBS:-$(nproc)}

# libconfig has leaks of its own, see suppressions.
export LSAN_OPTIONS="suppressions=$source/leaks.supp:print_suppressions=0"

last_number() {	# WORD LOG: the number behind the last such word
	grep -oE "$1 *[0-9]+" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}

summary() {	# NAME EXIT-STATUS
	log=fuzz/$1/log
	printf '%-14s %s executions, coverage %s edges, %s inputs kept, %s\n' \
	    "$1:" "$(last_number stat::number_of_executed_units: "$log")" \
	    "$(last_number cov: "$log")" \
	    "$(find "fuzz/$1/corpus" -type f | wc -l)" \
	    "$([ "$2" = 0 ] && echo 'no finding' ||
		echo "FAILED (exit $2): see $PWD/$log")"
}

fuzz() {	# TARGET
	name=${1##*/fuzz_}
	mkdir -p "fuzz/$name/corpus" "fuzz/$name/findings" || return 1
	dict=$source/dict/$name
	[ -f "$dict" ] || dict=
	"$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
	    -max_len=16384 -print_final_stats=1 \
	    -artifact_prefix="fuzz/$name/findings/" \
	    ${dict:+"-dict=$dict"} \
	    "fuzz/$name/corpus" "$source/seeds/$name" >"fuzz/$name/log" 2>&1
	code=$?
	summary "$name" $code
	return $code
}

if [ "${1-}" = --one ]; then
	fuzz "$2"
	exit
fi
# xargs ends with 123 when one of them failed.
printf '%s\n' "$@" | xargs -P "$jobs" -I '{}' "$0" "$seconds" --one '{}'
