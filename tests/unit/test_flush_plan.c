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

/* -- a recovery ----------------------------------------------------------- */

START_TEST(without_waiting_mail_a_recovery_does_nothing)
{
	struct flush_step step;
	uint32_t wait;

	ck_assert_int_eq(flush_plan_next(plan, now_ms, &step, &wait), 0);
	ck_assert_uint_eq(wait, UINT32_MAX);
	recover();
	ck_assert_str_eq(run(AGAIN + 1000), "");
	ck_assert_int_eq(flush_plan_next(plan, now_ms, &step, &wait), 0);
	ck_assert_uint_eq(wait, UINT32_MAX);
	check_counts(0, 0);
}
END_TEST

START_TEST(mail_that_waits_is_left_alone_before_a_recovery)
{
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(AGAIN), "");
	check_counts(1, 1);
}
END_TEST

START_TEST(a_recovery_flushes_each_waiting_domain_of_the_set_once)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "v@a.test");
	wait_for("Q3", "u@b.test");
	hear(SET + 1, "u@c.test", "Q4", true);
	recover();
	ck_assert_str_eq(run(AGAIN - 1), "0 D a.test|20 D b.test|");
}
END_TEST

START_TEST(what_still_waits_at_the_end_is_flushed_once_more)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	recover();
	run(30);
	gone("Q2", "u@b.test");
	ck_assert_str_eq(run(3 * AGAIN), "600000 D a.test|");
}
END_TEST

START_TEST(delivered_mail_is_not_asked_for)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	gone("Q1", "u@a.test");
	gone("Q2", "other@b.test");
	gone("Q3", "u@b.test");
	recover();
	ck_assert_str_eq(run(1000), "0 D b.test|");
	gone("Q2", "u@b.test");
	ck_assert_str_eq(run(AGAIN * 2), "");
	check_counts(0, 0);
}
END_TEST

START_TEST(what_one_server_said_of_a_recipient_is_not_flushed)
{
	hear(SET, "u@a.test", "Q1", false);
	wait_for("Q2", "u@b.test");
	hear(SET, "u@b.test", "Q2", false);
	recover();
	hear(SET, "u@a.test", "Q3", false);
	ck_assert_str_eq(run(AGAIN * 2), "");
	check_counts(2, 3);
}
END_TEST

START_TEST(a_failure_cancels_what_was_planned)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	recover();
	ck_assert_str_eq(run(10), "0 D a.test|");
	wait_for("Q1", "u@a.test");
	flush_plan_failed(plan, SET);
	wait_for("Q3", "u@c.test");
	ck_assert_str_eq(run(AGAIN * 2), "");
	check_counts(3, 3);
	recover();
	ck_assert_str_eq(run(AGAIN * 2 + 100),
	    "1200000 D b.test|1200020 D a.test|1200040 D c.test|");
}
END_TEST

START_TEST(a_failure_of_a_set_that_is_not_known_is_nothing)
{
	flush_plan_failed(plan, SET);
	recover();
	flush_plan_failed(plan, SET);
	flush_plan_failed(plan, SET);
	ck_assert_str_eq(run(AGAIN * 2), "");
}
END_TEST

/* -- messages that a flush did not move ----------------------------------- */

START_TEST(a_message_put_off_after_the_recovery_is_asked_for_alone)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(2000);
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(3000), "3000 M Q1|");
	gone("Q1", "u@a.test");
	ck_assert_str_eq(run(AGAIN * 2), "");
}
END_TEST

START_TEST(a_message_is_asked_for_when_its_last_line_has_settled)
{
	recover();
	wait_for("Q1", "u@a.test");
	run(900);
	wait_for("Q1", "v@a.test");
	ck_assert_str_eq(run(1899), "");
	ck_assert_str_eq(run(1900), "1900 M Q1|");
}
END_TEST

START_TEST(what_was_put_off_just_before_a_flush_is_asked_for_after_it)
{
	wait_for("Q1", "u@a.test");
	now_ms = T0 - FLUSH_SETTLE_MS / 2;
	wait_for("Q2", "u@a.test");
	wait_for("Q3", "u@b.test");
	hear(SET, "u@b.test", "Q4", false);
	recover();
	ck_assert_str_eq(run(AGAIN - 1),
	    "0 D a.test|20 D b.test|500 M Q2|520 M Q3|"
	    "60000 D a.test|60020 D b.test|");
}
END_TEST

START_TEST(what_has_settled_before_a_flush_is_moved_by_it)
{
	wait_for("Q1", "u@a.test");
	now_ms += FLUSH_SETTLE_MS;
	recover();
	ck_assert_str_eq(run(AGAIN - 1), "0 D a.test|");
}
END_TEST

START_TEST(its_domain_is_flushed_again_a_minute_after_the_last_time)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(2000);
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(AGAIN - 1), "3000 M Q1|60000 D a.test|");
	ck_assert_str_eq(run(AGAIN * 2), "600000 D a.test|");
}
END_TEST

