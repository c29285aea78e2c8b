/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/probe.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/probe_connect.h"
#include "milter/probe_tls.h"
#include "policy/compiler.h"

#define READ_MAX 16384 /* bytes taken off the socket at a time */
#define RECORD_MAX                                                             \
	32768 /* the same below TLS: more than its largest record              \
	       */
/* How long a probe whose answer is known waits for the reply to its QUIT: good
   manners must not hold up what was found out. */
#define COURTESY_MS 500
/* A deadline that is missed by more than this was missed by us. */
#define OVERSLEPT_MS 2000

struct probe_env {
	struct event_base *base;
	SSL_CTX *tls;
};

struct probe {
	struct probe_env *env;
	struct event *timer;	    /* the deadline; and the one exit */
	struct event *connecting;   /* NULL once connected */
	int fd;			    /* -1 once it belongs to stream */
	struct bufferevent *stream; /* the socket, or TLS around it */
	bool over;		    /* on the way to the exit */
	bool courteous;
	uint32_t timeout_ms;
	uint64_t start_us;
	uint64_t start_boot_ms;
	struct probe_result result;
	probe_done_fn *done;
	void *arg;
	struct smtp_dialogue dialogue;
	char tls_name[HOST_NAME_MAX_LEN]; /* "": none */
};

/* ---- time ---- */

static uint64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void
arm(struct probe *probe, uint64_t wait_us)
{
	struct timeval wait = { (time_t)(wait_us / 1000000),
		(suseconds_t)(wait_us % 1000000) };

	(void)event_add(probe->timer, &wait);
}

static uint64_t
left_us(const struct probe *probe)
{
	uint64_t end = probe->start_us + (uint64_t)probe->timeout_ms * 1000;
	uint64_t now = now_us();

	return now < end ? end - now : 0;
}

/* ---- the one exit ---- */

static void
destroy(struct probe *probe)
{
	if (probe->stream != NULL)
		bufferevent_free(probe->stream);
	if (probe->connecting != NULL)
		event_free(probe->connecting);
	if (probe->fd != -1)
		(void)close(probe->fd);
	if (probe->timer != NULL)
		event_free(probe->timer);
	free(probe);
}

static void
probe_done(struct probe *probe)
{
	struct probe_result result = probe->result;
	probe_done_fn *done = probe->done;
	void *arg = probe->arg;

	result.seen = probe->dialogue.seen;
	result.seen.latency_us = probe->result.seen.latency_us;
	result.retry_plain = probe->dialogue.retry_plain;
	destroy(probe);
	done(arg, &result);
}

/* Nothing is torn down inside of the callbacks of what is torn down: the timer
   does it, at once. */
static void
finish(struct probe *probe)
{
	if (probe->over)
		return;
	probe->over = true;
	if (probe->stream != NULL) {
		bufferevent_setcb(probe->stream, NULL, NULL, NULL, NULL);
		(void)bufferevent_disable(probe->stream, EV_READ | EV_WRITE);
	}
	if (probe->connecting != NULL)
		(void)event_del(probe->connecting);
	(void)event_del(probe->timer);
	event_active(probe->timer, EV_TIMEOUT, 0);
}

static void
fail(struct probe *probe, enum outcome outcome, const char *text)
{
	smtp_dialogue_fail(&probe->dialogue, outcome, text);
	finish(probe);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;
	uint64_t slept_ms = clock_boot_ms() - probe->start_boot_ms;

	(void)fd;
	(void)what;
	if (!probe->over && slept_ms > probe->timeout_ms + OVERSLEPT_MS)
		smtp_dialogue_fail(&probe->dialogue, OUTCOME_LOCAL,
		    "this machine was asleep or too busy");
	else if (!probe->over)
		smtp_dialogue_fail(&probe->dialogue, OUTCOME_TIMEOUT, NULL);
	probe_done(probe);
}

/* The system's words are worth more than ours where the trouble is ours. */
static void
fail_connect(struct probe *probe, int error, bool at_once)
{
	enum outcome outcome = probe_connect_outcome(error, at_once);

	fail(probe, outcome,
	    outcome == OUTCOME_LOCAL || outcome == OUTCOME_UNREACHABLE
		? strerror(error)
		: NULL);
}

