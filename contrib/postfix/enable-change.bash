# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
# shellcheck shell=bash disable=SC2034,SC2154 # variables shared with enable
#
# Part of `enable`: what it changes, and the record of it.

# ---------------------------------------------------------------------------
# Lists as Postfix splits them: at commas and blanks outside braces

# Sets ITEMS, and GAPS: what stands before each item (GAPS[n]: after the last).
split_items() # VALUE
{
	local i c depth=0 item='' gap='' value=$1
	ITEMS=() GAPS=()
	for ((i = 0; i < ${#value}; i++)); do
		c=${value:i:1}
		if ((depth == 0)) && [[ $c == [,[:space:]] ]]; then
			if [[ -n $item ]]; then
				ITEMS+=("$item")
				GAPS+=("$gap")
				item='' gap=''
			fi
			gap+=$c
			continue
		fi
		[[ $c == '{' ]] && ((depth++))
		[[ $c == '}' ]] && ((depth > 0)) && ((depth--))
		item+=$c
	done
	if [[ -n $item ]]; then
		ITEMS+=("$item")
		GAPS+=("$gap")
		gap=''
	fi
	GAPS+=("$gap")
}

# Is this item of PARAM ours: the one on record, or one with our socket?
is_ours() # PARAM ITEM
{
	local word=$2 recorded=${STATE[$1.item]:-}
	[[ -n $recorded && $word == "$recorded" ]] && return 0
	word=${word#'{'}
	word=${word#"${word%%[![:space:]]*}"}
	word=${word%%[,[:space:]\}]*}
	case $1 in
	*_milters) [[ $word == "$MILTER" || $word == "$MILTER_OUTSIDE" ]] ;;
	transport_maps) [[ ${word#proxy:} == "$MAP" || ${word#proxy:} == "$MAP_OUTSIDE" ]] ;;
	*) [[ $word == "$TRANSPORT-hold" ]] ;;
	esac
}

# Sets REST (VALUE without our items, all else as it was), FOUND (how many of
# ours), LAST (is ours the last?) and OWN (the text of ours).
without_ours() # PARAM VALUE
{
	local i
	REST='' FOUND=0 LAST=no OWN=''
	split_items "$2"
	for ((i = 0; i < ${#ITEMS[@]}; i++)); do
		if is_ours "$1" "${ITEMS[i]}"; then
			((FOUND++))
			LAST=yes OWN=${ITEMS[i]}
		else
			REST+=${REST:+${GAPS[i]:- }}${ITEMS[i]}
			LAST=no
		fi
	done
	((FOUND)) || REST=$2
}

# ---------------------------------------------------------------------------
# Changing

change() # FLAG ARGUMENT: on the bench now, in the configuration later
{
	local why
	why=$(postconf -c "$BENCH" "$1" "$2" 2>&1) || die "postconf $1 $2: $why"
	age_bench
	PLAN_FLAG+=("$1")
	PLAN_WHAT+=("$2")
}

# postconf(1) waits for seconds before it reads a file that is brand-new.
age_bench() { touch -d '1 minute ago' "$BENCH"/*.cf; }

is_set() { [[ -n $(bench -n "$1") ]]; }

# ITEM becomes the last of PARAM's list. What was there goes on record; when
# somebody edited the list since, the edited one without our item counts.
put_item() # PARAM ITEM
{
	local param=$1 item=$2 old new was='unset'
	old=$(bench -h "$param")
	is_set "$param" && was='set'
	without_ours "$param" "$old"
	if ((FOUND == 0)) && brought_by_another "$param" "$old"; then
		unset "STATE[$param.was]" "STATE[$param.before]" \
		    "STATE[$param.after]" "STATE[$param.item]"
		return
	fi
	# Options that somebody gave our milter stay his.
	[[ $OWN == *"$MILTER,"* ]] && item=$OWN
	new=$REST${REST:+, }$item
	((FOUND == 1)) && [[ $LAST == yes && $OWN == "$item" ]] && new=$old
	if [[ $old != "${STATE[$param.after]-no record}" ]]; then
		((FOUND)) && [[ -z $REST ]] && was='unset'
		STATE[$param.was]=$was
		STATE[$param.before]=$REST
	fi
	STATE[$param.after]=$new
	STATE[$param.item]=$item
	[[ $new == "$old" ]] || change -e "$param=$new"
}

# Does a $name in the list already stand for our item?
brought_by_another() # PARAM RAW
{
	local expanded
	[[ $2 == *\$* ]] || return 1
	expanded=$(bench -xh "$1")
	without_ours "$1" "$expanded"
	((FOUND)) || { without_ours "$1" "$2"; return 1; }
	[[ $LAST == yes ]] || note "$1 = $2: ours is in it, but not the last"
	return 0
}

take_item() # PARAM
{
	local param=$1 now after=${STATE[$1.after]:-}
	now=$(bench -h "$param")
	if [[ -n $after && $now == "$after" ]]; then
		REST=${STATE[$param.before]:-}
	else
		without_ours "$param" "$now"
		((FOUND)) || return 0
		[[ -n $after ]] && note "$param was edited since: only our item is taken out"
	fi
	if [[ -z $REST && ${STATE[$param.was]:-unset} == unset ]]; then
		change -X "$param"
	else
		change -e "$param=$REST"
	fi
}

# The smtp(8) client that delivers to our hosts. It looks names up as the daemon
# does, /etc/hosts included: with Postfix's default, dns, a name that stands only
# there would be answered by the map and not found by the client.
service_entry()
{
	local chroot more option entry
	chroot=$(real -F smtp/unix/chroot)
	chroot=${chroot##* }
	more=$(real -h smtp_delivery_status_filter)
	[[ -n $more ]] || more=\$default_delivery_status_filter
	entry="$TRANSPORT unix - - ${chroot:--} - - smtp"
	for option in "syslog_name=postfix/$TRANSPORT" \
	    smtp_connect_timeout=5s smtp_helo_timeout=5s \
	    smtp_starttls_timeout=30s smtp_mail_timeout=30s \
	    smtp_rcpt_timeout=30s smtp_data_init_timeout=30s \
	    smtp_rset_timeout=30s smtp_quit_timeout=30s \
	    smtp_host_lookup=dns,native \
	    smtp_connection_cache_on_demand=no \
	    smtp_connection_cache_destinations= \
	    smtp_fallback_relay=; do
		entry+=" -o $option"
	done
	entry+=" -o { smtp_delivery_status_filter ="
	entry+=" regexp:\${config_directory}/nexthop_status_filter $more }"
	say "$entry"
}

put_service()
{
	local name=$TRANSPORT/unix old wanted recorded=${STATE[service.after]:-}
	[[ ${STATE[service.name]:-$name} == "$name" ]] || take_service
	old=$(bench -M "$name")
	change -M "$name=$(service_entry)"
	wanted=$(bench -M "$name")
	if [[ $old == "$wanted" ]]; then
		unset 'PLAN_FLAG[-1]' 'PLAN_WHAT[-1]'
	elif [[ -n $old && ${STATE[service.name]:-} != "$name" ]]; then
		die "master.cf has a service $name that is not ours:" \
		    "choose another name with --transport"
	elif [[ -n $old && $old != "$recorded" ]]; then
		note "service $name was edited since: left as it is"
		unset 'PLAN_FLAG[-1]' 'PLAN_WHAT[-1]'
		wanted=$recorded
	fi
	STATE[service.name]=$name
	STATE[service.after]=$wanted
}

take_service()
{
	local name=${STATE[service.name]:-$TRANSPORT/unix} now
	now=$(bench -M "$name")
	[[ -n $now ]] || return 0
	if [[ -z ${STATE[service.name]:-} && $now != *nexthop_status_filter* ]]; then
		note "service $name is not ours: left as it is"
		return 0
	fi
	[[ $now == "${STATE[service.after]:-$now}" ]] ||
	    note "service $name was edited since; it was: $now"
	change -MX "$name"
}

# One command per kind: main.cf goes from the old to the new in one step, the
# service exists before anything names it, and goes after everything else.
run_plan()
{
	local flag i what
	for flag in -M -e -X -MX; do
		what=()
		for i in "${!PLAN_FLAG[@]}"; do
			[[ ${PLAN_FLAG[i]} == "$flag" ]] && what+=("${PLAN_WHAT[i]}")
		done
		((${#what[@]})) || continue
		printf 'postconf -c %s %s' "$(quote "$DIR")" "$flag"
		for i in "${what[@]}"; do
			printf ' \\\n    %s' "$(quote "$i")"
		done
		printf '\n'
		[[ $DRY_RUN == yes ]] && continue
		postconf -c "$DIR" "$flag" "${what[@]}" ||
		    die "postconf failed; enable --undo takes back what was done"
	done
}

# Replaces FILE by standard input in one step; nothing happens when it is the same.
install_file() # FILE
{
	local file=$1 text
	text=$(cat)
	[[ -f $file && $(<"$file") == "$text" ]] && return
	say "write $(quote "$file")"
	[[ $DRY_RUN == yes ]] && return
	if ! { mkdir -p -- "${file%/*}" &&
	    printf '%s\n' "$text" >"$file.new" &&
	    chmod 0644 "$file.new" && mv -f -- "$file.new" "$file"; }; then
		die "cannot write $file"
	fi
}

remove_file()
{
	[[ -e $1 ]] || return 0
	say "remove $(quote "$1")"
	[[ $DRY_RUN == yes ]] || rm -f -- "$1"
}

write_state()
{
	local key
	{
		say "# Written by nexthop-milter's contrib/postfix/enable for its --undo."
		for key in "${!STATE[@]}"; do
			say "$key ${STATE[$key]}"
		done | sort
	} | install_file "$STATE_FILE"
}

sum_of() { [[ -f $1 ]] && cksum <"$1"; }

# An edited filter is somebody's work: it stays.
put_filter()
{
	local now
	now=$(sum_of "$FILTER")
	if [[ -n $now && -n ${STATE[filter.sum]:-} && $now != "${STATE[filter.sum]}" ]]; then
		note "$FILTER was edited: left as it is"
		return
	fi
	install_file "$FILTER" <"$HERE/nexthop_status_filter"
	STATE[filter.sum]=$(sum_of "$HERE/nexthop_status_filter")
}

take_filter()
{
	local now
	now=$(sum_of "$FILTER")
	if [[ -n $now && $now != "${STATE[filter.sum]:-$now}" ]]; then
		note "$FILTER was edited: left there"
	else
		remove_file "$FILTER"
	fi
}
