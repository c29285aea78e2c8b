/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "milter/endpoint.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"

static const struct {
	const char *text;
	int family; /* AF_UNSPEC: it is no address */
	socklen_t len;
	const char *spelling;
} rows[] = {
	{ "192.168.1.10", AF_INET, sizeof(struct sockaddr_in), "192.168.1.10" },
	{ "2001:DB8:0::7", AF_INET6, sizeof(struct sockaddr_in6),
	    "2001:db8::7" },
	{ "::1", AF_INET6, sizeof(struct sockaddr_in6), "::1" },
	{ "", AF_UNSPEC, 0, NULL },
	{ "localhost", AF_UNSPEC, 0, NULL },
	{ "[::1]", AF_UNSPEC, 0, NULL },
	{ "1.2.3", AF_UNSPEC, 0, NULL },
	{ "1.2.3.4:25", AF_UNSPEC, 0, NULL },
};

START_TEST(an_address_is_read_and_spelled)
{
	char text[ENDPOINT_TEXT_MAX], spelled[INET6_ADDRSTRLEN];
	struct endpoint endpoint;
	struct sockaddr_storage address;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (rows[_i].family == AF_UNSPEC) {
		ck_assert_int_eq(
		    endpoint_parse(rows[_i].text, 2525, &endpoint), -1);
		return;
	}
	ck_assert_int_eq(endpoint_parse(rows[_i].text, 2525, &endpoint), 0);
	ck_assert_str_eq(endpoint_text(&endpoint, text), rows[_i].spelling);
	ck_assert_uint_eq(endpoint_sockaddr(&endpoint, &address), rows[_i].len);
	ck_assert_int_eq(address.ss_family, rows[_i].family);
	memcpy(&v4, &address, sizeof(v4));
	memcpy(&v6, &address, sizeof(v6));
	ck_assert_uint_eq(
	    ntohs(rows[_i].family == AF_INET ? v4.sin_port : v6.sin6_port),
	    2525);
	ck_assert_ptr_nonnull(inet_ntop(rows[_i].family,
	    rows[_i].family == AF_INET ? (void *)&v4.sin_addr
				       : (void *)&v6.sin6_addr,
	    spelled, sizeof(spelled)));
	ck_assert_str_eq(spelled, rows[_i].spelling);
}
END_TEST

static const struct {
	int family;
	const char *bound; /* NULL: not bound */
	const char *shown; /* "-": it has no address */
} locals[] = {
	{ AF_INET, "127.0.0.9", "127.0.0.9" },
	{ AF_INET, "0.0.0.0", "-" },
	{ AF_INET, NULL, "-" },
	{ AF_INET6, "::", "-" },
	{ AF_INET6, "::1", "::1" },
	{ AF_UNIX, NULL, "-" },
};

START_TEST(a_socket_tells_its_own_address_when_it_has_one)
{
	char text[ENDPOINT_TEXT_MAX];
	struct sockaddr_storage address;
	struct endpoint endpoint;
	socklen_t len;
	int fd = socket(locals[_i].family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return; /* a machine without IPv6 */
	if (locals[_i].bound != NULL) {
		ck_assert_int_eq(
		    endpoint_parse(locals[_i].bound, 0, &endpoint), 0);
		len = endpoint_sockaddr(&endpoint, &address);
		if (bind(fd, (struct sockaddr *)&address, len) == -1) {
			ck_assert_int_eq(locals[_i].family, AF_INET6);
			(void)close(fd);
			return;
		}
	}
	ck_assert(endpoint_local_text(fd, text) ==
		  (strcmp(locals[_i].shown, "-") != 0));
	ck_assert_str_eq(text, locals[_i].shown);
	(void)close(fd);
}
END_TEST

START_TEST(what_is_no_socket_has_no_address)
{
	char text[ENDPOINT_TEXT_MAX];

	ck_assert(!endpoint_local_text(-1, text));
	ck_assert_str_eq(text, "-");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_endpoint");
	TCase *tcase = tcase_create("endpoint");

	tcase_add_loop_test(
	    tcase, an_address_is_read_and_spelled, 0, (int)NELEM(rows));
	tcase_add_loop_test(tcase,
	    a_socket_tells_its_own_address_when_it_has_one, 0,
	    (int)NELEM(locals));
	tcase_add_test(tcase, what_is_no_socket_has_no_address);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
