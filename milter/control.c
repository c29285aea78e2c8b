/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread (whichever runs the event base). */
#include "milter/control.h"

#include "policy/printable.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#define CONTROL_LINE_MAX    1024	 /* bytes of a request */
#define CONTROL_CLIENTS_MAX 32		 /* with requests left behind */
#define CONTROL_OUTPUT_MAX  (256 * 1024) /* bytes a client may leave unread */
#define CONTROL_SAY_MAX	    2048	 /* bytes of one line of an answer */
#ifndef CONTROL_IDLE_MS
#define CONTROL_IDLE_MS	 30000 /* for one request line; for one write */
#define CONTROL_PAUSE_MS 1000  /* after a failed accept(2) */
#endif

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
	bool cancelled;
};

struct control {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *pause;
	const struct control_command *commands;
	size_t n_commands;
	void *arg;
	LIST_HEAD(client_list, client) clients;
	LIST_HEAD(orphan_list, control_request) orphans;
	unsigned n; /* clients and orphans */
};

static struct timeval
time_of_ms(unsigned ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	return tv;
}

/* The request of a client that goes: cancelled, or left to end by itself. */
static void
abandon(struct control_request *request)
{
	struct control *control = request->control;

	request->client = NULL;
	if (request->command->cancel == NULL) {
		LIST_INSERT_HEAD(&control->orphans, request, link);
		control->n++;
		return;
	}
	request->cancelled = true;
	request->command->cancel(request, control->arg);
	free(request);
}

static void
client_free(struct client *client)
{
	struct control_request *request = client->request;

	LIST_REMOVE(client, link);
	client->control->n--;
	if (client->bev != NULL)
		bufferevent_free(client->bev);
	if (client->idle != NULL)
		event_free(client->idle);
	free(client);
	if (request != NULL)
		abandon(request);
}

static void
start_idle(struct client *client)
{
	struct timeval tv = time_of_ms(CONTROL_IDLE_MS);

	/* One deadline for the whole line, so that a client that sends a byte
	   now and then does not stay for ever. */
	if (event_add(client->idle, &tv) == -1)
		client->closing = true;
}

/* A line of an answer is one line, whatever it was made of. */
static void
put_line(struct evbuffer *output, const char *head, char *text)
{
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	(void)evbuffer_add_printf(output, "%s%s\n", head, text);
}

static void
put_final(struct client *client, const char *error)
{
	struct evbuffer *output = bufferevent_get_output(client->bev);
	char text[CONTROL_SAY_MAX];

	if (client->dropped > 0)
		(void)evbuffer_add_printf(output,
		    "= (%u lines dropped: they were not read in time)\n",
		    client->dropped);
	client->dropped = 0;
	(void)snprintf(text, sizeof(text), "%s", error == NULL ? "" : error);
	put_line(output, error == NULL ? "OK" : "ERROR ", text);
}

/* Answers what is no request, and closes once that has been written. */
static void
refuse(struct client *client, const char *error)
{
	put_final(client, error);
	client->closing = true;
	(void)bufferevent_disable(client->bev, EV_READ);
}

static const struct control_command *
find_command(const struct control *control, const char *name, size_t len)
{
	for (size_t i = 0; i < control->n_commands; i++) {
		const struct control_command *command = &control->commands[i];

		if (strlen(command->name) == len &&
		    memcmp(command->name, name, len) == 0)
			return command;
	}
	return NULL;
}

static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	for (len = strlen(text);
	     len > 0 && strchr(" \t\r", text[len - 1]) != NULL;)
		text[--len] = '\0';
	return text;
}

