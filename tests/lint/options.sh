#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# The table of options, the manual and the sample configuration name the same
# options: what one of them has and another lacks is named.

. "$(dirname "$0")/common.sh"

table=$srcdir/policy/config_options.c
manual=$srcdir/milter/nexthop.conf.5
sample=$srcdir/contrib/nexthop.conf
for file in "$table" "$manual" "$sample"; do
	[ -f "$file" ] || complain "$file is missing"
done
[ $status = 0 ] || exit $status

# A row is { "name", CONFIG_OPTION_..., } or has .name = "name"; it may be
# broken over lines.
options=$(tr '\n\t' '  ' <"$table" |
    grep -oE '"[a-z_.]+", *CONFIG_OPTION_[A-Z]+|\.name *= *"[a-z_.]+"' |
    grep -oE '"[a-z_.]+"' | tr -d '"' | sort -u)
[ -n "$options" ] || complain "no options found in $table"

for option in $options; do
	word=${option##*.}
	grep -qE "^\.(It|Ic|Cm|Va).*[^a-z_]($option|$word)([^a-z_]|\$)" \
	    "$manual" || complain "$option: not in $manual"
	grep -qE "(^|[^a-z_])${word}[[:space:]]*=" "$sample" ||
	    complain "$option: not in $sample"
done

# The other way round: every key of the sample is an option, or a key of the
# elements of hosts, pools and routes, which the manual describes as well.
keys=$(grep -oE '(^|[^a-z_"])[a-z_]+[[:space:]]*=' "$sample" |
    grep -oE '[a-z_]+' | sort -u)
for key in $keys; do
	printf '%s\n' "$options" | grep -qE "(^|\.)$key\$" && continue
	case $key in
	domain | host | hosts | name | pool | port | priority | use_dns | \
	    weight | when_all_deferred)
		grep -qE "^\.(It|Ic|Cm|Va).*[^a-z_]$key([^a-z_]|\$)" \
		    "$manual" || complain "$key: not in $manual" ;;
	*) complain "$key: in $sample, but not in $table" ;;
	esac
done
exit $status
