/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/lookup.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/route.h"
#include "tests/unit/lookup_world.h"
#include "tests/unit/suite.h"

#define TEXT_MAX 300000

static const char a_name_and_a_host[] =
    "routes = ( { domain = \"example.com\"; hosts = ("
    " { host = \"mx.example.net\"; }, { host = \"" B "\"; } ); } );";

START_TEST(the_questions_of_one_message_get_its_ticket)
{
	static const char *const to[] = { "One@example.com",
		"\"t w o\"@EXAMPLE.com", "three+x@example.com." };
	char first[2 * HOST_TEXT_MAX];

	world_setup(world_two_hosts);
	for (uint32_t message = 0; message < 10; message++) {
		uint32_t ticket = world_take_message(to, NELEM(to));

		for (size_t i = 0; i < NELEM(to); i++) {
			struct lookup_answer answer = world_ask(to[i]);

			ck_assert_int_eq(answer.ticket_from, TICKET_FOUND);
			ck_assert_uint_eq(answer.ticket, ticket);
			if (i == 0)
				strcpy(first, world_hosts(&answer));
			ck_assert_str_eq(world_hosts(&answer), first);
		}
		ck_assert_str_eq(first,
		    ticket % 2 == 0 ? A ":25 " B ":25" : B ":25 " A ":25");
	}
	world_teardown();
}
END_TEST

START_TEST(asking_again_and_much_later_finds_the_same_ticket)
{
	static const char *const to[] = { "user@example.com" };
	uint32_t ticket;

	world_setup(world_two_hosts);
	ticket = world_take_message(to, 1);
	for (int i = 0; i < 50; i++, world.now_ms += 60000)
		ck_assert_uint_eq(world_ask(to[0]).ticket, ticket);
	ck_assert_uint_eq(
	    health_table_cursor(world.table, world.base->set_slot[0]),
	    ticket + 1);
	world_teardown();
}
END_TEST

/* n routes, each of the text that follows its domain. */
static char *
many_routes(const char *before, uint32_t n, const char *after)
{
	char *text = malloc(TEXT_MAX);
	int len;

	ck_assert_ptr_nonnull(text);
	len = snprintf(text, TEXT_MAX, "%s\nroutes = (", before);
	for (uint32_t i = 0; i < n; i++)
		len += snprintf(text + len, (size_t)(TEXT_MAX - len),
		    "%s\n{ domain = \"d%u.example\"; %s }", i > 0 ? "," : "", i,
		    after);
	(void)snprintf(text + len, (size_t)(TEXT_MAX - len), ");");
	return text;
}

static void
check_thousand_domains(const char *before, const char *after)
{
	char *text = many_routes(before, 1000, after);
	uint32_t to_a = 0;

	world_setup(text);
	ck_assert_uint_eq(world.config->n_sets, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		struct lookup_answer answer;
		char to[40];
		const char *one = to;

		(void)snprintf(to, sizeof(to), "user%u@d%u.example", i, i);
		(void)world_take_message(&one, 1);
		answer = world_ask(to);
		ck_assert_uint_eq(answer.route, i);
		to_a += strcmp(world_hosts(&answer), A ":25 " B ":25") == 0;
	}
	ck_assert_uint_eq(to_a, 500);
	ck_assert_uint_eq(
	    health_table_counter(world.table, world_slot(A), COUNTER_PICKED),
	    500);
	ck_assert_uint_eq(
	    health_table_counter(world.table, world_slot(B), COUNTER_PICKED),
	    500);
	free(text);
	world_teardown();
}

START_TEST(a_thousand_domains_on_one_pool_share_its_turns)
{
	check_thousand_domains(
	    "pools = ( { name = \"p\"; hosts = ( { host = \"" A "\"; },"
	    " { host = \"" B "\"; } ); } );",
	    "pool = \"p\";");
}
END_TEST

START_TEST(a_thousand_equal_lists_are_one_set_too)
{
	check_thousand_domains("", "hosts = ( { host = \"" A "\"; },"
				   " { host = \"[" B "]:25\"; port = 25; } );");
}
END_TEST

START_TEST(two_routes_of_one_list_share_one_cursor)
{
	static const char *const to[] = { "u@d0.example", "u@d1.example" };
	char *text = many_routes(
	    "", 2, "hosts = ( { host = \"" A "\"; }, { host = \"" B "\"; } );");
	uint32_t first;

	world_setup(text);
	first = world_take_message(&to[0], 1);
	for (uint32_t i = 1; i < 20; i++)
		ck_assert_uint_eq(world_take_message(&to[i % 2], 1), first + i);
	free(text);
	world_teardown();
}
END_TEST

