/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/route.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE ROUTE_NONE
#define MANY 20000

static const char *const routes[] = {
	"example.com",	     /* 0 */
	".example.com",	     /* 1 */
	".sub.example.com",  /* 2 */
	"a.sub.example.com", /* 3 */
	".org",		     /* 4 */
	"own.example.net",   /* 5 */
	"[192.0.2.1]",	     /* 6 */
	".example.net",	     /* 7 */
	"intranet",	     /* 8 */
};

static const char *const excluded[] = { "host.example.com", ".example.net",
	"localhost", "host.example.com" };

static const struct {
	const char *domain;
	uint32_t without_all, with_all;
} questions[] = {
	{ "example.com", 0, 0 },
	{ "x.example.com", 1, 1 },
	{ "x.y.example.com", 1, 1 },
	{ "sub.example.com", 1, 1 },
	{ "b.sub.example.com", 2, 2 },
	{ "c.b.sub.example.com", 2, 2 },
	{ "a.sub.example.com", 3, 3 },
	{ "x.a.sub.example.com", 2, 2 },
	{ "xexample.com", NONE, 100 },
	{ "com", NONE, 100 },
	{ "org", NONE, 100 },
	{ "example.org", 4, 4 },
	{ "a.b.c.d.e.f.g.org", 4, 4 },
	{ "org.example", NONE, 100 },
	{ "intranet", 8, 8 },
	{ "x.intranet", NONE, 100 },
	{ "[192.0.2.1]", 6, 6 },
	{ "[192.0.2.2]", NONE, 100 },
	{ "[x.org]", NONE, 100 },
	/* not_routed: exact routes only */
	{ "host.example.com", NONE, NONE },
	{ "x.host.example.com", 1, 1 },
	{ "localhost", NONE, NONE },
	{ "example.net", NONE, 100 },
	{ "x.example.net", NONE, NONE },
	{ "own.example.net", 5, 5 },
	{ "x.own.example.net", NONE, NONE },
	/* what only looks like the name of a route */
	{ ".example.com", NONE, 100 },
	{ ".sub.example.com", 1, 1 },
	{ "ALL", NONE, 100 },
	{ "", NONE, NONE },
	{ ".", NONE, 100 },
	{ "..", NONE, 100 },
	{ "example.com.", NONE, 100 },
	{ "x..example.com", 1, 1 },
};

static struct route_index *
make_index(bool with_all)
{
	struct route_index *index = route_index_create(2);

	for (uint32_t i = 0; i < NELEM(routes); i++)
		ck_assert_uint_eq(route_index_add(index, routes[i], i), NONE);
	if (with_all)
		ck_assert_uint_eq(route_index_add(index, "ALL", 100), NONE);
	for (size_t i = 0; i < NELEM(excluded); i++)
		route_index_exclude(index, excluded[i]);
	return index;
}

/* The domain stands in memory without a zero behind it. */
static uint32_t
ask(const struct route_index *index, const char *domain)
{
	size_t len = strlen(domain);
	char *copy = malloc(len + (len == 0));
	uint32_t route;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, domain, len);
	route = route_find(index, copy, len);
	free(copy);
	return route;
}

START_TEST(exact_comes_before_the_longest_parent_before_all)
{
	struct route_index *index = make_index(false);

	ck_assert_uint_eq(
	    ask(index, questions[_i].domain), questions[_i].without_all);
	route_index_free(&index);
	ck_assert_ptr_null(index);
	index = make_index(true);
	ck_assert_uint_eq(
	    ask(index, questions[_i].domain), questions[_i].with_all);
	route_index_free(&index);
}
END_TEST

START_TEST(a_domain_that_is_there_already_is_named)
{
	struct route_index *index = make_index(true);

	ck_assert_uint_eq(route_index_add(index, "a.sub.example.com", 50), 3);
	ck_assert_uint_eq(route_index_add(index, ".org", 50), 4);
	ck_assert_uint_eq(route_index_add(index, "ALL", 50), 100);
	ck_assert_uint_eq(ask(index, "ALL.example"), 100);
	route_index_free(&index);
}
END_TEST

START_TEST(an_empty_index_finds_nothing)
{
	struct route_index *index = route_index_create(0);

	ck_assert_uint_eq(ask(index, "example.com"), NONE);
	ck_assert_uint_eq(ask(index, ""), NONE);
	route_index_free(&index);
	route_index_free(&index);
}
END_TEST

START_TEST(each_of_many_domains_is_found_and_no_other)
{
	struct route_index *index = route_index_create(MANY);
	char(*names)[24] = calloc(MANY, sizeof(*names));
	char other[32];

	ck_assert_ptr_nonnull(names);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "d%u.example", i);
		ck_assert_uint_eq(route_index_add(index, names[i], i), NONE);
	}
	for (uint32_t i = 0; i < MANY; i++) {
		ck_assert_uint_eq(ask(index, names[i]), i);
		snprintf(other, sizeof(other), "e%u.example", i);
		ck_assert_uint_eq(ask(index, other), NONE);
	}
	route_index_free(&index);
	free(names);
}
END_TEST

START_TEST(a_domain_of_127_labels_is_searched_to_its_end)
{
	struct route_index *index = make_index(false);
	char domain[256];

	for (size_t i = 0; i < 254; i += 2)
		memcpy(domain + i, "a.", 2);
	memcpy(domain + 250, "org", 4);
	ck_assert_uint_eq(ask(index, domain), 4);
	memset(domain, '.', 250);
	ck_assert_uint_eq(ask(index, domain), 4);
	route_index_free(&index);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_route");
	TCase *tcase = tcase_create("route");

	tcase_add_loop_test(tcase,
	    exact_comes_before_the_longest_parent_before_all, 0,
	    (int)NELEM(questions));
	tcase_add_test(tcase, a_domain_that_is_there_already_is_named);
	tcase_add_test(tcase, an_empty_index_finds_nothing);
	tcase_add_test(tcase, each_of_many_domains_is_found_and_no_other);
	tcase_add_test(tcase, a_domain_of_127_labels_is_searched_to_its_end);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
