/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
/*
 * Asks servers of the map in turn, and says how fast they answer.
 *
 *	map_client [-c connections] [-n slices] [-r routes] [-t ms] SOCKET ...
 *
 * Each server gets as many slices of the time; the order turns round from one
 * round of slices to the next. Within a slice each connection has one question
 * out, as Postfix does it: the next one is asked when the answer has come. The
 * recipients are new ones each time, in domains at random among
 * dNNNNNNN.example, NNNNNNN below routes; all servers get the same ones.
 *
 * Prints a line for each server, of seven words: answers, answers a second; us
 * that half, 99 % and 99.9 % of the answers took at most, and the longest; mean
 * bytes of an answer.
 *
 * One thread with epoll costs less for an answer than the servers do, which
 * have the same system calls and more to do; so it is they that are measured.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SERVERS_MAX	4
#define CONNECTIONS_MAX 1000
#define PATIENCE_MS	30000 /* an answer that has not come by then never will */
#define REPLY_MAX	1024
#define FIRST_SAMPLES	65536
#define SECOND_NS	1000000000

#define QUESTION  "36:transport u00000000@d0000000.example,"
#define USER_AT	  14 /* where its digits end, and the domain's */
#define USER_LEN  8
#define ROUTE_AT  24
#define ROUTE_LEN 7

struct connection {
	int fd;
	uint64_t asked_ns;
	size_t have; /* bytes of the answer so far */
	char reply[REPLY_MAX];
};

struct server {
	const char *path;
	int epoll_fd;
	struct connection *connections;
	uint32_t *took_ns; /* of each answer */
	size_t n, room;
	uint64_t bytes;
	uint64_t spent_ns; /* in slices */
	uint64_t asked;	   /* the questions' sequence */
	uint64_t random;
};

static unsigned connections = 1, slices = 10, routes = 10, slice_ms = 20;

_Noreturn static void
fail(const char *what, const char *about)
{
	fprintf(stderr, "map_client: %s: %s\n", about, what);
	exit(EXIT_FAILURE);
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* -- asking --------------------------------------------------------------- */

static void
put_number(char *at, size_t len, uint64_t number)
{
	while (len > 0) {
		at[--len] = (char)('0' + number % 10);
		number /= 10;
	}
}

/* xorshift64: the same for all servers. */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
ask(struct server *server, struct connection *connection, uint64_t ns)
{
	char question[] = QUESTION;
	ssize_t len = sizeof(question) - 1;

	put_number(question + USER_AT, USER_LEN, server->asked++);
	put_number(question + ROUTE_AT, ROUTE_LEN,
	    next_random(&server->random) % routes);
	connection->asked_ns = ns;
	if (send(connection->fd, question, (size_t)len, MSG_NOSIGNAL) != len)
		fail("cannot ask", server->path);
}

/* Returns: whether the netstring is whole; it has to be an OK. */
static bool
is_answer(const struct server *server, const struct connection *connection)
{
	const char *colon = memchr(connection->reply, ':', connection->have);
	size_t head;

	if (colon == NULL)
		return false;
	head = (size_t)(colon + 1 - connection->reply);
	if (connection->have < head + strtoul(connection->reply, NULL, 10) + 1)
		return false;
	if (strncmp(colon, ":OK ", 4) != 0 ||
	    connection->reply[connection->have - 1] != ',')
		fail(connection->reply, server->path);
	return true;
}

static void
note(struct server *server, struct connection *connection, uint64_t ns)
{
	uint64_t took_ns = ns - connection->asked_ns;

	if (server->n == server->room) {
		server->room *= 2;
		server->took_ns = realloc(
		    server->took_ns, server->room * sizeof(*server->took_ns));
		if (server->took_ns == NULL)
			fail("out of memory", server->path);
	}
	server->took_ns[server->n++] =
	    took_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ns;
	server->bytes += connection->have;
	connection->have = 0;
}

/* Returns: whether the answer is whole and noted. */
static bool
take_answer(
    struct server *server, struct connection *connection, uint64_t *ns_r)
{
	ssize_t n = recv(connection->fd, connection->reply + connection->have,
	    sizeof(connection->reply) - 1 - connection->have, MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		fail("no answer", server->path);
	connection->have += (size_t)n;
	connection->reply[connection->have] = '\0';
	if (!is_answer(server, connection))
		return false;
	*ns_r = now_ns();
	note(server, connection, *ns_r);
	return true;
}

/* One slice; when it is over nothing is out any more. */
static void
one_slice(struct server *server)
{
	uint64_t start_ns = now_ns(), ns = start_ns;
	uint64_t end_ns = start_ns + (uint64_t)slice_ms * 1000000;
	struct epoll_event events[CONNECTIONS_MAX];
	unsigned out = connections;

	for (unsigned i = 0; i < connections; i++)
		ask(server, &server->connections[i], now_ns());
	while (out > 0) {
		int n = epoll_wait(
		    server->epoll_fd, events, (int)connections, PATIENCE_MS);

		if (n == 0 || (n == -1 && errno != EINTR))
			fail("no answer", server->path);
		for (int i = 0; i < n; i++) {
			struct connection *one = events[i].data.ptr;

			if (!take_answer(server, one, &ns))
				continue;
			if (ns < end_ns)
				ask(server, one, ns);
			else
				out--;
		}
	}
	server->spent_ns += ns - start_ns;
}

/* -- before and after ----------------------------------------------------- */

static int
connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		fail("the path is too long", path);
	(void)strcpy(address.sun_path, path);
	if (fd == -1 || connect(fd, (const struct sockaddr *)&address,
			    sizeof(address)) == -1)
		fail(strerror(errno), path);
	return fd;
}

static void
start_server(struct server *server, const char *path)
{
	server->path = path;
	server->random = 88172645463325252;
	server->room = FIRST_SAMPLES;
	server->took_ns = calloc(server->room, sizeof(*server->took_ns));
	server->connections = calloc(connections, sizeof(*server->connections));
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->took_ns == NULL || server->connections == NULL ||
	    server->epoll_fd == -1)
		fail("out of memory", path);
	for (unsigned i = 0; i < connections; i++) {
		struct connection *one = &server->connections[i];
		struct epoll_event event = { .events = EPOLLIN,
			.data.ptr = one };

		one->fd = connect_to(path);
		if (epoll_ctl(
			server->epoll_fd, EPOLL_CTL_ADD, one->fd, &event) == -1)
			fail(strerror(errno), path);
	}
	one_slice(server); /* accepts the connections: does not count */
	server->n = 0;
	server->bytes = server->spent_ns = 0;
}

