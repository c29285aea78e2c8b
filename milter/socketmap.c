/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; static tables only. */
#include "milter/socketmap.h"

#include <assert.h>
#include <string.h>

#include "policy/address.h"
#include "policy/host.h"

/* Where Postfix stops reading a reply (socketmap_max_reply_size). */
#define POSTFIX_REPLY_MAX 100000
_Static_assert(SOCKETMAP_ANSWER_MAX < POSTFIX_REPLY_MAX,
    "Postfix reads every answer to its end");

#define DIGITS_MAX 5 /* of a length: 99999 */
_Static_assert(SOCKETMAP_REQUEST_MAX <= 99999, "a length fits its digits");
_Static_assert(SOCKETMAP_ANSWER_MAX <= 99999, "a length fits its digits");

/* An answer in the making; what does not fit makes it overflow, never short. */
struct text {
	char *start, *at, *end;
	bool overflow;
};

enum socketmap_read
socketmap_read(
    const char *bytes, size_t len, struct socketmap_request *request_r)
{
	size_t size = 0, digits = 0;

	while (digits < len && bytes[digits] >= '0' && bytes[digits] <= '9') {
		size = size * 10 + (size_t)(bytes[digits] - '0');
		digits++;
		if (size > SOCKETMAP_REQUEST_MAX ||
		    (digits > 1 && bytes[0] == '0'))
			return SOCKETMAP_BROKEN;
	}
	if (digits == len)
		return SOCKETMAP_MORE;
	if (digits == 0 || bytes[digits] != ':')
		return SOCKETMAP_BROKEN;
	request_r->text = bytes + digits + 1;
	request_r->len = size;
	request_r->used = digits + 1 + size + 1;
	if (len < request_r->used)
		return SOCKETMAP_MORE;
	return bytes[request_r->used - 1] == ',' ? SOCKETMAP_WHOLE
						 : SOCKETMAP_BROKEN;
}

static void
add(struct text *text, const char *bytes, size_t len)
{
	if ((size_t)(text->end - text->at) < len) {
		text->overflow = true;
		return;
	}
	memcpy(text->at, bytes, len);
	text->at += len;
}

static void
add_string(struct text *text, const char *string)
{
	add(text, string, strlen(string));
}

static void
replace(struct text *text, const char *string)
{
	text->at = text->start;
	text->overflow = false;
	add_string(text, string);
}

/* Numbers as text of two digits, comma and blank, without a zero: "", ",", " ",
   ",,", " ,", ", ", "  ", ",,," ... each its own. */
static void
spell_end(uint32_t number, char behind_r[SOCKETMAP_SPELLING_MAX])
{
	size_t n = 0;

	for (; number > 0; number = (number - 1) / 2) {
		assert(n < SOCKETMAP_SPELLING_MAX - 1);
		behind_r[n++] = number % 2 == 1 ? ',' : ' ';
	}
	behind_r[n] = '\0';
}

struct socketmap_spelling
socketmap_spell(uint32_t spelling, uint32_t n_hosts)
{
	static const char *const between[] = { ",", ", ", " " };
	uint32_t number = spelling % SOCKETMAP_SPELLINGS;
	struct socketmap_spelling made = { "", "" };

	if (n_hosts > 1) {
		made.between = between[number % NELEM(between)];
		number /= NELEM(between);
	}
	spell_end(number, made.behind);
	return made;
}

static void
add_hosts(const struct lookup_base *base, const struct lookup_answer *answer,
    struct text *text)
{
	const struct order *order = &answer->order;
	struct socketmap_spelling spell =
	    socketmap_spell(order->spelling, order->n);
	char host[HOST_TEXT_MAX];

	assert(order->n > 0);
	add_string(text, base->config->transport);
	add_string(text, ":");
	for (uint32_t k = 0; k < order->n; k++) {
		if (k > 0)
			add_string(text, spell.between);
		add(text, host,
		    host_format(lookup_host(base, answer, k), host));
	}
	add_string(text, spell.behind);
}

