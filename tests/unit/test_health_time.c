/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/health.h"

#include <check.h>

#include "tests/unit/health_story.h"
#include "tests/unit/suite.h"

#define START_MS STORY_START_MS

START_TEST(a_trial_has_patience_from_its_beginning)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = { .since_ms = START_MS };
	uint64_t due_ms;

	(void)story_step(&policy, 'e', START_MS, &health);
	due_ms = health.due_ms;
	ck_assert_int_eq(
	    story_step(&policy, '!', due_ms - 1, &health), HEALTH_SAME);
	ck_assert_int_eq(
	    story_step(&policy, '!', due_ms, &health), HEALTH_WENT_TRIAL);
	ck_assert_uint_eq(health.due_ms, due_ms + HEALTH_PATIENCE_MS);
	/* Its patience is over: that is the asker's matter, not the tick's. */
	due_ms = health.due_ms;
	ck_assert_int_eq(
	    story_step(&policy, '!', due_ms + 99999, &health), HEALTH_SAME);
	ck_assert_int_eq(health.state, HEALTH_TRIAL);
	ck_assert_uint_eq(health.due_ms, due_ms);
}
END_TEST

START_TEST(a_damped_host_is_due_at_its_time_and_not_a_moment_before)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = { .state = HEALTH_DEFERRED,
		.backoff_ms = 20000,
		.flaps = HEALTH_FLAPS_FREE + 1,
		.successes = 1,
		.due_ms = START_MS };

	ck_assert_int_eq(
	    story_step(&policy, '!', START_MS - 1, &health), HEALTH_SAME);
	ck_assert_int_eq(
	    story_step(&policy, '!', START_MS, &health), HEALTH_WENT_UP);
}
END_TEST

START_TEST(a_trial_is_not_the_probes_whatever_led_to_it)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = {
		.state = HEALTH_TRIAL, .backoff_ms = 20000, .due_ms = START_MS
	};

	ck_assert_int_eq(
	    story_step(&policy, 'G', START_MS, &health), HEALTH_SAME);
	ck_assert_int_eq(
	    story_step(&policy, '!', START_MS, &health), HEALTH_SAME);
	ck_assert_int_eq(health.state, HEALTH_TRIAL);
}
END_TEST

START_TEST(where_the_probe_decides_at_last_the_time_is_over)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health trial = { .state = HEALTH_TRIAL,
		.backoff_ms = 10000,
		.unheard = HEALTH_UNHEARD_MAX - 1,
		.due_ms = START_MS + 50000,
		.blind = true },
		      next;

	ck_assert_int_eq(
	    health_unheard(&policy, &trial, false, START_MS, 1, &next),
	    HEALTH_STILL_DEFERRED);
	ck_assert_uint_eq(next.due_ms, START_MS);
	policy.observed = false;
	(void)health_tick(&policy, &trial, START_MS, &next);
	ck_assert_uint_eq(next.due_ms, START_MS);
}
END_TEST

/* Up since START_MS at the first step of a ramp of 8 s. */
static const struct {
	uint64_t now_ms;
	uint8_t step;
} ramp[] = {
	{ START_MS - 5000, 1 }, /* the clock was set back */
	{ START_MS, 1 },
	{ START_MS + 999, 1 },
	{ START_MS + 1000, 2 },
	{ START_MS + 6999, 7 },
	{ START_MS + 7000, 8 },
	{ START_MS + 7999, 8 },
	{ START_MS + 8000, 0 },
	{ UINT64_MAX, 0 },
};

START_TEST(a_slow_start_follows_the_time_since_the_recovery)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = { .since_ms = START_MS, .slow_step = 1 };

	policy.slow_start_ms = 8000;
	ck_assert_int_eq(
	    health_tick(&policy, &health, ramp[_i].now_ms, &health),
	    HEALTH_SAME);
	ck_assert_uint_eq(health.slow_step, ramp[_i].step);
	policy.slow_start_ms = 0;
	(void)health_tick(&policy, &health, START_MS, &health);
	ck_assert_uint_eq(health.slow_step, 0);
}
END_TEST