/* ---- the dialogue ---- */

static void start_tls(struct probe *probe);

/* Once the answer is known, the rest of the time is for QUIT only. */
static void
note_decision(struct probe *probe)
{
	uint64_t left = left_us(probe);

	if (!probe->dialogue.decided || probe->courteous)
		return;
	probe->courteous = true;
	probe->result.seen.latency_us = (uint32_t)(now_us() - probe->start_us);
	arm(probe, left < COURTESY_MS * 1000 ? left : COURTESY_MS * 1000);
}

static void
obey(struct probe *probe, enum smtp_dialogue_want want)
{
	const char *out = probe->dialogue.out;

	note_decision(probe);
	switch (want) {
	case SMTP_WANT_READ:
		break;
	case SMTP_WANT_SEND:
		if (bufferevent_write(probe->stream, out, strlen(out)) == -1)
			fail(probe, OUTCOME_LOCAL, "out of memory");
		break;
	case SMTP_WANT_TLS:
		start_tls(probe);
		break;
	case SMTP_WANT_CLOSE:
		finish(probe);
		break;
	}
}

static void
on_read(struct bufferevent *stream, void *arg)
{
	struct probe *probe = arg;
	struct evbuffer *input = bufferevent_get_input(stream);
	enum smtp_dialogue_want want;
	size_t len, used;

	while (!probe->over && stream == probe->stream &&
	       (len = evbuffer_get_length(input)) > 0) {
		const char *bytes = (const char *)evbuffer_pullup(input, -1);

		if (bytes == NULL) {
			fail(probe, OUTCOME_LOCAL, "out of memory");
			return;
		}
		want = smtp_dialogue_read(&probe->dialogue, bytes, len, &used);
		(void)evbuffer_drain(input, used);
		obey(probe, want);
	}
}

static void
on_event(struct bufferevent *stream, short what, void *arg)
{
	struct probe *probe = arg;
	int error = errno;
	unsigned long tls_error = 0;

	if (what & BEV_EVENT_CONNECTED) {
		obey(probe, smtp_dialogue_tls_up(&probe->dialogue));
		return;
	}
	if (bufferevent_openssl_get_ssl(stream) != NULL)
		tls_error = bufferevent_get_openssl_error(stream);
	if (tls_error != 0)
		fail(probe, OUTCOME_TLS, probe_tls_error_text(tls_error));
	else if (what & BEV_EVENT_EOF)
		fail(probe, OUTCOME_LOST, NULL);
	else
		fail(probe, probe_connect_lost(error), NULL);
}

/* The stream becomes TLS around the socket; from here on it owns both. */
static void
start_tls(struct probe *probe)
{
	struct bufferevent *socket = probe->stream;
	struct bufferevent *tls = NULL;
	SSL *ssl = probe_tls_new(probe->env->tls,
	    probe->tls_name[0] != '\0' ? probe->tls_name : NULL);

	if (ssl != NULL)
		tls = bufferevent_openssl_filter_new(probe->env->base, socket,
		    ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (tls == NULL) {
		SSL_free(ssl);
		fail(probe, OUTCOME_LOCAL, "out of memory");
		return;
	}
	probe->stream = tls;
	bufferevent_openssl_set_allow_dirty_shutdown(tls, 1);
	bufferevent_setwatermark(socket, EV_READ, 0, RECORD_MAX);
	bufferevent_setwatermark(tls, EV_READ, 0, READ_MAX);
	bufferevent_setcb(tls, on_read, NULL, on_event, probe);
	(void)bufferevent_enable(tls, EV_READ | EV_WRITE);
}

/* ---- connecting ---- */

static void
connected(struct probe *probe)
{
	event_free(probe->connecting);
	probe->connecting = NULL;
	probe->stream = bufferevent_socket_new(
	    probe->env->base, probe->fd, BEV_OPT_CLOSE_ON_FREE);
	if (probe->stream == NULL) {
		fail(probe, OUTCOME_LOCAL, "out of memory");
		return;
	}
	probe->fd = -1;
	bufferevent_setwatermark(probe->stream, EV_READ, 0, READ_MAX);
	bufferevent_setcb(probe->stream, on_read, NULL, on_event, probe);
	(void)bufferevent_enable(probe->stream, EV_READ | EV_WRITE);
	obey(probe, smtp_dialogue_connected(&probe->dialogue));
}

static void
on_connect(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0)
		fail_connect(probe, error, false);
	else
		connected(probe);
}

