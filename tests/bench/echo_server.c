/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
/*
 * The floor that the map is measured against: a server that takes netstrings
 * and answers each with the same reply, through the same library, and does
 * nothing else.
 *
 *	echo_server SOCKET REPLY
 *
 * Listens on a unix socket; ends with its standard input.
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

static const char *reply;

static void
on_read(struct bufferevent *bev, void *arg)
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
		(void)evbuffer_add_printf(bufferevent_get_output(bev),
		    "%zu:%s,", strlen(reply), reply);
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int len, void *arg)
{
	struct bufferevent *bev =
	    bufferevent_socket_new(arg, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)listener;
	(void)address;
	(void)len;
	if (bev == NULL)
		exit(EXIT_FAILURE);
	bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
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
	reply = argv[2];
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
	return EXIT_SUCCESS;
}
