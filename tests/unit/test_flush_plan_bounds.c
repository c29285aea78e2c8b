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

/* -- bounds --------------------------------------------------------------- */

static void
gone_many(const char *domain, unsigned n)
{
	char to[64], queue_id[16];

	for (unsigned i = 0; i < n; i++) {
		snprintf(to, sizeof(to), "u%u@%s", i, domain);
		snprintf(queue_id, sizeof(queue_id), "Q%u", i);
		gone(queue_id, to);
	}
}

START_TEST(messages_beyond_the_limit_are_moved_with_their_domain)
{
	wait_many("a.test", 0, FLUSH_MESSAGES_MAX + 1);
	check_counts(1, FLUSH_MESSAGES_MAX);
	gone_many("a.test", FLUSH_MESSAGES_MAX);
	check_counts(1, 0);
	recover();
	ck_assert_str_eq(run(1000), "0 D a.test|");
	check_counts(0, 0);
	ck_assert_str_eq(run(AGAIN * 2), "");
}
END_TEST

START_TEST(what_is_not_remembered_may_have_been_too_late_for_a_flush)
{
	now_ms = T0 - FLUSH_SETTLE_MS / 2;
	wait_many("a.test", 0, FLUSH_MESSAGES_MAX + 1);
	gone_many("a.test", FLUSH_MESSAGES_MAX);
	recover();
	ck_assert_str_eq(run(AGAIN - 1), "0 D a.test|60000 D a.test|");
	check_counts(0, 0);
}
END_TEST

START_TEST(too_many_lines_after_the_recovery_bring_the_domain_forward)
{
	recover();
	run(100);
	wait_many("a.test", 0, FLUSH_MESSAGES_MAX);
	ck_assert_str_eq(run(200), "");
	wait_many("a.test", FLUSH_MESSAGES_MAX, 1);
	ck_assert_str_eq(run(1299), "1200 D a.test|");
	/* That moved them all. */
	ck_assert_str_eq(run(AGAIN - 1), "");
}
END_TEST

START_TEST(forty_thousand_domains_are_flushed_one_by_one)
{
	struct flush_step step;
	uint32_t wait, n = 0, sum = 0;
	char to[32];

	for (int i = 0; i < 40000; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		wait_for("Q1", to);
	}
	check_counts(40000, 40000);
	now_ms = T0;
	flush_plan_recovered(plan, SET, now_ms, 86400000);
	while (n < 40000) {
		if (flush_plan_next(plan, now_ms, &step, &wait) ==
		    FLUSH_DOMAIN) {
			n++;
			sum += (uint32_t)atoi(step.what);
		}
		now_ms += wait;
	}
	ck_assert_uint_eq(now_ms, T0 + 40000 * FLUSH_PACE_MS);
	ck_assert_uint_eq(sum, 40000u * 39999u / 2);
}
END_TEST

/* Looking through what is refused must not hold the loop up. */
START_TEST(a_round_with_nothing_to_do_is_looked_through_bit_by_bit)
{
	struct flush_step step;
	uint32_t wait, n = 0;
	char to[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		wait_for("Q1", to);
		flush_plan_refuse(plan, to + 2);
	}
	wait_for("Q1", "u@z.test");
	recover();
	while (flush_plan_next(plan, now_ms, &step, &wait) == FLUSH_NOTHING) {
		ck_assert_uint_eq(wait, 1);
		n++;
	}
	ck_assert_str_eq(step.what, "z.test");
	ck_assert_uint_ge(n, 10);
}
END_TEST

START_TEST(there_are_never_too_many_domains_and_each_has_a_message)
{
	char to[32];
	uint32_t d, m;

	wait_for("Q1", "u@first.test");
	wait_for("Q1", "u@second.test");
	wait_for("Q1", "u@first.test");
	for (int i = 0; i < FLUSH_DOMAINS_MAX - 1; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		hear((uint64_t)i + 100, to, "Q1", true);
		hear((uint64_t)i + 100, to, "Q2", true);
	}
	flush_plan_count(plan, &d, &m);
	ck_assert_uint_eq(d, FLUSH_DOMAINS_MAX);
	ck_assert_uint_le(m, FLUSH_ALL_MAX);
	ck_assert_uint_gt(m, FLUSH_ALL_MAX * 9 / 10);
	now_ms += FLUSH_MEMORY_MS;
	/* The one longest unheard of gave way. */
	ck_assert_str_eq(take_one(SET), "Q1 u@first.test");
	ck_assert_str_eq(take_one(SET), "none");
	ck_assert_str_ne(take_one(FLUSH_DOMAINS_MAX + 98), "none");
}
END_TEST

