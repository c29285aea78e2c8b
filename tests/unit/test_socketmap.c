/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "milter/socketmap.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "policy/err.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define NOW_MS 1000000

static struct config *config;
static struct health_table *table;
static struct lookup_base *base;

static void
bind_config(const char *rest)
{
	const struct health_table_birth birth = { .boot_id = { 1 },
		.ticket_key = { 1, 2 },
		.pid = 1,
		.now_ms = NOW_MS };
	struct health_table_size size;
	enum health_table_opened how;
	struct err err = { "" };

	scratch_begin();
	config = scratch_config(rest);
	size = (struct health_table_size){ config->n_hosts, config->n_sets,
		config->tickets };
	if (health_table_open(config->health_table, &size, &birth, &table, &how,
		&err) == -1 ||
	    lookup_bind(config, table, true, &base, &err) == -1)
		ck_abort_msg("%s", err.text);
}

static void
begin(void)
{
	bind_config("not_routed = [ \"mx.example.net\" ];\n"
		    "tickets = 1024;\n"
		    "address_family = \"any\";\n"
		    "routes = (\n"
		    "{ domain = \"example.com\"; hosts = ("
		    "  { host = \"192.168.1.10\"; priority = 0; },"
		    "  { host = \"192.168.1.20\"; port = 2525; priority = 10; }"
		    "); },\n"
		    "{ domain = \"one.test\"; hosts = ("
		    "  { host = \"192.168.1.30\"; } ); },\n"
		    "{ domain = \"six.test\"; hosts = ("
		    "  { host = \"2001:db8::1\"; port = 26; } ); },\n"
		    "{ domain = \"[127.0.0.1]\"; hosts = ("
		    "  { host = \"192.168.1.50\"; } ); },\n"
		    "{ domain = \"name.test\"; hosts = ("
		    "  { host = \"unresolved.example.net\"; } ); },\n"
		    "{ domain = \".below.test\"; hosts = ("
		    "  { host = \"unresolved.example.net\"; } ); },\n"
		    "{ domain = \"dns.test\"; use_dns = true; }\n"
		    ");\n");
}

static void
end(void)
{
	lookup_base_free(&base);
	health_table_close(&table);
	config_free(&config);
	scratch_end();
}

static const struct {
	const char *bytes;
	enum socketmap_read want;
	const char *text; /* of a whole one */
} netstrings[] = {
	{ "", SOCKETMAP_MORE, NULL },
	{ "1", SOCKETMAP_MORE, NULL },
	{ "11", SOCKETMAP_MORE, NULL },
	{ "11:", SOCKETMAP_MORE, NULL },
	{ "11:transport *", SOCKETMAP_MORE, NULL },
	{ "11:transport *,", SOCKETMAP_WHOLE, "transport *" },
	{ "11:transport *,11:trans", SOCKETMAP_WHOLE, "transport *" },
	{ "0:,", SOCKETMAP_WHOLE, "" },
	{ "1:,,", SOCKETMAP_WHOLE, "," },
	{ "10000:", SOCKETMAP_MORE, NULL },
	/* What is wrong is known at the first wrong byte. */
	{ "10001", SOCKETMAP_BROKEN, NULL },
	{ "99999999999999999999999", SOCKETMAP_BROKEN, NULL },
	{ "011:transport *,", SOCKETMAP_BROKEN, NULL },
	{ "00:,", SOCKETMAP_BROKEN, NULL },
	{ "-1:,", SOCKETMAP_BROKEN, NULL },
	{ "+1:x,", SOCKETMAP_BROKEN, NULL },
	{ " 1:x,", SOCKETMAP_BROKEN, NULL },
	{ "1 :x,", SOCKETMAP_BROKEN, NULL },
	{ ":x,", SOCKETMAP_BROKEN, NULL },
	{ "x", SOCKETMAP_BROKEN, NULL },
	{ "1;x,", SOCKETMAP_BROKEN, NULL },
	{ "11:transport *;", SOCKETMAP_BROKEN, NULL },
	{ "10:transport *,", SOCKETMAP_BROKEN, NULL },
	{ "GET / HTTP/1.0\r\n\r\n", SOCKETMAP_BROKEN, NULL },
	{ "\r\n", SOCKETMAP_BROKEN, NULL },
};

START_TEST(a_netstring_is_more_whole_or_broken)
{
	struct socketmap_request request;
	const char *bytes = netstrings[_i].bytes;

	ck_assert_int_eq(socketmap_read(bytes, strlen(bytes), &request),
	    netstrings[_i].want);
	if (netstrings[_i].want != SOCKETMAP_WHOLE)
		return;
	ck_assert_uint_eq(request.len, strlen(netstrings[_i].text));
	ck_assert_mem_eq(request.text, netstrings[_i].text, request.len);
	ck_assert_ptr_eq(request.text + request.len + 1, bytes + request.used);
}
END_TEST

