/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/delivery.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/delivery_log.h"
#include "tests/unit/suite.h"

#define A "10.0.0.1"
#define B "10.0.0.2"

/* -- what was seen, one after the other ----------------------------------- */

/*
 * Sights: o ok; t trouble, T doubtful; r refusal, s shy with the recipient of
 * the next letter, R doubtful; f final. A digit before changes the stage from
 * there on: 1 MAIL, 2 RCPT (at first), 3 DATA, 4 end-of-data.
 * Verdicts: - nothing, o counts as well, p counts as policy, x counts as
 * a failure, w warning, ! probe.
 */
static const struct {
	const char *seen;
	const char *verdicts;
} rows[] = {
	{ "o", "o" },
	{ "tt", "xx" },
	{ "f", "p" },
	/* The fifth different recipient. */
	{ "rarbrcrdre", "----x" },
	{ "rarararararara", "-------" },
	{ "rarbrbrarcrdrdre", "-------x" },
	/* From then on each one. */
	{ "rarbrcrdrererarfof", "----xxxxop" },
	{ "rarbrcrdreorarbrcrdre", "----xo----x" },
	/* A success ends the row, trouble does not. */
	{ "rarbrcrdorarbrcrdre", "----o----x" },
	{ "rarbrctrdre", "---x-x" },
	/* Nor does a 4.7.x, and it is not of the row. */
	{ "rasbrcsdresfrgrh", "-------x" },
	{ "sasbscsdsesf", "------" },
	/* A 5xx does, from its stage on. */
	{ "rarbrcrdfrarbrcrdre", "----p----x" },
	{ "3rarbrcrd2f3rerf", "----pxx" },
	{ "3rarbrcrd4f3re", "----p-" },
	{ "2rarb3rcrd2fre", "----px" },
	{ "3rarb2rcrd1fre", "----px" },
	{ "3rarb2rcrd2fre", "----px" },
	{ "3rarbrcrdf1rarbrcrd1fre", "----p----p-" },
	/* Doubtful refusals are of the row. */
	{ "RaRbrcRdRe", "----x" },
	/* A 5xx ends no trouble that comes later in a session. */
	{ "4t2f", "x-" },
	{ "4t4f", "xp" },
	{ "2t4f", "xp" },
	{ "4t2f4f2f", "x-pp" },
	{ "4to2f", "xop" },
	{ "4t1t2f", "xx-" },
	{ "2rarbrcrdre1f", "----x-" },
	{ "2rarbrcrd1f", "----p" },
	/* Doubts. */
	{ "T", "!" },
	{ "TTTTT", "!!xxx" },
	{ "TToTTT", "!!o!!x" },
	{ "TTfTTT", "!!p!!x" },
	{ "4TT2f4T", "!!-x" },
	{ "TtTtT", "!x!xx" },
	/* Nothing is known of the recipient. */
	{ "r0r0r0r0r0r0", "------" },
	{ "rarbrcrdr0re", "-----x" },
	/* Twenty are worth a warning. */
	{ "sasbscsdsesfsgshsisjskslsmsnsospsqsrssst", "-------------------w" },
	{ "sasbscsdsesfsgshsisjskslsmsnsospsqsrsssastsusaosv",
	    "--------------------w--o-" },
	{ "sasbscsdsesfsgshsisjskslsmsnsospsqsrsssssssss0st",
	    "-----------------------w" },
	/* Once, until it takes a message; a 5xx is none. */
	{ "sasbscsdsesfsgshsisjskslsmsnsospsqsrssfst",
	    "-------------------pw" },
	{ "sasbscsdsesfsgshsisjskslsmsnsospsqsrssosasbst",
	    "-------------------o---" },
};

