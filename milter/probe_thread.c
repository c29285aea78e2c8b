/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread, but for start, stop and reloaded (main thread). */
#include "milter/probe_thread_parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/flusher.h"
#include "milter/log.h"
#include "milter/observer.h"
#include "milter/prober.h"
#include "milter/snapshot.h"

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

/* The MTA finds a unix socket by its name, and only a start makes it again. */
static bool
is_socket_gone(const char *text)
{
	struct config_socket socket;
	struct stat status;

	if (config_socket_parse(text, &socket, NULL) == -1 || !socket.is_unix)
		return false;
	if (stat(socket.path, &status) == -1)
		return errno == ENOENT;
	return !S_ISSOCK(status.st_mode);
}

static void
watch_sockets(struct probe_thread *t, const struct config *config)
{
	const char *const sockets[] = { config->milter_socket,
		config->map_socket };

	for (size_t i = 0; i < NELEM(sockets); i++) {
		bool gone = is_socket_gone(sockets[i]);

		if (gone && !t->sockets_gone[i])
			log_error("%s has been removed: the MTA cannot reach "
				  "it until nexthop-milter is restarted",
			    sockets[i]);
		t->sockets_gone[i] = gone;
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct snapshot *snapshot = snapshot_get();

	(void)fd;
	(void)what;
	watch_table(arg, snapshot->config->health_table);
	watch_sockets(arg, snapshot->config);
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
		probe_thread_finish(t, job);
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
	return probe_thread_open_control(t, control_fd, err);
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