static bool
find_one_set(const void *arg, const char *domain, uint64_t *set_r)
{
	(void)arg;
	(void)domain;
	*set_r = SET;
	return true;
}

START_TEST(as_many_domains_as_there_may_be_move_to_one_set)
{
	char to[32];
	uint32_t d, m;

	/* One place is for the set that they move to. */
	for (int i = 0; i < FLUSH_DOMAINS_MAX - 1; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		hear((uint64_t)i + 100, to, "Q1", true);
	}
	flush_plan_move(plan, find_one_set, NULL);
	flush_plan_count(plan, &d, &m);
	ck_assert_uint_eq(d, FLUSH_DOMAINS_MAX - 1);
	ck_assert_uint_eq(m, FLUSH_DOMAINS_MAX - 1);
	recover();
	ck_assert_str_eq(run(20), "0 D 0.test|20 D 1.test|");
}
END_TEST

static bool
find_another_set(const void *arg, const char *domain, uint64_t *set_r)
{
	(void)domain;
	memcpy(set_r, arg, sizeof(*set_r));
	return true;
}

START_TEST(a_set_that_its_last_domain_leaves_takes_no_room)
{
	wait_for("Q1", "u@a.test");
	for (uint64_t set = 100; set < 100 + FLUSH_DOMAINS_MAX; set++)
		flush_plan_move(plan, find_another_set, &set);
	check_counts(1, 1);
}
END_TEST

START_TEST(one_domain_does_not_take_the_room_of_all)
{
	char domain[32];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(domain, sizeof(domain), "%u.test", i);
		wait_many(domain, 0, FLUSH_MESSAGES_MAX);
	}
	check_counts(
	    200, FLUSH_ALL_MAX / 2 +
		     FLUSH_MESSAGES_FEW *
			 (200 - FLUSH_ALL_MAX / 2 / FLUSH_MESSAGES_MAX));
}
END_TEST

START_TEST(a_message_that_was_removed_from_the_queue_is_forgotten)
{
	wait_for("Q1", "u@a.test");
	now_ms += FLUSH_FORGET_MS;
	wait_for("Q2", "u@b.test");
	check_counts(2, 2);
	now_ms++;
	wait_for("Q2", "u@b.test");
	check_counts(1, 1);
}
END_TEST

START_TEST(what_comes_and_goes_takes_no_room)
{
	char to[32];

	wait_for("Q1", "u@first.test");
	for (int i = 0; i < FLUSH_DOMAINS_MAX + 10; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		wait_for("Q1", to);
		gone("Q1", to);
		flush_plan_recovered(plan, (uint64_t)i + 100, now_ms, AGAIN);
		flush_plan_failed(plan, (uint64_t)i + 100);
	}
	check_counts(1, 1);
	hear(1, "u@last.test", "Q1", true);
	check_counts(2, 2);
}
END_TEST

START_TEST(a_domain_refused_often_takes_one_place)
{
	for (int i = 0; i < FLUSH_DOMAINS_MAX; i++)
		flush_plan_refuse(plan, "a.test");
	flush_plan_refuse(plan, "b.test");
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	recover();
	ck_assert_str_eq(run(1000), "");
}
END_TEST

