/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one, but for the races: each comment says which. */
#include "policy/health_table.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define NOW	   SCRATCH_NOW_MS
#define SPAN	   30000
#define SET	   UINT64_C(0x123456789abcdef0)
#define RACERS	   3
#define ROUNDS	   300000
#define LAP	   200
#define TICKETS	   20000
#define CUTS	   3000
#define CUT_ROUNDS 100000000u

static struct scratch scratch;
static struct health_table *table;
static uint32_t slot;

static void
set_up(void)
{
	scratch_make(&scratch);
	table = scratch_open(&scratch, HEALTH_TABLE_CREATED);
	(void)scratch_add(table, 0);
	slot = scratch_add(table, 1);
}

static void
tear_down(void)
{
	health_table_close(&table);
	scratch_remove(&scratch);
}

static bool
claim(uint32_t ticket, uint64_t now_ms)
{
	return health_table_claim(
	    table, slot, SET, ticket, now_ms, now_ms + SPAN);
}

static bool
claim_weakly(uint32_t ticket, uint64_t now_ms)
{
	return health_table_claim_weakly(
	    table, slot, SET, ticket, now_ms, now_ms + SPAN);
}

static bool
claim_called(uint32_t ticket, uint64_t now_ms)
{
	return health_table_claim_called(
	    table, slot, SET, ticket, now_ms, now_ms + SPAN);
}

static void
use(uint32_t ticket, uint64_t now_ms)
{
	health_table_claim_used(table, slot, SET, ticket, now_ms);
}

static bool
has(uint32_t ticket, uint64_t now_ms)
{
	return health_table_claimed_by(table, slot, SET, ticket, now_ms);
}

static enum health_claim
state(uint64_t now_ms)
{
	return health_table_claim_state(table, slot, now_ms);
}

START_TEST(a_claim_is_its_tickets_alone_until_its_time_is_over)
{
	ck_assert_int_eq(state(NOW), CLAIM_NONE);
	ck_assert(!has(0, NOW));
	ck_assert(claim(17, NOW));
	for (uint32_t age = 0; age < SPAN; age += 2999) {
		ck_assert_int_eq(state(NOW + age), CLAIM_OPEN);
		ck_assert(has(17, NOW + age));
		ck_assert(!has(18, NOW + age));
		ck_assert(!claim(18, NOW + age));
		ck_assert(!claim_weakly(18, NOW + age));
	}
	ck_assert(has(17, NOW + SPAN - 1));
	ck_assert(!has(17, NOW + SPAN));
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
	ck_assert(claim(18, NOW + SPAN));
	ck_assert(has(18, NOW + SPAN));
	ck_assert(!has(17, NOW + SPAN));
}
END_TEST

START_TEST(a_claim_is_of_one_host_and_one_set)
{
	ck_assert(claim(17, NOW));
	ck_assert(!health_table_claimed_by(table, slot, SET + 1, 17, NOW));
	ck_assert(!health_table_claimed_by(table, 0, SET, 17, NOW));
	ck_assert(
	    !health_table_claim(table, slot, SET ^ 1, 17, NOW, NOW + SPAN));
	ck_assert_int_eq(health_table_claim_state(table, 0, NOW), CLAIM_NONE);
	ck_assert(health_table_claim(table, 0, SET, 18, NOW, NOW + SPAN));
	ck_assert(has(17, NOW));
}
END_TEST

START_TEST(claiming_again_is_granted_and_does_not_make_it_longer)
{
	ck_assert(claim(17, NOW));
	ck_assert(claim(17, NOW + 20000));
	ck_assert(claim_weakly(17, NOW + 20000));
	ck_assert_int_eq(state(NOW + 20000), CLAIM_OPEN);
	ck_assert(!has(17, NOW + SPAN));
}
END_TEST

START_TEST(a_drawn_ticket_takes_a_questions_claim_over_and_no_other_does)
{
	ck_assert(claim_weakly(17, NOW));
	ck_assert_int_eq(state(NOW), CLAIM_WEAK);
	ck_assert(has(17, NOW));
	ck_assert(claim_weakly(17, NOW + 1));
	ck_assert(!claim_weakly(18, NOW + 1));
	ck_assert(claim(19, NOW + 2));
	ck_assert(!has(17, NOW + 2));
	ck_assert(has(19, NOW + 2));
	ck_assert_int_eq(state(NOW + 2), CLAIM_OPEN);
	ck_assert(!claim_weakly(17, NOW + 3));
	/* The draw of the very ticket makes it a drawn one. */
	health_table_release(table, slot);
	ck_assert(claim_weakly(17, NOW));
	ck_assert(claim(17, NOW + 5));
	ck_assert_int_eq(state(NOW + 5), CLAIM_OPEN);
	ck_assert(has(17, NOW + 5 + SPAN - 1));
}
END_TEST

