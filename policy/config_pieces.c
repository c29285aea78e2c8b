/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <stdlib.h>

#include "policy/config_parse.h"
#include "policy/xalloc.h"

/* The tree of so many routes is about 100 kB: it stays in the processor's
   cache, and glibc does not give its memory back between two pieces. */
#define PIECE_ROUTES 64

#define LIST_NAME "routes"

/* In the place of a comma: there were two, for the parser to refuse. */
#define TWO_COMMAS SIZE_MAX

/* -- where to cut --------------------------------------------------------- */

void
config_pieces_name(struct config_pieces *pieces, const char *name, size_t len)
{
	if (pieces->depth == 0)
		pieces->named = len == sizeof(LIST_NAME) - 1 &&
				memcmp(name, LIST_NAME, len) == 0;
}

/* Behind a comma only: two routes without one between them stay together, for
   the parser to refuse. */
static void
begin_route(struct config_pieces *pieces)
{
	if (pieces->routes_here >= PIECE_ROUTES && pieces->comma != 0 &&
	    pieces->comma != TWO_COMMAS) {
		if (pieces->n == pieces->capacity) {
			pieces->capacity = pieces->capacity * 2 + 16;
			pieces->at = xreallocarray(pieces->at, pieces->capacity,
			    sizeof(pieces->at[0]));
		}
		pieces->at[pieces->n++] = pieces->comma;
		pieces->routes_here = 0;
	}
	pieces->comma = 0;
	pieces->routes_here++;
	pieces->routes++;
}

static void
open_bracket(struct config_pieces *pieces, char mark)
{
	if (pieces->depth == 0) {
		pieces->inside =
		    pieces->named && mark == '(' && pieces->end == 0;
		pieces->named = false;
	}
	if (pieces->inside && pieces->depth == 1 && mark == '{')
		begin_route(pieces);
	pieces->depth++;
}

static void
close_bracket(struct config_pieces *pieces, size_t at)
{
	if (pieces->depth > 0)
		pieces->depth--;
	if (pieces->inside && pieces->depth == 0) {
		pieces->inside = false;
		pieces->end = at;
	}
}

void
config_pieces_mark(struct config_pieces *pieces, char mark, size_t at)
{
	switch (mark) {
	case '(':
	case '[':
	case '{':
		open_bracket(pieces, mark);
		return;
	case ')':
	case ']':
	case '}':
		close_bracket(pieces, at);
		return;
	case ',':
		if (pieces->inside && pieces->depth == 1)
			pieces->comma = pieces->comma == 0 ? at : TWO_COMMAS;
		return;
	default:
		return;
	}
}

/* -- cutting -------------------------------------------------------------- */

void
config_pieces_settle(struct config_pieces *pieces)
{
	if (pieces->end == 0)
		pieces->n = 0;
}

static unsigned
count_lines(const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	unsigned lines = 0;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		lines++;
		at++;
	}
	return lines;
}

char *
config_pieces_rest(const struct config_source *source)
{
	const struct config_pieces *pieces = &source->pieces;
	size_t from = pieces->n > 0 ? pieces->at[0] : source->len;
	size_t to = pieces->n > 0 ? pieces->end : source->len;
	unsigned lines = count_lines(source->text + from, to - from);
	char *rest = xcalloc(source->len - (to - from) + lines + 1, 1);

	memcpy(rest, source->text, from);
	memset(rest + from, '\n', lines);
	memcpy(rest + from + lines, source->text + to, source->len - to);
	return rest;
}

static void
make_room(struct config_piece *piece, size_t size)
{
	if (size <= piece->size)
		return;
	piece->size = size * 2;
	piece->text = xreallocarray(piece->text, piece->size, 1);
}

/* Between head and tail what stands from here (behind the comma) to there. */
static void
fill(struct config_piece *piece, const char *from, size_t len)
{
	static const char head[] = LIST_NAME " = (", tail[] = ");\n";
	size_t used = sizeof(head) - 1;

	make_room(piece, used + len + sizeof(tail));
	memcpy(piece->text, head, used);
	memcpy(piece->text + used, from, len);
	memcpy(piece->text + used + len, tail, sizeof(tail));
}

bool
config_pieces_next(
    const struct config_source *source, struct config_piece *piece)
{
	const struct config_pieces *pieces = &source->pieces;
	size_t from, to;

	if (piece->number == pieces->n)
		return false;
	from = pieces->at[piece->number++];
	to =
	    piece->number < pieces->n ? pieces->at[piece->number] : pieces->end;
	piece->lines_before +=
	    count_lines(source->text + piece->counted, from - piece->counted);
	piece->counted = from;
	fill(piece, source->text + from + 1, to - from - 1);
	return true;
}

void
config_pieces_clear(struct config_pieces *pieces)
{
	free(pieces->at);
	*pieces = (struct config_pieces){ .at = NULL };
}
