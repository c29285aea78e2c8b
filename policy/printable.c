/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state. */
#include "policy/printable.h"

#include <assert.h>
#include <string.h>

static size_t
escape_one(unsigned char byte, char piece[4])
{
	static const char hex[] = "0123456789abcdef";

	if (byte == '\\') {
		memcpy(piece, "\\\\", 2);
		return 2;
	}
	if (byte >= 0x20 && byte < 0x7f) {
		piece[0] = (char)byte;
		return 1;
	}
	piece[0] = '\\';
	piece[1] = 'x';
	piece[2] = hex[byte >> 4];
	piece[3] = hex[byte & 15];
	return 4;
}

char *
printable(const char *text, size_t len, char *out, size_t size)
{
	static const char cut[] = "...";
	size_t used = 0, n, keep = 0;
	char piece[4];

	assert(size >= 8);
	for (size_t i = 0; i < len; i++) {
		n = escape_one((unsigned char)text[i], piece);
		if (used + n >= size) {
			memcpy(out + keep, cut, sizeof(cut));
			return out;
		}
		memcpy(out + used, piece, n);
		used += n;
		/* The last place where the mark of a cut still fits. */
		if (used + sizeof(cut) <= size)
			keep = used;
	}
	out[used] = '\0';
	return out;
}
