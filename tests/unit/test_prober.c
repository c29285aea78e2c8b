/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the prober runs on the test's; each server has its own. */
#include "milter/prober.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/prober_scene.h"
#include "tests/unit/smtp_script.h"
#include "tests/unit/suite.h"

static const struct script greets_431 = {
	.greeting = "431 Mail system full\r\n",
};
static const struct script silent = { .quirk = SCRIPT_HOLD };
static const struct script needs_auth = {
	.greeting = "220 server.test ESMTP\r\n",
	.ehlo = "250 server.test\r\n",
	.mail = "530 5.7.0 Must authenticate\r\n",
};
static const struct script bad_tls = {
	.greeting = "220 server.test ESMTP\r\n",
	.ehlo = "250-server.test\r\n250 STARTTLS\r\n",
	.starttls = "220 go\r\n",
	.mail = "250 ok\r\n",
	.quirk = SCRIPT_TLS_GARBAGE,
};

START_TEST(the_scenario_is_told_in_its_lines)
{
	struct script_server servers[2];
	char line[512];

	begin(CONFIG_LOG_INFO);
	script_start(&servers[0], "127.0.0.10", 0, &greets_431);
	script_start(&servers[1], "127.0.0.20", 0, &script_healthy);
	adopt("30.0", servers, 2);
	start();
	wait_logged("New SMTP DCID [0-9]+ interface 127.0.0.1 "
		    "address 127.0.0.20 port");
	ck_assert_int_eq(count_logged("New SMTP DCID 1 interface 127.0.0.1 "
				      "address 127.0.0.10 port [0-9]+$"),
	    1);
	(void)snprintf(line, sizeof(line),
	    "Connection Error: DCID 1 domain: example.test IP: 127.0.0.10 "
	    "port: %u details: 431 Mail system full interface: 127.0.0.1 "
	    "reason: unexpected SMTP response$",
	    (unsigned)servers[0].endpoint.port);
	ck_assert_int_eq(count_logged(line), 1);
	ck_assert_int_eq(
	    count_logged("host \\[127.0.0.10\\]:[0-9]+ up -> deferred for "
			 "0.2 s: 431 Mail system full "
			 "\\(greeting, probe, failure 1\\)$"),
	    1);
	ck_assert_int_eq(detail_of(0).health.state, HEALTH_DEFERRED);
	ck_assert_str_eq(detail_of(0).last.text, "431 Mail system full");
	ck_assert_int_eq(detail_of(1).health.state, HEALTH_UP);
	ck_assert_uint_ge(counted(0, COUNTER_OBSERVED_FAILED), 1);
	/* It recovers by itself. */
	atomic_store(&servers[0].script, &script_healthy);
	wait_logged("host \\[127.0.0.10\\]:[0-9]+ deferred -> up after "
		    "[0-9.]+ s: 2 good probes$");
	ck_assert_int_eq(detail_of(0).health.state, HEALTH_UP);
	ck_assert_uint_gt(detail_of(0).latency_us, 0);
	end();
	script_stop(&servers[0]);
	script_stop(&servers[1]);
}
END_TEST

START_TEST(steady_good_probes_are_not_worth_the_log)
{
	struct script_server server;

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.10", 0, &script_healthy);
	adopt("0.1", &server, 1);
	start();
	while (counted(0, COUNTER_OBSERVED_OK) < 5)
		turn();
	ck_assert_int_eq(count_logged("DCID|host "), 0);
	end();
	script_stop(&server);
}
END_TEST

START_TEST(a_refused_probe_is_warned_of_once_and_counts_as_good)
{
	struct script_server server;

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.10", 0, &needs_auth);
	adopt("0.1", &server, 1);
	start();
	while (counted(0, COUNTER_OBSERVED_OK) < 4)
		turn();
	ck_assert_int_eq(
	    count_logged("refuses the probe at mail: 530 5.7.0"), 1);
	ck_assert_int_eq(count_logged("Connection Error"), 0);
	ck_assert_int_eq(detail_of(0).health.state, HEALTH_UP);
	end();
	script_stop(&server);
}
END_TEST