START_TEST(every_prefix_of_a_request_wants_more)
{
	static const char bytes[] = "28:transport user@example.com.x,";
	struct socketmap_request request;
	size_t len = sizeof(bytes) - 1;

	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(
		    socketmap_read(bytes, i, &request), SOCKETMAP_MORE);
	ck_assert_int_eq(socketmap_read(bytes, len, &request), SOCKETMAP_WHOLE);
}
END_TEST

START_TEST(the_longest_request_fits_and_one_more_does_not)
{
	static char bytes[SOCKETMAP_INPUT_MAX + 16];
	struct socketmap_request request;
	int head = snprintf(bytes, sizeof(bytes), "%d:", SOCKETMAP_REQUEST_MAX);

	memset(bytes + head, 'x', SOCKETMAP_REQUEST_MAX);
	bytes[head + SOCKETMAP_REQUEST_MAX] = ',';
	ck_assert_int_eq(socketmap_read(bytes, SOCKETMAP_INPUT_MAX, &request),
	    SOCKETMAP_WHOLE);
	ck_assert_uint_eq(request.used, SOCKETMAP_INPUT_MAX);
}
END_TEST

/* Asks, and takes the netstring of the answer apart. */
static const char *
ask(const char *text, size_t len)
{
	static char out[SOCKETMAP_OUTPUT_MAX + 1];
	const struct socketmap_request request = { text, len, 0 };
	size_t n = socketmap_answer(base, &request, NOW_MS, out);
	char *end;
	unsigned long said;

	ck_assert_uint_le(n, SOCKETMAP_OUTPUT_MAX);
	said = strtoul(out, &end, 10);
	ck_assert_int_eq(*end, ':');
	ck_assert_int_ne(out[0], '0');
	ck_assert_uint_eq((size_t)(end - out) + said + 2, n);
	ck_assert_int_eq(out[n - 1], ',');
	out[n - 1] = '\0';
	return end + 1;
}

static const struct {
	const char *request;
	const char *want;
} answers[] = {
	{ "transport user@example.com",
	    "OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525" },
	{ "transport User+Ext@EXAMPLE.com",
	    "OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525" },
	{ "transport \"a b\"@example.com",
	    "OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525" },
	{ "transport \"a@dns.test\"@example.com",
	    "OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525" },
	{ "transport a@one.test", "OK nexthop:[192.168.1.30]:25" },
	{ "transport a@six.test", "OK nexthop:[2001:db8::1]:26" },
	{ "transport x@[127.0.0.1]", "OK nexthop:[192.168.1.50]:25" },
	{ "transport a@dns.test", "OK nexthop:" },
	/* Nothing usable: the mail is kept. */
	{ "transport a@Name.Test", "OK nexthop-hold:name.test" },
	{ "transport a@x.below.test", "OK nexthop-hold:x.below.test" },
	{ "transport a@\xc3\xa4.below.test", "OK nexthop-hold:.below.test" },
	{ "transport a@b c.below.test", "OK nexthop-hold:.below.test" },
	{ "transport *", "NOTFOUND " },
	{ "transport a@unknown.test", "NOTFOUND " },
	{ "transport a@mx.example.net", "NOTFOUND " },
	{ "transport example.com", "NOTFOUND " },
	{ "transport @", "NOTFOUND " },
	{ "transport  ", "NOTFOUND " },
	{ "mailertable example.com", "TEMP unknown map" },
	{ "transports a@example.com", "TEMP unknown map" },
	{ "transpor a@example.com", "TEMP unknown map" },
	{ "TRANSPORT a@example.com", "TEMP unknown map" },
	{ " a@example.com", "TEMP unknown map" },
	{ "transport ", "TEMP malformed request" },
	{ "transport", "TEMP malformed request" },
	{ "", "TEMP malformed request" },
	{ " ", "TEMP malformed request" },
};

START_TEST(each_request_has_its_answer)
{
	const char *request = answers[_i].request;

	ck_assert_str_eq(ask(request, strlen(request)), answers[_i].want);
}
END_TEST

START_TEST(zero_bytes_in_a_request_harm_nobody)
{
	static const char map[] = "trans\0port a@example.com";
	static const char key[] = "transport a\0b@example.com";
	static const char domain[] = "transport a@exa\0mple.com";

	ck_assert_str_eq(ask(map, sizeof(map) - 1), "TEMP unknown map");
	/* Postfix cannot send it; whatever is said, it is not PERM. */
	ck_assert_int_ne(strncmp(ask(key, sizeof(key) - 1), "PERM", 4), 0);
	ck_assert_str_eq(ask(domain, sizeof(domain) - 1), "NOTFOUND ");
}
END_TEST

static void
set_recoveries(const char *host_text, uint8_t recoveries)
{
	struct health_detail detail;
	struct host host;
	uint32_t slot;

	ck_assert_int_eq(host_parse(host_text, 0, &host, NULL), 0);
	slot = health_table_find_host(table, &host);
	ck_assert_uint_ne(slot, HEALTH_TABLE_NONE);
	health_table_read(table, slot, &detail);
	detail.health.recoveries = recoveries;
	health_table_write(table, slot, &detail);
}

