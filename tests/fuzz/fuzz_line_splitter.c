/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "milter/line_splitter.h"

#include <string.h>

#include "tests/fuzz/frame.h"

/* The next line of the whole text, found the simple way. Returns: false when no
   end comes any more. */
static bool
next_line(struct feed *text, struct feed *line_r)
{
	const uint8_t *end = memchr(text->at, '\n', text->left);

	if (text->left == 0 || end == NULL)
		return false;
	*line_r = feed_piece(text, (size_t)(end - text->at));
	(void)feed_byte(text);
	if (line_r->left > DELIVERY_LINE_MAX)
		line_r->left = DELIVERY_LINE_MAX;
	return true;
}

/* Input: how it is cut, whether it begins within a line, then the stream. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct line_splitter splitter;
	struct cuts cuts = { 0 };
	struct feed input = { data, size }, text, expected;
	const char *line;
	size_t used, len, piece;
	bool in_line;

	cuts.seed = feed_byte(&input);
	in_line = (feed_byte(&input) & 1) != 0;
	text = input;
	line_splitter_reset(&splitter, in_line);
	if (in_line)
		(void)next_line(&text, &expected);
	while (input.left > 0) {
		piece = cuts_next(&cuts, &input);
		used = line_splitter_take(
		    &splitter, (const char *)input.at, piece, &line, &len);
		require(used > 0 && used <= piece, "bytes are taken");
		if (line != NULL)
			require(next_line(&text, &expected) &&
				    len == expected.left &&
				    memcmp(line, expected.at, len) == 0,
			    "a line is the same whatever the pieces");
		(void)feed_piece(&input, used);
	}
	require(
	    !next_line(&text, &expected) || in_line, "no line is kept back");
	return 0;
}