/* The last domain of a set goes while its last round is still to come. */
START_TEST(a_set_may_be_emptied_in_a_round)
{
	struct flush_step step;
	struct address address = address_of("u@b.test");
	uint32_t wait;

	wait_for("Q1", "u@a.test");
	hear(SET + 1, "u@b.test", "Q2", true);
	recover();
	flush_plan_recovered(plan, SET + 1, now_ms, AGAIN);
	run(AGAIN - 1);
	/* Either of the two kinds of things to do may be first. */
	if (_i == 1)
		(void)flush_plan_next(plan, now_ms, &step, &wait);
	now_ms = T0 + AGAIN;
	ck_assert_int_eq(
	    flush_plan_next(plan, now_ms, &step, &wait), FLUSH_DOMAIN);
	ck_assert_str_eq(step.what, "a.test");
	flush_plan_gone(plan, SET + 1, &address, "Q2");
	ck_assert_str_eq(run(AGAIN * 2), "");
	check_counts(1, 1);
}
END_TEST

START_TEST(a_queue_id_that_is_none_is_not_remembered)
{
	char to[TO_MAX + 64] = "u@a.test";

	wait_for("", "u@a.test");
	wait_for("0123456789012345678901234567890123456789", "u@a.test");
	check_counts(0, 0);
	memset(to, 'u', ADDRESS_LOCAL_MAX + ADDRESS_DOMAIN_MAX + 10);
	strcpy(to + ADDRESS_LOCAL_MAX + ADDRESS_DOMAIN_MAX + 10, "@a.test");
	wait_for("Q1", to);
	check_counts(0, 0);
	gone("Q1", "u@a.test");
	wait_for("0123456789012345678901234567890", "u@a.test");
	check_counts(1, 1);
}
END_TEST

START_TEST(all_zero_is_freed_as_nothing)
{
	struct flush_plan *none = NULL;

	flush_plan_free(&none);
}
END_TEST

/* -- whatever happens ------------------------------------------------------ */

#define SETS	 3
#define DOMAINS	 4 /* of each set */
#define MESSAGES 5 /* of each domain */

static unsigned random_now;

static unsigned
any(unsigned n)
{
	random_now = random_now * 1103515245u + 12345u;
	return random_now / 65536 % n;
}

/* When each domain and message was asked for, and which sets are up. */
static struct {
	uint64_t last_ms;
	uint64_t domain_ms[SETS][DOMAINS];
	uint64_t message_ms[SETS][DOMAINS][MESSAGES];
	bool up[SETS], refused[SETS][DOMAINS];
} model;

static void
check_gap(uint64_t *at_ms, uint64_t gap_ms)
{
	ck_assert(*at_ms == 0 || now_ms - *at_ms >= gap_ms);
	*at_ms = now_ms;
}

/* The gap of a message, by its queue id. Returns: its domain, and set_r. */
static unsigned
check_message(const char *queue_id, unsigned *set_r)
{
	unsigned d, m;

	ck_assert_int_eq(sscanf(queue_id, "%ux%ux%u", set_r, &d, &m), 3);
	check_gap(&model.message_ms[*set_r][d][m], FLUSH_RETRY_GAP_MS);
	return d;
}

static void
check_step(const struct flush_step *step)
{
	unsigned s, d;

	check_gap(&model.last_ms, FLUSH_PACE_MS);
	if (step->action == FLUSH_DOMAIN) {
		ck_assert_int_eq(sscanf(step->what, "%u.%u.test", &s, &d), 2);
		check_gap(&model.domain_ms[s][d], FLUSH_DOMAIN_GAP_MS);
	} else {
		d = check_message(step->what, &s);
	}
	ck_assert_uint_eq(step->set, s);
	ck_assert(model.up[s]);
	ck_assert(!model.refused[s][d]);
}

static void
change_something(unsigned s, unsigned d)
{
	char to[TO_MAX], text[64];

	switch (any(5)) {
	case 0:
		flush_plan_recovered(plan, s, now_ms, 10000 + any(200000));
		model.up[s] = true;
		break;
	case 1:
		flush_plan_failed(plan, s);
		model.up[s] = false;
		break;
	case 2:
		snprintf(text, sizeof(text), "%u.%u.test", s, d);
		flush_plan_refuse(plan, text);
		model.refused[s][d] = true;
		break;
	case 3:
		flush_plan_forget_refusals(plan);
		memset(model.refused, 0, sizeof(model.refused));
		break;
	default:
		if (flush_plan_take_one(plan, s, now_ms, to, text))
			(void)check_message(text, &s);
	}
}

