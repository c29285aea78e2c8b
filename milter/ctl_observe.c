/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_observe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/ctl_client.h"
#include "milter/line_splitter.h"
#include "policy/printable.h"

#define INPUT_SIZE  (16 * 1024)
#define ANSWER_SIZE 4096
#define REQUEST	    "observe\n"
#ifndef CTL_OBSERVE_PAUSE_MS
#define CTL_OBSERVE_PAUSE_MS	 200 /* before the first new attempt */
#define CTL_OBSERVE_PAUSE_MAX_MS 5000
#define CTL_OBSERVE_REFUSED_MS	 60000
#define CTL_OBSERVE_LAST_MS	 30000 /* for the end of the exchange */
#endif

struct observe {
	const char *path;
	int in; /* -1: has ended */
	int fd; /* -1: not connected */
	FILE *out, *log;
	bool first; /* the connection is the first one */
	/* Boot time: the next attempt to connect; after the end of input, the
	   end of patience. */
	uint64_t due_ms;
	uint64_t connected_ms;
	unsigned pause_ms;	      /* the next one */
	unsigned long long n_dropped; /* since the connection was lost */
	struct line_splitter lines;
	/* Whole lines. Input is read only when all of them have been sent. */
	char output[INPUT_SIZE + DELIVERY_LINE_MAX + 1];
	size_t out_len, out_sent;
	char answer[ANSWER_SIZE];
	size_t answer_len;
};

/* How it goes on. */
enum step { STEP_ON = 0, STEP_DONE, STEP_FAILED };

NH_PRINTF(2, 3)
static void
tell(struct observe *it, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(it->log, "nexthopctl: ");
	vfprintf(it->log, fmt, ap);
	fprintf(it->log, "\n");
	(void)fflush(it->log);
	va_end(ap);
}

static void
tell_dropped(struct observe *it, const char *why)
{
	tell(it, "%s; %llu line%s dropped", why, it->n_dropped,
	    it->n_dropped == 1 ? " was" : "s were");
	it->n_dropped = 0;
}

/* ---- the connection ---- */

static int
connect_now(struct observe *it, struct err *err)
{
	it->fd = ctl_client_dial(it->path, err);
	if (it->fd == -1)
		return -1;
	it->connected_ms = clock_boot_ms();
	it->answer_len = 0;
	/* Fits into a new socket; what goes wrong is told by reading. */
	(void)send(it->fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL);
	return 0;
}

static void
try_again_in(struct observe *it, unsigned ms)
{
	it->due_ms = clock_boot_ms() + ms;
}

/* After pauses that grow. */
static void
try_again(struct observe *it)
{
	try_again_in(it, it->pause_ms);
	it->pause_ms *= 2;
	if (it->pause_ms > CTL_OBSERVE_PAUSE_MAX_MS)
		it->pause_ms = CTL_OBSERVE_PAUSE_MAX_MS;
}

/* A line that was sent in part is none. */
static void
disconnect(struct observe *it)
{
	(void)close(it->fd);
	it->fd = -1;
	it->first = false;
	for (size_t i = it->out_sent; i < it->out_len; i++)
		it->n_dropped += it->output[i] == '\n';
	it->out_sent = it->out_len = 0;
}

static enum step
on_lost(struct observe *it)
{
	disconnect(it);
	if (it->in == -1) {
		tell(it, "the daemon has gone; the last lines may be lost");
		return STEP_FAILED;
	}
	tell(it, "the daemon has gone; waiting for it, lines are dropped "
		 "meanwhile");
	/* A daemon that comes and goes is asked as rarely as one that does not
	   come. */
	if (clock_boot_ms() - it->connected_ms >= CTL_OBSERVE_PAUSE_MAX_MS)
		it->pause_ms = CTL_OBSERVE_PAUSE_MS;
	try_again(it);
	return STEP_ON;
}

static enum step
on_refused(struct observe *it, const char *words)
{
	char shown[256];

	(void)printable(words, strlen(words), shown, sizeof(shown));
	if (it->first || it->in == -1) {
		tell(it, "%s", shown);
		return STEP_FAILED;
	}
	disconnect(it);
	tell(it, "%s; trying again in %u s, lines are dropped meanwhile", shown,
	    CTL_OBSERVE_REFUSED_MS / 1000);
	try_again_in(it, CTL_OBSERVE_REFUSED_MS);
	return STEP_ON;
}

static void
reconnect(struct observe *it)
{
	struct err err;

	if (connect_now(it, &err) == 0)
		tell_dropped(it, "connected again");
	else
		try_again(it);
}

/* ---- what the daemon says ---- */

static enum step
take_answer_line(struct observe *it, const char *line)
{
	if (strcmp(line, "OK") == 0)
		return it->in == -1 ? STEP_DONE : on_lost(it);
	if (strncmp(line, "ERROR ", 6) == 0)
		return on_refused(it, line + 6);
	if (strncmp(line, "= ", 2) == 0)
		fprintf(it->out, "%s\n", line + 2);
	return STEP_ON;
}

