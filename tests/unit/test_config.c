/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/route.h"
#include "tests/unit/config_scene.h"
#include "tests/unit/suite.h"

/* Loads what must be good; config and problems are the fixture's. */
static void
load(const char *name)
{
	char path[SCRATCH_PATH_MAX];

	config_free(&config);
	config_problems_free(&problems);
	if (config_load(scratch_path(name, path), &config, &problems) == -1)
		ck_abort_msg("%s", problems.list[0].text);
	ck_assert_uint_eq(problems.n_errors, 0);
	ck_assert_str_eq(config->path, path);
}

static void
load_text(const char *text)
{
	scratch_write("conf", text);
	load("conf");
}

static const char *
host_text(uint32_t n)
{
	static char text[HOST_TEXT_MAX];

	host_format(&config->hosts[n], text);
	return text;
}

/* "[10.0.0.1]:25 0/1" : member i of the set of a route. */
static const char *
member_text(uint32_t route, uint32_t i)
{
	static char text[HOST_TEXT_MAX + 32];
	const struct config_set *set = &config->sets[config->routes[route].set];
	const struct config_member *member =
	    &config->members[set->first_member + i];

	ck_assert_uint_lt(i, set->n_members);
	snprintf(text, sizeof(text), "%s %u/%u", host_text(member->host),
	    member->priority, member->weight);
	return text;
}

static uint64_t
key_of(uint32_t route)
{
	return config->sets[config->routes[route].set].key;
}

/* -- options -------------------------------------------------------------- */

START_TEST(a_file_with_a_route_only_gets_the_defaults)
{
	load_text(ROUTE);
	ck_assert_str_eq(
	    config->milter_socket, "unix:/var/spool/postfix/nexthop/milter");
	ck_assert_str_eq(
	    config->map_socket, "unix:/var/spool/postfix/nexthop/map");
	ck_assert_str_eq(config->control_socket, "/run/nexthop-milter/control");
	ck_assert_str_eq(config->health_table, "/run/nexthop-milter/health");
	ck_assert_str_eq(config->socket_group, "");
	ck_assert_uint_eq(config->socket_mode, 0660);
	ck_assert_str_eq(config->user, "");
	ck_assert_str_eq(config->transport, "smtp");
	ck_assert(!config->transport_set);
	ck_assert_int_eq(config->address_family, CONFIG_ANY);
	ck_assert_uint_eq(config->tickets, 65536);
	ck_assert_int_eq(config->log.target, CONFIG_LOG_SYSLOG);
	ck_assert_int_eq(config->log.level, CONFIG_LOG_INFO);
	ck_assert_ptr_null(config->log.path);
	ck_assert_int_eq(config->probe.level, CONFIG_PROBE_MAIL);
	ck_assert_uint_eq(config->probe.interval_ms, 30000);
	ck_assert_uint_eq(config->probe.timeout_ms, 10000);
	ck_assert_uint_eq(config->probe.max_parallel, 64);
	ck_assert_str_eq(config->probe.helo, "");
	ck_assert_str_eq(config->probe.sender, "");
	ck_assert_str_eq(config->probe.recipient, "");
	ck_assert_str_eq(config->probe.bind_address, "");
	ck_assert_uint_eq(config->defer.fall, 1);
	ck_assert_uint_eq(config->defer.rise, 2);
	ck_assert_uint_eq(config->defer.first_ms, 10000);
	ck_assert_uint_eq(config->defer.max_ms, 600000);
	ck_assert_uint_eq(config->defer.slow_start_ms, 0);
	ck_assert_int_eq(config->routes[0].when_all_deferred, CONFIG_TRY);
	ck_assert(!config->any_tempfail && !config->any_names);
	ck_assert_str_eq(member_text(0, 0), "[10.0.0.1]:25 0/1");
}
END_TEST

