/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread, but for start, stop and reloaded (main thread). */
#include "milter/probe_thread.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/control.h"
#include "milter/flusher.h"
#include "milter/log.h"
#include "milter/observer.h"
#include "milter/prober.h"
#include "milter/snapshot.h"
#include "milter/supervisor.h"

#define WAITING_MAX 32

struct waiting {
	uint64_t id;
	struct control_request *request; /* NULL: free */
};

struct probe_thread {
	pthread_t thread;
	struct event_base *base;
	struct event *bell; /* somebody has left word: wake_fd */
	struct event *tick; /* once a second */
	struct prober *prober;
	struct observer *observer;
	struct flusher *flusher;
	struct control *control;
	int wake_fd, ask_fd, to_fd;
	bool table_gone; /* has been said */
	uint64_t last_id;
	struct waiting waiting[WAITING_MAX];
	pthread_mutex_t mutex; /* guards the two below */
	struct reload_job *jobs;
	bool stop;
};

/* ---- reload ---- */

static struct control_request *
take_waiting(struct probe_thread *t, uint64_t id)
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
tell_problems(
    const struct config_problems *problems, struct control_request *request)
{
	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *one = &problems->list[i];

		log_line(one->warning ? CONFIG_LOG_WARNING : CONFIG_LOG_ERROR,
		    "%s", one->text);
		if (request != NULL)
			control_say(request, "%s%s",
			    one->warning ? "warning: " : "", one->text);
	}
}

static void
tell_kept(const char *options, struct control_request *request)
{
	static const char text[] = "needs a restart to change: the old "
				   "value stays, the rest is applied";

	if (options[0] == '\0')
		return;
	log_warning("%s %s", options, text);
	if (request != NULL)
		control_say(request, "warning: %s %s", options, text);
}

/* Also when the new configuration is bad: the log may have been rotated. */
static void
reopen_log(const struct reload_job *job)
{
	struct snapshot *now = snapshot_get();
	const struct config *config =
	    job->config != NULL ? job->config : now->config;
	struct err err;

	if (log_open(&config->log, &err) == -1)
		log_warning("%s", err.text);
	snapshot_put(&now);
}

/* Takes the new configuration up. Returns: NULL, or what went wrong. */
static const char *
take_up(struct probe_thread *t, struct reload_job *job, struct err *err)
{
	char said = WORKER_SAYS_RELOADED;

	if (job->config == NULL)
		return "configuration not reloaded, the old one stays";
	if (snapshot_adopt(job->config, err) == -1)
		return err->text;
	job->config = NULL;
	prober_adopt(t->prober);
	if (write(t->to_fd, &said, 1) != 1)
		log_warning("cannot tell the supervisor of the reload");
	return NULL;
}

