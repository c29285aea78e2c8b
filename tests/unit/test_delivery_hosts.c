/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/delivery.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/delivery_hosts.h"
#include "policy/route.h"
#include "tests/unit/delivery_log.h"
#include "tests/unit/suite.h"

/* .1 has one port, .2 two, .3 three; two routes share .2. */
static const char routes[] =
    "routes = ("
    " { domain = \"one.test\"; hosts = ( \"10.0.0.1\", \"10.0.0.9\" ); },"
    " { domain = \"two.test\"; hosts = ( \"10.0.0.2:25\", \"10.0.0.2:26\" ); },"
    " { domain = \"half.test\"; hosts = ( \"10.0.0.2:26\", \"10.0.0.9\" ); },"
    " { domain = \"three.test\"; hosts = ( \"10.0.0.3:25\", \"10.0.0.3:26\","
    "   \"10.0.0.3:27\", \"10.0.0.9\" ); },"
    " { domain = \"odd.test\"; hosts = ( \"10.0.0.4:2525\" ); },"
    " { domain = \"name.test\"; hosts = ( \"MX.Name.test\", \"10.0.0.9\" ); },"
    " { domain = \"names.test\"; hosts = ( \"mx2.name.test:25\","
    "   \"mx2.name.test:26\" ); },"
    " { domain = \"six.test\"; hosts = ( \"[2001:DB8::1]:25\","
    "   \"[2001:db8::2]:25\", \"[2001:db8::2]:26\" ); },"
    " { domain = \"dns.test\"; use_dns = true; } );";

#define LINES_MAX 6

