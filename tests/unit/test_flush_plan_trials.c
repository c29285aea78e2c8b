/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/flush_plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/flush_scene.h"
#include "tests/unit/suite.h"

/* The newest line is somebody else's. */
static void
hear_another(void)
{
	hear(SET + 9, "u@another.test", "Z9", true);
}

START_TEST(the_message_untouched_for_longest_is_taken_for_a_trial)
{
	ck_assert_str_eq(take_one(SET), "none");
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "\"v w\"@B.test");
	wait_for("Q3", "u@c.test");
	hear(SET + 1, "u@d.test", "Q4", true);
	wait_for("Q1", "U+x@a.test");
	now_ms += FLUSH_MEMORY_MS;
	ck_assert_str_eq(take_one(SET), "Q2 \"v w\"@B.test");
	ck_assert_str_eq(take_one(SET), "Q3 u@c.test");
	ck_assert_str_eq(take_one(SET), "Q1 U+x@a.test");
	ck_assert_str_eq(take_one(SET), "none");
	now_ms += FLUSH_RETRY_GAP_MS - 1;
	ck_assert_str_eq(take_one(SET), "none");
	now_ms++;
	ck_assert_str_eq(take_one(SET), "Q2 \"v w\"@B.test");
	ck_assert_str_eq(take_one(SET + 1), "Q4 u@d.test");
	ck_assert_str_eq(take_one(SET + 2), "none");
}
END_TEST

START_TEST(all_messages_get_their_trial)
{
	wait_many("a.test", 0, 100);
	now_ms += FLUSH_MEMORY_MS;
	for (int i = 0; i < 100; i++)
		ck_assert_str_ne(take_one(SET), "none");
	ck_assert_str_eq(take_one(SET), "none");
}
END_TEST

START_TEST(a_message_that_was_refused_is_taken_when_there_is_no_other)
{
	hear(SET, "u@a.test", "Q1", false);
	wait_for("Q2", "u@a.test");
	now_ms += FLUSH_MEMORY_MS;
	ck_assert_str_eq(take_one(SET), "Q2 u@a.test");
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	ck_assert_str_eq(take_one(SET), "none");
}
END_TEST

START_TEST(a_message_that_was_taken_is_not_asked_for_again_at_once)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(1000);
	hear_another();
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(12000), "11000 M Q1|");
	wait_for("Q1", "u@a.test"); /* due at 31000 */
	run(30000);
	hear_another();
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	ck_assert_str_eq(run(59000), "");
	ck_assert_str_eq(run(70000), "60000 D a.test|");
}
END_TEST

START_TEST(a_lone_message_is_taken_when_qmgr_has_forgotten_its_answer)
{
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(take_one(SET), "none");
	now_ms += FLUSH_MEMORY_MS - 1;
	ck_assert_str_eq(take_one(SET), "none");
	now_ms++;
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
}
END_TEST

START_TEST(of_several_the_one_put_off_last_is_not_taken)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "v@a.test");
	wait_for("Q3", "w@a.test");
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(take_one(SET), "Q2 v@a.test");
	ck_assert_str_eq(take_one(SET), "Q3 w@a.test");
	ck_assert_str_eq(take_one(SET), "none");
	hear_another();
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
}
END_TEST

/* qmgr(8) knows recipients, not messages. */
START_TEST(a_message_to_the_recipient_that_was_put_off_last_is_not_taken)
{
	wait_for("Q1", "u@a.test");
	now_ms += FLUSH_MEMORY_MS;
	wait_for("Q2", "u@b.test");
	wait_for("Q3", "u@a.test");
	ck_assert_str_eq(take_one(SET), "Q2 u@b.test");
	ck_assert_str_eq(take_one(SET), "none");
	now_ms += FLUSH_MEMORY_MS;
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
}
END_TEST

START_TEST(a_message_with_an_old_line_is_taken_before_young_ones)
{
	wait_for("Q1", "u@a.test");
	now_ms += FLUSH_MEMORY_MS;
	wait_for("Q2", "v@a.test");
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	hear_another();
	now_ms += FLUSH_RETRY_GAP_MS;
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	ck_assert_str_eq(take_one(SET), "Q2 v@a.test");
}
END_TEST

START_TEST(a_message_that_was_refused_is_taken_rather_than_one_in_memory)
{
	hear(SET, "u@a.test", "Q1", false);
	wait_for("Q2", "v@a.test");
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	ck_assert_str_eq(take_one(SET), "none");
}
END_TEST

START_TEST(a_message_is_known_until_its_last_recipient_put_off_is_gone)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q1", "v@a.test");
	check_counts(1, 1);
	gone("Q1", "u@a.test");
	check_counts(1, 1);
	now_ms += FLUSH_MEMORY_MS;
	ck_assert_str_eq(take_one(SET), "Q1 v@a.test");
	gone("Q1", "v@a.test");
	check_counts(0, 0);
	ck_assert_str_eq(take_one(SET), "none");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_flush_plan_trials");
	TCase *tcase = tcase_create("trials");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(
	    tcase, the_message_untouched_for_longest_is_taken_for_a_trial);
	tcase_add_test(tcase, all_messages_get_their_trial);
	tcase_add_test(
	    tcase, a_message_that_was_refused_is_taken_when_there_is_no_other);
	tcase_add_test(
	    tcase, a_message_that_was_taken_is_not_asked_for_again_at_once);
	tcase_add_test(
	    tcase, a_lone_message_is_taken_when_qmgr_has_forgotten_its_answer);
	tcase_add_test(tcase, of_several_the_one_put_off_last_is_not_taken);
	tcase_add_test(tcase,
	    a_message_to_the_recipient_that_was_put_off_last_is_not_taken);
	tcase_add_test(
	    tcase, a_message_with_an_old_line_is_taken_before_young_ones);
	tcase_add_test(tcase,
	    a_message_that_was_refused_is_taken_rather_than_one_in_memory);
	tcase_add_test(
	    tcase, a_message_is_known_until_its_last_recipient_put_off_is_gone);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
