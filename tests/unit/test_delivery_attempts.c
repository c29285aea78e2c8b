/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/delivery.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/delivery_attempts.h"
#include "tests/unit/delivery_log.h"
#include "tests/unit/suite.h"

#define A	   "10.0.0.1"
#define B	   "10.0.0.2"
#define C	   "10.0.0.3"
#define ATTEMPT_MS 900000

static const char routes[] =
    "routes = ("
    " { domain = \"a.test\"; hosts = ( \"" A "\", \"" B "\", \"" C "\" ); },"
    " { domain = \"p.test\"; hosts = ( \"10.0.0.9:25\", \"10.0.0.9:26\" ); },"
    " { domain = \"n.test\"; hosts = ( \"mx.n.test\" ); } );";

#define LINES_MAX 12

static const struct {
	const char *line[LINES_MAX];
	const char *told;
} cases[] = {
	/* A refusal waits for the recipient, whose result is another's. */
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 to=u@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " B ":25" },
	{ { "7 Q1 " A " said rcpt 450 4.7.1 x",
	      "7 Q1 to=u@a.test " B "#25 sent" },
	    "shy " A ":25 #1; ok " B ":25" },
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 to=u@a.test none deferred" },
	    "refusal " A ":25 #1" },
	{ { "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 to=u@a.test mx.evil.test/10.6.6.6#25 sent" },
	    "refusal " A ":25 #1" },
	{ { "7 Q1 " A " said rcpt 450 x" }, "" },
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 450 x" },
	    "refusal " A ":25 #1" },
	/* One each, and no more than were refused. */
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 to=u@a.test " B "#25 sent",
	      "7 Q1 to=v@a.test " B "#25 sent",
	      "7 Q1 to=w@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " B ":25; refusal " A ":25 #2" },
	/* Two servers refuse both. */
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 " B " said rcpt 451 x", "7 Q1 " B " said rcpt 451 x",
	      "7 Q1 to=u@a.test " C "#25 sent",
	      "7 Q1 to=v@a.test " C "#25 sent" },
	    "refusal " B ":25 #1; refusal " A ":25 #1; ok " C ":25; refusal " B
	    ":25 #2; refusal " A ":25 #2" },
	/* It takes the message for somebody: the others are told nothing. */
	{ { "7 Q1 " A " said rcpt 452 x", "7 Q1 " A " said rcpt 450 4.7.1 x",
	      "7 Q1 to=v@a.test " A "#25 sent",
	      "7 Q1 to=u@a.test " B "#25 sent",
	      "7 Q1 to=w@a.test " B "#25 sent" },
	    "ok " A ":25; ok " B ":25" },
	/* Its 5xx to another recipient is not the result of this one. */
	{ { "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 to=v@a.test " A "#25 bounced " A " said rcpt 550 x",
	      "7 Q1 " A " said rcpt 450 x", "7 Q1 to=u@a.test " B "#25 sent",
	      "7 Q1 to=w@a.test " B "#25 sent" },
	    "final " A ":25; refusal " A ":25 #1; ok " B ":25; refusal " A
	    ":25 #2" },
	/* The next one's 5xx is. */
	{ { "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 to=u@a.test " B "#25 bounced " B " said rcpt 550 x" },
	    "refusal " A ":25 #1; final " B ":25" },
	/* The last server's refusals: the first at once, the others at the
	   end ... */
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q1 to=v@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q1 to=w@a.test " A "#25 deferred " A " said rcpt 450 x" },
	    "refusal " A ":25 #1" },
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q1 to=v@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q1 to=w@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; refusal " A ":25 #2; refusal " A
	    ":25 #3; ok " B ":25" },
	/* ... unless it takes the message for somebody. */
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q1 to=v@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q1 to=w@a.test " A "#25 sent",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " A ":25; ok " B ":25" },
	{ { "7 Q1 to=w@a.test " A "#25 sent",
	      "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 450 x",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "ok " A ":25; ok " B ":25" },
	/* What answers the message is one refusal. */
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said data 451 x",
	      "7 Q1 to=v@a.test " A "#25 deferred " A " said data 451 x",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " B ":25" },
	{ { "7 Q1 " A " said data 451 x", "7 Q1 to=u@a.test " B "#25 sent",
	      "7 Q1 to=v@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " B ":25" },
	/* Two addresses of one name. */
	{ { "7 Q1 mx.n.test/10.7.7.1 said rcpt 450 x",
	      "7 Q1 to=u@n.test mx.n.test/10.7.7.2#25 deferred "
	      "mx.n.test/10.7.7.2 said rcpt 450 x",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "refusal mx.n.test:25 #1; ok " B ":25" },
	{ { "7 Q1 mx.n.test/10.7.7.1 said data 451 x",
	      "7 Q1 mx.n.test/10.7.7.2 said data 451 x",
	      "7 Q1 to=u@n.test none deferred",
	      "7 Q1 to=v@n.test none deferred" },
	    "refusal mx.n.test:25 #1" },
	/* Nobody was named. */
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 " A " said rcpt 450 x",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " B ":25" },

	/* Trouble is told at once, and once. */
	{ { "7 Q1 " A " said mail 451 4.3.0 x" }, "trouble " A ":25" },
	{ { "7 Q1 " A " said rcpt 452 4.3.1 x",
	      "7 Q1 " A " said rcpt 452 4.3.1 x",
	      "7 Q1 to=u@a.test " B "#25 sent",
	      "7 Q1 to=v@a.test " B "#25 sent" },
	    "trouble " A ":25; ok " B ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said data 451 4.3.0 x",
	      "7 Q1 to=v@a.test " A "#25 deferred " A
	      " said data 451 4.3.0 x" },
	    "trouble " A ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 451 4.3.0 x",
	      "7 Q1 to=v@a.test " A "#25 deferred " A " lost data" },
	    "trouble " A ":25; trouble " A ":25" },
	{ { "7 - " A "#25 refused", "7 - " B "#25 refused",
	      "7 Q1 to=u@a.test none deferred " B "#25 refused",
	      "7 Q1 to=v@a.test none deferred " B "#25 refused" },
	    "trouble " A ":25; trouble " B ":25" },
	{ { "7 Q1 to=u@a.test none deferred " B "#25 refused" },
	    "trouble " B ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 bounced " A " said ehlo 550 x" },
	    "trouble " A ":25" },
	/* In the same session, around a 5xx. */
	{ { "7 Q1 " A " said rcpt 452 4.3.1 x",
	      "7 Q1 to=u@a.test " A "#25 bounced " A " said rcpt 550 x",
	      "7 Q1 to=v@a.test " A "#25 bounced " A " said rcpt 550 x",
	      "7 Q1 " A " said rcpt 452 4.3.1 x" },
	    "trouble " A ":25; final " A ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 sent",
	      "7 Q2 to=u@a.test " A "#25 bounced " A " said rcpt 550 x",
	      "7 Q2 " A " said rcpt 450 x",
	      "7 Q2 to=v@a.test " A "#25 bounced " A " said rcpt 550 x" },
	    "ok " A ":25; final " A ":25" },
	/* The next message of that process. */
	{ { "7 - " A "#25 refused",
	      "7 Q1 to=u@a.test none deferred " A "#25 refused",
	      "7 - " A "#25 refused",
	      "7 Q2 to=u@a.test none deferred " A "#25 refused" },
	    "trouble " A ":25; trouble " A ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 bounced " A " said rcpt 550 x",
	      "7 - " A "#25 refused",
	      "7 Q2 to=u@a.test none deferred " A "#25 refused" },
	    "final " A ":25; trouble " A ":25" },
	{ { "7 - " A "#25 refused", "7 Q1 to=u@a.test " B "#25 sent",
	      "7 - " A "#25 refused", "7 Q2 to=u@a.test " B "#25 sent" },
	    "trouble " A ":25; ok " B ":25; trouble " A ":25; ok " B ":25" },
	{ { "7 Q1 " A " said data 451 4.3.0 x",
	      "7 Q1 to=u@a.test " B "#25 sent",
	      "7 Q2 " A " said data 451 4.3.0 x",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "trouble " A ":25; ok " B ":25; trouble " A ":25; ok " B ":25" },
	/* In mid-attempt: the server before took some. */
	{ { "7 Q1 to=u@a.test " A "#25 sent", "7 - " B "#25 refused",
	      "7 Q1 to=v@a.test none deferred " B "#25 refused" },
	    "ok " A ":25; trouble " B ":25" },
	/* The same message, again and again, by the same process. */
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said data 451 4.3.0 x",
	      "7 Q1 to=u@a.test " A "#25 deferred " A
	      " said data 451 4.3.0 x" },
	    "trouble " A ":25; trouble " A ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 452 x",
	      "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 452 x" },
	    "refusal " A ":25 #1; refusal " A ":25 #1" },
	{ { "7 - " A "#25 refused",
	      "7 Q1 to=u@a.test none deferred " A "#25 refused",
	      "7 - " A "#25 refused",
	      "7 Q1 to=u@a.test none deferred " A "#25 refused" },
	    "trouble " A ":25; trouble " A ":25" },
	{ { "7 Q1 " A " said data 451 4.3.0 x", "7 - " B "#25 refused",
	      "7 Q1 to=u@a.test none deferred " B "#25 refused",
	      "7 Q1 " A " said data 451 4.3.0 x", "7 - " B "#25 refused",
	      "7 Q1 to=u@a.test none deferred " B "#25 refused" },
	    "trouble " A ":25; trouble " B ":25; trouble " A ":25; trouble " B
	    ":25" },
	{ { "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 to=u@a.test " B "#25 deferred " B " said rcpt 450 x",
	      "7 Q1 " A " said rcpt 450 x",
	      "7 Q1 to=u@a.test " B "#25 deferred " B " said rcpt 450 x" },
	    "refusal " A ":25 #1; refusal " B ":25 #1; refusal " A
	    ":25 #1; refusal " B ":25 #1" },
	{ { "7 Q1 to=u@a.test " A "#25 sent", "7 Q1 to=v@a.test " A "#25 sent",
	      "7 Q1 to=u@a.test " A "#25 sent" },
	    "ok " A ":25; ok " A ":25" },

	/* Once for each host that took it. */
	{ { "7 Q1 to=u@a.test " A "#25 sent", "7 Q1 to=v@a.test " A "#25 sent",
	      "7 Q1 to=w@a.test " B "#25 sent" },
	    "ok " A ":25; ok " B ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 sent", "7 Q2 to=u@a.test " A "#25 sent",
	      "8 Q3 to=u@a.test " A "#25 sent" },
	    "ok " A ":25; ok " A ":25; ok " A ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 bounced " A " said rcpt 550 x",
	      "7 Q1 to=v@a.test " A "#25 bounced " A " said rcpt 550 x" },
	    "final " A ":25" },
	{ { "7 Q1 " A " said rcpt 550 x", "7 Q1 to=u@a.test " B "#25 sent" },
	    "final " A ":25; ok " B ":25" },
	{ { "7 Q1 to=u@a.test none bounced" }, "" },

	/* Verify probes are no deliveries, but trouble is trouble. */
	{ { "7 Q1 to=u@a.test " A "#25 probed" }, "" },
	{ { "7 Q1 to=u@a.test " A "#25 probed " A " said rcpt 450 x",
	      "7 Q2 to=u@a.test " A "#25 probed " A " said rcpt 550 x" },
	    "" },
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 to=u@a.test " B "#25 probed",
	      "7 Q2 to=u@a.test " B "#25 sent" },
	    "ok " B ":25" },
	{ { "7 Q1 " A " said rcpt 450 x", "7 Q1 to=u@a.test none probed",
	      "7 Q2 " A " said rcpt 450 x", "7 Q2 to=u@a.test " B "#25 sent" },
	    "refusal " A ":25 #1; ok " B ":25" },
	{ { "7 - " A "#25 refused",
	      "7 Q1 to=u@a.test none probed " A "#25 refused" },
	    "trouble " A ":25" },
	{ { "7 Q1 to=u@a.test " A "#25 probed " A " said mail 451 4.3.0 x" },
	    "trouble " A ":25" },
	{ { "7 Q1 10.0.0.9 said mail 451 4.3.0 x",
	      "7 Q1 to=u@p.test 10.0.0.9#26 probed" },
	    "trouble 10.0.0.9:25" },

	/* Processes do not mix. */
	{ { "7 Q1 " A " said rcpt 450 x", "8 Q2 " B " said rcpt 450 x",
	      "8 Q2 to=v@a.test " C "#25 sent",
	      "7 Q1 to=u@a.test " C "#25 sent" },
	    "refusal " B ":25 #1; ok " C ":25; refusal " A ":25 #2; ok " C
	    ":25" },
};