static const struct {
	const char *line[LINES_MAX];
	const char *told;
} cases[] = {
	/* One port. */
	{ { "7 Q1 10.0.0.1 said mail 450 4.3.1 x" }, "trouble 10.0.0.1:25" },
	{ { "7 - 10.0.0.1#25 refused" }, "trouble 10.0.0.1:25" },
	{ { "7 Q1 to=u@one.test 10.0.0.1#25 sent" }, "ok 10.0.0.1:25" },
	{ { "7 Q1 to=u@one.test 10.0.0.1#25 reused sent" }, "ok 10.0.0.1:25" },
	{ { "7 Q1 to=u@one.test 10.0.0.1#25 deferred 10.0.0.1 said data 451 "
	    "4.3.0 x" },
	    "trouble 10.0.0.1:25" },
	{ { "7 Q1 to=u@one.test none deferred 10.0.0.1#25 refused" },
	    "trouble 10.0.0.1:25" },
	/* A told port that is not ours is somebody else's. */
	{ { "7 - 10.0.0.1#2525 refused" }, "" },
	{ { "7 Q1 to=u@one.test 10.0.0.1#2525 sent" }, "" },
	{ { "7 - 10.0.0.4#25 refused" }, "" },
	{ { "7 - 10.0.0.4#2525 refused" }, "trouble 10.0.0.4:2525" },
	{ { "7 Q1 to=u@x.test 127.0.0.1#10024 deferred 127.0.0.1 said rcpt 450 "
	    "4.3.0 x" },
	    "" },
	/* Before 3.8 a session of before shows the port of the list's first
	   item: ours, if the recipient's route has that host. */
	{ { "7 Q1 to=u@odd.test 10.0.0.4#25 reused sent" },
	    "ok 10.0.0.4:2525" },
	{ { "7 Q1 to=u@one.test 10.0.0.4#25 reused sent" }, "" },
	{ { "7 Q1 to=u@one.test 10.0.0.4#2525 reused sent" },
	    "ok 10.0.0.4:2525" },
	/* Strangers: another name with our address, another address. */
	{ { "7 Q1 mx.evil.test/10.0.0.1 said mail 450 4.3.1 x" }, "" },
	{ { "7 - mx.evil.test/10.0.0.1#25 refused" }, "" },
	{ { "7 Q1 to=u@evil.test mx.evil.test/10.0.0.1#25 sent" }, "" },
	{ { "7 Q1 10.0.0.1/10.6.6.6 said mail 450 4.3.1 x" }, "" },
	{ { "7 Q1 mx.evil.test/10.0.0.1 said mail 450 4.3.1 x",
	      "7 Q1 to=u@evil.test none deferred" },
	    "" },
	{ { "7 Q1 10.0.0.7 said mail 450 4.3.1 x" }, "" },
	/* A stranger's list does not hide what is ours in it. */
	{ { "7 Q1 to=u@evil.test mx.evil.test/10.6.6.6#25 sent",
	      "7 Q1 10.0.0.1 said mail 450 4.3.1 x" },
	    "trouble 10.0.0.1:25" },
	/* Names, whatever their address; a local socket is no host. */
	{ { "7 Q1 mx.name.test/10.5.5.5 said mail 450 4.3.1 x" },
	    "trouble mx.name.test:25" },
	{ { "7 Q1 to=u@name.test mx.name.test/2001:db8::5#25 sent" },
	    "ok mx.name.test:25" },
	{ { "7 Q1 to=u@name.test mx.name.test/#25 sent" }, "" },
	{ { "7 - mx.name.test/10.5.5.5#25 refused",
	      "7 - mx.name.test/10.5.5.6#25 refused" },
	    "trouble mx.name.test:25" },
	{ { "7 Q1 to=u@names.test mx2.name.test/10.5.5.5#26 sent" },
	    "ok mx2.name.test:26" },
	/* IPv6, in any spelling. */
	{ { "7 Q1 2001:db8::1 said mail 450 4.3.1 x" },
	    "trouble [2001:db8::1]:25" },
	{ { "7 Q1 2001:0db8:0::1/2001:db8::1 said mail 450 4.3.1 x" },
	    "trouble [2001:db8::1]:25" },
	{ { "7 Q1 2001:db8::1/2001:0db8:0::1 said mail 450 4.3.1 x" },
	    "trouble [2001:db8::1]:25" },
	{ { "7 Q1 2001:db8::1/2001:db8::7 said mail 450 4.3.1 x" }, "" },
	{ { "7 - 2001:db8::2#26 unreachable" }, "trouble [2001:db8::2]:26" },

	/* Two ports: a told one is believed. */
	{ { "7 - 10.0.0.2#26 refused" }, "trouble 10.0.0.2:26" },
	{ { "7 - 10.0.0.2#27 refused" }, "" },
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 sent" }, "ok 10.0.0.2:26" },
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 deferred 10.0.0.2 said data 451 "
	    "4.3.0 x" },
	    "trouble 10.0.0.2:26" },
	/* A port of the failure is its own, another address is not the
	   relay's. */
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 deferred 10.0.0.2#25 refused" },
	    "trouble 10.0.0.2:25" },
	{ { "7 Q1 to=u@names.test mx2.name.test/10.5.5.6#26 deferred "
	    "mx2.name.test/10.5.5.5 said data 451 4.3.0 x" },
	    "trouble? mx2.name.test:25; trouble? mx2.name.test:26" },
	{ { "7 Q1 to=u@one.test 10.0.0.1#25 sent 10.0.0.9 lost data" },
	    "ok 10.0.0.1:25" },
	/* Not that of a session of before. */
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 reused sent" }, "" },
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 reused bounced 10.0.0.2 said rcpt "
	    "550 5.1.1 x" },
	    "" },
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 reused deferred 10.0.0.2 said data "
	    "451 4.3.0 x" },
	    "trouble? 10.0.0.2:25; trouble? 10.0.0.2:26" },
	{ { "7 Q1 to=u@half.test 10.0.0.2#25 reused deferred 10.0.0.2 said "
	    "data 451 4.3.0 x" },
	    "trouble 10.0.0.2:26" },
	/* Without a port: not yet. */
	{ { "7 Q1 10.0.0.2 said mail 450 4.3.1 x" }, "" },
	{ { "7 Q1 10.0.0.2 said rcpt 550 5.1.1 x", "7 Q2 10.0.0.1 lost data" },
	    "trouble 10.0.0.1:25" },
	/* The result is another server's. */
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q1 to=u@two.test 10.0.0.2#26 sent" },
	    "trouble 10.0.0.2:25; ok 10.0.0.2:26" },
	{ { "7 Q1 10.0.0.2 lost end-of-data",
	      "7 Q1 to=u@two.test 10.0.0.2#25 deferred 10.0.0.2 lost "
	      "end-of-data" },
	    "trouble 10.0.0.2:26; trouble 10.0.0.2:25" },
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x", "7 - 10.0.0.2#26 refused",
	      "7 Q1 to=u@two.test none deferred 10.0.0.2#26 refused" },
	    "trouble 10.0.0.2:26; trouble 10.0.0.2:25" },
	/* The route has only one of them, or none. */
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q1 to=u@half.test 10.0.0.9#25 sent" },
	    "trouble 10.0.0.2:26; ok 10.0.0.9:25" },
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q1 to=u@one.test 10.0.0.9#25 sent" },
	    "trouble? 10.0.0.2:25; trouble? 10.0.0.2:26; ok 10.0.0.9:25" },
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q1 to=u@stranger.test none deferred" },
	    "trouble? 10.0.0.2:25; trouble? 10.0.0.2:26" },
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q1 to=u@dns.test none deferred" },
	    "trouble? 10.0.0.2:25; trouble? 10.0.0.2:26" },
	/* One server both refused and took it. */
	{ { "7 Q1 10.0.0.2 said rcpt 450 4.3.1 x",
	      "7 Q1 to=u@half.test 10.0.0.2#26 sent" },
	    "trouble 10.0.0.2:26; ok 10.0.0.2:26" },
	/* In mid-session one recipient's 5xx says nothing of the others. */
	{ { "7 Q1 10.0.0.2 said rcpt 450 4.3.1 x",
	      "7 Q1 to=v@two.test 10.0.0.2#25 bounced 10.0.0.2 said rcpt 550 "
	      "5.1.1 x",
	      "7 Q1 to=u@two.test 10.0.0.2#26 sent" },
	    "final 10.0.0.2:25; trouble 10.0.0.2:25; ok 10.0.0.2:26" },
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q1 to=v@two.test 10.0.0.2#26 bounced 10.0.0.2 said rcpt 550 "
	      "5.1.1 x" },
	    "trouble 10.0.0.2:25; final 10.0.0.2:26" },
	/* The attempt is over without a word of the result. */
	{ { "7 Q1 10.0.0.2 said data 450 4.3.1 x",
	      "7 Q2 to=u@one.test 10.0.0.9#25 sent" },
	    "trouble? 10.0.0.2:25; trouble? 10.0.0.2:26; ok 10.0.0.9:25" },
	{ { "7 Q1 to=u@half.test 10.0.0.2#26 sent", "7 Q2 10.0.0.2 lost data",
	      "7 Q3 to=u@one.test 10.0.0.9#25 sent" },
	    "ok 10.0.0.2:26; trouble? 10.0.0.2:25; trouble? 10.0.0.2:26; "
	    "ok 10.0.0.9:25" },

	/* Three ports. */
	{ { "7 Q1 10.0.0.3 said data 450 4.3.1 x",
	      "7 Q1 to=u@three.test 10.0.0.3#26 sent" },
	    "trouble? 10.0.0.3:25; trouble? 10.0.0.3:27; ok 10.0.0.3:26" },
	{ { "7 Q1 10.0.0.3 said data 450 4.3.1 x",
	      "7 Q1 to=u@three.test 10.0.0.9#25 sent" },
	    "trouble? 10.0.0.3:25; trouble? 10.0.0.3:27; trouble? 10.0.0.3:26; "
	    "ok 10.0.0.9:25" },
	/* As many sessions failed as there are candidates. */
	{ { "7 Q1 10.0.0.3 said data 450 4.3.1 x",
	      "7 Q1 10.0.0.3 said data 450 4.3.1 x",
	      "7 Q1 to=u@three.test 10.0.0.3#27 sent" },
	    "trouble 10.0.0.3:25; trouble 10.0.0.3:26; ok 10.0.0.3:27" },
	/* But two recipients may be one session's. */
	{ { "7 Q1 10.0.0.3 said rcpt 450 4.3.1 x",
	      "7 Q1 10.0.0.3 said rcpt 450 4.3.1 x",
	      "7 Q1 to=u@three.test 10.0.0.3#27 sent",
	      "7 Q1 to=v@three.test 10.0.0.3#27 sent" },
	    "trouble? 10.0.0.3:25; trouble? 10.0.0.3:26; ok 10.0.0.3:27" },
	/* Who took the message for one is not who refused it for another. */
	{ { "7 Q1 to=u@three.test 10.0.0.3#25 sent", "7 Q1 10.0.0.3 lost data",
	      "7 Q1 to=v@three.test 10.0.0.3#27 sent" },
	    "ok 10.0.0.3:25; trouble 10.0.0.3:26; ok 10.0.0.3:27" },
	/* Refusals, too. */
	{ { "7 Q1 10.0.0.2 said rcpt 450 x",
	      "7 Q1 to=u@two.test 10.0.0.2#26 sent" },
	    "refusal 10.0.0.2:25 #1; ok 10.0.0.2:26" },
	{ { "7 Q1 10.0.0.3 said rcpt 450 x",
	      "7 Q1 to=u@three.test 10.0.0.3#26 sent" },
	    "refusal? 10.0.0.3:25 #1; refusal? 10.0.0.3:27 #1; "
	    "ok 10.0.0.3:26" },
	{ { "7 Q1 to=u@two.test 10.0.0.2#26 reused deferred 10.0.0.2 said rcpt "
	    "450 x" },
	    "refusal? 10.0.0.2:25 #1; refusal? 10.0.0.2:26 #1" },
	{ { "7 Q1 10.0.0.2 said rcpt 450 x",
	      "7 Q1 to=u@two.test 10.0.0.2#26 reused sent" },
	    "" },
};

