/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/delivery_line.h"
#include "tests/unit/line_summary.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <string.h>

#define A    "192.0.2.10[192.0.2.10]"
#define FULL "452 4.3.1 Insufficient system resources"

/* What a Postfix 3.7 logged in front of scripted servers, but for addresses. */
static const struct {
	const char *message;
	const char *wanted;
} event_rows[] = {
	{ "connect to " A ":2525: Connection refused",
	    "event " A ":2525 connect CONNECT_REFUSED: connection refused" },
	{ "connect to " A ":25: Connection timed out",
	    "event " A ":25 connect TIMEOUT: no answer in time" },
	{ "connect to " A ":25: Operation timed out",
	    "event " A ":25 connect TIMEOUT: no answer in time" },
	{ "connect to " A ":25: Connection reset by peer",
	    "event " A ":25 connect CONNECT_REFUSED: connection refused" },
	{ "connect to MX-1.Example.NET[192.0.2.10]:25: No route to host",
	    "event mx-1.example.net[192.0.2.10]:25 connect UNREACHABLE: host "
	    "unreachable" },
	{ "connect to " A ":25: Host is unreachable",
	    "event " A ":25 connect UNREACHABLE: host unreachable" },
	{ "connect to " A ":25: Host is down",
	    "event " A ":25 connect UNREACHABLE: host unreachable" },
	{ "connect to 2001:db8::1[2001:db8::1]:25: Connection refused",
	    "event 2001:db8::1[2001:db8::1]:25 connect CONNECT_REFUSED: "
	    "connection refused" },
	{ "connect to mx_1.example.net[2001:DB8:0::1]:65535: Connection "
	  "refused",
	    "event mx_1.example.net[2001:db8::1]:65535 connect "
	    "CONNECT_REFUSED: connection refused" },
	/* Our own trouble, or nobody knows whose. */
	{ "connect to " A ":25: Network is unreachable", "other" },
	{ "connect to " A ":25: Cannot assign requested address", "other" },
	{ "connect to " A ":25: Permission denied", "other" },
	{ "connect to " A ":25: Invalid argument", "other" },
	{ "connect to " A ":25: Connection refused too", "other" },
	/* A local socket, which nobody routes to. */
	{ "connect to mta.test[private/nosuch]: No such file or directory",
	    "other" },

	{ "1ABEDA742D9: host " A " refused to talk to me: 431 Mail system full",
	    "event 1ABEDA742D9 " A " greeting said: 431 Mail system full "
	    "(431)" },
	{ "22AE9A742DE: host " A " refused to talk to me: 554 5.7.1 Go away",
	    "event 22AE9A742DE " A " greeting said: 554 5.7.1 Go away (554 "
	    "5.7.1)" },
	{ "52543A74300: host " A " said: " FULL " (in reply to RCPT TO "
	  "command)",
	    "event 52543A74300 " A " rcpt said: " FULL " (452 4.3.1)" },
	{ "49E7DA742FE: host " A " said: 452-4.3.1 No room 452 4.3.1 at all "
	  "(in reply to MAIL FROM command)",
	    "event 49E7DA742FE " A " mail said: 452 4.3.1 No room 452 4.3.1 at "
	    "all (452 4.3.1)" },
	{ "61DDFA74306: host " A " said: 451 4.3.0 no (in reply to DATA "
	  "command)",
	    "event 61DDFA74306 " A " data said: 451 4.3.0 no (451 4.3.0)" },
	{ "6952CA7430A: host " A " said: 452 4.3.1 Full (in reply to end of "
	  "DATA command)",
	    "event 6952CA7430A " A " end-of-data said: 452 4.3.1 Full (452 "
	    "4.3.1)" },
	{ "71CD1A74365: host ::1[::1] said: 452 4.3.1 full (in reply to RCPT "
	  "TO command)",
	    "event 71CD1A74365 ::1[::1] rcpt said: 452 4.3.1 full (452 "
	    "4.3.1)" },
	{ "31046A7434D: host " A " said: nonsense 452 4.3.1 x (in reply to "
	  "RCPT TO command)",
	    "event 31046A7434D " A " rcpt NOT_SMTP: not an SMTP reply: "
	    "nonsense 452 4.3.1 x" },
	{ "4ZxQ2m0Vz9z4kFp: host mx.example.net[192.0.2.10] said: 450 4.7.1 "
	  "<r@example.com>: Recipient address rejected: Greylisted (in reply "
	  "to RCPT TO command)",
	    "event 4ZxQ2m0Vz9z4kFp mx.example.net[192.0.2.10] rcpt said: 450 "
	    "4.7.1 <r@example.com>: Recipient address rejected: Greylisted "
	    "(450 4.7.1)" },
	/* What comes behind the delivery is no trouble. */
	{ "6952CA7430A: host " A " said: 500 what (in reply to QUIT command)",
	    "other" },
	{ "6952CA7430A: host " A " said: 421 bye (in reply to RSET probe)",
	    "other" },
	{ "6952CA7430A: host " A " said: 421 bye (in reply to final RSET "
	  "command)",
	    "other" },
	{ "6952CA7430A: lost connection with " A " while sending QUIT",
	    "other" },
	{ "6952CA7430A: lost connection with " A " while sending final RSET",
	    "other" },
	{ "6952CA7430A: conversation with " A " timed out while sending RSET "
	  "probe",
	    "other" },

	{ "71E16A74310: lost connection with " A " while receiving the "
	  "initial server greeting",
	    "event 71E16A74310 " A " greeting CONNECTION_LOST: connection "
	    "closed in mid-dialogue" },
	{ "7A8F8A74314: lost connection with " A " while performing the EHLO "
	  "handshake",
	    "event 7A8F8A74314 " A " ehlo CONNECTION_LOST: connection closed "
	    "in mid-dialogue" },
	{ "EF800A74334: conversation with " A " timed out while performing "
	  "the HELO handshake",
	    "event EF800A74334 " A " ehlo TIMEOUT: no answer in time" },
	{ "EF800A74334: conversation with " A " timed out while performing "
	  "the LHLO handshake",
	    "event EF800A74334 " A " ehlo TIMEOUT: no answer in time" },
	{ "EF800A74334: lost connection with " A " while receiving the "
	  "STARTTLS response",
	    "event EF800A74334 " A " starttls CONNECTION_LOST: connection "
	    "closed in mid-dialogue" },
	{ "EF800A74334: lost connection with " A " while sending XFORWARD "
	  "name/address",
	    "event EF800A74334 " A " ehlo CONNECTION_LOST: connection closed "
	    "in mid-dialogue" },
	{ "EF800A74334: lost connection with " A " while sending XFORWARD "
	  "protocol/helo_name",
	    "event EF800A74334 " A " ehlo CONNECTION_LOST: connection closed "
	    "in mid-dialogue" },
	{ "B1E35A74325: conversation with " A " timed out while sending MAIL "
	  "FROM",
	    "event B1E35A74325 " A " mail TIMEOUT: no answer in time" },
	{ "8A72EA7431A: lost connection with " A " while sending RCPT TO",
	    "event 8A72EA7431A " A " rcpt CONNECTION_LOST: connection closed "
	    "in mid-dialogue" },
	{ "BFCC0A74329: conversation with " A " timed out while sending DATA "
	  "command",
	    "event BFCC0A74329 " A " data TIMEOUT: no answer in time" },
	{ "BFCC0A74329: lost connection with " A " while sending message body",
	    "event BFCC0A74329 " A " data CONNECTION_LOST: connection closed "
	    "in mid-dialogue" },
	{ "C9804A7432B: conversation with " A " timed out while sending end "
	  "of data -- message may be sent more than once",
	    "event C9804A7432B " A " end-of-data TIMEOUT: no answer in time" },
	{ "C9804A7432B: conversation with " A " timed out while humming",
	    "event C9804A7432B " A " none TIMEOUT: no answer in time" },

	{ "3B7ADA7434F: TLS is required, but was not offered by host " A,
	    "event 3B7ADA7434F " A " starttls NO_STARTTLS: STARTTLS is not "
	    "offered" },
	{ "4787CA74355: TLS is required, but host " A " refused to start TLS: "
	  "454 4.7.0 TLS not available",
	    "event 4787CA74355 " A " starttls said: 454 4.7.0 TLS not "
	    "available (454 4.7.0)" },
	{ "3B7ADA7434F: TLS is required, but was not offered by host " A " yet",
	    "other" },
	/* Whose handshake is told in another line, and without TLS the same
	   server may be well. */
	{ "4DB97A74359: Cannot start TLS: handshake failure", "other" },
	{ "SSL_connect error to " A ":25: lost connection", "other" },
	{ "5CDF6A74360: Server certificate not verified", "other" },
	{ "certificate verification failed for " A ":25: self-signed "
	  "certificate",
	    "other" },
	{ "5CDF6A74360: SASL authentication failed; server " A " said: 535 "
	  "5.7.8 no",
	    "other" },
	{ "5CDF6A74360: mail for example.com loops back to myself", "other" },
	{ "5CDF6A74360: enabling PIX workarounds: disable_esmtp for " A ":25",
	    "other" },
	{ "warning: " A ":25: response longer than 2048: 452 4.3.1 y...",
	    "other" },
	{ "warning: host " A " said: 452 4.3.1 y (in reply to RCPT TO "
	  "command)",
	    "other" },
	{ "NOQUEUE: host " A " said: 452 4.3.1 y (in reply to RCPT TO "
	  "command)",
	    "other" },
	{ "host " A " said: 452 4.3.1 y (in reply to RCPT TO command)",
	    "other" },
	{ "1ABEDA742D9: connect to " A ":25: Connection refused", "other" },
	{ "", "other" },
};

