/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the supervisor's only one, but for what it waits for. */
#include "milter/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/background.h"
#include "milter/clock.h"
#include "milter/listener.h"
#include "milter/log.h"
#include "milter/privileges.h"
#include "milter/service_manager.h"
#include "milter/worker.h"

/* A worker that lives shorter than this counts as a quick death. */
#define QUICK_DEATH_MS	2000
#define RESTART_MAX_MS	5000
#define STOP_TIMEOUT_MS 20000

struct supervisor {
	struct config *config;
	struct listeners listeners;
	int signals;   /* signalfd */
	int to_worker; /* -1: no worker */
	int from_worker;
	pid_t worker;
	uint64_t started_ms;
	uint32_t restart_wait_ms;
	uint64_t restart_at_ms;
	bool ready;	 /* a worker has been ready once */
	bool reload_due; /* no worker has heard of it yet */
	bool stopping;
	uint64_t kill_at_ms; /* while stopping */
	int exit_status;
};

static int
block_signals(struct err *err)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd == -1)
		err_set(err, "signalfd: %s", strerror(errno));
	return fd;
}

/* In the child: only its own ends of the pipes stay open, because end of file
   on its pipe must mean that the supervisor is gone. */
static void
be_worker(struct supervisor *s, const int down[2], const int up[2])
{
	int status;

	(void)setpgid(0, 0);
	(void)close(down[1]);
	(void)close(up[0]);
	(void)close(s->signals);
	status = worker_run(s->config, &s->listeners, down[0], up[1]);
	_exit(status);
}

/* A pipe that is full has more of the same in it; a worker that is dead is
   about to be found so. */
static void
tell_worker(struct supervisor *s, char what)
{
	if (s->to_worker != -1 && write(s->to_worker, &what, 1) == -1 &&
	    errno != EAGAIN && errno != EPIPE)
		log_warning("cannot tell the worker: %s", strerror(errno));
}

/* If the worker dies before it has heard, this is the first that the next one
   hears. (Not if it dies later: the new file may be what killed it.) */
static void
ask_for_reload(struct supervisor *s)
{
	s->reload_due = true;
	tell_worker(s, SUPERVISOR_SAYS_RELOAD);
}

static int
start_worker(struct supervisor *s)
{
	int down[2] = { -1, -1 }, up[2] = { -1, -1 };
	pid_t pid = -1;

	/* Neither side ever waits for the other. */
	if (pipe2(down, O_CLOEXEC | O_NONBLOCK) == 0 &&
	    pipe2(up, O_CLOEXEC | O_NONBLOCK) == 0)
		pid = fork();
	if (pid == 0)
		be_worker(s, down, up);
	if (pid == -1) {
		log_error("cannot start a worker: %s; tried again until it "
			  "can be",
		    strerror(errno));
		for (int i = 0; i < 2; i++) {
			if (down[i] != -1)
				(void)close(down[i]);
			if (up[i] != -1)
				(void)close(up[i]);
		}
		return -1;
	}
	(void)close(down[0]);
	(void)close(up[1]);
	s->to_worker = down[1];
	s->from_worker = up[0];
	s->worker = pid;
	s->started_ms = clock_boot_ms();
	if (s->reload_due)
		ask_for_reload(s);
	return 0;
}

/* A log file may have been renamed, or be another one now. */
static void
reopen_log(const struct supervisor *s)
{
	struct err err;

	if (log_open(&s->config->log, &err) == -1)
		log_warning("supervisor: %s; lines go where they went before",
		    err.text);
}

struct loading {
	const char *path;
	struct config *config; /* NULL: it is bad */
	struct config_problems problems;
};

static void
load(void *arg)
{
	struct loading *loading = arg;

	if (config_load(loading->path, &loading->config, &loading->problems) ==
	    -1)
		loading->config = NULL;
}

/* The worker has taken up a new file: a worker that must be started later has
   to begin with it too. */
static void
follow_reload(struct supervisor *s)
{
	struct loading loading = { .path = s->config->path };

	background_run(load, &loading);
	if (loading.config != NULL) {
		config_keep_restart_options(s->config, loading.config);
		config_free(&s->config);
		s->config = loading.config;
		reopen_log(s);
	} else {
		log_warning("%s changed again after the reload and is bad "
			    "now: a restart of the worker would go on with "
			    "the previous one; correct the file and reload",
		    s->config->path);
	}
	config_problems_free(&loading.problems);
}

static void
hear_worker(struct supervisor *s)
{
	char said[64];
	ssize_t n = read(s->from_worker, said, sizeof(said));
	bool reloaded = false;

	for (ssize_t i = 0; i < n; i++) {
		if (said[i] == WORKER_SAYS_READY) {
			if (!s->ready)
				service_manager_notify("READY=1");
			s->ready = true;
		} else if (said[i] == WORKER_SAYS_HEARD) {
			s->reload_due = false;
		} else if (said[i] == WORKER_SAYS_RELOADED) {
			reloaded = true;
		}
	}
	if (reloaded)
		follow_reload(s);
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
		(void)close(s->from_worker);
		s->from_worker = -1;
	}
}

static void
stop(struct supervisor *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->kill_at_ms = clock_boot_ms() + STOP_TIMEOUT_MS;
	service_manager_notify("STOPPING=1");
	tell_worker(s, SUPERVISOR_SAYS_STOP);
	/* The end of file says the same, should the pipe have been full. */
	if (s->to_worker != -1)
		(void)close(s->to_worker);
	s->to_worker = -1;
}