START_TEST(failing_tls_that_nobody_demands_is_followed_by_plain_text)
{
	struct script_server server;

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.10", 0, &bad_tls);
	adopt("0.1", &server, 1);
	start();
	while (counted(0, COUNTER_OBSERVED_OK) < 3)
		turn();
	ck_assert_int_eq(count_logged("TLS handshake failed"), 1);
	ck_assert_uint_eq(counted(0, COUNTER_OBSERVED_FAILED), 0);
	ck_assert_uint_ge(atomic_load(&server.n_connections), 6);
	end();
	script_stop(&server);
}
END_TEST

START_TEST(the_operators_word_is_logged_once_and_disabled_is_not_probed)
{
	struct script_server server;
	uint32_t before;

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.10", 0, &script_healthy);
	adopt("0.1", &server, 1);
	start();
	while (counted(0, COUNTER_OBSERVED_OK) < 1)
		turn();
	override(0, OVERRIDE_DRAIN, 600000, "new disk");
	wait_logged("host \\[127.0.0.10\\]:[0-9]+ override none -> drain for "
		    "600 s: new disk$");
	override(0, OVERRIDE_DISABLED, 0, "");
	wait_logged("override drain -> disabled$");
	run_for(150);
	before = atomic_load(&server.n_connections);
	run_for(400);
	ck_assert_uint_eq(atomic_load(&server.n_connections), before);
	override(0, OVERRIDE_NONE, 0, "done");
	wait_logged("override disabled -> none: done$");
	run_for(100);
	ck_assert_uint_gt(atomic_load(&server.n_connections), before);
	ck_assert_int_eq(count_logged("override"), 3);
	end();
	script_stop(&server);
}
END_TEST

START_TEST(a_host_that_is_enabled_again_is_probed_at_once)
{
	struct script_server server;

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.10", 0, &script_healthy);
	adopt("30.0", &server, 1);
	override(0, OVERRIDE_DISABLED, 0, "");
	start();
	wait_logged("override none -> disabled$");
	ck_assert_uint_eq(atomic_load(&server.n_connections), 0);
	override(0, OVERRIDE_NONE, 0, "");
	wait_logged("override disabled -> none$");
	run_for(200);
	ck_assert_uint_eq(atomic_load(&server.n_connections), 1);
	end();
	script_stop(&server);
}
END_TEST

START_TEST(silence_everywhere_is_our_own_network)
{
	struct script_server servers[4];
	char address[32];

	begin(CONFIG_LOG_INFO);
	for (unsigned i = 0; i < NELEM(servers); i++) {
		(void)snprintf(address, sizeof(address), "127.0.0.%u", 10 + i);
		script_start(&servers[i], address, 0, &silent);
	}
	adopt("0.4", servers, NELEM(servers));
	start();
	wait_logged("none of 4 hosts answers: our own network");
	/* Two rounds more: back-offs stay where they are. */
	run_for(1500);
	ck_assert_int_eq(count_logged("our own network"), 1);
	ck_assert_uint_ge(detail_of(0).health.failures, 2);
	for (uint32_t i = 0; i < NELEM(servers); i++)
		ck_assert_uint_le(detail_of(i).health.backoff_ms, 400);
	atomic_store(&servers[2].script, &script_healthy);
	wait_logged("our own network is well");
	end();
	for (size_t i = 0; i < NELEM(servers); i++)
		script_stop(&servers[i]);
}
END_TEST

