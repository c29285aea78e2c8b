/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "milter/listener.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/endpoint.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define ROUTE                                                                  \
	"routes = ( { domain = \"a.test\"; hosts = ( \"10.0.0.1\" ); } );\n"

static struct config *config;
static struct listeners listeners;
static struct err err;

static void
begin(const char *more)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%s" ROUTE, more);
	scratch_begin();
	config = scratch_config(text);
}

static void
end(void)
{
	config_free(&config);
	scratch_end();
}

/* Another process's socket of this name. Returns: its descriptor. */
static int
serve(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)scratch_path(name, address.sun_path);
	ck_assert_int_eq(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static bool
is_there(const char *name)
{
	char path[SCRATCH_PATH_MAX];

	return access(scratch_path(name, path), F_OK) == 0;
}

static mode_t
mode_of(const char *name)
{
	char path[SCRATCH_PATH_MAX];
	struct stat status;

	ck_assert_int_eq(stat(scratch_path(name, path), &status), 0);
	ck_assert(S_ISSOCK(status.st_mode));
	return status.st_mode & 0777;
}

/* Wants the opening to fail with these words and to leave nothing. */
static void
must_fail(const char *words)
{
	ck_assert_int_eq(listeners_open(config, &listeners, &err), -1);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	for (int i = 0; i < LISTENER_COUNT; i++)
		ck_assert_int_eq(listeners.socket[i].fd, -1);
	ck_assert(!is_there("milter"));
}

START_TEST(sockets_have_their_modes_and_go_at_the_end)
{
	begin("socket_mode = \"0620\";\n");
	ck_assert_int_eq(listeners_open(config, &listeners, &err), 0);
	ck_assert_uint_eq(mode_of("milter"), 0620);
	ck_assert_uint_eq(mode_of("map"), 0620);
	ck_assert_uint_eq(mode_of("control"), 0600);
	listeners_close(&listeners);
	ck_assert(!is_there("milter") && !is_there("map"));
	ck_assert(!is_there("control"));
	/* Once more does no harm. */
	listeners_close(&listeners);
	end();
}
END_TEST

START_TEST(a_socket_that_a_dead_process_left_is_replaced)
{
	begin("");
	(void)close(serve("map"));
	ck_assert(is_there("map"));
	ck_assert_int_eq(listeners_open(config, &listeners, &err), 0);
	listeners_close(&listeners);
	ck_assert(!is_there("map"));
	end();
}
END_TEST

START_TEST(what_others_use_is_left_to_them)
{
	int fd;

	begin("");
	fd = serve("map");
	must_fail("map: another process serves this socket");
	ck_assert(is_there("map"));
	(void)close(fd);
	end();
}
END_TEST

START_TEST(what_is_no_socket_is_not_removed)
{
	begin("");
	scratch_write("control", "words");
	must_fail("control exists and is no socket");
	ck_assert_int_eq(scratch_count("control", "^words$"), 1);
	ck_assert(!is_there("map"));
	end();
}
END_TEST

START_TEST(a_group_that_is_not_there_is_an_error)
{
	begin("socket_group = \"no-such-group\";\n");
	must_fail("socket_group: no group \"no-such-group\"");
	end();
}
END_TEST

START_TEST(a_successors_socket_is_not_removed)
{
	char path[SCRATCH_PATH_MAX], aside[SCRATCH_PATH_MAX];
	int fd;

	begin("");
	ck_assert_int_eq(listeners_open(config, &listeners, &err), 0);
	/* The old one keeps its number while it has a name. */
	ck_assert_int_eq(
	    rename(scratch_path("map", path), scratch_path("aside", aside)), 0);
	fd = serve("map");
	listeners_close(&listeners);
	ck_assert(is_there("map"));
	ck_assert(!is_there("milter"));
	(void)close(fd);
	end();
}
END_TEST

static const struct {
	const char *host;  /* as the configuration has it */
	const char *bound; /* the address that is listened on */
} addresses[] = {
	{ "127.0.0.1", "127.0.0.1" },
	{ "127.0.0.5", "127.0.0.5" },
	{ "localhost", "127.0.0.1" },
	{ "[::1]", "::1" },
};

/* A port that was free a moment ago; 0: there is no such address here. */
static uint16_t
free_port(const char *address)
{
	struct sockaddr_storage storage;
	struct endpoint endpoint;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	socklen_t len;
	uint16_t port = 0;
	int fd;

	ck_assert_int_eq(endpoint_parse(address, 0, &endpoint), 0);
	len = endpoint_sockaddr(&endpoint, &storage);
	fd = socket(endpoint.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && bind(fd, (struct sockaddr *)&storage, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&storage, &len) == 0) {
		memcpy(&v4, &storage, sizeof(v4));
		memcpy(&v6, &storage, sizeof(v6));
		port = ntohs(
		    endpoint.family == AF_INET ? v4.sin_port : v6.sin6_port);
	}
	if (fd != -1)
		(void)close(fd);
	return port;
}

START_TEST(a_map_may_listen_on_loopback)
{
	char text[512], local[ENDPOINT_TEXT_MAX];
	uint16_t port = free_port(addresses[_i].bound);

	if (port == 0) {
		ck_assert_str_eq(addresses[_i].bound, "::1");
		return;
	}
	begin("");
	free(config->map_socket);
	(void)snprintf(text, sizeof(text), "inet:%u@%s", (unsigned)port,
	    addresses[_i].host);
	config->map_socket = strdup(text);
	ck_assert_int_eq(listeners_open(config, &listeners, &err), 0);
	ck_assert(
	    endpoint_local_text(listeners.socket[LISTENER_MAP].fd, local));
	ck_assert_str_eq(local, addresses[_i].bound);
	listeners_close(&listeners);
	/* An address that is taken is an error in words. */
	ck_assert_int_eq(listeners_open(config, &listeners, &err), 0);
	ck_assert_int_eq(unlink(config->control_socket), 0);
	ck_assert_int_eq(unlink(strchr(config->milter_socket, '/')), 0);
	must_fail("Address already in use");
	end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_listener");
	TCase *tcase = tcase_create("listener");

	tcase_add_test(tcase, sockets_have_their_modes_and_go_at_the_end);
	tcase_add_test(tcase, a_socket_that_a_dead_process_left_is_replaced);
	tcase_add_test(tcase, what_others_use_is_left_to_them);
	tcase_add_test(tcase, what_is_no_socket_is_not_removed);
	tcase_add_test(tcase, a_group_that_is_not_there_is_an_error);
	tcase_add_test(tcase, a_successors_socket_is_not_removed);
	tcase_add_loop_test(
	    tcase, a_map_may_listen_on_loopback, 0, (int)NELEM(addresses));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
