/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A map server in the test's own process, over a real configuration and a real
 * table, and clients of it. Each failure ends the test.
 */
#ifndef NH_TESTS_UNIT_MAP_CLIENT_H
#define NH_TESTS_UNIT_MAP_CLIENT_H

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/log.h"
#include "milter/snapshot.h"
#include "milter/socketmap_server_limits.h"
#include "tests/unit/scratch.h"

#define PATIENCE_S 20 /* an answer that has not come by then never will */

#define EIGHT(net)                                                             \
	"{ host = \"192.168." net ".1\"; }, { host = \"192.168." net           \
	".2\"; },"                                                             \
	"{ host = \"192.168." net ".3\"; }, { host = \"192.168." net           \
	".4\"; },"                                                             \
	"{ host = \"192.168." net ".5\"; }, { host = \"192.168." net           \
	".6\"; },"                                                             \
	"{ host = \"192.168." net ".7\"; }, { host = \"192.168." net           \
	".8\"; },"
#define BIG_LIST 57 /* 7 * 8 + 1 */

/* A host that does not resolve: the answer shows the recipient's domain, which
   tells one answer from the other. */
#define ROUTES(host)                                                           \
	"routes = ("                                                           \
	"{ domain = \"example.com\"; hosts = ({ host = \"" host "\"; }); },"   \
	"{ domain = \"big.test\"; hosts = (" EIGHT("1") EIGHT("2") EIGHT("3")  \
	    EIGHT("4") EIGHT("5") EIGHT("6")                                   \
		EIGHT("7") "{ host = \"192.168.8.1\"; }); },"                  \
			   "{ domain = \".hold.test\";"                        \
			   "  hosts = ({ host = \"unresolved.example.net\"; "  \
			   "}); });\n"

static struct socketmap_server *server;
static union {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in inet;
} address;
static socklen_t address_len;
static int listen_fd;
static const int little = 8192;

/* A socket to listen on: 127.0.0.1 where inet is set, else in the folder. */
static inline void
make_listener(bool inet)
{
	memset(&address, 0, sizeof(address));
	address_len = inet ? sizeof(address.inet) : sizeof(address.local);
	if (inet) {
		address.inet.sin_family = AF_INET;
		address.inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		address.local.sun_family = AF_UNIX;
		(void)scratch_path("map", address.local.sun_path);
	}
	listen_fd =
	    socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ne(listen_fd, -1);
	/* Little room, so that answers are taken in parts; connections that
	   are accepted inherit it. */
	ck_assert_int_eq(setsockopt(listen_fd, SOL_SOCKET, SO_SNDBUF, &little,
			     sizeof(little)),
	    0);
	ck_assert_int_eq(bind(listen_fd, &address.any, address_len), 0);
	ck_assert_int_eq(listen(listen_fd, 256), 0);
	ck_assert_int_eq(getsockname(listen_fd, &address.any, &address_len), 0);
}

static inline void
start_on(bool inet, const struct socketmap_limits *limits)
{
	struct config *config;
	struct err err = { "" };

	(void)signal(SIGPIPE, SIG_IGN);
	scratch_begin();
	scratch_open_log(CONFIG_LOG_DEBUG);
	config = scratch_config(ROUTES("192.168.1.10"));
	if (snapshot_adopt(config, &err) == -1)
		ck_abort_msg("%s", err.text);
	make_listener(inet);
	if (socketmap_server_start_with(listen_fd, limits, &server, &err) == -1)
		ck_abort_msg("%s", err.text);
}

static inline void
start(const struct socketmap_limits *limits)
{
	start_on(false, limits);
}

static inline void
stop(void)
{
	socketmap_server_stop(&server);
	ck_assert_ptr_null(server);
	(void)close(listen_fd);
	snapshot_end();
	scratch_end();
}

static inline int
make_client(void)
{
	const struct timeval patience = { PATIENCE_S, 0 };
	int fd = socket(address.any.sa_family, SOCK_STREAM, 0);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			     sizeof(patience)),
	    0);
	return fd;
}

static inline void
connect_client(int fd)
{
	ck_assert_int_eq(connect(fd, &address.any, address_len), 0);
}

static inline int
new_client(void)
{
	int fd = make_client();

	connect_client(fd);
	return fd;
}

static inline void
put(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		ck_assert_int_gt(n, 0);
		bytes += n;
		len -= (size_t)n;
	}
}

static inline size_t
make_request(const char *key, char *out, size_t size)
{
	int n = snprintf(out, size, "%zu:transport %s,",
	    strlen("transport ") + strlen(key), key);

	ck_assert_int_lt(n, (int)size);
	return (size_t)n;
}

static inline void
put_request(int fd, const char *key)
{
	char bytes[512];

	put(fd, bytes, make_request(key, bytes, sizeof(bytes)));
}

/* One netstring's content; NULL when the server has closed. */
static inline const char *
get_answer(int fd)
{
	static char text[32 * 1024];
	size_t len = 0, want;
	char digit;

	for (want = 0;; want = want * 10 + (size_t)(digit - '0')) {
		ssize_t n = read(fd, &digit, 1);

		if (n == 0 || (n == -1 && errno == ECONNRESET))
			return NULL;
		ck_assert_int_eq((int)n, 1);
		if (digit == ':')
			break;
		ck_assert_int_ge(digit, '0');
		ck_assert_int_le(digit, '9');
	}
	ck_assert_uint_lt(want + 1, sizeof(text));
	for (want++; len < want;) {
		ssize_t n = read(fd, text + len, want - len);

		ck_assert_int_gt((int)n, 0);
		len += (size_t)n;
	}
	ck_assert_int_eq(text[len - 1], ',');
	text[len - 1] = '\0';
	return text;
}

static inline void
expect_answer(int fd, const char *want)
{
	const char *got = get_answer(fd);

	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got, want);
}

static inline void
ask(int fd)
{
	put_request(fd, "user@example.com");
	expect_answer(fd, "OK nexthop:[192.168.1.10]:25");
}

/* Waits for the end of the connection, whatever is said before it. */
static inline void
expect_closed(int fd)
{
	char rest[4096];
	ssize_t n;

	while ((n = read(fd, rest, sizeof(rest))) > 0)
		;
	if (n == -1)
		ck_assert_int_eq(errno, ECONNRESET);
	(void)close(fd);
}

static inline bool
is_open(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == -1 && errno == EAGAIN;
}

#endif
