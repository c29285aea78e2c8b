/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/health.h"

#include <check.h>

#include "tests/unit/health_story.h"
#include "tests/unit/suite.h"

#define START_MS STORY_START_MS

/* Where deliveries are not observed. */
#define POLICY(fall_, rise_, first_, max_)                                     \
	{                                                                      \
		.fall = (fall_), .rise = (rise_), .first_ms = (first_),        \
		.max_ms = (max_)                                               \
	}

static struct observation
seen(enum outcome outcome)
{
	struct observation observation = { .outcome = outcome,
		.stage = STAGE_GREETING,
		.source = SOURCE_PROBE,
		.silent = outcome == OUTCOME_TIMEOUT };

	return observation;
}

static const struct health_story stories[] = {
	{ "one failure defers when fall is 1", POLICY(1, 2, 10000, 600000),
	    "0F", "D", "D F1 b10000" },
	{ "fall failures in a row are needed", POLICY(3, 1, 10000, 600000),
	    "0F 10F 20F", "..D", "D F3 b10000 @20" },
	{ "a good one between failures starts the row anew, and the spelling",
	    POLICY(3, 1, 10000, 600000), "0F 10F 20G 30F 40F", ".....",
	    "U F2 r1" },
	{ "our own trouble neither counts nor breaks a row",
	    POLICY(2, 1, 10000, 600000), "0F 10L 20F", "..D",
	    "D F2 b10000 @20" },
	{ "our own trouble does not defer", POLICY(1, 1, 10000, 600000),
	    "0L 1L 2L", "...", "U" },
	{ "a probe that is not welcome is a sign of health",
	    POLICY(1, 1, 10000, 600000), "0F 10P", "DU", "U G1 @10 r1" },
	{ "rise good ones in a row bring it up before it is due",
	    POLICY(1, 3, 10000, 600000), "0F 10G 20G 30G", "D..U",
	    "U G3 @30 r1" },
	{ "a failure between good ones starts their row anew",
	    POLICY(1, 2, 10000, 600000), "0F 10G 20F 30G", "D...",
	    "D G1 b10000" },
	{ "failures before it is due count, but move no time",
	    POLICY(1, 2, 10000, 600000), "0F 5000F 9999F", "D..",
	    "D F3 b10000" },
	{ "each failure after it was due doubles the back-off",
	    POLICY(1, 2, 10000, 600000), "0F 11000F 40000F", "Ddd",
	    "D F3 b40000" },
	{ "the back-off stops at max", POLICY(1, 2, 10000, 25000),
	    "0F 11000F 40000F 80000F", "Dddd", "D F4 b25000" },
	{ "back-offs do not grow while our network is suspect",
	    { .fall = 1,
		.rise = 2,
		.first_ms = 10000,
		.max_ms = 600000,
		.hold_backoff = true },
	    "0F 11000F 40000F", "Ddd", "D F3 b10000" },
	{ "after a recovery the back-off begins at first",
	    POLICY(1, 1, 10000, 600000), "0F 11000F 12000G 13000F", "DdUD",
	    "D F1 b10000 @13000 r1 x1" },
	{ "silence is remembered", POLICY(1, 1, 10000, 600000), "0T", "D",
	    "D F1 b10000 silent" },
	{ "a host that falls silent while deferred is silent",
	    POLICY(1, 1, 10000, 600000), "0F 5T", "D.", "D F2 b10000 silent" },
	{ "a silent host that refuses in words is silent no more",
	    POLICY(1, 1, 10000, 600000), "0T 11000F", "Dd", "D F2 b20000" },
	{ "a recovery ends the silence", POLICY(1, 1, 10000, 600000), "0T 10G",
	    "DU", "U G1 @10 r1" },
	{ "good ones of a host that is up only count",
	    POLICY(1, 2, 10000, 600000), "0G 10G 20G", "...", "U G3" },
};

START_TEST(a_story_ends_as_its_row_says)
{
	story_play(&stories[_i]);
}
END_TEST

