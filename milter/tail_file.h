/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One open log file that others write to, read piece by piece from a place on.
 * Notices that it was truncated: when it is shorter than what was read, and
 * when the last bytes that were read are no longer where they were (truncated,
 * and grown again meanwhile). A file that was written anew with the very same
 * bytes there cannot be told from one that was only appended to.
 * Thread: one at a time.
 */
#ifndef NH_MILTER_TAIL_FILE_H
#define NH_MILTER_TAIL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "policy/compiler.h"

#define TAIL_PIECE (16 * 1024) /* bytes read at most at once */
#define TAIL_MARK  256

struct tail_file {
	int fd;
	dev_t device;
	ino_t inode;
	off_t offset; /* of what has not been read */
	size_t n_mark;
	char mark[TAIL_MARK]; /* the bytes before offset, as they were */
	bool fresh; /* truncated, and nothing read since: may begin with a hole
		     */
};

/* For tail_file_read; may be shared by files. */
struct tail_buffer {
	char bytes[TAIL_MARK + TAIL_PIECE];
};

enum tail_read {
	TAIL_END = 0, /* nothing new */
	TAIL_DATA,
	TAIL_TRUNCATED, /* goes on with tail_file_restart */
	TAIL_ERROR	/* errno */
};

#define TAIL_NOT_REGULAR (-1)

/*
 * Opens what path names, a symbolic link too, at its beginning. Anything but a
 * regular file is not even opened: that could wake or rewind something.
 * Returns: 0; an errno; TAIL_NOT_REGULAR. Owns: the caller, tail_file_close.
 */
int tail_file_open(
    const char *path, struct tail_file *file_r) NH_MUSTCHECK NH_ALL_NONNULL;
void tail_file_close(struct tail_file *file) NH_ALL_NONNULL;

/* Goes to the end. Returns: true when that is in the middle of a line. */
bool tail_file_to_end(struct tail_file *file) NH_ALL_NONNULL;

/* To the beginning, after a truncation. */
void tail_file_restart(struct tail_file *file) NH_ALL_NONNULL;

/* Does other, just opened, hold what was read of file last, in its place? Then
   it goes to what follows: it is a copy of what file was. Not when it is the
   same file. */
bool tail_file_goes_on(struct tail_file *other,
    const struct tail_file *file) NH_MUSTCHECK NH_ALL_NONNULL;

/* Units: bytes; 0: nothing is there, or it cannot be told. */
off_t tail_file_size(const struct tail_file *file) NH_ALL_NONNULL;

/* Is it the file of this stat(2)? */
bool tail_file_is(
    const struct tail_file *file, const struct stat *info) NH_ALL_NONNULL;

/* Reads on. With TAIL_DATA, *bytes_r (inside buffer) holds *len_r; that is 0
   when a part of a hole was passed. */
enum tail_read tail_file_read(struct tail_file *file,
    struct tail_buffer *buffer, const char **bytes_r,
    size_t *len_r) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
