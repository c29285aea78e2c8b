/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/probe_thread_parts.h"

#include <unistd.h>

#include "milter/observer.h"
#include "milter/prober.h"

/* -- reload ---------------------------------------------------------------- */

struct control_request *
probe_thread_take_waiting(struct probe_thread *t, uint64_t id)
{
	struct control_request *request;

	for (size_t i = 0; id != 0 && i < NELEM(t->waiting); i++) {
		if (t->waiting[i].request != NULL && t->waiting[i].id == id) {
			request = t->waiting[i].request;
			t->waiting[i].request = NULL;
			return request;
		}
	}
	return NULL;
}

static void
run_reload(struct control_request *request, const char *rest, void *arg)
{
	struct probe_thread *t = arg;

	(void)rest;
	for (size_t i = 0; i < NELEM(t->waiting); i++) {
		if (t->waiting[i].request != NULL)
			continue;
		t->waiting[i].id = ++t->last_id;
		if (write(t->ask_fd, &t->last_id, sizeof(t->last_id)) == -1)
			break;
		t->waiting[i].request = request;
		return;
	}
	control_done(request, "too many reloads are waiting");
}

static void
cancel_reload(struct control_request *request, void *arg)
{
	struct probe_thread *t = arg;

	for (size_t i = 0; i < NELEM(t->waiting); i++) {
		if (t->waiting[i].request == request)
			t->waiting[i].request = NULL;
	}
}

/* -- probe by hand --------------------------------------------------------- */

static void
show_probe(void *arg, const char *text, bool good)
{
	if (text != NULL)
		control_say(arg, "%s", text);
	else
		control_done(arg, good ? NULL : "the host is not well");
}

static void
run_probe(struct control_request *request, const char *rest, void *arg)
{
	struct probe_thread *t = arg;
	struct host host;
	struct err err;

	if (host_parse(rest, HOST_PORT_DEFAULT, &host, &err) == -1)
		control_done(request, err.text);
	else
		prober_probe_now(t->prober, &host, show_probe, request);
}

static void
cancel_probe(struct control_request *request, void *arg)
{
	struct probe_thread *t = arg;

	prober_forget(t->prober, request);
}

/* -- lines of a delivery log ----------------------------------------------- */

static void
run_observe(struct control_request *request, const char *rest, void *arg)
{
	struct probe_thread *t = arg;

	(void)request;
	(void)rest;
	observer_joined(t->observer);
}

static void
take_line(
    struct control_request *request, const char *text, size_t len, void *arg)
{
	struct probe_thread *t = arg;

	(void)request;
	observer_line(t->observer, text, len);
}

static void
cancel_observe(struct control_request *request, void *arg)
{
	struct probe_thread *t = arg;

	(void)request;
	observer_left(t->observer);
}

static void
end_observe(struct control_request *request, void *arg)
{
	cancel_observe(request, arg);
	control_done(request, NULL);
}

static const struct control_command commands[] = {
	{ .name = "reload", .run = run_reload, .cancel = cancel_reload },
	{ .name = "probe", .run = run_probe, .cancel = cancel_probe },
	{ .name = "observe",
	    .run = run_observe,
	    .cancel = cancel_observe,
	    .line = take_line,
	    .end = end_observe },
};

int
probe_thread_open_control(
    struct probe_thread *t, int control_fd, struct err *err)
{
	return control_create(t->base, control_fd, commands, NELEM(commands), t,
	    &t->control, err);
}