START_TEST(parallel_probes_are_bounded_and_deferred_hosts_have_half)
{
	struct script_server servers[40];
	uint32_t most = 0, most_deferred = 0;
	uint64_t end_ms;
	char address[32];

	begin(CONFIG_LOG_WARNING);
	for (unsigned i = 0; i < NELEM(servers); i++) {
		(void)snprintf(address, sizeof(address), "127.0.0.%u", 10 + i);
		script_start(&servers[i], address, 0, &silent);
	}
	adopt("0.5", servers, NELEM(servers));
	start();
	end_ms = clock_boot_ms() + 2500;
	while (clock_boot_ms() < end_ms) {
		if (prober->n_running > most)
			most = prober->n_running;
		if (prober->n_running_deferred > most_deferred)
			most_deferred = prober->n_running_deferred;
		turn();
	}
	ck_assert_uint_eq(most, 8);
	ck_assert_uint_eq(most_deferred, 4);
	end();
	for (size_t i = 0; i < NELEM(servers); i++)
		script_stop(&servers[i]);
}
END_TEST

START_TEST(a_reload_keeps_what_stays_and_drops_what_goes)
{
	struct script_server servers[2];
	uint32_t before;

	begin(CONFIG_LOG_INFO);
	script_start(&servers[0], "127.0.0.10", 0, &silent);
	script_start(&servers[1], "127.0.0.20", 0, &script_healthy);
	adopt("30.0", servers, 2);
	start();
	while (counted(1, COUNTER_OBSERVED_OK) < 1)
		turn();
	before = atomic_load(&servers[1].n_connections);
	/* The first is in mid-probe and goes; the second stays unasked. */
	ck_assert_uint_eq(prober->n_running, 1);
	adopt("30.0", servers + 1, 1);
	prober_adopt(prober);
	snapshot_reap();
	ck_assert_uint_eq(prober->n_running, 0);
	run_for(400);
	ck_assert_uint_eq(atomic_load(&servers[1].n_connections), before);
	ck_assert_int_eq(count_logged("127.0.0.10"), 0);
	/* It comes back: new, so probed at once. */
	adopt("30.0", servers, 2);
	prober_adopt(prober);
	snapshot_reap();
	wait_logged("host \\[127.0.0.10\\]:[0-9]+ up -> deferred");
	end();
	script_stop(&servers[0]);
	script_stop(&servers[1]);
}
END_TEST

START_TEST(a_probe_by_hand_shows_its_dialogue)
{
	struct script_server servers[2];
	struct shown shown = { .n_ends = 0 }, stranger = { .n_ends = 0 };
	struct host host;
	struct err err;
	uint64_t before;

	begin(CONFIG_LOG_INFO);
	script_start(&servers[0], "127.0.0.10", 0, &script_healthy);
	script_start(&servers[1], "127.0.0.20", 0, &greets_431);
	adopt("30.0", servers, 1);
	start();
	while (counted(0, COUNTER_OBSERVED_OK) < 1)
		turn();
	before = counted(0, COUNTER_OBSERVED_OK);
	ck_assert_int_eq(
	    host_parse("127.0.0.10", servers[0].endpoint.port, &host, &err), 0);
	prober_probe_now(prober, &host, on_shown, &shown);
	wait_shown(&shown);
	ck_assert(shown.good);
	ck_assert_ptr_nonnull(strstr(shown.text,
	    "|< 220 server.test ESMTP|> EHLO probe.test|< 250-server.test|"
	    "< 250 HELP|> MAIL FROM:<>|< 250 2.1.0 Ok|> QUIT|"));
	ck_assert_uint_eq(counted(0, COUNTER_OBSERVED_OK), before + 1);
	/* A stranger is shown only. */
	ck_assert_int_eq(
	    host_parse("127.0.0.20", servers[1].endpoint.port, &host, &err), 0);
	prober_probe_now(prober, &host, on_shown, &stranger);
	wait_shown(&stranger);
	ck_assert(!stranger.good);
	ck_assert_ptr_nonnull(
	    strstr(stranger.text, "|< 431 Mail system full|> QUIT|"));
	ck_assert_int_eq(count_logged("domain: - IP: 127.0.0.20"), 1);
	end();
	script_stop(&servers[0]);
	script_stop(&servers[1]);
}
END_TEST

