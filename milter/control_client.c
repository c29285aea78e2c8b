/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread (whichever runs the event base). */
#include "milter/control_parts.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "milter/clock.h"
#include "policy/printable.h"

#define CONTROL_LINE_MAX   1024		/* bytes of a request */
#define CONTROL_OUTPUT_MAX (256 * 1024) /* bytes a client may leave unread */
#define CONTROL_SAY_MAX	   2048		/* bytes of one line of an answer */
#ifndef CONTROL_IDLE_MS
#define CONTROL_IDLE_MS 30000 /* for one request line; for one write */
#endif

static void
request_free(struct control_request *request)
{
	free(request->lines);
	free(request);
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
	request_free(request);
}

void
control_client_free(struct client *client)
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
	struct timeval tv = clock_timeval(CONTROL_IDLE_MS);

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

/* Makes the client of a request that takes lines one that sends them. */
static bool
prepare_lines(struct client *client, struct control_request *request)
{
	assert(request->command->end != NULL);
	assert(request->command->cancel != NULL);
	request->lines = malloc(sizeof(*request->lines));
	if (request->lines == NULL || bufferevent_set_rate_limit(client->bev,
					  client->control->pace) == -1)
		return false;
	line_splitter_reset(request->lines, false);
	return true;
}

/* Returns: NULL without memory. */
static struct control_request *
request_new(struct client *client, const struct control_command *command)
{
	struct control_request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return NULL;
	request->control = client->control;
	request->client = client;
	request->command = command;
	if (command->line != NULL && !prepare_lines(client, request)) {
		request_free(request);
		return NULL;
	}
	return request;
}

static void
run_line(struct client *client, char *line)
{
	struct control *control = client->control;
	const struct control_command *command;
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
	client->request = request_new(client, command);
	if (client->request == NULL) {
		answer_error(client, "out of memory");
		return;
	}
	rest = trim(word + len);
	(void)event_del(client->idle);
	if (command->line != NULL)
		look_again(client);
	/* May be over, and the request gone, when this returns. */
	command->run(client->request, rest, control->arg);
}

/* The lines of a request, as far as they have come; each may be its end. */
static void
hand_on(struct client *client, const char *bytes, size_t len)
{
	struct control_request *request = client->request;
	const char *line;
	size_t n, line_len;

	for (; len > 0 && client->request != NULL; bytes += n, len -= n) {
		n = line_splitter_take(
		    request->lines, bytes, len, &line, &line_len);
		if (line != NULL)
			request->command->line(
			    request, line, line_len, client->control->arg);
	}
}

static void
take_lines(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->bev);
	struct control_request *request = client->request;
	char bytes[4096];
	int n;

	while (client->request != NULL &&
	       (n = evbuffer_remove(input, bytes, sizeof(bytes))) > 0)
		hand_on(client, bytes, (size_t)n);
	if (client->request == NULL || !client->eof || request->ended)
		return;
	/* A last line without an end may have been cut off anywhere. */
	request->ended = true;
	request->command->end(request, client->control->arg);
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
	if (client->request != NULL && client->request->lines != NULL) {
		take_lines(client);
	} else if (client->request != NULL) {
		/* Who talks on and on while a request is under way would
		   otherwise hide that it has gone. */
		if (evbuffer_get_length(bufferevent_get_input(bev)) >
		    CONTROL_LINE_MAX)
			control_client_free(client);
		return;
	} else if (take_line(client, line)) {
		run_line(client, line);
	} else if (client->eof && !client->closing) {
		client->closing = true;
	} else {
		return;
	}
	/* client may be gone only by an event, never by a command: commands
	   end requests, not clients. */
	if (client->closing &&
	    evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		control_client_free(client);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;

	(void)bev;
	if (client->closing)
		control_client_free(client);
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
		control_client_free(client);
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
	control_client_free(arg);
}

static bool
client_setup(struct client *client, evutil_socket_t fd)
{
	struct control *control = client->control;
	struct timeval tv = clock_timeval(CONTROL_IDLE_MS);

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

void
control_client_add(struct control *control, evutil_socket_t fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		(void)close(fd);
		return;
	}
	client->control = control;
	LIST_INSERT_HEAD(&control->clients, client, link);
	control->n++;
	if (!client_setup(client, fd))
		control_client_free(client);
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
	request_free(request);
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
	/* What still comes of its lines would be taken for requests. */
	if (request->lines != NULL && !request->ended)
		refuse(client, error);
	else
		put_final(client, error);
	request_free(request);
	start_idle(client);
	look_again(client);
}
