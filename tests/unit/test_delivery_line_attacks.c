/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */

/*
 * What strangers would like to have read of a line: servers by what they say,
 * senders by whom they write to. Whatever they write, no other server may be
 * blamed or praised than the one that was really talked to.
 */
#include "policy/delivery_line.h"
#include "tests/unit/line_summary.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REAL   "real.example.net[192.0.2.10]"
#define VICTIM "victim[192.0.2.66]"
#define TAIL                                                                   \
	"relay=" VICTIM ":25, delay=1, delays=0/0/0/0, dsn=4.3.1, "            \
	"status=deferred (host " VICTIM                                        \
	" said: 452 4.3.1 x (in reply to end of DATA command))"

/* Texts that a stranger may get into a line. */
static const char *const evil[] = {
	TAIL,
	"x), " TAIL,
	"x>, " TAIL,
	"x@d.test>, " TAIL,
	"\"x@d.test>, " TAIL,
	"x@d.test>, orig_to=<y>, " TAIL,
	"x@d.test>, orig_to=<y@d.test>, " TAIL,
	"x>, orig_to=<y@d.test>, " TAIL,
	"x>, orig_to=<y>, " TAIL,
	"x@[192.0.2.1]>, " TAIL,
	"x@d.test>, " TAIL "@d.test>, " TAIL,
	"x\"@d.test>, " TAIL,
	"x\\\"@d.test>, " TAIL,
	"x@d.test>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, "
	"status=deferred (connect to " VICTIM ":25: Connection refused)",
	"x@d.test>, relay=" VICTIM
	":25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)",
	"host " VICTIM " said: 452 4.3.1 x (in reply to RCPT TO command)",
	"(host " VICTIM " said: 452 4.3.1 x (in reply to RCPT TO command))",
	"connect to " VICTIM ":25: Connection refused",
	": connect to " VICTIM ":25: Connection refused",
	"100F8A742D1: connect to " VICTIM ":25: Connection refused",
	"100F8A742D1: to=<x@d.test>, " TAIL,
	"status=deferred (host " VICTIM " refused to talk to me: 421 x)",
	"lost connection with " VICTIM " while sending RCPT TO",
	VICTIM " while sending RCPT TO",
	"Protocol error: host " VICTIM " said: 250 x",
	"Nov  8 07:17:39 mta postfix/smtp[1]: connect to " VICTIM
	":25: Connection refused",
	/* As a whole line's end, where a line break has been lost. */
	"x (in reply to DATA command) 100F8A742D1: host " VICTIM
	" said: 452 4.3.1 x (in reply to MAIL FROM command)",
};

#define FIELDS ", delay=0.04, delays=0.02/0.02/0/0, dsn=4.3.1, status="

