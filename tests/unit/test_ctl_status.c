/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
#include "tests/unit/ctl_room.h"
#include "tests/unit/suite.h"

#include <jansson.h>

/* ---- JSON ---- */

static void
assert_json(json_t *got, const char *wanted)
{
	json_t *want = json_loads(wanted, 0, NULL);
	char *shown = json_dumps(got, JSON_INDENT(1));

	ck_assert_ptr_nonnull(want);
	ck_assert_msg(
	    json_equal(got, want), "got %s\nwanted %s", shown, wanted);
	free(shown);
	json_decref(want);
	json_decref(got);
}

/* Takes the times out of a host: they are compared apart. */
static void
assert_time(json_t *host, const char *key, uint64_t boot_ms)
{
	char wanted[32];

	ck_assert_str_eq(json_string_value(json_object_get(host, key)),
	    clock_rfc3339(boot_ms, wanted, sizeof(wanted)));
	json_object_del(host, key);
}

static json_t *
json_host(json_t *root, size_t i)
{
	return json_incref(json_array_get(json_object_get(root, "hosts"), i));
}

START_TEST(json_has_the_shape_that_monitoring_reads)
{
	json_t *root, *host;

	defer_first("431 Mail system full");
	root = ctl_status_json(&ctl);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(root, "generation")), 7);
	ck_assert_uint_eq(json_object_size(root), 4);
	ck_assert_uint_eq(json_array_size(json_object_get(root, "hosts")), 3);
	host = json_host(root, 0);
	assert_time(host, "since", ctl.now_ms - 500);
	assert_time(host, "until", ctl.now_ms + 40000);
	assert_json(host,
	    "{\"host\":\"192.168.1.10\",\"port\":25,\"state\":\"deferred\","
	    "\"override\":\"none\",\"usable\":true,\"reason\":\"431 Mail "
	    "system full\","
	    "\"stage\":\"greeting\",\"source\":\"probe\",\"failures\":3,"
	    "\"picked\":1,\"observed_ok\":0,\"observed_failed\":5,"
	    "\"latency_ms\":1.5}");
	host = json_host(root, 2);
	json_object_del(host, "since");
	assert_json(host,
	    "{\"host\":\"::1\",\"port\":25,\"state\":\"up\","
	    "\"override\":\"none\",\"usable\":true,\"reason\":\"\",\"stage\":"
	    "null,"
	    "\"source\":null,\"until\":null,\"failures\":0,\"picked\":0,"
	    "\"observed_ok\":0,\"observed_failed\":0,\"latency_ms\":null}");
	json_decref(root);
}
END_TEST

START_TEST(json_lists_routes_with_cursor_and_hosts)
{
	uint32_t set = health_table_find_set(table, ctl.config->sets[0].key);
	uint32_t other = health_table_find_set(table, ctl.config->sets[1].key);
	char wanted[512];
	json_t *root;

	(void)health_table_draw(table, set, ctl.now_ms);
	(void)snprintf(wanted, sizeof(wanted),
	    "[{\"domain\":\"example.com\",\"cursor\":%u,\"hosts\":"
	    "[\"192.168.1.10:25\",\"192.168.1.20:2525\"]},"
	    "{\"domain\":\".example.org\",\"cursor\":%u,\"hosts\":"
	    "[\"[::1]:25\",\"192.168.1.10:25\"]},"
	    "{\"domain\":\"dns.test\",\"cursor\":0,\"hosts\":[]}]",
	    (unsigned)health_table_cursor(table, set),
	    (unsigned)health_table_cursor(table, other));
	root = ctl_status_json(&ctl);
	assert_json(json_incref(json_object_get(root, "routes")), wanted);
	json_decref(root);
}
END_TEST

START_TEST(json_gives_the_operators_word_while_there_is_one)
{
	json_t *root, *host;

	defer_first("431 Mail system full");
	run_override("drain 192.168.1.10:25 --for 10m --reason patching", 0);
	root = ctl_status_json(&ctl);
	host = json_host(root, 0);
	assert_time(host, "since", ctl.now_ms);
	assert_time(host, "until", ctl.now_ms + 600000);
	assert_json(host,
	    "{\"host\":\"192.168.1.10\",\"port\":25,\"state\":\"deferred\","
	    "\"override\":\"drain\",\"usable\":true,\"reason\":\"patching\","
	    "\"stage\":null,\"source\":\"operator\",\"failures\":3,"
	    "\"picked\":1,\"observed_ok\":0,\"observed_failed\":5,"
	    "\"latency_ms\":1.5}");
	json_decref(root);
}
END_TEST