static struct delivery_seen
next_seen(const char **at, enum outcome_stage *stage)
{
	static const enum outcome_stage stages[] = { STAGE_NONE, STAGE_MAIL,
		STAGE_RCPT, STAGE_DATA, STAGE_END_OF_DATA };
	struct delivery_seen seen = { .seen.outcome = OUTCOME_POLICY };
	char letter;

	if (**at >= '1' && **at <= '4')
		*stage = stages[*(*at)++ - '0'];
	letter = *(*at)++;
	seen.doubt = letter == 'T' || letter == 'R';
	switch (letter) {
	case 'o':
		seen.sight = DELIVERY_OK;
		seen.seen.outcome = OUTCOME_OK;
		break;
	case 't':
	case 'T':
		seen.sight = DELIVERY_TROUBLE;
		seen.seen.outcome = OUTCOME_LOST;
		break;
	case 'f':
		seen.sight = DELIVERY_FINAL;
		break;
	default:
		seen.sight = letter == 's' ? DELIVERY_SHY : DELIVERY_REFUSAL;
		seen.recipient = (uint64_t)(*(*at)++ - '0');
		break;
	}
	seen.seen.stage = *stage;
	(void)snprintf(seen.seen.text, sizeof(seen.seen.text), "as said");
	return seen;
}

static char
letter_of(enum delivery_verdict verdict, const struct observation *seen)
{
	switch (verdict) {
	case DELIVERY_NOTHING:
		return '-';
	case DELIVERY_WARN_SHY:
		return 'w';
	case DELIVERY_PROBE:
		return '!';
	case DELIVERY_COUNTS:
		break;
	}
	if (seen->outcome == OUTCOME_OK)
		return 'o';
	return outcome_info(seen->outcome)->verdict == VERDICT_FAIL ? 'x' : 'p';
}

START_TEST(a_row_of_sights_is_judged_as_the_table_says)
{
	struct delivery_streak streak = { .n_refused = 0 };
	enum outcome_stage stage = STAGE_RCPT;
	char verdicts[64] = "";
	struct delivery_seen seen;
	struct observation applied;
	unsigned n = 0;

	for (const char *at = rows[_i].seen; *at != '\0';) {
		seen = next_seen(&at, &stage);
		verdicts[n++] = letter_of(
		    delivery_judge(&streak, &seen, &applied), &applied);
		ck_assert_str_eq(applied.text, "as said");
		ck_assert_int_eq(applied.stage, stage);
	}
	ck_assert_msg(strcmp(verdicts, rows[_i].verdicts) == 0,
	    "%s: %s, wanted %s", rows[_i].seen, verdicts, rows[_i].verdicts);
}
END_TEST

START_TEST(a_full_row_is_a_temporary_failure_in_the_last_words)
{
	struct delivery_streak streak = { .n_refused = 0 };
	struct delivery_seen seen = { .sight = DELIVERY_REFUSAL,
		.seen = { .outcome = OUTCOME_POLICY,
		    .stage = STAGE_RCPT,
		    .source = SOURCE_DELIVERY,
		    .code = 452 } };
	struct observation applied;

	for (unsigned i = 1; i <= DELIVERY_ROW; i++) {
		seen.recipient = i;
		(void)snprintf(
		    seen.seen.text, sizeof(seen.seen.text), "452 the %u.", i);
		ck_assert_int_eq(delivery_judge(&streak, &seen, &applied),
		    i < DELIVERY_ROW ? DELIVERY_NOTHING : DELIVERY_COUNTS);
	}
	ck_assert_int_eq(applied.outcome, OUTCOME_TEMPORARY);
	ck_assert_int_eq(applied.stage, STAGE_RCPT);
	ck_assert_int_eq(applied.source, SOURCE_DELIVERY);
	ck_assert_uint_eq(applied.code, 452);
	ck_assert_str_eq(applied.text, "452 the 5.");
}
END_TEST

/*
 * Trouble with messages 1, 2, ... when they were sent (m: at MAIL), o: another
 * one is taken. Verdicts as above.
 */