/* Lines as the MTA writes them, with a stranger's text at %s. */
static const char *const lines[] = {
	/* What a server says. */
	"100F8A742D1: host " REAL " said: 452 4.3.1 %s (in reply to RCPT TO "
	"command)",
	"100F8A742D1: host " REAL " said: %s (in reply to RCPT TO command)",
	"100F8A742D1: host " REAL " refused to talk to me: 421 %s",
	"100F8A742D1: Protocol error: host " REAL
	" said: 250 %s (in reply to DATA command)",
	"100F8A742D1: TLS is required, but host " REAL
	" refused to start TLS: 454 %s",
	"warning: 100F8A742D1: non-ESMTP response from " REAL ":25: %s",
	"warning: " REAL ":25: response longer than 2048: %s",
	"100F8A742D1: SASL authentication failed; server " REAL " said: %s",
	"100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	"deferred (host " REAL
	" said: 452 4.3.1 %s (in reply to RCPT TO command))",
	"100F8A742D1: to=<one@example.com>, orig_to=<o@a.test>, relay=" REAL
	":25" FIELDS "deferred (host " REAL " refused to talk to me: 421 %s)",
	"100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	"sent (250 %s)",
	"100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	"sent (%s)",
	"100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	"NEW (%s)",
	"100F8A742D1: to=<one@example.com>, relay=" REAL ":25, new=field" FIELDS
	"deferred (host " REAL
	" said: 452 4.3.1 %s (in reply to RCPT TO command))",
	"100F8A742D1: host " REAL
	" said: 450 4.1.1 <%s>: no (in reply to RCPT TO command)",
	/* Whom a sender writes to, quoted as the MTA does it by default ... */
	"100F8A742D1: to=<\"%q\"@example.com>, relay=" REAL ":25" FIELDS
	"sent (250 ok)",
	"100F8A742D1: to=<\"%q\"@example.com>, relay=" REAL
	":25, new=field" FIELDS "sent (250 ok)",
	"100F8A742D1: to=<one@example.com>, orig_to=<\"%q\"@a.test>, "
	"relay=" REAL ":25" FIELDS "sent (250 ok)",
	"100F8A742D1: to=<\"%q\"@example.com>, orig_to=<\"%q\"@a.test>, "
	"relay=" REAL ":25" FIELDS "deferred (host " REAL
	" said: 450 4.1.1 <\"%q\"@example.com>: no (in reply to RCPT TO "
	"command))",
};

/* ... and unquoted, with info_log_address_format = internal. */
static const char *const unquoted_lines[] = {
	"100F8A742D1: to=<%s@example.com>, relay=" REAL ":25" FIELDS
	"sent (250 ok)",
	"100F8A742D1: to=<%s@example.com>, relay=" REAL ":25, new=field" FIELDS
	"sent (250 ok)",
	"100F8A742D1: to=<one@example.com>, orig_to=<%s@a.test>, relay=" REAL
	":25" FIELDS "sent (250 ok)",
	"100F8A742D1: to=<one@example.com>, orig_to=<%s>, relay=" REAL
	":25" FIELDS "sent (250 ok)",
	"100F8A742D1: to=<%s@example.com>, orig_to=<%s>, relay=" REAL
	":25" FIELDS "sent (250 ok)",
	"100F8A742D1: to=<%s@example.com>, relay=" REAL ":25" FIELDS
	"deferred (host " REAL
	" said: 450 4.1.1 <%s@example.com>: no (in reply to RCPT TO command))",
};

static void
allow_only_the_real_one(const char *name, const char *text)
{
	if (name[0] != '\0' && strcmp(name, "real.example.net") != 0)
		ck_abort_msg("%s is named by: %s", name, text);
}

static void
check_line(const char *text, size_t len)
{
	struct delivery_line line;

	(void)delivery_line_parse_record(
	    "postfix/smtp", 12, 1, text, len, &line);
	allow_only_the_real_one(line.failure.name, text);
	allow_only_the_real_one(line.relay_name, text);
}

/* src/global/quote_822_local.c */
static size_t
quote(const char *text, char *out)
{
	size_t used = 0;

	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			out[used++] = '\\';
		out[used++] = *text;
	}
	return used;
}

/* %s is text, %q is text as it stands between quotes. */
static size_t
fill(const char *form, const char *text, char out[4096])
{
	size_t used = 0;

	for (const char *at = form; *at != '\0'; at++) {
		if (*at != '%') {
			out[used++] = *at;
		} else if (*++at == 's') {
			memcpy(out + used, text, strlen(text));
			used += strlen(text);
		} else {
			used += quote(text, out + used);
		}
	}
	out[used] = '\0';
	return used;
}

START_TEST(no_text_of_strangers_names_another_server)
{
	char text[4096];

	for (size_t i = 0; i < NELEM(evil); i++)
		check_line(text, fill(lines[_i], evil[i], text));
}
END_TEST

START_TEST(no_recipient_without_quotes_names_another_server)
{
	char text[4096];

	for (size_t i = 0; i < NELEM(evil); i++)
		check_line(text, fill(unquoted_lines[_i], evil[i], text));
}
END_TEST

/* Whoever can guess where a syslog daemon cuts lines off. */
START_TEST(no_line_that_is_cut_off_names_another_server)
{
	char text[4096];
	size_t len;

	for (size_t i = 0; i < NELEM(evil); i++) {
		len = fill(lines[_i], evil[i], text);
		while (len-- > 0)
			check_line(text, len);
	}
}
END_TEST