static bool
is_in(const char *part, const char *all)
{
	size_t len = strlen(part);

	for (const char *at = all; (at = strstr(at, part)) != NULL; at++) {
		if ((at == all || at[-1] == ' ') &&
		    (at[len] == ';' || at[len] == '\0'))
			return true;
	}
	return false;
}

/* Ports of one name come in any order. */
static void
check_told(const char *wanted)
{
	char copy[1024], *rest = copy, *part;

	(void)snprintf(copy, sizeof(copy), "%s", wanted);
	ck_assert_msg(strlen(wanted) == strlen(delivery_log.told),
	    "told \"%s\", wanted \"%s\"", delivery_log.told, wanted);
	while ((part = strsep(&rest, ";")) != NULL) {
		part += strspn(part, " ");
		ck_assert_msg(part[0] == '\0' || is_in(part, delivery_log.told),
		    "told \"%s\", wanted \"%s\"", delivery_log.told, wanted);
	}
}

START_TEST(lines_are_put_to_the_hosts_of_the_table)
{
	delivery_log_feed_all(cases[_i].line, LINES_MAX);
	check_told(cases[_i].told);
}
END_TEST

START_TEST(trouble_of_two_ports_is_told_with_the_result_in_order)
{
	delivery_log_feed("7 Q1 10.0.0.2 said data 450 4.3.1 Full");
	delivery_log_feed("7 Q1 to=u@two.test 10.0.0.2#26 sent");
	ck_assert_str_eq(
	    delivery_log.told, "trouble 10.0.0.2:25; ok 10.0.0.2:26");
	ck_assert_int_eq(delivery_log.seen[0].seen.stage, STAGE_DATA);
	ck_assert_str_eq(delivery_log.seen[0].seen.text, "450 4.3.1 Full");
}
END_TEST