START_TEST(a_hopeless_message_is_asked_for_with_growing_pauses)
{
	char all[4096] = "";

	wait_for("Q1", "u@a.test");
	recover();
	run(0);
	strcat(all, done);
	/* Its line comes right after each attempt. */
	for (unsigned ms = 20; ms < AGAIN; ms += 20) {
		if (done[0] != '\0')
			wait_for("Q1", "u@a.test");
		run(ms);
		strcat(all, done);
	}
	ck_assert_str_eq(all,
	    "0 D a.test|1000 M Q1|11000 M Q1|31000 M Q1|60000 D a.test|"
	    "71000 M Q1|120000 D a.test|151000 M Q1|180000 D a.test|"
	    "240000 D a.test|300000 D a.test|311000 M Q1|360000 D a.test|"
	    "420000 D a.test|480000 D a.test|540000 D a.test|");
}
END_TEST

START_TEST(a_new_domain_after_the_recovery_has_its_turn_too)
{
	recover();
	run(5000);
	wait_for("Q1", "u@new.test");
	ck_assert_str_eq(run(AGAIN - 1), "6000 M Q1|15000 D new.test|");
}
END_TEST

START_TEST(a_message_that_a_flush_moves_is_not_asked_for_as_well)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(30000);
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(31000), "31000 M Q1|");
	wait_for("Q1", "u@a.test"); /* due at 41000 */
	flush_plan_failed(plan, SET);
	run(70000);
	recover();
	ck_assert_str_eq(run(AGAIN), "70000 D a.test|");
}
END_TEST

START_TEST(after_the_last_flush_lines_are_only_remembered)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(AGAIN + 100);
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	ck_assert_str_eq(run(AGAIN * 3), "");
	check_counts(2, 2);
}
END_TEST

/* -- one recovery after another ------------------------------------------- */

START_TEST(a_domain_is_flushed_at_most_once_a_minute)
{
	wait_for("Q1", "u@a.test");
	recover();
	ck_assert_str_eq(run(5000), "0 D a.test|");
	flush_plan_failed(plan, SET);
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@a.test");
	run(20000);
	recover();
	ck_assert_str_eq(run(70000), "20000 M Q1|20020 M Q2|60000 D a.test|");
}
END_TEST

START_TEST(the_minute_is_kept_when_all_mail_went_in_it)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(1000);
	gone("Q1", "u@a.test");
	check_counts(0, 0);
	run(10000);
	wait_for("Q2", "u@a.test");
	ck_assert_str_eq(run(70000), "11000 M Q2|60000 D a.test|");
}
END_TEST

START_TEST(a_message_is_asked_for_at_most_every_ten_seconds)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(1000);
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(2500), "2000 M Q1|");
	flush_plan_failed(plan, SET);
	wait_for("Q1", "u@a.test");
	recover();
	ck_assert_str_eq(run(50000), "12000 M Q1|");
}
END_TEST

START_TEST(a_recovery_is_a_new_beginning_for_a_hopeless_message)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(0);
	for (unsigned ms = 20; ms <= 71000; ms += 20) {
		if (done[0] != '\0')
			wait_for("Q1", "u@a.test");
		run(ms);
	}
	/* Asked for at 71000, and not before 151000 in this one. */
	flush_plan_failed(plan, SET);
	wait_for("Q1", "u@a.test");
	recover();
	ck_assert_str_eq(run(90000), "81000 M Q1|");
}
END_TEST

START_TEST(what_was_asked_for_before_a_failure_is_not_asked_for_after_it)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(1000);
	wait_for("Q1", "u@a.test");
	run(1000);
	wait_for("Q1", "u@a.test"); /* due at 11000, its domain at 60000 */
	flush_plan_failed(plan, SET);
	ck_assert_str_eq(run(70000), "");
	recover();
	ck_assert_str_eq(run(100000), "70000 D a.test|");
}
END_TEST

/* -- pace and fairness ---------------------------------------------------- */

START_TEST(actions_are_paced)
{
	struct flush_step step;
	uint32_t wait;

	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	recover();
	ck_assert_int_eq(
	    flush_plan_next(plan, now_ms, &step, &wait), FLUSH_DOMAIN);
	ck_assert_uint_eq(step.set, SET);
	ck_assert_uint_eq(wait, FLUSH_PACE_MS);
	now_ms += FLUSH_PACE_MS - 1;
	ck_assert_int_eq(
	    flush_plan_next(plan, now_ms, &step, &wait), FLUSH_NOTHING);
	ck_assert_str_eq(step.what, "");
	ck_assert_uint_eq(wait, 1);
	ck_assert_int_eq(
	    flush_plan_next(plan, now_ms + 1, &step, &wait), FLUSH_DOMAIN);
	ck_assert_str_eq(step.what, "b.test");
}
END_TEST

START_TEST(sets_and_messages_take_turns_with_a_long_round)
{
	char to[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		wait_for("Q1", to);
	}
	hear(SET + 1, "u@a.test", "Q2", true);
	recover();
	run(99);
	wait_for("Q9", "u@0.test");
	run(1099);
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	ck_assert_str_eq(run(1180),
	    "1100 M Q9|1120 D 55.test|1140 D a.test|1160 D 56.test|"
	    "1180 D 57.test|");
}
END_TEST

