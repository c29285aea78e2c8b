/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/host.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_63                                                               \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"
#define NAME_253                                                               \
	LABEL_63 "." LABEL_63 "." LABEL_63 "."                                 \
		 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"          \
		 "fffffffffff"

static const struct {
	const char *text;
	enum host_kind kind;
	const char *formatted, *plain;
} good[] = {
	{ "192.168.1.10", HOST_IPV4, "[192.168.1.10]:2500",
	    "192.168.1.10:2500" },
	{ "[192.168.1.10]", HOST_IPV4, "[192.168.1.10]:2500",
	    "192.168.1.10:2500" },
	{ "192.168.1.10:25", HOST_IPV4, "[192.168.1.10]:25",
	    "192.168.1.10:25" },
	{ "[192.168.1.10]:65535", HOST_IPV4, "[192.168.1.10]:65535",
	    "192.168.1.10:65535" },
	{ "::1", HOST_IPV6, "[::1]:2500", "[::1]:2500" },
	{ "[::1]:1", HOST_IPV6, "[::1]:1", "[::1]:1" },
	{ "[IPv6:2001:db8::1]", HOST_IPV6, "[2001:db8::1]:2500",
	    "[2001:db8::1]:2500" },
	{ "[ipv6:2001:db8::1]:26", HOST_IPV6, "[2001:db8::1]:26",
	    "[2001:db8::1]:26" },
	{ "2001:0DB8:0:0:0:0:0:0001", HOST_IPV6, "[2001:db8::1]:2500",
	    "[2001:db8::1]:2500" },
	{ "MX.Example.NET.", HOST_NAME, "[mx.example.net]:2500",
	    "mx.example.net:2500" },
	{ "[mx.example.net]:26", HOST_NAME, "[mx.example.net]:26",
	    "mx.example.net:26" },
	{ "mailhost", HOST_NAME, "[mailhost]:2500", "mailhost:2500" },
	{ "my_host.example", HOST_NAME, "[my_host.example]:2500",
	    "my_host.example:2500" },
	{ "1and1.example", HOST_NAME, "[1and1.example]:2500",
	    "1and1.example:2500" },
	{ "127.0.0.1.example", HOST_NAME, "[127.0.0.1.example]:2500",
	    "127.0.0.1.example:2500" },
	{ NAME_253, HOST_NAME, "[" NAME_253 "]:2500", NAME_253 ":2500" },
	{ NAME_253 ".", HOST_NAME, "[" NAME_253 "]:2500", NAME_253 ":2500" },
};

static const struct {
	const char *text, *why;
} bad[] = {
	{ "", "names no host" },
	{ "[]", "names no host" },
	{ "[]:25", "names no host" },
	{ ":25", "names no host" },
	{ "[IPv6:]", "names no host" },
	{ ",", "neither" },
	{ "a b", "neither" },
	{ " a", "neither" },
	{ "1.2.3.4,5.6.7.8", "neither" },
	{ "a..b", "neither" },
	{ ".a", "neither" },
	{ ".", "neither" },
	{ "a-.example", "neither" },
	{ "-a.example", "neither" },
	{ "a" LABEL_63 ".example", "neither" },
	{ "b\xc3\xbc"
	  "cher.example",
	    "\\xc3" },
	{ "a\r\nRCPT", "\\x0d\\x0a" },
	{ "a%b", "zone" },
	{ "a;b", "neither" },
	{ "a@b", "neither" },
	{ "]", "neither" },
	{ "smtp:[1.2.3.4]:25", "neither" },
	{ "[1.2.3.4", "no closing bracket" },
	{ "[1.2.3.4]25", "more than a port" },
	{ "[1.2.3.4]x", "more than a port" },
	{ "[1.2.3.4]]", "more than a port" },
	{ "[[1.2.3.4]]", "more than a port" },
	{ "[1.2.3.4:25]", "neither" },
	{ "1.2.3.4]", "neither" },
	{ "[1.2.3.4]:", "has a port" },
	{ "1.2.3.4:", "has a port" },
	{ "1.2.3.4:0", "has a port" },
	{ "1.2.3.4:025", "has a port" },
	{ "1.2.3.4:-1", "has a port" },
	{ "1.2.3.4:+25", "has a port" },
	{ "1.2.3.4: 25", "has a port" },
	{ "1.2.3.4:65536", "has a port" },
	{ "1.2.3.4:99999", "has a port" },
	{ "1.2.3.4:429496732125", "has a port" },
	{ "1.2.3.4:smtp", "has a port" },
	{ "1.2.3.4:25,5.6.7.8", "has a port" },
	{ "1.2.3", "ends in a number" },
	{ "300.1.1.1", "ends in a number" },
	{ "010.1.1.1", "ends in a number" },
	{ "1.2.3.4.5", "ends in a number" },
	{ "3232235786", "ends in a number" },
	{ "0x7f000001", "ends in a number" },
	{ "1.2.3.0X4", "ends in a number" },
	{ "0.0.0.0", "unspecified" },
	{ "0.1.2.3", "unspecified" },
	{ "::", "unspecified" },
	{ "224.0.0.1", "multicast" },
	{ "239.255.255.255", "multicast" },
	{ "255.255.255.255", "broadcast" },
	{ "ff02::1", "multicast" },
	{ "::ffff:1.2.3.4", "IPv6 clothes" },
	{ "fe80::1%eth0", "zone" },
	{ "fe80::1", "link-local" },
	{ "[IPv6:1.2.3.4]", "no IPv6 address" },
	{ "[IPv6:mx.example]", "no IPv6 address" },
	{ "1:2", "ends in a number" },
	{ "::1:", "neither" },
	{ "2001:db8::1::2", "neither" },
	{ "a" NAME_253, "too long for a host name" },
	{ NAME_253 NAME_253, "is too long" },
	{ "[" NAME_253 NAME_253 "]", "is too long" },
};