static const struct {
	const char *seen;
	const char *verdicts;
} messages[] = {
	{ "1o1", "xo-" },
	{ "1o1o1", "xo-o-" },
	/* Another message, another stage, nothing taken since. */
	{ "1o2", "xox" },
	{ "1om", "xox" },
	{ "mom", "xox" },
	{ "11", "xx" },
	{ "1o21", "xoxx" },
	{ "1om1", "xoxx" },
	{ "1o211o1o2", "xoxxxo-o-" },
	/* The last four are known. */
	{ "12341o", "xxxxxo" },
	{ "1234o1234", "xxxxo----" },
	{ "12345o2345", "xxxxxo----" },
	{ "12345o1", "xxxxxox" },
	{ "123456789o6789", "xxxxxxxxxo----" },
	{ "123456789o5", "xxxxxxxxxox" },
	{ "123456789abco9abc", "xxxxxxxxxxxxo----" },
	{ "123456789abco8", "xxxxxxxxxxxxox" },
};

START_TEST(what_one_message_meets_again_is_the_messages)
{
	struct delivery_streak streak = { .n_refused = 0 };
	struct observation applied;
	char verdicts[64] = "";
	unsigned n = 0;

	for (const char *at = messages[_i].seen; *at != '\0'; at++) {
		struct delivery_seen seen = { .sight = DELIVERY_TROUBLE,
			.message = (uint64_t)*at,
			.seen = { .outcome = OUTCOME_LOST,
			    .stage =
				n % 2 == 0 ? STAGE_DATA : STAGE_END_OF_DATA } };

		if (*at == 'm')
			seen.seen.stage = STAGE_MAIL;
		if (*at == 'o') {
			seen.sight = DELIVERY_OK;
			seen.seen.outcome = OUTCOME_OK;
		}
		verdicts[n++] = letter_of(
		    delivery_judge(&streak, &seen, &applied), &applied);
	}
	ck_assert_msg(strcmp(verdicts, messages[_i].verdicts) == 0,
	    "%s: %s, wanted %s", messages[_i].seen, verdicts,
	    messages[_i].verdicts);
}
END_TEST

/* -- stories of two hosts -------------------------------------------------- */

struct tally {
	struct delivery_streak streak;
	unsigned well, policy, failed, warned, probed;
	unsigned first_failure; /* the message that made it fail, from 1 */
};

static struct tally tally[2];
static unsigned message; /* the present one, from 1 */

/* Judges what the last lines told. */
static void
judge_all(void)
{
	struct observation applied;
	struct tally *host;

	for (unsigned i = 0; i < delivery_log.n_seen; i++) {
		host = &tally[delivery_log.seen[i].host];
		switch (letter_of(delivery_judge(&host->streak,
				      &delivery_log.seen[i], &applied),
		    &applied)) {
		case 'o':
			host->well++;
			break;
		case 'p':
			host->policy++;
			break;
		case 'w':
			host->warned++;
			break;
		case '!':
			host->probed++;
			break;
		case 'x':
			if (host->failed++ == 0)
				host->first_failure = message;
			break;
		default:
			break;
		}
	}
	delivery_log_clear();
}

/* A message to its own recipient, by one of ten processes: who (A or B) says
   reply, and next takes it (or nobody). */
static void
pass(const char *who, const char *reply, const char *next)
{
	unsigned pid = 100 + message % 10;
	char line[128];

	message++;
	if (reply != NULL && next != NULL) {
		(void)snprintf(line, sizeof(line), "%u Q%u %s said %s", pid,
		    message, who, reply);
		delivery_log_feed(line);
	}
	if (next != NULL)
		(void)snprintf(line, sizeof(line),
		    "%u Q%u to=u%u@example.com %s#25 sent", pid, message,
		    message, next);
	else
		(void)snprintf(line, sizeof(line),
		    "%u Q%u to=u%u@example.com %s#25 deferred %s said %s", pid,
		    message, message, who, who, reply);
	delivery_log_feed(line);
	judge_all();
}