START_TEST(every_option_is_read)
{
	load_text("milter_socket = \"inet:8891@[::1]\";\n"
		  "map_socket = \"local:/m/map\";\n"
		  "control_socket = \"/m/control\";\n"
		  "socket_group = \"postfix\"; socket_mode = \"600\";\n"
		  "health_table = \"/m/health\"; user = \"nexthop\";\n"
		  "transport = \"relay-x\"; address_family = \"ipv6\";\n"
		  "tickets = 1024; not_routed = ( \"x.test\" );\n"
		  "log = { target = \"/m/log\"; level = \"debug\"; };\n"
		  "probe = { level = \"rcpt\"; interval = 2; timeout = 0.25;\n"
		  "helo = \"[10.0.0.9]\"; sender = \"p@x.test\";\n"
		  "recipient = \"r@x.test\"; bind_address = \"::1\";\n"
		  "max_parallel = 7; };\n"
		  "defer = { fall = 3; rise = 4; first = 1.5; max = 86400L;"
		  " };\n"
		  "routes = ( { domain = \"a.test\"; when_all_deferred ="
		  " \"tempfail\"; hosts = ( { host = \"MX.A.Test\"; port ="
		  " 26; priority = 5; weight = 9; } ); },\n"
		  "{ domain = \"b.test\"; use_dns = true;"
		  " when_all_deferred = \"hold\"; } );\n");
	ck_assert_uint_eq(problems.n, 0);
	ck_assert_str_eq(config->milter_socket, "inet:8891@[::1]");
	ck_assert_str_eq(config->map_socket, "local:/m/map");
	ck_assert_str_eq(config->control_socket, "/m/control");
	ck_assert_str_eq(config->socket_group, "postfix");
	ck_assert_uint_eq(config->socket_mode, 0600);
	ck_assert_str_eq(config->health_table, "/m/health");
	ck_assert_str_eq(config->user, "nexthop");
	ck_assert_str_eq(config->transport, "relay-x");
	ck_assert(config->transport_set);
	ck_assert_int_eq(config->address_family, CONFIG_IPV6);
	ck_assert_uint_eq(config->tickets, 1024);
	ck_assert_int_eq(config->log.target, CONFIG_LOG_FILE);
	ck_assert_str_eq(config->log.path, "/m/log");
	ck_assert_int_eq(config->log.level, CONFIG_LOG_DEBUG);
	ck_assert_int_eq(config->probe.level, CONFIG_PROBE_RCPT);
	ck_assert_uint_eq(config->probe.interval_ms, 2000);
	ck_assert_uint_eq(config->probe.timeout_ms, 250);
	ck_assert_str_eq(config->probe.helo, "[10.0.0.9]");
	ck_assert_str_eq(config->probe.sender, "p@x.test");
	ck_assert_str_eq(config->probe.recipient, "r@x.test");
	ck_assert_str_eq(config->probe.bind_address, "::1");
	ck_assert_uint_eq(config->probe.max_parallel, 7);
	ck_assert_uint_eq(config->defer.fall, 3);
	ck_assert_uint_eq(config->defer.rise, 4);
	ck_assert_uint_eq(config->defer.first_ms, 1500);
	ck_assert_uint_eq(config->defer.max_ms, 86400000);
	ck_assert_int_eq(config->routes[0].when_all_deferred, CONFIG_TEMPFAIL);
	ck_assert_int_eq(config->routes[1].when_all_deferred, CONFIG_HOLD);
	ck_assert(config->routes[1].use_dns);
	ck_assert_uint_eq(config->routes[1].set, CONFIG_NO_SET);
	ck_assert(config->any_tempfail && config->any_names);
	ck_assert_str_eq(member_text(0, 0), "[mx.a.test]:26 5/1");
}
END_TEST

START_TEST(the_table_of_options_is_in_order)
{
	const struct config_option *option;

	ck_assert_uint_gt(config_options_count, 30);
	for (size_t i = 0; i < config_options_count; i++) {
		option = &config_options[i];
		ck_assert_str_ne(option->help, "");
		ck_assert(option->type != CONFIG_OPTION_WORD ||
			  option->words != NULL);
		ck_assert(option->min <= option->max);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(option->name, config_options[j].name);
	}
}
END_TEST

/* -- routes, pools, sets -------------------------------------------------- */

