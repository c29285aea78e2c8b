/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
/*
 * What the map is measured against: a server that takes netstrings and answers
 * each with the same reply, through the same library, and does nothing else.
 *
 *	echo_server [-b] SOCKET REPLY
 *
 * With the library's buffered events, the usual way to write such a server;
 * with -b bare, with no more than the system calls that an answer takes, which
 * costs half as much. Listens on a unix socket; ends with its standard input.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_MAX 4096

static char *reply; /* a netstring */
static size_t reply_len;

/* -- buffered ------------------------------------------------------------ */

static void
on_buffered_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	char head[16];
	ev_ssize_t len;
	char *rest;
	size_t want;

	(void)arg;
	while ((len = evbuffer_copyout(input, head, sizeof(head) - 1)) > 0) {
		head[len] = '\0';
		want = strtoul(head, &rest, 10);
		if (*rest != ':')
			return;
		want += (size_t)(rest - head) + 2;
		if (evbuffer_get_length(input) < want)
			return;
		(void)evbuffer_drain(input, want);
		(void)evbuffer_add(
		    bufferevent_get_output(bev), reply, reply_len);
	}
}

static void
on_buffered_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

static void
on_buffered_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int len, void *arg)
{
	struct bufferevent *bev =
	    bufferevent_socket_new(arg, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)listener;
	(void)address;
	(void)len;
	if (bev == NULL)
		exit(EXIT_FAILURE);
	bufferevent_setcb(bev, on_buffered_read, NULL, on_buffered_event, NULL);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* -- bare ---------------------------------------------------------------- */

struct client {
	struct event *event;
	size_t have; /* bytes of a question so far */
	char in[INPUT_MAX];
};

static void
drop(struct client *client, evutil_socket_t fd)
{
	event_free(client->event);
	(void)close(fd);
	free(client);
}

/* Returns: the length of the netstring that the input begins with, 0 when that
   is not whole. */
static size_t
question_len(const struct client *client)
{
	const char *colon = memchr(client->in, ':', client->have);
	size_t len;

	if (colon == NULL)
		return 0;
	len = (size_t)(colon - client->in) + strtoul(client->in, NULL, 10) + 2;
	return client->have >= len ? len : 0;
}

static void
on_bare_read(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	ssize_t n = recv(fd, client->in + client->have,
	    sizeof(client->in) - client->have, MSG_DONTWAIT);
	size_t len;

	(void)what;
	if (n <= 0) {
		drop(client, fd);
		return;
	}
	client->have += (size_t)n;
	while ((len = question_len(client)) > 0) {
		client->have -= len;
		if (client->have > 0)
			memmove(client->in, client->in + len, client->have);
		if (send(fd, reply, reply_len, MSG_NOSIGNAL) !=
		    (ssize_t)reply_len) {
			drop(client, fd);
			return;
		}
	}
}

static void
on_bare_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int len, void *arg)
{
	struct client *client = calloc(1, sizeof(*client));

	(void)listener;
	(void)address;
	(void)len;
	if (client != NULL)
		client->event = event_new(
		    arg, fd, EV_READ | EV_PERSIST, on_bare_read, client);
	if (client == NULL || client->event == NULL ||
	    event_add(client->event, NULL) == -1)
		exit(EXIT_FAILURE);
}

/* -- both ---------------------------------------------------------------- */

/* As a netstring. */
static void
set_reply(const char *text)
{
	size_t size = strlen(text) + 16;

	reply = malloc(size);
	if (reply == NULL)
		exit(EXIT_FAILURE);
	reply_len =
	    (size_t)snprintf(reply, size, "%zu:%s,", strlen(text), text);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
	char bytes[64];

	(void)what;
	if (read(fd, bytes, sizeof(bytes)) <= 0)
		(void)event_base_loopbreak(arg);
}

int
main(int argc, char **argv)
{
	int bare = argc > 1 && strcmp(argv[1], "-b") == 0;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct event_base *base = event_base_new();
	struct evconnlistener *listener;
	struct event *end;

	argv += bare;
	if (argc - bare != 3 || strlen(argv[1]) >= sizeof(address.sun_path) ||
	    base == NULL) {
		fprintf(stderr, "usage: echo_server [-b] SOCKET REPLY\n");
		return 2;
	}
	set_reply(argv[2]);
	(void)strcpy(address.sun_path, argv[1]);
	listener = evconnlistener_new_bind(base,
	    bare ? on_bare_accept : on_buffered_accept, base,
	    LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&address,
	    sizeof(address));
	end =
	    event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, base);
	if (listener == NULL || end == NULL || event_add(end, NULL) == -1) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	(void)event_base_dispatch(base);
	event_free(end);
	evconnlistener_free(listener);
	event_base_free(base);
	free(reply);
	return EXIT_SUCCESS;
}
