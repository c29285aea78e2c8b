/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "milter/control.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/control_parts.h"
#include "tests/fuzz/frame.h"

#define ANSWER_MAX (1 << 20)
#define TURNS_MAX  100000 /* of the loop, until all is answered */

/* One that is at hand, one that takes its time, one that takes lines: as those
   of the daemon are. */
static struct {
	struct control_request *waits; /* "reload" under way */
	bool observed;		       /* "observe" is */
} doings;

static void
run_at_once(struct control_request *request, const char *rest, void *arg)
{
	(void)arg;
	require(rest[strspn(rest, " \t")] == rest[0], "blanks are trimmed");
	control_say(request, "%s", rest);
	control_done(request, rest[0] == '-' ? rest : NULL);
}

static void
run_later(struct control_request *request, const char *rest, void *arg)
{
	(void)arg;
	(void)rest;
	require(doings.waits == NULL, "one request at a time");
	doings.waits = request;
}

static void
cancel_later(struct control_request *request, void *arg)
{
	(void)arg;
	require(doings.waits == request, "what is cancelled was under way");
	doings.waits = NULL;
}

static void
run_lines(struct control_request *request, const char *rest, void *arg)
{
	(void)arg;
	(void)rest;
	require(!doings.observed, "one request at a time");
	doings.observed = true;
	control_say(request, "listening");
}

static void
cancel_lines(struct control_request *request, void *arg)
{
	(void)request;
	(void)arg;
	require(doings.observed, "what is cancelled was under way");
	doings.observed = false;
}

static void
take_line(
    struct control_request *request, const char *text, size_t len, void *arg)
{
	require(doings.observed, "lines are of a request");
	require(len <= DELIVERY_LINE_MAX && memchr(text, '\n', len) == NULL,
	    "a line is one line");
	if (len == 0 || text[0] != '.')
		return;
	cancel_lines(request, arg);
	control_done(request, "enough");
}

static void
end_lines(struct control_request *request, void *arg)
{
	cancel_lines(request, arg);
	control_done(request, NULL);
}

static const struct control_command commands[] = {
	{ .name = "probe", .run = run_at_once },
	{ .name = "reload", .run = run_later, .cancel = cancel_later },
	{ .name = "observe",
	    .run = run_lines,
	    .cancel = cancel_lines,
	    .line = take_line,
	    .end = end_lines },
};

struct scene {
	struct event_base *base;
	struct control *control;
	int listen_fd;
	int peer;
	bool closed; /* by the server */
	size_t len;
	char answer[ANSWER_MAX];
};

static void
open_scene(struct scene *scene)
{
	/* Linux gives it a name. */
	const struct sockaddr name = { .sa_family = AF_UNIX };
	struct err err;

	(void)signal(SIGPIPE, SIG_IGN); /* as in the daemon */
	scene->base = event_base_new();
	scene->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(
	    scene->base != NULL && scene->listen_fd != -1 &&
		bind(scene->listen_fd, &name, sizeof(name.sa_family)) == 0 &&
		listen(scene->listen_fd, 1) == 0,
	    "there is a socket");
	require(control_create(scene->base, scene->listen_fd, commands,
		    NELEM(commands), NULL, &scene->control, &err) == 0,
	    "there is a server");
}

static void
join(struct scene *scene)
{
	int fds[2];

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
		    evutil_make_socket_nonblocking(fds[0]) == 0 &&
		    evutil_make_socket_nonblocking(fds[1]) == 0,
	    "there are sockets");
	scene->peer = fds[0];
	scene->closed = false;
	scene->len = 0;
	control_client_add(scene->control, fds[1]);
}

static void
listen_to(struct scene *scene)
{
	ssize_t n;

	while (!scene->closed) {
		n = recv(scene->peer, scene->answer + scene->len,
		    sizeof(scene->answer) - scene->len, 0);
		if (n == -1 && errno == EAGAIN)
			return;
		/* What we said last may not have been read: a reset. */
		scene->closed = n <= 0;
		if (n > 0)
			scene->len += (size_t)n;
	}
}

static void
turn(struct scene *scene, int how)
{
	struct control_request *request = doings.waits;

	if (request != NULL) {
		doings.waits = NULL;
		control_say(request, "taken up");
		control_done(request, NULL);
	}
	(void)event_base_loop(scene->base, how);
	listen_to(scene);
}

static void
talk(struct scene *scene, struct feed input, struct cuts *cuts)
{
	struct feed piece;

	while (input.left > 0 && !scene->closed) {
		piece = feed_piece(&input, cuts_next(cuts, &input));
		if (send(scene->peer, piece.at, piece.left, MSG_NOSIGNAL) == -1)
			break;
		turn(scene, EVLOOP_NONBLOCK);
	}
}

/* Who has said all and reads is answered, and is forgotten. */
static void
hang_up(struct scene *scene)
{
	(void)shutdown(scene->peer, SHUT_WR);
	for (int i = 0; i < TURNS_MAX && !scene->closed; i++)
		turn(scene,
		    doings.waits != NULL ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
	require(scene->closed && scene->control->n == 0 &&
		    doings.waits == NULL && !doings.observed,
	    "nothing stays of a client that has gone");
}

/* Who goes in the middle of it all, too. */
static void
drop(struct scene *scene)
{
	(void)close(scene->peer);
	scene->closed = true;
	for (int i = 0; i < TURNS_MAX && scene->control->n > 0; i++)
		turn(scene, EVLOOP_NONBLOCK);
	require(
	    scene->control->n == 0 && doings.waits == NULL && !doings.observed,
	    "nothing stays of a client that is lost");
}

static size_t
count_requests(struct feed input)
{
	size_t n = 0;

	while (input.left > 0)
		n += feed_byte(&input) == '\n';
	return n;
}

static void
check_answer_line(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		require((unsigned char)line[i] >= ' ' && line[i] != 0x7f,
		    "an answer is text");
	require((len >= 2 && memcmp(line, "= ", 2) == 0) ||
		    (len >= 6 && memcmp(line, "ERROR ", 6) == 0) ||
		    (len == 2 && memcmp(line, "OK", 2) == 0),
	    "an answer is told as it was agreed");
}

static void
check_answers(const struct scene *scene, size_t requests)
{
	const char *at = scene->len > 0 ? scene->answer : "", *eol;
	const char *end = at + scene->len;
	size_t n = 0;

	for (; at < end; at = eol + 1) {
		eol = memchr(at, '\n', (size_t)(end - at));
		require(eol != NULL, "an answer is whole");
		check_answer_line(at, (size_t)(eol - at));
		n += at[0] != '=';
	}
	/* And one for what is no request. */
	require(n <= requests + 1, "each request has one answer");
}

/* Input: how it is cut, how the client goes, then what it says. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene scene;
	struct feed input = { data, size };
	struct cuts cuts = { .seed = feed_byte(&input) };
	const bool drops = (feed_byte(&input) & 1) != 0;

	if (scene.base == NULL)
		open_scene(&scene);
	join(&scene);
	talk(&scene, input, &cuts);
	if (drops) {
		drop(&scene);
		return 0;
	}
	hang_up(&scene);
	check_answers(&scene, count_requests(input));
	(void)close(scene.peer);
	return 0;
}