START_TEST(a_list_is_spelled_anew_after_a_recovery)
{
	static const char *const want[] = {
		"OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525",
		"OK nexthop:[192.168.1.10]:25, [192.168.1.20]:2525",
		"OK nexthop:[192.168.1.10]:25 [192.168.1.20]:2525",
		"OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525,",
		"OK nexthop:[192.168.1.10]:25, [192.168.1.20]:2525,",
		"OK nexthop:[192.168.1.10]:25 [192.168.1.20]:2525,",
		"OK nexthop:[192.168.1.10]:25,[192.168.1.20]:2525 ",
		"OK nexthop:[192.168.1.10]:25, [192.168.1.20]:2525 ",
		"OK nexthop:[192.168.1.10]:25 [192.168.1.20]:2525 ",
	};

	set_recoveries("192.168.1.20:2525", (uint8_t)_i);
	ck_assert_str_eq(ask("transport a@example.com", 23), want[_i]);
}
END_TEST

START_TEST(a_list_of_one_is_spelled_anew_too)
{
	static const char item[] = "OK nexthop:[192.168.1.30]:25";
	char said[SOCKETMAP_SPELLINGS][64];

	for (uint8_t i = 0; i < SOCKETMAP_SPELLINGS; i++) {
		set_recoveries("192.168.1.30", i);
		(void)snprintf(said[i], sizeof(said[i]), "%s",
		    ask("transport a@one.test", 20));
		/* Nothing but what Postfix splits at. */
		ck_assert_int_eq(strncmp(said[i], item, sizeof(item) - 1), 0);
		ck_assert_uint_eq(strspn(said[i] + sizeof(item) - 1, ", "),
		    strlen(said[i]) - (sizeof(item) - 1));
		for (uint8_t k = 0; k < i; k++)
			ck_assert_str_ne(said[i], said[k]);
	}
	ck_assert_str_eq(said[0], item);
}
END_TEST

START_TEST(the_longest_list_fits_into_an_answer)
{
	static char text[CONFIG_SET_HOSTS_MAX * 320];
	struct health_detail detail;
	size_t used = (size_t)snprintf(text, sizeof(text),
	    "routes = ({ domain = \"long.test\"; hosts = (");
	const char *answer, *last;
	char label[64];

	memset(label, 'x', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	for (int i = 0; i < CONFIG_SET_HOSTS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s{ host = \"%s.%s.%s.h%02d%.58s\"; port = 65535; }",
		    i == 0 ? "" : ", ", label, label, label, i, label);
	(void)snprintf(text + used, sizeof(text) - used, "); });\n");
	end();
	bind_config(text);
	for (uint32_t i = 0; i < config->n_hosts; i++) {
		health_table_read(table, base->host_slot[i], &detail);
		detail.usable = true;
		/* All the spellings, of the longest kind too. */
		detail.health.recoveries = i == 0 ? 8 : 0;
		health_table_write(table, base->host_slot[i], &detail);
	}
	answer = ask("transport a@long.test", 21);
	ck_assert_int_eq(strncmp(answer, "OK nexthop:[xxx", 15), 0);
	for (used = 0; (last = strchr(answer, '[')) != NULL; used++)
		answer = last + 1;
	ck_assert_uint_eq(used, CONFIG_SET_HOSTS_MAX);
}
END_TEST

START_TEST(what_is_no_request_is_refused_for_now)
{
	static char out[SOCKETMAP_OUTPUT_MAX];
	size_t n = socketmap_refuse(out);

	ck_assert_uint_eq(n, 26);
	ck_assert_mem_eq(out, "22:TEMP malformed request,", n);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("socketmap");
	TCase *codec = tcase_create("codec");
	TCase *answering = tcase_create("answers");

	tcase_add_loop_test(codec, a_netstring_is_more_whole_or_broken, 0,
	    (int)NELEM(netstrings));
	tcase_add_test(codec, every_prefix_of_a_request_wants_more);
	tcase_add_test(codec, the_longest_request_fits_and_one_more_does_not);
	tcase_add_test(codec, what_is_no_request_is_refused_for_now);
	suite_add_tcase(suite, codec);
	tcase_add_checked_fixture(answering, begin, end);
	tcase_add_loop_test(
	    answering, each_request_has_its_answer, 0, (int)NELEM(answers));
	tcase_add_test(answering, zero_bytes_in_a_request_harm_nobody);
	tcase_add_loop_test(
	    answering, a_list_is_spelled_anew_after_a_recovery, 0, 9);
	tcase_add_test(answering, a_list_of_one_is_spelled_anew_too);
	tcase_add_test(answering, the_longest_list_fits_into_an_answer);
	suite_add_tcase(suite, answering);
	return suite_run(suite);
}
