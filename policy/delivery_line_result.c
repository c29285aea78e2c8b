/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; constant tables. */

/*
 * "to=<RECIPIENT>, orig_to=<ORIGINAL>, relay=...": src/global/log_adhoc.c.
 *
 * A recipient is written by strangers, and with info_log_address_format =
 * internal it stands there without quotes: it may hold a "relay=" and all that
 * follows it, whereas the real one comes later. A server's words at the end of
 * the line may hold another recipient's end and a "relay=", too. Which of them
 * is at work cannot be seen. But in front of the real "relay=" the recipient
 * ends in a domain that the MTA has checked (src/trivial-rewrite/resolve.c); so
 * a line with one such place is read, a line with more of them is not.
 *
 * What no reader can see: without quotes, and with a syslog daemon that cuts
 * lines shorter than the MTA does, the cut may take the real end away just
 * where an imitation ends.
 */
#include <string.h>

#include "policy/delivery_line_parts.h"

#define RELAY	">, relay="
#define ORIG_TO ">, orig_to=<"

static bool
is_domain_byte(unsigned char byte)
{
	/* Not isalnum(3). A "?" is what the MTA makes of a broken byte. */
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '.' || byte == '-' ||
	       byte == '_' || byte == '?' || byte >= 0x80;
}

/* "...@example.com" or "...@[192.0.2.1]". */
static bool
ends_in_domain(struct line_text text)
{
	const bool literal = line_text_ends(text, "]");
	size_t first = text.len - (literal ? 1 : 0), last = first;

	while (
	    first > 0 && (is_domain_byte((unsigned char)text.at[first - 1]) ||
			     (literal && text.at[first - 1] == ':')))
		first--;
	if (first == last)
		return false;
	if (literal && (first == 0 || text.at[--first] != '['))
		return false;
	return first > 0 && text.at[first - 1] == '@';
}

/* No quoted string is open at the end. */
static bool
is_closed(struct line_text text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '\\')
			i++;
		else if (text.at[i] == '"')
			quoted = !quoted;
	}
	return !quoted;
}

/*
 * The recipient in the text between "to=<" and RELAY: all of it, or what is in
 * front of ORIG_TO. One that is closed is preferred.
 * Returns: at is NULL when there is none.
 */
static struct line_text
recipient_of(struct line_text text)
{
	struct line_text rest = text, to = text, found = { NULL, 0 }, taken;
	bool more;

	do {
		more = line_text_take_until(&rest, ORIG_TO, &taken);
		to.len =
		    more ? (size_t)(taken.at - text.at) + taken.len : text.len;
		if (!ends_in_domain(to))
			continue;
		if (is_closed(to))
			return to;
		found = to;
	} while (more);
	return found;
}

/*
 * The one place where the recipient can end; *text is stepped behind it. A
 * quoted string that is open there is not the MTA's: by default it quotes, and
 * the end of the string may have been cut off with the rest of the line.
 */
static bool
take_recipient(struct line_text *text, struct line_text *to_r)
{
	struct line_text rest = *text, before = *text, found = { NULL, 0 };
	struct line_text taken, to;

	while (line_text_take_until(&rest, RELAY, &taken)) {
		before.len = (size_t)(taken.at - before.at) + taken.len;
		to = recipient_of(before);
		if (to.at == NULL)
			continue;
		if (found.at != NULL)
			return false;
		found = before;
		*to_r = to;
		*text = rest;
	}
	if (found.at == NULL || !is_closed(*to_r))
		return false;
	line_text_step(&found, to_r->len);
	return is_closed(found);
}

/* "relay=": "none", H[A]:P, or H[PATH] of a local socket. Other programs have
   what they like ("local"), and their recipients need no valid domain. */
static bool
read_relay(struct line_text relay, struct delivery_line *line)
{
	struct line_server server;
	uint32_t port = 0;

	if (!line->attempt)
		return relay.len > 0;
	line->relayed = !line_text_is(relay, "none");
	if (!line_text_take_server(&relay, &server))
		return relay.len > 0;
	if (relay.len > 0 &&
	    (!line_text_take(&relay, ":") ||
		!line_text_take_number(&relay, UINT16_MAX, "", &port) ||
		relay.len > 0))
		return false;
	memcpy(line->relay_name, server.name, sizeof(server.name));
	memcpy(line->relay_address, server.address, sizeof(server.address));
	line->relay_port = (uint16_t)port;
	return true;
}