START_TEST(a_host_has_one_spelling)
{
	char text[HOST_TEXT_MAX];
	struct host host, again;
	struct err err = { "" };

	ck_assert_msg(
	    host_parse(good[_i].text, 2500, &host, &err) == 0, "%s", err.text);
	ck_assert_int_eq(host.kind, good[_i].kind);
	ck_assert_uint_eq(host_format(&host, text), strlen(text));
	ck_assert_str_eq(text, good[_i].formatted);
	/* What is formatted can be read again, and is the same host. */
	ck_assert_int_eq(host_parse(text, 0, &again, &err), 0);
	ck_assert(host_equal(&host, &again));
	ck_assert_uint_eq(host_format_plain(&host, text), strlen(text));
	ck_assert_str_eq(text, good[_i].plain);
}
END_TEST

START_TEST(what_is_no_host_is_refused_in_words)
{
	struct host host;
	struct err err = { "" };

	ck_assert_msg(host_parse(bad[_i].text, 25, &host, &err) == -1, "%s",
	    bad[_i].text);
	ck_assert_msg(strstr(err.text, bad[_i].why) != NULL, "%s", err.text);
	for (const char *c = err.text; *c != '\0'; c++)
		ck_assert(*c >= ' ' && *c < 0x7f);
	/* The words may be left out. */
	ck_assert_int_eq(host_parse(bad[_i].text, 25, &host, NULL), -1);
}
END_TEST

START_TEST(a_port_that_is_not_named_is_25_or_what_the_caller_says)
{
	struct host host;

	ck_assert_int_eq(host_parse("192.168.1.10", 0, &host, NULL), 0);
	ck_assert_uint_eq(host.port, 25);
	ck_assert_int_eq(host_parse("192.168.1.10", 2525, &host, NULL), 0);
	ck_assert_uint_eq(host.port, 2525);
	ck_assert_int_eq(host_parse("192.168.1.10:26", 2525, &host, NULL), 0);
	ck_assert_uint_eq(host.port, 26);
}
END_TEST

START_TEST(hosts_differ_by_name_or_port_and_not_by_spelling)
{
	struct host a, b;

	ck_assert_int_eq(host_parse("[2001:db8::1]:25", 0, &a, NULL), 0);
	ck_assert_int_eq(host_parse("2001:DB8:0::1", 0, &b, NULL), 0);
	ck_assert(host_equal(&a, &b));
	ck_assert_int_eq(host_parse("2001:db8::2", 0, &b, NULL), 0);
	ck_assert(!host_equal(&a, &b));
	ck_assert_int_eq(host_parse("[2001:db8::1]:26", 0, &b, NULL), 0);
	ck_assert(!host_equal(&a, &b));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_host");
	TCase *tcase = tcase_create("host");

	tcase_add_loop_test(
	    tcase, a_host_has_one_spelling, 0, (int)NELEM(good));
	tcase_add_loop_test(
	    tcase, what_is_no_host_is_refused_in_words, 0, (int)NELEM(bad));
	tcase_add_test(
	    tcase, a_port_that_is_not_named_is_25_or_what_the_caller_says);
	tcase_add_test(tcase, hosts_differ_by_name_or_port_and_not_by_spelling);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
