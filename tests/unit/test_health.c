/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/health.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define START_MS UINT64_C(1000000)

static struct observation
seen(enum outcome outcome)
{
	struct observation observation = { .outcome = outcome,
		.stage = STAGE_GREETING,
		.source = SOURCE_PROBE,
		.silent = outcome == OUTCOME_TIMEOUT };

	return observation;
}

/*
 * A story: each letter is an observation (F failed, T timed out, G good,
 * P the probe is not welcome, L trouble of our own), the number before it says
 * when, in milliseconds since the story began. After each one: what changed
 * (. same, D went deferred, d still deferred, U went up).
 */
struct story {
	const char *name;
	struct health_policy policy;
	const char *observations;
	const char *changes;
	struct health end; /* since_ms from the beginning; due_ms: 0 or not */
};

static const struct story stories[] = {
	{ "one failure defers when fall is 1", { 1, 2, 10000, 600000, false },
	    "0F", "D",
	    { .state = HEALTH_DEFERRED,
		.failures = 1,
		.backoff_ms = 10000,
		.due_ms = 1 } },
	{ "fall failures in a row are needed", { 3, 1, 10000, 600000, false },
	    "0F 10F 20F", "..D",
	    { .state = HEALTH_DEFERRED,
		.failures = 3,
		.backoff_ms = 10000,
		.since_ms = 20,
		.due_ms = 1 } },
	{ "a good one between failures starts the row anew, and the spelling",
	    { 3, 1, 10000, 600000, false }, "0F 10F 20G 30F 40F", ".....",
	    { .state = HEALTH_UP, .failures = 2, .recoveries = 1 } },
	{ "our own trouble neither counts nor breaks a row",
	    { 2, 1, 10000, 600000, false }, "0F 10L 20F", "..D",
	    { .state = HEALTH_DEFERRED,
		.failures = 2,
		.backoff_ms = 10000,
		.since_ms = 20,
		.due_ms = 1 } },
	{ "our own trouble does not defer", { 1, 1, 10000, 600000, false },
	    "0L 1L 2L", "...", { .state = HEALTH_UP } },
	{ "a probe that is not welcome is a sign of health",
	    { 1, 1, 10000, 600000, false }, "0F 10P", "DU",
	    { .state = HEALTH_UP,
		.successes = 1,
		.since_ms = 10,
		.recoveries = 1 } },
	{ "rise good ones in a row bring it up before it is due",
	    { 1, 3, 10000, 600000, false }, "0F 10G 20G 30G", "D..U",
	    { .state = HEALTH_UP,
		.successes = 3,
		.since_ms = 30,
		.recoveries = 1 } },
	{ "a failure between good ones starts their row anew",
	    { 1, 2, 10000, 600000, false }, "0F 10G 20F 30G", "D...",
	    { .state = HEALTH_DEFERRED,
		.successes = 1,
		.backoff_ms = 10000,
		.due_ms = 1 } },
	{ "failures before it is due count, but move no time",
	    { 1, 2, 10000, 600000, false }, "0F 5000F 9999F", "D..",
	    { .state = HEALTH_DEFERRED,
		.failures = 3,
		.backoff_ms = 10000,
		.due_ms = 1 } },
	{ "each failure after it was due doubles the back-off",
	    { 1, 2, 10000, 600000, false }, "0F 11000F 40000F", "Ddd",
	    { .state = HEALTH_DEFERRED,
		.failures = 3,
		.backoff_ms = 40000,
		.due_ms = 1 } },
	{ "the back-off stops at max", { 1, 2, 10000, 25000, false },
	    "0F 11000F 40000F 80000F", "Dddd",
	    { .state = HEALTH_DEFERRED,
		.failures = 4,
		.backoff_ms = 25000,
		.due_ms = 1 } },
	{ "back-offs do not grow while our network is suspect",
	    { 1, 2, 10000, 600000, true }, "0F 11000F 40000F", "Ddd",
	    { .state = HEALTH_DEFERRED,
		.failures = 3,
		.backoff_ms = 10000,
		.due_ms = 1 } },
	{ "after a recovery the back-off begins at first",
	    { 1, 1, 10000, 600000, false }, "0F 11000F 12000G 13000F", "DdUD",
	    { .state = HEALTH_DEFERRED,
		.failures = 1,
		.backoff_ms = 10000,
		.since_ms = 13000,
		.recoveries = 1,
		.due_ms = 1 } },
	{ "silence is remembered", { 1, 1, 10000, 600000, false }, "0T", "D",
	    { .state = HEALTH_DEFERRED,
		.failures = 1,
		.backoff_ms = 10000,
		.silent = true,
		.due_ms = 1 } },
	{ "a host that falls silent while deferred is silent",
	    { 1, 1, 10000, 600000, false }, "0F 5T", "D.",
	    { .state = HEALTH_DEFERRED,
		.failures = 2,
		.backoff_ms = 10000,
		.silent = true,
		.due_ms = 1 } },
	{ "a silent host that refuses in words is silent no more",
	    { 1, 1, 10000, 600000, false }, "0T 11000F", "Dd",
	    { .state = HEALTH_DEFERRED,
		.failures = 2,
		.backoff_ms = 20000,
		.due_ms = 1 } },
	{ "a recovery ends the silence", { 1, 1, 10000, 600000, false },
	    "0T 10G", "DU",
	    { .state = HEALTH_UP,
		.successes = 1,
		.since_ms = 10,
		.recoveries = 1 } },
	{ "good ones of a host that is up only count",
	    { 1, 2, 10000, 600000, false }, "0G 10G 20G", "...",
	    { .state = HEALTH_UP, .successes = 3 } },
};