static void
forget_worker(struct supervisor *s)
{
	if (s->from_worker != -1)
		hear_worker(s);
	if (s->to_worker != -1)
		(void)close(s->to_worker);
	if (s->from_worker != -1)
		(void)close(s->from_worker);
	s->to_worker = -1;
	s->from_worker = -1;
	s->worker = -1;
}

/* A worker that dies again and again is given a growing pause. */
static void
plan_restart(struct supervisor *s)
{
	bool quick = clock_boot_ms() - s->started_ms < QUICK_DEATH_MS;

	if (!quick)
		s->restart_wait_ms = 0;
	else if (s->restart_wait_ms == 0)
		s->restart_wait_ms = 50;
	else
		s->restart_wait_ms = s->restart_wait_ms < RESTART_MAX_MS / 2
					 ? 2 * s->restart_wait_ms
					 : RESTART_MAX_MS;
	s->restart_at_ms = clock_boot_ms() + s->restart_wait_ms;
}

static void
bury_worker(struct supervisor *s, int status)
{
	pid_t pid = s->worker;

	forget_worker(s);
	if (s->stopping) {
		if (WIFSIGNALED(status))
			log_warning("worker %d ended by signal %d while "
				    "stopping",
			    (int)pid, WTERMSIG(status));
		return;
	}
	/* Only before the first success: a service that has run goes on trying.
	 */
	if (!s->ready && WIFEXITED(status) &&
	    WEXITSTATUS(status) == WORKER_EXIT_HOPELESS) {
		s->stopping = true;
		s->exit_status = 1;
		return;
	}
	plan_restart(s);
	if (WIFSIGNALED(status))
		log_error("worker %d ended by signal %d, starting another",
		    (int)pid, WTERMSIG(status));
	else
		log_error("worker %d ended with status %d, starting another",
		    (int)pid, WEXITSTATUS(status));
}

static void
reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->worker)
			bury_worker(s, status);
	}
}

static void
hear_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGHUP:
			/* The worker may not get as far as the log: the file
			   may be bad. */
			reopen_log(s);
			ask_for_reload(s);
			break;
		case SIGTERM:
		case SIGINT:
			stop(s);
			break;
		case SIGCHLD:
			reap(s);
			break;
		default:
			break;
		}
	}
}

/* How long poll may sleep: until a restart is due or patience is over. */
static int
next_wait(const struct supervisor *s)
{
	uint64_t now_ms = clock_boot_ms();

	if (s->stopping)
		return 500;
	if (s->worker != -1)
		return -1;
	return s->restart_at_ms > now_ms ? (int)(s->restart_at_ms - now_ms) : 0;
}

static void
start_worker_or_wait(struct supervisor *s)
{
	if (start_worker(s) == -1)
		s->restart_at_ms = clock_boot_ms() + RESTART_MAX_MS;
}

static void
turn(struct supervisor *s)
{
	struct pollfd fds[2] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->from_worker, .events = POLLIN },
	};
	int n = poll(fds, 2, next_wait(s));

	if (n > 0 && fds[1].revents != 0)
		hear_worker(s);
	if (n > 0 && fds[0].revents != 0)
		hear_signal(s);
	if (s->stopping && s->worker != -1 && clock_boot_ms() > s->kill_at_ms) {
		log_warning(
		    "worker %d does not stop, killing it", (int)s->worker);
		(void)kill(s->worker, SIGKILL);
		s->kill_at_ms = UINT64_MAX;
	}
	if (!s->stopping && s->worker == -1 &&
	    clock_boot_ms() >= s->restart_at_ms)
		start_worker_or_wait(s);
}

/* What root could open and the user cannot would be found out at a reload, long
   after whoever set it up has gone home. */
static void
warn_of_lost_access(const struct config *config)
{
	if (access(config->path, R_OK) == -1)
		log_warning("%s cannot be read without root: reloads will "
			    "fail: %s",
		    config->path, strerror(errno));
	if (config->log.target == CONFIG_LOG_FILE &&
	    access(config->log.path, W_OK) == -1)
		log_warning("log file %s cannot be opened without root: it "
			    "will not be rotated: %s",
		    config->log.path, strerror(errno));
}

static int
prepare(struct supervisor *s, struct err *err)
{
	privileges_raise_descriptors();
	s->signals = block_signals(err);
	if (s->signals == -1)
		return -1;
	if (listeners_open(s->config, &s->listeners, err) == -1)
		return -1;
	if (privileges_drop(s->config->user, err) == -1) {
		listeners_close(&s->listeners);
		return -1;
	}
	if (geteuid() == 0)
		log_warning("running as root: set user to an unprivileged one");
	warn_of_lost_access(s->config);
	return 0;
}

int
supervisor_run(struct config **config)
{
	struct supervisor s = { .config = *config,
		.signals = -1,
		.to_worker = -1,
		.from_worker = -1,
		.worker = -1 };
	struct err err;

	*config = NULL;
	if (prepare(&s, &err) == -1) {
		log_error("cannot start: %s", err.text);
		if (s.config->log.target != CONFIG_LOG_STDERR)
			(void)fprintf(stderr,
			    "nexthop-milter: cannot start: %s\n", err.text);
		config_free(&s.config);
		return 1;
	}
	start_worker_or_wait(&s);
	while (!s.stopping || s.worker != -1)
		turn(&s);
	listeners_close(&s.listeners);
	config_free(&s.config);
	(void)close(s.signals);
	log_info("stopped");
	return s.exit_status;
}
