/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one, its own process, and one that answers. */

/*
 * What a lookup costs among few routes and among many.
 *
 *	lookup_bench bare|socket pools|lists FEW MANY DOMAINS
 *
 * Prints few_ns and many_ns. Fair means: the same number of distinct recipients
 * with addresses of equal length, a ticket for each, two hosts a route, the
 * same walk through the questions; the two sides take turns round by round, so
 * that a busy machine hits both.
 *
 * What many domains do cost is memory: the entries of 10 domains stay in the
 * processor's caches while nothing else runs, those of 40,000 do not. DOMAINS
 * says how many of them the questions to the large side name.
 *
 *   socket  a question and its answer cross a unix socket, as the MTA asks
 *   bare    nothing but lookups
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/route.h"
#include "policy/xalloc.h"
#include "tests/bench/bench_scene.h"

#define QUESTIONS     40000
#define QUESTION_SIZE 48
#define ROUNDS	      41
#define ASKED_BARE    20000 /* questions of a round */
#define ASKED_SOCKET  400
#define ANSWER_SIZE   (2 * HOST_TEXT_MAX)
#define SCATTER	      25561 /* a prime: domains in no sequence */
#define HOSTS	      400   /* of the large side */

struct side {
	struct bench_bound bound;
	char *questions; /* QUESTIONS strings of QUESTION_SIZE bytes */
	uint32_t next;	 /* the question that comes next */
	int socket;	 /* to the process that answers; -1 */
	pid_t answerer;
	double ns[ROUNDS];
};

/* -- the two sides -------------------------------------------------------- */

static void
load_side(
    struct side *side, uint32_t routes, uint32_t hosts, enum bench_shape shape)
{
	char path[BENCH_PATH_MAX];

	bench_write_config(bench_path("conf", path), routes, hosts, shape);
	bench_bind(bench_load(path), &side->bound);
	(void)unlink(path);
}

/*
 * Recipients all different, domains in a scattered sequence, a ticket for each
 * recipient.
 */
static void
make_questions(struct side *side, uint32_t domains)
{
	const struct lookup_base *base = side->bound.base;

	side->questions = xcalloc(QUESTIONS, QUESTION_SIZE);
	for (uint32_t i = 0; i < QUESTIONS; i++) {
		char *text = side->questions + (size_t)i * QUESTION_SIZE;
		struct address to;
		uint32_t route, ticket;

		(void)snprintf(text, QUESTION_SIZE, "user%05u@d%07u.example", i,
		    (uint32_t)((uint64_t)i * SCATTER % domains));
		if (!address_parse(text, strlen(text), &to))
			bench_fail("an address does not parse");
		route = lookup_route(base, &to);
		if (route == ROUTE_NONE ||
		    !lookup_draw(base, route, BENCH_START_MS, &ticket))
			bench_fail("a question has no route");
		lookup_leave(base, route, &to, ticket, BENCH_START_MS);
	}
}

static void
make_side(struct side *side, uint32_t routes, uint32_t hosts,
    enum bench_shape shape, uint32_t domains)
{
	memset(side, 0, sizeof(*side));
	side->socket = -1;
	load_side(side, routes, hosts, shape);
	make_questions(side, domains);
}

static const char *
next_question(struct side *side)
{
	const char *text = side->questions + (size_t)side->next * QUESTION_SIZE;

	side->next = (side->next + 1) % QUESTIONS;
	return text;
}

static void
ask_one(const struct side *side, const char *text, size_t len,
    struct lookup_answer *answer_r)
{
	if (lookup_recipient(side->bound.base, text, len, BENCH_START_MS + 5000,
		answer_r) != LOOKUP_HOSTS ||
	    answer_r->order.n != 2)
		bench_fail("an answer has not two hosts");
}

/* -- ways to ask; each returns ns a question ------------------------------ */

typedef double ask_way(struct side *side);

