/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/unseen.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW  1000000u
#define SET  7u
#define TURN 41u

static struct unseen unseen;

static struct address
address_of(const char *text)
{
	struct address address;

	ck_assert(address_parse(text, strlen(text), &address));
	return address;
}

static void
ask(const char *text, uint32_t set, uint32_t turn, uint64_t now_ms)
{
	struct address address = address_of(text);

	unseen_asked(&unseen, set, turn, &address, now_ms);
}

static void
explain(const char *text, uint32_t set)
{
	struct address address = address_of(text);

	unseen_explained(&unseen, set, &address);
}

static bool
resolving(uint32_t set, uint32_t turn, bool just_drawn, uint64_t now_ms)
{
	return unseen_resolving(&unseen, set, turn, just_drawn, now_ms, now_ms);
}

START_TEST(a_question_resolves_until_it_has_been_quiet)
{
	ck_assert(!resolving(SET, TURN, true, NOW));
	ask("member@example.com", SET, TURN, NOW);
	ck_assert(resolving(SET, TURN, false, NOW));
	ck_assert(resolving(SET, TURN, false, NOW + UNSEEN_QUIET_MS));
	ck_assert(!resolving(SET, TURN, false, NOW + UNSEEN_QUIET_MS + 1));
}
END_TEST

START_TEST(a_question_of_another_set_is_none_of_this_one)
{
	ask("member@example.com", SET, TURN, NOW);
	ck_assert(!resolving(SET + 1, TURN, true, NOW));
}
END_TEST

START_TEST(a_recipient_that_the_milter_is_told_of_is_explained)
{
	ask("user@example.com", SET, TURN, NOW);
	explain("other@example.com", SET);
	explain("user@example.com", SET + 1);
	ck_assert(resolving(SET, TURN, false, NOW));
	explain("user@EXAMPLE.com", SET);
	ck_assert(!resolving(SET, TURN, true, NOW));
}
END_TEST

START_TEST(after_a_draw_such_mail_is_waited_for)
{
	uint64_t later = NOW + UNSEEN_QUIET_MS + 1;

	ask("member@example.com", SET, TURN, NOW);
	/* The next message has drawn, nothing was asked for it. */
	ck_assert(resolving(SET, TURN + 1, true, later));
	ck_assert(!resolving(SET, TURN + 1, false, later));
	/* Now a member of it is. */
	ask("member@example.com", SET, TURN + 1, NOW);
	ck_assert(!resolving(SET, TURN + 1, true, later));
}
END_TEST

START_TEST(what_is_long_ago_is_forgotten)
{
	ask("member@example.com", SET, TURN, NOW);
	ck_assert(resolving(SET, TURN + 1, true, NOW + UNSEEN_MEMORY_MS));
	ck_assert(!resolving(SET, TURN + 1, true, NOW + UNSEEN_MEMORY_MS + 1));
}
END_TEST

/* Each is soon explained, and there is a new one whenever somebody looks. */
START_TEST(questions_that_came_after_the_wait_began_prove_nothing)
{
	ask("one@example.com", SET, TURN, NOW);
	ck_assert(unseen_resolving(&unseen, SET, TURN, true, NOW, NOW));
	ask("two@example.com", SET, TURN, NOW + 1);
	ck_assert(unseen_resolving(&unseen, SET, TURN, true, NOW, NOW + 1));
	explain("one@example.com", SET);
	ck_assert(!unseen_resolving(&unseen, SET, TURN, true, NOW, NOW + 1));
	ck_assert(unseen_resolving(&unseen, SET, TURN, true, NOW + 1, NOW + 1));
}
END_TEST

/* The members of one alias come one after the other. */
START_TEST(a_question_that_stays_unexplained_keeps_one_waiting_for_the_next)
{
	uint64_t later = NOW + UNSEEN_QUIET_MS + 1;

	ask("member@example.com", SET, TURN, NOW);
	ask("next@example.com", SET, TURN, NOW + 2);
	ck_assert(unseen_resolving(&unseen, SET, TURN, false, NOW, later));
	ck_assert(!unseen_resolving(&unseen, SET, TURN, false, NOW, later + 2));
}
END_TEST

static const char *
member(unsigned i, char text[32])
{
	(void)snprintf(text, 32, "u%u@example.com", i);
	return text;
}

static void
ask_many(unsigned n, uint64_t now_ms)
{
	char text[32];

	for (unsigned i = 0; i < n; i++)
		ask(member(i, text), SET, TURN, now_ms);
}

/* What was there before the wait has been pushed out by the alias's own. */
START_TEST(an_alias_of_more_members_than_are_remembered_keeps_one_waiting)
{
	char text[32];

	ask("first@example.com", SET, TURN, NOW);
	ask_many(UNSEEN_MAX, NOW + 2);
	ck_assert(unseen_resolving(&unseen, SET, TURN, false, NOW, NOW + 2));
	explain(member(0, text), SET);
	ck_assert(!unseen_resolving(&unseen, SET, TURN, false, NOW, NOW + 2));
}
END_TEST

START_TEST(the_newest_questions_are_remembered)
{
	char text[32];

	ask_many(2 * UNSEEN_MAX, NOW);
	for (unsigned i = UNSEEN_MAX; i < 2 * UNSEEN_MAX; i++) {
		ck_assert(resolving(SET, TURN, false, NOW));
		explain(member(i, text), SET);
	}
	ck_assert(!resolving(SET, TURN, false, NOW));
}
END_TEST

/* The map thread's clock was read a little later than the milter's; and 24 bits
   of milliseconds wrap every few hours. */
START_TEST(clocks_may_differ_a_little_and_wrap)
{
	ask("member@example.com", SET, TURN, 0x1000001);
	ck_assert(resolving(SET, TURN, false, 0xffffff));
	ck_assert(resolving(SET, TURN, false, 0x1000003));
	ck_assert(!resolving(SET, TURN, false, 0x1000009));
}
END_TEST

static void
forget(void)
{
	memset(&unseen, 0, sizeof(unseen));
}

int
main(void)
{
	Suite *suite = suite_create("unseen");
	TCase *tcase = tcase_create("unseen");

	tcase_add_checked_fixture(tcase, forget, NULL);
	tcase_add_test(tcase, a_question_resolves_until_it_has_been_quiet);
	tcase_add_test(tcase, a_question_of_another_set_is_none_of_this_one);
	tcase_add_test(
	    tcase, a_recipient_that_the_milter_is_told_of_is_explained);
	tcase_add_test(tcase, after_a_draw_such_mail_is_waited_for);
	tcase_add_test(tcase, what_is_long_ago_is_forgotten);
	tcase_add_test(
	    tcase, questions_that_came_after_the_wait_began_prove_nothing);
	tcase_add_test(tcase,
	    a_question_that_stays_unexplained_keeps_one_waiting_for_the_next);
	tcase_add_test(tcase,
	    an_alias_of_more_members_than_are_remembered_keeps_one_waiting);
	tcase_add_test(tcase, the_newest_questions_are_remembered);
	tcase_add_test(tcase, clocks_may_differ_a_little_and_wrap);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