START_TEST(greylisting_of_a_thousand_recipients_is_no_failure)
{
	for (unsigned i = 0; i < 1000; i++)
		pass(A, "rcpt 450 4.7.1 Greylisted, try again in 60 s",
		    i % 2 == 0 ? B : NULL);
	ck_assert_uint_eq(tally[0].failed + tally[0].policy, 0);
	ck_assert_uint_eq(tally[0].warned, 1);
	ck_assert_uint_eq(tally[1].well, 500);
	/* The second time around it takes them. */
	for (unsigned i = 0; i < 1000; i++)
		pass(NULL, NULL, A);
	ck_assert_uint_eq(tally[0].well, 1000);
	ck_assert_uint_eq(tally[0].warned, 1);
}
END_TEST

START_TEST(greylisting_between_successes_is_not_worth_a_word)
{
	for (unsigned i = 0; i < 1000; i++) {
		pass(A, "rcpt 450 4.7.1 Greylisted", B);
		if (i % 10 == 9)
			pass(NULL, NULL, A);
	}
	ck_assert_uint_eq(tally[0].failed + tally[0].warned, 0);
}
END_TEST

START_TEST(one_full_mailbox_among_healthy_ones_is_no_failure)
{
	static const char *const words[] = { "rcpt 452 4.2.2 Mailbox full",
		"rcpt 452 Mailbox full", "rcpt 450 Mailbox busy" };

	for (unsigned i = 0; i < 300; i++) {
		pass(NULL, NULL, A);
		pass(A, words[i % 3], i % 2 == 0 ? B : NULL);
	}
	ck_assert_uint_eq(tally[0].failed + tally[0].warned, 0);
	ck_assert_uint_eq(tally[0].well, 300);
}
END_TEST

/* Where nobody else writes: the sender tries again and again. */
START_TEST(one_full_mailbox_alone_is_no_failure)
{
	for (unsigned i = 0; i < 100; i++) {
		delivery_log_feed("7 Q1 to=u@example.com " A "#25 deferred " A
				  " said rcpt 452 Mailbox full");
		judge_all();
	}
	ck_assert_uint_eq(tally[0].failed, 0);
}
END_TEST

START_TEST(a_bare_452_to_everybody_is_a_failure_at_the_fifth_message)
{
	for (unsigned i = 0; i < 8; i++)
		pass(A, "rcpt 452 Insufficient system storage",
		    _i == 0 ? B : NULL);
	ck_assert_uint_eq(tally[0].first_failure, 5);
	ck_assert_uint_eq(tally[0].failed, 4);
	ck_assert_uint_eq(tally[0].warned, 0);
	ck_assert_uint_eq(tally[1].failed, 0);
}
END_TEST

START_TEST(trouble_of_its_own_is_a_failure_at_the_first_message)
{
	pass(A, "rcpt 452 4.3.1 Insufficient system storage",
	    _i == 0 ? B : NULL);
	ck_assert_uint_eq(tally[0].first_failure, 1);
}
END_TEST

/* 200 recipients, of which it takes 100 a message (RFC 5321 section
   4.5.3.1.10): as the first server of a list, and as the last. */
START_TEST(too_many_recipients_are_no_failure)
{
	char line[128];

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(line, sizeof(line),
		    "7 Q1 to=u%u@example.com %s#25 deferred %s said rcpt 452 "
		    "Too many recipients",
		    i, A, A);
		if (_i == 0)
			(void)snprintf(line, sizeof(line),
			    "7 Q1 %s said rcpt 452 Too many recipients", A);
		delivery_log_feed(line);
	}
	for (unsigned i = 100; i < 200; i++) {
		(void)snprintf(line, sizeof(line),
		    "7 Q1 to=u%u@example.com %s#25 sent", i, A);
		delivery_log_feed(line);
	}
	for (unsigned i = 0; i < 100 && _i == 0; i++) {
		(void)snprintf(line, sizeof(line),
		    "7 Q1 to=u%u@example.com %s#25 sent", i, B);
		delivery_log_feed(line);
	}
	judge_all();
	ck_assert_uint_eq(tally[0].failed, 0);
	ck_assert_uint_eq(tally[0].well, 1);
	ck_assert_uint_eq(tally[0].streak.n_refused, 0);
	ck_assert_uint_eq(tally[1].well, _i == 0);
}
END_TEST

