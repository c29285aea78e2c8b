/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; touches only what it is given. */
#include "policy/address.h"

#include <string.h>

/* A stretch of the caller's text. */
struct span {
	const char *at;
	size_t len;
};

static struct span
span_from(struct span text, size_t first)
{
	return (struct span){ text.at + first, text.len - first };
}

/* Not tolower(3): the locale must not decide what an address is. */
static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * Steps over what stands at i: a quoted string, an escaped byte, the address
 * literal behind an "@", or one byte.
 * Returns: the next position; text.len + 1 when a quote or escape never ends.
 */
static size_t
step(struct span text, size_t i)
{
	const char *end;

	if (text.at[i] == '\\')
		return i + 2;
	if (text.at[i] == '"') {
		for (i++; i < text.len && text.at[i] != '"'; i++) {
			if (text.at[i] == '\\')
				i++;
		}
		return i + 1;
	}
	if (text.at[i] == '@' && i + 1 < text.len && text.at[i + 1] == '[') {
		end = memchr(text.at + i, ']', text.len - i);
		if (end != NULL)
			return (size_t)(end - text.at) + 1;
	}
	return i + 1;
}

/*
 * Finds the last "@", and the first ":" behind it, outside quotes, brackets
 * and escapes.
 * Returns: false when a quote or an escape is unfinished. What is not there is
 * at text.len.
 */
static bool
find_marks(struct span text, size_t *at_r, size_t *colon_r)
{
	size_t i, next;

	*at_r = *colon_r = text.len;
	for (i = 0; i < text.len; i = next) {
		next = step(text, i);
		if (next > text.len)
			return false;
		if (text.at[i] == '@')
			*at_r = i;
		if (text.at[i] == ':' && *colon_r == text.len)
			*colon_r = i;
	}
	return true;
}

/* RFC 5321 section 4.1.2, Path: "<@a,@b:user@domain>" names user@domain. */
static bool
strip_path(struct span *text)
{
	size_t at, colon;

	if (text->len >= 2 && text->at[0] == '<' &&
	    text->at[text->len - 1] == '>')
		*text = (struct span){ text->at + 1, text->len - 2 };
	if (text->len == 0 || text->at[0] != '@')
		return true;
	if (!find_marks(*text, &at, &colon))
		return false;
	if (colon < text->len)
		*text = span_from(*text, colon + 1);
	return true;
}

/* A local part beyond all measure is cut, not refused: its mail belongs to the
   domain's route like any other, and only its ticket may be a neighbour's. */
static void
copy_local(struct span from, struct address *to)
{
	size_t used = 0;

	for (size_t i = 0; i < from.len && used < ADDRESS_LOCAL_MAX - 1; i++) {
		if (from.at[i] == '"')
			continue;
		if (from.at[i] == '\\')
			i++;
		to->local[used++] = from.at[i];
	}
	to->local[used] = '\0';
	to->local_len = used;
}

bool
address_domain(const char *text, size_t len, char *domain_r)
{
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len >= ADDRESS_DOMAIN_MAX || text[len - 1] == '.' ||
	    memchr(text, '\0', len) != NULL)
		return false;
	if (text[0] == '[' && text[len - 1] != ']')
		return false;
	for (size_t i = 0; i < len; i++)
		domain_r[i] = lower(text[i]);
	domain_r[len] = '\0';
	return true;
}

bool
address_parse(const char *text, size_t len, struct address *address_r)
{
	struct span whole = { text, len }, domain;
	size_t at, colon;

	if (memchr(text, '\0', len) != NULL || !strip_path(&whole) ||
	    !find_marks(whole, &at, &colon) || at == whole.len)
		return false;
	domain = span_from(whole, at + 1);
	copy_local((struct span){ whole.at, at }, address_r);
	if (!address_domain(domain.at, domain.len, address_r->domain))
		return false;
	address_r->domain_len = strlen(address_r->domain);
	return true;
}
