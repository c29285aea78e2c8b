/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread (whichever runs the event base). */
#include "milter/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/control_parts.h"

#define CONTROL_CLIENTS_MAX 32 /* with requests left behind */
/* What a client of lines gets through, so that the loop has time for others. */
#define CONTROL_PACE_BYTES (64 * 1024)
#define CONTROL_PACE_US	   4000
#ifndef CONTROL_PAUSE_MS
#define CONTROL_PAUSE_MS 1000 /* after a failed accept(2) */
#endif

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

	(void)listener;
	(void)address;
	(void)address_len;
	if (control->n < CONTROL_CLIENTS_MAX)
		control_client_add(control, fd);
	else
		turn_away(fd);
}

/* Out of descriptors, most likely: trying at once would spin. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct control *control = arg;
	struct timeval tv = clock_timeval(CONTROL_PAUSE_MS);

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

static struct ev_token_bucket_cfg *
make_pace(void)
{
	const struct timeval tick = { 0, CONTROL_PACE_US };

	return ev_token_bucket_cfg_new(CONTROL_PACE_BYTES, CONTROL_PACE_BYTES,
	    EV_RATE_LIMIT_MAX, EV_RATE_LIMIT_MAX, &tick);
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
	control->pace = make_pace();
	control->listener = evconnlistener_new(
	    base, on_accept, control, LEV_OPT_CLOSE_ON_EXEC, 0, listen_fd);
	if (control->pause == NULL || control->pace == NULL ||
	    control->listener == NULL ||
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
	/* The analyzer does not see that LIST_REMOVE changes the head. */
	while (!LIST_EMPTY(&it->clients))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		control_client_free(LIST_FIRST(&it->clients));
	while ((orphan = LIST_FIRST(&it->orphans)) != NULL) {
		LIST_REMOVE(orphan, link);
		orphan->control = NULL;
	}
	if (it->listener != NULL)
		evconnlistener_free(it->listener);
	if (it->pause != NULL)
		event_free(it->pause);
	if (it->pace != NULL)
		ev_token_bucket_cfg_free(it->pace);
	free(it);
}