START_TEST(without_a_ticket_the_last_drawn_one_stands_in_for_a_second)
{
	static const char *const to[] = { "user@example.com" };
	struct lookup_answer answer;
	uint32_t ticket;

	world_setup(world_two_hosts);
	ck_assert_int_eq(
	    world_ask("member@example.com").ticket_from, TICKET_HASH);
	for (int i = 0; i < 2; i++) {
		ticket = world_take_message(to, 1);
		answer = world_ask("member@example.com");
		ck_assert_int_eq(answer.ticket_from, TICKET_LAST);
		ck_assert_uint_eq(answer.ticket, ticket);
	}
	world.now_ms += LOOKUP_STAND_IN_MS - 1;
	ck_assert_int_eq(
	    world_ask("member@example.com").ticket_from, TICKET_LAST);
	world.now_ms += 1;
	ck_assert_int_eq(
	    world_ask("member@example.com").ticket_from, TICKET_HASH);
	ck_assert_int_eq(
	    world_ask("user@example.com").ticket_from, TICKET_FOUND);
	world_teardown();
}
END_TEST

static bool
resolving_after_a_question(const char *routes)
{
	struct address to = world_address("member@example.com");
	bool resolving;

	world_setup(routes);
	(void)world_ask("member@example.com");
	resolving = lookup_resolving(world.base, lookup_route(world.base, &to),
	    world.now_ms, world.now_ms);
	world_teardown();
	return resolving;
}

START_TEST(only_a_list_of_several_can_be_split)
{
	ck_assert(resolving_after_a_question(world_two_hosts));
	/* Its route of example.com has one host. */
	ck_assert(!resolving_after_a_question(world_many_kinds));
}
END_TEST

START_TEST(the_hash_goes_the_same_way_again_and_spreads_evenly)
{
	uint32_t to_a = 0, cursor;

	world_setup(world_two_hosts);
	cursor = health_table_cursor(world.table, world.base->set_slot[0]);
	for (uint32_t i = 0; i < 1000; i++) {
		struct lookup_answer answer;
		char to[40];
		uint32_t ticket;

		(void)snprintf(to, sizeof(to), "user%u@example.com", i);
		answer = world_ask(to);
		ck_assert_int_eq(answer.ticket_from, TICKET_HASH);
		ticket = answer.ticket;
		to_a += answer.order.member[0] == 0;
		(void)snprintf(to, sizeof(to), "user%u@Example.COM", i);
		world.now_ms += 300000;
		ck_assert_uint_eq(world_ask(to).ticket, ticket);
	}
	ck_assert_uint_gt(to_a, 440);
	ck_assert_uint_lt(to_a, 560);
	ck_assert_uint_eq(
	    cursor, health_table_cursor(world.table, world.base->set_slot[0]));
	world_teardown();
}
END_TEST

START_TEST(without_a_table_all_hosts_count_as_up_and_nothing_is_drawn)
{
	struct lookup_answer answer, again;
	struct address to = world_address("user@example.com");
	uint32_t ticket;

	world_make_folder();
	world_load(a_name_and_a_host);
	world_bind(true);
	answer = world_ask("user@example.com");
	ck_assert_int_eq(answer.kind, LOOKUP_HOSTS);
	ck_assert_int_eq(answer.ticket_from, TICKET_HASH);
	ck_assert_uint_eq(answer.order.n, 2);
	ck_assert(!lookup_draw(world.base, 0, world.now_ms, &ticket));
	lookup_leave(world.base, 0, &to, 7, world.now_ms);
	again = world_ask("user@example.com");
	ck_assert_uint_eq(again.ticket, answer.ticket);
	world_teardown();
}
END_TEST

START_TEST(a_tool_adds_nothing_to_the_table)
{
	struct health_table_header_info info;
	uint32_t ticket;

	world_make_folder();
	world_load(world_two_hosts);
	world_open_table(10, 10);
	world_bind(false);
	ck_assert_uint_eq(world.base->host_slot[0], HEALTH_TABLE_NONE);
	ck_assert_uint_eq(world.base->set_slot[0], HEALTH_TABLE_NONE);
	health_table_header(world.table, &info);
	ck_assert_uint_eq(info.hosts_used, 0);
	ck_assert_uint_eq(info.sets_used, 0);
	ck_assert_uint_eq(world_ask("user@example.com").order.n, 2);
	ck_assert(!lookup_draw(world.base, 0, world.now_ms, &ticket));
	world_teardown();
}
END_TEST