START_TEST(who_has_gone_is_told_nothing_more)
{
	struct script_server server;
	struct shown shown = { .n_ends = 0 };
	struct host host;
	struct err err;

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.10", 0, &script_healthy);
	adopt("30.0", &server, 1);
	start();
	ck_assert_int_eq(
	    host_parse("127.0.0.10", server.endpoint.port, &host, &err), 0);
	prober_probe_now(prober, &host, on_shown, &shown);
	shown.text[0] = '\0';
	prober_forget(prober, &shown);
	run_for(200);
	ck_assert_int_eq(shown.n_ends, 0);
	ck_assert_str_eq(shown.text, "");
	ck_assert_uint_eq(counted(0, COUNTER_OBSERVED_OK), 2);
	end();
	script_stop(&server);
}
END_TEST

/* An address that no machine has: of a documentation's network. */
START_TEST(trouble_of_our_own_is_told_once_and_blames_nobody)
{
	begin(CONFIG_LOG_DEBUG);
	adopt_text("probe = { level = \"mail\"; interval = 0.1; timeout = 0.3; "
		   "bind_address = \"192.0.2.1\"; };\n"
		   "routes = ( { domain = \"example.test\"; hosts = ("
		   " { host = \"127.0.0.10\"; port = 2525; } ); } );\n");
	start();
	wait_logged("warning: cannot probe \\[127.0.0.10\\]:2525: .*: trouble "
		    "of our own, no host is blamed$");
	wait_logged("debug: cannot probe ");
	ck_assert_int_eq(count_logged("warning: "), 1);
	ck_assert_int_eq(detail_of(0).health.state, HEALTH_UP);
	ck_assert_uint_eq(counted(0, COUNTER_OBSERVED_FAILED), 0);
	end();
}
END_TEST

/* The hosts file knows localhost everywhere. */
START_TEST(a_name_is_usable_once_it_has_resolved)
{
	struct script_server server;
	char text[1024];

	begin(CONFIG_LOG_INFO);
	script_start(&server, "127.0.0.1", 0, &script_healthy);
	(void)snprintf(text, sizeof(text),
	    QUICK "address_family = \"ipv4\";\n"
		  "routes = ( { domain = \"example.test\"; hosts = ( { host = "
		  "\"localhost\"; port = %u; } ); } );\n",
	    "30.0", (unsigned)server.endpoint.port);
	adopt_text(text);
	ck_assert(!detail_of(0).usable);
	start();
	wait_logged("host \\[localhost\\]:[0-9]+ resolves: .*127\\.0\\.0\\.1");
	ck_assert(detail_of(0).usable);
	while (counted(0, COUNTER_OBSERVED_OK) < 1)
		turn();
	end();
	script_stop(&server);
}
END_TEST

static Suite *
prober_suite(void)
{
	Suite *suite = suite_create("test_prober");
	TCase *all = tcase_create("prober");

	tcase_set_timeout(all, 30);
	tcase_add_test(all, the_scenario_is_told_in_its_lines);
	tcase_add_test(all, steady_good_probes_are_not_worth_the_log);
	tcase_add_test(
	    all, a_refused_probe_is_warned_of_once_and_counts_as_good);
	tcase_add_test(
	    all, failing_tls_that_nobody_demands_is_followed_by_plain_text);
	tcase_add_test(
	    all, the_operators_word_is_logged_once_and_disabled_is_not_probed);
	tcase_add_test(all, a_host_that_is_enabled_again_is_probed_at_once);
	tcase_add_test(all, silence_everywhere_is_our_own_network);
	tcase_add_test(
	    all, parallel_probes_are_bounded_and_deferred_hosts_have_half);
	tcase_add_test(all, a_reload_keeps_what_stays_and_drops_what_goes);
	tcase_add_test(all, a_probe_by_hand_shows_its_dialogue);
	tcase_add_test(all, who_has_gone_is_told_nothing_more);
	tcase_add_test(all, trouble_of_our_own_is_told_once_and_blames_nobody);
	tcase_add_test(all, a_name_is_usable_once_it_has_resolved);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return suite_run(prober_suite());
}