/* Who is blamed all the same, and for what. */
static const struct {
	const char *message;
	const char *wanted;
} rows[] = {
	/* A server blames itself, whatever it says. This one was really logged
	   so. */
	{ "D5719A7432E: to=<one@example.com>, relay=" REAL ":25, delay=0.02, "
	  "delays=0/0.01/0/0, dsn=4.0.0, status=deferred (host " REAL
	  " said: 452 x), relay=" VICTIM
	  ":25, delay=1, delays=0/0/0/0, dsn=4.3.1, status=deferred (host "
	  "" VICTIM " said: 452 4.3.1 y (in reply to RCPT TO command)) (in "
	  "reply to RCPT TO command))",
	    "result D5719A7432E one@example.com deferred " REAL ":25 " REAL
	    ":25 rcpt said: 452 x), relay=" VICTIM
	    ":25, delay=1, delays=0/0/0/0, dsn=4.3.1, status=deferred (host "
	    "victim[192.0.2.66] said: 452 ... (452)" },
	{ "D5719A7432E: to=<one@example.com>, relay=" REAL ":25" FIELDS
	  "deferred (host " REAL " said: 452 x>, " TAIL
	  " (in reply to RCPT TO command))",
	    "result D5719A7432E one@example.com deferred " REAL ":25 " REAL
	    ":25 rcpt said: 452 x>, relay=" VICTIM
	    ":25, delay=1, delays=0/0/0/0, dsn=4.3.1, status=deferred (host "
	    "victim[192.0.2.66] said: 452 ... (452)" },
	{ "D90BDA74331: host " REAL
	  " said: 450 x (in reply to MAIL FROM command) (in reply to RCPT TO "
	  "command)",
	    "event D90BDA74331 " REAL
	    " rcpt said: 450 x (in reply to MAIL FROM command) (450)" },
	{ "D90BDA74331: host " REAL
	  " said: 450 4.2.1 452 4.3.1 x (in reply to RCPT TO command)",
	    "event D90BDA74331 " REAL
	    " rcpt said: 450 4.2.1 452 4.3.1 x (450 4.2.1)" },
	{ "D90BDA74331: host " REAL
	  " said: 450-<450 4.3.1@d.test> 450 4.2.1 no (in reply to RCPT TO "
	  "command)",
	    "event D90BDA74331 " REAL
	    " rcpt said: 450 <450 4.3.1@d.test> 450 4.2.1 no (450)" },
	{ "D90BDA74331: host " REAL " said: 450 4.2.1 x refused to talk to me: "
	  "421 x (in reply to RCPT TO command)",
	    "event D90BDA74331 " REAL
	    " rcpt said: 450 4.2.1 x refused to talk to me: 421 x (450 "
	    "4.2.1)" },
	/* Without its end a line does not say at what stage it was. */
	{ "D90BDA74331: host " REAL " said: 450 x",
	    "event D90BDA74331 " REAL " none said: 450 x (450)" },
	{ "D90BDA74331: host " REAL " said: 450 x (in reply to RCPT TO comma",
	    "event D90BDA74331 " REAL
	    " none said: 450 x (in reply to RCPT TO comma (450)" },
	{ "D90BDA74331: lost connection with " REAL " while sending RC",
	    "event D90BDA74331 " REAL
	    " none CONNECTION_LOST: connection closed in mid-dialogue" },
	{ "D90BDA74331: host " REAL " said: ",
	    "event D90BDA74331 " REAL " none NOT_SMTP: not an SMTP reply" },
	{ "D90BDA74331: host " REAL " sai", "other" },
	/* A quoted recipient is honoured, unless without quotes the line would
	   read otherwise. */
	{ "100F8A742D1: to=<\"x>, relay=" VICTIM ":25\"@example.com>, "
	  "relay=" REAL ":25" FIELDS "sent (250 ok)",
	    "result 100F8A742D1 x>, relay=" VICTIM ":25@example.com sent " REAL
	    ":25 -" },
	{ "100F8A742D1: to=<\"x@d.test>, relay=" VICTIM ":25\"@example.com>, "
	  "relay=" REAL ":25" FIELDS "sent (250 ok)",
	    "other" },
	/* Two servers in one line. */
	{ "100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	  "deferred (host " VICTIM
	  " said: 452 4.3.1 x (in reply to RCPT TO command))",
	    "other" },
	{ "100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	  "deferred (host real.example.net[192.0.2.66] said: 452 4.3.1 x (in "
	  "reply to RCPT TO command))",
	    "other" },
	{ "100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	  "deferred (host other.example.net[192.0.2.10] refused to talk to me: "
	  "421 x)",
	    "other" },
	{ "100F8A742D1: to=<one@example.com>, relay=mta.test[private/x]" FIELDS
	  "deferred (host " VICTIM " refused to talk to me: 421 x)",
	    "other" },
	/* Names and addresses that are none. */
	{ "D90BDA74331: host victim [192.0.2.66] said: 452 x", "other" },
	{ "D90BDA74331: host vic\\tim[192.0.2.66] said: 452 x", "other" },
	{ "D90BDA74331: host vic;tim[192.0.2.66] said: 452 x", "other" },
	{ "D90BDA74331: host \xc3\xbc[192.0.2.66] said: 452 x", "other" },
	{ "D90BDA74331: host [192.0.2.66] said: 452 x", "other" },
	{ "D90BDA74331: host victim[] said: 452 x", "other" },
	{ "D90BDA74331: host victim[victim] said: 452 x", "other" },
	{ "D90BDA74331: host victim[192.0.2.666] said: 452 x", "other" },
	{ "D90BDA74331: host victim[fe80::1%eth0] said: 452 x", "other" },
	{ "D90BDA74331: host victim[192.0.2.66]:25 said: 452 x", "other" },
	{ "D90BDA74331: host victim]:25[192.0.2.66] said: 452 x", "other" },
	{ "connect to " VICTIM ":: Connection refused", "other" },
	{ "connect to " VICTIM ": Connection refused", "other" },
	{ "connect to " VICTIM ":65536: Connection refused", "other" },
	{ "connect to " VICTIM ":0: Connection refused", "other" },
	/* Bytes that the MTA does not write. */
	{ "D90BDA74331: host " REAL " said: 452 x\n", "other" },
	{ "D90BDA74331: host " REAL " said: 452 x\r", "other" },
	{ "D90BDA74331: host " REAL " said: 452 \x1b[31mx", "other" },
	{ "D90BDA74331: host " REAL " said: 452 x\x7f", "other" },
	{ "D90BDA74331: host " REAL " said: 452\tx", "other" },
	{ "D90BDA74331: host " REAL " said: 452 \xff\xfe\x9b",
	    "event D90BDA74331 " REAL " none said: 452 \\xff\\xfe\\x9b (452)" },
};

START_TEST(strangers_only_harm_themselves)
{
	char text[LINE_SUMMARY_MAX];

	ck_assert_str_eq(line_summary_of("postfix/smtp", rows[_i].message,
			     strlen(rows[_i].message), text),
	    rows[_i].wanted);
}
END_TEST

START_TEST(a_zero_byte_ends_nothing)
{
	static const char event[] =
	    "D90BDA74331: host " REAL " said: 452 x\0 (in reply to RCPT TO "
	    "command)";
	static const char result[] =
	    "100F8A742D1: to=<one\0@example.com>, relay=" REAL ":25" FIELDS
	    "sent (250 ok)";
	char text[LINE_SUMMARY_MAX];

	ck_assert_str_eq(
	    line_summary_of("postfix/smtp", event, sizeof(event) - 1, text),
	    "other");
	ck_assert_str_eq(
	    line_summary_of("postfix/smtp", result, sizeof(result) - 1, text),
	    "other");
}
END_TEST

/* A message of len bytes that a server filled up; the MTA cuts at 2000. */
static void
summarize_long(const char *before, const char *after, size_t len, char *summary)
{
	char *text = malloc(len);
	const size_t before_len = strlen(before), after_len = strlen(after);

	ck_assert_ptr_nonnull(text);
	memset(text, 'y', len);
	memcpy(text, before, before_len);
	memcpy(text + len - after_len, after, after_len);
	(void)line_summary_of("postfix/smtp", text, len, summary);
	free(text);
}

#define SAID "D90BDA74331: host " REAL " said: 450 4.2.1 "
#define YYY                                                                    \
	"450 4.2.1 yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"  \
	"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy..."

START_TEST(the_end_of_a_line_that_was_cut_is_not_believed)
{
	static const char mail[] = " (in reply to MAIL FROM command)";
	static const size_t cut[] = { 2000, 2001, 8192, 8193, 100000 };
	char summary[LINE_SUMMARY_MAX];

	summarize_long(SAID, mail, 1999, summary);
	ck_assert_str_eq(summary,
	    "event D90BDA74331 " REAL " mail said: " YYY " (450 4.2.1)");
	for (size_t i = 0; i < NELEM(cut); i++) {
		summarize_long(SAID, mail, cut[i], summary);
		ck_assert_str_eq(summary, "event D90BDA74331 " REAL
					  " none said: " YYY " (450 4.2.1)");
	}
}
END_TEST

START_TEST(a_result_that_was_cut_may_hide_another_recipient)
{
	static const char before[] =
	    "100F8A742D1: to=<one@example.com>, relay=" REAL ":25" FIELDS
	    "deferred (host " REAL " said: 452 4.3.1 ";
	static const char after[] = " (in reply to RCPT TO command))";
	char summary[LINE_SUMMARY_MAX];

	summarize_long(before, after, 1999, summary);
	ck_assert_ptr_nonnull(strstr(summary, " rcpt said: 452 4.3.1 yyy"));
	summarize_long(before, after, 2000, summary);
	ck_assert_str_eq(summary, "other");
	summarize_long(before, after, 100000, summary);
	ck_assert_str_eq(summary, "other");
	summarize_long(before, " (in reply to RCPT TO comma", 1000, summary);
	ck_assert_str_eq(summary, "other");
}
END_TEST

START_TEST(a_long_line_of_a_file_is_read_as_far_as_it_matters)
{
	static const char begin[] =
	    "Nov  8 07:17:39 mta postfix/smtp[7]: " SAID;
	char *text = malloc(100000);
	struct delivery_line line;
	char summary[LINE_SUMMARY_MAX];

	ck_assert_ptr_nonnull(text);
	memset(text, 'y', 100000);
	ck_assert_int_eq(
	    delivery_line_parse(text, 100000, &line), DELIVERY_LINE_OTHER);
	memcpy(text, begin, sizeof(begin) - 1);
	ck_assert_int_eq(
	    delivery_line_parse(text, 100000, &line), DELIVERY_LINE_EVENT);
	ck_assert_str_eq(line_summary(&line, summary),
	    "event D90BDA74331 " REAL " none said: " YYY " (450 4.2.1)");
	free(text);
}
END_TEST

static Suite *
delivery_line_attacks_suite(void)
{
	Suite *suite = suite_create("test_delivery_line_attacks");
	TCase *attacks = tcase_create("attacks");
	int n_lines = (int)NELEM(lines);

	tcase_add_loop_test(
	    attacks, no_text_of_strangers_names_another_server, 0, n_lines);
	tcase_add_loop_test(attacks,
	    no_recipient_without_quotes_names_another_server, 0,
	    (int)NELEM(unquoted_lines));
	tcase_add_loop_test(
	    attacks, no_line_that_is_cut_off_names_another_server, 0, n_lines);
	tcase_add_loop_test(
	    attacks, strangers_only_harm_themselves, 0, (int)NELEM(rows));
	tcase_add_test(attacks, a_zero_byte_ends_nothing);
	tcase_add_test(attacks, the_end_of_a_line_that_was_cut_is_not_believed);
	tcase_add_test(
	    attacks, a_result_that_was_cut_may_hide_another_recipient);
	tcase_add_test(
	    attacks, a_long_line_of_a_file_is_read_as_far_as_it_matters);
	suite_add_tcase(suite, attacks);
	return suite;
}

int
main(void)
{
	return suite_run(delivery_line_attacks_suite());
}
