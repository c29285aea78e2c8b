#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# policy/ decides, milter/ talks: what policy/ must never include or call.

. "$(dirname "$0")/common.sh"

# forbid PATTERN WHY FILES...: extended regular expression, comments removed
forbid() {
	pattern=$1 why=$2
	shift 2
	for file; do
		found=$(strip_comments "$file" | grep -nE "$pattern") &&
		    complain "$file: $why:
$found"
	done
}

# Comments become blank, line numbers stay.
strip_comments() {
	awk '{
		out = ""
		while (length($0)) {
			if (inside) {
				at = index($0, "*/")
				if (!at) { $0 = ""; break }
				$0 = substr($0, at + 2); inside = 0
			} else {
				at = index($0, "/*")
				if (!at) { out = out $0; break }
				out = out substr($0, 1, at - 1)
				$0 = substr($0, at + 2); inside = 1
			}
		}
		print out
	}' "$1"
}

policy=$(project_files -name '*.[ch]' | grep "^$srcdir/policy/")
[ -n "$policy" ] || complain "no files in $srcdir/policy"
without() {
	printf '%s\n' $policy | grep -v -e "/policy/$1\.[ch]$"
}

# Words are split on purpose throughout.
# shellcheck disable=SC2046,SC2086
{
forbid '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](\.\./)*milter/' \
    'policy/ includes milter/' $policy
forbid '#[[:space:]]*include[[:space:]]*<(sys/socket|netdb|arpa/nameser|poll|sys/epoll|sys/un|sys/select)\.h>' \
    'policy/ uses no sockets' $policy
forbid '#[[:space:]]*include[[:space:]]*<(pthread|threads|semaphore)\.h>' \
    'policy/ uses no threads' $policy
forbid '#[[:space:]]*include[[:space:]]*<(syslog\.h|event2/|event\.h|openssl/|libmilter/|jansson\.h|systemd/)' \
    'policy/ uses neither syslog nor the libraries of milter/' $policy
forbid '(^|[^A-Za-z0-9_])(syslog|vsyslog|perror|fprintf|vfprintf|printf|puts|putchar)[[:space:]]*\(' \
    'policy/ does not log (xalloc.c says why it aborts)' $(without xalloc)
forbid '(^|[^A-Za-z0-9_])(socket|connect|accept4?|bind|listen|getaddrinfo|fork|execve|sleep|usleep|nanosleep)[[:space:]]*\(' \
    'policy/ neither talks nor waits' $policy
forbid '(^|[^A-Za-z0-9_])(clock_gettime|gettimeofday|time|rand|random|getrandom|arc4random)[[:space:]]*\(' \
    'time and randomness are arguments in policy/' $policy
forbid '(^|[^A-Za-z0-9_])(_exit|exit|quick_exit|_Exit|abort)[[:space:]]*\(' \
    'policy/ does not end the process (xalloc.c may)' $(without xalloc)
forbid '#[[:space:]]*include[[:space:]]*<libconfig\.h>' \
    'config.c is the only user of libconfig' \
    $(printf '%s\n' $policy | grep -v '/policy/config[a-z_]*\.[ch]$')
forbid '#[[:space:]]*include[[:space:]]*<sys/mman\.h>' \
    'health_table.c is the only user of mmap (xalloc.c asks for huge pages)' \
    $(without xalloc | grep -v '/policy/health_table[a-z_]*\.[ch]$')
}
exit $status