START_TEST(a_queued_messages_claim_gives_way_until_it_is_used)
{
	ck_assert(claim_called(17, NOW));
	ck_assert_int_eq(state(NOW), CLAIM_WEAK);
	ck_assert(has(17, NOW));
	ck_assert(!claim_weakly(18, NOW + 1));
	ck_assert(claim_weakly(17, NOW + 1));
	ck_assert(claim_called(19, NOW + 2));
	ck_assert(!has(17, NOW + 2));
	use(17, NOW + 2);
	ck_assert_int_eq(state(NOW + 2), CLAIM_WEAK);
	ck_assert(claim(20, NOW + 3));
	ck_assert(!claim_called(21, NOW + 3));
	use(19, NOW + 3);
	ck_assert_int_eq(state(NOW + 3 + SPAN), CLAIM_NONE);
	/* It takes a question's over, too. */
	health_table_release(table, slot);
	ck_assert(claim_weakly(17, NOW));
	ck_assert(claim_called(18, NOW));
	ck_assert(has(18, NOW));
}
END_TEST

START_TEST(a_queued_messages_claim_that_is_used_is_as_good_as_a_drawn_one)
{
	ck_assert(claim_called(17, NOW));
	use(17, NOW + 5);
	ck_assert_int_eq(state(NOW + 5), CLAIM_OPEN);
	ck_assert(!claim(18, NOW + 6));
	ck_assert(!claim_called(18, NOW + 6));
	ck_assert(has(17, NOW + SPAN - 1));
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_OVER);
	ck_assert(!claim(18, NOW + SPAN));
	/* Nobody has waited for an answer that was never asked for. */
	health_table_release(table, slot);
	ck_assert(claim_called(17, NOW));
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
	use(17, NOW + SPAN);
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
}
END_TEST

START_TEST(a_used_claim_is_kept_for_the_writer_until_it_is_released)
{
	uint64_t end = NOW + SPAN;

	ck_assert(claim(17, NOW));
	use(17, NOW + 5);
	ck_assert_int_eq(state(NOW + 5), CLAIM_OPEN);
	ck_assert(has(17, end - 1));
	ck_assert_int_eq(state(end), CLAIM_OVER);
	ck_assert(!has(17, end));
	ck_assert(!claim(18, end));
	ck_assert(!claim(17, end));
	ck_assert(!claim_weakly(18, end + HEALTH_CLAIM_KEPT_MS - 1));
	ck_assert_int_eq(state(end + HEALTH_CLAIM_KEPT_MS - 1), CLAIM_OVER);
	health_table_release(table, slot);
	ck_assert_int_eq(state(end), CLAIM_NONE);
	ck_assert(claim(18, end));
	ck_assert_int_eq(state(end), CLAIM_OPEN);
}
END_TEST

START_TEST(a_used_claim_that_no_writer_looks_at_ends_too)
{
	uint64_t end = NOW + SPAN + HEALTH_CLAIM_KEPT_MS;

	ck_assert(claim(17, NOW));
	use(17, NOW);
	ck_assert_int_eq(state(end), CLAIM_NONE);
	ck_assert(claim(18, end));
	/* The next one is not used because the last one was. */
	ck_assert_int_eq(state(end + SPAN), CLAIM_NONE);
}
END_TEST

START_TEST(a_claim_that_was_not_used_by_its_ticket_ends_without_a_trace)
{
	ck_assert(claim(17, NOW));
	use(18, NOW);
	health_table_claim_used(table, slot, SET + 1, 17, NOW);
	health_table_claim_used(table, 0, SET, 17, NOW);
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
	use(17, NOW + SPAN);
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
	/* Of mail behind a question nothing is known. */
	health_table_release(table, slot);
	ck_assert(claim_weakly(17, NOW));
	use(17, NOW);
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
}
END_TEST

