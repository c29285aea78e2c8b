/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/delivery.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/delivery_sight.h"
#include "tests/unit/delivery_log.h"
#include "tests/unit/suite.h"

#define A "10.0.0.1"
#define B "10.0.0.2"

static const char routes[] =
    "routes = ("
    " { domain = \"example.com\"; hosts = ( \"" A "\", \"" B "\" ); },"
    " { domain = \".example.org\"; hosts = ( \"" A "\" ); },"
    " { domain = \"dns.test\"; use_dns = true; } );";

#define NOTHING (-1)

/* What is seen of a server, and whether its mail waits for it. */
static const struct {
	const char *failure;
	int sight; /* enum delivery_sight, or NOTHING */
	enum outcome outcome;
	enum outcome_stage stage;
	bool each, by_host;
} readings[] = {
#define TROUBLE(outcome) DELIVERY_TROUBLE, OUTCOME_##outcome
#define REFUSAL		 DELIVERY_REFUSAL, OUTCOME_POLICY
#define SHY		 DELIVERY_SHY, OUTCOME_POLICY
#define FINAL		 DELIVERY_FINAL, OUTCOME_POLICY
#define WORD		 DELIVERY_WORD, OUTCOME_POLICY
#define NONE		 NOTHING, OUTCOME_OK
	{ "refused", TROUBLE(REFUSED), STAGE_CONNECT, false, true },
	{ "unreachable", TROUBLE(UNREACHABLE), STAGE_CONNECT, false, true },
	{ "tls", TROUBLE(TLS), STAGE_TLS, false, true },
	{ "timeout connect", TROUBLE(TIMEOUT), STAGE_CONNECT, false, true },
	{ "timeout greeting", TROUBLE(TIMEOUT), STAGE_GREETING, false, true },
	{ "timeout end-of-data", TROUBLE(TIMEOUT), STAGE_END_OF_DATA, false,
	    true },
	{ "lost rcpt", TROUBLE(LOST), STAGE_RCPT, false, true },
	{ "lost none", TROUBLE(LOST), STAGE_RCPT, false, true },
	{ "local", NONE, STAGE_CONNECT, false, true },

	{ "said greeting 421 4.3.2 x", TROUBLE(TEMPORARY), STAGE_GREETING,
	    false, true },
	{ "said greeting 431 x", TROUBLE(TEMPORARY), STAGE_GREETING, false,
	    true },
	{ "said greeting 554 5.7.1 x", TROUBLE(PERMANENT), STAGE_GREETING,
	    false, true },
	{ "said greeting 450 4.7.1 x", TROUBLE(TEMPORARY), STAGE_GREETING,
	    false, true },
	{ "said ehlo 550 x", TROUBLE(PERMANENT), STAGE_EHLO, false, true },
	{ "said ehlo 451 x", TROUBLE(TEMPORARY), STAGE_EHLO, false, true },
	{ "said starttls 454 4.7.0 x", TROUBLE(TEMPORARY), STAGE_STARTTLS,
	    false, true },

	{ "said mail 452 4.3.1 x", TROUBLE(TEMPORARY), STAGE_MAIL, false,
	    true },
	{ "said mail 451 x", TROUBLE(TEMPORARY), STAGE_MAIL, false, true },
	{ "said mail 450 4.1.8 x", WORD, STAGE_MAIL, false, false },
	{ "said mail 450 4.7.1 x", SHY, STAGE_MAIL, false, false },
	{ "said mail 452 4.3.4 x", WORD, STAGE_MAIL, false, false },
	{ "said mail 530 5.7.0 x", FINAL, STAGE_MAIL, false, false },
	{ "said mail 550 x", FINAL, STAGE_MAIL, false, false },

	{ "said rcpt 452 4.3.1 x", TROUBLE(TEMPORARY), STAGE_RCPT, true, true },
	{ "said rcpt 451 4.4.3 x", TROUBLE(TEMPORARY), STAGE_RCPT, true, true },
	{ "said rcpt 421 4.7.0 x", TROUBLE(TEMPORARY), STAGE_RCPT, false,
	    true },
	{ "said rcpt 452 x", REFUSAL, STAGE_RCPT, true, true },
	{ "said rcpt 452 4.5.3 x", WORD, STAGE_RCPT, true, false },
	{ "said rcpt 452 4.3.4 x", WORD, STAGE_RCPT, true, false },
	{ "said rcpt 450 4.1.7 x", WORD, STAGE_RCPT, true, false },
	{ "said rcpt 450 4.1.8 x", WORD, STAGE_RCPT, true, false },
	{ "said rcpt 450 4.1.2 x", REFUSAL, STAGE_RCPT, true, false },
	{ "said rcpt 450 4.7.1 x", SHY, STAGE_RCPT, true, false },
	{ "said rcpt 451 4.7.0 x", SHY, STAGE_RCPT, true, false },
	{ "said rcpt 452 4.2.2 x", SHY, STAGE_RCPT, true, false },
	{ "said rcpt 450 4.2.0 x", SHY, STAGE_RCPT, true, false },
	{ "said rcpt 450 x", REFUSAL, STAGE_RCPT, true, false },
	{ "said rcpt 451 4.1.1 x", REFUSAL, STAGE_RCPT, true, false },
	{ "said rcpt 451 4.5.0 x", REFUSAL, STAGE_RCPT, true, false },
	{ "said rcpt 550 5.1.1 x", FINAL, STAGE_RCPT, true, false },
	{ "said rcpt 554 5.7.1 x", FINAL, STAGE_RCPT, true, false },
	{ "said rcpt 354 x", TROUBLE(NOT_SMTP), STAGE_RCPT, true, true },
	{ "said rcpt 250 x", NONE, STAGE_RCPT, true, false },
	{ "said none 452 4.3.1 x", TROUBLE(TEMPORARY), STAGE_RCPT, true, true },
	{ "said none 450 x", REFUSAL, STAGE_RCPT, true, false },

	{ "said data 451 4.3.0 x", TROUBLE(TEMPORARY), STAGE_DATA, false,
	    true },
	{ "said data 452 x", TROUBLE(TEMPORARY), STAGE_DATA, false, true },
	{ "said data 451 x", REFUSAL, STAGE_DATA, false, false },
	{ "said data 452 4.5.3 x", WORD, STAGE_DATA, false, false },
	{ "said data 450 4.7.1 x", SHY, STAGE_DATA, false, false },
	{ "said data 554 x", FINAL, STAGE_DATA, false, false },
	{ "said end-of-data 452 4.3.1 x", TROUBLE(TEMPORARY), STAGE_END_OF_DATA,
	    false, true },
	{ "said end-of-data 452 x", TROUBLE(TEMPORARY), STAGE_END_OF_DATA,
	    false, true },
	{ "said end-of-data 451 4.6.0 x", REFUSAL, STAGE_END_OF_DATA, false,
	    false },
	{ "said end-of-data 451 4.7.1 x", SHY, STAGE_END_OF_DATA, false,
	    false },
	{ "said end-of-data 554 5.7.1 x", FINAL, STAGE_END_OF_DATA, false,
	    false },
};