START_TEST(an_attempt_tells_what_the_table_says)
{
	delivery_log_feed_all(cases[_i].line, LINES_MAX);
	ck_assert_str_eq(delivery_log.told, cases[_i].told);
}
END_TEST

START_TEST(a_recipient_is_the_same_in_all_attempts_and_spellings)
{
	delivery_log_feed(
	    "7 Q1 to=u@a.test " A "#25 deferred " A " said rcpt 450 x");
	delivery_log_feed(
	    "8 Q2 to=u@A.TEST " A "#25 deferred " A " said rcpt 450 x");
	delivery_log_feed("9 Q3 " A " said rcpt 450 x");
	delivery_log_feed("9 Q3 to=u@a.test " B "#25 sent");
	delivery_log_feed(
	    "7 Q4 to=U@a.test " A "#25 deferred " A " said rcpt 450 x");
	ck_assert_str_eq(delivery_log.told,
	    "refusal " A ":25 #1; refusal " A ":25 #1; refusal " A
	    ":25 #1; ok " B ":25; refusal " A ":25 #2");
}
END_TEST

START_TEST(the_newest_words_are_told)
{
	delivery_log_feed("7 Q1 " A " said rcpt 450 first");
	delivery_log_feed("7 Q1 " A " said rcpt 450 second");
	delivery_log_feed("7 Q1 to=u@a.test " B "#25 sent");
	ck_assert_str_eq(delivery_log.seen[0].seen.text, "450 second");
	ck_assert_int_eq(delivery_log.seen[0].seen.stage, STAGE_RCPT);
	ck_assert_uint_eq(delivery_log.seen[0].seen.code, 450);
}
END_TEST