/* Returns: 0 (also when it goes on), or an errno. */
static int
open_connection(struct probe *probe, const struct endpoint *endpoint,
    const char *bind_address)
{
	int error = probe_connect(endpoint, bind_address, &probe->fd);

	if (error != 0)
		return error;
	(void)endpoint_local_text(probe->fd, probe->result.interface);
	probe->connecting =
	    event_new(probe->env->base, probe->fd, EV_WRITE, on_connect, probe);
	if (probe->connecting == NULL ||
	    event_add(probe->connecting, NULL) == -1)
		return ENOMEM;
	return 0;
}

/* A name that the other side cannot check is worth less than an address that
   it can: RFC 5321, section 4.1.4. */
static void
start_dialogue(struct probe *probe, const struct probe_options *options)
{
	char literal[ENDPOINT_TEXT_MAX + sizeof("[IPv6:]")];
	const char *address = probe->result.interface;
	struct smtp_dialogue_options dialogue = {
		.level = options->level,
		.plain = options->plain,
		.helo = options->helo,
		.sender = options->sender,
		.recipient = options->recipient,
		.line = options->line,
		.arg = options->line_arg,
	};

	if (options->helo[0] == '\0') {
		(void)snprintf(literal, sizeof(literal), "[%s%s]",
		    strchr(address, ':') != NULL ? "IPv6:" : "", address);
		dialogue.helo = literal;
	}
	smtp_dialogue_init(&probe->dialogue, &dialogue);
}

struct probe *
probe_start(struct probe_env *env, const struct endpoint *endpoint,
    const struct probe_options *options, probe_done_fn *done, void *arg)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	int error;

	if (probe == NULL)
		return NULL;
	probe->env = env;
	probe->fd = -1;
	probe->done = done;
	probe->arg = arg;
	probe->timeout_ms = options->timeout_ms;
	probe->start_us = now_us();
	probe->start_boot_ms = clock_boot_ms();
	memcpy(probe->result.interface, "-", 2);
	if (options->tls_name != NULL)
		(void)snprintf(probe->tls_name, sizeof(probe->tls_name), "%s",
		    options->tls_name);
	probe->timer = evtimer_new(env->base, on_timer, probe);
	if (probe->timer == NULL) {
		destroy(probe);
		return NULL;
	}
	error = open_connection(probe, endpoint, options->bind_address);
	start_dialogue(probe, options);
	arm(probe, (uint64_t)probe->timeout_ms * 1000);
	if (error != 0)
		fail_connect(probe, error, true);
	return probe;
}

void
probe_cancel(struct probe **probe)
{
	struct probe *old = *probe;

	*probe = NULL;
	if (old != NULL)
		destroy(old);
}

void
probe_unwatch(struct probe *probe)
{
	probe->dialogue.options.line = NULL;
}

int
probe_env_create(
    struct event_base *base, struct probe_env **env_r, struct err *err)
{
	struct probe_env *env = calloc(1, sizeof(*env));

	*env_r = NULL;
	if (env == NULL) {
		err_set(err, "no memory for probes");
		return -1;
	}
	env->base = base;
	if (probe_tls_create(&env->tls, err) == -1) {
		free(env);
		return -1;
	}
	*env_r = env;
	return 0;
}

void
probe_env_free(struct probe_env **env)
{
	struct probe_env *old = *env;

	*env = NULL;
	if (old == NULL)
		return;
	SSL_CTX_free(old->tls);
	free(old);
}
