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

#define LONG	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
#define VERY_LONG LONG LONG LONG LONG LONG

static const struct {
	const char *text;
	enum lookup_kind kind;
	const char *domain; /* of the route; NULL: none */
} addresses[] = {
	{ "user@example.com", LOOKUP_HOSTS, "example.com" },
	{ "User+Ext@EXAMPLE.com", LOOKUP_HOSTS, "example.com" },
	{ "\"a b\"@example.com", LOOKUP_HOSTS, "example.com" },
	{ "\"a@b\"@example.com", LOOKUP_HOSTS, "example.com" },
	{ "\"@example.org\"@example.com", LOOKUP_HOSTS, "example.com" },
	{ "u%x@example.com", LOOKUP_HOSTS, "example.com" },
	{ "user@example.com.", LOOKUP_HOSTS, "example.com" },
	{ "<user@example.com>", LOOKUP_HOSTS, "example.com" },
	{ "user@a.example.org", LOOKUP_HOSTS, ".example.org" },
	{ "user@b.a.example.ORG", LOOKUP_HOSTS, ".example.org" },
	{ "user@dns.example.org", LOOKUP_DNS, "dns.example.org" },
	{ "user@example.org", LOOKUP_NOT_OURS, NULL },
	{ "user@sub.example.com", LOOKUP_NOT_OURS, NULL },
	{ "user@example.net", LOOKUP_NOT_OURS, NULL },
	{ "user@mx.example.net", LOOKUP_NOT_OURS, NULL },
	{ "x@[127.0.0.1]", LOOKUP_HOSTS, "[127.0.0.1]" },
	{ "x@[127.0.0.2]", LOOKUP_NOT_OURS, NULL },
	{ "*", LOOKUP_NOT_OURS, NULL },
	{ "postmaster", LOOKUP_NOT_OURS, NULL },
	{ "example.com", LOOKUP_NOT_OURS, NULL },
	{ "", LOOKUP_NOT_OURS, NULL },
	{ "@", LOOKUP_NOT_OURS, NULL },
	{ "user@", LOOKUP_NOT_OURS, NULL },
	{ "user@.", LOOKUP_NOT_OURS, NULL },
	{ "user@.example.org", LOOKUP_NOT_OURS, NULL },
	{ "\"user@example.com", LOOKUP_NOT_OURS, NULL },
	{ "user@" VERY_LONG "example.com", LOOKUP_NOT_OURS, NULL },
	{ "user@ALL", LOOKUP_NOT_OURS, NULL },
	{ "user@all", LOOKUP_NOT_OURS, NULL },
};

START_TEST(an_address_meets_the_route_of_the_table)
{
	struct lookup_answer answer;

	world_setup(world_many_kinds);
	answer = world_ask(addresses[_i].text);
	ck_assert_int_eq(answer.kind, addresses[_i].kind);
	ck_assert(!answer.tempfail);
	if (addresses[_i].domain == NULL)
		ck_assert_uint_eq(answer.route, ROUTE_NONE);
	else
		ck_assert_str_eq(world.config->routes[answer.route].domain,
		    addresses[_i].domain);
	ck_assert_int_eq(answer.order.n > 0, answer.kind == LOOKUP_HOSTS);
	world_teardown();
}
END_TEST

START_TEST(a_zero_byte_is_not_ours)
{
	static const char text[] = "user\0@example.com";
	struct lookup_answer answer;

	world_setup(world_two_hosts);
	ck_assert_int_eq(lookup_recipient(world.base, text, sizeof(text) - 1,
			     world.now_ms, &answer),
	    LOOKUP_NOT_OURS);
	world_teardown();
}
END_TEST

START_TEST(all_does_not_cover_what_is_not_routed)
{
	world_setup("not_routed = [ \"mx.example.net\", \"localhost\" ];\n"
		    "routes = ( { domain = \"ALL\"; hosts = ("
		    " { host = \"" A "\"; } ); } );");
	ck_assert_int_eq(
	    world_ask("root@mx.example.net").kind, LOOKUP_NOT_OURS);
	ck_assert_int_eq(world_ask("root@LOCALHOST").kind, LOOKUP_NOT_OURS);
	ck_assert_int_eq(world_ask("user@anything.example").kind, LOOKUP_HOSTS);
	ck_assert_int_eq(world_ask("x@[127.0.0.1]").kind, LOOKUP_HOSTS);
	ck_assert_int_eq(world_ask("*").kind, LOOKUP_NOT_OURS);
	ck_assert_int_eq(world_ask("postmaster").kind, LOOKUP_NOT_OURS);
	world_teardown();
}
END_TEST

