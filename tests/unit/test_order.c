/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/order.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/order_scene.h"
#include "tests/unit/suite.h"

/* How often each member comes first in the tickets from .. from + n - 1. */
static void
count_firsts(
    const struct scene *scene, uint32_t from, uint32_t n, uint32_t count_r[MAX])
{
	struct order order;

	memset(count_r, 0, sizeof(uint32_t) * MAX);
	for (uint32_t t = 0; t < n; t++) {
		scene_compute(scene, from + t, &order);
		REQUIRE(order.n > 0, "ticket %u: empty list", from + t);
		count_r[order.member[0]]++;
	}
}

static uint32_t
divisor_of(uint32_t a, uint32_t b)
{
	return b == 0 ? a : divisor_of(b, a % b);
}

/* The weights (times eighths) of a one-tier scene in lowest terms, and their
   sum: the length of a cycle. */
static uint32_t
lowest_terms(const struct scene *scene, uint32_t weight_r[MAX])
{
	uint32_t divisor = 0, sum = 0;

	for (uint32_t i = 0; i < scene->n; i++) {
		uint8_t step = scene->input[i].view.slow_step;

		weight_r[i] = scene->member[i].weight * (step > 0 ? step : 8U);
		divisor = divisor_of(weight_r[i], divisor);
	}
	for (uint32_t i = 0; i < scene->n; i++) {
		weight_r[i] /= divisor;
		sum += weight_r[i];
	}
	return sum;
}

static void
check_exact(const struct scene *scene, uint32_t from)
{
	uint32_t weight[MAX], count[MAX], sum;

	sum = lowest_terms(scene, weight);
	count_firsts(scene, from, sum, count);
	for (uint32_t i = 0; i < scene->n; i++)
		REQUIRE(count[i] == weight[i],
		    "host %u of %u: %u of %u, wanted %u", i, scene->n, count[i],
		    sum, weight[i]);
}

static void
check_turns(uint32_t n)
{
	struct scene scene;
	struct order order;

	scene_of(&scene, n);
	for (uint32_t i = 0; i < n; i++)
		scene.member[i].weight = 7;
	for (uint32_t t = 0; t < 3 * n; t++) {
		scene_compute(&scene, t, &order);
		REQUIRE(order.kind == ORDER_UP && order.n == n,
		    "%u hosts, ticket %u: %u listed", n, t, order.n);
		for (uint32_t k = 0; k < n; k++)
			REQUIRE(order.member[k] == (t + k) % n,
			    "%u hosts, ticket %u, place %u: host %u", n, t, k,
			    order.member[k]);
	}
}

START_TEST(equal_hosts_take_turns_ticket_by_ticket)
{
	for (uint32_t n = 1; n <= MAX; n++)
		check_turns(n);
}
END_TEST

START_TEST(each_cycle_of_up_to_four_small_weights_is_exact)
{
	struct scene scene;

	for (uint32_t code = 0; code < 6 * 6 * 6 * 6; code++) {
		uint32_t rest = code;

		scene_of(&scene, (uint32_t)_i);
		for (uint32_t i = 0; i < scene.n; i++, rest /= 6)
			scene.member[i].weight = (uint16_t)(1 + rest % 6);
		check_exact(&scene, code);
	}
}
END_TEST

START_TEST(each_cycle_of_many_random_weights_is_exact)
{
	struct scene scene;

	scene_random_state = 0x9e3779b9u + (uint32_t)_i;
	for (int round = 0; round < 12; round++) {
		scene_of(&scene, round == 0 ? MAX : 1 + scene_random(MAX));
		for (uint32_t i = 0; i < scene.n; i++) {
			scene.member[i].weight =
			    (uint16_t)(1 + scene_random(12));
			if (scene_random(4) == 0)
				scene.input[i].view.slow_step =
				    (uint8_t)scene_random(9);
		}
		check_exact(&scene, scene_random(1000000));
	}
}
END_TEST

START_TEST(the_largest_weights_are_exact_too)
{
	static const uint16_t weights[] = { 1000, 1, 999, 997 };
	struct scene scene;

	scene_of(&scene, NELEM(weights));
	for (uint32_t i = 0; i < scene.n; i++)
		scene.member[i].weight = weights[i];
	scene.input[1].view.slow_step = 1;
	check_exact(&scene, 12345);
	scene_of(&scene, MAX);
	for (uint32_t i = 0; i < scene.n; i++)
		scene.member[i].weight = 1000;
	scene.member[5].weight = 999;
	check_exact(&scene, 0);
}
END_TEST

/* Longest run of one host in a cycle that is walked round. */
static uint32_t
longest_block(const struct scene *scene, uint32_t sum, uint32_t host)
{
	struct order order;
	uint32_t run = 0, longest = 0;

	for (uint32_t t = 0; t < 2 * sum; t++) {
		scene_compute(scene, t, &order);
		run = order.member[0] == host ? run + 1 : 0;
		if (run > longest)
			longest = run;
	}
	return longest;
}