START_TEST(a_writer_is_alive_only_with_a_process_and_a_fresh_sign)
{
	struct health_table_header_info info;
	json_t *root = ctl_status_json(&ctl);
	char wanted[64];

	(void)snprintf(wanted, sizeof(wanted), "{\"pid\":%d,\"alive\":true}",
	    (int)getpid());
	assert_json(json_incref(json_object_get(root, "writer")), wanted);
	json_decref(root);
	health_table_header(table, &info);
	ck_assert_int_eq(ctl_writer_of(&info, info.heartbeat_ms + CTL_STALE_MS),
	    CTL_WRITER_ALIVE);
	ck_assert_int_eq(
	    ctl_writer_of(&info, info.heartbeat_ms + CTL_STALE_MS + 1),
	    CTL_WRITER_STALE);
	info.writer_pid = 0x7fffffff; /* above any pid_max */
	ck_assert_int_eq(
	    ctl_writer_of(&info, info.heartbeat_ms), CTL_WRITER_DEAD);
	info.writer_pid = 0;
	ck_assert_int_eq(
	    ctl_writer_of(&info, info.heartbeat_ms), CTL_WRITER_DEAD);
}
END_TEST

/* ---- text ---- */

START_TEST(text_shows_state_times_and_reason)
{
	defer_first("431 Mail system full");
	status_text();
	SAYS(" is alive (");
	SAYS("generation 7\n");
	SAYS("3 hosts: 2 up, 1 deferred\n");
	SAYS("\n192.168.1.10:25    deferred  -");
	SAYS("in 30 s"); /* the next probe, before the end of the back-off */
	SAYS("431 Mail system full (greeting, probe, 3 in a row)\n");
	SAYS("\n3 routes\n");
	SAYS("192.168.1.10:25 then 192.168.1.20:2525\n");
	SAYS("[::1]:25, 192.168.1.10:25\n");
	SAYS("the MTA's own MX lookup\n");
}
END_TEST

/* A host that probes find well, and deliveries do not. */
static void
make_blind(enum health_state state)
{
	struct health_detail detail;

	defer_first("452 4.3.1 Out of disk space");
	health_table_read(table, first, &detail);
	detail.health.state = state;
	detail.health.failures = 0;
	detail.health.delivery_failures = 2;
	detail.health.blind = true;
	detail.last.stage = STAGE_END_OF_DATA;
	detail.last.source = SOURCE_DELIVERY;
	health_table_write(table, first, &detail);
}

START_TEST(failures_are_those_of_the_source_of_the_last_words)
{
	json_t *root, *host;

	make_blind(HEALTH_DEFERRED);
	root = ctl_status_json(&ctl);
	host = json_host(root, 0);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(host, "failures")), 2);
	json_decref(host);
	json_decref(root);
	status_text();
	SAYS("  2         1 ");
	SAYS(" space (end-of-data, delivery, 2 in a row)\n");
}
END_TEST

START_TEST(the_next_try_of_what_no_probe_sees_is_a_message)
{
	make_blind(HEALTH_DEFERRED);
	status_text();
	SAYS("  in 40 s  "); /* the end of the back-off */
	ctl.now_ms += 40000;
	status_text();
	SAYS("  now  "); /* the next probe */
	make_blind(HEALTH_TRIAL);
	status_text();
	SAYS("  a message  ");
}
END_TEST

START_TEST(text_says_that_the_daemon_is_down)
{
	struct health_table_birth birth = { .pid = 0x7fffffff };
	struct health_table_size size = { 8, 8, 64 };
	enum health_table_opened how;
	struct err err;

	defer_first("431 Mail system full");
	health_table_close(&table);
	clock_boot_id(birth.boot_id);
	birth.now_ms = ctl.now_ms;
	ck_assert_int_eq(
	    health_table_open(table_path, &size, &birth, &table, &how, &err),
	    0);
	health_table_heartbeat(table, birth.now_ms);
	ctl.now_ms += 7200000;
	status_text();
	SAYS("is dead, the daemon is not running");
	SAYS("2 h ago");
	SAYS("no daemon");
	SAYS("431 Mail system full");
}
END_TEST

START_TEST(text_shows_overrides_and_routes_without_a_host)
{
	run_override("disable 192.168.1.10", 0);
	run_override("drain 192.168.1.20 --reason one\\by\033one", 0);
	run_override("force-up ::1", 0);
	status_text();
	SAYS("3 hosts, 1 forced up, 1 disabled, 1 drained\n");
	SAYS("up     drain");
	SAYS("one\\\\by\\x1bone\n");
	SAYS("3 routes, 1 with no host up\n");
	SAYS("example.com   held");
}
END_TEST

START_TEST(text_tells_names_that_do_not_resolve)
{
	struct health_detail detail;

	health_table_read(table, first, &detail);
	detail.usable = false;
	health_table_write(table, first, &detail);
	run_override("drain 192.168.1.10 --reason moving", 0);
	status_text();
	SAYS("  moving; does not resolve\n");
	run_override("enable 192.168.1.10", 0);
	status_text();
	SAYS("3 hosts: 2 up, 1 without an address\n");
	SAYS("  does not resolve\n");
}
END_TEST