START_TEST(the_order_follows_the_health_of_the_question_not_of_the_draw)
{
	static const char *const to[] = { "user@example.com" };
	struct lookup_answer answer;
	uint32_t spelling;

	world_setup(world_two_hosts);
	while (world_take_message(to, 1) % 2 != 0)
		;
	answer = world_ask(to[0]);
	spelling = answer.order.spelling;
	ck_assert_str_eq(world_hosts(&answer), A ":25 " B ":25");
	world_set_state(A, HEALTH_DEFERRED, world.now_ms + 10000);
	answer = world_ask(to[0]);
	ck_assert_str_eq(world_hosts(&answer), B ":25");
	world.now_ms += 11000; /* overdue is not up */
	answer = world_ask(to[0]);
	ck_assert_str_eq(world_hosts(&answer), B ":25");
	world_set_state(B, HEALTH_DEFERRED, world.now_ms + 1);
	answer = world_ask(to[0]);
	ck_assert_int_eq(answer.order.kind, ORDER_DEFERRED);
	ck_assert_str_eq(world_hosts(&answer), A ":25 " B ":25");
	world_set_state(A, HEALTH_UP, 0);
	world_set_state(B, HEALTH_UP, 0);
	answer = world_ask(to[0]);
	ck_assert_str_eq(world_hosts(&answer), A ":25 " B ":25");
	ck_assert_uint_eq(answer.order.spelling, spelling + 2);
	world_teardown();
}
END_TEST

START_TEST(an_override_counts_until_its_time_is_over)
{
	struct health_override_info drain = { .kind = OVERRIDE_DRAIN,
		.until_ms = START_MS + 5000,
		.since_ms = START_MS };
	struct lookup_answer answer;

	world_setup(world_two_hosts);
	health_table_set_override(world.table, world_slot(A), &drain);
	answer = world_ask("user@example.com");
	ck_assert_str_eq(world_hosts(&answer), B ":25");
	ck_assert_int_eq(answer.order.why[0], ORDER_WHY_DRAIN);
	world.now_ms += 5001;
	ck_assert_uint_eq(world_ask("user@example.com").order.n, 2);
	world_teardown();
}
END_TEST

static const struct {
	const char *word;
	enum health_state state;
	enum health_override override;
	enum lookup_kind kind;
	bool tempfail;
	uint32_t listed;
} words[] = {
	{ "try", HEALTH_UP, OVERRIDE_NONE, LOOKUP_HOSTS, false, 2 },
	{ "hold", HEALTH_UP, OVERRIDE_NONE, LOOKUP_HOSTS, false, 2 },
	{ "tempfail", HEALTH_UP, OVERRIDE_NONE, LOOKUP_HOSTS, false, 2 },
	{ "try", HEALTH_DEFERRED, OVERRIDE_NONE, LOOKUP_HOSTS, false, 2 },
	{ "hold", HEALTH_DEFERRED, OVERRIDE_NONE, LOOKUP_HOLD, false, 2 },
	{ "tempfail", HEALTH_DEFERRED, OVERRIDE_NONE, LOOKUP_HOSTS, true, 2 },
	{ "try", HEALTH_TRIAL, OVERRIDE_NONE, LOOKUP_HOSTS, false, 2 },
	{ "hold", HEALTH_DEFERRED, OVERRIDE_FORCED_UP, LOOKUP_HOSTS, false, 2 },
	{ "tempfail", HEALTH_DEFERRED, OVERRIDE_FORCED_UP, LOOKUP_HOSTS, false,
	    2 },
	{ "try", HEALTH_UP, OVERRIDE_DRAIN, LOOKUP_HOLD, false, 0 },
	{ "try", HEALTH_DEFERRED, OVERRIDE_DISABLED, LOOKUP_HOLD, false, 0 },
	{ "hold", HEALTH_UP, OVERRIDE_DISABLED, LOOKUP_HOLD, false, 0 },
	{ "tempfail", HEALTH_UP, OVERRIDE_DRAIN, LOOKUP_HOLD, false, 0 },
};

START_TEST(when_no_host_is_up_the_routes_word_decides)
{
	struct health_override_info info = { .kind = words[_i].override };
	struct lookup_answer answer;
	char text[400];

	(void)snprintf(text, sizeof(text),
	    "routes = ( { domain = \"example.com\"; when_all_deferred = "
	    "\"%s\"; hosts = ( { host = \"" A "\"; },"
	    " { host = \"" B "\"; priority = 10; } ); } );",
	    words[_i].word);
	world_setup(text);
	world_set_state(A, words[_i].state, START_MS + 5000);
	world_set_state(B, words[_i].state, START_MS + 4000);
	health_table_set_override(world.table, world_slot(A), &info);
	health_table_set_override(world.table, world_slot(B), &info);
	answer = world_ask("user@example.com");
	ck_assert_int_eq(answer.kind, words[_i].kind);
	ck_assert_int_eq(answer.tempfail, words[_i].tempfail);
	ck_assert_uint_eq(answer.order.n, words[_i].listed);
	if (answer.order.kind == ORDER_DEFERRED &&
	    words[_i].state == HEALTH_DEFERRED)
		ck_assert_str_eq(world_hosts(&answer), B ":25 " A ":25");
	world_teardown();
}
END_TEST

