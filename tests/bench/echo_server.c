/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
/*
 * The floor that the map is measured against: a server that takes netstrings
 * and answers each with the same reply, through the same library, and does
 * nothing else. It has no buffered events: they would cost it more than the
 * map spends on its whole answer.
 *
 *	echo_server SOCKET REPLY
 *
 * Listens on a unix socket; ends with its standard input.
 */
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_MAX 4096

struct client {
	struct event *event;
	size_t have; /* bytes of a question so far */
	char in[INPUT_MAX];
};

static char *reply; /* a netstring */
static size_t reply_len;

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
on_read(evutil_socket_t fd, short what, void *arg)
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
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int len, void *arg)
{
	struct client *client = calloc(1, sizeof(*client));

	(void)listener;
	(void)address;
	(void)len;
	if (client != NULL)
		client->event =
		    event_new(arg, fd, EV_READ | EV_PERSIST, on_read, client);
	if (client == NULL || client->event == NULL ||
	    event_add(client->event, NULL) == -1)
		exit(EXIT_FAILURE);
}

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
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct event_base *base = event_base_new();
	struct evconnlistener *listener;
	struct event *end;

	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path) ||
	    base == NULL) {
		fprintf(stderr, "usage: echo_server SOCKET REPLY\n");
		return 2;
	}
	set_reply(argv[2]);
	(void)strcpy(address.sun_path, argv[1]);
	listener = evconnlistener_new_bind(base, on_accept, base,
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