START_TEST(text_is_bounded_for_many_routes_and_hosts_and_troubles_come_first)
{
	char *many = NULL;
	size_t len;
	FILE *file = open_memstream(&many, &len);
	struct health_table_size size = { 400, 400, 64 };
	struct health_table_birth birth = { .pid = (uint32_t)getpid() };
	enum health_table_opened how;
	struct lookup_base *base;
	struct err err;
	unsigned lines = 0;

	fprintf(file, "routes = (\n");
	for (int i = 0; i < 40000; i++)
		fprintf(file,
		    "%s{ domain = \"d%d.test\"; hosts = ( { host = "
		    "\"10.0.%d.%d\"; } ); }",
		    i > 0 ? ",\n" : "", i, i % 400 / 200, i % 200 + 1);
	fprintf(file, ");\n");
	ck_assert_int_eq(fclose(file), 0);
	write_conf(many);
	free(many);
	ctl_close(&ctl);
	health_table_close(&table);
	ck_assert_int_eq(ctl_open(&ctl, conf_path, true), 0);
	clock_boot_id(birth.boot_id);
	birth.now_ms = ctl.now_ms;
	ck_assert_int_eq(
	    health_table_open(table_path, &size, &birth, &table, &how, &err),
	    0);
	ck_assert_int_eq(lookup_bind(ctl.config, table, true, &base, &err), 0);
	lookup_base_free(&base);
	ck_assert_int_eq(ctl_attach(&ctl, &err), 0);
	run_override("drain 10.0.1.200", 0);
	status_text();
	for (size_t i = 0; i < text_len; i++)
		lines += text[i] == '\n';
	ck_assert_uint_lt(lines, 140);
	SAYS("400 hosts: 399 up, 1 drained");
	SAYS("... and 300 more (status --json lists all)\n");
	SAYS("\n10.0.1.200:25  up     drain");
	SAYS("40000 routes, 100 with no host up\n");
	SAYS("d399.test ");
	SAYS("... and 39980 more (status --json lists all)\n");
}
END_TEST

START_TEST(a_broken_file_still_gives_the_table)
{
	struct err err;

	defer_first("431 Mail system full");
	ctl_close(&ctl);
	write_conf("routes = ( { domain = \"example.com\"; hsts = (); } );\n");
	ck_assert_int_eq(ctl_open(&ctl, conf_path, true), -1);
	ctl_close(&ctl);
	ck_assert_int_eq(ctl_open(&ctl, conf_path, false), 0);
	ck_assert_ptr_null(ctl.config);
	ck_assert_str_eq(ctl.table_path, table_path);
	ck_assert_int_eq(ctl_attach(&ctl, &err), 0);
	status_text();
	SAYS("192.168.1.10:25    deferred");
	SAYS("192.168.1.20:2525  up");
	SAYS_NOT("routes");
}
END_TEST

START_TEST(without_a_table_there_are_words)
{
	struct err err;

	ck_assert_int_eq(unlink(table_path), 0);
	ck_assert_int_eq(ctl_attach(&ctl, &err), -1);
	ck_assert_ptr_null(ctl.table);
	ck_assert_ptr_nonnull(strstr(err.text, "no health table"));
	ck_assert_ptr_nonnull(strstr(err.text, table_path));
}
END_TEST

START_TEST(a_host_of_the_file_that_the_table_lacks_is_named)
{
	struct err err;

	ctl_close(&ctl);
	write_conf("routes = ( { domain = \"new.test\"; hosts = ( "
		   "{ host = \"192.168.1.99\"; } ); } );\n");
	ck_assert_int_eq(ctl_open(&ctl, conf_path, true), 0);
	ck_assert_int_eq(ctl_attach(&ctl, &err), 0);
	status_text();
	SAYS("1 host, 1 not in the table yet (the table keeps 3 more");
	SAYS("192.168.1.99:25  -");
	run_override("drain 192.168.1.99", CTL_TROUBLE);
}
END_TEST

static void
add_status_tests(Suite *s)
{
	TCase *status = tcase_create("status");

	tcase_add_checked_fixture(status, setup, teardown);
	tcase_set_timeout(status, 30);
	tcase_add_test(status, json_has_the_shape_that_monitoring_reads);
	tcase_add_test(status, json_lists_routes_with_cursor_and_hosts);
	tcase_add_test(
	    status, json_gives_the_operators_word_while_there_is_one);
	tcase_add_test(
	    status, a_writer_is_alive_only_with_a_process_and_a_fresh_sign);
	tcase_add_test(status, text_shows_state_times_and_reason);
	tcase_add_test(
	    status, failures_are_those_of_the_source_of_the_last_words);
	tcase_add_test(status, the_next_try_of_what_no_probe_sees_is_a_message);
	tcase_add_test(status, text_says_that_the_daemon_is_down);
	tcase_add_test(status, text_shows_overrides_and_routes_without_a_host);
	tcase_add_test(status,
	    text_is_bounded_for_many_routes_and_hosts_and_troubles_come_first);
	tcase_add_test(status, text_tells_names_that_do_not_resolve);
	tcase_add_test(status, a_broken_file_still_gives_the_table);
	tcase_add_test(status, without_a_table_there_are_words);
	tcase_add_test(
	    status, a_host_of_the_file_that_the_table_lacks_is_named);
	suite_add_tcase(s, status);
}

int
main(void)
{
	Suite *s = suite_create("ctl_status");

	add_status_tests(s);
	return suite_run(s);
}