/* The next line, if there is any, waits in the input without a new event. */
static void
look_again(struct client *client)
{
	bufferevent_trigger(client->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void
answer_error(struct client *client, const char *error)
{
	put_final(client, error);
	look_again(client);
}

static void
run_line(struct client *client, char *line)
{
	struct control *control = client->control;
	const struct control_command *command;
	struct control_request *request;
	char *word = trim(line), *rest;
	size_t len = strcspn(word, " \t");

	command = find_command(control, word, len);
	if (command == NULL) {
		char shown[64], text[128];

		(void)snprintf(text, sizeof(text), "unknown command \"%s\"",
		    printable(word, len, shown, sizeof(shown)));
		answer_error(client, len == 0 ? "empty request" : text);
		return;
	}
	request = calloc(1, sizeof(*request));
	if (request == NULL) {
		answer_error(client, "out of memory");
		return;
	}
	rest = trim(word + len);
	request->control = control;
	request->client = client;
	request->command = command;
	client->request = request;
	(void)event_del(client->idle);
	/* May be over, and the request gone, when this returns. */
	command->run(request, rest, control->arg);
}

/*
 * Takes one line out of the input.
 * Returns: false when there is none; then the client may have been refused.
 */
static bool
take_line(struct client *client, char line[CONTROL_LINE_MAX + 1])
{
	struct evbuffer *input = bufferevent_get_input(client->bev);
	struct evbuffer_ptr eol =
	    evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
	size_t have = evbuffer_get_length(input);
	size_t len = eol.pos == -1 ? have : (size_t)eol.pos;

	if (len > CONTROL_LINE_MAX) {
		refuse(client, "line too long");
		return false;
	}
	if (eol.pos == -1)
		return false;
	(void)evbuffer_remove(input, line, len);
	(void)evbuffer_drain(input, 1);
	line[len] = '\0';
	if (strlen(line) != len) {
		refuse(client, "zero byte in the request");
		return false;
	}
	return true;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	char line[CONTROL_LINE_MAX + 1];

	if (client->closing)
		return;
	if (client->request != NULL) {
		/* Who talks on and on while a request is under way would
		   otherwise hide that it has gone. */
		if (evbuffer_get_length(bufferevent_get_input(bev)) >
		    CONTROL_LINE_MAX)
			client_free(client);
		return;
	}
	if (take_line(client, line))
		run_line(client, line);
	else if (client->eof && !client->closing)
		client->closing = true;
	else
		return;
	/* client may be gone only by an event, never by a command: commands
	   end requests, not clients. */
	if (client->closing &&
	    evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		client_free(client);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;

	(void)bev;
	if (client->closing)
		client_free(client);
}

/* Closed for good, or only its sending side ("nothing more to ask")? */
static bool
has_hung_up(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = 0, .revents = 0 };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *client = arg;

	if ((what & (BEV_EVENT_TIMEOUT | BEV_EVENT_ERROR)) != 0 ||
	    has_hung_up(bufferevent_getfd(bev))) {
		client_free(client);
		return;
	}
	client->eof = true;
	on_read(bev, client);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	client_free(arg);
}

static bool
client_setup(struct client *client, evutil_socket_t fd)
{
	struct control *control = client->control;
	struct timeval tv = time_of_ms(CONTROL_IDLE_MS);

	client->bev =
	    bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (client->bev == NULL) {
		(void)close(fd);
		return false;
	}
	client->idle = evtimer_new(control->base, on_idle, client);
	if (client->idle == NULL)
		return false;
	bufferevent_setcb(client->bev, on_read, on_write, on_event, client);
	bufferevent_setwatermark(client->bev, EV_READ, 0, 4 * CONTROL_LINE_MAX);
	start_idle(client);
	return bufferevent_set_timeouts(client->bev, NULL, &tv) == 0 &&
	       bufferevent_enable(client->bev, EV_READ | EV_WRITE) == 0;
}

static void
turn_away(evutil_socket_t fd)
{
	static const char text[] = "ERROR too many clients\n";

	(void)send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int address_len, void *arg)
{
	struct control *control = arg;
	struct client *client = NULL;

	(void)listener;
	(void)address;
	(void)address_len;
	if (control->n < CONTROL_CLIENTS_MAX)
		client = calloc(1, sizeof(*client));
	if (client == NULL) {
		turn_away(fd);
		return;
	}
	client->control = control;
	LIST_INSERT_HEAD(&control->clients, client, link);
	control->n++;
	if (!client_setup(client, fd))
		client_free(client);
}

/* Out of descriptors, most likely: trying at once would spin. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct control *control = arg;
	struct timeval tv = time_of_ms(CONTROL_PAUSE_MS);

	if (event_add(control->pause, &tv) == 0)
		(void)evconnlistener_disable(listener);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	(void)evconnlistener_enable(control->listener);
}

int
control_create(struct event_base *base, int listen_fd,
    const struct control_command *commands, size_t n, void *arg,
    struct control **control_r, struct err *err)
{
	struct control *control = calloc(1, sizeof(*control));

	*control_r = NULL;
	if (control == NULL) {
		err_set(err, "control socket: out of memory");
		return -1;
	}
	LIST_INIT(&control->clients);
	LIST_INIT(&control->orphans);
	control->base = base;
	control->commands = commands;
	control->n_commands = n;
	control->arg = arg;
	control->pause = evtimer_new(base, on_pause_over, control);
	control->listener = evconnlistener_new(
	    base, on_accept, control, LEV_OPT_CLOSE_ON_EXEC, 0, listen_fd);
	if (control->pause == NULL || control->listener == NULL ||
	    evutil_make_socket_nonblocking(listen_fd) == -1) {
		err_set(err, "control socket: cannot watch it: %s",
		    strerror(errno));
		control_free(&control);
		return -1;
	}
	evconnlistener_set_error_cb(control->listener, on_accept_error);
	*control_r = control;
	return 0;
}

void
control_free(struct control **control)
{
	struct control *it = *control;
	struct control_request *orphan;

	*control = NULL;
	if (it == NULL)
		return;
	while (!LIST_EMPTY(&it->clients))
		client_free(LIST_FIRST(&it->clients));
	while ((orphan = LIST_FIRST(&it->orphans)) != NULL) {
		LIST_REMOVE(orphan, link);
		orphan->control = NULL;
	}
	if (it->listener != NULL)
		evconnlistener_free(it->listener);
	if (it->pause != NULL)
		event_free(it->pause);
	free(it);
}

void
control_say(struct control_request *request, const char *fmt, ...)
{
	struct client *client = request->client;
	struct evbuffer *output;
	char line[CONTROL_SAY_MAX];
	va_list ap;

	assert(!request->cancelled);
	if (client == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	output = bufferevent_get_output(client->bev);
	if (evbuffer_get_length(output) + strlen(line) > CONTROL_OUTPUT_MAX)
		client->dropped++;
	else
		put_line(output, "= ", line);
}

static void
orphan_done(struct control_request *request)
{
	if (request->control != NULL) {
		LIST_REMOVE(request, link);
		request->control->n--;
	}
	free(request);
}

void
control_done(struct control_request *request, const char *error)
{
	struct client *client = request->client;

	assert(!request->cancelled);
	if (client == NULL) {
		orphan_done(request);
		return;
	}
	client->request = NULL;
	put_final(client, error);
	free(request);
	start_idle(client);
	look_again(client);
}