START_TEST(a_failure_is_read_as_the_table_says)
{
	char text[128];
	struct delivery_line line;
	struct delivery_reading reading;
	bool told;

	(void)snprintf(
	    text, sizeof(text), "7 Q1 " A " %s", readings[_i].failure);
	line = delivery_log_parse(text);
	told =
	    delivery_sight_read(delivery_log.config, &line.failure, &reading);
	ck_assert_int_eq(reading.by_host, readings[_i].by_host);
	ck_assert_int_eq(told, readings[_i].sight != NOTHING);
	if (!told)
		return;
	ck_assert_int_eq((int)reading.sight, readings[_i].sight);
	ck_assert_int_eq(reading.seen.outcome, readings[_i].outcome);
	ck_assert_int_eq(reading.seen.stage, readings[_i].stage);
	ck_assert_int_eq(reading.each, readings[_i].each);
	ck_assert_int_eq(
	    reading.seen.silent, readings[_i].outcome == OUTCOME_TIMEOUT);
	ck_assert_str_eq(reading.seen.text,
	    line.failure.refused ? line.failure.reply.text : line.failure.text);
	ck_assert_uint_eq(reading.seen.code,
	    line.failure.refused ? line.failure.reply.code : 0);
	ck_assert_int_eq(reading.seen.source, SOURCE_DELIVERY);
}
END_TEST

START_TEST(a_message_taken_is_well)
{
	struct observation seen;

	delivery_log_feed("7 Q1 to=u@example.com " A "#25 sent");
	ck_assert_str_eq(delivery_log.told, "ok " A ":25");
	seen = delivery_log.seen[0].seen;
	ck_assert_int_eq(seen.outcome, OUTCOME_OK);
	ck_assert_int_eq(seen.stage, STAGE_END_OF_DATA);
	ck_assert_str_eq(seen.text, "well");
	ck_assert_uint_eq(seen.code, 0);
	ck_assert_uint_eq(seen.latency_us, 0);
}
END_TEST

/* -- routes --------------------------------------------------------------- */

