/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one, but for the race: each comment says which. */
#include "policy/lookup.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/suite.h"
#include "tests/unit/trial_scene.h"

/* For checks in inner loops: Check's own leave a mark in a file each time. */
#define REQUIRE(ok, ...)                                                       \
	do {                                                                   \
		if (!(ok))                                                     \
			ck_abort_msg(__VA_ARGS__);                             \
	} while (0)

START_TEST(the_first_ticket_of_many_is_offered_the_host_in_trial)
{
	uint32_t ticket;
	struct lookup_answer answer;

	set_scene("try", 10, HEALTH_UP);
	answer = with_ticket(0);
	ck_assert(answer.trial_open);
	ck_assert_int_eq(answer.order.why[0], ORDER_WHY_TRIAL);
	ticket = message_to(TO);
	answer = world_ask(TO);
	ck_assert_uint_eq(answer.ticket, ticket);
	ck_assert_int_eq(answer.kind, LOOKUP_HOSTS);
	ck_assert_int_eq(answer.order.why[0], ORDER_WHY_OFFERED);
	ck_assert(!answer.trial_open);
	LISTS(answer, A ":25 " B ":25");
	for (uint32_t i = 1; i < 100; i++) {
		LISTS(with_ticket(draw()), B ":25");
		LISTS(with_ticket(ticket), A ":25 " B ":25");
	}
	ck_assert_uint_eq(picked(A), 1);
	ck_assert_uint_eq(picked(B), 99);
	world_teardown();
}
END_TEST

START_TEST(all_recipients_of_the_message_are_offered_it_and_others_are_not)
{
	static const char *const to[] = { "one@example.com", "two@example.com",
		"\"t h\"@EXAMPLE.com" };

	set_scene("try", 10, HEALTH_UP);
	(void)world_take_message(to, NELEM(to));
	for (size_t i = 0; i < NELEM(to); i++)
		LISTS(world_ask(to[i]), A ":25 " B ":25");
	/* Members of an alias live on the ticket that was drawn last. */
	LISTS(world_ask("member@example.com"), A ":25 " B ":25");
	(void)message_to("other@example.com");
	LISTS(world_ask("other@example.com"), B ":25");
	LISTS(world_ask("member@example.com"), B ":25");
	LISTS(world_ask(to[2]), A ":25 " B ":25");
	world_teardown();
}
END_TEST

START_TEST(a_claim_runs_out_and_the_next_ticket_may_try)
{
	set_scene("try", 10, HEALTH_UP);
	(void)message_to(TO);
	world.now_ms += LOOKUP_CLAIM_MS - 1;
	LISTS(with_ticket(draw()), B ":25");
	ck_assert(!with_ticket(0).trial_open);
	world.now_ms += 1;
	/* No question was answered with it: nothing was tried. */
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	ck_assert(with_ticket(0).trial_open);
	LISTS(with_ticket(draw()), A ":25 " B ":25");
	world_teardown();
}
END_TEST

START_TEST(a_trial_that_was_used_waits_for_the_writers_verdict)
{
	set_scene("try", 10, HEALTH_UP);
	(void)message_to(TO);
	LISTS(world_ask(TO), A ":25 " B ":25");
	world.now_ms += LOOKUP_CLAIM_MS;
	ck_assert_int_eq(claim_of(A), CLAIM_OVER);
	LISTS(world_ask(TO), B ":25");
	ck_assert(!with_ticket(0).trial_open);
	LISTS(with_ticket(draw()), B ":25");
	health_table_release(world.table, world_slot(A));
	LISTS(with_ticket(draw()), A ":25 " B ":25");
	world_teardown();
}
END_TEST

START_TEST(with_the_hosts_state_the_offer_ends)
{
	uint32_t ticket;

	set_scene("try", 10, HEALTH_UP);
	ticket = message_to(TO);
	world_set_state(A, HEALTH_DEFERRED, world.now_ms + 10000);
	LISTS(world_ask(TO), B ":25");
	world_set_state(A, HEALTH_UP, 0);
	ck_assert_uint_eq(world_ask(TO).order.n, 2);
	ck_assert_int_eq(with_ticket(ticket).order.why[0], ORDER_WHY_UP);
	world_teardown();
}
END_TEST