START_TEST(the_sample_of_the_manual_is_read_without_a_warning)
{
	load_text(
	    "milter_socket = \"unix:/var/spool/postfix/nexthop/milter\";\n"
	    "map_socket    = \"unix:/var/spool/postfix/nexthop/map\";\n"
	    "socket_group  = \"postfix\";\n"
	    "user          = \"nexthop\";\n"
	    "transport     = \"nexthop\"; // the service in answers\n"
	    "not_routed    = [ \"mx.example.net\", \"localhost\" ];\n"
	    "log   = { target = \"syslog\"; level = \"info\"; };\n"
	    "probe = { level = \"mail\"; interval = 30.0; timeout = 10.0; };\n"
	    "pools  = ( { name = \"exchange\"; hosts = ( { host ="
	    " \"192.168.1.30\"; weight = 3; }, { host = \"192.168.1.31\"; } );"
	    " } );\n"
	    "routes = (\n"
	    "  { domain = \"example.com\";\n"
	    "    hosts  = ( { host = \"192.168.1.10\"; priority = 0; },\n"
	    "       { host = \"192.168.1.20\"; port = 25; priority = 10; } );\n"
	    "    when_all_deferred = \"try\"; },\n"
	    "  { domain = \".example.org\"; pool = \"exchange\"; },\n"
	    "  { domain = \"ALL\"; use_dns = true; }\n"
	    ");\n");
	ck_assert_uint_eq(problems.n, 0);
	ck_assert_uint_eq(config->n_routes, 3);
	ck_assert_uint_eq(config->n_hosts, 4);
	ck_assert_uint_eq(config->n_sets, 2);
	ck_assert_str_eq(member_text(0, 0), "[192.168.1.10]:25 0/1");
	ck_assert_str_eq(member_text(0, 1), "[192.168.1.20]:25 10/1");
	ck_assert_str_eq(member_text(1, 0), "[192.168.1.30]:25 0/3");
	ck_assert_uint_eq(route_find(config->index, "example.com", 11), 0);
	ck_assert_uint_eq(route_find(config->index, "a.example.org", 13), 1);
	ck_assert_uint_eq(route_find(config->index, "example.org", 11), 2);
	ck_assert_uint_eq(
	    route_find(config->index, "localhost", 9), ROUTE_NONE);
	ck_assert_str_eq(config->routes[1].domain, ".example.org");
}
END_TEST

START_TEST(members_stand_by_priority_and_then_in_the_order_of_the_file)
{
	load_text("routes = ( { domain = \"a.test\"; hosts = (\n"
		  "{ host = \"10.0.0.1\"; priority = 9; weight = 4; },\n"
		  "{ host = \"10.0.0.2\"; weight = 6; },\n"
		  "{ host = \"10.0.0.3\"; priority = 9; weight = 6; },\n"
		  "{ host = \"10.0.0.4\"; weight = 9; },\n"
		  "{ host = \"10.0.0.5\"; priority = 65535; weight = 1000; }"
		  ");\n } );\n");
	ck_assert_str_eq(member_text(0, 0), "[10.0.0.2]:25 0/2");
	ck_assert_str_eq(member_text(0, 1), "[10.0.0.4]:25 0/3");
	ck_assert_str_eq(member_text(0, 2), "[10.0.0.1]:25 9/2");
	ck_assert_str_eq(member_text(0, 3), "[10.0.0.3]:25 9/3");
	ck_assert_str_eq(member_text(0, 4), "[10.0.0.5]:25 65535/1");
}
END_TEST

START_TEST(hosts_may_be_strings_with_ports_in_a_list_or_an_array)
{
	load_text("routes = ( { domain = \"a.test\"; hosts = ( \"10.0.0.1\",\n"
		  "{ host = \"10.0.0.2:26\"; }, \"[::1]:27\" ); },\n"
		  "{ domain = \"b.test\"; hosts = [ \"10.0.0.1:28\","
		  " \"10.0.0.2:26\" ]; },\n{ domain = \"c.test\"; hosts ="
		  " ( { host = \"10.0.0.1:29\"; port = 29; } ); } );\n");
	ck_assert_str_eq(member_text(0, 0), "[10.0.0.1]:25 0/1");
	ck_assert_str_eq(member_text(0, 1), "[10.0.0.2]:26 0/1");
	ck_assert_str_eq(member_text(0, 2), "[::1]:27 0/1");
	ck_assert_str_eq(member_text(1, 0), "[10.0.0.1]:28 0/1");
	ck_assert_str_eq(member_text(2, 0), "[10.0.0.1]:29 0/1");
	ck_assert_uint_eq(config->n_hosts, 5);
}
END_TEST

