/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state of its own. */
#include "policy/smtp_reply.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "policy/printable.h"
#include "policy/reply_rule.h"

#define CODE_LEN 3

void
smtp_reply_begin(struct smtp_reply_parser *parser)
{
	memset(&parser->reply, 0, sizeof(parser->reply));
	parser->n_bytes = 0;
	parser->line_len = 0;
	parser->line_complete = false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char not_a_reply[] = "not an SMTP reply";

/* "what is wrong: how it begins", for people. */
static void
complain(struct smtp_reply *reply, const char *fault, const char *line,
    size_t line_len)
{
	const size_t size = sizeof(reply->text), len = strlen(fault);

	assert(len + 2 + 8 <= size);
	memcpy(reply->text, fault, len + 1);
	if (line_len > 0) {
		memcpy(reply->text + len, ": ", 2);
		printable(
		    line, line_len, reply->text + len + 2, size - len - 2);
	}
}

static enum smtp_reply_status
bad(struct smtp_reply_parser *parser, const char *fault)
{
	complain(&parser->reply, fault, parser->line, parser->line_len);
	return SMTP_REPLY_BAD;
}

/* Text as RFC 5321 has it (printable ASCII and tabs), and the 8-bit text that
   localised servers send. */
static bool
is_text(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)line[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return false;
	}
	return true;
}

/* Takes up to three digits; 0 when there are none or more. */
static size_t
number(const char *text, size_t len, uint16_t *value_r)
{
	size_t n = 0;

	*value_r = 0;
	while (n < len && n < 4 && is_digit(text[n])) {
		*value_r = (uint16_t)(*value_r * 10 + (text[n] - '0'));
		n++;
	}
	return n <= 3 ? n : 0;
}

/* "4.3.1" at the start of the text, followed by a blank or nothing. A class
   that contradicts the code is no enhanced code. */
static void
take_enhanced(struct smtp_reply *reply, const char *text, size_t len)
{
	uint16_t subject, detail;
	size_t at = 2, n;

	if (reply->enhanced || len < 5 || text[1] != '.' ||
	    text[0] - '0' != reply->code / 100 || reply->code / 100 == 3)
		return;
	n = number(text + at, len - at, &subject);
	at += n;
	if (n == 0 || at >= len || text[at] != '.')
		return;
	at++;
	n = number(text + at, len - at, &detail);
	at += n;
	if (n == 0 || (at < len && text[at] != ' ' && text[at] != '\t'))
		return;
	reply->enhanced = true;
	reply->class = (uint8_t)(reply->code / 100);
	reply->subject = subject;
	reply->detail = detail;
}

static uint16_t
code_of(const char *line, size_t len)
{
	if (len < CODE_LEN || line[0] < '2' || line[0] > '5' ||
	    !is_digit(line[1]) || !is_digit(line[2]))
		return 0;
	return (uint16_t)((line[0] - '0') * 100 + (line[1] - '0') * 10 +
			  (line[2] - '0'));
}

