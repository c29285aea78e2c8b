/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/smtp_reply.h"

#include <stdlib.h>
#include <string.h>

#include "policy/reply_rule.h"
#include "tests/fuzz/frame.h"

/*
 * Feeds bytes that come in pieces until the parser says something.
 * Returns: what it said; *bytes then begins behind what it took.
 */
static enum smtp_reply_status
hear(struct smtp_reply_parser *parser, struct feed *bytes, struct cuts *cuts)
{
	enum smtp_reply_status status = SMTP_REPLY_MORE;
	struct feed piece;
	size_t used;

	while (bytes->left > 0 && status == SMTP_REPLY_MORE) {
		piece = (struct feed){ bytes->at, cuts_next(cuts, bytes) };
		status = smtp_reply_feed(
		    parser, (const char *)piece.at, piece.left, &used);
		require(used > 0 && used <= piece.left, "bytes are taken");
		require(used == piece.left || status != SMTP_REPLY_MORE,
		    "who wants more has taken all");
		(void)feed_piece(bytes, used);
	}
	return status;
}

/* A rule that says what the reply is matches it, and no rule of another code
   does. */
static void
check_rules(const struct smtp_reply *reply)
{
	struct reply_rule rules[] = {
		{ STAGE_MAIL, 0, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_HOST,
		    NULL },
		{ STAGE_NONE, (uint16_t)(reply->code + 1), REPLY_ANY, REPLY_ANY,
		    SMTP_TROUBLE_HOST, NULL },
		{ STAGE_RCPT, reply->code, REPLY_NONE, REPLY_ANY,
		    SMTP_TROUBLE_HOST, NULL },
		{ STAGE_RCPT, reply->code / 100, (int16_t)reply->subject,
		    (int16_t)reply->detail, SMTP_TROUBLE_POLICY,
		    string_copy(reply->text, strlen(reply->text)) },
	};

	require(smtp_reply_own_rule(rules, 4, STAGE_RCPT, reply) ==
		    &rules[reply->enhanced ? 3 : 2],
	    "the rule that fits is found");
	free(rules[3].text);
}

static void
check_judgement(const struct smtp_reply *reply)
{
	for (int i = 0; i < STAGE_COUNT; i++) {
		enum outcome_stage stage = (enum outcome_stage)i;
		enum outcome outcome = smtp_reply_outcome(stage, reply);
		enum smtp_trouble trouble = smtp_reply_classify(stage, reply);

		require(trouble < SMTP_TROUBLE_COUNT &&
			    smtp_trouble_name(trouble) != NULL,
		    "a reply concerns somebody");
		require(
		    (outcome == OUTCOME_OK) == (trouble == SMTP_TROUBLE_NONE),
		    "no trouble is an answer hoped for");
		require(outcome_info(outcome)->verdict != VERDICT_NEUTRAL,
		    "a reply is never trouble of our own");
	}
}

static void
check_reply(const struct smtp_reply *reply)
{
	require(reply->code >= 200 && reply->code < 600, "a reply has a code");
	require(reply->n_lines > 0 && reply->n_lines <= SMTP_REPLY_LINES_MAX,
	    "a reply has lines");
	require_printable(
	    reply->text, sizeof(reply->text), "a reply is printable");
	require(strtoul(reply->text, NULL, 10) == reply->code,
	    "a reply's text begins with its code");
	require(!reply->enhanced ||
		    (reply->class == reply->code / 100 && reply->class != 3 &&
			reply->subject < 1000 && reply->detail < 1000),
	    "an enhanced code agrees with the code");
	check_judgement(reply);
	check_rules(reply);
}

/* The log has a reply in one line: one that has one line is the same there. */
static void
check_text(const struct smtp_reply_parser *parser)
{
	char *text = exact_copy(parser->line, parser->line_len);
	struct smtp_reply again;

	require(smtp_reply_from_text(text, parser->line_len, &again),
	    "a reply's last line is a reply");
	require(again.code == parser->reply.code, "its code is the reply's");
	require(parser->reply.n_lines > 1 ||
		    memcmp(&again, &parser->reply, sizeof(again)) == 0,
	    "a reply of one line is the same as text");
	free(text);
}

static void
check_heard(
    const struct smtp_reply_parser *parser, enum smtp_reply_status status)
{
	switch (status) {
	case SMTP_REPLY_MORE:
		break;
	case SMTP_REPLY_DONE:
		check_reply(&parser->reply);
		check_text(parser);
		break;
	case SMTP_REPLY_LINE:
		require(parser->line_complete &&
			    parser->line_len < sizeof(parser->line),
		    "a line is complete");
		(void)smtp_reply_line_is(parser, "STARTTLS");
		break;
	case SMTP_REPLY_BAD:
		require(parser->reply.text[0] != '\0', "a refusal says why");
		require_printable(parser->reply.text,
		    sizeof(parser->reply.text), "a refusal is printable");
		break;
	}
}

static void
compare(
    const struct smtp_reply_parser *whole, const struct smtp_reply_parser *cut)
{
	require(memcmp(&whole->reply, &cut->reply, sizeof(cut->reply)) == 0 &&
		    whole->line_len == cut->line_len &&
		    memcmp(whole->line, cut->line, cut->line_len) == 0,
	    "a reply is the same whatever its pieces");
}

/* Input: how it is cut, then what a server says. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_reply_parser whole, cut;
	struct cuts all = { 0 }, cuts = { 0 };
	struct feed input = { data, size }, a, b;
	enum smtp_reply_status status = SMTP_REPLY_DONE;

	cuts.seed = feed_byte(&input);
	a = b = input;
	while (a.left > 0) {
		if (status == SMTP_REPLY_DONE || status == SMTP_REPLY_BAD) {
			smtp_reply_begin(&whole);
			smtp_reply_begin(&cut);
		}
		status = hear(&whole, &a, &all);
		require(hear(&cut, &b, &cuts) == status && a.left == b.left,
		    "replies end where they end whatever the pieces");
		compare(&whole, &cut);
		check_heard(&whole, status);
	}
	return 0;
}
