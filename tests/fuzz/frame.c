/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "tests/fuzz/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/hash.h"

_Noreturn void
require_failed(const char *what)
{
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

void
require_printable(const char *text, size_t size, const char *what)
{
	const size_t len = strnlen(text, size);

	require(len < size, what);
	for (size_t i = 0; i < len; i++)
		require(text[i] >= ' ' && text[i] <= '~', what);
}

char *
exact_copy(const void *data, size_t size)
{
	char *copy = malloc(size > 0 ? size : 1);

	require(copy != NULL, "there is memory");
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

char *
string_copy(const void *data, size_t size)
{
	char *copy = malloc(size + 1);

	require(copy != NULL, "there is memory");
	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

int
memory_file(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	require(fd != -1, "there is a file in memory");
	require(write(fd, data, size) == (ssize_t)size, "it can be written");
	return fd;
}

void
fd_path(int fd, char path[static FD_PATH_MAX])
{
	(void)snprintf(path, FD_PATH_MAX, "/proc/self/fd/%d", fd);
}

struct config *
config_of(const char *text)
{
	struct config_problems problems;
	struct config *config;
	char path[FD_PATH_MAX];
	int fd = memory_file(text, strlen(text));

	fd_path(fd, path);
	if (config_load(path, &config, &problems) == -1)
		require(false, problems.list[0].text);
	config_problems_free(&problems);
	(void)close(fd);
	return config;
}

uint8_t
feed_byte(struct feed *feed)
{
	if (feed->left == 0)
		return 0;
	feed->left--;
	return *feed->at++;
}

uint64_t
feed_number(struct feed *feed, size_t n_bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < n_bytes; i++)
		number = number << 8 | feed_byte(feed);
	return number;
}

struct feed
feed_piece(struct feed *feed, size_t len)
{
	struct feed piece = { feed->at, len < feed->left ? len : feed->left };

	feed->at += piece.left;
	feed->left -= piece.left;
	return piece;
}

/* Mostly short, so that cuts fall everywhere. */
size_t
cuts_next(struct cuts *cuts, const struct feed *rest)
{
	size_t len;

	if (cuts->seed == 0)
		return rest->left;
	if (cuts->seed == 1)
		return 1;
	cuts->seed = hash_mix(cuts->seed);
	len = 1 + cuts->seed % 23;
	return len < rest->left ? len : rest->left;
}
