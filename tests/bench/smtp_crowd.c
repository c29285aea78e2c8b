/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
/*
 * Thousands of SMTP servers for probes, in one process: host number N is
 * 127.100.(N / 256).(N % 256), all on one port.
 *
 *	smtp_crowd HOSTS SILENT EVENTS
 *
 * SILENT of the HOSTS, evenly spread, accept and never say a word. Tells its
 * port on standard output and ends with its standard input. What was seen is
 * then in the file EVENTS, one line each: "+" connected or "-" closed, number
 * of the host, microseconds of CLOCK_MONOTONIC.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NETWORK 0x7f640000u /* 127.100.0.0 */
#define BACKLOG 1024

struct crowd {
	struct event_base *base;
	unsigned long hosts, silent;
	FILE *events;
};

struct session {
	struct crowd *crowd;
	struct bufferevent *stream;
	unsigned long host;
};

static const struct {
	const char *verb, *reply;
} replies[] = {
	{ "EHLO", "250-crowd.test\r\n250 PIPELINING\r\n" },
	{ "HELO", "250 crowd.test\r\n" },
	{ "MAIL", "250 2.1.0 Ok\r\n" },
	{ "RCPT", "250 2.1.5 Ok\r\n" },
	{ "RSET", "250 2.0.0 Ok\r\n" },
	{ "QUIT", "221 2.0.0 Bye\r\n" },
	{ "", "502 5.5.2 Error\r\n" },
};

static void
note(const struct session *session, char what)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)fprintf(session->crowd->events, "%c %lu %lld\n", what,
	    session->host,
	    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void
leave(struct session *session)
{
	note(session, '-');
	bufferevent_free(session->stream);
	free(session);
}

static void
on_said_bye(struct bufferevent *stream, void *arg)
{
	(void)stream;
	leave(arg);
}

static void
answer(struct session *session, const char *line)
{
	size_t i = 0;

	while (strncasecmp(line, replies[i].verb, strlen(replies[i].verb)) != 0)
		i++;
	(void)bufferevent_write(
	    session->stream, replies[i].reply, strlen(replies[i].reply));
	if (strcmp(replies[i].verb, "QUIT") == 0)
		bufferevent_setcb(
		    session->stream, NULL, on_said_bye, NULL, session);
}

static void
on_read(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);
	char *line;

	while (
	    (line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF)) != NULL) {
		answer(arg, line);
		free(line);
	}
}

static void
on_event(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	(void)what;
	leave(arg);
}

static bool
is_silent(const struct crowd *crowd, unsigned long host)
{
	return (host + 1) * crowd->silent / crowd->hosts !=
	       host * crowd->silent / crowd->hosts;
}

static unsigned long
host_of(evutil_socket_t fd)
{
	struct sockaddr_in local = { .sin_port = 0 };
	socklen_t len = sizeof(local);

	if (getsockname(fd, (struct sockaddr *)&local, &len) == -1)
		return 0;
	return ntohl(local.sin_addr.s_addr) - NETWORK;
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int len, void *arg)
{
	static const char greeting[] = "220 crowd.test ESMTP\r\n";
	struct session *session = calloc(1, sizeof(*session));

	(void)listener;
	(void)address;
	(void)len;
	if (session == NULL)
		exit(EXIT_FAILURE);
	session->crowd = arg;
	session->host = host_of(fd);
	session->stream = bufferevent_socket_new(
	    session->crowd->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (session->stream == NULL)
		exit(EXIT_FAILURE);
	note(session, '+');
	bufferevent_setcb(session->stream, on_read, NULL, on_event, session);
	(void)bufferevent_enable(session->stream, EV_READ | EV_WRITE);
	if (!is_silent(session->crowd, session->host))
		(void)bufferevent_write(
		    session->stream, greeting, strlen(greeting));
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
	char bytes[64];

	(void)what;
	if (read(fd, bytes, sizeof(bytes)) <= 0)
		(void)event_base_loopbreak(arg);
}

/* No other machine has a business here. Returns: false when that, or the port,
   cannot be had. */
static bool
tell_port(struct evconnlistener *listener)
{
	struct sockaddr_in local = { .sin_port = 0 };
	socklen_t len = sizeof(local);
	evutil_socket_t fd = evconnlistener_get_fd(listener);

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == -1 ||
	    getsockname(fd, (struct sockaddr *)&local, &len) == -1)
		return false;
	return printf("%u\n", (unsigned)ntohs(local.sin_port)) > 0 &&
	       fflush(stdout) == 0;
}

static int
serve(struct crowd *crowd)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct evconnlistener *listener = evconnlistener_new_bind(crowd->base,
	    on_accept, crowd, LEV_OPT_CLOSE_ON_FREE, BACKLOG,
	    (struct sockaddr *)&any, sizeof(any));
	struct event *end = event_new(crowd->base, STDIN_FILENO,
	    EV_READ | EV_PERSIST, on_input, crowd->base);

	if (listener == NULL || end == NULL || event_add(end, NULL) == -1 ||
	    !tell_port(listener))
		return -1;
	(void)event_base_dispatch(crowd->base);
	event_free(end);
	evconnlistener_free(listener);
	return fclose(crowd->events) == 0 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct crowd crowd = { .base = event_base_new() };

	if (argc != 4 || crowd.base == NULL ||
	    (crowd.hosts = strtoul(argv[1], NULL, 10)) == 0) {
		fprintf(stderr, "usage: smtp_crowd HOSTS SILENT EVENTS\n");
		return 2;
	}
	crowd.silent = strtoul(argv[2], NULL, 10);
	crowd.events = fopen(argv[3], "w");
	if (crowd.events == NULL || serve(&crowd) == -1) {
		perror("smtp_crowd");
		return EXIT_FAILURE;
	}
	event_base_free(crowd.base);
	return EXIT_SUCCESS;
}