START_TEST(held_mail_picks_no_host)
{
	static const char *const to[] = { "user@example.com" };
	struct health_override_info drain = { .kind = OVERRIDE_DRAIN };

	world_setup(world_two_hosts);
	health_table_set_override(world.table, world_slot(A), &drain);
	(void)world_take_message(to, 1);
	health_table_set_override(world.table, world_slot(B), &drain);
	(void)world_take_message(to, 1);
	ck_assert_uint_eq(
	    health_table_counter(world.table, world_slot(A), COUNTER_PICKED),
	    0);
	ck_assert_uint_eq(
	    health_table_counter(world.table, world_slot(B), COUNTER_PICKED),
	    1);
	world_teardown();
}
END_TEST

static const char a_name_and_a_host[] =
    "routes = ( { domain = \"example.com\"; hosts = ("
    " { host = \"mx.example.net\"; }, { host = \"" B "\"; } ); } );";

START_TEST(a_new_name_is_left_out_until_it_has_resolved)
{
	struct lookup_answer answer;

	world_setup(a_name_and_a_host);
	answer = world_ask("user@example.com");
	ck_assert_str_eq(world_hosts(&answer), B ":25");
	ck_assert_int_eq(answer.order.why[0], ORDER_WHY_UNRESOLVED);
	world_set_usable("mx.example.net", true);
	ck_assert_uint_eq(world_ask("user@example.com").order.n, 2);
	lookup_base_free(&world.base);
	world_bind(true); /* a reload: what is known stays known */
	ck_assert_uint_eq(world_ask("user@example.com").order.n, 2);
	world_teardown();
}
END_TEST

START_TEST(a_route_of_one_unresolved_name_is_held)
{
	world_setup("routes = ( { domain = \"example.com\"; hosts = ("
		    " { host = \"mx.example.net\"; } ); } );");
	ck_assert_int_eq(world_ask("user@example.com").kind, LOOKUP_HOLD);
	world_teardown();
}
END_TEST

static const struct {
	const char *family;
	const char *hosts;
} families[] = {
	{ "any", "[::1]:25 " B ":25 " },
	{ "ipv4", B ":25 " },
	{ "ipv6", "[::1]:25 " },
};

START_TEST(literals_of_a_family_not_in_use_are_left_out)
{
	struct lookup_answer answer;
	char text[400];

	(void)snprintf(text, sizeof(text),
	    "address_family = \"%s\"; routes = ( { domain = \"example.com\"; "
	    "hosts = ( { host = \"[::1]\"; }, { host = \"" B
	    "\"; priority = 1; }, { host = \"mx.example.net\"; "
	    "priority = 2; } ); } );",
	    families[_i].family);
	world_setup(text);
	world_set_usable("mx.example.net", true);
	answer = world_ask("user@example.com");
	(void)snprintf(
	    text, sizeof(text), "%smx.example.net:25", families[_i].hosts);
	ck_assert_str_eq(world_hosts(&answer), text);
	world_teardown();
}
END_TEST

static Suite *
lookup_health_suite(void)
{
	Suite *suite = suite_create("lookup_health");
	TCase *route = tcase_create("route");
	TCase *health = tcase_create("health");

	tcase_add_loop_test(route, an_address_meets_the_route_of_the_table, 0,
	    (int)NELEM(addresses));
	tcase_add_test(route, a_zero_byte_is_not_ours);
	tcase_add_test(route, all_does_not_cover_what_is_not_routed);
	suite_add_tcase(suite, route);
	tcase_add_test(health,
	    the_order_follows_the_health_of_the_question_not_of_the_draw);
	tcase_add_test(health, an_override_counts_until_its_time_is_over);
	tcase_add_loop_test(health, when_no_host_is_up_the_routes_word_decides,
	    0, (int)NELEM(words));
	tcase_add_test(health, held_mail_picks_no_host);
	tcase_add_test(health, a_new_name_is_left_out_until_it_has_resolved);
	tcase_add_test(health, a_route_of_one_unresolved_name_is_held);
	tcase_add_loop_test(health,
	    literals_of_a_family_not_in_use_are_left_out, 0,
	    (int)NELEM(families));
	suite_add_tcase(suite, health);
	return suite;
}

int
main(void)
{
	return suite_run(lookup_health_suite());
}