START_TEST(a_new_configuration_is_searched_and_open_attempts_are_forgotten)
{
	delivery_log_feed("7 Q1 10.0.0.2 said data 450 4.3.1 x");
	delivery_log_feed("7 Q1 10.0.0.1 said rcpt 450 x");
	delivery_log_adopt("routes = ( { domain = \"two.test\"; hosts = ("
			   " \"10.0.0.7\", \"10.0.0.2:26\" ); } );");
	delivery_log_feed("7 Q1 to=u@two.test 10.0.0.2#26 sent");
	delivery_log_feed("7 Q2 to=u@two.test 10.0.0.1#25 sent");
	delivery_log_feed("7 Q3 to=u@two.test 10.0.0.7#25 sent");
	ck_assert_str_eq(delivery_log.told, "ok 10.0.0.2:26; ok 10.0.0.7:25");
}
END_TEST

/* n hosts of one address. */
static void
check_many(uint32_t n)
{
	static struct host many[CONFIG_SET_HOSTS_MAX + 1];
	struct config config = *delivery_log.config;
	struct delivery_server server = { "10.1.1.1", "10.1.1.1", 0, false };
	struct delivery_hosts hosts;
	uint32_t list[CONFIG_SET_HOSTS_MAX];

	for (uint32_t i = 0; i < n; i++)
		many[i] = (struct host){ HOST_IPV4, (uint16_t)(1000 + i),
			"10.1.1.1" };
	config.hosts = many;
	config.n_hosts = n;
	delivery_hosts_init(&hosts, &config);
	ck_assert_uint_eq(
	    delivery_hosts_place(&hosts, &server, ROUTE_NONE).name,
	    n == 0 ? DELIVERY_HOSTS_NONE : 0);
	for (uint32_t i = 0; i < n; i++) {
		server.port = many[i].port;
		ck_assert_uint_eq(
		    delivery_hosts_place(&hosts, &server, ROUTE_NONE).host, i);
	}
	if (n > 0)
		ck_assert_uint_eq(
		    delivery_hosts_ports(&hosts, 0, ROUTE_NONE, list),
		    n <= CONFIG_SET_HOSTS_MAX ? n : 0);
	delivery_hosts_clear(&hosts);
}

START_TEST(each_of_many_ports_is_found_and_too_many_are_not_blamed)
{
	check_many(0);
	check_many(1);
	check_many(CONFIG_SET_HOSTS_MAX);
	check_many(CONFIG_SET_HOSTS_MAX + 1);
}
END_TEST

static void
setup(void)
{
	delivery_log_begin(routes);
}

int
main(void)
{
	Suite *suite = suite_create("delivery_hosts");
	TCase *tcase = tcase_create("delivery_hosts");

	tcase_add_checked_fixture(tcase, setup, delivery_log_end);
	tcase_add_loop_test(
	    tcase, lines_are_put_to_the_hosts_of_the_table, 0, NELEM(cases));
	tcase_add_test(
	    tcase, trouble_of_two_ports_is_told_with_the_result_in_order);
	tcase_add_test(tcase,
	    a_new_configuration_is_searched_and_open_attempts_are_forgotten);
	tcase_add_test(
	    tcase, each_of_many_ports_is_found_and_too_many_are_not_blamed);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
