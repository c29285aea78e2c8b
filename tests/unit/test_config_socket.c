/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/config.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PATH_107                                                               \
	"/234567890123456789012345678901234567890123456789012345678901234567"  \
	"8901234567890123456789012345678901234567"

static const struct {
	const char *text, *path, *host; /* both NULL: refused */
} sockets[] = {
	{ "unix:/run/x", "/run/x", NULL },
	{ "local:/run/x", "/run/x", NULL },
	{ "unix:" PATH_107, PATH_107, NULL },
	{ "inet:8890@127.0.0.1", NULL, "[127.0.0.1]:8890" },
	{ "inet:1@127.255.0.9", NULL, "[127.255.0.9]:1" },
	{ "inet:65535@[127.0.0.1]", NULL, "[127.0.0.1]:65535" },
	{ "inet:8890@::1", NULL, "[::1]:8890" },
	{ "inet:8890@[0:0::1]", NULL, "[::1]:8890" },
	{ "inet:8890@localhost", NULL, "[127.0.0.1]:8890" },
	{ "unix:" PATH_107 "8", NULL, NULL },
	{ "unix:run/x", NULL, NULL },
	{ "unix:", NULL, NULL },
	{ "unix:/", NULL, NULL },
	{ "unix:/run/", NULL, NULL },
	{ "UNIX:/run/x", NULL, NULL },
	{ "/run/x", NULL, NULL },
	{ "", NULL, NULL },
	{ ":", NULL, NULL },
	{ "inet:8890", NULL, NULL },
	{ "inet:@127.0.0.1", NULL, NULL },
	{ "inet:0@127.0.0.1", NULL, NULL },
	{ "inet:65536@127.0.0.1", NULL, NULL },
	{ "inet:123456@127.0.0.1", NULL, NULL },
	{ "inet:-1@127.0.0.1", NULL, NULL },
	{ "inet:25@", NULL, NULL },
	{ "inet:25@[]", NULL, NULL },
	{ "inet:25@128.0.0.1", NULL, NULL },
	{ "inet:25@0.0.0.0", NULL, NULL },
	{ "inet:25@192.0.2.1", NULL, NULL },
	{ "inet:25@::", NULL, NULL },
	{ "inet:25@::ffff:127.0.0.1", NULL, NULL },
	{ "inet:25@127.0.0.1:26", NULL, NULL },
	{ "inet:25@[::1]:26", NULL, NULL },
	{ "inet:25@mx.example.net", NULL, NULL },
	{ "inet:25@localhosts", NULL, NULL },
	{ "inet:25@local", NULL, NULL },
	{ "inet6:25@::1", NULL, NULL },
};

START_TEST(a_socket_is_an_absolute_path_or_a_loopback_port)
{
	struct err err = { "" };
	struct config_socket parsed;
	char text[HOST_TEXT_MAX];
	int result = config_socket_parse(sockets[_i].text, &parsed, &err);

	if (sockets[_i].path == NULL && sockets[_i].host == NULL) {
		ck_assert_int_eq(result, -1);
		ck_assert_ptr_nonnull(strstr(err.text, "was expected"));
		return;
	}
	ck_assert_msg(result == 0, "%s", err.text);
	ck_assert_int_eq(parsed.is_unix, sockets[_i].path != NULL);
	if (parsed.is_unix) {
		ck_assert_str_eq(parsed.path, sockets[_i].path);
		return;
	}
	host_format(&parsed.host, text);
	ck_assert_str_eq(text, sockets[_i].host);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_config_socket");
	TCase *tcase = tcase_create("sockets");

	tcase_add_loop_test(tcase,
	    a_socket_is_an_absolute_path_or_a_loopback_port, 0,
	    (int)NELEM(sockets));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
