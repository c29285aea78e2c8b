/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the worker's main thread; load: what it waits for; worker_run and
   ignore_signals: the process's first one. */
#include "milter/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "milter/background.h"
#include "milter/clock.h"
#include "milter/log.h"
#include "milter/milter.h"
#include "milter/probe_thread.h"
#include "milter/snapshot.h"
#include "milter/socketmap_server.h"
#include "milter/supervisor.h"
#include "milter/table_lock.h"

/* How long a stop waits for open transactions. */
#define DRAIN_MS 10000

struct worker {
	struct socketmap_server *map;
	struct probe_thread *probes;
	int from_supervisor, to_supervisor;
	int ask[2]; /* the probe thread asks for reloads */
	struct config *config;
	const struct listeners *listeners;
	int status; /* of the process, when the main thread has ended */
};

/* Which options keep their old value until a restart. */
static void
note_kept(const struct config *running, struct reload_job *job)
{
	const char *option;
	size_t at = 0, used = 0, room = sizeof(job->kept);

	while ((option = config_needs_restart(running, job->config, &at)) !=
	       NULL) {
		int n = snprintf(job->kept + used, room - used, "%s%s",
		    used > 0 ? ", " : "", option);

		if (n < 0 || (size_t)n >= room - used)
			return;
		used += (size_t)n;
	}
}

static void
load(void *arg)
{
	struct reload_job *job = arg;
	struct snapshot *now = snapshot_get();

	if (config_load(now->config->path, &job->config, &job->problems) == 0) {
		note_kept(now->config, job);
		config_keep_restart_options(now->config, job->config);
	}
	snapshot_put(&now);
}

/* Parses in the background, so that neither lookups nor probes stand still
   meanwhile, nor share a processor with it. */
static void
reload(struct worker *w, uint64_t request)
{
	struct reload_job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		log_error("no memory to reload: the old configuration stays");
		return;
	}
	job->request = request;
	background_run(load, job);
	probe_thread_reloaded(w->probes, job);
}

/* Transactions that are open would be dropped unanswered by libmilter. */
static void
drain(void)
{
	const struct timespec pause = { 0, 10000000 };
	uint64_t end_ms = clock_boot_ms() + DRAIN_MS;

	while (milter_open_transactions() > 0 && clock_boot_ms() < end_ms)
		(void)nanosleep(&pause, NULL);
	if (milter_open_transactions() > 0)
		log_warning("stopping with %u open transactions",
		    milter_open_transactions());
}

/* All that was said is heard at once: many reloads are one, and a stop does not
   wait behind them. Returns: false when it is time to stop. */
static bool
hear_supervisor(struct worker *w)
{
	const char heard = WORKER_SAYS_HEARD;
	char said[4096];
	ssize_t n = read(w->from_supervisor, said, sizeof(said));

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		log_warning("the supervisor is gone, stopping");
		return false;
	}
	if (memchr(said, SUPERVISOR_SAYS_STOP, (size_t)n) != NULL)
		return false;
	if (write(w->to_supervisor, &heard, 1) != 1)
		log_warning("cannot answer the supervisor");
	reload(w, 0);
	return true;
}

static void
serve(struct worker *w)
{
	struct pollfd fds[2] = {
		{ .fd = w->from_supervisor, .events = POLLIN },
		{ .fd = w->ask[0], .events = POLLIN },
	};
	uint64_t request;

	for (;;) {
		if (poll(fds, 2, -1) == -1)
			continue;
		if (fds[0].revents != 0 && !hear_supervisor(w))
			return;
		if (fds[1].revents != 0 &&
		    read(w->ask[0], &request, sizeof(request)) ==
			(ssize_t)sizeof(request))
			reload(w, request);
	}
}

static int
start_threads(struct worker *w, const char *milter_socket, struct err *err)
{
	if (pipe2(w->ask, O_CLOEXEC | O_NONBLOCK) == -1) {
		err_set(err, "pipe: %s", strerror(errno));
		return -1;
	}
	/* The map is last: clients that have waited for it may take all
	   descriptors there are, and libmilter needs some to begin with. */
	if (milter_start(w->listeners->socket[LISTENER_MILTER].fd,
		milter_socket, err) == -1)
		return -1;
	if (probe_thread_start(w->listeners->socket[LISTENER_CONTROL].fd,
		w->ask[1], w->to_supervisor, &w->probes, err) == -1)
		return -1;
	return socketmap_server_start(
	    w->listeners->socket[LISTENER_MAP].fd, &w->map, err);
}

static int
start(struct worker *w, struct err *err)
{
	struct config *config = w->config; /* the snapshot's from then on */
	char said = WORKER_SAYS_READY;

	if (table_lock_take(config->health_table, err) == -1)
		return -1;
	if (snapshot_adopt(config, err) == -1)
		return -1;
	if (start_threads(w, config->milter_socket, err) == -1)
		return -1;
	log_info("serving %u routes over %u hosts", (unsigned)config->n_routes,
	    (unsigned)config->n_hosts);
	if (write(w->to_supervisor, &said, 1) != 1) {
		err_set(err, "the supervisor is gone");
		return -1;
	}
	return 0;
}

/*
 * The worker is told by the supervisor. A signal that was meant for both
 * processes ("killall -HUP") must not reach libmilter, which waits for these
 * and ends: ignored, and not blocked by the process's first thread, they never
 * become pending. pthread_create blocks all signals for a moment: once
 * libmilter runs the first thread must not call it, and so it does nothing but
 * wait.
 */
static void
ignore_signals(void)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < NELEM(signals); i++) {
		(void)signal(signals[i], SIG_IGN);
		(void)sigaddset(&set, signals[i]);
	}
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct err err = { "" };

	(void)pthread_setname_np(pthread_self(), "main");
	(void)log_start();
	if (start(w, &err) == -1) {
		log_error("cannot start: %s", err.text);
		log_stop();
		w->status = WORKER_EXIT_HOPELESS;
		return NULL;
	}
	serve(w);
	probe_thread_stop(&w->probes);
	/* The map goes on answering until the last transaction is over; then
	   nothing slow may follow, because libmilter still takes new ones. */
	drain();
	socketmap_server_stop(&w->map);
	log_stop();
	w->status = EXIT_SUCCESS;
	return NULL;
}

int
worker_run(struct config *config, const struct listeners *listeners,
    int from_fd, int to_fd)
{
	struct worker w = { .from_supervisor = from_fd,
		.to_supervisor = to_fd,
		.ask = { -1, -1 },
		.config = config,
		.listeners = listeners };
	pthread_t thread;

	ignore_signals();
	if (pthread_create(&thread, NULL, work, &w) != 0) {
		log_error("cannot start: no thread to be had");
		return WORKER_EXIT_HOPELESS;
	}
	(void)pthread_join(thread, NULL);
	return w.status;
}