/* No result comes: the process was killed, or the log rotated away. */
START_TEST(an_attempt_is_over_when_nothing_is_heard_of_it)
{
	delivery_log_feed("7 Q1 10.0.0.9 lost data");
	delivery_log_feed("8 Q2 " A " said rcpt 450 x");
	delivery_log.now_ms += ATTEMPT_MS;
	delivery_log_feed("9 Q3 to=u@a.test " B "#25 sent");
	ck_assert_str_eq(delivery_log.told, "ok " B ":25");
	delivery_log_clear();
	delivery_log.now_ms++;
	delivery_log_feed("9 Q4 to=u@a.test " B "#25 sent");
	ck_assert_str_eq(delivery_log.told,
	    "trouble? 10.0.0.9:25; trouble? 10.0.0.9:26; refusal " A
	    ":25 #1; ok " B ":25");
}
END_TEST

START_TEST(a_long_attempt_lives_as_long_as_it_is_heard_of)
{
	delivery_log_feed("7 Q1 " A " said rcpt 450 x");
	delivery_log.now_ms += ATTEMPT_MS;
	delivery_log_feed("7 Q1 " B " timeout end-of-data");
	delivery_log.now_ms += ATTEMPT_MS;
	delivery_log_feed("7 Q1 to=u@a.test " C "#25 sent");
	ck_assert_str_eq(delivery_log.told,
	    "trouble " B ":25; refusal " A ":25 #1; ok " C ":25");
	/* A clock that goes back harms nobody. */
	delivery_log.now_ms -= 2 * ATTEMPT_MS;
	delivery_log_feed("7 Q1 to=v@a.test " C "#25 sent");
	ck_assert_uint_eq(delivery_log.n_seen, 3);
}
END_TEST

