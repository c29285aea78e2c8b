/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/reply_rule.h"
#include "policy/smtp_reply.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) (text), sizeof(text) - 1

/* What is sent, and what must be made of it. enhanced "" means none. */
static const struct parse_row {
	const char *bytes;
	size_t len;
	enum smtp_reply_status status;
	uint16_t code;
	uint32_t n_lines;
	const char *enhanced;
	const char *text;
} parse_rows[] = {
	/* Several lines are one reply: the most usual thing first. */
	{ BYTES("220-mx.example.net ESMTP\r\n220-no spam\r\n220 ready\r\n"),
	    SMTP_REPLY_DONE, 220, 3, "", "220 mx.example.net ESMTP" },
	{ BYTES("250-mx.example.net\r\n250-SIZE 1000\r\n250-STARTTLS\r\n"
		"250 HELP\r\n"),
	    SMTP_REPLY_DONE, 250, 4, "", "250 mx.example.net" },
	{ BYTES("220 mx.example.net ESMTP\r\n"), SMTP_REPLY_DONE, 220, 1, "",
	    "220 mx.example.net ESMTP" },
	{ BYTES("431 Mail system full\r\n"), SMTP_REPLY_DONE, 431, 1, "",
	    "431 Mail system full" },
	{ BYTES("452 4.3.1 Insufficient system resources\r\n"), SMTP_REPLY_DONE,
	    452, 1, "4.3.1", "452 4.3.1 Insufficient system resources" },
	{ BYTES("452-4.3.1 Insufficient\r\n452 4.3.1 resources\r\n"),
	    SMTP_REPLY_DONE, 452, 2, "4.3.1", "452 4.3.1 Insufficient" },
	{ BYTES("550-go away\r\n550 5.7.1 really\r\n"), SMTP_REPLY_DONE, 550, 2,
	    "5.7.1", "550 go away" },
	{ BYTES("421 4.3.2\r\n"), SMTP_REPLY_DONE, 421, 1, "4.3.2",
	    "421 4.3.2" },
	/* Tolerated: bare LF, more CRs, tabs, no text, 8-bit text. */
	{ BYTES("220-one\n220 two\n"), SMTP_REPLY_DONE, 220, 2, "", "220 one" },
	{ BYTES("220 ok\r\r\n"), SMTP_REPLY_DONE, 220, 1, "", "220 ok" },
	{ BYTES("220\r\n"), SMTP_REPLY_DONE, 220, 1, "", "220" },
	{ BYTES("220 \r\n"), SMTP_REPLY_DONE, 220, 1, "", "220" },
	{ BYTES("220-\r\n220 \r\n"), SMTP_REPLY_DONE, 220, 2, "", "220" },
	{ BYTES("220\ttab\r\n"), SMTP_REPLY_DONE, 220, 1, "", "220 tab" },
	{ BYTES("220 gr\xc3\xbc\xc3\x9f\r\n"), SMTP_REPLY_DONE, 220, 1, "",
	    "220 gr\\xc3\\xbc\\xc3\\x9f" },
	{ BYTES("250 2.1.0 back\\slash  \r\n"), SMTP_REPLY_DONE, 250, 1,
	    "2.1.0", "250 2.1.0 back\\\\slash" },
	/* No enhanced codes: another class, too long, glued on, cut short. */
	{ BYTES("452 5.3.1 what\r\n"), SMTP_REPLY_DONE, 452, 1, "",
	    "452 5.3.1 what" },
	{ BYTES("450 4.1000.1 x\r\n"), SMTP_REPLY_DONE, 450, 1, "",
	    "450 4.1000.1 x" },
	{ BYTES("450 4.7.1x\r\n"), SMTP_REPLY_DONE, 450, 1, "", "450 4.7.1x" },
	{ BYTES("450 4.7.\r\n"), SMTP_REPLY_DONE, 450, 1, "", "450 4.7." },
	{ BYTES("450 4.7\r\n"), SMTP_REPLY_DONE, 450, 1, "", "450 4.7" },
	{ BYTES("450 4\r\n"), SMTP_REPLY_DONE, 450, 1, "", "450 4" },
	{ BYTES("354 3.0.0 go\r\n"), SMTP_REPLY_DONE, 354, 1, "",
	    "354 3.0.0 go" },
	{ BYTES("450 4.999.999 far\r\n"), SMTP_REPLY_DONE, 450, 1, "4.999.999",
	    "450 4.999.999 far" },
	/* Not complete. */
	{ BYTES(""), SMTP_REPLY_MORE, 0, 0, "", "" },
	{ BYTES("220 server.te"), SMTP_REPLY_MORE, 0, 0, "", "" },
	{ BYTES("220 server.test\r"), SMTP_REPLY_MORE, 0, 0, "", "" },
	{ BYTES("220-server.test\r\n220-sec"), SMTP_REPLY_MORE, 220, 1, "",
	    "220 server.test" },
	/* Not SMTP. */
	{ BYTES("HTTP/1.1 400 Bad Request\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: HTTP/1.1 400 Bad Request" },
	{ BYTES("\r\n"), SMTP_REPLY_BAD, 0, 0, "", "not an SMTP reply" },
	{ BYTES("22\r\n"), SMTP_REPLY_BAD, 0, 0, "", "not an SMTP reply: 22" },
	{ BYTES("22a x\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: 22a x" },
	{ BYTES("120 early\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: 120 early" },
	{ BYTES("620 late\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: 620 late" },
	{ BYTES("2200 long\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: 2200 long" },
	{ BYTES(" 220 blank\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply:  220 blank" },
	{ BYTES("220 \x00\x1b[31m\xff\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: 220 \\x00\\x1b[31m\\xff" },
	{ BYTES("220 a\rb\r\n"), SMTP_REPLY_BAD, 0, 0, "",
	    "not an SMTP reply: 220 a\\x0db" },
	{ BYTES("220-one\r\n221 two\r\n"), SMTP_REPLY_BAD, 220, 1, "",
	    "two codes in one reply: 221 two" },
	{ BYTES("220-one\r\nnonsense\r\n"), SMTP_REPLY_BAD, 220, 1, "",
	    "not an SMTP reply: nonsense" },
};

/* Feeds everything, step bytes at a time. */
static enum smtp_reply_status
feed(struct smtp_reply_parser *parser, const char *bytes, size_t len,
    size_t step, size_t *taken_r)
{
	enum smtp_reply_status status;
	size_t used, n;

	*taken_r = 0;
	while (*taken_r < len) {
		n = len - *taken_r < step ? len - *taken_r : step;
		status = smtp_reply_feed(parser, bytes + *taken_r, n, &used);
		*taken_r += used;
		if (status == SMTP_REPLY_DONE || status == SMTP_REPLY_BAD)
			return status;
	}
	return SMTP_REPLY_MORE;
}

static void
check_parse(const struct parse_row *row, size_t step)
{
	struct smtp_reply_parser parser;
	char enhanced[32] = "";
	size_t taken;

	smtp_reply_begin(&parser);
	ck_assert_int_eq(
	    feed(&parser, row->bytes, row->len, step, &taken), row->status);
	ck_assert_uint_eq(taken, row->len);
	ck_assert_uint_eq(parser.reply.code, row->code);
	ck_assert_uint_eq(parser.reply.n_lines, row->n_lines);
	ck_assert_str_eq(parser.reply.text, row->text);
	if (parser.reply.enhanced)
		(void)snprintf(enhanced, sizeof(enhanced), "%u.%u.%u",
		    parser.reply.class, parser.reply.subject,
		    parser.reply.detail);
	ck_assert_str_eq(enhanced, row->enhanced);
}

START_TEST(reply_all_at_once)
{
	check_parse(&parse_rows[_i], SIZE_MAX);
}
END_TEST

START_TEST(reply_byte_by_byte_is_the_same)
{
	check_parse(&parse_rows[_i], 1);
}
END_TEST

START_TEST(reply_in_threes_is_the_same)
{
	check_parse(&parse_rows[_i], 3);
}
END_TEST

START_TEST(bytes_behind_a_reply_are_left_alone)
{
	static const char two[] = "220 one\r\n250 two\r\n";
	struct smtp_reply_parser parser;
	size_t used;

	smtp_reply_begin(&parser);
	ck_assert_int_eq(smtp_reply_feed(&parser, two, sizeof(two) - 1, &used),
	    SMTP_REPLY_DONE);
	ck_assert_uint_eq(used, 9);
	smtp_reply_begin(&parser);
	ck_assert_int_eq(
	    smtp_reply_feed(&parser, two + used, sizeof(two) - 1 - used, &used),
	    SMTP_REPLY_DONE);
	ck_assert_str_eq(parser.reply.text, "250 two");
}
END_TEST

/* A line of n bytes with its end. */
static enum smtp_reply_status
feed_long_line(size_t n)
{
	struct smtp_reply_parser parser;
	char *line = malloc(n);
	enum smtp_reply_status status;
	size_t taken;

	ck_assert_ptr_nonnull(line);
	memset(line, 'a', n);
	memcpy(line, "220 ", 4);
	memcpy(line + n - 2, "\r\n", 2);
	smtp_reply_begin(&parser);
	status = feed(&parser, line, n, 4096, &taken);
	free(line);
	ck_assert_uint_lt(strlen(parser.reply.text), OUTCOME_TEXT_MAX);
	if (status == SMTP_REPLY_BAD)
		ck_assert_ptr_nonnull(
		    strstr(parser.reply.text, "line too long: 220 aaa"));
	return status;
}

START_TEST(a_line_of_1000_bytes_is_taken_and_one_more_is_not)
{
	ck_assert_int_eq(feed_long_line(512), SMTP_REPLY_DONE);
	ck_assert_int_eq(feed_long_line(SMTP_REPLY_LINE_MAX), SMTP_REPLY_DONE);
	ck_assert_int_eq(
	    feed_long_line(SMTP_REPLY_LINE_MAX + 1), SMTP_REPLY_BAD);
	ck_assert_int_eq(feed_long_line(10 << 20), SMTP_REPLY_BAD);
}
END_TEST

/* n lines with this text, the last one with a blank. */
static enum smtp_reply_status
feed_lines(uint32_t n, const char *text)
{
	struct smtp_reply_parser parser;
	enum smtp_reply_status status = SMTP_REPLY_MORE;
	char line[1024];
	size_t taken;

	smtp_reply_begin(&parser);
	for (uint32_t i = 0; i < n && status == SMTP_REPLY_MORE; i++) {
		int len = snprintf(line, sizeof(line), "250%c%s\r\n",
		    i + 1 == n ? ' ' : '-', text);

		status = feed(&parser, line, (size_t)len, SIZE_MAX, &taken);
	}
	return status;
}

START_TEST(a_reply_of_many_lines_ends_somewhere)
{
	char text[900];

	ck_assert_int_eq(feed_lines(30, "X-EXTENSION"), SMTP_REPLY_DONE);
	ck_assert_int_eq(
	    feed_lines(SMTP_REPLY_LINES_MAX, "x"), SMTP_REPLY_DONE);
	ck_assert_int_eq(
	    feed_lines(SMTP_REPLY_LINES_MAX + 1, "x"), SMTP_REPLY_BAD);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(feed_lines(60, text), SMTP_REPLY_DONE);
	ck_assert_int_eq(feed_lines(100, text), SMTP_REPLY_BAD);
}
END_TEST

static const struct {
	const char *line;
	bool is;
} keyword_rows[] = {
	{ "250-STARTTLS\r\n", true },
	{ "250 starttls\r\n", true },
	{ "250-STARTTLS REQUIRED\r\n", true },
	{ "250-STARTTLS2\r\n", false },
	{ "250-X-STARTTLS\r\n", false },
	{ "250-START\r\n", false },
	{ "250-\r\n", false },
	{ "250\r\n", false },
};

START_TEST(ehlo_keywords_are_found)
{
	struct smtp_reply_parser parser;
	const char *line = keyword_rows[_i].line;
	size_t used;

	smtp_reply_begin(&parser);
	ck_assert_int_ne(smtp_reply_feed(&parser, line, strlen(line), &used),
	    SMTP_REPLY_BAD);
	ck_assert(
	    smtp_reply_line_is(&parser, "STARTTLS") == keyword_rows[_i].is);
}
END_TEST

/* Stage, reply, judgement, outcome. */
static const struct {
	enum outcome_stage stage;
	const char *reply;
	enum smtp_trouble trouble;
	enum outcome outcome;
} class_rows[] = {
	{ STAGE_GREETING, "220 hello", SMTP_TROUBLE_NONE, OUTCOME_OK },
	{ STAGE_GREETING, "431 Mail system full", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_GREETING, "421 4.3.2 down", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_GREETING, "450 4.7.1 later", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_GREETING, "554 5.7.1 no", SMTP_TROUBLE_HOST,
	    OUTCOME_PERMANENT },
	{ STAGE_GREETING, "354 what", SMTP_TROUBLE_HOST, OUTCOME_NOT_SMTP },
	{ STAGE_EHLO, "250 hi", SMTP_TROUBLE_NONE, OUTCOME_OK },
	{ STAGE_EHLO, "550 5.7.1 no", SMTP_TROUBLE_HOST, OUTCOME_PERMANENT },
	{ STAGE_EHLO, "452 4.3.1 full", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_STARTTLS, "220 go", SMTP_TROUBLE_NONE, OUTCOME_OK },
	{ STAGE_STARTTLS, "454 4.7.0 no TLS now", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_MAIL, "250 2.1.0 ok", SMTP_TROUBLE_NONE, OUTCOME_OK },
	{ STAGE_MAIL, "452 4.3.1 Insufficient system resources",
	    SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_MAIL, "452 full", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_MAIL, "451 4.4.3 directory", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_MAIL, "450 wait", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_MAIL, "421 4.7.0 bye", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_MAIL, "450 4.7.1 listed", SMTP_TROUBLE_POLICY, OUTCOME_POLICY },
	{ STAGE_MAIL, "450 4.1.8 sender's domain", SMTP_TROUBLE_MESSAGE,
	    OUTCOME_POLICY },
	{ STAGE_MAIL, "452 4.3.4 too big", SMTP_TROUBLE_MESSAGE,
	    OUTCOME_POLICY },
	{ STAGE_MAIL, "530 5.7.0 authenticate", SMTP_TROUBLE_POLICY,
	    OUTCOME_POLICY },
	{ STAGE_MAIL, "550 no bounces", SMTP_TROUBLE_POLICY, OUTCOME_POLICY },
	{ STAGE_RCPT, "251 forwarded", SMTP_TROUBLE_NONE, OUTCOME_OK },
	{ STAGE_RCPT, "450 4.7.1 greylisted", SMTP_TROUBLE_POLICY,
	    OUTCOME_POLICY },
	{ STAGE_RCPT, "450 greylisted", SMTP_TROUBLE_RECIPIENT,
	    OUTCOME_POLICY },
	{ STAGE_RCPT, "451 later", SMTP_TROUBLE_RECIPIENT, OUTCOME_POLICY },
	{ STAGE_RCPT, "452 full", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_RCPT, "452 4.2.2 mailbox full", SMTP_TROUBLE_RECIPIENT,
	    OUTCOME_POLICY },
	{ STAGE_RCPT, "452 4.5.3 too many", SMTP_TROUBLE_MESSAGE,
	    OUTCOME_POLICY },
	{ STAGE_RCPT, "452 4.3.1 resources", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_RCPT, "451 4.3.0 lookup failure", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_RCPT, "451 4.4.3 directory", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_RCPT, "431 full", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_RCPT, "421 bye", SMTP_TROUBLE_HOST, OUTCOME_TEMPORARY },
	{ STAGE_RCPT, "550 5.1.1 unknown", SMTP_TROUBLE_RECIPIENT,
	    OUTCOME_POLICY },
	{ STAGE_RCPT, "554 5.7.1 relay denied", SMTP_TROUBLE_POLICY,
	    OUTCOME_POLICY },
	{ STAGE_DATA, "354 go", SMTP_TROUBLE_NONE, OUTCOME_OK },
	{ STAGE_DATA, "452 4.3.1 resources", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_DATA, "451 later", SMTP_TROUBLE_MESSAGE, OUTCOME_POLICY },
	{ STAGE_DATA, "250 what", SMTP_TROUBLE_HOST, OUTCOME_NOT_SMTP },
	{ STAGE_END_OF_DATA, "250 2.0.0 queued", SMTP_TROUBLE_NONE,
	    OUTCOME_OK },
	{ STAGE_END_OF_DATA, "452 4.3.1 resources", SMTP_TROUBLE_HOST,
	    OUTCOME_TEMPORARY },
	{ STAGE_END_OF_DATA, "451 4.7.1 scanner", SMTP_TROUBLE_POLICY,
	    OUTCOME_POLICY },
	{ STAGE_END_OF_DATA, "554 5.6.0 content", SMTP_TROUBLE_MESSAGE,
	    OUTCOME_POLICY },
	{ STAGE_QUIT, "500 what", SMTP_TROUBLE_NONE, OUTCOME_OK },
};

START_TEST(replies_are_judged_by_stage_and_code)
{
	struct smtp_reply_parser parser;
	enum smtp_trouble trouble;
	char line[128];
	size_t used;
	int len = snprintf(line, sizeof(line), "%s\r\n", class_rows[_i].reply);

	smtp_reply_begin(&parser);
	ck_assert_int_eq(smtp_reply_feed(&parser, line, (size_t)len, &used),
	    SMTP_REPLY_DONE);
	trouble = smtp_reply_classify(class_rows[_i].stage, &parser.reply);
	ck_assert_str_eq(smtp_trouble_name(trouble),
	    smtp_trouble_name(class_rows[_i].trouble));
	ck_assert_int_eq(
	    smtp_reply_outcome(class_rows[_i].stage, &parser.reply),
	    class_rows[_i].outcome);
}
END_TEST

START_TEST(every_code_at_every_stage_is_judged)
{
	struct smtp_reply reply = { .code = 0 };

	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		for (uint16_t code = 200; code < 600; code++) {
			reply.code = code;
			if (smtp_reply_classify((enum outcome_stage)stage,
				&reply) >= SMTP_TROUBLE_COUNT)
				ck_abort_msg("%d %u", stage, code);
		}
	}
}
END_TEST

/* As the MTA's log shows replies; code 0: it is none. */
static const struct {
	const char *shown;
	size_t len;
	uint16_t code;
	const char *enhanced;
	const char *text;
} shown_rows[] = {
	{ BYTES("431 Mail system full"), 431, "", "431 Mail system full" },
	{ BYTES("452 4.3.1 Full"), 452, "4.3.1", "452 4.3.1 Full" },
	{ BYTES("452-4.3.1 first 452 4.3.1 second"), 452, "4.3.1",
	    "452 4.3.1 first 452 4.3.1 second" },
	{ BYTES("450-<450 4.3.1@d.test> 450 4.2.1 no"), 450, "",
	    "450 <450 4.3.1@d.test> 450 4.2.1 no" },
	{ BYTES("452 4.3.1"), 452, "4.3.1", "452 4.3.1" },
	{ BYTES("452 4.3.1x"), 452, "", "452 4.3.1x" },
	{ BYTES("452 5.3.1 x"), 452, "", "452 5.3.1 x" },
	{ BYTES("452"), 452, "", "452" },
	{ BYTES("452-"), 452, "", "452" },
	{ BYTES("452 \xff"), 452, "", "452 \\xff" },
	{ BYTES("199 x"), 0, "", "not an SMTP reply: 199 x" },
	{ BYTES("600 x"), 0, "", "not an SMTP reply: 600 x" },
	{ BYTES("4523 x"), 0, "", "not an SMTP reply: 4523 x" },
	{ BYTES("45"), 0, "", "not an SMTP reply: 45" },
	{ BYTES("452 a\nb"), 0, "", "not an SMTP reply: 452 a\\x0ab" },
	{ BYTES("452 a\0b"), 0, "", "not an SMTP reply: 452 a\\x00b" },
	{ BYTES("nonsense 452 4.3.1 x"), 0, "",
	    "not an SMTP reply: nonsense 452 4.3.1 x" },
	{ BYTES(""), 0, "", "not an SMTP reply" },
};

START_TEST(replies_are_read_from_one_line_of_a_log)
{
	struct smtp_reply reply;
	char enhanced[32] = "";
	bool good = smtp_reply_from_text(
	    shown_rows[_i].shown, shown_rows[_i].len, &reply);

	ck_assert_uint_eq(reply.code, shown_rows[_i].code);
	ck_assert(good == (reply.code != 0));
	ck_assert_uint_eq(reply.n_lines, good ? 1 : 0);
	ck_assert_str_eq(reply.text, shown_rows[_i].text);
	if (reply.enhanced)
		(void)snprintf(enhanced, sizeof(enhanced), "%u.%u.%u",
		    reply.class, reply.subject, reply.detail);
	ck_assert_str_eq(enhanced, shown_rows[_i].enhanced);
}
END_TEST

START_TEST(a_reply_of_a_log_may_be_of_any_length)
{
	const size_t len = 100000;
	char *text = malloc(len);
	struct smtp_reply reply;

	ck_assert_ptr_nonnull(text);
	memset(text, 'y', len);
	memcpy(text, "452 4.3.1 ", 10);
	ck_assert(smtp_reply_from_text(text, len, &reply));
	ck_assert(reply.enhanced);
	ck_assert_uint_eq(strlen(reply.text), OUTCOME_TEXT_MAX - 1);
	free(text);
}
END_TEST

#define OWN(...)                                                               \
	(const struct reply_rule[]){ __VA_ARGS__ },                            \
	    NELEM(((const struct reply_rule[]){ __VA_ARGS__ }))

/* Rows of the configuration, in front of the built-in ones. */
static char backend[] = "Backend DOWN";
static char nothing[] = "";

static const struct {
	const struct reply_rule *own;
	size_t n;
	enum outcome_stage stage;
	const char *reply;
	enum smtp_trouble trouble;
} own_rows[] = {
	{ NULL, 0, STAGE_RCPT, "450 4.7.1 grey", SMTP_TROUBLE_POLICY },
	{ OWN({ STAGE_RCPT, 450, 7, 1, SMTP_TROUBLE_HOST, NULL }), STAGE_RCPT,
	    "450 4.7.1 grey", SMTP_TROUBLE_HOST },
	{ OWN({ STAGE_RCPT, 450, 7, 1, SMTP_TROUBLE_HOST, NULL }), STAGE_RCPT,
	    "450 4.7.2 grey", SMTP_TROUBLE_POLICY },
	{ OWN({ STAGE_RCPT, 450, 7, 1, SMTP_TROUBLE_HOST, NULL }), STAGE_DATA,
	    "450 4.7.1 grey", SMTP_TROUBLE_POLICY },
	{ OWN({ STAGE_NONE, 4, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_HOST,
	      backend }),
	    STAGE_RCPT, "451 4.7.1 sorry, bAcKeNd down, again",
	    SMTP_TROUBLE_HOST },
	{ OWN({ STAGE_NONE, 4, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_HOST,
	      backend }),
	    STAGE_RCPT, "451 4.7.1 backend dow", SMTP_TROUBLE_POLICY },
	{ OWN({ STAGE_NONE, 4, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_HOST,
	      backend }),
	    STAGE_RCPT, "551 5.7.1 backend down", SMTP_TROUBLE_POLICY },
	{ OWN({ STAGE_NONE, 0, REPLY_NONE, REPLY_ANY, SMTP_TROUBLE_MESSAGE,
	      nothing }),
	    STAGE_RCPT, "452 full", SMTP_TROUBLE_MESSAGE },
	{ OWN({ STAGE_NONE, 0, REPLY_NONE, REPLY_ANY, SMTP_TROUBLE_MESSAGE,
	      nothing }),
	    STAGE_RCPT, "452 4.3.1 full", SMTP_TROUBLE_HOST },
	/* The first one that matches. */
	{ OWN({ STAGE_MAIL, 4, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_NONE, NULL },
	      { STAGE_RCPT, 4, 3, REPLY_ANY, SMTP_TROUBLE_MESSAGE, NULL },
	      { STAGE_RCPT, 4, 3, 1, SMTP_TROUBLE_POLICY, NULL }),
	    STAGE_RCPT, "452 4.3.1 full", SMTP_TROUBLE_MESSAGE },
};

START_TEST(rules_of_ones_own_come_first)
{
	const char *text = own_rows[_i].reply;
	const struct reply_rule *rule;
	struct smtp_reply reply;

	ck_assert(smtp_reply_from_text(text, strlen(text), &reply));
	rule = smtp_reply_own_rule(own_rows[_i].own, (uint32_t)own_rows[_i].n,
	    own_rows[_i].stage, &reply);
	ck_assert_str_eq(
	    smtp_trouble_name(
		rule != NULL ? rule->trouble
			     : smtp_reply_classify(own_rows[_i].stage, &reply)),
	    smtp_trouble_name(own_rows[_i].trouble));
}
END_TEST

static Suite *
smtp_reply_suite(void)
{
	Suite *suite = suite_create("test_smtp_reply");
	TCase *parse = tcase_create("parse");
	TCase *judge = tcase_create("judge");
	int n = (int)NELEM(parse_rows);

	tcase_add_loop_test(parse, reply_all_at_once, 0, n);
	tcase_add_loop_test(parse, reply_byte_by_byte_is_the_same, 0, n);
	tcase_add_loop_test(parse, reply_in_threes_is_the_same, 0, n);
	tcase_add_test(parse, bytes_behind_a_reply_are_left_alone);
	tcase_add_test(
	    parse, a_line_of_1000_bytes_is_taken_and_one_more_is_not);
	tcase_add_test(parse, a_reply_of_many_lines_ends_somewhere);
	tcase_add_loop_test(
	    parse, ehlo_keywords_are_found, 0, (int)NELEM(keyword_rows));
	tcase_add_loop_test(parse, replies_are_read_from_one_line_of_a_log, 0,
	    (int)NELEM(shown_rows));
	tcase_add_test(parse, a_reply_of_a_log_may_be_of_any_length);
	suite_add_tcase(suite, parse);
	tcase_add_loop_test(judge, replies_are_judged_by_stage_and_code, 0,
	    (int)NELEM(class_rows));
	tcase_add_test(judge, every_code_at_every_stage_is_judged);
	tcase_add_loop_test(
	    judge, rules_of_ones_own_come_first, 0, (int)NELEM(own_rows));
	suite_add_tcase(suite, judge);
	return suite;
}

int
main(void)
{
	return suite_run(smtp_reply_suite());
}