START_TEST(events_name_their_server)
{
	char text[LINE_SUMMARY_MAX];
	const char *message = event_rows[_i].message;

	ck_assert_str_eq(
	    line_summary_of("postfix/smtp", message, strlen(message), text),
	    event_rows[_i].wanted);
}
END_TEST

#define EVENT "connect to " A ":25: Connection refused"

/* Whole lines; pid 0: it is no line of the MTA. */
static const struct {
	const char *line;
	uint32_t pid;
} prefix_rows[] = {
	{ "Nov  8 07:17:39 mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "Nov 08 07:17:39 mta postfix/smtp[1]: " EVENT, 1 },
	{ "Nov 28 07:17:39 mta.example.net postfix/nexthop/smtp[4294967295]: "
	  "" EVENT,
	    4294967295 },
	{ "Nov 28 07:17:39.123456 mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "<22>Nov  8 07:17:39 mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "2026-11-28T07:17:39.123456+00:00 mta postfix/smtp[1234]: " EVENT,
	    1234 },
	{ "2026-11-28T07:17:39Z mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "2026-11-28T07:17:39-05:30 mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "2026-11-28T07:17:39+0100 mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "2026-11-28T07:17:39-0100 mta postfix/smtp[1234]: " EVENT, 1234 },
	{ "<191>2026-11-28T07:17:39.1Z 192.0.2.1 mx-out/smtp[1234]: " EVENT,
	    1234 },
	{ "Nov  8 07:17:39 mta postfix/smtp[1234]: connect to", 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[1234]:" EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[1234] " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[1234]x: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[0]: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[]: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[4294967296]: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[12345678901234567890123]: " EVENT,
	    0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[18446744073709551617]: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[1234]:x: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp[-1]: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta postfix/smtp: " EVENT, 0 },
	{ "Nov  8 07:17:39 postfix/smtp[1234]: " EVENT, 0 },
	{ "Nov  8 07:17:39  postfix/smtp[1234]: " EVENT, 0 },
	{ "Nov  8 07:17:39 m\x01ta postfix/smtp[1234]: " EVENT, 0 },
	{ "Nov  8 07:17 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "11/28 07:17:39 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "2026-11-28 07:17:39 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "2026-11-28T07:17:39 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "<x>Nov  8 07:17:39 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "<192>Nov  8 07:17:39 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "<22 Nov  8 07:17:39 mta postfix/smtp[1234]: " EVENT, 0 },
	{ "Nov  8 07:17:39 mta kernel: postfix/smtp[1234]: " EVENT, 0 },
	{ "postfix/smtp[1234]: " EVENT, 0 },
	{ EVENT, 0 },
	{ "Nov", 0 },
	{ "", 0 },
};

START_TEST(prefixes_of_syslog_daemons_are_known)
{
	struct delivery_line line;
	const char *text = prefix_rows[_i].line;
	enum delivery_line_kind kind =
	    delivery_line_parse(text, strlen(text), &line);

	ck_assert_uint_eq(line.pid, prefix_rows[_i].pid);
	ck_assert_int_eq(
	    kind, line.pid != 0 ? DELIVERY_LINE_EVENT : DELIVERY_LINE_OTHER);
	ck_assert_int_eq(line.kind, kind);
	if (kind != DELIVERY_LINE_OTHER)
		ck_assert_str_eq(line.failure.address, "192.0.2.10");
}
END_TEST

static Suite *
delivery_line_events_suite(void)
{
	Suite *suite = suite_create("test_delivery_line_events");
	TCase *lines = tcase_create("lines");

	tcase_add_loop_test(
	    lines, events_name_their_server, 0, (int)NELEM(event_rows));
	tcase_add_loop_test(lines, prefixes_of_syslog_daemons_are_known, 0,
	    (int)NELEM(prefix_rows));
	suite_add_tcase(suite, lines);
	return suite;
}

int
main(void)
{
	return suite_run(delivery_line_events_suite());
}