START_TEST(who_was_silent_longest_is_over_first)
{
	delivery_log_feed("7 Q1 " A " said rcpt 450 x");
	delivery_log_feed("8 Q2 " B " said rcpt 450 x");
	delivery_log.now_ms += ATTEMPT_MS;
	delivery_log_feed("7 Q1 " A " said rcpt 450 x");
	delivery_log.now_ms++;
	delivery_log_feed("9 - " C "#25 refused");
	ck_assert_str_eq(
	    delivery_log.told, "refusal " B ":25 #1; trouble " C ":25");
}
END_TEST

/* Line k of each process, then line k + 1 of each. */
START_TEST(twenty_processes_at_once)
{
	char line[5][128];

	for (unsigned k = 0; k < 5; k++) {
		for (unsigned pid = 100; pid < 120; pid++) {
			(void)snprintf(line[0], sizeof(line[0]),
			    "%u Q%u %s said rcpt 450 x", pid, pid, A);
			(void)snprintf(line[1], sizeof(line[1]),
			    "%u - %s#25 refused", pid, B);
			(void)snprintf(line[2], sizeof(line[2]),
			    "%u Q%u to=u%u@a.test %s#25 sent", pid, pid, pid,
			    C);
			(void)snprintf(line[3], sizeof(line[3]),
			    "%u Q%uN to=u%u@a.test %s#25 sent", pid, pid, pid,
			    C);
			(void)snprintf(line[4], sizeof(line[4]),
			    "%u Q%uN to=v%u@a.test %s#25 sent", pid, pid, pid,
			    C);
			delivery_log_feed(line[k]);
		}
	}
	/* Of each: B's trouble, A's refusal, two messages that C took. */
	ck_assert_uint_eq(delivery_log.n_seen, 20 * 4);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(delivery_log.seen[i].sight, DELIVERY_TROUBLE);
	for (unsigned i = 20; i < 60; i += 2) {
		ck_assert_int_eq(delivery_log.seen[i].sight, DELIVERY_REFUSAL);
		ck_assert_uint_eq(
		    delivery_log.seen[i].host, delivery_log_host(A));
		for (unsigned j = 20; j < i; j += 2)
			ck_assert(delivery_log.seen[i].recipient !=
				  delivery_log.seen[j].recipient);
		ck_assert_int_eq(delivery_log.seen[i + 1].sight, DELIVERY_OK);
	}
}
END_TEST