static double
ask_bare(struct side *side)
{
	double start = bench_seconds();
	struct lookup_answer answer;

	for (uint32_t i = 0; i < ASKED_BARE; i++) {
		const char *text = next_question(side);

		ask_one(side, text, strlen(text), &answer);
	}
	return (bench_seconds() - start) * 1e9 / ASKED_BARE;
}

/* The process at the other end: answers until the socket closes. */
static void
answer_all(const struct side *side, int fd)
{
	const struct lookup_base *base = side->bound.base;
	char text[QUESTION_SIZE], reply[ANSWER_SIZE];
	ssize_t len;

	while ((len = read(fd, text, sizeof(text))) > 0) {
		struct lookup_answer answer;
		size_t used;

		ask_one(side, text, (size_t)len, &answer);
		used = host_format(lookup_host(base, &answer, 0), reply);
		reply[used++] = ',';
		used +=
		    host_format(lookup_host(base, &answer, 1), reply + used);
		if (write(fd, reply, used) != (ssize_t)used)
			_exit(1);
	}
	_exit(0);
}

static void
start_answerer(struct side *side)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1)
		bench_fail("no socket");
	side->socket = pair[0];
	side->answerer = fork();
	if (side->answerer == -1)
		bench_fail("no process");
	if (side->answerer != 0) {
		(void)close(pair[1]);
		return;
	}
	(void)close(pair[0]);
	answer_all(side, pair[1]);
}

static void
stop_answerer(struct side *side)
{
	int status;

	if (side->socket == -1)
		return;
	/* Not close alone: the other side's process has the socket too. */
	(void)shutdown(side->socket, SHUT_RDWR);
	(void)close(side->socket);
	if (waitpid(side->answerer, &status, 0) == -1 || status != 0)
		bench_fail("the answering process failed");
}

static double
ask_socket(struct side *side)
{
	char reply[ANSWER_SIZE];
	double start;

	if (side->socket == -1)
		start_answerer(side);
	start = bench_seconds();
	for (uint32_t i = 0; i < ASKED_SOCKET; i++) {
		const char *text = next_question(side);
		size_t len = strlen(text);

		if (write(side->socket, text, len) != (ssize_t)len ||
		    read(side->socket, reply, sizeof(reply)) <= 0)
			bench_fail("no answer over the socket");
	}
	return (bench_seconds() - start) * 1e9 / ASKED_SOCKET;
}

/* -- comparing ------------------------------------------------------------ */

static int
compare_doubles(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static double
median_ns(struct side *side)
{
	qsort(side->ns, ROUNDS, sizeof(side->ns[0]), compare_doubles);
	return side->ns[ROUNDS / 2];
}

static void
compare_sides(struct side *few, struct side *many, ask_way *ask)
{
	(void)ask(few);
	(void)ask(many);
	for (int i = 0; i < ROUNDS; i++) {
		/* Who is first changes: what one leaves in the caches is the
		   other's loss. */
		if (i % 2 == 0)
			few->ns[i] = ask(few);
		many->ns[i] = ask(many);
		if (i % 2 == 1)
			few->ns[i] = ask(few);
	}
	printf("few_ns %.1f\nmany_ns %.1f\n", median_ns(few), median_ns(many));
}

static void
free_side(struct side *side)
{
	stop_answerer(side);
	free(side->questions);
	bench_unbind(&side->bound);
}

int
main(int argc, char **argv)
{
	enum bench_shape shape;
	struct side few, many;
	uint32_t n_few, n_many;

	if (argc != 6)
		bench_fail("bare|socket pools|lists FEW MANY DOMAINS");
	bench_stay_on_one_cpu();
	bench_begin_folder();
	shape = bench_shape(argv[2]);
	n_few = bench_number(argv[3], 1);
	n_many = bench_number(argv[4], 1);
	make_side(&few, n_few, 2 * n_few, shape, n_few);
	make_side(&many, n_many, HOSTS, shape, bench_number(argv[5], 1));
	bench_end_folder();
	compare_sides(&few, &many,
	    strcmp(argv[1], "socket") == 0 ? ask_socket : ask_bare);
	free_side(&few);
	free_side(&many);
	return EXIT_SUCCESS;
}
