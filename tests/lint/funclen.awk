# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
#
# Names each function that is longer than `limit` lines, braces included, and
# each file longer than `file_limit`. The layout that clang-format enforces
# makes this simple: a function's braces stand alone in the first column.
# A function may be longer if it says why in a comment that begins "long:".

function finish_file() {
	if (name != "" && lines > file_limit) {
		printf "%s: %d lines, limit %d\n", name, lines, file_limit
		bad = 1
	}
}

FNR == 1 {
	finish_file()
	name = FILENAME
	inside = 0
}

{ lines = FNR }

!inside && /^[A-Za-z_][A-Za-z0-9_]*\(/ {
	function_name = $0
	sub(/\(.*/, "", function_name)
	excused = 0
}

/\/\* long:/ { excused = 1 }

!inside && /^{$/ {
	inside = 1
	start = FNR
}

inside && /^}$/ {
	inside = 0
	if (FNR - start + 1 > limit && !excused) {
		printf "%s:%d: %s: %d lines, limit %d\n", FILENAME, start, \
		    function_name, FNR - start + 1, limit
		bad = 1
	}
	excused = 0
}

END {
	finish_file()
	exit bad
}
