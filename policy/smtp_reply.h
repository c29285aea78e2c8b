/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * SMTP replies: bytes become one reply (RFC 5321 section 4.2, multi-line,
 * enhanced codes of RFC 2034), and a reply becomes a judgement: is it the
 * host's own trouble, or does it only concern this message, this recipient, or
 * the one who asks (RFC 3463)? Knows nothing of sockets and of dialogues.
 *
 * Tolerated, because MTAs tolerate it: bare LF, CRs before the LF, bytes above
 * 127 in the text, a code without text. Not a reply: anything that does not
 * begin with a code, control characters, different codes in one reply, and more
 * than the limits below.
 */
#ifndef NH_POLICY_SMTP_REPLY_H
#define NH_POLICY_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/outcome.h"

/* The RFC promises 512 bytes a line; all three count what one reply has. */
#define SMTP_REPLY_LINE_MAX  1000  /* bytes of a line with its end */
#define SMTP_REPLY_LINES_MAX 256   /* lines */
#define SMTP_REPLY_BYTES_MAX 65536 /* bytes */

enum smtp_reply_status {
	SMTP_REPLY_MORE = 0, /* all bytes taken, no line is complete */
	SMTP_REPLY_LINE,     /* a line of a reply that goes on */
	SMTP_REPLY_DONE,     /* the last line: the reply is complete */
	SMTP_REPLY_BAD	     /* this is not SMTP */
};

struct smtp_reply {
	uint16_t code; /* 200..599 */
	bool enhanced; /* the three below are valid */
	uint8_t class; /* 2, 4 or 5; agrees with code */
	uint16_t subject;
	uint16_t detail;
	uint32_t n_lines;
	char text[OUTCOME_TEXT_MAX]; /* "431 Mail system full": first line,
					printable; of what is no reply: what is
					wrong with it and how it begins */
};

struct smtp_reply_parser {
	struct smtp_reply reply;
	size_t n_bytes; /* of this reply so far */
	size_t line_len;
	bool line_complete;
	char line[SMTP_REPLY_LINE_MAX]; /* the present line; without its end
					   once it is complete */
};

/* Starts a new reply. */
void smtp_reply_begin(struct smtp_reply_parser *parser) NH_ALL_NONNULL;

/*
 * Takes bytes up to the end of a line.
 * Returns: see above; *used_r is the number of bytes taken. After LINE and DONE
 * parser->line holds the line, until the next call. After DONE and BAD the next
 * call is smtp_reply_begin.
 */
enum smtp_reply_status smtp_reply_feed(struct smtp_reply_parser *parser,
    const char *bytes, size_t len, size_t *used_r) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * A whole reply as the MTA's log has it: in one line, the lines of a reply
 * joined with blanks ("452-4.3.1 first 452 4.3.1 second"). Where the second one
 * begins cannot be told from what the first one quotes, so the enhanced code is
 * that of the first line, and n_lines is 1. Bytes beyond one line's worth are
 * ignored.
 * Returns: false when text does not begin with a code; reply_r->text says so
 * then, the rest is zero.
 */
bool smtp_reply_from_text(const char *text, size_t len,
    struct smtp_reply *reply_r) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Is the text of a complete line (after its code) this keyword, alone or
 * followed by parameters? Case does not matter: for the lines of an EHLO reply.
 */
bool smtp_reply_line_is(
    const struct smtp_reply_parser *parser, const char *keyword) NH_ALL_NONNULL;

/* Whom a reply concerns. */
enum smtp_trouble {
	SMTP_TROUBLE_NONE = 0,	/* it is the answer hoped for */
	SMTP_TROUBLE_HOST,	/* every message would meet it */
	SMTP_TROUBLE_MESSAGE,	/* this message: its sender, size, content */
	SMTP_TROUBLE_RECIPIENT, /* this recipient: mailbox full, greylisted */
	SMTP_TROUBLE_POLICY,	/* the one who asks: authentication, lists */
	SMTP_TROUBLE_COUNT
};

/* Judges a reply by the stage it answers. Thread: any; one data table. */
enum smtp_trouble smtp_reply_classify(
    enum outcome_stage stage, const struct smtp_reply *reply) NH_ALL_NONNULL;

struct reply_rule; /* policy/reply_rule.h */

/*
 * The first of n rules of somebody's own that matches; ask them before
 * smtp_reply_classify. A rule's text is looked for in reply->text, as that is
 * (cut, escaped).
 * NULL: rules, when n is 0. Returns: NULL when none matches.
 */
const struct reply_rule *smtp_reply_own_rule(const struct reply_rule *rules,
    uint32_t n, enum outcome_stage stage, const struct smtp_reply *reply)
    NH_NONNULL(4);

/* The same as an outcome: whatever is not the host's trouble is
   OUTCOME_POLICY. */
enum outcome smtp_reply_outcome(
    enum outcome_stage stage, const struct smtp_reply *reply) NH_ALL_NONNULL;

const char *smtp_trouble_name(enum smtp_trouble trouble); /* "host" */

#endif
