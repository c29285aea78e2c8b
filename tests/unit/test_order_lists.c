/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/order.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/order_scene.h"
#include "tests/unit/suite.h"

static int
compare_orders(const void *a, const void *b)
{
	return memcmp(a, b, MAX);
}

START_TEST(a_set_has_no_more_lists_than_hosts_that_are_up)
{
	static uint8_t lists[10000][MAX];
	struct scene scene;
	struct order order;
	uint32_t distinct = 1, up = 0;

	scene_random_state = 4711 + (uint32_t)_i;
	scene_of(&scene, 1 + scene_random(MAX));
	for (uint32_t i = 0; i < scene.n; i++) {
		scene.member[i].priority = (uint16_t)(i / 5);
		scene.member[i].weight = (uint16_t)(1 + scene_random(9));
		if (i > 0 && scene_random(3) == 0)
			scene.input[i].view.state = HEALTH_DEFERRED;
		up += i < 5 && scene.input[i].view.state == HEALTH_UP;
	}
	memset(lists, 0xff, sizeof(lists));
	for (uint32_t t = 0; t < NELEM(lists); t++) {
		scene_compute(&scene, t, &order);
		memcpy(lists[t], order.member, order.n);
	}
	qsort(lists, NELEM(lists), MAX, compare_orders);
	for (uint32_t t = 1; t < NELEM(lists); t++)
		distinct += memcmp(lists[t - 1], lists[t], MAX) != 0;
	ck_assert_uint_eq(distinct, up);
}
END_TEST

static const struct {
	const char *hosts; /* see scene_from */
	enum order_kind kind;
	const char *lists[4]; /* of the tickets 0, 1, 2, 3 */
} scenes[] = {
	{ "u", ORDER_UP, { "A", "A", "A", "A" } },
	{ "uuu", ORDER_UP, { "ABC", "BCA", "CAB", "ABC" } },
	{ "u u", ORDER_UP, { "AB", "AB", "AB", "AB" } },
	{ "uu uu", ORDER_UP, { "ABCD", "BACD", "ABCD", "BACD" } },
	{ "u u u", ORDER_UP, { "ABC", "ABC", "ABC", "ABC" } },
	/* a deferred host is left out while any is up, of whatever tier */
	{ "d u", ORDER_UP, { "B", "B", "B", "B" } },
	{ "udu", ORDER_UP, { "AC", "CA", "AC", "CA" } },
	{ "ud du", ORDER_UP, { "AD", "AD", "AD", "AD" } },
	{ "dd uu", ORDER_UP, { "CD", "DC", "CD", "DC" } },
	{ "dd dd uu", ORDER_UP, { "EF", "FE", "EF", "FE" } },
	{ "t u", ORDER_UP, { "B", "B", "B", "B" } },
	{ "tu", ORDER_UP, { "B", "B", "B", "B" } },
	/* the operator's word */
	{ "Du", ORDER_UP, { "B", "B", "B", "B" } },
	{ "Xu", ORDER_UP, { "B", "B", "B", "B" } },
	{ "Fd", ORDER_UP, { "A", "A", "A", "A" } },
	{ "F u", ORDER_UP, { "AB", "AB", "AB", "AB" } },
	{ "Fu", ORDER_UP, { "AB", "BA", "AB", "BA" } },
	/* what the MTA cannot use */
	{ "fu", ORDER_UP, { "B", "B", "B", "B" } },
	{ "nu", ORDER_UP, { "B", "B", "B", "B" } },
	{ "u nf", ORDER_UP, { "A", "A", "A", "A" } },
	/* none up */
	{ "d", ORDER_DEFERRED, { "A", "A", "A", "A" } },
	{ "ddd", ORDER_DEFERRED, { "ABC", "ABC", "ABC", "ABC" } },
	{ "d d", ORDER_DEFERRED, { "AB", "AB", "AB", "AB" } },
	{ "d t", ORDER_DEFERRED, { "BA", "BA", "BA", "BA" } },
	{ "dtdt", ORDER_DEFERRED, { "BDAC", "BDAC", "BDAC", "BDAC" } },
	{ "Dd", ORDER_DEFERRED, { "B", "B", "B", "B" } },
	{ "Xd fd", ORDER_DEFERRED, { "BD", "BD", "BD", "BD" } },
	{ "nd", ORDER_DEFERRED, { "B", "B", "B", "B" } },
	/* nothing to list */
	{ "", ORDER_NONE, { "", "", "", "" } },
	{ "D", ORDER_NONE, { "", "", "", "" } },
	{ "X X", ORDER_NONE, { "", "", "", "" } },
	{ "DX", ORDER_NONE, { "", "", "", "" } },
	{ "f", ORDER_NONE, { "", "", "", "" } },
	{ "n", ORDER_NONE, { "", "", "", "" } },
	{ "fn DX", ORDER_NONE, { "", "", "", "" } },
};

