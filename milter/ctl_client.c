/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_client.h"

#include "milter/clock.h"
#include "policy/host.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_SIZE      4096
#define LINES_MAX      1000000 /* of one answer */
#define RELOAD_WAIT_MS 120000  /* a very large file, a busy machine */
#define PROBE_WAIT_MS  60000   /* when the probe's own limit is not known */
#define PROBE_EXTRA_MS 10000   /* on top of it: name lookup, a busy daemon */

struct talk {
	int fd;
	uint64_t end_ms; /* boot time */
	char line[LINE_SIZE];
	size_t have;
};

static void
set_connect_error(struct err *err, const char *path, int error)
{
	switch (error) {
	case ENOENT:
		err_set(err, "the daemon is not running (no socket %s)", path);
		return;
	case ECONNREFUSED:
		err_set(err, "the daemon is not running (nobody listens at %s)",
		    path);
		return;
	case EACCES:
	case EPERM:
		err_set(err,
		    "no permission for %s: only root and the "
		    "daemon's user have it",
		    path);
		return;
	case EAGAIN:
		err_set(err, "the daemon is too busy to answer at %s", path);
		return;
	default:
		err_set(err, "cannot connect to %s: %s", path, strerror(error));
		return;
	}
}

int
ctl_client_dial(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strncmp(path, "unix:", 5) == 0)
		path += 5;
	if (strlen(path) >= sizeof(address.sun_path)) {
		err_set(err, "the path of the control socket is too long");
		return -1;
	}
	(void)strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A unix socket connects at once or not at all. */
	if (fd != -1 &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	set_connect_error(err, path, errno);
	if (fd != -1)
		(void)close(fd);
	return -1;
}

/* Returns: 0 when the descriptor is ready, -1 with err when time is up. */
static int
wait_for(struct talk *talk, short events, struct err *err)
{
	struct pollfd pfd = { .fd = talk->fd, .events = events };
	uint64_t now_ms = clock_boot_ms();

	while (now_ms < talk->end_ms) {
		uint64_t left = talk->end_ms - now_ms;
		int n = poll(&pfd, 1, (int)left);

		if (n == 1)
			return 0;
		if (n == -1 && errno != EINTR)
			break;
		now_ms = clock_boot_ms();
	}
	err_set(err, "the daemon gave no answer in time");
	return -1;
}

static int
send_line(struct talk *talk, const char *request, struct err *err)
{
	char line[LINE_SIZE];
	size_t sent = 0, len;

	len = (size_t)snprintf(line, sizeof(line), "%s\n", request);
	while (sent < len) {
		ssize_t n =
		    send(talk->fd, line + sent, len - sent, MSG_NOSIGNAL);

		if (n > 0) {
			sent += (size_t)n;
		} else if (errno == EAGAIN) {
			if (wait_for(talk, POLLOUT, err) == -1)
				return -1;
		} else if (errno != EINTR) {
			/* An answer may wait all the same ("too many
			   clients"): reading tells. */
			return 0;
		}
	}
	return 0;
}

/*
 * Reads one line, without its end.
 * Returns: its text, valid until drop_line, or NULL with err.
 */
static char *
read_line(struct talk *talk, struct err *err)
{
	for (;;) {
		char *end = memchr(talk->line, '\n', talk->have);
		ssize_t n;

		if (end != NULL) {
			*end = '\0';
			return talk->line;
		}
		if (talk->have == sizeof(talk->line)) {
			err_set(err, "an endless line from the daemon");
			return NULL;
		}
		if (wait_for(talk, POLLIN, err) == -1)
			return NULL;
		n = recv(talk->fd, talk->line + talk->have,
		    sizeof(talk->line) - talk->have, 0);
		if (n > 0) {
			talk->have += (size_t)n;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			err_set(err, "the daemon closed the connection "
				     "without an answer");
			return NULL;
		}
	}
}