START_TEST(a_heavy_host_does_not_come_in_long_blocks)
{
	uint32_t weight[MAX];
	struct scene scene;

	for (uint16_t heavy = 2; heavy <= 40; heavy++) {
		for (uint16_t light = 1; light < heavy; light++) {
			uint32_t sum, fair;

			scene_of(&scene, 2);
			scene.member[0].weight = heavy;
			scene.member[1].weight = light;
			sum = lowest_terms(&scene, weight);
			/* What a perfectly even walk would need; the analyzer
			   does not see that lowest_terms fills weight.
			   NOLINTNEXTLINE(clang-analyzer-core.*) */
			fair = (weight[0] + weight[1] - 1) / weight[1];
			REQUIRE(longest_block(&scene, sum, 0) <= 2 * fair + 1,
			    "%u:%u: %u in a row", heavy, light,
			    longest_block(&scene, sum, 0));
		}
	}
}
END_TEST

START_TEST(shares_of_missing_hosts_spread_evenly_over_all_that_stay)
{
	uint32_t n = (uint32_t)_i, count[MAX];
	struct scene scene;

	for (uint32_t gone = 0; gone + 1 < 1U << n; gone++) {
		scene_of(&scene, n);
		for (uint32_t i = 0; i < n; i++)
			if (gone >> i & 1)
				scene.input[i].view.state = HEALTH_DEFERRED;
		count_firsts(&scene, gone * 31, 100, count);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t stay = n - (uint32_t)__builtin_popcount(gone);
			uint32_t share = gone >> i & 1 ? 0 : 100 / stay;

			REQUIRE(count[i] >= share &&
				    count[i] <=
					share + (share > 0 && 100 % stay != 0),
			    "host %u has %u, wanted %u", i, count[i], share);
		}
	}
}
END_TEST

START_TEST(weighted_hosts_that_stay_keep_their_ratio_when_one_leaves)
{
	uint32_t count[MAX];
	struct scene scene;

	scene_of(&scene, 3);
	scene.member[0].weight = 3;
	scene.member[1].weight = 1;
	scene.member[2].weight = 4;
	scene.input[2].view.state = HEALTH_DEFERRED;
	count_firsts(&scene, 77, 1000, count);
	ck_assert_uint_eq(count[0], 750);
	ck_assert_uint_eq(count[1], 250);
	ck_assert_uint_eq(count[2], 0);
}
END_TEST

START_TEST(a_returning_host_gets_as_many_eighths_as_its_step)
{
	uint32_t step = (uint32_t)_i, count[MAX];
	struct scene scene;

	scene_of(&scene, 3);
	scene.input[1].view.slow_step = (uint8_t)step;
	count_firsts(&scene, 5, (16 + step) * 10, count);
	ck_assert_uint_eq(count[0], 80);
	ck_assert_uint_eq(count[1], step * 10);
	ck_assert_uint_eq(count[2], 80);
}
END_TEST

START_TEST(the_last_ticket_of_all_is_a_ticket_like_others)
{
	struct scene scene;
	struct order order;

	scene_of(&scene, 3);
	scene.member[0].weight = 2;
	scene_compute(&scene, UINT32_MAX, &order);
	ck_assert_uint_eq(order.n, 3);
	scene.member[0].weight = 1;
	ck_assert_str_eq(scene_list(&scene, UINT32_MAX), "ABC");
	ck_assert_str_eq(scene_list(&scene, UINT32_MAX - 1), "CAB");
}
END_TEST

static Suite *
order_suite(void)
{
	Suite *suite = suite_create("order");
	TCase *turns = tcase_create("turns");

	tcase_set_timeout(turns, 60);
	tcase_add_test(turns, equal_hosts_take_turns_ticket_by_ticket);
	tcase_add_loop_test(
	    turns, each_cycle_of_up_to_four_small_weights_is_exact, 1, 5);
	tcase_add_loop_test(
	    turns, each_cycle_of_many_random_weights_is_exact, 0, 4);
	tcase_add_test(turns, the_largest_weights_are_exact_too);
	tcase_add_test(turns, a_heavy_host_does_not_come_in_long_blocks);
	tcase_add_loop_test(turns,
	    shares_of_missing_hosts_spread_evenly_over_all_that_stay, 1, 9);
	tcase_add_test(
	    turns, weighted_hosts_that_stay_keep_their_ratio_when_one_leaves);
	tcase_add_loop_test(
	    turns, a_returning_host_gets_as_many_eighths_as_its_step, 1, 9);
	tcase_add_test(turns, the_last_ticket_of_all_is_a_ticket_like_others);
	suite_add_tcase(suite, turns);
	return suite;
}

int
main(void)
{
	return suite_run(order_suite());
}