static void
finish_job(struct probe_thread *t, struct reload_job *job)
{
	struct control_request *request = take_waiting(t, job->request);
	struct snapshot *snapshot;
	struct err err;
	const char *wrong;

	reopen_log(job);
	tell_problems(&job->problems, request);
	tell_kept(job->kept, request);
	wrong = take_up(t, job, &err);
	snapshot = snapshot_get();
	if (wrong != NULL)
		log_error("%s", wrong);
	else
		log_info("configuration reloaded: %u routes, %u hosts, "
			 "generation %u",
		    (unsigned)snapshot->config->n_routes,
		    (unsigned)snapshot->config->n_hosts,
		    (unsigned)snapshot->generation);
	snapshot_put(&snapshot);
	if (request != NULL)
		control_done(request, wrong);
	config_problems_free(&job->problems);
	if (job->config != NULL)
		config_free(&job->config);
	free(job);
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

/* ---- probe by hand ---- */

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

/* ---- lines of a delivery log ---- */

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

/* ---- the loop ---- */

/* Lookups go on without the file, but whoever opens it sees something else: an
   override that is set there would reach nobody. */
static void
watch_table(struct probe_thread *t, const char *path)
{
	bool gone = !snapshot_table_in_place();

	if (gone && !t->table_gone)
		log_error(
		    "health table %s has been removed, replaced or cut short: "
		    "nexthopctl has no effect until nexthop-milter is "
		    "restarted",
		    path);
	t->table_gone = gone;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct snapshot *snapshot = snapshot_get();

	(void)fd;
	(void)what;
	watch_table(arg, snapshot->config->health_table);
	health_table_heartbeat(snapshot->table, clock_boot_ms());
	snapshot_put(&snapshot);
	snapshot_reap();
}

static void
on_bell(evutil_socket_t fd, short what, void *arg)
{
	struct probe_thread *t = arg;
	struct reload_job *job, *next;
	uint64_t count;
	bool stop;

	(void)what;
	if (read(fd, &count, sizeof(count)) == -1)
		return;
	(void)pthread_mutex_lock(&t->mutex);
	job = t->jobs;
	t->jobs = NULL;
	stop = t->stop;
	(void)pthread_mutex_unlock(&t->mutex);
	for (; job != NULL; job = next) {
		next = job->next;
		finish_job(t, job);
	}
	if (stop)
		(void)event_base_loopbreak(t->base);
}

static void *
run(void *arg)
{
	struct probe_thread *t = arg;

	(void)pthread_setname_np(pthread_self(), "probe");
	prober_adopt(t->prober);
	(void)event_base_dispatch(t->base);
	return NULL;
}

static void
ring(struct probe_thread *t)
{
	const uint64_t one = 1;

	if (write(t->wake_fd, &one, sizeof(one)) == -1)
		log_error("cannot wake the probe thread: %s", strerror(errno));
}

static void
dismantle(struct probe_thread *t)
{
	/* First: ending the prober may turn the loop once more. */
	if (t->bell != NULL)
		event_free(t->bell);
	if (t->tick != NULL)
		event_free(t->tick);
	if (t->control != NULL)
		control_free(&t->control);
	if (t->prober != NULL)
		prober_free(&t->prober);
	if (t->observer != NULL)
		observer_free(&t->observer);
	if (t->flusher != NULL)
		flusher_free(&t->flusher);
	if (t->base != NULL)
		event_base_free(t->base);
	if (t->wake_fd != -1)
		(void)close(t->wake_fd);
	(void)pthread_mutex_destroy(&t->mutex);
	free(t);
}

/* Probes, deliveries, and what follows from both. */
static int
open_learning(struct probe_thread *t, struct err *err)
{
	struct delivery_calls calls;

	if (prober_create(t->base, &t->prober, err) == -1)
		return -1;
	calls = prober_delivery_calls(t->prober);
	if (observer_create(t->base, &calls, &t->observer, err) == -1 ||
	    flusher_create(t->base, &t->flusher, err) == -1)
		return -1;
	prober_connect(t->prober, t->observer, t->flusher);
	return 0;
}

static int
assemble(struct probe_thread *t, int control_fd, struct err *err)
{
	const struct timeval second = { 1, 0 };

	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->base = event_base_new();
	if (t->base != NULL && t->wake_fd != -1) {
		t->bell = event_new(
		    t->base, t->wake_fd, EV_READ | EV_PERSIST, on_bell, t);
		t->tick = event_new(t->base, -1, EV_PERSIST, on_tick, t);
	}
	if (t->base == NULL || t->bell == NULL || t->tick == NULL ||
	    event_add(t->bell, NULL) == -1 ||
	    event_add(t->tick, &second) == -1) {
		err_set(err, "cannot set up the probe thread's loop");
		return -1;
	}
	if (open_learning(t, err) == -1)
		return -1;
	return control_create(t->base, control_fd, commands, NELEM(commands), t,
	    &t->control, err);
}

int
probe_thread_start(int control_fd, int ask_fd, int to_fd,
    struct probe_thread **thread_r, struct err *err)
{
	struct probe_thread *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		err_set(err, "no memory for the probe thread");
		return -1;
	}
	(void)pthread_mutex_init(&t->mutex, NULL);
	t->wake_fd = -1;
	t->ask_fd = ask_fd;
	t->to_fd = to_fd;
	if (assemble(t, control_fd, err) == -1) {
		dismantle(t);
		return -1;
	}
	if (pthread_create(&t->thread, NULL, run, t) != 0) {
		err_set(err, "cannot start the probe thread");
		dismantle(t);
		return -1;
	}
	*thread_r = t;
	return 0;
}

void
probe_thread_reloaded(struct probe_thread *t, struct reload_job *job)
{
	struct reload_job **end;

	job->next = NULL;
	(void)pthread_mutex_lock(&t->mutex);
	for (end = &t->jobs; *end != NULL; end = &(*end)->next)
		continue;
	*end = job;
	(void)pthread_mutex_unlock(&t->mutex);
	ring(t);
}

void
probe_thread_stop(struct probe_thread **thread)
{
	struct probe_thread *t = *thread;

	(void)pthread_mutex_lock(&t->mutex);
	t->stop = true;
	(void)pthread_mutex_unlock(&t->mutex);
	ring(t);
	(void)pthread_join(t->thread, NULL);
	dismantle(t);
	*thread = NULL;
}
