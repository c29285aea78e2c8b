# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# shellcheck shell=bash
# Sourced by contrib/check and contrib/demo: how to build from a copy, so that
# the tree stays as it is and runs side by side never meet.

# copy_source FROM TO: the tree without version control and without what an
# earlier build may have left in it.
copy_source() {
	mkdir -p "$2" || return 1
	(cd "$1" && tar -cf - \
	    --exclude=./.git --exclude='./build*' --exclude=autom4te.cache \
	    --exclude=./config.status --exclude=./config.log \
	    --exclude=./config.h --exclude=./Makefile --exclude=./stamp-h1 \
	    --exclude='./nexthop-milter-[0-9]*' --exclude=.deps \
	    --exclude=.dirstamp --exclude='*.o' --exclude='*.a' \
	    --exclude=__pycache__ --exclude=.pytest_cache .) |
	    (cd "$2" && tar -xf -)
}

# make_configure SOURCE: autoreconf, in a copy
make_configure() {
	(cd "$1" && autoreconf -fi)
}

# build SOURCE BUILD [CONFIGURE WORDS]: out of the tree
build() {
	source_=$1 build_=$2
	shift 2
	mkdir -p "$build_" &&
	    (cd "$build_" && "$source_/configure" -q "$@" &&
		make -j"$(nproc)" -s)
}