START_TEST(a_round_takes_turns_with_many_messages)
{
	recover();
	run(10);
	wait_many("a.test", 0, 20);
	hear(SET + 1, "u@b.test", "Q99", true);
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	ck_assert_ptr_nonnull(strstr(run(50), " D b.test|"));
}
END_TEST

START_TEST(a_domain_that_comes_during_a_round_is_no_part_of_it)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	wait_for("Q3", "u@c.test");
	recover();
	run(10);
	wait_for("Q4", "u@new.test");
	wait_for("Q2", "u@b.test");
	ck_assert_str_eq(run(20000),
	    "20 D b.test|40 D c.test|1010 M Q4|1030 M Q2|10010 D new.test|");
}
END_TEST

/* -- refused domains ------------------------------------------------------ */

START_TEST(a_refused_domain_is_not_planned_until_that_is_forgotten)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	flush_plan_refuse(plan, "a.test");
	flush_plan_refuse(plan, "a.test");
	recover();
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(1000), "0 D b.test|");
	wait_for("Q1", "u@a.test");
	ck_assert_str_eq(run(500000), "");
	ck_assert_str_eq(take_one(SET), "Q2 u@b.test");
	ck_assert_str_eq(take_one(SET), "Q1 u@a.test");
	flush_plan_forget_refusals(plan);
	ck_assert_str_eq(run(AGAIN + 100), "600000 D a.test|600020 D b.test|");
}
END_TEST

START_TEST(a_domain_refused_after_it_was_planned_is_not_asked_for)
{
	wait_for("Q1", "u@a.test");
	recover();
	run(0);
	wait_for("Q1", "u@a.test");
	flush_plan_refuse(plan, "a.test");
	ck_assert_str_eq(run(AGAIN * 2), "");
}
END_TEST

static void
add_recoveries(TCase *tcase)
{
	tcase_add_test(tcase, without_waiting_mail_a_recovery_does_nothing);
	tcase_add_test(tcase, mail_that_waits_is_left_alone_before_a_recovery);
	tcase_add_test(
	    tcase, a_recovery_flushes_each_waiting_domain_of_the_set_once);
	tcase_add_test(tcase, what_still_waits_at_the_end_is_flushed_once_more);
	tcase_add_test(tcase, delivered_mail_is_not_asked_for);
	tcase_add_test(
	    tcase, what_one_server_said_of_a_recipient_is_not_flushed);
	tcase_add_test(tcase, a_failure_cancels_what_was_planned);
	tcase_add_test(tcase, a_failure_of_a_set_that_is_not_known_is_nothing);
	tcase_add_test(
	    tcase, a_message_put_off_after_the_recovery_is_asked_for_alone);
	tcase_add_test(
	    tcase, its_domain_is_flushed_again_a_minute_after_the_last_time);
	tcase_add_test(
	    tcase, a_message_is_asked_for_when_its_last_line_has_settled);
	tcase_add_test(
	    tcase, what_was_put_off_just_before_a_flush_is_asked_for_after_it);
	tcase_add_test(tcase, what_has_settled_before_a_flush_is_moved_by_it);
	tcase_add_test(
	    tcase, a_hopeless_message_is_asked_for_with_growing_pauses);
	tcase_add_test(tcase, a_new_domain_after_the_recovery_has_its_turn_too);
	tcase_add_test(
	    tcase, a_message_that_a_flush_moves_is_not_asked_for_as_well);
	tcase_add_test(tcase, after_the_last_flush_lines_are_only_remembered);
	tcase_add_test(tcase, a_domain_is_flushed_at_most_once_a_minute);
	tcase_add_test(tcase, the_minute_is_kept_when_all_mail_went_in_it);
	tcase_add_test(tcase, a_message_is_asked_for_at_most_every_ten_seconds);
	tcase_add_test(
	    tcase, a_recovery_is_a_new_beginning_for_a_hopeless_message);
	tcase_add_test(tcase,
	    what_was_asked_for_before_a_failure_is_not_asked_for_after_it);
	tcase_add_test(tcase, a_round_takes_turns_with_many_messages);
	tcase_add_test(
	    tcase, a_domain_that_comes_during_a_round_is_no_part_of_it);
	tcase_add_test(tcase, actions_are_paced);
	tcase_add_test(tcase, sets_and_messages_take_turns_with_a_long_round);
	tcase_add_test(
	    tcase, a_refused_domain_is_not_planned_until_that_is_forgotten);
	tcase_add_test(
	    tcase, a_domain_refused_after_it_was_planned_is_not_asked_for);
}

int
main(void)
{
	Suite *suite = suite_create("test_flush_plan");
	TCase *recoveries = tcase_create("recoveries");

	tcase_add_checked_fixture(recoveries, begin, end);
	add_recoveries(recoveries);
	suite_add_tcase(suite, recoveries);
	return suite_run(suite);
}
