/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
/* Long lists of routes, which are parsed piece by piece: nothing shows it. */
#include "policy/config.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "policy/route.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define ROUTES	   500 /* several pieces */
#define ODD	   300 /* the one that a test writes itself */
#define FIRST_LINE 3   /* of the routes; each has a line */
#define ODD_LINE   (FIRST_LINE + ODD)
#define ODD_ROUTE  "{ domain = \"odd.test\"; hosts = ( \"10.0.0.9\" ); }"

/* What stands in the place of a route, without its comma. */
struct odd {
	int at; /* counted from 0 */
	const char *text;
};

/* A file with one or two odd routes (the second one's text may be NULL); behind
   the list stands rest, on line FIRST_LINE + ROUTES + 1 and following. */
static void
write_list(
    const struct odd odd[2], const char *rest, char path[SCRATCH_PATH_MAX])
{
	FILE *file;

	scratch_begin();
	file = fopen(scratch_path("conf", path), "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "transport = \"nexthop\";\nroutes = (\n");
	for (int i = 0; i < ROUTES; i++) {
		const char *comma = i < ROUTES - 1 ? "," : "";

		if (i == odd[0].at)
			fprintf(file, "%s%s\n", odd[0].text, comma);
		else if (i == odd[1].at && odd[1].text != NULL)
			fprintf(file, "%s%s\n", odd[1].text, comma);
		else
			fprintf(file,
			    "{ domain = \"d%d.test\"; hosts = ( \"10.0.%d.1\", "
			    "\"10.0.%d.2\" ); }%s\n",
			    i, i % 7, i % 7, comma);
	}
	fprintf(file, ");\n%s", rest);
	ck_assert_int_eq(fclose(file), 0);
}

/* A file whose route ODD is odd. */
static const char *
write_long(const char *odd, const char *rest, char path[SCRATCH_PATH_MAX])
{
	const struct odd list[2] = { { ODD, odd } };

	write_list(list, rest, path);
	return path;
}

static uint32_t
route_of(const struct config *config, const char *domain)
{
	return route_find(config->index, domain, strlen(domain));
}

static struct config *
load_good(const char *path)
{
	struct config_problems problems;
	struct config *config;

	if (config_load(path, &config, &problems) == -1)
		ck_abort_msg("%s", problems.list[0].text);
	if (problems.n > 0)
		ck_abort_msg("%s", problems.list[0].text);
	config_problems_free(&problems);
	return config;
}

/* -- good ones ------------------------------------------------------------ */

/* Written instead of the odd route: each time there is a route of odd.test, and
   ROUTES in all. */
static const char *const odd_routes[] = {
	ODD_ROUTE,
	/* what looks like brackets and commas and is none */
	"/* }, { ( */ " ODD_ROUTE " # ), (\n",
	"// ), }, {\n" ODD_ROUTE,
	"{ domain = \"odd.test\"; /* \" */ hosts = ( { host = \"10.0.0.9\"; "
	"port = 26, } ) /* } */ }",
	"{ hosts = [ \"10.0.0.9\" ]; domain = \"odd.test\" }",
	"{ domain : \"odd.\" /* , */ \"test\", hosts : (\"10.0.0.9\")}",
	/* a number that is written anew, and an empty line */
	"\n\n{ domain = \"odd.test\"; hosts = ( { host = \"10.0.0.9\"; "
	"port = 0x19; } ); }\n",
};

START_TEST(every_route_of_a_long_list_is_there)
{
	char path[SCRATCH_PATH_MAX], domain[32];
	struct config *config =
	    load_good(write_long(odd_routes[_i], "user = \"nobody\";\n", path));

	ck_assert_uint_eq(config->n_routes, ROUTES);
	ck_assert_uint_eq(config->n_sets, 8);
	ck_assert_uint_eq(config->n_hosts, 15);
	ck_assert_str_eq(config->user, "nobody");
	for (uint32_t i = 0; i < ROUTES; i++) {
		(void)snprintf(domain, sizeof(domain), "d%u.test", i);
		if (i == ODD)
			(void)snprintf(domain, sizeof(domain), "odd.test");
		ck_assert_uint_eq(route_of(config, domain), i);
		ck_assert_str_eq(config->routes[i].domain, domain);
		if (i != ODD)
			ck_assert_uint_eq(
			    config->routes[i].set, config->routes[i % 7].set);
	}
	config_free(&config);
	scratch_end();
}
END_TEST

START_TEST(an_included_file_may_hold_the_middle_of_a_list)
{
	char path[SCRATCH_PATH_MAX];
	struct config *config;

	write_long("\n@include \"odd\"\n", "", path);
	scratch_write("odd", ODD_ROUTE);
	config = load_good(path);
	ck_assert_uint_eq(config->n_routes, ROUTES);
	ck_assert_uint_eq(route_of(config, "odd.test"), ODD);
	config_free(&config);
	scratch_end();
}
END_TEST

START_TEST(pools_may_stand_behind_a_long_list)
{
	char path[SCRATCH_PATH_MAX];
	struct config *config =
	    load_good(write_long("{ domain = \"odd.test\"; pool = \"p\"; }",
		"pools = ( { name = \"p\"; hosts = ( \"10.0.0.9\" ); } );\n"
		"not_routed = [ \"mta.test\" ];\n",
		path));
	uint32_t odd = route_of(config, "odd.test");

	ck_assert_uint_eq(odd, ODD);
	ck_assert_uint_eq(config->sets[config->routes[odd].set].n_members, 1);
	config_free(&config);
	scratch_end();
}
END_TEST