static void
drop_line(struct talk *talk)
{
	size_t len = strlen(talk->line) + 1;

	talk->have -= len;
	memmove(talk->line, talk->line + len, talk->have);
}

static enum ctl_answer
read_answer(struct talk *talk, FILE *out, struct err *err)
{
	for (int i = 0; i < LINES_MAX; i++) {
		char *line = read_line(talk, err);

		if (line == NULL)
			return CTL_ANSWER_NONE;
		if (strcmp(line, "OK") == 0)
			return CTL_ANSWER_OK;
		if (strncmp(line, "ERROR ", 6) == 0) {
			err_set(err, "%s", line + 6);
			return CTL_ANSWER_ERROR;
		}
		if (strncmp(line, "= ", 2) == 0)
			fprintf(out, "%s\n", line + 2);
		(void)fflush(out);
		drop_line(talk);
	}
	err_set(err, "an endless answer from the daemon");
	return CTL_ANSWER_NONE;
}

enum ctl_answer
ctl_client_ask(const char *path, const char *request, uint32_t wait_ms,
    FILE *out, struct err *err)
{
	struct talk talk = { .fd = ctl_client_dial(path, err) };
	enum ctl_answer answer = CTL_ANSWER_NONE;

	if (talk.fd == -1)
		return answer;
	talk.end_ms = clock_boot_ms() + wait_ms;
	if (send_line(&talk, request, err) == 0)
		answer = read_answer(&talk, out, err);
	(void)close(talk.fd);
	return answer;
}

static int
ask(const struct ctl *ctl, const char *request, uint32_t wait_ms, FILE *out)
{
	struct err err;

	if (ctl_client_ask(ctl->control_socket, request, wait_ms, out, &err) ==
	    CTL_ANSWER_OK)
		return CTL_OK;
	fprintf(stderr, "nexthopctl: %s\n", err.text);
	return CTL_TROUBLE;
}

/* The port of a host that is written without one: that of the configuration
   when the host has only one there. */
static uint16_t
configured_port(const struct ctl *ctl, const char *text)
{
	uint16_t port = 0;
	struct host wanted;
	struct err err;

	for (uint32_t i = 0; ctl->config != NULL && i < ctl->config->n_hosts;
	     i++) {
		const struct host *host = &ctl->config->hosts[i];

		if (host_parse(text, host->port, &wanted, &err) == -1 ||
		    !host_equal(&wanted, host) || host->port == port)
			continue;
		if (port != 0)
			return HOST_PORT_DEFAULT;
		port = host->port;
	}
	return port != 0 ? port : HOST_PORT_DEFAULT;
}

int
ctl_client_probe(struct ctl *ctl, int argc, char **argv)
{
	char request[HOST_TEXT_MAX + 8], text[HOST_TEXT_MAX];
	uint32_t wait_ms = PROBE_WAIT_MS;
	struct host host;
	struct err err;

	if (argc != 2) {
		fprintf(stderr, "usage: nexthopctl probe HOST[:PORT]\n");
		return CTL_USAGE;
	}
	if (host_parse(argv[1], configured_port(ctl, argv[1]), &host, &err) ==
	    -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return CTL_USAGE;
	}
	if (ctl->config != NULL)
		wait_ms = ctl->config->probe.timeout_ms + PROBE_EXTRA_MS;
	(void)host_format(&host, text);
	(void)snprintf(request, sizeof(request), "probe %s", text);
	return ask(ctl, request, wait_ms, stdout);
}

int
ctl_client_reload(struct ctl *ctl, int argc, char **argv)
{
	(void)argv;
	if (argc != 1) {
		fprintf(stderr, "usage: nexthopctl reload\n");
		return CTL_USAGE;
	}
	/* What the daemon tells are errors and warnings of the file. */
	if (ask(ctl, "reload", RELOAD_WAIT_MS, stderr) != CTL_OK)
		return CTL_TROUBLE;
	printf("configuration reloaded\n");
	return CTL_OK;
}
