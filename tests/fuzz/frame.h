/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * What all fuzz targets share: how a property is demanded, and how an input is
 * taken apart. A target calls the real code with hostile bytes and requires
 * what must hold whatever they are; the sanitizers watch the rest.
 *
 * Thread: the fuzzer's only one.
 */
#ifndef NH_TESTS_FUZZ_FRAME_H
#define NH_TESTS_FUZZ_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"

/* The target. Returns: 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

_Noreturn void require_failed(const char *what);
/* Ends the process, and so the run, with what when holds is false. */
static inline void
require(bool holds, const char *what)
{
	if (!holds)
		require_failed(what);
}

/* Requires that text ends within size and has printable ASCII only. */
void require_printable(const char *text, size_t size, const char *what);

/* A copy in a block of its own that ends where the text ends, so that reading
   on is noticed. Owns: the caller frees it. */
char *exact_copy(const void *data, size_t size);

/* The same with a zero byte behind it. */
char *string_copy(const void *data, size_t size);

/* A file of these bytes that is in memory only: nothing is left behind.
   Returns: its descriptor. */
int memory_file(const void *data, size_t size);

/* Where fd can be opened by name. */
#define FD_PATH_MAX 32
void fd_path(int fd, char path[static FD_PATH_MAX]);

/* The configuration that this text is. It must be one. Owns: the caller frees
   it with config_free. */
struct config *config_of(const char *text);

/* An input that steers as well as feeds: what is not there reads as 0. */
struct feed {
	const uint8_t *at;
	size_t left;
};

uint8_t feed_byte(struct feed *feed);
uint64_t feed_number(struct feed *feed, size_t n_bytes);

/* The next len bytes, or as many as there are. */
struct feed feed_piece(struct feed *feed, size_t len);

/* Where to cut a stream into pieces, drawn from a seed below 256: 0 does not
   cut, 1 cuts each byte off. */
struct cuts {
	uint64_t seed;
};

/* Returns: the length of the next piece of rest, which is not empty. */
size_t cuts_next(struct cuts *cuts, const struct feed *rest);

#endif
