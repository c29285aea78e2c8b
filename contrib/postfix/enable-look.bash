# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
# shellcheck shell=bash disable=SC2034,SC2154 # variables shared with enable
#
# Part of `enable`: what it finds out about this Postfix, for the daemon
# (postfix.conf) and for the administrator (the remarks at the end).

INCLUDE_MARK='# Written by contrib/postfix/enable; its next run overwrites this.'

# ---------------------------------------------------------------------------
# Domains that this machine delivers itself

declare -A SEEN=()
declare -a NOT_ROUTED=()

add_domain() # NAME WHERE
{
	local name=${1,,}
	name=${name%.}
	[[ -n $name && -z ${SEEN[$name]:-} ]] || return 0
	case $name in
	*[[:cntrl:][:space:]\"\\/*@\(\)\<\>\,\;\$]*)
		warn "$2: '$1' is not a domain name: not in not_routed"
		return 0
		;;
	esac
	SEEN[$name]=1
	NOT_ROUTED+=("$name")
}

# The keys of a table. Only what lists its keys can be read.
add_table() # TYPE:NAME WHERE
{
	local key keys
	case ${1%%:*} in
	hash | btree | lmdb | cdb | dbm | sdbm | nbdb | texthash | inline)
		if keys=$(timeout 20 postmap -c "$DIR" -s "$1" 2>/dev/null); then
			while IFS=$' \t' read -r key _; do
				# Addresses are no domains (virtual_mailbox_maps).
				[[ $key == *@* ]] || add_domain "$key" "$2 ($1)"
			done <<<"$keys"
			return 0
		fi
		;;
	esac
	warn "$2: $1 cannot be listed: add its domains to not_routed by hand" \
	    "when a route ALL or a parent domain covers them"
}

add_file() # PATH WHERE DEPTH
{
	if [[ ! -r $1 ]] || (($3 > 5)); then
		warn "$2: $1 cannot be read: add its domains to not_routed by hand"
		return 0
	fi
	add_list "$(sed '/^[[:space:]]*#/d' "$1" | tr '\n' ' ')" "$2 ($1)" $(($3 + 1))
}

add_list() # VALUE WHERE [DEPTH]
{
	local item
	split_items "$1"
	for item in "${ITEMS[@]}"; do # expanded before add_file splits anew
		case $item in
		'!'*) warn "$2: '$item' excludes a name: not understood here" ;;
		/*) add_file "$item" "$2" "${3:-0}" ;;
		\[*) add_domain "$item" "$2" ;;
		*:*) add_table "$item" "$2" ;;
		*) add_domain "$item" "$2" ;;
		esac
	done
}

add_literal() # IP
{
	local ip=${1#[}
	ip=${ip%]}
	case $ip in
	fe80:*) ;; # means nothing without an interface
	*:*) add_domain "[ipv6:$ip]" "own address" ;;
	*.*) add_domain "[$ip]" "own address" ;;
	esac
}

# user@[192.0.2.1] is ours too when 192.0.2.1 is.
add_own_addresses()
{
	local item ip list
	add_literal 127.0.0.1
	add_literal ::1
	split_items "$(real -xh inet_interfaces) $(real -xh proxy_interfaces)"
	list=("${ITEMS[@]}")
	for item in "${list[@]}"; do
		case $item in
		loopback-only) ;;
		all)
			for ip in $(ip -o addr show 2>/dev/null |
			    awk '$3 ~ /^inet/ { sub("/.*", "", $4); print $4 }'); do
				add_literal "$ip"
			done
			;;
		*:* | *[!0-9.]*.[0-9]* | *[0-9].[0-9]*) add_literal "$item" ;;
		*)
			for ip in $(getent ahosts "$item" | awk '{ print $1 }' | sort -u); do
				add_literal "$ip"
			done
			;;
		esac
	done
}

address_family()
{
	local protocols
	protocols=$(real -xh inet_protocols)
	case $protocols in
	*all* | *ipv4*ipv6* | *ipv6*ipv4*)
		# Postfix finds out by itself that the kernel has no IPv6.
		if [[ -e /proc/net/if_inet6 ]]; then say any; else say ipv4; fi
		;;
	*ipv6*) say ipv6 ;;
	*) say ipv4 ;;
	esac
}

include_text()
{
	local i comma=,
	say "$INCLUDE_MARK"
	say "# What the Postfix in $DIR delivers itself, and how it can connect."
	say "not_routed = ["
	for i in "${!NOT_ROUTED[@]}"; do
		((i == ${#NOT_ROUTED[@]} - 1)) && comma=''
		say "    \"${NOT_ROUTED[i]}\"$comma"
	done
	say "];"
	say "address_family = \"$(address_family)\";"
}

# Does nexthop.conf include FILE?
includes() # FILE
{
	local name
	[[ -r $CONF ]] || return 1
	while IFS= read -r name; do
		[[ $name == /* ]] || name=$(dirname -- "$(readlink -m -- "$CONF")")/$name
		[[ $(readlink -m -- "$name") == "$1" ]] && return 0
	done < <(sed -n 's/^[[:space:]]*@include[[:space:]]*"\([^"]*\)".*/\1/p' "$CONF")
	return 1
}