static enum step
take_answer(struct observe *it)
{
	char *line = it->answer, *end;
	size_t left = it->answer_len;

	while ((end = memchr(line, '\n', left)) != NULL) {
		enum step step;

		*end = '\0';
		step = take_answer_line(it, line);
		if (step != STEP_ON || it->fd == -1)
			return step;
		left -= (size_t)(end + 1 - line);
		line = end + 1;
	}
	memmove(it->answer, line, left);
	it->answer_len = left;
	return STEP_ON;
}

static enum step
read_answer(struct observe *it)
{
	ssize_t n;

	if (it->answer_len == sizeof(it->answer))
		return on_refused(it, "an endless line from the daemon");
	n = recv(it->fd, it->answer + it->answer_len,
	    sizeof(it->answer) - it->answer_len, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return STEP_ON;
	if (n <= 0)
		return on_lost(it);
	it->answer_len += (size_t)n;
	return take_answer(it);
}

/* ---- lines ---- */

static void
take_line(struct observe *it, const char *line, size_t len)
{
	if (it->fd == -1) {
		it->n_dropped++;
		return;
	}
	memcpy(it->output + it->out_len, line, len);
	it->out_len += len;
	it->output[it->out_len++] = '\n';
}

static enum step
end_input(struct observe *it)
{
	it->in = -1;
	if (it->lines.len > 0)
		take_line(it, it->lines.text, it->lines.len);
	try_again_in(it, CTL_OBSERVE_LAST_MS);
	if (it->fd != -1)
		return STEP_ON;
	tell_dropped(it, "the daemon is not back at the end of input");
	return STEP_FAILED;
}

static enum step
read_input(struct observe *it)
{
	char bytes[INPUT_SIZE];
	const char *at = bytes, *line;
	ssize_t n = read(it->in, bytes, sizeof(bytes));
	size_t left, taken, len;

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return STEP_ON;
	if (n == -1)
		tell(it, "cannot read the input: %s", strerror(errno));
	if (n <= 0)
		return end_input(it);
	for (left = (size_t)n; left > 0; at += taken, left -= taken) {
		taken = line_splitter_take(&it->lines, at, left, &line, &len);
		if (line != NULL)
			take_line(it, line, len);
	}
	return STEP_ON;
}

/* An error here is the end of the connection, which reading tells. */
static void
send_lines(struct observe *it)
{
	ssize_t n = send(it->fd, it->output + it->out_sent,
	    it->out_len - it->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		it->out_sent += (size_t)n;
	if (it->out_sent == it->out_len)
		it->out_sent = it->out_len = 0;
}

/* ---- turns ---- */

/* Milliseconds until due_ms, where that means anything; else -1. */
static int
time_left(const struct observe *it)
{
	uint64_t now_ms = clock_boot_ms();

	if (it->fd != -1 && it->in != -1)
		return -1;
	return it->due_ms > now_ms ? (int)(it->due_ms - now_ms) : 0;
}

static enum step
on_due(struct observe *it)
{
	if (it->in == -1) {
		tell(it, "the daemon gave no answer in time");
		return STEP_FAILED;
	}
	reconnect(it);
	return STEP_ON;
}

static enum step
turn(struct observe *it)
{
	bool unsent = it->out_len > 0;
	struct pollfd in = { .fd = unsent ? -1 : it->in, .events = POLLIN };
	struct pollfd daemon = { .fd = it->fd, .events = POLLIN };
	struct pollfd fds[2];

	if (unsent)
		daemon.events |= POLLOUT;
	else if (it->in == -1)
		(void)shutdown(it->fd, SHUT_WR);
	fds[0] = in;
	fds[1] = daemon;
	if (poll(fds, 2, time_left(it)) == -1)
		return STEP_ON;
	/* Its words first: it may have refused, and closed. */
	if ((fds[1].revents & ~POLLOUT) != 0)
		return read_answer(it);
	if ((fds[1].revents & POLLOUT) != 0)
		send_lines(it);
	if (time_left(it) == 0)
		return on_due(it);
	if (fds[0].revents != 0)
		return read_input(it);
	return STEP_ON;
}

int
ctl_observe(const char *path, int in, FILE *out, FILE *log)
{
	struct observe it = { .path = path, .in = in, .fd = -1, .out = out };
	enum step step;
	struct err err;

	it.log = log;
	it.first = true;
	it.pause_ms = CTL_OBSERVE_PAUSE_MS;
	if (connect_now(&it, &err) == -1) {
		tell(&it, "%s", err.text);
		return CTL_TROUBLE;
	}
	do
		step = turn(&it);
	while (step == STEP_ON);
	if (it.fd != -1)
		(void)close(it.fd);
	return step == STEP_DONE ? CTL_OK : CTL_TROUBLE;
}

int
ctl_observe_run(struct ctl *ctl, int argc, char **argv)
{
	(void)argv;
	if (argc != 1) {
		fprintf(stderr, "usage: nexthopctl observe\n");
		return CTL_USAGE;
	}
	/* Whoever reads what is told here may go earlier. */
	(void)signal(SIGPIPE, SIG_IGN);
	return ctl_observe(ctl->control_socket, STDIN_FILENO, stdout, stderr);
}