START_TEST(a_scene_gives_the_lists_of_the_table)
{
	struct scene scene;
	struct order order;

	scene_from(&scene, scenes[_i].hosts);
	for (uint32_t t = 0; t < NELEM(scenes[_i].lists); t++) {
		scene_compute(&scene, t, &order);
		ck_assert_int_eq(order.kind, scenes[_i].kind);
		ck_assert_str_eq(scene_list(&scene, t), scenes[_i].lists[t]);
	}
}
END_TEST

START_TEST(deferred_hosts_come_soonest_due_first)
{
	static const uint64_t due[] = { 9000, 4000, UINT64_MAX, 4000, 0, 1 };
	struct scene scene;
	struct order order;

	scene_from(&scene, "dd dd dt");
	for (uint32_t i = 0; i < scene.n; i++)
		scene.input[i].view.due_ms = due[i];
	for (uint32_t t = 0; t < 20; t++) {
		scene_compute(&scene, t, &order);
		ck_assert_int_eq(order.kind, ORDER_DEFERRED);
		ck_assert_str_eq(scene_list(&scene, t), "FEBDAC");
	}
}
END_TEST

START_TEST(a_silent_host_stands_behind_those_that_answered)
{
	static const uint64_t due[] = { 100, 300, 200, 400, 50 };
	struct scene scene;
	struct order order;

	scene_from(&scene, "dd dd t");
	for (uint32_t i = 0; i < scene.n; i++) {
		scene.input[i].view.due_ms = due[i];
		scene.input[i].view.silent = i != 1 && i != 3;
	}
	scene_compute(&scene, 0, &order);
	ck_assert_int_eq(order.kind, ORDER_DEFERRED);
	ck_assert_str_eq(scene_list(&scene, 0), "EBDAC");
}
END_TEST

START_TEST(what_is_unusable_stays_out_even_when_forced_up)
{
	struct scene scene;
	struct order order;

	scene_from(&scene, "fn");
	scene.input[0].view.override = OVERRIDE_FORCED_UP;
	scene.input[1].view.override = OVERRIDE_FORCED_UP;
	scene_compute(&scene, 0, &order);
	ck_assert_int_eq(order.kind, ORDER_NONE);
	ck_assert_int_eq(order.why[0], ORDER_WHY_FAMILY);
	ck_assert_int_eq(order.why[1], ORDER_WHY_UNRESOLVED);
}
END_TEST

START_TEST(every_member_has_its_reason)
{
	static const enum order_why wanted[] = { ORDER_WHY_UP, ORDER_WHY_FORCED,
		ORDER_WHY_DEFERRED, ORDER_WHY_TRIAL, ORDER_WHY_DRAIN,
		ORDER_WHY_DISABLED, ORDER_WHY_FAMILY, ORDER_WHY_UNRESOLVED,
		ORDER_WHY_OFFERED };
	struct scene scene;
	struct order order;

	scene_from(&scene, "uFdtDXfno");
	scene_compute(&scene, 3, &order);
	for (uint32_t i = 0; i < scene.n; i++)
		ck_assert_int_eq(order.why[i], wanted[i]);
	ck_assert_str_eq(order_why_text(ORDER_WHY_DEFERRED), "deferred");
	for (int a = 0; a <= ORDER_WHY_OFFERED; a++)
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(order_why_text((enum order_why)a),
			    order_why_text((enum order_why)b));
}
END_TEST

/* A random state of a random set; seldom kind. */
static void
random_scene(struct scene *scene)
{
	static const char letters[] = "uuuddtcDXFfn";
	uint32_t kinds = 1 + scene_random(sizeof(letters) - 1);
	char text[2 * MAX];
	uint32_t at = 0;

	for (uint32_t n = 1 + scene_random(12); n > 0; n--) {
		uint32_t from = scene_random(sizeof(letters) - kinds);

		text[at++] = letters[from + scene_random(kinds)];
		if (scene_random(3) == 0)
			text[at++] = ' ';
	}
	text[at] = '\0';
	scene_from(scene, text);
	for (uint32_t i = 0; i < scene->n; i++) {
		struct health_view *view = &scene->input[i].view;

		scene->member[i].weight = (uint16_t)(1 + scene_random(4));
		view->slow_step = (uint8_t)scene_random(12);
		view->due_ms = scene_random(5);
		view->recoveries = (uint8_t)scene_random(256);
	}
}

/* In trial, and behind the tier with the first host that is up? */
static bool
is_backup_in_trial(
    const struct scene *scene, const struct order *order, uint32_t at)
{
	uint32_t first = 0;

	while (first < scene->n && order->why[first] > ORDER_WHY_FORCED)
		first++;
	return first < scene->n && order->why[at] == ORDER_WHY_TRIAL &&
	       scene->member[at].priority > scene->member[first].priority;
}

