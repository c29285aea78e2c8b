/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the worker's main thread, before the others start. */
#include "milter/table_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* A predecessor that was just killed may take a moment to be gone. */
#define TRIES	 20
#define PAUSE_NS 50000000

static int
try_lock(int fd)
{
	const struct timespec pause = { 0, PAUSE_NS };

	for (int i = 0; i < TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
	return -1;
}

static void
blame(int fd, const char *path, struct err *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	err_set(err,
	    "%s is in use by another nexthop-milter (process %ld): give "
	    "each its own health_table",
	    path, strtol(pid, NULL, 10));
}

int
table_lock_take(const char *path, struct err *err)
{
	char name[PATH_MAX];
	int fd;

	if (snprintf(name, sizeof(name), "%s.lock", path) >=
	    (int)sizeof(name)) {
		err_set(err, "%s.lock: the path is too long", path);
		return -1;
	}
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd == -1) {
		err_set(err, "%s: %s", name, strerror(errno));
		return -1;
	}
	if (try_lock(fd) == -1) {
		blame(fd, path, err);
		(void)close(fd);
		return -1;
	}
	/* For the words of a refusal only: a failure here costs nothing. */
	if (ftruncate(fd, 0) == 0)
		(void)dprintf(fd, "%d\n", (int)getpid());
	return 0;
}
