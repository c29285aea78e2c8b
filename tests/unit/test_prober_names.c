/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the prober and its name server run on the test's; each SMTP server
   has its own. */
#include "milter/prober.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/unit/name_server.h"
#include "tests/unit/prober_scene.h"
#include "tests/unit/suite.h"

static struct name_server server_of_names;
static int dns_error; /* what it answers to everything */
static unsigned n_questions;
static char resolv_conf[SCRATCH_PATH_MAX], hosts[SCRATCH_PATH_MAX];
static const struct resolver_files files = { resolv_conf, hosts };

static void
on_question(struct evdns_server_request *request, void *arg)
{
	(void)arg;
	n_questions++;
	(void)evdns_server_request_respond(request, dns_error);
}

/* A prober that finds names in this hosts file, or asks the name server. */
static void
begin_names(const char *hosts_text, const char *name, uint16_t port)
{
	char text[1024];
	struct err err;

	begin(CONFIG_LOG_DEBUG);
	n_questions = 0;
	scratch_write("hosts", hosts_text);
	name_server_start(&server_of_names, base, on_question, NULL);
	(void)scratch_path("resolv.conf", resolv_conf);
	(void)scratch_path("hosts", hosts);
	(void)snprintf(text, sizeof(text),
	    QUICK "routes = ( { domain = \"example.test\"; hosts = ( { host = "
		  "\"%s\"; port = %u; } ); } );\n",
	    "0.1", name, (unsigned)port);
	adopt_text(text);
	ck_assert_int_eq(prober_create(base, &prober, &err), 0);
	resolver_free(&prober->resolver);
	ck_assert_int_eq(
	    resolver_create(base, &files, &prober->resolver, &err), 0);
	prober_adopt(prober);
}

static void
end_names(void)
{
	name_server_stop(&server_of_names);
	end();
}

#define PAIR "127.0.0.31 pair.test\n127.0.0.32 pair.test\n"

START_TEST(a_host_is_well_when_its_second_address_is)
{
	struct script_server second;
	char line[128];

	script_start(&second, "127.0.0.32", 0, &script_healthy);
	begin_names(PAIR, "pair.test", second.endpoint.port);
	while (counted(0, COUNTER_OBSERVED_OK) < 2)
		turn();
	ck_assert_int_eq(count_logged("pair.test.* resolves: 2 addresses, the "
				      "first is 127.0.0.31$"),
	    1);
	(void)snprintf(line, sizeof(line), "IP: 127.0.0.31 port: %u details: ",
	    (unsigned)second.endpoint.port);
	ck_assert_int_ge(count_logged(line), 1);
	ck_assert_uint_eq(counted(0, COUNTER_OBSERVED_FAILED), 0);
	ck_assert_int_eq(detail_of(0).health.state, HEALTH_UP);
	end_names();
	script_stop(&second);
}
END_TEST

START_TEST(a_host_is_sick_when_all_its_addresses_are)
{
	begin_names(PAIR, "pair.test", script_unused_port("127.0.0.32"));
	wait_logged("pair.test.* up -> deferred");
	ck_assert_int_ge(count_logged("IP: 127.0.0.31 "), 1);
	ck_assert_int_ge(count_logged("IP: 127.0.0.32 "), 1);
	ck_assert_int_eq(detail_of(0).last.outcome, OUTCOME_REFUSED);
	end_names();
}
END_TEST

/* Which names were known before decides. */
START_TEST(a_name_server_that_fails_changes_nothing_that_was_known)
{
	struct script_server server;
	unsigned before;

	script_start(&server, "127.0.0.31", 0, &script_healthy);
	dns_error = DNS_ERR_SERVERFAILED;
	begin_names("", "one.test", server.endpoint.port);
	wait_logged("warning: host \\[one.test\\]:[0-9]+ does not resolve now: "
		    ".*; asked again later, meanwhile all stays as it was$");
	wait_logged("debug: host \\[one.test\\]:[0-9]+ does not resolve now");
	ck_assert(!detail_of(0).usable);
	ck_assert_uint_eq(counted(0, COUNTER_OBSERVED_OK), 0);
	scratch_write("hosts", "127.0.0.31 one.test\n");
	wait_logged("one.test.* resolves: 1 address, the first is");
	ck_assert(detail_of(0).usable);
	scratch_write("hosts", "");
	before = n_questions;
	while (n_questions < before + 4)
		turn();
	ck_assert(detail_of(0).usable);
	ck_assert_int_eq(count_logged("warning: .*does not resolve"), 1);
	end_names();
	script_stop(&server);
}
END_TEST

START_TEST(a_name_that_is_gone_is_left_out)
{
	struct script_server server;

	script_start(&server, "127.0.0.31", 0, &script_healthy);
	dns_error = DNS_ERR_NOTEXIST;
	begin_names("127.0.0.31 one.test\n", "one.test", server.endpoint.port);
	while (counted(0, COUNTER_OBSERVED_OK) < 1)
		turn();
	ck_assert(detail_of(0).usable);
	scratch_write("hosts", "");
	wait_logged("warning: host \\[one.test\\]:[0-9]+ does not resolve: "
		    ".*; left out until it does$");
	ck_assert(!detail_of(0).usable);
	end_names();
	script_stop(&server);
}
END_TEST

START_TEST(a_name_is_probed_by_hand_at_all_its_addresses)
{
	struct script_server second;
	struct shown pair = { .n_ends = 0 }, none = { .n_ends = 0 };
	struct host host;
	struct err err;

	script_start(&second, "127.0.0.32", 0, &script_healthy);
	dns_error = DNS_ERR_NOTEXIST;
	begin_names(PAIR, "127.0.0.32", second.endpoint.port);
	ck_assert_int_eq(
	    host_parse("pair.test", second.endpoint.port, &host, &err), 0);
	prober_probe_now(prober, &host, on_shown, &pair);
	wait_shown(&pair);
	ck_assert(pair.good);
	ck_assert_ptr_nonnull(strstr(pair.text, "* CONNECT_REFUSED: "));
	ck_assert_ptr_nonnull(strstr(pair.text, "< 220 server.test ESMTP|"));
	ck_assert_int_eq(host_parse("none.test", 25, &host, &err), 0);
	prober_probe_now(prober, &host, on_shown, &none);
	wait_shown(&none);
	ck_assert(!none.good);
	ck_assert_int_eq(strncmp(none.text, "* does not resolve: ", 20), 0);
	end_names();
	script_stop(&second);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_prober_names");
	TCase *all = tcase_create("names");

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(all, 30);
	tcase_add_test(all, a_host_is_well_when_its_second_address_is);
	tcase_add_test(all, a_host_is_sick_when_all_its_addresses_are);
	tcase_add_test(
	    all, a_name_server_that_fails_changes_nothing_that_was_known);
	tcase_add_test(all, a_name_that_is_gone_is_left_out);
	tcase_add_test(all, a_name_is_probed_by_hand_at_all_its_addresses);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