START_TEST(a_host_is_one_host_in_whatever_spelling)
{
	load_text("routes = ( { domain = \"a.test\"; hosts = ( \"2001:db8::1\""
		  " ); },\n{ domain = \"b.test\"; hosts = ( { host ="
		  " \"[IPv6:2001:DB8:0::1]:25\"; }, \"MX.a.test\" ); },\n"
		  "{ domain = \"c.test\"; hosts = ( \"[mx.A.test.]:25\" ); }"
		  " );\n");
	ck_assert_uint_eq(config->n_hosts, 2);
	ck_assert_uint_eq(config->n_sets, 3);
	ck_assert_uint_eq(config->host_domain[0], 0);
	ck_assert_uint_eq(config->host_domain[1], 1);
}
END_TEST

START_TEST(sets_of_equal_content_are_one_set)
{
	load_text(
	    "pools = ( { name = \"p\"; hosts = ( { host = \"10.0.0.1\"; weight"
	    " = 6; }, { host = \"10.0.0.2\"; weight = 2; } ); } );\n"
	    "routes = (\n"
	    "{ domain = \"a.test\"; pool = \"p\"; },\n"
	    "{ domain = \"b.test\"; pool = \"p\"; },\n"
	    "{ domain = \"c.test\"; hosts = ( { host = \"10.0.0.1:25\"; weight"
	    " = 3; }, \"[10.0.0.2]\" ); },\n"
	    "{ domain = \"d.test\"; hosts = ( \"10.0.0.1\", \"10.0.0.2\" ); },"
	    "\n{ domain = \"e.test\"; hosts = ( \"10.0.0.2\", \"10.0.0.1\" );"
	    " },\n{ domain = \"f.test\"; hosts = ( \"10.0.0.1\", { host ="
	    " \"10.0.0.2\"; priority = 1; } ); },\n"
	    "{ domain = \"g.test\"; hosts = ( \"10.0.0.1\", \"10.0.0.2:26\" );"
	    " } );\n");
	ck_assert_uint_eq(config->n_sets, 5);
	for (uint32_t i = 1; i < 3; i++)
		ck_assert_uint_eq(config->routes[i].set, config->routes[0].set);
	for (uint32_t i = 3; i < 7; i++)
		for (uint32_t j = 0; j < i; j++)
			ck_assert_uint_ne(key_of(i), key_of(j));
}
END_TEST

START_TEST(the_key_of_a_set_does_not_depend_on_the_rest_of_the_file)
{
	uint64_t key;

	load_text(ROUTE);
	key = key_of(0);
	load_text("routes = ( { domain = \"z.test\"; hosts = ( \"10.0.0.7\" );"
		  " }, { domain = \"b.test\"; hosts = ( \"[10.0.0.1]:25\" ); }"
		  " );\n");
	ck_assert_uint_eq(key_of(1), key);
	ck_assert_uint_ne(key_of(0), key);
}
END_TEST

START_TEST(hosts_of_an_unused_pool_are_not_hosts)
{
	load_text("pools = ( { name = \"p\"; hosts = ( \"mx.test\" ); },\n"
		  "{ name = \"q\"; hosts = ( \"10.0.0.1\" ); } );\n"
		  "routes = ( { domain = \"a.test\"; pool = \"q\"; } );\n");
	ck_assert_uint_eq(config->n_hosts, 1);
	ck_assert(!config->any_names);
}
END_TEST

START_TEST(domains_get_their_one_spelling)
{
	load_text("routes = ( { domain = \".EXAMPLE.org.\"; use_dns = true; },"
		  "\n{ domain = \"b\xc3\xbc"
		  "cher.test\"; use_dns = true; },\n"
		  "{ domain = \"[IPv6:2001:DB8::1]\"; use_dns = true; },\n"
		  "{ domain = \"_x.1.test\"; use_dns = true; } );\n");
	ck_assert_str_eq(config->routes[0].domain, ".example.org");
	ck_assert_str_eq(config->routes[1].domain, "b\xc3\xbc"
						   "cher.test");
	ck_assert_str_eq(config->routes[2].domain, "[ipv6:2001:db8::1]");
	ck_assert_str_eq(config->routes[3].domain, "_x.1.test");
	ck_assert_uint_eq(config->n_sets, 0);
	ck_assert_uint_eq(config->n_hosts, 0);
}
END_TEST