static const struct {
	const char *line;
	const char *routes;
} results[] = {
	{ "7 Q1 to=u@example.com " A "#25 sent", "gone u@example.com" },
	{ "7 Q1 to=u@example.com none bounced", "gone u@example.com" },
	{ "7 Q1 to=u@example.com " A "#25 bounced " A " said rcpt 550 x",
	    "gone u@example.com" },
	{ "7 Q1 to=u@example.com none probed", "" },
	{ "7 Q1 to=u@example.com " A "#25 probed", "" },
	{ "7 Q1 to=U@Example.COM none deferred", "waits U@Example.COM host" },
	{ "7 Q1 to=u@a.example.org none deferred",
	    "waits u@a.example.org host" },
	{ "7 Q1 to=u@example.org none deferred", "" },
	{ "7 Q1 to=u@dns.test none deferred", "" },
	{ "7 Q1 to=u@dns.test mx.test/10.6.6.6#25 sent", "" },
	{ "7 Q1 to=postmaster none deferred", "" },
	/* Not an attempt at all. */
	{ "error Q1 to=u@example.com none suspended",
	    "waits u@example.com host" },
	{ "error Q1 to=u@example.com none held", "waits u@example.com host" },
	{ "error Q1 to=u@example.com none other", "waits u@example.com host" },
	{ "error Q1 to=u@example.com none suspended " A " said rcpt 450 4.7.1 "
	  "x",
	    "waits u@example.com host" },
	{ "error Q1 to=u@example.com none bounced", "gone u@example.com" },
	/* The reason counts, whoever the server is. */
	{ "7 Q1 to=u@example.com none deferred " A "#25 refused",
	    "waits u@example.com host" },
	{ "7 Q1 to=u@example.com none deferred mx.evil.test/10.6.6.6#25 "
	  "refused",
	    "waits u@example.com host" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said data 451 4.3.0 x",
	    "waits u@example.com host" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said rcpt 452 x",
	    "waits u@example.com host" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said rcpt 452 4.2.2 x",
	    "waits u@example.com own" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said rcpt 450 x",
	    "waits u@example.com refused" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said rcpt 450 4.7.1 "
	  "x",
	    "waits u@example.com own" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said rcpt 452 4.5.3 x",
	    "waits u@example.com own" },
	{ "7 Q1 to=u@example.com " A "#25 deferred " A " said rcpt 550 x",
	    "waits u@example.com own" },
};

START_TEST(a_result_says_what_becomes_of_the_mail_of_a_route)
{
	delivery_log_feed(results[_i].line);
	ck_assert_str_eq(delivery_log.routes, results[_i].routes);
}
END_TEST

/* Only the mail's fate: none of them is seen of a host. */
START_TEST(lines_without_an_attempt_blame_and_praise_nobody)
{
	delivery_log_feed(
	    "error Q1 to=u@example.com none deferred " A "#25 refused");
	delivery_log_feed("error Q1 to=u@example.com " A "#25 sent");
	delivery_log_feed("error Q1 " A " said mail 451 x");
	ck_assert_str_eq(delivery_log.told, "");
}
END_TEST

START_TEST(other_lines_are_nothing)
{
	struct delivery_line line =
	    delivery_log_parse("7 Q1 to=u@example.com " A "#25 sent");

	line.kind = DELIVERY_LINE_OTHER;
	delivery_feed(delivery_log.delivery, &line, delivery_log.now_ms);
	ck_assert_str_eq(delivery_log.told, "");
	ck_assert_str_eq(delivery_log.routes, "");
}
END_TEST

START_TEST(an_event_that_tells_of_no_failure_is_nothing)
{
	struct delivery_line line =
	    delivery_log_parse("7 Q1 " A " said mail 451 x");

	line.failure.there = false;
	delivery_feed(delivery_log.delivery, &line, delivery_log.now_ms);
	ck_assert_str_eq(delivery_log.told, "");
}
END_TEST

static void
setup(void)
{
	delivery_log_begin(routes);
}

int
main(void)
{
	Suite *suite = suite_create("delivery");
	TCase *tcase = tcase_create("delivery");

	tcase_add_checked_fixture(tcase, setup, delivery_log_end);
	tcase_add_loop_test(
	    tcase, a_failure_is_read_as_the_table_says, 0, NELEM(readings));
	tcase_add_test(tcase, a_message_taken_is_well);
	tcase_add_loop_test(tcase,
	    a_result_says_what_becomes_of_the_mail_of_a_route, 0,
	    NELEM(results));
	tcase_add_test(tcase, lines_without_an_attempt_blame_and_praise_nobody);
	tcase_add_test(tcase, other_lines_are_nothing);
	tcase_add_test(tcase, an_event_that_tells_of_no_failure_is_nothing);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