static void
check_listed(const struct scene *scene, const struct order *order)
{
	uint64_t seen = 0;
	uint32_t spelling = 0;

	for (uint32_t k = 0; k < order->n; k++) {
		uint32_t at = order->member[k];
		enum order_why why = (enum order_why)order->why[at];

		REQUIRE(at < scene->n && !(seen >> at & 1), "host %u", at);
		seen |= (uint64_t)1 << at;
		spelling += scene->input[at].view.recoveries;
		spelling += why == ORDER_WHY_FORCED ? 4 : 0;
		REQUIRE(
		    order->kind == ORDER_DEFERRED
			? why == ORDER_WHY_DEFERRED || why == ORDER_WHY_TRIAL
			: why <= ORDER_WHY_FORCED ||
			      is_backup_in_trial(scene, order, at),
		    "host %u is listed: %s", at, order_why_text(why));
		REQUIRE(order->kind == ORDER_DEFERRED || k == 0 ||
			    scene->member[order->member[k - 1]].priority <=
				scene->member[at].priority,
		    "host %u comes after a later tier", at);
	}
	REQUIRE(order->spelling == spelling, "spelling %u, wanted %u",
	    order->spelling, spelling);
}

START_TEST(no_deferred_host_is_listed_while_one_is_up_in_any_state)
{
	struct scene scene;
	struct order order;

	scene_random_state = 20261121 + (uint32_t)_i;
	for (int round = 0; round < 10000; round++) {
		uint32_t up = 0, deferred = 0, backups = 0;
		enum order_kind wanted;

		random_scene(&scene);
		scene_compute(&scene, scene_random(UINT32_MAX), &order);
		for (uint32_t i = 0; i < scene.n; i++) {
			up += order.why[i] <= ORDER_WHY_FORCED;
			deferred += order.why[i] == ORDER_WHY_DEFERRED ||
				    order.why[i] == ORDER_WHY_TRIAL;
			backups += is_backup_in_trial(&scene, &order, i);
		}
		REQUIRE(order.n == (up > 0 ? up + backups : deferred),
		    "%u up, %u in trial behind them, %u deferred, %u listed",
		    up, backups, deferred, order.n);
		wanted = deferred > 0 ? ORDER_DEFERRED : ORDER_NONE;
		if (up > 0)
			wanted = ORDER_UP;
		REQUIRE(order.kind == wanted, "kind %d, wanted %d",
		    (int)order.kind, (int)wanted);
		check_listed(&scene, &order);
	}
}
END_TEST

START_TEST(only_a_listed_hosts_recovery_changes_the_spelling)
{
	struct scene scene;
	struct order before, after;

	scene_from(&scene, "ud u");
	scene_compute(&scene, 0, &before);
	scene.input[1].view.recoveries++;
	scene_compute(&scene, 0, &after);
	ck_assert_uint_eq(after.spelling, before.spelling);
	scene.input[0].view.recoveries++;
	scene_compute(&scene, 0, &after);
	ck_assert_uint_eq(after.spelling, before.spelling + 1);
	scene.input[2].view.recoveries++;
	scene_compute(&scene, 1, &after);
	ck_assert_uint_eq(after.spelling, before.spelling + 2);
	scene_from(&scene, "ut t");
	scene_compute(&scene, 0, &before);
	scene.input[1].view.recoveries++;
	scene_compute(&scene, 0, &after);
	ck_assert_uint_eq(after.spelling, before.spelling);
	scene.input[2].view.recoveries++;
	scene_compute(&scene, 0, &after);
	ck_assert_uint_eq(after.spelling, before.spelling + 1);
}
END_TEST

START_TEST(forcing_a_host_up_changes_the_spelling)
{
	struct scene scene;
	struct order before, after;

	scene_from(&scene, "d");
	scene_compute(&scene, 0, &before);
	scene.input[0].view.override = OVERRIDE_FORCED_UP;
	scene_compute(&scene, 0, &after);
	ck_assert_uint_eq(after.n, before.n);
	ck_assert_uint_ne(after.spelling, before.spelling);
	/* Neither is it the one of the next recovery. */
	ck_assert_uint_ne(after.spelling, before.spelling + 1);
}
END_TEST

static Suite *
order_lists_suite(void)
{
	Suite *suite = suite_create("order_lists");
	TCase *lists = tcase_create("lists");

	tcase_add_loop_test(
	    lists, a_scene_gives_the_lists_of_the_table, 0, (int)NELEM(scenes));
	tcase_add_test(lists, deferred_hosts_come_soonest_due_first);
	tcase_add_test(lists, a_silent_host_stands_behind_those_that_answered);
	tcase_add_test(lists, what_is_unusable_stays_out_even_when_forced_up);
	tcase_add_test(lists, every_member_has_its_reason);
	tcase_add_loop_test(
	    lists, a_set_has_no_more_lists_than_hosts_that_are_up, 0, 6);
	tcase_add_loop_test(lists,
	    no_deferred_host_is_listed_while_one_is_up_in_any_state, 0, 4);
	tcase_add_test(
	    lists, only_a_listed_hosts_recovery_changes_the_spelling);
	tcase_add_test(lists, forcing_a_host_up_changes_the_spelling);
	suite_add_tcase(suite, lists);
	return suite;
}

int
main(void)
{
	return suite_run(order_lists_suite());
}
