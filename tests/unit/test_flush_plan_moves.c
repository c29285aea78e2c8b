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

/* a.test and b.test have another set now, c.test the same, no other any. */
static bool
find_moved(const void *arg, const char *domain, uint64_t *set_r)
{
	ck_assert_ptr_eq(arg, plan);
	*set_r = domain[0] == 'c' ? SET : SET + 1;
	return domain[0] <= 'c';
}

static void
move(void)
{
	flush_plan_move(plan, find_moved, plan);
}

START_TEST(a_domain_waits_for_the_set_that_its_route_has_after_a_reload)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	wait_for("Q3", "u@c.test");
	move();
	check_counts(3, 3);
	ck_assert(flush_plan_has_moved(plan, SET + 1));
	ck_assert(!flush_plan_has_moved(plan, SET));
	ck_assert(!flush_plan_has_moved(plan, SET + 2));
	ck_assert_str_eq(run(1000), "");
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	ck_assert(!flush_plan_has_moved(plan, SET + 1));
	ck_assert_str_eq(run(2000), "1000 D a.test|1020 D b.test|");
	recover();
	ck_assert_str_eq(run(3000), "2000 D c.test|");
}
END_TEST

START_TEST(what_no_set_serves_after_a_reload_is_forgotten)
{
	wait_for("Q1", "u@x.test");
	wait_for("Q1", "u@y.test");
	hear(SET + 1, "u@z.test", "Q2", false);
	move();
	check_counts(0, 0);
	ck_assert(!flush_plan_has_moved(plan, SET + 1));
	recover();
	ck_assert_str_eq(run(AGAIN), "");
}
END_TEST

START_TEST(messages_are_known_where_their_domain_waits)
{
	struct address address = address_of("u@a.test");

	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	wait_for("Q3", "v@a.test");
	move();
	check_counts(2, 3);
	hear(SET + 1, "v@a.test", "Q3", true);
	check_counts(2, 3);
	gone("Q1", "u@a.test"); /* of a set that knows it no more */
	check_counts(2, 3);
	flush_plan_gone(plan, SET + 1, &address, "Q1");
	check_counts(2, 2);
	now_ms += AGAIN;
	ck_assert_str_eq(take_one(SET), "none");
	ck_assert_str_eq(take_one(SET + 1), "Q2 u@b.test");
	ck_assert_str_eq(take_one(SET + 1), "Q3 v@a.test");
	ck_assert_str_eq(take_one(SET + 1), "none");
}
END_TEST

/* Whatever set it was, by the time of its last line. */
START_TEST(those_that_move_are_taken_for_a_trial_in_their_order)
{
	wait_for("Q1", "u@a.test");
	hear(SET + 2, "u@b.test", "Q2", true);
	wait_for("Q3", "v@a.test");
	hear(SET + 2, "v@b.test", "Q4", true);
	wait_for("Q1", "u@a.test");
	move();
	now_ms += AGAIN;
	ck_assert_str_eq(take_one(SET + 1), "Q2 u@b.test");
	ck_assert_str_eq(take_one(SET + 1), "Q3 v@a.test");
	ck_assert_str_eq(take_one(SET + 1), "Q4 v@b.test");
	ck_assert_str_eq(take_one(SET + 1), "Q1 u@a.test");
}
END_TEST

START_TEST(what_was_planned_for_the_old_set_is_not_done_for_the_new_one)
{
	wait_for("Q1", "u@a.test");
	recover();
	ck_assert_str_eq(run(1000), "0 D a.test|");
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	ck_assert_str_eq(run(1000), "");
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	move();
	ck_assert_str_eq(run(AGAIN), "");
	ck_assert_str_eq(run(AGAIN * 2), "601000 D a.test|601020 D b.test|");
}
END_TEST

START_TEST(the_minute_between_two_flushes_outlives_a_reload)
{
	wait_for("Q1", "u@a.test");
	recover();
	ck_assert_str_eq(run(1000), "0 D a.test|");
	wait_for("Q2", "u@a.test");
	move();
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	ck_assert_str_eq(run(70000), "2000 M Q2|60000 D a.test|");
}
END_TEST

START_TEST(a_round_under_way_ends_with_the_domains_that_leave_it)
{
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	wait_for("Q3", "u@x.test");
	recover();
	ck_assert_str_eq(run(10), "0 D a.test|");
	move();
	ck_assert_str_eq(run(AGAIN * 2), "");
	check_counts(2, 2);
}
END_TEST

START_TEST(only_mail_that_waits_for_hosts_is_worth_a_flush_of_its_new_set)
{
	hear(SET, "u@a.test", "Q1", false);
	move();
	check_counts(1, 1);
	ck_assert(!flush_plan_has_moved(plan, SET + 1));
	now_ms += AGAIN;
	ck_assert_str_eq(take_one(SET + 1), "Q1 u@a.test");
}
END_TEST

START_TEST(a_domain_that_the_new_set_knows_is_one_there)
{
	hear(SET + 1, "u@a.test", "Q1", false);
	wait_for("Q2", "u@a.test");
	move();
	check_counts(1, 1);
	now_ms = T0;
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	ck_assert_str_eq(run(1000), "0 D a.test|");
	check_counts(1, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_flush_plan_moves");
	TCase *tcase = tcase_create("moves");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase,
	    a_domain_waits_for_the_set_that_its_route_has_after_a_reload);
	tcase_add_test(tcase, what_no_set_serves_after_a_reload_is_forgotten);
	tcase_add_test(tcase, messages_are_known_where_their_domain_waits);
	tcase_add_test(
	    tcase, those_that_move_are_taken_for_a_trial_in_their_order);
	tcase_add_test(tcase,
	    what_was_planned_for_the_old_set_is_not_done_for_the_new_one);
	tcase_add_test(tcase, the_minute_between_two_flushes_outlives_a_reload);
	tcase_add_test(
	    tcase, a_round_under_way_ends_with_the_domains_that_leave_it);
	tcase_add_test(tcase,
	    only_mail_that_waits_for_hosts_is_worth_a_flush_of_its_new_set);
	tcase_add_test(tcase, a_domain_that_the_new_set_knows_is_one_there);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