static const struct {
	const char *wish;
	int b_priority; /* A, in trial, has 10 */
	enum health_state b;
	bool open;
	const char *offered;	 /* list of the ticket that claims */
	enum lookup_kind others; /* what other tickets get */
	bool tempfail;
	const char *list;
} wishes[] = {
	{ "try", 10, HEALTH_DEFERRED, true, A ":25", LOOKUP_HOSTS, false,
	    A ":25 " B ":25" },
	{ "hold", 10, HEALTH_DEFERRED, true, A ":25", LOOKUP_HOLD, false,
	    A ":25 " B ":25" },
	{ "tempfail", 10, HEALTH_DEFERRED, true, A ":25", LOOKUP_HOSTS, true,
	    A ":25 " B ":25" },
	{ "hold", 10, HEALTH_UP, true, A ":25 " B ":25", LOOKUP_HOSTS, false,
	    B ":25" },
	/* A before its backup that is up */
	{ "hold", 20, HEALTH_UP, true, A ":25 " B ":25", LOOKUP_HOSTS, false,
	    B ":25" },
	{ "tempfail", 20, HEALTH_DEFERRED, true, A ":25", LOOKUP_HOSTS, true,
	    A ":25 " B ":25" },
	/* A is the backup of B */
	{ "hold", 0, HEALTH_DEFERRED, true, A ":25", LOOKUP_HOLD, false,
	    A ":25 " B ":25" },
	{ "try", 0, HEALTH_UP, false, NULL, LOOKUP_HOSTS, false,
	    B ":25 " A ":25" },
	{ "hold", 0, HEALTH_UP, false, NULL, LOOKUP_HOSTS, false,
	    B ":25 " A ":25" },
	{ "tempfail", 0, HEALTH_UP, false, NULL, LOOKUP_HOSTS, false,
	    B ":25 " A ":25" },
};

START_TEST(whatever_the_route_wants_one_message_is_let_through)
{
	struct lookup_answer answer;
	uint32_t ticket;

	set_scene(wishes[_i].wish, wishes[_i].b_priority, wishes[_i].b);
	answer = with_ticket(0);
	ck_assert_int_eq(answer.trial_open, wishes[_i].open);
	ticket = draw();
	answer = with_ticket(ticket);
	ck_assert_int_eq(
	    order_offers(&answer.order), wishes[_i].offered != NULL);
	if (wishes[_i].offered != NULL) {
		ck_assert_int_eq(answer.kind, LOOKUP_HOSTS);
		ck_assert(!answer.tempfail);
		ck_assert_str_eq(world_hosts(&answer), wishes[_i].offered);
	}
	answer = with_ticket(ticket + 1);
	ck_assert_int_eq(answer.kind, wishes[_i].others);
	ck_assert_int_eq(answer.tempfail, wishes[_i].tempfail);
	ck_assert(!answer.trial_open);
	ck_assert_str_eq(world_hosts(&answer), wishes[_i].list);
	world_teardown();
}
END_TEST

START_TEST(a_ticket_claims_one_host_and_the_next_one_the_next)
{
	uint32_t ticket[3];

	world_setup("routes = ( { domain = \"example.com\"; hosts = ("
		    " { host = \"" A "\"; priority = 20; }, { host = \"" B
		    "\"; }, { host = \"" C "\"; } ); } );");
	world_set_state(A, HEALTH_TRIAL, world.now_ms + PATIENT_MS);
	world_set_state(B, HEALTH_TRIAL, world.now_ms + PATIENT_MS);
	world_set_state(C, HEALTH_TRIAL, world.now_ms + PATIENT_MS);
	for (int i = 0; i < 3; i++) {
		ck_assert(with_ticket(0).trial_open);
		ticket[i] = draw();
	}
	ck_assert(!with_ticket(0).trial_open);
	/* A, of a later tier, needs no claim behind them. */
	LISTS(with_ticket(ticket[0]), B ":25 " A ":25");
	LISTS(with_ticket(ticket[1]), C ":25 " A ":25");
	LISTS(with_ticket(ticket[2]), A ":25");
	LISTS(with_ticket(draw()), B ":25 " C ":25 " A ":25");
	/* A higher tier that is well again: the backup stands behind it, for
	   this ticket as for all. */
	world_set_state(B, HEALTH_UP, 0);
	LISTS(with_ticket(ticket[2]), B ":25 " A ":25");
	LISTS(with_ticket(draw()), B ":25 " A ":25");
	world_teardown();
}
END_TEST