/* -- bounds --------------------------------------------------------------- */

START_TEST(a_hundred_thousand_attempts_that_never_end_are_bounded)
{
	char line[64];

	for (unsigned i = 0; i < 100000; i++) {
		(void)snprintf(
		    line, sizeof(line), "%u Q%u 10.0.0.9 lost data", i, i);
		delivery_log_feed(line);
	}
	/* All but the open ones were pushed out, with two ports each. */
	ck_assert_uint_eq(
	    delivery_log.n_seen, 2 * (100000 - DELIVERY_ATTEMPTS_MAX));
	/* The newest ones are there, when the oldest has made room. */
	delivery_log_feed("99999 Q99999 to=u@p.test 10.0.0.9#26 sent");
	delivery_log_clear();
	delivery_log_feed("99998 Q99998 to=u@p.test 10.0.0.9#26 sent");
	ck_assert_str_eq(
	    delivery_log.told, "trouble 10.0.0.9:25; ok 10.0.0.9:26");
}
END_TEST

/* An attempt that walks in circles, as no list does. */
START_TEST(an_attempt_without_end_is_bounded)
{
	for (unsigned i = 0; i < 1000; i++) {
		delivery_log_feed("7 Q1 " A " said rcpt 450 x");
		delivery_log_feed("7 Q1 " B " said rcpt 450 4.7.1 x");
		delivery_log_feed("7 Q1 " C " lost data");
	}
	ck_assert_uint_ge(delivery_log.n_seen, 1000);
	delivery_log_clear();
	delivery_log_feed("7 Q2 to=u@a.test " C "#25 sent");
	ck_assert_uint_gt(delivery_log.n_seen, 1);
	ck_assert_uint_le(delivery_log.n_seen, DELIVERY_NOTES_EACH + 1);
	delivery_log_clear();
	delivery_log_feed("7 Q3 to=u@a.test " C "#25 sent");
	ck_assert_str_eq(delivery_log.told, "ok " C ":25");
}
END_TEST

START_TEST(many_notes_of_many_attempts_are_bounded)
{
	char line[64];

	for (unsigned i = 0; i < 100; i++) {
		for (unsigned pid = 0; pid < 200; pid++) {
			(void)snprintf(line, sizeof(line),
			    "%u Q%u %s said rcpt 450 x", pid, pid,
			    i % 2 == 0 ? A : B);
			delivery_log_feed(line);
		}
	}
	/* What was pushed out was told; nothing else was. */
	ck_assert_uint_ge(delivery_log.n_seen, 200 * 100 - DELIVERY_NOTES_MAX);
	ck_assert_uint_lt(delivery_log.n_seen, 200 * 100);
}
END_TEST

