/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A name server of a test's own, on the test's loop, and a resolver's file that
 * names it. Each failure ends the test.
 */
#ifndef NH_TESTS_UNIT_NAME_SERVER_H
#define NH_TESTS_UNIT_NAME_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/scratch.h"

#define NAME_SERVER "127.0.0.1"

struct name_server {
	struct evdns_server_port *port;
	int fd;
};

/*
 * Any free port: libevent takes "nameserver ADDRESS:PORT", so that neither root
 * nor a port 53 that nobody else uses is needed. The file is "resolv.conf" of
 * the scratch folder.
 */
static inline void
name_server_start(struct name_server *server, struct event_base *base,
    evdns_request_callback_fn_type on_question, void *arg)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	char settings[100];

	ck_assert_int_eq(inet_pton(AF_INET, NAME_SERVER, &address.sin_addr), 1);
	server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ne(server->fd, -1);
	ck_assert_int_eq(bind(server->fd, (const struct sockaddr *)&address,
			     sizeof(address)),
	    0);
	ck_assert_int_eq(
	    getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
	server->port = evdns_add_server_port_with_base(
	    base, server->fd, 0, on_question, arg);
	ck_assert_ptr_nonnull(server->port);
	(void)snprintf(settings, sizeof(settings),
	    "nameserver " NAME_SERVER ":%u\nsearch example.test\n",
	    (unsigned)ntohs(address.sin_port));
	scratch_write("resolv.conf", settings);
}

/* The loop has to run once more before it is freed. */
static inline void
name_server_stop(struct name_server *server)
{
	evdns_close_server_port(server->port);
	(void)close(server->fd);
}

#endif
