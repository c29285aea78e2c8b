#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Installs what contrib/check and contrib/demo need and this machine lacks.
# Debian 12 and Ubuntu 24.04 use the same names.
#
#	packages.sh [--full] [--bench] [--list]
#
# --full adds what only `contrib/check --full` needs, --bench what `make bench`
# compares with; --list prints what is missing and installs nothing. A Postfix
# that comes with it is left unconfigured, and neither it nor HAProxy is
# started: nobody asked for a server.

set -eu

packages='build-essential autoconf automake pkg-config
    libmilter-dev libconfig-dev libevent-dev libssl-dev libjansson-dev
    libsystemd-dev systemd-journal-remote check
    postfix swaks miltertest openssl python3 python3-pytest
    python3-pytest-xdist
    mandoc procps iproute2'
full='clang clang-format clang-tidy cppcheck gcovr shellcheck valgrind'
bench='haproxy'
list_only=false

for word; do
	case $word in
	--full) packages="$packages $full" ;;
	--bench) packages="$packages $bench" ;;
	--list) list_only=true ;;
	*)
		echo "usage: packages.sh [--full] [--bench] [--list]" >&2
		exit 2 ;;
	esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "packages.sh: this is neither Debian nor Ubuntu;" \
	    "please install the equivalents of:" $packages >&2
	exit 1
fi

is_installed() {
	case $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) in
	*'ok installed') return 0 ;;
	esac
	# pkgconf took over the name pkg-config.
	[ "$1" = pkg-config ] && command -v pkg-config >/dev/null
}

missing=
for package in $packages; do
	is_installed "$package" || missing="$missing $package"
done

if $list_only; then
	[ -z "$missing" ] || printf '%s\n' $missing
	exit 0
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "packages.sh: these packages are missing:$missing" >&2
	echo "packages.sh: run this as root, or install them yourself:" >&2
	echo "    apt-get install$missing" >&2
	exit 1
fi

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
policy_is_ours=false
clean_up() {
	if $policy_is_ours; then
		rm -f "$policy"
	fi
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

start_nothing() {
	[ ! -e "$policy" ] || return 0
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	policy_is_ours=true
}

# A fresh Postfix would ask questions and then listen on port 25.
case " $missing " in
*' postfix '*)
	echo 'postfix postfix/main_mailer_type select No configuration' |
	    debconf-set-selections
	start_nothing ;;
*' haproxy '*)
	start_nothing ;;
esac

# Other installations on this machine are waited for, but not for ever.
apt='apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3'
# shellcheck disable=SC2086
timeout 600 $apt update >/dev/null
# shellcheck disable=SC2086
timeout 1200 $apt install --no-install-recommends $missing