static enum outcome
outcome_of(char letter)
{
	switch (letter) {
	case 'F':
		return OUTCOME_TEMPORARY;
	case 'T':
		return OUTCOME_TIMEOUT;
	case 'G':
		return OUTCOME_OK;
	case 'P':
		return OUTCOME_POLICY;
	case 'L':
		return OUTCOME_LOCAL;
	}
	ck_abort_msg("no such letter: %c", letter);
	return OUTCOME_COUNT;
}

static void
must_be(const struct story *story, const struct health *health)
{
	const struct health *end = &story->end;

	ck_assert_msg(health->state == end->state, "%s: state %s", story->name,
	    health_state_name(health->state));
	ck_assert_msg(health->failures == end->failures, "%s: failures %u",
	    story->name, health->failures);
	ck_assert_msg(health->successes == end->successes, "%s: successes %u",
	    story->name, health->successes);
	ck_assert_msg(health->backoff_ms == end->backoff_ms, "%s: back-off %u",
	    story->name, health->backoff_ms);
	ck_assert_msg(health->recoveries == end->recoveries,
	    "%s: recoveries %u", story->name, health->recoveries);
	ck_assert_msg(health->silent == end->silent, "%s: silent %d",
	    story->name, health->silent);
	ck_assert_msg(health->since_ms == START_MS + end->since_ms,
	    "%s: since %lld", story->name,
	    (long long)(health->since_ms - START_MS));
	ck_assert_msg((health->due_ms != 0) == (end->due_ms != 0), "%s: due %u",
	    story->name, (unsigned)health->due_ms);
}

START_TEST(a_story_ends_as_its_row_says)
{
	const struct story *story = &stories[_i];
	struct health health = { .since_ms = START_MS };
	const char *at = story->observations;
	struct observation observation;
	enum health_change change;
	char *letter;
	uint64_t ms;

	for (size_t i = 0; *at != '\0'; i++) {
		ms = strtoull(at, &letter, 10);
		observation = seen(outcome_of(*letter));
		change = health_observe(&story->policy, &health, &observation,
		    START_MS + ms, 7, &health);
		ck_assert_msg(".DdU"[change] == story->changes[i],
		    "%s: observation %zu changed %c", story->name, i,
		    ".DdU"[change]);
		at = letter + 1 + strspn(letter + 1, " ");
	}
	must_be(story, &health);
}
END_TEST

START_TEST(the_due_time_lies_within_the_backoff_and_a_tenth_more)
{
	const uint32_t firsts[] = { 1, 9, 10, 100, 10000, 600000, 604800000 };
	struct health_policy policy = { 1, 1, firsts[_i], firsts[_i], false };
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
	struct health_policy policy = { 1, 1, 10000, 600000, false };
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
	struct health_policy shorter = { 1, 1, 100, 1000, false };
	struct health_policy longer = { 1, 1, 50000, 600000, true };
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
	struct health_policy policy = { 1, 1, 1, UINT32_MAX, false };
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
	struct health_policy policy = { 3, 2, 10000, 600000, false };
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
	struct health_policy policy = { 1, 1, 10, 10, false };
	struct observation failed = seen(OUTCOME_LOST), good = seen(OUTCOME_OK);
	struct health health = { .state = HEALTH_UP };

	for (unsigned i = 1; i <= 600; i++) {
		health_observe(&policy, &health, &failed, i, i, &health);
		health_observe(&policy, &health, &good, i, i, &health);
		ck_assert_uint_eq(health.recoveries, i % 256);
	}
}
END_TEST

START_TEST(the_old_state_is_left_alone)
{
	struct health_policy policy = { 1, 1, 10000, 600000, false };
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