START_TEST(a_released_trial_is_nobodys)
{
	ck_assert(claim(17, NOW));
	health_table_release(table, slot);
	ck_assert(!has(17, NOW));
	ck_assert(claim_weakly(18, NOW));
	health_table_release(table, slot);
	ck_assert_int_eq(state(NOW), CLAIM_NONE);
	use(18, NOW);
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_NONE);
}
END_TEST

START_TEST(what_claims_for_a_day_is_damage_and_gives_way)
{
	ck_assert(
	    health_table_claim(table, slot, SET, 17, NOW, NOW + 86400000));
	ck_assert(claim(18, NOW));
	ck_assert(has(18, NOW));
	health_table_release(table, slot);
	/* What another one claimed whose clock is a little ahead is not. */
	ck_assert(claim(17, NOW + 1000));
	ck_assert(!claim(18, NOW));
	ck_assert(claim(17, NOW));
}
END_TEST

START_TEST(other_tickets_are_seldom_taken_for_the_one_that_has_the_claim)
{
	unsigned mistaken = 0;

	ck_assert(claim(0, NOW));
	for (uint32_t i = 1; i <= TICKETS; i++) {
		mistaken += has(i, NOW);
		mistaken += has(i << 16, NOW);
		mistaken += health_table_claimed_by(
		    table, slot, SET + ((uint64_t)i << 40), 0, NOW);
	}
	ck_assert_uint_eq(mistaken, 0);
}
END_TEST

START_TEST(a_claim_survives_a_restart)
{
	ck_assert(claim(17, NOW));
	use(17, NOW);
	health_table_close(&table);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	ck_assert(has(17, NOW + 1));
	ck_assert_int_eq(state(NOW + SPAN), CLAIM_OVER);
}
END_TEST

/* -- races ---------------------------------------------------------------- */

/*
 * Each round is a time at which the claim of the round before is over. Racers
 * do not wait for each other: one that comes to a round that is decided loses
 * it, which is quicker than to win, so that it catches up and they are neck and
 * neck again and again; at each lap all start anew. Two that read before either
 * writes would both win.
 */
static atomic_uchar winners[ROUNDS];
static _Atomic uint32_t newest = 1;
static atomic_bool strange;
static pthread_barrier_t start;

struct racer {
	uint32_t number;
	bool weak;
};

/* Thread: several. */
static void *
race(void *argument)
{
	const struct racer *racer = argument;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t now_ms = NOW + round;
		/* Few tickets: of a million, two have one tag (22 bits). */
		uint32_t ticket = round % LAP * RACERS + racer->number;
		bool won;

		if (round % LAP == 0)
			(void)pthread_barrier_wait(&start);
		won = racer->weak ? health_table_claim_weakly(table, slot, SET,
					ticket, now_ms, now_ms + 1)
				  : health_table_claim(table, slot, SET, ticket,
					now_ms, now_ms + 1);

		if (won)
			winners[round]++;
	}
	return NULL;
}

/* Thread: one, the only one that claims: what it has it keeps. */
static void *
claim_and_release(void *unused)
{
	(void)unused;
	(void)pthread_barrier_wait(&start);
	for (uint32_t ticket = 1; ticket <= ROUNDS; ticket++) {
		health_table_release(table, slot);
		newest = ticket;
		if (!claim(ticket, NOW) || !has(ticket, NOW))
			strange = true;
	}
	newest = 0;
	return NULL;
}

/* Thread: several. */
static void *
use_the_newest(void *unused)
{
	uint32_t ticket;

	(void)unused;
	(void)pthread_barrier_wait(&start);
	while ((ticket = newest) != 0)
		use(ticket, NOW);
	return NULL;
}

static void
run(void *(*const work[])(void *), void *const *arguments, unsigned n)
{
	pthread_t threads[8];

	REQUIRE(n <= NELEM(threads), "too many");
	pthread_barrier_init(&start, NULL, n);
	for (unsigned i = 0; i < n; i++)
		REQUIRE(pthread_create(
			    &threads[i], NULL, work[i], arguments[i]) == 0,
		    "thread %u", i);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
}

static void
check_race(bool weak)
{
	struct racer racers[RACERS];
	void *(*work[RACERS])(void *);
	void *arguments[RACERS];
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ i, weak };
		work[i] = race;
		arguments[i] = &racers[i];
	}
	run(work, arguments, RACERS);
	for (uint32_t round = 0; round < ROUNDS; round++)
		wrong += winners[round] != 1;
	ck_assert_uint_eq(wrong, 0);
}