/* "431-Mail system full  " is shown as "431 Mail system full". */
static void
keep_text(struct smtp_reply *reply, const char *line, size_t len)
{
	char shown[SMTP_REPLY_LINE_MAX];

	while (
	    len > CODE_LEN && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	memcpy(shown, line, len);
	if (len > CODE_LEN)
		shown[CODE_LEN] = ' ';
	if (len == CODE_LEN + 1)
		len = CODE_LEN;
	printable(shown, len, reply->text, sizeof(reply->text));
}

/* The mark behind the code; 0: this is no line of a reply. */
static char
mark_of(const char *line, size_t len)
{
	char mark = len > CODE_LEN ? line[CODE_LEN] : ' ';

	if (code_of(line, len) == 0 ||
	    (mark != ' ' && mark != '-' && mark != '\t') || !is_text(line, len))
		return '\0';
	return mark;
}

static void
take_first_line(struct smtp_reply *reply, const char *line, size_t len)
{
	reply->code = code_of(line, len);
	keep_text(reply, line, len);
}

static void
take_any_line(struct smtp_reply *reply, const char *line, size_t len)
{
	reply->n_lines++;
	if (len > CODE_LEN + 1)
		take_enhanced(reply, line + CODE_LEN + 1, len - CODE_LEN - 1);
}

static enum smtp_reply_status
take_line(struct smtp_reply_parser *parser)
{
	struct smtp_reply *reply = &parser->reply;
	const char *line = parser->line;
	size_t len = parser->line_len;
	char mark = mark_of(line, len);

	if (mark == '\0')
		return bad(parser, not_a_reply);
	if (reply->n_lines > 0 && code_of(line, len) != reply->code)
		return bad(parser, "two codes in one reply");
	if (reply->n_lines == 0)
		take_first_line(reply, line, len);
	take_any_line(reply, line, len);
	if (mark != '-')
		return SMTP_REPLY_DONE;
	if (reply->n_lines == SMTP_REPLY_LINES_MAX)
		return bad(parser, "endless reply");
	return SMTP_REPLY_LINE;
}

enum smtp_reply_status
smtp_reply_feed(struct smtp_reply_parser *parser, const char *bytes, size_t len,
    size_t *used_r)
{
	*used_r = 0;
	if (parser->line_complete) {
		parser->line_complete = false;
		parser->line_len = 0;
	}
	while (*used_r < len) {
		char byte = bytes[(*used_r)++];

		if (++parser->n_bytes > SMTP_REPLY_BYTES_MAX)
			return bad(parser, "endless reply");
		if (byte == '\n') {
			while (parser->line_len > 0 &&
			       parser->line[parser->line_len - 1] == '\r')
				parser->line_len--;
			parser->line_complete = true;
			return take_line(parser);
		}
		if (parser->line_len == SMTP_REPLY_LINE_MAX - 1)
			return bad(parser, "line too long");
		parser->line[parser->line_len++] = byte;
	}
	return SMTP_REPLY_MORE;
}

bool
smtp_reply_from_text(const char *text, size_t len, struct smtp_reply *reply_r)
{
	if (len > SMTP_REPLY_LINE_MAX - 1)
		len = SMTP_REPLY_LINE_MAX - 1;
	memset(reply_r, 0, sizeof(*reply_r));
	if (mark_of(text, len) == '\0') {
		complain(reply_r, not_a_reply, text, len);
		return false;
	}
	take_first_line(reply_r, text, len);
	take_any_line(reply_r, text, len);
	return true;
}

bool
smtp_reply_line_is(const struct smtp_reply_parser *parser, const char *keyword)
{
	size_t len = strlen(keyword);
	const char *text = parser->line + CODE_LEN + 1;

	if (!parser->line_complete || parser->line_len < CODE_LEN + 1 + len ||
	    strncasecmp(text, keyword, len) != 0)
		return false;
	return parser->line_len == CODE_LEN + 1 + len || text[len] == ' ' ||
	       text[len] == '\t';
}

/* The judgement as data, row by row as policy/reply_rule.h says. */
#define ANY  REPLY_ANY
#define NONE REPLY_NONE

static const struct reply_rule built_in[] = {
	{ STAGE_QUIT, 0, ANY, ANY, SMTP_TROUBLE_NONE, NULL },
	{ STAGE_DATA, 354, ANY, ANY, SMTP_TROUBLE_NONE, NULL },
	{ STAGE_DATA, 2, ANY, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_NONE, 2, ANY, ANY, SMTP_TROUBLE_NONE, NULL },

	/* "I am closing the connection", whatever was asked. */
	{ STAGE_NONE, 421, ANY, ANY, SMTP_TROUBLE_HOST, NULL },
	/* No room left, in the words of some gateways. */
	{ STAGE_NONE, 431, ANY, ANY, SMTP_TROUBLE_HOST, NULL },

	/* Nobody and nothing has been named yet. */
	{ STAGE_GREETING, 0, ANY, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_EHLO, 0, ANY, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_STARTTLS, 0, ANY, ANY, SMTP_TROUBLE_HOST, NULL },

	/* Only the client and the sender have been named. 4.1.x is about the
	   sender's address, 4.3.4 about the size that was announced. */
	{ STAGE_MAIL, 5, ANY, ANY, SMTP_TROUBLE_POLICY, NULL },
	{ STAGE_MAIL, 4, 7, ANY, SMTP_TROUBLE_POLICY, NULL },
	{ STAGE_MAIL, 4, 1, ANY, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_MAIL, 4, 3, 4, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_MAIL, 4, ANY, ANY, SMTP_TROUBLE_HOST, NULL },

	/* Greylisting answers 450 and 451 with 4.7.x, 4.2.x or nothing, so
	   without an enhanced code only 452, "insufficient system storage", is
	   held against the host: one greylisted recipient must not take
	   a host away from all others. 4.4.3 and 4.4.5 are a directory or a
	   system that fails behind it. */
	{ STAGE_RCPT, 5, 7, ANY, SMTP_TROUBLE_POLICY, NULL },
	{ STAGE_RCPT, 5, ANY, ANY, SMTP_TROUBLE_RECIPIENT, NULL },
	{ STAGE_RCPT, 4, 7, ANY, SMTP_TROUBLE_POLICY, NULL },
	{ STAGE_RCPT, 4, 3, 4, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_RCPT, 4, 3, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_RCPT, 4, 4, 3, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_RCPT, 4, 4, 5, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_RCPT, 4, 5, 3, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_RCPT, 452, NONE, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_RCPT, 4, ANY, ANY, SMTP_TROUBLE_RECIPIENT, NULL },

	/* From here on the message itself may be what is disliked. */
	{ STAGE_DATA, 5, ANY, ANY, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_DATA, 4, 7, ANY, SMTP_TROUBLE_POLICY, NULL },
	{ STAGE_DATA, 4, 3, 4, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_DATA, 4, 3, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_DATA, 4, 4, 3, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_DATA, 4, 4, 5, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_DATA, 452, NONE, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_DATA, 4, ANY, ANY, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_END_OF_DATA, 5, ANY, ANY, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_END_OF_DATA, 4, 7, ANY, SMTP_TROUBLE_POLICY, NULL },
	{ STAGE_END_OF_DATA, 4, 3, 4, SMTP_TROUBLE_MESSAGE, NULL },
	{ STAGE_END_OF_DATA, 4, 3, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_END_OF_DATA, 4, 4, 3, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_END_OF_DATA, 4, 4, 5, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_END_OF_DATA, 452, NONE, ANY, SMTP_TROUBLE_HOST, NULL },
	{ STAGE_END_OF_DATA, 4, ANY, ANY, SMTP_TROUBLE_MESSAGE, NULL },

	/* A reply that this stage does not know (3xx). */
	{ STAGE_NONE, 0, ANY, ANY, SMTP_TROUBLE_HOST, NULL },
};

static bool
matches(const struct reply_rule *rule, enum outcome_stage stage,
    const struct smtp_reply *reply)
{
	if (rule->stage != STAGE_NONE && rule->stage != stage)
		return false;
	if (rule->code != 0 && rule->code != reply->code &&
	    rule->code != reply->code / 100)
		return false;
	if (rule->text != NULL && strcasestr(reply->text, rule->text) == NULL)
		return false;
	if (rule->subject == ANY)
		return true;
	if (rule->subject == NONE)
		return !reply->enhanced;
	return reply->enhanced && rule->subject == reply->subject &&
	       (rule->detail == ANY || rule->detail == reply->detail);
}

const struct reply_rule *
smtp_reply_own_rule(const struct reply_rule *rules, uint32_t n,
    enum outcome_stage stage, const struct smtp_reply *reply)
{
	for (uint32_t i = 0; i < n; i++) {
		if (matches(&rules[i], stage, reply))
			return &rules[i];
	}
	return NULL;
}

enum smtp_trouble
smtp_reply_classify(enum outcome_stage stage, const struct smtp_reply *reply)
{
	size_t i = 0;

	/* The last row matches everything. */
	while (!matches(&built_in[i], stage, reply))
		i++;
	assert(i < NELEM(built_in));
	return built_in[i].trouble;
}

enum outcome
smtp_reply_outcome(enum outcome_stage stage, const struct smtp_reply *reply)
{
	switch (smtp_reply_classify(stage, reply)) {
	case SMTP_TROUBLE_NONE:
		return OUTCOME_OK;
	case SMTP_TROUBLE_HOST:
		break;
	case SMTP_TROUBLE_MESSAGE:
	case SMTP_TROUBLE_RECIPIENT:
	case SMTP_TROUBLE_POLICY:
	case SMTP_TROUBLE_COUNT:
		return OUTCOME_POLICY;
	}
	if (reply->code / 100 == 4)
		return OUTCOME_TEMPORARY;
	return reply->code / 100 == 5 ? OUTCOME_PERMANENT : OUTCOME_NOT_SMTP;
}

static const char *const trouble_names[] = {
	[SMTP_TROUBLE_NONE] = "none",
	[SMTP_TROUBLE_HOST] = "host",
	[SMTP_TROUBLE_MESSAGE] = "message",
	[SMTP_TROUBLE_RECIPIENT] = "recipient",
	[SMTP_TROUBLE_POLICY] = "policy",
};
_Static_assert(NELEM(trouble_names) == SMTP_TROUBLE_COUNT, "one name each");

const char *
smtp_trouble_name(enum smtp_trouble trouble)
{
	assert((unsigned)trouble < SMTP_TROUBLE_COUNT);
	return trouble_names[trouble];
}