/* -- includes ------------------------------------------------------------- */

START_TEST(included_files_are_found_from_the_folder_of_the_includer)
{
	char text[SCRATCH_PATH_MAX * 4], path[SCRATCH_PATH_MAX];

	ck_assert_int_eq(mkdir(scratch_path("d", path), 0700), 0);
	snprintf(text, sizeof(text),
	    "@include \"d/one\" @include \"empty\"\n  @include\t\"%s/d/three\"",
	    scratch_folder);
	scratch_write("empty", "");
	scratch_write("d/one", "user = \"u\";\n@include \"two\"");
	scratch_write("d/two", "tickets = 2048; # no end of line");
	scratch_write("d/three", ROUTE);
	load_text(text);
	ck_assert_str_eq(config->user, "u");
	ck_assert_uint_eq(config->tickets, 2048);
	ck_assert_uint_eq(config->n_routes, 1);
}
END_TEST

START_TEST(routes_may_come_from_files_of_their_own)
{
	scratch_write("a", "{ domain = \"a.test\"; use_dns = true; },\r\n");
	load_text("routes = (\n@include \"a\"\n"
		  "{ domain = \"b.test\"; use_dns = true; } );");
	ck_assert_str_eq(config->routes[0].domain, "a.test");
	ck_assert_str_eq(config->routes[1].domain, "b.test");
}
END_TEST

/* -- warnings ------------------------------------------------------------- */

#define T "transport = \"t\"; "

static const struct {
	const char *text;
	unsigned line;	   /* 0: the file as a whole */
	const char *piece; /* NULL: no warning */
} warnings[] = {
	{ T ROUTE, 0, NULL },
	{ ROUTE, 0, "transport is not set, so answers name \"smtp\"" },
	{ T "routes = (\n{ domain = \"ALL\"; use_dns = true; } );", 2,
	    "\"ALL\" takes the mail of domains that this machine delivers" },
	{ T "routes = ( { domain = \".com\"; use_dns = true; } );", 1,
	    "\".com\" takes the mail of domains that this" },
	{ T "routes = ( { domain = \".a.test\"; use_dns = true; } );", 0,
	    NULL },
	{ T "not_routed = [ ];\nroutes = ( { domain = \"ALL\"; use_dns = true;"
	    " } );",
	    0, NULL },
	{ T "not_routed = [ \"b.test\",\n\"A.test.\" ];\n" ROUTE, 2,
	    "\"a.test\" has a route of its own, which is used" },
	{ T "not_routed = [ \".test\" ];\n" ROUTE, 0, NULL },
	{ T "address_family = \"ipv6\";\n" ROUTE, 2,
	    "[10.0.0.1]:25 is never listed: address_family = \"ipv6\"" },
	{ T "address_family = \"ipv4\";\nroutes = ( { domain = \"a.test\";\n"
	    "hosts = ( \"mx.test\",\n\"::1\" ); }, { domain = \"b.test\";\n"
	    "hosts = ( \"::1\" ); } );",
	    4, "[::1]:25 is never listed" },
	{ T "pools = ( { name = \"p\"; hosts = ( \"10.0.0.1\" ); } );\n" ROUTE,
	    1, "no route uses the pool \"p\"" },
};

START_TEST(what_is_questionable_is_a_warning_with_its_line)
{
	char place[SCRATCH_PATH_MAX * 2], path[SCRATCH_PATH_MAX];
	const char *text;

	load_text(warnings[_i].text);
	if (warnings[_i].piece == NULL) {
		ck_assert_uint_eq(problems.n, 0);
		return;
	}
	ck_assert_uint_eq(problems.n, 1);
	ck_assert(problems.list[0].warning);
	text = problems.list[0].text;
	snprintf(place, sizeof(place), "%s:%u: ", scratch_path("conf", path),
	    warnings[_i].line);
	if (warnings[_i].line == 0)
		snprintf(place, sizeof(place), "%s: ", path);
	ck_assert_msg(strncmp(text, place, strlen(place)) == 0, "%s", text);
	ck_assert_msg(strstr(text, warnings[_i].piece) != NULL, "%s", text);
}
END_TEST