put_include()
{
	local key line=$INCLUDE
	add_list "$(real -xh mydestination)" mydestination
	add_list "$(real -xh virtual_mailbox_domains)" virtual_mailbox_domains
	add_own_addresses
	include_text | install_file "$INCLUDE"
	[[ ${INCLUDE%/*} == "$(dirname -- "$(readlink -m -- "$CONF")")" ]] &&
	    line=${INCLUDE##*/}
	includes "$INCLUDE" || note "add this line to $CONF, then call nexthopctl" \
	    "reload:  @include \"$line\""
	for key in not_routed address_family; do
		[[ -z ${CONF_KEY[$key]+set} ]] ||
		    warn "$CONF has $key itself: a key may stand only once," \
		    "so take it out there or do not include $INCLUDE"
	done
	[[ ${CONF_KEY[transport]:-} == "$TRANSPORT" ]] ||
	    note "$CONF has to say:  transport = \"$TRANSPORT\";"
}

# An included file that is missing is an error to the daemon: emptied then.
take_include()
{
	local file=${STATE[include.path]:-$INCLUDE} first
	[[ -f $file ]] || return 0
	IFS= read -r first <"$file"
	if [[ $first != "$INCLUDE_MARK" ]]; then
		note "$file is not ours: left as it is"
	elif includes "$file"; then
		say "$INCLUDE_MARK" | install_file "$file"
	else
		remove_file "$file"
	fi
}

# ---------------------------------------------------------------------------
# Will the daemon be there?

map_answers()
{
	local answer status path=${MAP_OUTSIDE#socketmap:unix:}
	[[ $path == "$MAP_OUTSIDE" || -S ${path%:transport} ]] || return 1
	answer=$(timeout 5 postmap -c "$DIR" -q '*' "$MAP_OUTSIDE" 2>&1)
	status=$?
	[[ $status == 1 && -z $answer ]] # "not found", as it has to be
}

postfix_runs()
{
	local daemons
	daemons=$(real -xh daemon_directory)
	[[ -x $daemons/master && $(id -u) == 0 ]] || return 1
	! MAIL_CONFIG=$DIR "$daemons/master" -t 2>/dev/null
}

# New daemon processes of a running Postfix read main.cf without a reload.
refuse_silent_map()
{
	local path=${MAP_OUTSIDE#socketmap:unix:} owner
	if ! map_answers; then
		if postfix_runs && [[ $DRY_RUN == no && $FORCE == no ]]; then
			die "$MAP_OUTSIDE does not answer, and Postfix would refuse" \
			    "all mail with 451: start nexthop-milter first (or say --force)"
		fi
		warn "$MAP_OUTSIDE does not answer:" \
		    "start nexthop-milter before Postfix is reloaded"
		return
	fi
	path=${path%:transport}
	owner=$(real -xh mail_owner)
	if [[ -S $path && $(id -u) == 0 ]] && command -v runuser >/dev/null &&
	    ! runuser -u "$owner" -- test -w "$path"; then
		warn "user $owner cannot write to $path: see socket_group in $CONF"
	fi
}

# ---------------------------------------------------------------------------
# Remarks

# What PARAM is for SERVICE: its own override, else main.cf's.
effective() # SERVICE PARAM
{
	if [[ -n ${OVERRIDE[$1/$2]+set} ]]; then
		say "${OVERRIDE[$1/$2]}"
	else
		bench -xh "$2"
	fi
}

# Prints and counts the places where mail leaves for a filter.
find_filters() # PARAM
{
	local key main
	main=$(bench -xh "$1")
	FILTERS=0
	if [[ -n $main ]]; then
		((FILTERS++))
		note "main.cf: $1 = $main"
	fi
	for key in "${!OVERRIDE[@]}"; do
		[[ $key == */"$1" && -n ${OVERRIDE[$key]} ]] || continue
		((FILTERS++))
		note "master.cf: ${key%/*} has $1 = ${OVERRIDE[$key]}"
	done
}

# Why SERVICE looks like the way back from a content filter; false if not.
reinjection() # SERVICE ANY_FILTER
{
	local service=$1 name=${1%/*}
	local filter=$service/content_filter
	local options=$service/receive_override_options
	if [[ -n ${OVERRIDE[$filter]+set} && -z ${OVERRIDE[$filter]} ]]; then
		say "it has an empty content_filter"
	elif [[ -n ${OVERRIDE[$options]:-} ]]; then
		say "it has receive_override_options = ${OVERRIDE[$options]}"
	elif (($2)); then
		case $name in
		127.*:* | localhost:* | *::1*:*) say "it listens on loopback, and there is a filter" ;;
		smtp | smtps | submission | submissions | smtpd) return 1 ;;
		*:25 | *:smtp | *:465 | *:587 | *:submission | *:submissions | *:smtps) return 1 ;;
		25 | 465 | 587) return 1 ;;
		*) say "it has a port of its own, and there is a filter" ;;
		esac
	else
		return 1
	fi
}

# Does mail through SERVICE meet our milter?
meets_milter() # SERVICE
{
	local value
	value=$(effective "$1" receive_override_options)
	[[ $value == *no_milters* ]] && return 1
	[[ -z ${OVERRIDE[$1/smtpd_milters]+set} ]] && return 0
	value=${OVERRIDE[$1/smtpd_milters]}
	without_ours smtpd_milters "$value"
	((FOUND))
}

print_remedy() # SERVICE WHY
{
	local options
	options=$(effective "$1" receive_override_options)
	options=${options//[[:space:]]/}
	warn "service $1 takes mail back from a filter ($2), and its mail meets" \
	    "the milter a second time: two hosts would get 200 and 0 of 200" \
	    "messages. Remedy (turns off all milters there):"
	say "    postconf -c $(quote "$DIR") -P '$1/receive_override_options=${options:+$options,}no_milters'"
	say "  or, in master.cf:  -o smtpd_milters= -o non_smtpd_milters="
}

report_smtpd() # SERVICE AFTER_QUEUE BEFORE_QUEUE
{
	local why
	if why=$(reinjection "$1" $(($2 + $3))); then
		if (($3 > 0 && $2 == 0)); then
			# The smtpd before a proxy filter has no end-of-message.
			meets_milter "$1" || warn "service $1 takes mail back from" \
			    "smtpd_proxy_filter ($why) and has no milter: no" \
			    "ticket is drawn; the milter belongs there"
		elif meets_milter "$1"; then
			print_remedy "$1" "$why"
		fi
	elif [[ -n ${OVERRIDE[$1/smtpd_milters]+set} ]] && ! meets_milter "$1"; then
		warn "service $1 has its own smtpd_milters" \
		    "(${OVERRIDE[$1/smtpd_milters]:-none}): its mail draws no" \
		    "ticket. To change that, add to its smtpd_milters in master.cf:" \
		    "${MILTER_ITEM//[[:space:]]/}"
	fi
}

report_overrides()
{
	local key
	for key in "${!OVERRIDE[@]}"; do
		case $key in
		*/transport_maps | */defer_transports | */non_smtpd_milters)
			warn "master.cf: ${key%/*} has its own ${key##*/}" \
			    "(${OVERRIDE[$key]:-empty}): ours does not count there"
			;;
		esac
	done
	key=$(bench -P | sed -n 's|^smtp/unix/||p' | tr '\n' ';')
	[[ -z $key ]] ||
	    note "service smtp/unix has options that $TRANSPORT has not: ${key%;}"
}

report_maps()
{
	local item
	split_items "$(bench -xh transport_maps)"
	for item in "${ITEMS[@]}"; do
		[[ $item == "$MAP" ]] && continue
		case ${item#proxy:} in
		hash:* | btree:* | lmdb:* | cdb:* | dbm:* | sdbm:* | texthash:* | inline:*)
			note "transport_maps: domains of $item give way to routes of" \
			    "nexthop.conf; its full addresses do not"
			;;
		*)
			note "transport_maps: whatever $item answers for a full" \
			    "address goes before routes of nexthop.conf"
			;;
		esac
	done
}

# Mail that waited is flushed when hosts recover; Postfix does that for the
# domains of this list only. Which domains are routed is the daemon's business.
report_flush()
{
	local domains
	domains=$(bench -xh fast_flush_domains)
	if [[ -z $domains ]]; then
		warn "fast_flush_domains is empty: when hosts recover, mail that" \
		    "waited for them stays in the queue until its next turn." \
		    "Remedy, with the domains of $CONF:"
		say "    postconf -c $(quote "$DIR") -e 'fast_flush_domains=\$relay_domains, example.com'"
		return
	fi
	note "when hosts recover, mail that waited is tried at once for domains" \
	    "of fast_flush_domains ($domains); if it does not list all domains" \
	    "of $CONF, add them:  fast_flush_domains = $(bench -h fast_flush_domains), example.com"
}

report()
{
	local after before entry
	find_filters content_filter
	after=$FILTERS
	find_filters smtpd_proxy_filter
	before=$FILTERS
	for entry in "${SERVICES[@]}"; do
		[[ $entry == *' smtpd '? ]] && report_smtpd "${entry%% *}" "$after" "$before"
	done
	report_overrides
	report_maps
	note "FILTER actions in access tables and header or body checks cannot be" \
	    "seen here: what such a filter sends back must not meet the milter again"
	report_flush
}