static void
do_anything(unsigned s, unsigned d, unsigned m)
{
	char to[64], queue_id[64];
	struct address address;
	unsigned what = any(40);
	uint32_t domains, before, after;

	snprintf(to, sizeof(to), "u%u@%u.%u.test", any(2), s, d);
	snprintf(queue_id, sizeof(queue_id), "%ux%ux%u", s, d, m);
	if (what < 5) {
		change_something(s, d);
	} else if (what < 10) {
		address = address_of(to);
		flush_plan_count(plan, &domains, &before);
		flush_plan_gone(plan, s, &address, queue_id);
		flush_plan_count(plan, &domains, &after);
		/* What is gone and comes again is another message. */
		if (after < before)
			model.message_ms[s][d][m] = 0;
	} else {
		hear(s, to, queue_id, any(4) > 0);
	}
}

static void
begin_anything(int seed)
{
	memset(&model, 0, sizeof(model));
	random_now = (unsigned)seed + 1;
}

START_TEST(whatever_happens_the_gaps_are_kept)
{
	struct flush_step step;
	uint32_t wait, d, m, n = 0;

	begin_anything(_i);
	for (int i = 0; i < 30000; i++) {
		do_anything(any(SETS), any(DOMAINS), any(MESSAGES));
		if (flush_plan_next(plan, now_ms, &step, &wait) !=
		    FLUSH_NOTHING) {
			check_step(&step);
			n++;
		}
		flush_plan_count(plan, &d, &m);
		ck_assert_uint_le(d, SETS * DOMAINS);
		ck_assert_uint_le(m, SETS * DOMAINS * MESSAGES);
		now_ms += any(3) == 0 ? any(3000) : any(50);
	}
	ck_assert_uint_gt(n, 1000);
}
END_TEST

START_TEST(when_nothing_is_told_any_more_it_comes_to_rest)
{
	struct flush_step step;
	uint32_t wait = 0;
	int n = 0;

	begin_anything(_i);
	for (int i = 0; i < 2000; i++) {
		do_anything(any(SETS), any(DOMAINS), any(MESSAGES));
		now_ms += any(3000);
	}
	while (wait != UINT32_MAX) {
		(void)flush_plan_next(plan, now_ms, &step, &wait);
		now_ms += wait;
		ck_assert_int_lt(n++, 10000);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_flush_plan_bounds");
	TCase *tcase = tcase_create("bounds");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(
	    tcase, messages_beyond_the_limit_are_moved_with_their_domain);
	tcase_add_test(
	    tcase, what_is_not_remembered_may_have_been_too_late_for_a_flush);
	tcase_add_test(
	    tcase, too_many_lines_after_the_recovery_bring_the_domain_forward);
	tcase_add_test(tcase, forty_thousand_domains_are_flushed_one_by_one);
	tcase_add_test(
	    tcase, a_round_with_nothing_to_do_is_looked_through_bit_by_bit);
	tcase_add_test(
	    tcase, there_are_never_too_many_domains_and_each_has_a_message);
	tcase_add_test(tcase, as_many_domains_as_there_may_be_move_to_one_set);
	tcase_add_test(tcase, a_set_that_its_last_domain_leaves_takes_no_room);
	tcase_add_test(tcase, one_domain_does_not_take_the_room_of_all);
	tcase_add_test(
	    tcase, a_message_that_was_removed_from_the_queue_is_forgotten);
	tcase_add_test(tcase, what_comes_and_goes_takes_no_room);
	tcase_add_loop_test(tcase, a_set_may_be_emptied_in_a_round, 0, 2);
	tcase_add_test(tcase, a_domain_refused_often_takes_one_place);
	tcase_add_test(tcase, a_queue_id_that_is_none_is_not_remembered);
	tcase_add_test(tcase, all_zero_is_freed_as_nothing);
	tcase_add_loop_test(tcase, whatever_happens_the_gaps_are_kept, 0, 8);
	tcase_add_loop_test(
	    tcase, when_nothing_is_told_any_more_it_comes_to_rest, 0, 8);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