START_TEST(a_message_of_many_recipients_that_are_all_refused_is_a_failure)
{
	char line[128];

	for (unsigned i = 0; i < 10; i++)
		delivery_log_feed("7 Q1 " A " said rcpt 452 Full");
	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(line, sizeof(line),
		    "7 Q1 to=u%u@example.com %s#25 sent", i, B);
		delivery_log_feed(line);
	}
	judge_all();
	ck_assert_uint_eq(tally[0].failed, 6);
}
END_TEST

/* What answers the content of one message says nothing of its recipients. */
START_TEST(one_message_refused_for_a_hundred_recipients_is_no_failure)
{
	char line[128];

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(line, sizeof(line),
		    "7 Q1 to=u%u@example.com %s#25 deferred %s said "
		    "end-of-data 451 Try again",
		    i, A, A);
		delivery_log_feed(line);
	}
	delivery_log_feed("7 Q2 to=u@example.com " B "#25 sent");
	judge_all();
	ck_assert_uint_eq(tally[0].failed, 0);
	ck_assert_uint_eq(tally[0].streak.n_refused, 1);
}
END_TEST

/* A host that is full, and refuses some for good. */
START_TEST(unknown_users_do_not_hide_a_host_that_fails_at_end_of_data)
{
	char line[128];

	for (unsigned i = 0; i < 5; i++) {
		pass(A, "end-of-data 451 Try again", B);
		(void)snprintf(line, sizeof(line),
		    "7 X%u to=x%u@example.com %s#25 bounced %s said rcpt 550 "
		    "5.1.1 Unknown",
		    i, i, A, A);
		delivery_log_feed(line);
		judge_all();
	}
	ck_assert_uint_eq(tally[0].failed, 1);
	ck_assert_uint_eq(tally[0].policy, 4);
}
END_TEST

static void
setup(void)
{
	delivery_log_begin("routes = ( { domain = \"example.com\"; hosts = ("
			   " \"" A "\", \"" B "\" ); } );");
	memset(tally, 0, sizeof(tally));
	message = 0;
}

int
main(void)
{
	Suite *suite = suite_create("delivery_judge");
	TCase *tcase = tcase_create("delivery_judge");

	tcase_add_loop_test(
	    tcase, a_row_of_sights_is_judged_as_the_table_says, 0, NELEM(rows));
	tcase_add_loop_test(tcase, what_one_message_meets_again_is_the_messages,
	    0, NELEM(messages));
	tcase_add_test(
	    tcase, a_full_row_is_a_temporary_failure_in_the_last_words);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("stories");
	tcase_add_checked_fixture(tcase, setup, delivery_log_end);
	tcase_add_test(
	    tcase, greylisting_of_a_thousand_recipients_is_no_failure);
	tcase_add_test(
	    tcase, greylisting_between_successes_is_not_worth_a_word);
	tcase_add_test(
	    tcase, one_full_mailbox_among_healthy_ones_is_no_failure);
	tcase_add_test(tcase, one_full_mailbox_alone_is_no_failure);
	tcase_add_loop_test(tcase,
	    a_bare_452_to_everybody_is_a_failure_at_the_fifth_message, 0, 2);
	tcase_add_loop_test(
	    tcase, trouble_of_its_own_is_a_failure_at_the_first_message, 0, 2);
	tcase_add_loop_test(tcase, too_many_recipients_are_no_failure, 0, 2);
	tcase_add_test(tcase,
	    a_message_of_many_recipients_that_are_all_refused_is_a_failure);
	tcase_add_test(
	    tcase, one_message_refused_for_a_hundred_recipients_is_no_failure);
	tcase_add_test(
	    tcase, unknown_users_do_not_hide_a_host_that_fails_at_end_of_data);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