/* Nothing of a stranger's address gets into an answer but a plain domain. */
static bool
is_plain(const char *domain)
{
	for (; *domain != '\0'; domain++)
		if (*domain <= ' ' || *domain >= 0x7f)
			return false;
	return true;
}

/* A transport that main.cf lists in defer_transports: the mail is kept and
   nothing is tried. What follows the colon is never used as a host. */
static void
add_hold(const struct lookup_base *base, const struct lookup_answer *answer,
    const char *key, size_t len, struct text *text)
{
	const char *domain = base->config->routes[answer->route].domain;
	struct address address;

	if (address_parse(key, len, &address) && is_plain(address.domain))
		domain = address.domain;
	add_string(text, base->config->transport);
	add_string(text, "-hold:");
	add_string(text, domain);
}

/* transport(5): the key is a full address, its case and extension kept. */
static void
answer_transport(const struct lookup_base *base, const char *key, size_t len,
    uint64_t now_ms, struct text *text)
{
	struct lookup_answer answer;

	/* "*", which Postfix asks for to learn the default of everything that
	   was not found, has no domain and so is not ours. */
	switch (lookup_recipient(base, key, len, now_ms, &answer)) {
	case LOOKUP_NOT_OURS:
		add_string(text, "NOTFOUND ");
		return;
	case LOOKUP_HOSTS:
		add_string(text, "OK ");
		add_hosts(base, &answer, text);
		return;
	case LOOKUP_HOLD:
		add_string(text, "OK ");
		add_hold(base, &answer, key, len, text);
		return;
	case LOOKUP_DNS:
		/* An empty next hop is the recipient's own domain. */
		add_string(text, "OK ");
		add_string(text, base->config->transport);
		add_string(text, ":");
		return;
	}
}

/* The maps that are served, each with its own idea of a key and a result. */
static const struct map {
	const char *name;
	void (*answer)(const struct lookup_base *base, const char *key,
	    size_t len, uint64_t now_ms, struct text *text);
} maps[] = {
	{ "transport", answer_transport },
};

static const struct map *
find_map(const char *name, size_t len)
{
	for (size_t i = 0; i < NELEM(maps); i++)
		if (strlen(maps[i].name) == len &&
		    memcmp(maps[i].name, name, len) == 0)
			return &maps[i];
	return NULL;
}

static void
answer_request(const struct lookup_base *base,
    const struct socketmap_request *request, uint64_t now_ms, struct text *text)
{
	const char *blank = memchr(request->text, ' ', request->len);
	const struct map *map;
	const char *key;
	size_t len;

	if (blank == NULL || blank + 1 == request->text + request->len) {
		add_string(text, "TEMP malformed request");
		return;
	}
	map = find_map(request->text, (size_t)(blank - request->text));
	if (map == NULL) {
		add_string(text, "TEMP unknown map");
		return;
	}
	key = blank + 1;
	len = (size_t)(request->text + request->len - key);
	map->answer(base, key, len, now_ms, text);
	if (text->overflow)
		replace(text, "TEMP answer too long");
}

/* Content goes behind the room for the longest length... */
static struct text
begin(char *out)
{
	char *start = out + DIGITS_MAX + 1;

	return (
	    struct text){ start, start, start + SOCKETMAP_ANSWER_MAX, false };
}

/* ... and moves up to the length that it turned out to have. */
static size_t
finish(const struct text *text, char *out)
{
	size_t len = (size_t)(text->at - text->start), head = 0, left = len;
	char digits[DIGITS_MAX];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	while (n > 0)
		out[head++] = digits[--n];
	out[head++] = ':';
	memmove(out + head, text->start, len);
	out[head + len] = ',';
	return head + len + 1;
}

size_t
socketmap_answer(const struct lookup_base *base,
    const struct socketmap_request *request, uint64_t now_ms, char *out)
{
	struct text text = begin(out);

	answer_request(base, request, now_ms, &text);
	return finish(&text, out);
}

size_t
socketmap_refuse(char *out)
{
	struct text text = begin(out);

	add_string(&text, "TEMP malformed request");
	return finish(&text, out);
}