START_TEST(a_table_without_room_is_an_error_in_words)
{
	char text[60000];
	struct health_table_header_info info;
	struct err err;
	int len;

	world_make_folder();
	len = snprintf(text, sizeof(text), "routes = (");
	for (int i = 0; i < 500; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len,
		    "%s{ domain = \"d%d.example\"; hosts = ( { host = "
		    "\"10.0.%d.%d\"; } ); }",
		    i > 0 ? "," : "", i, i / 250, 1 + i % 250);
	(void)snprintf(text + len, sizeof(text) - (size_t)len, ");");
	world_load(text);
	world_open_table(1, 500);
	health_table_header(world.table, &info);
	ck_assert_uint_lt(info.hosts_max, 500);
	ck_assert_int_eq(
	    lookup_bind(world.config, world.table, true, &world.base, &err),
	    -1);
	ck_assert_ptr_null(world.base);
	ck_assert_str_eq(
	    err.text, "the health table has no room for 500 hosts");
	world_teardown();
}
END_TEST

START_TEST(turns_and_tickets_go_on_after_a_restart)
{
	static const char *const to[] = { "user@example.com" };
	uint32_t ticket;

	world_setup(world_two_hosts);
	ticket = world_take_message(to, 1);
	world_set_state(B, HEALTH_DEFERRED, START_MS + 10000);
	lookup_base_free(&world.base);
	health_table_close(&world.table);
	world_open_table(2, 1);
	world_bind(true);
	ck_assert_int_eq(world_ask(to[0]).ticket_from, TICKET_FOUND);
	ck_assert_uint_eq(world_ask(to[0]).ticket, ticket);
	ck_assert_uint_eq(world_ask(to[0]).order.n, 1);
	ck_assert_uint_eq(world_take_message(to, 1), ticket + 1);
	world_teardown();
}
END_TEST

START_TEST(use_dns_draws_no_ticket)
{
	struct address to = world_address("user@dns.example.org");
	struct lookup_answer answer;
	uint32_t route, ticket;

	world_setup(world_many_kinds);
	route = lookup_route(world.base, &to);
	ck_assert(!lookup_draw(world.base, route, world.now_ms, &ticket));
	lookup_leave(world.base, route, &to, 7, world.now_ms);
	ck_assert_int_eq(
	    lookup_with_ticket(world.base, route, 7, world.now_ms, &answer),
	    LOOKUP_DNS);
	ck_assert_uint_eq(answer.order.n, 0);
	world_teardown();
}
END_TEST

START_TEST(tickets_of_two_sets_do_not_mix)
{
	struct address to = world_address("user@a.example.org");
	struct lookup_answer answer;

	world_setup(world_many_kinds);
	lookup_leave(world.base, 0, &to, 12345, world.now_ms);
	answer = world_ask("user@a.example.org");
	ck_assert_int_eq(answer.ticket_from, TICKET_HASH);
	lookup_leave(world.base, answer.route, &to, 1, world.now_ms);
	answer = world_ask("user@a.example.org");
	ck_assert_int_eq(answer.ticket_from, TICKET_FOUND);
	ck_assert_str_eq(world_hosts(&answer), B ":25 " C ":2525 " A ":25");
	world_teardown();
}
END_TEST

static Suite *
lookup_suite(void)
{
	Suite *suite = suite_create("lookup");
	TCase *ticket = tcase_create("ticket");
	TCase *bind = tcase_create("bind");

	tcase_add_test(ticket, the_questions_of_one_message_get_its_ticket);
	tcase_add_test(
	    ticket, asking_again_and_much_later_finds_the_same_ticket);
	tcase_add_test(ticket, a_thousand_domains_on_one_pool_share_its_turns);
	tcase_add_test(ticket, a_thousand_equal_lists_are_one_set_too);
	tcase_add_test(ticket, two_routes_of_one_list_share_one_cursor);
	tcase_add_test(
	    ticket, without_a_ticket_the_last_drawn_one_stands_in_for_a_second);
	tcase_add_test(ticket, only_a_list_of_several_can_be_split);
	tcase_add_test(
	    ticket, the_hash_goes_the_same_way_again_and_spreads_evenly);
	tcase_add_test(ticket, use_dns_draws_no_ticket);
	tcase_add_test(ticket, tickets_of_two_sets_do_not_mix);
	suite_add_tcase(suite, ticket);
	tcase_add_test(
	    bind, without_a_table_all_hosts_count_as_up_and_nothing_is_drawn);
	tcase_add_test(bind, a_tool_adds_nothing_to_the_table);
	tcase_add_test(bind, a_table_without_room_is_an_error_in_words);
	tcase_add_test(bind, turns_and_tickets_go_on_after_a_restart);
	suite_add_tcase(suite, bind);
	return suite;
}

int
main(void)
{
	return suite_run(lookup_suite());
}
