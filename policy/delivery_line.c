/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; touches only what it is given. */
#include "policy/delivery_line.h"

#include <string.h>

#include "policy/delivery_line_parts.h"

/* Postfix cuts what it logs (src/util/msg_syslog.c), maybe in the middle of
   somebody's words, who may have wanted it to. */
#define MESSAGE_MAX 2000

#define ALNUM                                                                  \
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                 \
	"abcdefghijklmnopqrstuvwxyz"

/* The MTA replaces control characters, so a line with one is not the MTA's. */
static bool
has_control(struct line_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];

		if (byte < 0x20 || byte == 0x7f)
			return true;
	}
	return false;
}

static void
take_fraction(struct line_text *text)
{
	if (!line_text_take_pattern(text, ".9"))
		return;
	while (line_text_take_pattern(text, "9"))
		;
}

/* RFC 3164 "Nov  8 07:17:39" (postlogd(8) writes "Nov 08"), or RFC 3339
   "2026-11-28T07:17:39.123456+00:00"; journalctl(1) omits that colon. */
static bool
take_time(struct line_text *text)
{
	if (line_text_take_pattern(text, "aaa _9 99:99:99")) {
		take_fraction(text);
		return true;
	}
	if (!line_text_take_pattern(text, "9999-99-99T99:99:99"))
		return false;
	take_fraction(text);
	return line_text_take(text, "Z") ||
	       line_text_take_pattern(text, "+99:99") ||
	       line_text_take_pattern(text, "-99:99") ||
	       line_text_take_pattern(text, "+9999") ||
	       line_text_take_pattern(text, "-9999");
}

/* What syslog daemons put in front, up to the program. */
static bool
take_prefix(struct line_text *text)
{
	struct line_text host;
	uint32_t priority;

	if (line_text_take(text, "<") &&
	    !line_text_take_number(text, 191, ">", &priority))
		return false;
	return take_time(text) && line_text_take(text, " ") &&
	       line_text_take_until(text, " ", &host) && host.len > 0 &&
	       !has_control(host);
}

/* "postfix/nexthop/smtp[1234]: " */
static bool
take_tag(struct line_text *text, struct line_text *tag_r, uint32_t *pid_r)
{
	struct line_text word, pid;
	const char *bracket;

	if (!line_text_take_until(text, " ", &word))
		return false;
	bracket = memrchr(word.at, '[', word.len);
	if (bracket == NULL)
		return false;
	*tag_r = (struct line_text){ word.at, (size_t)(bracket - word.at) };
	pid = word;
	line_text_step(&pid, tag_r->len + 1);
	return line_text_take_number(&pid, UINT32_MAX, "]:", pid_r) &&
	       pid.len == 0;
}

/* A syslog_name is anything, but the program follows it. */
static bool
program_of(struct line_text tag, struct line_text *program_r)
{
	const char *slash = memrchr(tag.at, '/', tag.len);

	if (slash == NULL || memchr(tag.at, ' ', tag.len) != NULL)
		return false;
	*program_r = tag;
	line_text_step(program_r, (size_t)(slash - tag.at) + 1);
	return program_r->len > 0;
}

/* Hexadecimal, or the long form (src/global/mail_queue.h): both begin with
   neither a small letter nor a word that the MTA puts in front of a colon. */
static bool
take_queue_id(struct line_text *text, char queue_id[DELIVERY_QUEUE_MAX])
{
	struct line_text id, rest = *text;

	if (!line_text_take_until(&rest, ": ", &id) ||
	    id.len >= DELIVERY_QUEUE_MAX || !line_text_only(id, ALNUM) ||
	    (id.at[0] >= 'a' && id.at[0] <= 'z') || line_text_is(id, "NOQUEUE"))
		return false;
	memcpy(queue_id, id.at, id.len);
	*text = rest;
	return true;
}

static enum delivery_line_kind
read_event(struct line_text text, bool whole, struct delivery_line *line)
{
	if (!line->attempt ||
	    !delivery_line_reason(text, whole, NULL, &line->failure) ||
	    !line->failure.there)
		return DELIVERY_LINE_OTHER;
	/* Only a failed connection is told without the message. */
	if ((line->queue_id[0] == '\0') !=
	    (line->failure.stage == STAGE_CONNECT))
		return DELIVERY_LINE_OTHER;
	return DELIVERY_LINE_EVENT;
}

static enum delivery_line_kind
read_message(struct line_text text, struct delivery_line *line)
{
	const bool whole = text.len < MESSAGE_MAX;

	if (!take_queue_id(&text, line->queue_id) ||
	    !line_text_take(&text, "to=<"))
		return read_event(text, whole, line);
	return whole && delivery_line_result(text, line) ? DELIVERY_LINE_RESULT
							 : DELIVERY_LINE_OTHER;
}

/* Nothing is left of what was read of a line that is none. */
static enum delivery_line_kind
parse_message(struct line_text tag, uint32_t pid, struct line_text text,
    struct delivery_line *line_r)
{
	struct line_text program;
	enum delivery_line_kind kind = DELIVERY_LINE_OTHER;

	memset(line_r, 0, sizeof(*line_r));
	if (!has_control(tag) && !has_control(text) &&
	    program_of(tag, &program)) {
		line_r->attempt = line_text_is(program, "smtp") ||
				  line_text_is(program, "lmtp");
		line_r->pid = pid;
		kind = read_message(text, line_r);
	}
	if (kind == DELIVERY_LINE_OTHER)
		memset(line_r, 0, sizeof(*line_r));
	line_r->kind = kind;
	return kind;
}

enum delivery_line_kind
delivery_line_parse(const char *text, size_t len, struct delivery_line *line_r)
{
	struct line_text rest = { text, len }, tag;
	uint32_t pid;

	memset(line_r, 0, sizeof(*line_r));
	if (!take_prefix(&rest) || !take_tag(&rest, &tag, &pid))
		return DELIVERY_LINE_OTHER;
	return parse_message(tag, pid, rest, line_r);
}

enum delivery_line_kind
delivery_line_parse_record(const char *tag, size_t tag_len, uint32_t pid,
    const char *text, size_t len, struct delivery_line *line_r)
{
	return parse_message((struct line_text){ tag, tag_len }, pid,
	    (struct line_text){ text, len }, line_r);
}