START_TEST(a_ticket_that_has_a_claim_gets_no_second_one)
{
	uint64_t key;
	uint32_t ticket;

	set_scene("try", 10, HEALTH_TRIAL);
	/* All tickets come round once in a while. */
	key = world.config->sets[0].key;
	ticket = health_table_cursor(world.table, world.base->set_slot[0]);
	ck_assert(health_table_claim(world.table, world_slot(B), key, ticket,
	    world.now_ms, world.now_ms + LOOKUP_CLAIM_MS));
	ck_assert_uint_eq(message_to(TO), ticket);
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world_set_state(A, HEALTH_TRIAL, world.now_ms);
	LISTS(world_ask(TO), B ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world_teardown();
}
END_TEST

START_TEST(what_the_operator_excludes_is_not_claimed)
{
	static const enum health_override kinds[] = { OVERRIDE_DRAIN,
		OVERRIDE_DISABLED, OVERRIDE_FORCED_UP };
	struct health_override_info info = { .since_ms = START_MS };

	set_scene("try", 10, HEALTH_UP);
	for (size_t i = 0; i < NELEM(kinds); i++) {
		info.kind = kinds[i];
		health_table_set_override(world.table, world_slot(A), &info);
		ck_assert(!with_ticket(0).trial_open);
		(void)draw();
		ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	}
	info.kind = OVERRIDE_NONE;
	health_table_set_override(world.table, world_slot(A), &info);
	world_set_usable(A, false);
	(void)draw();
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world_teardown();
}
END_TEST

START_TEST(the_others_have_their_exact_shares_while_one_is_in_trial)
{
	static const char *const names[] = { B, C };
	uint32_t first[2] = { 0 }, offered = 0;

	world_setup("routes = ( { domain = \"example.com\"; hosts = ("
		    " { host = \"" A "\"; }, { host = \"" B
		    "\"; weight = 3; }, { host = \"" C "\"; } ); } );");
	world_set_state(A, HEALTH_TRIAL, world.now_ms + PATIENT_MS);
	for (uint32_t i = 0; i < 400; i++) {
		struct lookup_answer answer;
		uint32_t at;
		char to[40];

		(void)snprintf(to, sizeof(to), "u%u@example.com", i);
		(void)message_to(to);
		answer = world_ask(to);
		offered += order_offers(&answer.order);
		at = order_offers(&answer.order) ? 1 : 0;
		first[answer.order.member[at] - 1]++;
	}
	ck_assert_uint_eq(offered, 1);
	ck_assert_uint_eq(first[0], 300);
	ck_assert_uint_eq(first[1], 100);
	ck_assert_uint_eq(picked(A), 1);
	ck_assert_uint_eq(picked(names[0]) + picked(names[1]), 399);
	world_teardown();
}
END_TEST

/* -- many at once --------------------------------------------------------- */

#define DRAWERS 3
#define ROUNDS	4000
#define LAP	20

static atomic_uchar offers[ROUNDS];
static pthread_barrier_t start;

/* Thread: several. Each round is the time at which the claim of the round
   before is over, as nobody has used it. */
static void *
draw_in_rounds(void *unused)
{
	struct lookup_answer answer;
	uint64_t now_ms = START_MS;
	uint32_t ticket;

	(void)unused;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		if (round % LAP == 0)
			(void)pthread_barrier_wait(&start);
		REQUIRE(
		    lookup_draw(world.base, 0, now_ms, &ticket), "no ticket");
		(void)lookup_with_ticket(
		    world.base, 0, ticket, now_ms, &answer);
		if (order_offers(&answer.order))
			offers[round]++;
		now_ms += LOOKUP_CLAIM_MS;
		(void)pthread_barrier_wait(&start);
	}
	return NULL;
}

/* _i: how many hosts are in trial */
START_TEST(of_messages_at_the_same_time_one_is_offered_each_host)
{
	pthread_t threads[DRAWERS];

	set_scene("try", 10, _i == 2 ? HEALTH_TRIAL : HEALTH_UP);
	pthread_barrier_init(&start, NULL, DRAWERS);
	for (unsigned i = 0; i < DRAWERS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, draw_in_rounds, NULL), 0);
	for (unsigned i = 0; i < DRAWERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	for (uint32_t round = 0; round < ROUNDS; round++)
		REQUIRE(offers[round] == _i, "round %u: %u are offered one",
		    round, offers[round]);
	ck_assert_uint_eq(picked(A) + picked(B), ROUNDS * DRAWERS);
	if (_i == 1)
		ck_assert_uint_eq(picked(A), ROUNDS);
	world_teardown();
}
END_TEST

static Suite *
lookup_trial_suite(void)
{
	Suite *suite = suite_create("lookup_trial");
	TCase *draws = tcase_create("draws");

	tcase_add_test(
	    draws, the_first_ticket_of_many_is_offered_the_host_in_trial);
	tcase_add_test(draws,
	    all_recipients_of_the_message_are_offered_it_and_others_are_not);
	tcase_add_test(draws, a_claim_runs_out_and_the_next_ticket_may_try);
	tcase_add_test(
	    draws, a_trial_that_was_used_waits_for_the_writers_verdict);
	tcase_add_test(draws, with_the_hosts_state_the_offer_ends);
	tcase_add_loop_test(draws,
	    whatever_the_route_wants_one_message_is_let_through, 0,
	    (int)NELEM(wishes));
	tcase_add_test(
	    draws, a_ticket_claims_one_host_and_the_next_one_the_next);
	tcase_add_test(draws, a_ticket_that_has_a_claim_gets_no_second_one);
	tcase_add_test(draws, what_the_operator_excludes_is_not_claimed);
	tcase_add_test(
	    draws, the_others_have_their_exact_shares_while_one_is_in_trial);
	tcase_set_timeout(draws, 300);
	tcase_add_loop_test(
	    draws, of_messages_at_the_same_time_one_is_offered_each_host, 1, 3);
	suite_add_tcase(suite, draws);
	return suite;
}

int
main(void)
{
	return suite_run(lookup_trial_suite());
}