/* -- bad ones ------------------------------------------------------------- */

#define AFTER (FIRST_LINE + ROUTES + 1)

static const struct {
	const char *odd, *rest;
	unsigned line; /* of the first error */
	unsigned n;    /* errors in all */
	const char *piece;
} bad[] = {
	{ "{ domain = \"d2.test\"; hosts = ( \"10.0.0.1\" ); }", "", ODD_LINE,
	    1, "has a route already (" },
	{ "{ domain = \"odd.test\"; hosts = ( \"10.0.0.300\" ); }", "",
	    ODD_LINE, 1, "hosts.host: \"10.0.0.300\"" },
	{ "\n{ domain = \"odd.test\"; hosts = ();\ncolour = 1; }", "",
	    ODD_LINE + 1, 2, "routes.hosts: 0 hosts" },
	{ "\"odd.test\"", "", ODD_LINE, 1, "routes: \"odd.test\"; a group" },
	{ ODD_ROUTE, "colour = 1;\n", AFTER, 1, "colour is no option" },
	{ "{ domain = \"odd.test\"; pool = \"p\"; }", "colour = 1;\n", ODD_LINE,
	    2, "there is no pool \"p\"" },
	/* no syntax: stands alone */
	{ "{ domain = ; }", "colour = 1;\n", ODD_LINE, 1, "syntax error" },
	{ "{ colour = 1;\n domain = ; }", "", ODD_LINE + 1, 1, "syntax error" },
	{ "{ domain = \"a\"; domain = \"b\"; }", "", ODD_LINE, 1,
	    "duplicate setting name" },
	{ ODD_ROUTE ODD_ROUTE, "", ODD_LINE, 1, "syntax error" },
	{ ODD_ROUTE ",", "", ODD_LINE, 1, "syntax error" },
	{ ODD_ROUTE " )", "", ODD_LINE + 1, 1, "syntax error" },
	{ ODD_ROUTE " }", "", ODD_LINE, 1, "syntax error" },
	{ "{ domain = \"odd.test\"", "", ODD_LINE + 1, 1, "syntax error" },
	{ "{ hosts = ( [ ) ] }", "", ODD_LINE, 1, "syntax error" },
	{ "{ domain = \"odd.test; }", "", AFTER - 2, 1,
	    "a string that begins here never ends" },
	{ ODD_ROUTE, "user = ;\n", AFTER, 1, "syntax error" },
	{ ODD_ROUTE, "routes = ();\n", AFTER, 1, "duplicate setting name" },
};

static void
must_be_refused(
    const char *path, unsigned line, unsigned n_errors, const char *piece)
{
	char place[SCRATCH_PATH_MAX + 16];
	struct config_problems problems;
	struct config *config;

	ck_assert_int_eq(config_load(path, &config, &problems), -1);
	ck_assert_ptr_null(config);
	(void)snprintf(place, sizeof(place), "%s:%u: ", path, line);
	if (problems.n_errors != n_errors ||
	    strncmp(problems.list[0].text, place, strlen(place)) != 0 ||
	    strstr(problems.list[0].text, piece) == NULL)
		ck_abort_msg("%zu errors, the first is %s", problems.n_errors,
		    problems.list[0].text);
	config_problems_free(&problems);
}

START_TEST(what_is_wrong_in_a_long_list_is_told_with_its_line)
{
	char path[SCRATCH_PATH_MAX];

	write_long(bad[_i].odd, bad[_i].rest, path);
	must_be_refused(path, bad[_i].line, bad[_i].n, bad[_i].piece);
	scratch_end();
}
END_TEST

START_TEST(a_syntax_error_stands_alone_whatever_was_wrong_before_it)
{
	static const struct odd odd[2] = { { 10,
					       "{ domain = \"d2.test\"; hosts "
					       "= ( \"10.0.0.1\" ); }" },
		{ ODD, "{ domain = ; }" } };
	char path[SCRATCH_PATH_MAX];

	write_list(odd, "", path);
	must_be_refused(path, ODD_LINE, 1, "syntax error");
	scratch_end();
}
END_TEST

/* Wherever the list is cut. */
START_TEST(two_commas_are_told_where_they_are)
{
	const struct odd odd[2] = { { _i, ODD_ROUTE "," } };
	char path[SCRATCH_PATH_MAX];

	write_list(odd, "", path);
	must_be_refused(path, FIRST_LINE + (unsigned)_i, 1, "syntax error");
	scratch_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_config_pieces");
	TCase *good = tcase_create("good"), *wrong = tcase_create("bad");

	tcase_add_loop_test(good, every_route_of_a_long_list_is_there, 0,
	    (int)NELEM(odd_routes));
	tcase_add_test(good, an_included_file_may_hold_the_middle_of_a_list);
	tcase_add_test(good, pools_may_stand_behind_a_long_list);
	tcase_add_loop_test(wrong,
	    what_is_wrong_in_a_long_list_is_told_with_its_line, 0,
	    (int)NELEM(bad));
	tcase_add_test(
	    wrong, a_syntax_error_stands_alone_whatever_was_wrong_before_it);
	tcase_add_loop_test(wrong, two_commas_are_told_where_they_are, 60, 68);
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, wrong);
	return suite_run(suite);
}
