/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/order.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/order_scene.h"
#include "tests/unit/suite.h"

static const struct {
	const char *hosts; /* see scene_from */
	enum order_kind kind;
	const char *lists[4]; /* of the tickets 0, 1, 2, 3 */
	char claimable;	      /* by the next ticket; '-': none */
} scenes[] = {
	/* first in its tier; the others take turns as if it were not there */
	{ "ou", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "uo", ORDER_UP, { "BA", "BA", "BA", "BA" }, '-' },
	{ "ouu", ORDER_UP, { "ABC", "ACB", "ABC", "ACB" }, '-' },
	{ "uou", ORDER_UP, { "BAC", "BCA", "BAC", "BCA" }, '-' },
	{ "uuo", ORDER_UP, { "CAB", "CBA", "CAB", "CBA" }, '-' },
	{ "uuuo", ORDER_UP, { "DABC", "DBCA", "DCAB", "DABC" }, '-' },
	{ "oF", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	/* later tiers follow in the order of the file */
	{ "uo uu", ORDER_UP, { "BACD", "BACD", "BACD", "BACD" }, '-' },
	/* a tier of its own */
	{ "o u", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "o uu", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" }, '-' },
	{ "do uu", ORDER_UP, { "BCD", "BCD", "BCD", "BCD" }, '-' },
	{ "d o u", ORDER_UP, { "BC", "BC", "BC", "BC" }, '-' },
	{ "X fo u", ORDER_UP, { "CD", "CD", "CD", "CD" }, '-' },
	/* behind hosts that are up an offer means nothing: it has its place */
	{ "u o", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "uu o", ORDER_UP, { "ABC", "BAC", "ABC", "BAC" }, '-' },
	{ "d u o", ORDER_UP, { "BC", "BC", "BC", "BC" }, '-' },
	{ "F o", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "u uo", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" }, '-' },
	{ "u ou", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" }, '-' },
	/* one host a ticket */
	{ "oo", ORDER_UP, { "A", "A", "A", "A" }, '-' },
	{ "oou", ORDER_UP, { "AC", "AC", "AC", "AC" }, '-' },
	{ "o o", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "ot", ORDER_UP, { "A", "A", "A", "A" }, 'B' },
	/* alone it counts as up: deferred ones are left out */
	{ "o", ORDER_UP, { "A", "A", "A", "A" }, '-' },
	{ "od d", ORDER_UP, { "A", "A", "A", "A" }, '-' },
	{ "d o", ORDER_UP, { "B", "B", "B", "B" }, '-' },
	/* not offered it is left out of the first tier with hosts to try, and
	   before it */
	{ "tu", ORDER_UP, { "B", "B", "B", "B" }, 'A' },
	{ "ut", ORDER_UP, { "A", "A", "A", "A" }, 'B' },
	{ "Ft", ORDER_UP, { "A", "A", "A", "A" }, 'B' },
	{ "cu", ORDER_UP, { "B", "B", "B", "B" }, '-' },
	{ "ctu", ORDER_UP, { "C", "C", "C", "C" }, 'B' },
	{ "ttu", ORDER_UP, { "C", "C", "C", "C" }, 'A' },
	{ "t u", ORDER_UP, { "B", "B", "B", "B" }, 'A' },
	{ "c tu", ORDER_UP, { "C", "C", "C", "C" }, 'B' },
	{ "t t tu", ORDER_UP, { "D", "D", "D", "D" }, 'A' },
	/* behind that tier it has its place, claimed or not, and waits for no
	   claim */
	{ "u t", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "u c", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "F t", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "uu tt", ORDER_UP, { "ABCD", "BACD", "ABCD", "BACD" }, '-' },
	{ "u tu", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" }, '-' },
	{ "u t u", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" }, '-' },
	{ "u u t", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" }, '-' },
	{ "u dt d", ORDER_UP, { "AC", "AC", "AC", "AC" }, '-' },
	{ "u DXfnt", ORDER_UP, { "AF", "AF", "AF", "AF" }, '-' },
	{ "d u t", ORDER_UP, { "BC", "BC", "BC", "BC" }, '-' },
	{ "cu t", ORDER_UP, { "BC", "BC", "BC", "BC" }, '-' },
	{ "c u t", ORDER_UP, { "BC", "BC", "BC", "BC" }, '-' },
	{ "t u t", ORDER_UP, { "BC", "BC", "BC", "BC" }, 'A' },
	/* also behind one that is offered */
	{ "o t", ORDER_UP, { "AB", "AB", "AB", "AB" }, 'B' },
	{ "o c", ORDER_UP, { "AB", "AB", "AB", "AB" }, '-' },
	{ "ot t", ORDER_UP, { "AC", "AC", "AC", "AC" }, 'B' },
	{ "uo tu", ORDER_UP, { "BACD", "BACD", "BACD", "BACD" }, '-' },
	/* with none up it is tried before the deferred ones */
	{ "dt", ORDER_DEFERRED, { "BA", "BA", "BA", "BA" }, 'B' },
	{ "dc", ORDER_DEFERRED, { "BA", "BA", "BA", "BA" }, '-' },
	{ "d d t", ORDER_DEFERRED, { "CAB", "CAB", "CAB", "CAB" }, 'C' },
	{ "dc t", ORDER_DEFERRED, { "BCA", "BCA", "BCA", "BCA" }, 'C' },
	{ "Dt", ORDER_DEFERRED, { "B", "B", "B", "B" }, 'B' },
	{ "X D f n t", ORDER_DEFERRED, { "E", "E", "E", "E" }, 'E' },
	{ "", ORDER_NONE, { "", "", "", "" }, '-' },
};

START_TEST(a_scene_with_a_trial_gives_the_lists_of_the_table)
{
	struct scene scene;
	struct order order;

	scene_from(&scene, scenes[_i].hosts);
	for (uint32_t t = 0; t < NELEM(scenes[_i].lists); t++) {
		scene_compute(&scene, t, &order);
		ck_assert_int_eq(order.kind, scenes[_i].kind);
		ck_assert_str_eq(scene_list(&scene, t), scenes[_i].lists[t]);
		ck_assert_int_eq(order_offers(&order),
		    order.n > 0 && scenes[_i].hosts[0] != '\0' &&
			order.why[order.member[0]] == ORDER_WHY_OFFERED);
	}
}
END_TEST

START_TEST(the_next_ticket_can_claim_the_host_of_the_table)
{
	struct scene scene;
	uint32_t at;

	scene_from(&scene, scenes[_i].hosts);
	at = order_claimable(scene.member, scene.input, scene.n);
	ck_assert_uint_eq(at, scenes[_i].claimable == '-'
				  ? scene.n
				  : (uint32_t)(scenes[_i].claimable - 'A'));
}
END_TEST

static const struct {
	enum health_override override;
	bool wrong_family, usable;
	enum order_why why;
} excluded[] = {
	{ OVERRIDE_DRAIN, false, true, ORDER_WHY_DRAIN },
	{ OVERRIDE_DISABLED, false, true, ORDER_WHY_DISABLED },
	{ OVERRIDE_NONE, true, true, ORDER_WHY_FAMILY },
	{ OVERRIDE_NONE, false, false, ORDER_WHY_UNRESOLVED },
	{ OVERRIDE_FORCED_UP, false, false, ORDER_WHY_UNRESOLVED },
};

static void
exclude(struct order_input *input, int how)
{
	input->view.override = excluded[how].override;
	input->view.usable = excluded[how].usable;
	input->wrong_family = excluded[how].wrong_family;
}

START_TEST(what_the_operator_or_the_mta_excludes_is_never_offered)
{
	struct scene scene;
	struct order order;

	for (int offered = 0; offered < 2; offered++) {
		scene_from(&scene, offered ? "ou" : "tu");
		exclude(&scene.input[0], _i);
		scene_compute(&scene, 0, &order);
		ck_assert_int_eq(order.why[0], excluded[_i].why);
		ck_assert_str_eq(scene_list(&scene, 0), "B");
		ck_assert(!order_offers(&order));
		ck_assert_uint_eq(
		    order_claimable(scene.member, scene.input, 2), 2);
	}
}
END_TEST

START_TEST(what_the_operator_or_the_mta_excludes_is_no_backup_in_trial)
{
	static const char *const scenes_of[] = { "u t", "o t", "u o", "u tu" };
	struct scene scene;
	struct order order;

	for (size_t i = 0; i < NELEM(scenes_of); i++) {
		scene_from(&scene, scenes_of[i]);
		exclude(&scene.input[1], _i);
		scene_compute(&scene, 0, &order);
		ck_assert_int_eq(order.why[1], excluded[_i].why);
		ck_assert_str_eq(
		    scene_list(&scene, 0), scene.n == 2 ? "A" : "AC");
	}
}
END_TEST

START_TEST(a_host_forced_up_in_trial_takes_its_turn_like_others)
{
	struct scene scene;
	struct order order;

	scene_from(&scene, "ou");
	scene.input[0].view.override = OVERRIDE_FORCED_UP;
	scene_compute(&scene, 1, &order);
	ck_assert_int_eq(order.why[0], ORDER_WHY_FORCED);
	ck_assert_str_eq(scene_list(&scene, 1), "BA");
	ck_assert_uint_eq(order_claimable(scene.member, scene.input, 2), 2);
}
END_TEST

START_TEST(an_offer_to_a_host_that_is_not_in_trial_means_nothing)
{
	struct scene scene;
	struct order order;

	scene_from(&scene, "uud");
	scene.input[1].offered = true;
	scene.input[2].offered = true;
	scene_compute(&scene, 0, &order);
	ck_assert_str_eq(scene_list(&scene, 0), "AB");
	ck_assert_int_eq(order.why[1], ORDER_WHY_UP);
	ck_assert_int_eq(order.why[2], ORDER_WHY_DEFERRED);
}
END_TEST

START_TEST(a_second_offer_and_one_behind_hosts_that_are_up_read_as_in_trial)
{
	struct scene scene;
	struct order order;

	scene_from(&scene, "oo");
	scene_compute(&scene, 0, &order);
	ck_assert_int_eq(order.why[0], ORDER_WHY_OFFERED);
	ck_assert_int_eq(order.why[1], ORDER_WHY_TRIAL);
	scene_from(&scene, "u o");
	scene_compute(&scene, 0, &order);
	ck_assert_int_eq(order.why[1], ORDER_WHY_TRIAL);
	ck_assert(!order_offers(&order));
	/* Only what a trial begins with is spelled as one. */
	ck_assert_uint_eq(order.spelling, 0);
}
END_TEST

/* What reaches it is what the others refused: it takes no turn, and the lists
   of the first tier are those without it. */
START_TEST(a_backup_in_trial_changes_neither_turns_nor_shares)
{
	uint32_t first[MAX] = { 0 };
	struct scene scene;
	struct order order;

	scene_from(&scene, "uu tu");
	scene.member[0].weight = 3;
	scene.input[2].view.slow_step = 1;
	for (uint32_t t = 0; t < 400; t++) {
		scene_compute(&scene, t, &order);
		ck_assert_uint_eq(order.n, 4);
		ck_assert(!order_offers(&order));
		ck_assert_uint_eq(order.member[2], 2);
		ck_assert_uint_eq(order.member[3], 3);
		first[order.member[0]]++;
	}
	ck_assert_uint_eq(first[0], 300);
	ck_assert_uint_eq(first[1], 100);
}
END_TEST

START_TEST(an_empty_list_offers_nothing)
{
	struct order order = { .why = { ORDER_WHY_OFFERED } };

	ck_assert(!order_offers(&order));
	order.n = 1;
	ck_assert(order_offers(&order));
}
END_TEST

/* The tail of a list behind the offered host is the list that the ticket has
   without it, in any state of the others. */
START_TEST(the_others_follow_as_if_the_offered_host_were_not_there)
{
	static const char letters[] = "uuudtcXF";

	scene_random_state = 99 + (uint32_t)_i;
	for (int round = 0; round < 3000; round++) {
		struct scene with, without;
		struct order order, plain;
		uint32_t n = 1 + scene_random(9), at = scene_random(n);
		uint32_t ticket = scene_random(UINT32_MAX);
		char text[MAX] = "";

		for (uint32_t i = 0; i < n; i++)
			text[i] = letters[scene_random(sizeof(letters) - 1)];
		text[at] = 'o';
		scene_from(&with, text);
		for (uint32_t i = 0; i < n; i++) {
			with.member[i].weight = (uint16_t)(1 + scene_random(4));
			with.input[i].view.slow_step = (uint8_t)scene_random(9);
		}
		without = with;
		without.input[at].view.override = OVERRIDE_DISABLED;
		scene_compute(&with, ticket, &order);
		scene_compute(&without, ticket, &plain);
		REQUIRE(order.kind == ORDER_UP && order.member[0] == at,
		    "%s: host %u is first, not %u", text, order.member[0], at);
		if (plain.kind != ORDER_UP) {
			REQUIRE(order.n == 1, "%s: %u listed", text, order.n);
			continue;
		}
		REQUIRE(
		    order.n == plain.n + 1 &&
			memcmp(order.member + 1, plain.member, plain.n) == 0,
		    "%s: other hosts behind it", text);
	}
}
END_TEST

START_TEST(weights_and_shares_of_the_others_are_exact_during_a_trial)
{
	static const uint16_t weights[] = { 3, 5, 1, 2 };
	uint32_t count[MAX] = { 0 };
	struct scene scene;
	struct order order;

	scene_from(&scene, "utuu");
	for (uint32_t i = 0; i < scene.n; i++)
		scene.member[i].weight = weights[i];
	for (uint32_t t = 1000; t < 1000 + 6 * 50; t++) {
		/* One ticket of them all has the claim. */
		scene.input[1].offered = t == 1123;
		scene_compute(&scene, t, &order);
		ck_assert_int_eq(order_offers(&order), t == 1123);
		count[order.member[order_offers(&order) ? 1 : 0]]++;
	}
	ck_assert_uint_eq(count[0], 150);
	ck_assert_uint_eq(count[1], 0);
	ck_assert_uint_eq(count[2], 50);
	ck_assert_uint_eq(count[3], 100);
}
END_TEST

START_TEST(each_trial_is_spelled_anew_and_like_no_list_without_one)
{
	struct scene scene, up;
	struct order trial, next, plain;

	scene_from(&scene, "o u");
	scene.input[0].view.recoveries = 7;
	scene.input[1].view.recoveries = 5;
	up = scene;
	up.input[0].view.state = HEALTH_UP;
	for (uint32_t t = UINT32_MAX - 300; t != 300; t++) {
		scene_compute(&scene, t, &trial);
		scene_compute(&scene, t + 1, &next);
		ck_assert_uint_ne(trial.spelling, next.spelling);
		/* Before the fall, and after some recoveries more. */
		for (uint8_t more = 0; more < 4; more++) {
			up.input[0].view.recoveries = (uint8_t)(7 + more);
			scene_compute(&up, t, &plain);
			ck_assert_uint_eq(plain.spelling, 12U + more);
			ck_assert_uint_gt(trial.spelling, plain.spelling + 4);
			ck_assert_uint_lt(
			    trial.spelling, plain.spelling + 251 - 4);
		}
	}
}
END_TEST

static Suite *
order_trial_suite(void)
{
	Suite *suite = suite_create("order_trial");
	TCase *trial = tcase_create("trial");

	tcase_add_loop_test(trial,
	    a_scene_with_a_trial_gives_the_lists_of_the_table, 0,
	    (int)NELEM(scenes));
	tcase_add_loop_test(trial,
	    the_next_ticket_can_claim_the_host_of_the_table, 0,
	    (int)NELEM(scenes));
	tcase_add_loop_test(trial,
	    what_the_operator_or_the_mta_excludes_is_never_offered, 0,
	    (int)NELEM(excluded));
	tcase_add_loop_test(trial,
	    what_the_operator_or_the_mta_excludes_is_no_backup_in_trial, 0,
	    (int)NELEM(excluded));
	tcase_add_test(
	    trial, a_host_forced_up_in_trial_takes_its_turn_like_others);
	tcase_add_test(
	    trial, an_offer_to_a_host_that_is_not_in_trial_means_nothing);
	tcase_add_test(trial,
	    a_second_offer_and_one_behind_hosts_that_are_up_read_as_in_trial);
	tcase_add_test(
	    trial, a_backup_in_trial_changes_neither_turns_nor_shares);
	tcase_add_test(trial, an_empty_list_offers_nothing);
	tcase_add_loop_test(trial,
	    the_others_follow_as_if_the_offered_host_were_not_there, 0, 4);
	tcase_add_test(
	    trial, weights_and_shares_of_the_others_are_exact_during_a_trial);
	tcase_add_test(
	    trial, each_trial_is_spelled_anew_and_like_no_list_without_one);
	suite_add_tcase(suite, trial);
	return suite;
}

int
main(void)
{
	return suite_run(order_trial_suite());
}
