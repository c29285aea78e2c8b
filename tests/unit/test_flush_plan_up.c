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

/* -- put off for trouble of a host while another host is up --------------- */

static void
wait_while_up(const char *queue_id, const char *to)
{
	hear_cause(SET, to, queue_id, CAUSE_HOST, true);
}

START_TEST(a_message_put_off_while_a_host_is_up_is_asked_for_alone)
{
	now_ms = T0;
	wait_while_up("Q1", "u@a.test");
	wait_while_up("Q2", "u@a.test");
	ck_assert_str_eq(run(AGAIN), "1000 M Q1|1020 M Q2|");
	gone("Q1", "u@a.test");
	gone("Q2", "u@a.test");
	ck_assert_str_eq(run(2 * AGAIN), "");
	check_counts(0, 0);
}
END_TEST

/* Its own retries are as rare by then, and it never gives up. */
START_TEST(a_message_that_nobody_takes_is_left_to_the_mta_after_six_times)
{
	static const char *const asked[] = { "1000 M Q1|", "11000 M Q1|",
		"31000 M Q1|", "71000 M Q1|", "151000 M Q1|", "311000 M Q1|",
		"" };
	static const uint32_t until[] = { 1000, 11000, 31000, 71000, 151000,
		311000, 3000000 };

	now_ms = T0;
	for (size_t i = 0; i < NELEM(asked); i++) {
		wait_while_up("Q1", "u@a.test");
		ck_assert_str_eq(run(until[i]), asked[i]);
	}
}
END_TEST

START_TEST(what_one_server_said_of_a_recipient_is_not_asked_for)
{
	now_ms = T0;
	hear_cause(SET, "u@a.test", "Q1", CAUSE_RECIPIENT, true);
	hear_cause(SET, "u@a.test", "Q2", CAUSE_REFUSAL, true);
	ck_assert_str_eq(run(AGAIN), "");
}
END_TEST

START_TEST(when_the_last_host_falls_it_waits_for_the_recovery)
{
	now_ms = T0;
	wait_while_up("Q1", "u@a.test");
	flush_plan_failed(plan, SET);
	ck_assert_str_eq(run(AGAIN), "");
	recover();
	ck_assert_str_eq(run(AGAIN + 100), "600000 D a.test|");
}
END_TEST

START_TEST(a_domain_that_the_mta_does_not_serve_is_not_asked_for)
{
	now_ms = T0;
	flush_plan_refuse(plan, "a.test");
	wait_while_up("Q1", "u@a.test");
	ck_assert_str_eq(run(AGAIN), "");
}
END_TEST

/* -- a row of refusals ---------------------------------------------------- */

static void
refuse(const char *queue_id, const char *to)
{
	hear_cause(SET, to, queue_id, CAUSE_REFUSAL, false);
}

START_TEST(what_was_refused_waits_for_the_host_once_the_row_is_its_fault)
{
	refuse("Q1", "u@a.test");
	refuse("Q2", "u@b.test");
	hear_cause(SET, "u@c.test", "Q3", CAUSE_RECIPIENT, false);
	flush_plan_failed(plan, SET);
	flush_plan_blame(plan, SET, false, now_ms);
	recover();
	ck_assert_str_eq(run(AGAIN - 1), "0 D a.test|20 D b.test|");
}
END_TEST

START_TEST(what_was_refused_in_a_row_that_was_not_full_does_not)
{
	refuse("Q1", "u@a.test");
	recover();
	ck_assert_str_eq(run(2 * AGAIN), "");
}
END_TEST

START_TEST(while_another_host_is_up_it_is_asked_for_alone)
{
	now_ms = T0;
	refuse("Q1", "u@a.test");
	flush_plan_blame(plan, SET + 1, true, now_ms);
	ck_assert_str_eq(run(500), "");
	flush_plan_blame(plan, SET, true, now_ms);
	ck_assert_str_eq(run(AGAIN), "1000 M Q1|");
}
END_TEST

START_TEST(it_is_known_and_counted_as_before)
{
	refuse("Q1", "u@a.test");
	flush_plan_blame(plan, SET, false, now_ms);
	check_counts(1, 1);
	gone("Q1", "u@a.test");
	check_counts(0, 0);
	recover();
	ck_assert_str_eq(run(2 * AGAIN), "");
}
END_TEST

/* -- */

int
main(void)
{
	Suite *suite = suite_create("test_flush_plan_up");
	TCase *up = tcase_create("a host is up"), *row = tcase_create("a row");

	tcase_add_checked_fixture(up, begin, end);
	tcase_add_test(
	    up, a_message_put_off_while_a_host_is_up_is_asked_for_alone);
	tcase_add_test(
	    up, a_message_that_nobody_takes_is_left_to_the_mta_after_six_times);
	tcase_add_test(
	    up, what_one_server_said_of_a_recipient_is_not_asked_for);
	tcase_add_test(up, when_the_last_host_falls_it_waits_for_the_recovery);
	tcase_add_test(
	    up, a_domain_that_the_mta_does_not_serve_is_not_asked_for);
	suite_add_tcase(suite, up);
	tcase_add_checked_fixture(row, begin, end);
	tcase_add_test(
	    row, what_was_refused_waits_for_the_host_once_the_row_is_its_fault);
	tcase_add_test(
	    row, what_was_refused_in_a_row_that_was_not_full_does_not);
	tcase_add_test(row, while_another_host_is_up_it_is_asked_for_alone);
	tcase_add_test(row, it_is_known_and_counted_as_before);
	suite_add_tcase(suite, row);
	return suite_run(suite);
}