/* Recipients that are remembered are few; the rest does no harm. */
START_TEST(a_message_of_a_thousand_recipients)
{
	char line[64];

	for (unsigned i = 0; i < 1000; i++)
		delivery_log_feed("7 Q1 " A " said rcpt 450 4.7.1 x");
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(
		    line, sizeof(line), "7 Q1 to=u%u@a.test %s#25 sent", i, B);
		delivery_log_feed(line);
	}
	ck_assert_uint_eq(delivery_log.n_seen, 1001);
}
END_TEST

/* Any lines in any order: hosts exist (take_seen looks), and nothing breaks.
   What is told of each line is bounded. */
START_TEST(any_lines_in_any_order_do_no_harm)
{
	static const char *const servers[] = { A, A "#25", B "#25", "10.0.0.9",
		"10.0.0.9#25", "10.0.0.9#26", "10.0.0.9#27", "10.6.6.6#25",
		"mx.n.test/10.7.7.1#25", "mx.n.test/10.7.7.2" };
	static const char *const failures[] = { "said rcpt 450 x",
		"said rcpt 450 4.7.1 x", "said rcpt 452 4.3.1 x",
		"said data 451 x", "said rcpt 550 x", "lost data", "refused" };
	static const char *const statuses[] = { "sent", "deferred", "bounced",
		"probed", "reused sent" };
	static const char *const domains[] = { "a.test", "p.test", "n.test",
		"x.test" };
	char line[256];
	uint32_t random = 12345;
	unsigned before;

#define PICK(list)                                                             \
	list[(random = random * 1664525u + 1013904223u,                        \
	    (random >> 8) % NELEM(list))]
	for (unsigned i = 0; i < 200000; i++) {
		const char *server = PICK(servers), *failure = PICK(failures);
		const char *status = PICK(statuses), *domain = PICK(domains);

		random = random * 1664525u + 1013904223u;
		if (random >> 30 == 0)
			(void)snprintf(line, sizeof(line), "%u - %s %s",
			    random >> 10 & 7, server, failure);
		else if (random >> 30 == 1)
			(void)snprintf(line, sizeof(line), "%u Q%u %s %s",
			    random >> 10 & 7, random >> 13 & 3, server,
			    failure);
		else
			(void)snprintf(line, sizeof(line),
			    "%u Q%u to=u%u@%s %s %s %s %s", random >> 10 & 7,
			    random >> 13 & 3, random >> 15 & 3, domain, server,
			    status, server, failure);
		before = delivery_log.n_seen;
		delivery_log_feed(line);
		REQUIRE(delivery_log.n_seen - before <= 3 * DELIVERY_NOTES_EACH,
		    "%u at once", delivery_log.n_seen - before);
		delivery_log.now_ms += random >> 20 & 63;
	}
	ck_assert_uint_gt(delivery_log.n_seen, 50000);
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
	Suite *suite = suite_create("delivery_attempts");
	TCase *tcase = tcase_create("delivery_attempts");

	tcase_add_checked_fixture(tcase, setup, delivery_log_end);
	tcase_add_loop_test(
	    tcase, an_attempt_tells_what_the_table_says, 0, NELEM(cases));
	tcase_add_test(
	    tcase, a_recipient_is_the_same_in_all_attempts_and_spellings);
	tcase_add_test(tcase, the_newest_words_are_told);
	tcase_add_test(tcase, an_attempt_is_over_when_nothing_is_heard_of_it);
	tcase_add_test(tcase, a_long_attempt_lives_as_long_as_it_is_heard_of);
	tcase_add_test(tcase, who_was_silent_longest_is_over_first);
	tcase_add_test(tcase, twenty_processes_at_once);
	tcase_add_test(
	    tcase, a_hundred_thousand_attempts_that_never_end_are_bounded);
	tcase_add_test(tcase, an_attempt_without_end_is_bounded);
	tcase_add_test(tcase, many_notes_of_many_attempts_are_bounded);
	tcase_add_test(tcase, a_message_of_a_thousand_recipients);
	tcase_add_test(tcase, any_lines_in_any_order_do_no_harm);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