static void
stop_server(struct server *server)
{
	for (unsigned i = 0; i < connections; i++)
		(void)close(server->connections[i].fd);
	(void)close(server->epoll_fd);
	free(server->connections);
	free(server->took_ns);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static double
took_us(const struct server *server, double share)
{
	size_t at = (size_t)((double)server->n * share);

	return server->took_ns[at < server->n ? at : server->n - 1] / 1000.0;
}

static void
print_server(struct server *server)
{
	qsort(server->took_ns, server->n, sizeof(*server->took_ns), compare);
	printf("%zu %.1f %.2f %.2f %.2f %.2f %.2f\n", server->n,
	    (double)server->n * SECOND_NS / (double)server->spent_ns,
	    took_us(server, 0.5), took_us(server, 0.99), took_us(server, 0.999),
	    took_us(server, 1), (double)server->bytes / (double)server->n);
}

static unsigned
number(const char *text, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != '\0' || value == 0 || value > max)
		fail("not a number in range", text);
	return (unsigned)value;
}

static void
read_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:n:r:t:")) != -1) {
		switch (option) {
		case 'c':
			connections = number(optarg, CONNECTIONS_MAX);
			break;
		case 'n':
			slices = number(optarg, 100000);
			break;
		case 'r':
			routes = number(optarg, 9999999);
			break;
		case 't':
			slice_ms = number(optarg, 60000);
			break;
		default:
			exit(2);
		}
	}
	if (optind == argc || argc - optind > SERVERS_MAX)
		fail("how many servers?", "usage");
}

int
main(int argc, char **argv)
{
	struct server servers[SERVERS_MAX] = { 0 };
	unsigned count;

	read_options(argc, argv);
	count = (unsigned)(argc - optind);
	for (unsigned i = 0; i < count; i++)
		start_server(&servers[i], argv[optind + (int)i]);
	for (unsigned slice = 0; slice < slices; slice++)
		for (unsigned i = 0; i < count; i++)
			one_slice(&servers[slice % 2 == 0 ? i : count - 1 - i]);
	for (unsigned i = 0; i < count; i++) {
		print_server(&servers[i]);
		stop_server(&servers[i]);
	}
	return EXIT_SUCCESS;
}
