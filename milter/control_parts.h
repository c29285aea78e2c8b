/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What control.c (the listening socket) and control_client.c (one client, its
 * requests, their answers) share; of no concern to anybody else.
 * Thread: the probe thread.
 */
#ifndef NH_MILTER_CONTROL_PARTS_H
#define NH_MILTER_CONTROL_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "milter/control.h"
#include "milter/line_splitter.h"
#include "policy/compiler.h"

struct client {
	LIST_ENTRY(client) link;
	struct control *control;
	struct bufferevent *bev;
	struct event *idle;
	struct control_request *request; /* under way, or NULL */
	unsigned dropped;		 /* lines of the present answer */
	bool eof;			 /* no more requests will come */
	bool closing;			 /* gone when the output is */
};

/* Outlives its client when the command cannot be cancelled. */
struct control_request {
	LIST_ENTRY(control_request) link; /* of the orphans */
	struct control *control;	  /* NULL: the server has ended */
	struct client *client;		  /* NULL: the client has gone */
	const struct control_command *command;
	struct line_splitter *lines; /* NULL: takes no further lines */
	bool cancelled;
	bool ended; /* no further line will come, and that was told */
};

struct control {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *pause;
	struct ev_token_bucket_cfg *pace; /* of those who send lines */
	const struct control_command *commands;
	size_t n_commands;
	void *arg;
	LIST_HEAD(client_list, client) clients;
	LIST_HEAD(orphan_list, control_request) orphans;
	unsigned n; /* clients and orphans */
};

/* Serves a connection that was accepted, or closes it (no memory). */
void control_client_add(
    struct control *control, evutil_socket_t fd) NH_ALL_NONNULL;
/* Closes it; its request is cancelled, or left to end by itself. */
void control_client_free(struct client *client) NH_ALL_NONNULL;

#endif