/* -- reload --------------------------------------------------------------- */

static const struct {
	const char *line, *option; /* NULL: can change while running */
} changes[] = {
	{ "milter_socket = \"unix:/x\";", "milter_socket" },
	{ "map_socket = \"unix:/x\";", "map_socket" },
	{ "control_socket = \"/x\";", "control_socket" },
	{ "socket_group = \"x\";", "socket_group" },
	{ "socket_mode = \"0600\";", "socket_mode" },
	{ "health_table = \"/x\";", "health_table" },
	{ "user = \"x\";", "user" },
	{ "tickets = 2048;", "tickets" },
	{ "user = \"\";", NULL },
	{ "transport = \"x\";", NULL },
	{ "address_family = \"ipv4\";", NULL },
	{ "log = { target = \"/x\"; level = \"debug\"; };", NULL },
	{ "probe = { interval = 1; };", NULL },
	{ "defer = { fall = 2; slow_start = 9; };", NULL },
	{ "delivery = { logs = [ \"/x\" ]; journal = true; };", NULL },
	{ "delivery = { flush_command = \"x\"; };", NULL },
	{ "not_routed = [ \"x.test\" ];", NULL },
};

START_TEST(options_that_need_a_restart_are_named_and_can_be_kept)
{
	struct config *running;
	const char *option;
	char text[256];
	size_t at = 0;

	load_text(ROUTE);
	running = config;
	config = NULL;
	snprintf(text, sizeof(text), "%s\n" ROUTE, changes[_i].line);
	load_text(text);
	option = config_needs_restart(running, config, &at);
	if (changes[_i].option == NULL) {
		ck_assert_ptr_null(option);
	} else {
		ck_assert_ptr_nonnull(option);
		ck_assert_str_eq(option, changes[_i].option);
		ck_assert_ptr_null(config_needs_restart(running, config, &at));
	}
	config_keep_restart_options(running, config);
	at = 0;
	ck_assert_ptr_null(config_needs_restart(running, config, &at));
	config_free(&running);
	ck_assert_str_ne(config->milter_socket, "");
}
END_TEST

START_TEST(all_options_that_need_a_restart_are_named)
{
	struct config *running;
	size_t at = 0;

	load_text(ROUTE);
	running = config;
	config = NULL;
	load_text("tickets = 2048;\nuser = \"x\";\nmap_socket = "
		  "\"unix:/x\";\n" ROUTE);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(
		    config_needs_restart(running, config, &at));
	ck_assert_ptr_null(config_needs_restart(running, config, &at));
	config_free(&running);
}
END_TEST

/* -- */

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_file_with_a_route_only_gets_the_defaults);
	tcase_add_test(tcase, every_option_is_read);
	tcase_add_test(tcase, the_table_of_options_is_in_order);
	tcase_add_test(
	    tcase, the_sample_of_the_manual_is_read_without_a_warning);
	tcase_add_test(
	    tcase, members_stand_by_priority_and_then_in_the_order_of_the_file);
	tcase_add_test(
	    tcase, hosts_may_be_strings_with_ports_in_a_list_or_an_array);
	tcase_add_test(tcase, a_host_is_one_host_in_whatever_spelling);
	tcase_add_test(tcase, sets_of_equal_content_are_one_set);
	tcase_add_test(
	    tcase, the_key_of_a_set_does_not_depend_on_the_rest_of_the_file);
	tcase_add_test(tcase, hosts_of_an_unused_pool_are_not_hosts);
	tcase_add_test(tcase, domains_get_their_one_spelling);
	tcase_add_test(
	    tcase, included_files_are_found_from_the_folder_of_the_includer);
	tcase_add_test(tcase, routes_may_come_from_files_of_their_own);
	tcase_add_loop_test(tcase,
	    what_is_questionable_is_a_warning_with_its_line, 0,
	    (int)NELEM(warnings));
	tcase_add_test(tcase, all_options_that_need_a_restart_are_named);
	tcase_add_loop_test(tcase,
	    options_that_need_a_restart_are_named_and_can_be_kept, 0,
	    (int)NELEM(changes));
}

int
main(void)
{
	Suite *suite = suite_create("test_config");
	TCase *tcase = tcase_create("config");

	tcase_add_checked_fixture(tcase, begin, end);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
