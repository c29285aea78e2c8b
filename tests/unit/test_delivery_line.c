/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/delivery_line.h"
#include "tests/unit/line_summary.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a Postfix 3.7 logged in front of scripted servers, but for addresses;
   other versions' lines are marked. */
struct row {
	const char *message;
	const char *wanted;
};

#define A     "192.0.2.10[192.0.2.10]"
#define FULL  "452 4.3.1 Insufficient system resources"
#define DELAY ", delay=0.04, delays=0.02/0.02/0/0"
#define FROM_A(id, dsn, status, reason)                                        \
	id ": to=<one@example.com>, relay=" A ":25" DELAY ", dsn=" dsn         \
	   ", status=" status " (" reason ")"
#define FROM_NONE(id, dsn, status, reason)                                     \
	id ": to=<one@example.com>, relay=none" DELAY ", dsn=" dsn             \
	   ", status=" status " (" reason ")"
#define ONE "one@example.com"

static const struct row result_rows[] = {
	{ FROM_A("100F8A742D1", "2.0.0", "sent", "250 2.0.0 Ok: queued"),
	    "result 100F8A742D1 " ONE " sent " A ":25 -" },
	{ "100F8A742D1: to=<Two@Example.COM>, relay=mx.Example.net[2001:db8::"
	  "2]:2525, conn_use=12, delay=0, delays=0/0/0/0, dsn=2.0.0, "
	  "status=sent (250 2.0.0 Ok: queued)",
	    "result 100F8A742D1 Two@example.com sent "
	    "mx.example.net[2001:db8::2]:2525 reused -" },
	/* Since 3.11. */
	{ "4ZxQ2m0Vz9z4kFp: to=<" ONE ">, relay=" A ":25, delay=98765, "
	  "delays=98761/0.01/3.4/0.12, tls=!dane:none/reqtls?, dsn=2.0.0, "
	  "status=sent (250 ok)",
	    "result 4ZxQ2m0Vz9z4kFp " ONE " sent " A ":25 -" },
	{ FROM_A("4E11EA742FE", "4.3.1", "deferred",
	      "host " A " said: " FULL " (in reply to RCPT TO command)"),
	    "result 4E11EA742FE " ONE " deferred " A ":25 " A ":25 rcpt said: "
	    "" FULL " (452 4.3.1)" },
	{ FROM_A("11ED7A742D3", "4.0.0", "deferred",
	      "host " A " refused to talk to me: 431 Mail system full"),
	    "result 11ED7A742D3 " ONE " deferred " A ":25 " A ":25 greeting "
	    "said: 431 Mail system full (431)" },
	{ FROM_A("27898A742DE", "5.7.1", "bounced",
	      "host " A " refused to talk to me: 550 5.7.1 Not for you"),
	    "result 27898A742DE " ONE " bounced " A ":25 " A ":25 greeting "
	    "said: 550 5.7.1 Not for you (550 5.7.1)" },
	{ FROM_A("1ACE2A74342", "5.1.1", "bounced",
	      "host " A " said: 550 5.1.1 unknown (in reply to RCPT TO "
	      "command)"),
	    "result 1ACE2A74342 " ONE " bounced " A ":25 " A ":25 rcpt said: "
	    "550 5.1.1 unknown (550 5.1.1)" },
	{ FROM_A("95DC6A74211", "4.1.1", "SOFTBOUNCE",
	      "host " A " said: 550 5.1.1 unknown (in reply to RCPT TO "
	      "command)"),
	    "result 95DC6A74211 " ONE " deferred " A ":25 " A ":25 rcpt said: "
	    "550 5.1.1 unknown (550 5.1.1)" },
	{ FROM_A("09209A7433B", "5.5.0", "bounced",
	      "Protocol error: host " A " said: 250 what (in reply to DATA "
	      "command)"),
	    "result 09209A7433B " ONE " bounced " A ":25 " A ":25 data said: "
	    "250 what (250)" },
	{ FROM_A("6DD84A7430C", "4.4.2", "deferred",
	      "lost connection with " A " while sending RCPT TO"),
	    "result 6DD84A7430C " ONE " deferred " A ":25 " A ":25 rcpt "
	    "CONNECTION_LOST: connection closed in mid-dialogue" },
	{ FROM_A("C3AC1A7432A", "4.4.2", "deferred",
	      "conversation with " A " timed out while sending end of data -- "
	      "message may be sent more than once"),
	    "result C3AC1A7432A " ONE " deferred " A ":25 " A ":25 "
	    "end-of-data TIMEOUT: no answer in time" },
	{ FROM_A("49B58A74357", "4.7.5", "deferred",
	      "Cannot start TLS: handshake failure"),
	    "result 49B58A74357 " ONE " deferred " A ":25 " A ":25 tls "
	    "TLS_FAILED: TLS handshake failed" },
	{ FROM_A("35190A7434D", "4.7.4", "deferred",
	      "TLS is required, but was not offered by host " A),
	    "result 35190A7434D " ONE " deferred " A ":25 " A ":25 starttls "
	    "NO_STARTTLS: STARTTLS is not offered" },
	{ FROM_A("42125A74353", "4.7.0", "deferred",
	      "TLS is required, but host " A " refused to start TLS: 454 4.7.0 "
	      "not now"),
	    "result 42125A74353 " ONE " deferred " A ":25 " A ":25 starttls "
	    "said: 454 4.7.0 not now (454 4.7.0)" },
	/* Nobody is to blame. */
	{ FROM_A("58265A7435E", "4.7.5", "deferred",
	      "Server certificate not verified"),
	    "result 58265A7435E " ONE " deferred " A ":25 -" },
	{ FROM_A("58265A7435E", "4.7.8", "deferred",
	      "SASL authentication failed; server " A " said: 454 4.7.0 no"),
	    "result 58265A7435E " ONE " deferred " A ":25 -" },
	{ FROM_A("58265A7435E", "5.3.4", "bounced",
	      "message size 12 exceeds size limit 1 of server " A),
	    "result 58265A7435E " ONE " bounced " A ":25 -" },
	{ FROM_A("58265A7435E", "4.3.0", "deferred",
	      "local data error while talking to " A),
	    "result 58265A7435E " ONE " deferred " A ":25 -" },
	{ FROM_A("2F305A74397", "4.3.1", "undeliverable",
	      "host " A " said: " FULL " (in reply to RCPT TO command)"),
	    "result 2F305A74397 " ONE " probed " A ":25 -" },
	{ FROM_A("2F305A74397", "4.3.1", "undeliverable-but-not-cached",
	      "host " A " said: " FULL " (in reply to RCPT TO command)"),
	    "result 2F305A74397 " ONE " probed " A ":25 -" },
	{ FROM_A("329E2A74399", "2.1.5", "deliverable", "250 2.1.5 Ok"),
	    "result 329E2A74399 " ONE " probed " A ":25 -" },
	{ FROM_NONE("329E2A74399", "5.0.0", "expired", "too old"),
	    "result 329E2A74399 " ONE " bounced -" },
	/* No session at the end: an EVENT has said it. */
	{ FROM_NONE("0AF91A742D2", "4.4.1", "deferred",
	      "connect to " A ":26048: Connection refused"),
	    "result 0AF91A742D2 " ONE " deferred " A ":26048 connect "
	    "CONNECT_REFUSED!: connection refused" },
	{ FROM_NONE("0AF91A742D2", "4.3.1", "deferred",
	      "host " A " said: " FULL " (in reply to RCPT TO command)"),
	    "result 0AF91A742D2 " ONE " deferred other " A " rcpt said!: " FULL
	    " (452 4.3.1)" },
	{ FROM_NONE("918D1A74377", "4.4.1", "deferred",
	      "connect to " A ":25: Invalid argument"),
	    "result 918D1A74377 " ONE " deferred -" },
	{ FROM_NONE("918D1A74377", "4.7.5", "deferred",
	      "Cannot start TLS: handshake failure"),
	    "result 918D1A74377 " ONE " deferred other -" },
	{ FROM_NONE("918D1A74377", "4.4.3", "deferred",
	      "Host or domain name not found. Name service error for "
	      "name=mx.example.net type=A: Host not found, try again"),
	    "result 918D1A74377 " ONE " deferred other -" },
	/* Local sockets. */
	{ "8AC99A7436F: to=<" ONE ">, relay=mta.test[private/lmtp-socket]"
	  ", delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)",
	    "result 8AC99A7436F " ONE " sent [] -" },
	{ "8AC99A7436F: to=<" ONE ">, relay=mta.test[private/lmtp-socket]"
	  ", delay=0, delays=0/0/0/0, dsn=4.2.0, status=deferred (host "
	  "mta.test[private/lmtp-socket] said: 450 4.2.0 no (in reply to end "
	  "of DATA command))",
	    "result 8AC99A7436F " ONE " deferred [] -" },
	{ "8AC99A7436F: to=<" ONE ">, relay=mta.test[private/lmtp-socket]"
	  ", delay=0, delays=0/0/0/0, dsn=4.7.5, status=deferred (Cannot start "
	  "TLS: handshake failure)",
	    "result 8AC99A7436F " ONE " deferred [] -" },
	/* Recipients as they come. */
	{ "970ECA74331: to=<a1@example.com>, orig_to=<al@alias.test>, relay=" A
	  ":25" DELAY ", dsn=2.0.0, status=sent (250 ok)",
	    "result 970ECA74331 a1@example.com sent " A ":25 -" },
	{ "970ECA74331: to=<a1@example.com>, orig_to=<root>, relay=" A
	  ":25" DELAY ", dsn=2.0.0, status=sent (250 ok)",
	    "result 970ECA74331 a1@example.com sent " A ":25 -" },
	{ "9939AA74379: to=<a2@example.com>, orig_to=<\"q q\"@alias.test>, "
	  "relay=" A ":25" DELAY ", dsn=2.0.0, status=sent (250 ok)",
	    "result 9939AA74379 a2@example.com sent " A ":25 -" },
	{ "9C218A7437B: to=<\"a b>, relay=x\"@example.com>, relay=" A
	  ":25" DELAY ", dsn=2.0.0, status=sent (250 ok)",
	    "result 9C218A7437B a b>, relay=x@example.com sent " A ":25 -" },
	{ "930FBA7422E: to=<a b>, relay=x@example.com>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result 930FBA7422E a b>, relay=x@example.com sent " A ":25 -" },
	{ "9EDE6A7437F: to=<\"a\\\"b\"@example.com>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result 9EDE6A7437F a\"b@example.com sent " A ":25 -" },
	{ "9EDE6A7437F: to=<\"a@b.test>, orig_to=<c\"@example.com>, "
	  "orig_to=<\"d@e\"@f.test>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result 9EDE6A7437F a@b.test>, orig_to=<c@example.com sent " A
	    ":25 -" },
	/* Nothing to route by, the rest is good. */
	{ "963F4A7422D: to=<a\\@example.com>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result 963F4A7422D @ sent " A ":25 -" },
	{ "A237FA74381: to=<u@[127.0.0.1]>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result A237FA74381 u@[127.0.0.1] sent " A ":25 -" },
	{ "A237FA74381: to=<u@[IPv6:2001:db8::1]>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result A237FA74381 u@[ipv6:2001:db8::1] sent " A ":25 -" },
	{ "A237FA74381: to=<\xc3\xbc@\xc3\xa4.example>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 \xc3\xbc\xff)",
	    "result A237FA74381 \xc3\xbc@\xc3\xa4.example sent " A ":25 -" },
	{ "A237FA74381: to=<u@a?b.example>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "result A237FA74381 u@a?b.example sent " A ":25 -" },
	/* No RESULT. */
	{ "A237FA74381: to=<u@(x]>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "963F4A7422D: to=<a\"b@example.com>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "963F4A7422D: to=<" ONE ">, orig_to=<a\"b@d.test>, relay=" A
	  ":25" DELAY ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "A237FA74381: to=<>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "A237FA74381: to=<root>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "A237FA74381: to=<u@>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "A237FA74381: to=<u@[]>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "A237FA74381: to=<u@x]>, relay=" A ":25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: from=<s@example.net>, size=322, nrcpt=2 (queue "
	  "active)",
	    "other" },
	{ "100F8A742D1: from=<s@example.net>, status=expired, returned to "
	  "sender",
	    "other" },
	{ "100F8A742D1: removed", "other" },
	{ FROM_A("100F8A742D1", "2.0.0", "delivered", "250 ok"), "other" },
	{ FROM_A("100F8A742D1", "2.0", "sent", "250 ok"), "other" },
	{ FROM_A("100F8A742D1", "", "sent", "250 ok"), "other" },
	{ FROM_A("not-an-id", "2.0.0", "sent", "250 ok"), "other" },
	{ FROM_A("warning", "2.0.0", "sent", "250 ok"), "other" },
	{ FROM_A("0123456789ABCDEF0123456789ABCDE", "2.0.0", "sent", "250 ok"),
	    "result 0123456789ABCDEF0123456789ABCDE " ONE " sent " A ":25 -" },
	{ FROM_A("0123456789ABCDEF0123456789ABCDEF", "2.0.0", "sent", "250 ok"),
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A ":0" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A ":65536" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A ":25x" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A "25" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A ":25, conn_use=x" DELAY
	  ", dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delay=1s, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delay=1, delays=0/0/0, dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delay=1, delays=0/a/0/0, dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delays=0/0/0/0, delay=1, dsn=2.0.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delay=1, delays=0/0/0/0, dsn=2.x.0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delay=1, delays=0/0/0/0, status=sent (250 ok)",
	    "other" },
	{ "100F8A742D1: to=<" ONE ">, relay=" A
	  ":25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent",
	    "other" },
};

START_TEST(results_tell_what_became_of_a_recipient)
{
	char text[LINE_SUMMARY_MAX];
	const struct row *row = &result_rows[_i];

	ck_assert_str_eq(line_summary_of("postfix/smtp", row->message,
			     strlen(row->message), text),
	    row->wanted);
}
END_TEST

/* What others log is no attempt, and blames nobody. */
static const struct {
	const char *tag;
	const char *message;
	const char *wanted;
} program_rows[] = {
	{ "postfix/error",
	    FROM_NONE("80A1EA7436A", "4.3.2", "deferred", "deferred transport"),
	    "result elsewhere 80A1EA7436A " ONE " deferred held -" },
	{ "postfix/error",
	    FROM_NONE("80A1EA7436A", "4.4.1", "deferred",
		"delivery temporarily suspended: connect to " A
		":25: Connection refused"),
	    "result elsewhere 80A1EA7436A " ONE " deferred suspended -" },
	{ "postfix/qmgr",
	    FROM_NONE("80A1EA7436A", "4.4.1", "deferred",
		"delivery temporarily suspended: lost connection with " A
		" while sending RCPT TO"),
	    "result elsewhere 80A1EA7436A " ONE " deferred suspended -" },
	{ "postfix/retry",
	    FROM_NONE("847ECA7436D", "4.3.2", "deferred", "no host is well"),
	    "result elsewhere 847ECA7436D " ONE " deferred other -" },
	{ "postfix/error",
	    FROM_NONE("847ECA7436D", "4.3.2", "deferred",
		"connect to " A ":25: Connection refused"),
	    "result elsewhere 847ECA7436D " ONE " deferred other -" },
	{ "postfix/error", FROM_NONE("87E23A7436F", "5.1.2", "bounced", "nope"),
	    "result elsewhere 87E23A7436F " ONE " bounced -" },
	{ "postfix/error",
	    FROM_A("4E11EA742FE", "4.3.1", "deferred",
		"host " A " said: " FULL " (in reply to RCPT TO command)"),
	    "result elsewhere 4E11EA742FE " ONE " deferred other -" },
	{ "postfix/local",
	    "A237FA74381: to=<" ONE ">, relay=local" DELAY
	    ", dsn=2.0.0, status=sent (delivered to mailbox)",
	    "result elsewhere A237FA74381 " ONE " sent -" },
	{ "postfix/error", "connect to " A ":25: Connection refused", "other" },
	{ "postfix/qmgr",
	    "11ED7A742D3: host " A " refused to talk to me: 431 Mail system "
	    "full",
	    "other" },
	/* Names of all kinds. */
	{ "mx-out/smtp", "connect to " A ":25: Connection refused",
	    "event " A ":25 connect CONNECT_REFUSED: connection refused" },
	{ "postfix-out/relay/smtp", "connect to " A ":25: Connection refused",
	    "event " A ":25 connect CONNECT_REFUSED: connection refused" },
	{ "/lmtp", "connect to " A ":25: Connection refused",
	    "event " A ":25 connect CONNECT_REFUSED: connection refused" },
	{ "smtp", "connect to " A ":25: Connection refused", "other" },
	{ "postfix/", "connect to " A ":25: Connection refused", "other" },
	{ "postfix/xsmtp", "connect to " A ":25: Connection refused", "other" },
	{ "postfix/smtpd", "connect to " A ":25: Connection refused", "other" },
	{ "post fix/smtp", "connect to " A ":25: Connection refused", "other" },
	{ "post\tfix/smtp", "connect to " A ":25: Connection refused",
	    "other" },
	{ "", "connect to " A ":25: Connection refused", "other" },
};

START_TEST(programs_are_known_by_the_end_of_their_tag)
{
	char text[LINE_SUMMARY_MAX];
	const char *message = program_rows[_i].message;

	ck_assert_str_eq(line_summary_of(program_rows[_i].tag, message,
			     strlen(message), text),
	    program_rows[_i].wanted);
}
END_TEST

START_TEST(a_recipient_is_kept_as_it_was_written)
{
	static const char message[] =
	    "9EDE6A7437F: to=<\"A \\\"b\"@Example.COM>, relay=none" DELAY
	    ", dsn=4.3.2, status=deferred (deferred transport)";
	struct delivery_line line;

	ck_assert_int_eq(delivery_line_parse_record("postfix/error", 13, 1,
			     message, strlen(message), &line),
	    DELIVERY_LINE_RESULT);
	ck_assert_str_eq(line.to, "\"A \\\"b\"@Example.COM");
	ck_assert_str_eq(line.recipient.local, "A \"b");
	ck_assert_str_eq(line.recipient.domain, "example.com");
}
END_TEST

/* A recipient whose local part has n bytes. */
static void
parse_long_recipient(int n, struct delivery_line *line)
{
	char message[2048];
	int len = snprintf(message, sizeof(message),
	    "9EDE6A7437F: to=<%0*d@example.com>, relay=" A ":25" DELAY
	    ", dsn=2.0.0, status=sent (250 ok)",
	    n, 0);

	ck_assert_int_eq(delivery_line_parse_record(
			     "postfix/smtp", 12, 1, message, (size_t)len, line),
	    DELIVERY_LINE_RESULT);
	ck_assert_str_eq(line->recipient.domain, "example.com");
	ck_assert_str_eq(line->relay_address, "192.0.2.10");
}

START_TEST(a_recipient_that_does_not_fit_is_not_kept)
{
	struct delivery_line line;
	const int most = (int)sizeof(line.to) - 1 - 12;

	parse_long_recipient(most, &line);
	ck_assert_uint_eq(strlen(line.to), sizeof(line.to) - 1);
	parse_long_recipient(most + 1, &line);
	ck_assert_str_eq(line.to, "");
	ck_assert_uint_eq(line.recipient.local_len, ADDRESS_LOCAL_MAX - 1);
}
END_TEST

START_TEST(a_recipient_with_a_domain_beyond_all_measure_is_not_parsed)
{
	char message[2048], text[LINE_SUMMARY_MAX];
	int len = snprintf(message, sizeof(message),
	    "9EDE6A7437F: to=<user@%0300d.example>, relay=" A ":25" DELAY
	    ", dsn=2.0.0, status=sent (250 ok)",
	    0);

	ck_assert_str_eq(
	    line_summary_of("postfix/smtp", message, (size_t)len, text),
	    "result 9EDE6A7437F @ sent " A ":25 -");
}
END_TEST

static Suite *
delivery_line_suite(void)
{
	Suite *suite = suite_create("test_delivery_line");
	TCase *lines = tcase_create("lines");

	tcase_add_loop_test(lines, results_tell_what_became_of_a_recipient, 0,
	    (int)NELEM(result_rows));
	tcase_add_loop_test(lines, programs_are_known_by_the_end_of_their_tag,
	    0, (int)NELEM(program_rows));
	tcase_add_test(lines, a_recipient_is_kept_as_it_was_written);
	tcase_add_test(lines, a_recipient_that_does_not_fit_is_not_kept);
	tcase_add_test(
	    lines, a_recipient_with_a_domain_beyond_all_measure_is_not_parsed);
	suite_add_tcase(suite, lines);
	return suite;
}

int
main(void)
{
	return suite_run(delivery_line_suite());
}