START_TEST(the_due_time_lies_within_the_backoff_and_a_tenth_more)
{
	const uint32_t firsts[] = { 1, 9, 10, 100, 10000, 600000, 604800000 };
	struct health_policy policy = POLICY(1, 1, firsts[_i], firsts[_i]);
	struct observation failed = seen(OUTCOME_REFUSED);
	struct health up = { .state = HEALTH_UP }, next;
	uint64_t wait, least = UINT64_MAX, most = 0;

	for (uint32_t seed = 0; seed < 2000; seed++) {
		health_observe(&policy, &up, &failed, START_MS, seed, &next);
		wait = next.due_ms - START_MS;
		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	ck_assert_uint_ge(least, firsts[_i]);
	ck_assert_uint_le(most, firsts[_i] + firsts[_i] / 10);
	if (firsts[_i] >= 100)
		ck_assert_uint_gt(most - least, firsts[_i] / 20);
}
END_TEST

START_TEST(at_its_due_time_a_host_is_due_and_a_moment_before_it_is_not)
{
	struct health_policy policy = POLICY(1, 1, 10000, 600000);
	struct observation failed = seen(OUTCOME_REFUSED);
	struct health deferred, next, up = { .state = HEALTH_UP };

	health_observe(&policy, &up, &failed, START_MS, 1, &deferred);
	ck_assert_int_eq(health_observe(&policy, &deferred, &failed,
			     deferred.due_ms - 1, 1, &next),
	    HEALTH_SAME);
	ck_assert_uint_eq(next.due_ms, deferred.due_ms);
	ck_assert_int_eq(health_observe(&policy, &deferred, &failed,
			     deferred.due_ms, 1, &next),
	    HEALTH_STILL_DEFERRED);
	ck_assert_uint_ge(next.due_ms, deferred.due_ms + 20000);
	ck_assert_uint_eq(next.since_ms, deferred.since_ms);
}
END_TEST

START_TEST(a_changed_policy_pulls_an_old_backoff_within_its_bounds)
{
	struct observation failed = seen(OUTCOME_REFUSED);
	struct health_policy shorter = POLICY(1, 1, 100, 1000);
	struct health_policy longer = { .fall = 1,
		.rise = 1,
		.first_ms = 50000,
		.max_ms = 600000,
		.hold_backoff = true };
	struct health old = { .state = HEALTH_DEFERRED,
		.backoff_ms = 8000,
		.due_ms = START_MS },
		      next;

	health_observe(&shorter, &old, &failed, START_MS, 1, &next);
	ck_assert_uint_eq(next.backoff_ms, 1000);
	health_observe(&longer, &old, &failed, START_MS, 1, &next);
	ck_assert_uint_eq(next.backoff_ms, 50000);
}
END_TEST

START_TEST(a_backoff_near_the_largest_number_does_not_wrap)
{
	struct observation failed = seen(OUTCOME_REFUSED);
	struct health_policy policy = POLICY(1, 1, 1, UINT32_MAX);
	struct health old = { .state = HEALTH_DEFERRED,
		.failures = UINT32_MAX,
		.backoff_ms = UINT32_MAX - 5,
		.due_ms = START_MS },
		      next;

	health_observe(&policy, &old, &failed, START_MS, 1, &next);
	ck_assert_uint_eq(next.backoff_ms, UINT32_MAX);
	ck_assert_uint_eq(next.failures, UINT32_MAX);
	ck_assert_uint_ge(next.due_ms, START_MS + UINT32_MAX);
}
END_TEST

START_TEST(a_failed_trial_defers_again_with_twice_the_backoff)
{
	struct observation failed = seen(OUTCOME_REFUSED);
	struct health_policy policy = POLICY(3, 2, 10000, 600000);
	struct health trial = { .state = HEALTH_TRIAL,
		.backoff_ms = 10000,
		.since_ms = START_MS },
		      next;

	ck_assert_int_eq(
	    health_observe(&policy, &trial, &failed, START_MS + 500, 1, &next),
	    HEALTH_STILL_DEFERRED);
	ck_assert_int_eq(next.state, HEALTH_DEFERRED);
	ck_assert_uint_eq(next.backoff_ms, 20000);
	ck_assert_uint_eq(next.since_ms, START_MS + 500);
}
END_TEST

START_TEST(recoveries_wrap_and_every_recovery_changes_them)
{
	struct health_policy policy = POLICY(1, 1, 10, 10);
	struct observation failed = seen(OUTCOME_LOST), good = seen(OUTCOME_OK);
	struct health health = { .state = HEALTH_UP };

	for (unsigned i = 1; i <= 600; i++) {
		/* So far apart that it does not flap. */
		uint64_t now_ms = i * (HEALTH_AGAIN_MS + 1);

		health_observe(&policy, &health, &failed, now_ms, i, &health);
		health_observe(&policy, &health, &good, now_ms, i, &health);
		ck_assert_uint_eq(health.recoveries, i % 256);
	}
}
END_TEST

START_TEST(the_old_state_is_left_alone)
{
	struct health_policy policy = POLICY(1, 1, 10000, 600000);
	struct observation failed = seen(OUTCOME_TIMEOUT);
	struct health old = { .successes = 5 }, next;

	health_observe(&policy, &old, &failed, START_MS, 1, &next);
	ck_assert_int_eq(old.state, HEALTH_UP);
	ck_assert_uint_eq(old.successes, 5);
	ck_assert_int_eq(next.state, HEALTH_DEFERRED);
}
END_TEST

static const struct {
	enum health_state state;
	uint32_t backoff_ms, interval_ms, wait_ms;
} waits[] = {
	{ HEALTH_UP, 0, 30000, 30000 },
	{ HEALTH_DEFERRED, 10000, 30000, 10000 },
	{ HEALTH_DEFERRED, 30000, 30000, 30000 },
	{ HEALTH_DEFERRED, 600000, 30000, 30000 },
	{ HEALTH_DEFERRED, 0, 30000, 30000 },
	{ HEALTH_TRIAL, 10000, 30000, 10000 },
};

START_TEST(a_host_is_probed_after_the_wait_of_its_row)
{
	struct health health = { .state = waits[_i].state,
		.backoff_ms = waits[_i].backoff_ms };

	ck_assert_uint_eq(health_probe_wait(&health, waits[_i].interval_ms),
	    waits[_i].wait_ms);
}
END_TEST

START_TEST(states_and_overrides_have_the_names_of_the_manual)
{
	ck_assert_str_eq(health_state_name(HEALTH_UP), "up");
	ck_assert_str_eq(health_state_name(HEALTH_DEFERRED), "deferred");
	ck_assert_str_eq(health_state_name(HEALTH_TRIAL), "trial");
	ck_assert_str_eq(health_override_name(OVERRIDE_NONE), "none");
	ck_assert_str_eq(health_override_name(OVERRIDE_DRAIN), "drain");
	ck_assert_str_eq(health_override_name(OVERRIDE_DISABLED), "disabled");
	ck_assert_str_eq(health_override_name(OVERRIDE_FORCED_UP), "forced-up");
}
END_TEST

static Suite *
health_suite(void)
{
	Suite *suite = suite_create("health");
	TCase *observing = tcase_create("observing");
	TCase *waiting = tcase_create("waiting");

	tcase_add_loop_test(
	    observing, a_story_ends_as_its_row_says, 0, (int)NELEM(stories));
	tcase_add_loop_test(observing,
	    the_due_time_lies_within_the_backoff_and_a_tenth_more, 0, 7);
	tcase_add_test(observing,
	    at_its_due_time_a_host_is_due_and_a_moment_before_it_is_not);
	tcase_add_test(
	    observing, a_changed_policy_pulls_an_old_backoff_within_its_bounds);
	tcase_add_test(
	    observing, a_backoff_near_the_largest_number_does_not_wrap);
	tcase_add_test(
	    observing, a_failed_trial_defers_again_with_twice_the_backoff);
	tcase_add_test(
	    observing, recoveries_wrap_and_every_recovery_changes_them);
	tcase_add_test(observing, the_old_state_is_left_alone);
	suite_add_tcase(suite, observing);
	tcase_add_loop_test(waiting, a_host_is_probed_after_the_wait_of_its_row,
	    0, (int)NELEM(waits));
	tcase_add_test(
	    waiting, states_and_overrides_have_the_names_of_the_manual);
	suite_add_tcase(suite, waiting);
	return suite;
}

int
main(void)
{
	return suite_run(health_suite());
}