static bool
count_is(struct line_text text, char byte, size_t wanted)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += text.at[i] == byte ? 1 : 0;
	return n == wanted;
}

/* The fields between "relay=" and "(", in the only order that there is. "tls="
   came with Postfix 3.11. */
static bool
take_fields(struct line_text *text, struct delivery_line *line,
    struct line_text *status_r)
{
	struct line_text relay, delay, delays, tls, dsn;
	uint32_t uses;

	if (!line_text_take_until(text, ", ", &relay) ||
	    !read_relay(relay, line))
		return false;
	if (line_text_take(text, "conn_use=")) {
		line->reused = true;
		if (!line_text_take_number(text, UINT32_MAX, ", ", &uses))
			return false;
	}
	if (!line_text_take(text, "delay=") ||
	    !line_text_take_until(text, ", ", &delay) ||
	    !line_text_only(delay, "0123456789.") ||
	    !line_text_take(text, "delays=") ||
	    !line_text_take_until(text, ", ", &delays) ||
	    !line_text_only(delays, "0123456789./") ||
	    !count_is(delays, '/', 3))
		return false;
	if (line_text_take(text, "tls=") &&
	    !line_text_take_until(text, ", ", &tls))
		return false;
	return line_text_take(text, "dsn=") &&
	       line_text_take_until(text, ", ", &dsn) &&
	       line_text_only(dsn, "0123456789.") && count_is(dsn, '.', 2) &&
	       line_text_take(text, "status=") &&
	       line_text_take_until(text, " (", status_r);
}

static const struct {
	const char *word;
	enum delivery_status status;
} status_words[] = {
	{ "sent", DELIVERY_SENT },
	{ "deferred", DELIVERY_DEFERRED },
	/* soft_bounce = yes: it stays in the queue. */
	{ "SOFTBOUNCE", DELIVERY_DEFERRED },
	{ "bounced", DELIVERY_BOUNCED },
	{ "expired", DELIVERY_BOUNCED },
	{ "deliverable", DELIVERY_PROBED },
	{ "undeliverable", DELIVERY_PROBED },
	{ "undeliverable-but-not-cached", DELIVERY_PROBED },
};

static bool
read_status(struct line_text word, struct delivery_line *line)
{
	for (size_t i = 0; i < NELEM(status_words); i++) {
		if (line_text_is(word, status_words[i].word)) {
			line->status = status_words[i].status;
			return true;
		}
	}
	return false;
}

/* The words are those of qmgr(8), which other programs log. */
static enum delivery_waits
waits_for(struct line_text reason, const struct delivery_line *line)
{
	if (line->attempt)
		return line->relayed || line_text_starts(reason, "connect to ")
			   ? DELIVERY_WAITS_ATTEMPT
			   : DELIVERY_WAITS_OTHER;
	if (line_text_starts(reason, "delivery temporarily suspended: "))
		return DELIVERY_WAITS_SUSPENDED;
	return line_text_is(reason, "deferred transport")
		   ? DELIVERY_WAITS_HELD
		   : DELIVERY_WAITS_OTHER;
}

static bool
read_reason(struct line_text reason, struct delivery_line *line)
{
	struct line_server relay = { .port = line->relay_port };

	if (line->status == DELIVERY_DEFERRED)
		line->waits = waits_for(reason, line);
	if (!line->attempt || line->status == DELIVERY_SENT ||
	    line->status == DELIVERY_PROBED)
		return true;
	memcpy(relay.name, line->relay_name, sizeof(relay.name));
	memcpy(relay.address, line->relay_address, sizeof(relay.address));
	if (!delivery_line_reason(
		reason, true, line->relayed ? &relay : NULL, &line->failure))
		return false;
	line->failure.told = line->failure.there && !line->relayed;
	return true;
}

static void
keep_recipient(struct line_text to, struct delivery_line *line)
{
	if (!address_parse(to.at, to.len, &line->recipient))
		memset(&line->recipient, 0, sizeof(line->recipient));
	if (to.len < sizeof(line->to))
		memcpy(line->to, to.at, to.len);
}

bool
delivery_line_result(struct line_text text, struct delivery_line *line)
{
	struct line_text to = { NULL, 0 }, status;

	/* A line that is cut off may hide the place that counts. */
	if (!line_text_ends(text, ")"))
		return false;
	text.len--;
	if (!take_recipient(&text, &to) || !take_fields(&text, line, &status) ||
	    !read_status(status, line) || !read_reason(text, line))
		return false;
	keep_recipient(to, line);
	return true;
}
