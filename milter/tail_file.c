/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one at a time. */
#include "milter/tail_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int
tail_file_open(const char *path, struct tail_file *file_r)
{
	struct stat info;
	int error;

	memset(file_r, 0, sizeof(*file_r));
	file_r->fd = -1;
	if (stat(path, &info) == -1)
		return errno;
	if (!S_ISREG(info.st_mode))
		return TAIL_NOT_REGULAR;
	/* It may be something else by now: never wait, nor get a terminal. */
	file_r->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (file_r->fd == -1)
		return errno;
	error = fstat(file_r->fd, &info) == -1 ? errno : 0;
	if (error == 0 && !S_ISREG(info.st_mode))
		error = TAIL_NOT_REGULAR;
	if (error != 0) {
		tail_file_close(file_r);
		return error;
	}
	file_r->device = info.st_dev;
	file_r->inode = info.st_ino;
	return 0;
}

void
tail_file_close(struct tail_file *file)
{
	if (file->fd != -1)
		(void)close(file->fd);
	file->fd = -1;
}

bool
tail_file_is(const struct tail_file *file, const struct stat *info)
{
	return file->device == info->st_dev && file->inode == info->st_ino;
}

bool
tail_file_to_end(struct tail_file *file)
{
	struct stat info;
	size_t want = TAIL_MARK;
	ssize_t n;

	if (fstat(file->fd, &info) == -1 || info.st_size == 0)
		return false;
	if (info.st_size < TAIL_MARK)
		want = (size_t)info.st_size;
	n = pread(file->fd, file->mark, want, info.st_size - (off_t)want);
	file->offset = info.st_size;
	file->n_mark = n > 0 ? (size_t)n : 0;
	return file->n_mark > 0 && file->mark[file->n_mark - 1] != '\n';
}

void
tail_file_restart(struct tail_file *file)
{
	file->offset = 0;
	file->n_mark = 0;
	file->fresh = true;
}

bool
tail_file_goes_on(struct tail_file *other, const struct tail_file *file)
{
	char bytes[TAIL_MARK];

	if (other->device == file->device && other->inode == file->inode)
		return false;
	if (pread(other->fd, bytes, file->n_mark,
		file->offset - (off_t)file->n_mark) != (ssize_t)file->n_mark ||
	    memcmp(bytes, file->mark, file->n_mark) != 0)
		return false;
	other->offset = file->offset;
	other->n_mark = file->n_mark;
	memcpy(other->mark, file->mark, file->n_mark);
	return true;
}

off_t
tail_file_size(const struct tail_file *file)
{
	struct stat info;

	return fstat(file->fd, &info) == -1 ? 0 : info.st_size;
}

/* A writer without O_APPEND goes on where it was: behind a hole, which may be
   as large as the log was. */
static void
pass_hole(struct tail_file *file)
{
	off_t data = lseek(file->fd, file->offset, SEEK_DATA);

	if (data > file->offset) {
		file->offset = data;
		file->n_mark = 0;
	}
}

/* What is left of the hole (file systems tell it in blocks, or not at all). */
static size_t
count_leading_zeros(const char *bytes, size_t len)
{
	size_t n = 0;

	while (n < len && bytes[n] == '\0')
		n++;
	return n;
}

static void
remember(struct tail_file *file, const char *bytes, size_t len)
{
	file->n_mark = len < TAIL_MARK ? len : TAIL_MARK;
	memcpy(file->mark, bytes + len - file->n_mark, file->n_mark);
}

enum tail_read
tail_file_read(struct tail_file *file, struct tail_buffer *buffer,
    const char **bytes_r, size_t *len_r)
{
	size_t have, skip = 0;
	ssize_t n;

	if (file->fresh)
		pass_hole(file);
	/* The mark and what follows it in one go: no truncation between. */
	n = pread(file->fd, buffer->bytes, file->n_mark + TAIL_PIECE,
	    file->offset - (off_t)file->n_mark);
	if (n == -1)
		return errno == EINTR ? TAIL_END : TAIL_ERROR;
	have = (size_t)n;
	if (have < file->n_mark ||
	    memcmp(buffer->bytes, file->mark, file->n_mark) != 0)
		return TAIL_TRUNCATED;
	if (have == file->n_mark) {
		if (have == 0)
			file->offset = 0;
		return TAIL_END;
	}
	*bytes_r = buffer->bytes + file->n_mark;
	*len_r = have - file->n_mark;
	if (file->fresh)
		skip = count_leading_zeros(*bytes_r, *len_r);
	file->offset += (off_t)*len_r;
	remember(file, buffer->bytes, have);
	*bytes_r += skip;
	*len_r -= skip;
	if (*len_r > 0)
		file->fresh = false;
	return TAIL_DATA;
}