START_TEST(one_of_many_tickets_wins_each_round)
{
	check_race(_i == 1);
}
END_TEST

/*
 * Threads meet in the narrow place between reading and writing only when they
 * really run at the same time. A signal cuts in there on the busiest machine:
 * the handler is the other racer.
 */
static volatile uint32_t cut_round, cut_wins, cuts;
static volatile bool cut_weak;

static void
cut_in(int signal)
{
	uint64_t now_ms = NOW + cut_round;

	(void)signal;
	if (cut_weak ? health_table_claim_weakly(
			   table, slot, SET, UINT32_MAX, now_ms, now_ms + 1)
		     : health_table_claim(
			   table, slot, SET, UINT32_MAX, now_ms, now_ms + 1))
		cut_wins = cut_round;
	cuts = cuts + 1;
}

static void
cut_every(long microseconds)
{
	const struct itimerval often = { { 0, microseconds },
		{ 0, microseconds } };
	const struct sigaction action = { .sa_handler = cut_in };

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

START_TEST(a_ticket_that_is_cut_short_by_another_does_not_win_too)
{
	uint32_t both = 0, round = 0;

	cut_weak = _i == 1;
	cut_every(40);
	while (cuts < CUTS && ++round < CUT_ROUNDS) {
		uint64_t now_ms = NOW + round;
		bool won;

		cut_round = round;
		won = cut_weak ? health_table_claim_weakly(table, slot, SET,
				     round, now_ms, now_ms + 1)
			       : health_table_claim(table, slot, SET, round,
				     now_ms, now_ms + 1);
		both += won && cut_wins == round;
	}
	cut_every(0);
	ck_assert_uint_eq(both, 0);
}
END_TEST

START_TEST(to_use_a_claim_never_brings_an_old_one_back)
{
	void *(*const work[])(
	    void *) = { claim_and_release, use_the_newest, use_the_newest };
	void *const arguments[NELEM(work)] = { NULL };

	run(work, arguments, NELEM(work));
	ck_assert(!strange);
	ck_assert(has(ROUNDS, NOW));
}
END_TEST

static Suite *
claim_suite(void)
{
	Suite *suite = suite_create("health_table_claim");
	TCase *claims = tcase_create("claim");
	TCase *races = tcase_create("races");

	tcase_add_checked_fixture(claims, set_up, tear_down);
	tcase_add_test(
	    claims, a_claim_is_its_tickets_alone_until_its_time_is_over);
	tcase_add_test(claims, a_claim_is_of_one_host_and_one_set);
	tcase_add_test(
	    claims, claiming_again_is_granted_and_does_not_make_it_longer);
	tcase_add_test(claims,
	    a_drawn_ticket_takes_a_questions_claim_over_and_no_other_does);
	tcase_add_test(
	    claims, a_queued_messages_claim_gives_way_until_it_is_used);
	tcase_add_test(claims,
	    a_queued_messages_claim_that_is_used_is_as_good_as_a_drawn_one);
	tcase_add_test(
	    claims, a_used_claim_is_kept_for_the_writer_until_it_is_released);
	tcase_add_test(claims, a_used_claim_that_no_writer_looks_at_ends_too);
	tcase_add_test(claims,
	    a_claim_that_was_not_used_by_its_ticket_ends_without_a_trace);
	tcase_add_test(claims, a_released_trial_is_nobodys);
	tcase_add_test(claims, what_claims_for_a_day_is_damage_and_gives_way);
	tcase_add_test(claims,
	    other_tickets_are_seldom_taken_for_the_one_that_has_the_claim);
	tcase_add_test(claims, a_claim_survives_a_restart);
	suite_add_tcase(suite, claims);
	tcase_add_checked_fixture(races, set_up, tear_down);
	tcase_set_timeout(races, 300);
	tcase_add_loop_test(races, one_of_many_tickets_wins_each_round, 0, 2);
	tcase_add_loop_test(races,
	    a_ticket_that_is_cut_short_by_another_does_not_win_too, 0, 2);
	tcase_add_test(races, to_use_a_claim_never_brings_an_old_one_back);
	suite_add_tcase(suite, races);
	return suite;
}

int
main(void)
{
	return suite_run(claim_suite());
}