START_TEST(a_slow_start_begins_with_a_recovery_and_ends_with_a_fall)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = { .since_ms = START_MS };

	policy.slow_start_ms = UINT32_MAX;
	(void)health_tick(&policy, &health, START_MS, &health);
	ck_assert_uint_eq(health.slow_step, 0);
	(void)story_step(&policy, 'F', START_MS, &health);
	(void)story_step(&policy, 'G', START_MS, &health);
	ck_assert_uint_eq(health.slow_step, 1);
	(void)health_tick(&policy, &health, START_MS + UINT32_MAX / 2, &health);
	ck_assert_uint_eq(health.slow_step, 4);
	(void)story_step(&policy, 'F', START_MS, &health);
	ck_assert_uint_eq(health.slow_step, 0);
	policy.alone = true;
	(void)story_step(&policy, 'G', START_MS, &health);
	ck_assert_int_eq(health.state, HEALTH_UP);
	ck_assert_uint_eq(health.slow_step, 0);
}
END_TEST

static const struct {
	struct health health;
	bool waiting;
} waits[] = {
	{ { .state = HEALTH_UP }, false },
	{ { .state = HEALTH_UP, .failures = 1, .recoveries = 7 }, false },
	{ { .state = HEALTH_UP, .slow_step = 1 }, true },
	{ { .state = HEALTH_UP, .flaps = 1 }, true },
	{ { .state = HEALTH_UP, .overruled = true }, true },
	{ { .state = HEALTH_DEFERRED }, true },
	{ { .state = HEALTH_TRIAL }, true },
};

START_TEST(only_some_hosts_wait_for_the_time)
{
	ck_assert_int_eq(
	    health_is_waiting(&waits[_i].health), waits[_i].waiting);
}
END_TEST

START_TEST(counters_stop_at_their_end)
{
	struct health_policy policy = STORY_SEEN(UINT32_MAX, UINT32_MAX);
	struct health full = { .since_ms = START_MS,
		.failures = UINT32_MAX,
		.successes = UINT32_MAX,
		.delivery_failures = UINT32_MAX,
		.delivery_successes = UINT32_MAX,
		.flaps = UINT8_MAX,
		.rose_by = SOURCE_PROBE },
		      next;

	(void)story_step(
	    &policy, 'G', START_MS, memcpy(&next, &full, sizeof(next)));
	ck_assert_uint_eq(next.successes, UINT32_MAX);
	(void)story_step(
	    &policy, 'g', START_MS, memcpy(&next, &full, sizeof(next)));
	ck_assert_uint_eq(next.delivery_successes, UINT32_MAX);
	(void)story_step(
	    &policy, 'F', START_MS, memcpy(&next, &full, sizeof(next)));
	ck_assert_uint_eq(next.failures, UINT32_MAX);
	ck_assert_int_eq(next.state, HEALTH_DEFERRED);
	ck_assert_uint_eq(next.flaps, UINT8_MAX);
	ck_assert_uint_eq(next.backoff_ms, policy.max_ms);
	(void)story_step(
	    &policy, 'e', START_MS, memcpy(&next, &full, sizeof(next)));
	ck_assert_uint_eq(next.delivery_failures, UINT32_MAX);
}
END_TEST

START_TEST(a_clock_that_was_set_back_makes_things_young)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = { .since_ms = START_MS };

	(void)story_step(&policy, 'F', START_MS, &health);
	(void)story_step(&policy, 'G', START_MS, &health);
	(void)story_step(&policy, 'F', START_MS - 1000, &health);
	ck_assert_uint_eq(health.flaps, 1);
	(void)story_step(&policy, 'G', START_MS - 2000, &health);
	(void)health_tick(&policy, &health, START_MS - 3000, &health);
	ck_assert_uint_eq(health.flaps, 1);
}
END_TEST

static Suite *
health_time_suite(void)
{
	Suite *suite = suite_create("health_time");
	TCase *all = tcase_create("time");

	tcase_add_test(all, a_trial_has_patience_from_its_beginning);
	tcase_add_test(
	    all, a_damped_host_is_due_at_its_time_and_not_a_moment_before);
	tcase_add_test(all, a_trial_is_not_the_probes_whatever_led_to_it);
	tcase_add_test(all, where_the_probe_decides_at_last_the_time_is_over);
	tcase_add_loop_test(all,
	    a_slow_start_follows_the_time_since_the_recovery, 0,
	    (int)NELEM(ramp));
	tcase_add_test(
	    all, a_slow_start_begins_with_a_recovery_and_ends_with_a_fall);
	tcase_add_loop_test(
	    all, only_some_hosts_wait_for_the_time, 0, (int)NELEM(waits));
	tcase_add_test(all, counters_stop_at_their_end);
	tcase_add_test(all, a_clock_that_was_set_back_makes_things_young);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(health_time_suite());
}
