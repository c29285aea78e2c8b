/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; touches only what it is given. */
#include "policy/line_text.h"

#include <string.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void
line_text_step(struct line_text *text, size_t len)
{
	text->at += len;
	text->len -= len;
}

bool
line_text_starts(struct line_text text, const char *word)
{
	const size_t len = strlen(word);

	return text.len >= len && memcmp(text.at, word, len) == 0;
}

bool
line_text_ends(struct line_text text, const char *word)
{
	const size_t len = strlen(word);

	return text.len >= len &&
	       memcmp(text.at + text.len - len, word, len) == 0;
}

bool
line_text_is(struct line_text text, const char *word)
{
	return text.len == strlen(word) && line_text_starts(text, word);
}

bool
line_text_only(struct line_text text, const char *bytes)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '\0' || strchr(bytes, text.at[i]) == NULL)
			return false;
	}
	return text.len > 0;
}

bool
line_text_take(struct line_text *text, const char *word)
{
	if (!line_text_starts(*text, word))
		return false;
	line_text_step(text, strlen(word));
	return true;
}

static bool
fits(char c, char pattern)
{
	switch (pattern) {
	case '9':
		return is_digit(c);
	case 'a':
		return is_letter(c);
	case '_':
		return is_digit(c) || c == ' ';
	}
	return c == pattern;
}

bool
line_text_take_pattern(struct line_text *text, const char *pattern)
{
	const size_t len = strlen(pattern);

	if (text->len < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!fits(text->at[i], pattern[i]))
			return false;
	}
	line_text_step(text, len);
	return true;
}

bool
line_text_take_number(
    struct line_text *text, uint32_t max, const char *end, uint32_t *number_r)
{
	struct line_text rest = *text;
	uint64_t number = 0;

	while (rest.len > 0 && is_digit(rest.at[0]) && number <= max) {
		number = number * 10 + (uint64_t)(rest.at[0] - '0');
		line_text_step(&rest, 1);
	}
	if (number == 0 || number > max || !line_text_take(&rest, end))
		return false;
	*number_r = (uint32_t)number;
	*text = rest;
	return true;
}

bool
line_text_take_until(
    struct line_text *text, const char *end, struct line_text *taken_r)
{
	const size_t len = strlen(end);
	const char *found = memmem(text->at, text->len, end, len);

	if (found == NULL)
		return false;
	*taken_r = (struct line_text){ text->at, (size_t)(found - text->at) };
	line_text_step(text, taken_r->len + len);
	return true;
}

/* A name or an address up to this byte; host_parse is the judge of both. */
static bool
take_host(struct line_text *text, const char *end, struct host *host_r)
{
	struct line_text word, rest = *text;
	char bracketed[HOST_TEXT_MAX];

	if (rest.len > HOST_NAME_MAX_LEN)
		rest.len = HOST_NAME_MAX_LEN;
	if (!line_text_take_until(&rest, end, &word))
		return false;
	bracketed[0] = '[';
	memcpy(bracketed + 1, word.at, word.len);
	memcpy(bracketed + 1 + word.len, "]", 2);
	if (host_parse(bracketed, 0, host_r, NULL) == -1)
		return false;
	line_text_step(text, word.len + strlen(end));
	return true;
}

bool
line_text_take_server(struct line_text *text, struct line_server *server_r)
{
	struct line_text rest = *text;
	struct host name, address;

	memset(server_r, 0, sizeof(*server_r));
	if (!take_host(&rest, "[", &name) || !take_host(&rest, "]", &address) ||
	    address.kind == HOST_NAME)
		return false;
	memcpy(server_r->name, name.name, sizeof(name.name));
	memcpy(server_r->address, address.name, sizeof(address.name));
	*text = rest;
	return true;
}
