/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any. */
#include "milter/line_splitter.h"

#include <string.h>

void
line_splitter_reset(struct line_splitter *splitter, bool in_line)
{
	splitter->len = 0;
	splitter->skipping = in_line;
}

static void
keep(struct line_splitter *splitter, const char *bytes, size_t len)
{
	size_t room = sizeof(splitter->text) - splitter->len;

	if (len > room)
		len = room;
	memcpy(splitter->text + splitter->len, bytes, len);
	splitter->len += len;
}

size_t
line_splitter_take(struct line_splitter *splitter, const char *bytes,
    size_t len, const char **line_r, size_t *len_r)
{
	const char *end = memchr(bytes, '\n', len);
	size_t n = end == NULL ? len : (size_t)(end - bytes);

	*line_r = NULL;
	*len_r = 0;
	if (end == NULL) {
		if (!splitter->skipping)
			keep(splitter, bytes, n);
		return n;
	}
	if (splitter->skipping) {
		splitter->skipping = false;
	} else if (splitter->len == 0) {
		/* Whole lines, nearly all, are not copied. */
		*line_r = bytes;
		*len_r = n < DELIVERY_LINE_MAX ? n : DELIVERY_LINE_MAX;
	} else {
		keep(splitter, bytes, n);
		*line_r = splitter->text;
		*len_r = splitter->len;
		splitter->len = 0;
	}
	return n + 1;
}
