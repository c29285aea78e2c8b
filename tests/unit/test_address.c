/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/address.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text, *local, *domain;
} good[] = {
	{ "user@example.com", "user", "example.com" },
	{ "User+Ext@EXAMPLE.Com", "User+Ext", "example.com" },
	{ "<user@example.com>", "user", "example.com" },
	{ "user@example.com.", "user", "example.com" },
	{ "\"a b\"@example.com", "a b", "example.com" },
	{ "a b@example.com", "a b", "example.com" },
	{ "\"a@b\"@example.com", "a@b", "example.com" },
	{ "a@b@example.com", "a@b", "example.com" },
	{ "\"a\\\"b\\\\c\"@example.com", "a\"b\\c", "example.com" },
	{ "a\\@b@example.com", "a@b", "example.com" },
	{ "\"a\".b.\"c\"@example.com", "a.b.c", "example.com" },
	{ "\"\"@example.com", "", "example.com" },
	{ "@example.com", "", "example.com" },
	{ "x@[127.0.0.1]", "x", "[127.0.0.1]" },
	{ "x@[IPv6:2001:DB8::1]", "x", "[ipv6:2001:db8::1]" },
	{ "x@[a@b]", "x", "[a@b]" },
	{ "a[b@example.com", "a[b", "example.com" },
	{ "<@a.example,@b.example:user@example.com>", "user", "example.com" },
	{ "@a:\"x:y\"@example.com", "x:y", "example.com" },
	{ "@[IPv6:::1]:user@example.com", "user", "example.com" },
	{ "@[IPv6:::1]", "", "[ipv6:::1]" },
	{ "u%x@example.com", "u%x", "example.com" },
	{ "a:b@example.com", "a:b", "example.com" },
	{ "gr\xc3\xbc\xc3\x9f@b\xc3\xbc"
	  "cher.example",
	    "gr\xc3\xbc\xc3\x9f",
	    "b\xc3\xbc"
	    "cher.example" },
	{ "u@b\xc3\x9c"
	  "CHER.example",
	    "u",
	    "b\xc3\x9c"
	    "cher.example" },
	{ "user@localhost", "user", "localhost" },
};

static const struct {
	const char *text;
	size_t len; /* 0: up to the final zero */
} bad[] = {
	{ "", 0 },
	{ "<>", 0 },
	{ "user", 0 },
	{ "*", 0 },
	{ "user@", 0 },
	{ "user@.", 0 },
	{ "user@example.com..", 0 },
	{ "\"user@example.com", 0 },
	{ "\"user@example.com\"", 0 },
	{ "\"user\\\"@example.com", 0 },
	{ "user\\@example.com", 0 },
	{ "user@example.com\\", 0 },
	{ "user@[127.0.0.1", 0 },
	{ "us\0er@example.com", 17 },
	{ "user@example.com\0", 17 },
	{ "@a,@b:", 0 },
	{ "@a:user", 0 },
};

START_TEST(an_address_gives_local_part_and_domain)
{
	struct address address;

	ck_assert_msg(
	    address_parse(good[_i].text, strlen(good[_i].text), &address), "%s",
	    good[_i].text);
	ck_assert_str_eq(address.local, good[_i].local);
	ck_assert_str_eq(address.domain, good[_i].domain);
	ck_assert_uint_eq(address.local_len, strlen(good[_i].local));
	ck_assert_uint_eq(address.domain_len, strlen(good[_i].domain));
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	size_t len = bad[_i].len != 0 ? bad[_i].len : strlen(bad[_i].text);
	struct address address;

	ck_assert_msg(
	    !address_parse(bad[_i].text, len, &address), "%s", bad[_i].text);
}
END_TEST

/* Exactly as long as the text, so that a sanitizer sees a read beyond it. */
static bool
parse_copy(size_t local, size_t domain)
{
	size_t len = local + 1 + domain;
	char *text = malloc(len);
	struct address address;
	bool result;

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', len);
	text[local] = '@';
	result = address_parse(text, len, &address);
	free(text);
	return result;
}

START_TEST(the_longest_domain_fits_and_one_byte_more_does_not)
{
	ck_assert(parse_copy(511, 255));
	ck_assert(!parse_copy(511, 256));
	ck_assert(!parse_copy(10, 100000));
}
END_TEST

START_TEST(a_local_part_beyond_measure_is_cut)
{
	ck_assert(parse_copy(512, 255));
	ck_assert(parse_copy(100000, 10));
}
END_TEST

START_TEST(no_cut_of_an_address_reads_beyond_its_end)
{
	static const char text[] = "<@a,@[b]:\"q\\\"@x\"\\@y@[IPv6:::1].>";
	struct address address;
	char *copy;

	for (size_t from = 0; from < sizeof(text) - 1; from++) {
		for (size_t len = 1; len < sizeof(text) - from; len++) {
			copy = malloc(len);
			ck_assert_ptr_nonnull(copy);
			memcpy(copy, text + from, len);
			if (address_parse(copy, len, &address))
				ck_assert_uint_gt(address.domain_len, 0);
			free(copy);
		}
	}
}
END_TEST

START_TEST(a_domain_gets_one_spelling)
{
	char domain[ADDRESS_DOMAIN_MAX];

	ck_assert(address_domain("EXAMPLE.com.", 12, domain));
	ck_assert_str_eq(domain, "example.com");
	ck_assert(address_domain(".Example.ORG", 12, domain));
	ck_assert_str_eq(domain, ".example.org");
	ck_assert(address_domain("[1.2.3.4]", 9, domain));
	ck_assert_str_eq(domain, "[1.2.3.4]");
	ck_assert(!address_domain("", 0, domain));
	ck_assert(!address_domain(".", 1, domain));
	ck_assert(!address_domain("a..", 3, domain));
	ck_assert(!address_domain("[1.2.3.4", 8, domain));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_address");
	TCase *tcase = tcase_create("address");

	tcase_add_loop_test(
	    tcase, an_address_gives_local_part_and_domain, 0, (int)NELEM(good));
	tcase_add_loop_test(
	    tcase, what_is_no_address_is_refused, 0, (int)NELEM(bad));
	tcase_add_test(
	    tcase, the_longest_domain_fits_and_one_byte_more_does_not);
	tcase_add_test(tcase, a_local_part_beyond_measure_is_cut);
	tcase_add_test(tcase, no_cut_of_an_address_reads_beyond_its_end);
	tcase_add_test(tcase, a_domain_gets_one_spelling);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
