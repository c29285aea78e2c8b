/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one for each server; script_start and script_stop: the test's. */
#include "tests/unit/smtp_script.h"

#include <check.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_MS 20

const struct script script_healthy = {
	.greeting = "220 server.test ESMTP\r\n",
	.ehlo = "250-server.test\r\n250 HELP\r\n",
	.helo = "250 server.test\r\n",
	.starttls = "502 5.5.1 not now\r\n",
	.mail = "250 2.1.0 Ok\r\n",
	.rcpt = "250 2.1.5 Ok\r\n",
};

struct session {
	struct script_server *server;
	const struct script *script;
	int fd;
	SSL *ssl;
	char line[2048];
	size_t len;
};

/* Waits for the client in small steps, so that a stop is soon seen. */
static bool
wait_readable(const struct script_server *server, int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	while (!atomic_load(&server->stop)) {
		if (poll(&poll_fd, 1, STEP_MS) > 0)
			return true;
	}
	return false;
}

static bool
put(struct session *session, const char *bytes, size_t len)
{
	while (len > 0 && !atomic_load(&session->server->stop)) {
		struct pollfd poll_fd = { .fd = session->fd,
			.events = POLLOUT };
		ssize_t n;

		if (session->ssl != NULL)
			return SSL_write(session->ssl, bytes, (int)len) > 0;
		if (poll(&poll_fd, 1, STEP_MS) == 0)
			continue;
		n = send(session->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno != EAGAIN)
			return false;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return len == 0;
}

static bool
put_text(struct session *session, const char *text)
{
	return put(session, text, strlen(text));
}

/* One command, without its end. Returns: false when the client has gone. */
static bool
get_line(struct session *session)
{
	session->len = 0;
	while (session->len < sizeof(session->line) - 1) {
		char *at = session->line + session->len;
		bool got;

		if ((session->ssl == NULL || SSL_pending(session->ssl) == 0) &&
		    !wait_readable(session->server, session->fd))
			return false;
		got = session->ssl != NULL ? SSL_read(session->ssl, at, 1) == 1
					   : recv(session->fd, at, 1, 0) == 1;
		if (!got)
			return false;
		if (*at == '\n') {
			*at = '\0';
			return true;
		}
		session->len++;
	}
	return false;
}

static void
hold(struct session *session)
{
	char byte;

	while (wait_readable(session->server, session->fd)) {
		if (recv(session->fd, &byte, 1, 0) <= 0)
			return;
	}
}

static void
pour(struct session *session, const char *text, size_t times, bool slowly)
{
	for (size_t i = 0; i < times; i++) {
		struct pollfd gone = { .fd = session->fd };

		if (!put_text(session, text))
			return;
		if (slowly && (poll(&gone, 1, STEP_MS) > 0 ||
				  atomic_load(&session->server->stop)))
			return;
	}
}

static void
reset(struct session *session)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(
	    session->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* Returns: whether an ordinary session follows. */
static bool
misbehave(struct session *session)
{
	static char block[8192];

	switch (session->script->quirk) {
	case SCRIPT_NONE:
	case SCRIPT_TLS:
	case SCRIPT_TLS_GARBAGE:
	case SCRIPT_TLS_CLOSE:
	case SCRIPT_TLS_HOLD:
		return true;
	case SCRIPT_CLOSE:
		break;
	case SCRIPT_RESET:
		reset(session);
		break;
	case SCRIPT_HOLD:
		hold(session);
		break;
	case SCRIPT_DRIP:
		pour(session, "x", SIZE_MAX, true);
		break;
	case SCRIPT_ENDLESS_LINE:
		memset(block, 'a', sizeof(block) - 1);
		pour(session, block, SIZE_MAX, false);
		break;
	case SCRIPT_ENDLESS_LINES:
		pour(session, "220-and another line\r\n", SIZE_MAX, false);
		break;
	case SCRIPT_BANNER:
		memset(block, 'b', sizeof(block) - 1);
		memcpy(block, "220-", 4);
		memcpy(block + sizeof(block) - 3, "\r\n", 2);
		pour(session, block, (10 << 20) / sizeof(block), false);
		(void)put_text(session, "220 done\r\n");
		return true;
	}
	return false;
}

static bool
start_tls(struct session *session)
{
	switch (session->script->quirk) {
	case SCRIPT_TLS_GARBAGE:
		(void)put_text(
		    session, "no TLS is spoken here, only words\r\n");
		hold(session);
		return false;
	case SCRIPT_TLS_HOLD:
		hold(session);
		return false;
	case SCRIPT_TLS_CLOSE:
		return false;
	case SCRIPT_TLS:
		break;
	case SCRIPT_NONE:
	case SCRIPT_CLOSE:
	case SCRIPT_RESET:
	case SCRIPT_HOLD:
	case SCRIPT_DRIP:
	case SCRIPT_ENDLESS_LINE:
	case SCRIPT_ENDLESS_LINES:
	case SCRIPT_BANNER:
		return true;
	}
	session->ssl = SSL_new(session->server->tls);
	if (session->ssl == NULL ||
	    SSL_set_fd(session->ssl, session->fd) != 1 ||
	    SSL_accept(session->ssl) != 1)
		return false;
	atomic_fetch_add(&session->server->n_tls, 1);
	return true;
}

static const char *
answer_to(struct session *session)
{
	const struct script *script = session->script;
	const char *line = session->line;

	if (strncasecmp(line, "EHLO", 4) == 0)
		return script->ehlo;
	if (strncasecmp(line, "HELO", 4) == 0)
		return script->helo;
	if (strncasecmp(line, "STARTTLS", 8) == 0)
		return script->starttls;
	if (strncasecmp(line, "MAIL", 4) == 0)
		return script->mail;
	if (strncasecmp(line, "RCPT", 4) == 0)
		return script->rcpt;
	if (strncasecmp(line, "DATA", 4) == 0)
		atomic_fetch_add(&session->server->n_data, 1);
	return "502 5.5.2 what\r\n";
}

static void
serve(struct session *session)
{
	while (get_line(session)) {
		const char *answer;

		if (strncasecmp(session->line, "QUIT", 4) == 0) {
			atomic_fetch_add(&session->server->n_quits, 1);
			(void)put_text(session, "221 2.0.0 Bye\r\n");
			return;
		}
		answer = answer_to(session);
		if (answer == NULL) {
			hold(session);
			return;
		}
		if (!put_text(session, answer))
			return;
		if (strncasecmp(session->line, "STARTTLS", 8) == 0 &&
		    answer[0] == '2' && !start_tls(session))
			return;
	}
}

static void
accept_one(struct script_server *server)
{
	struct session session = { .server = server,
		.script = atomic_load(&server->script) };
	struct pollfd early;

	session.fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	if (session.fd == -1)
		return;
	atomic_fetch_add(&server->n_connections, 1);
	early = (struct pollfd){ .fd = session.fd, .events = POLLIN };
	if (poll(&early, 1, 5) > 0)
		atomic_fetch_add(&server->n_early, 1);
	if (session.script->greeting == NULL ||
	    put_text(&session, session.script->greeting)) {
		if (misbehave(&session))
			serve(&session);
	}
	SSL_free(session.ssl);
	(void)close(session.fd);
}

static void *
run(void *arg)
{
	struct script_server *server = arg;

	while (wait_readable(server, server->listener))
		accept_one(server);
	return NULL;
}

static int
listen_on(const char *address, uint16_t port, struct endpoint *endpoint_r)
{
	struct sockaddr_storage bound;
	struct sockaddr_in v4;
	socklen_t len;
	const int on = 1;
	int fd;

	ck_assert_int_eq(endpoint_parse(address, port, endpoint_r), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	len = endpoint_sockaddr(endpoint_r, &bound);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&bound, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
	memcpy(&v4, &bound, sizeof(v4));
	endpoint_r->port = ntohs(v4.sin_port);
	return fd;
}

uint16_t
script_unused_port(const char *address)
{
	struct endpoint endpoint;
	int fd = listen_on(address, 0, &endpoint);

	(void)close(fd);
	return endpoint.port;
}

/* A self-signed certificate, made anew in each test. */
static SSL_CTX *
server_tls(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
	ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
	ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
	ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			     (const unsigned char *)"server.test", -1, -1, 0),
	    1);
	ck_assert_int_eq(X509_set_issuer_name(cert, name), 1);
	ck_assert_int_eq(X509_set_pubkey(cert, key), 1);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(context, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return context;
}

void
script_start(struct script_server *server, const char *address, uint16_t port,
    const struct script *script)
{
	pthread_t thread;

	memset(server, 0, sizeof(*server));
	atomic_store(&server->script, script);
	server->listener = listen_on(address, port, &server->endpoint);
	ck_assert_int_eq(listen(server->listener, 16), 0);
	server->tls = server_tls();
	ck_assert_int_eq(pthread_create(&thread, NULL, run, server), 0);
	server->thread = (unsigned long)thread;
}

void
script_stop(struct script_server *server)
{
	atomic_store(&server->stop, 1);
	(void)pthread_join((pthread_t)server->thread, NULL);
	(void)close(server->listener);
	SSL_CTX_free(server->tls);
}
