/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; touches only what it is given. */
#include "milter/log_copy.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 1000 /* that are looked at: the probe thread waits */

static bool
open_entry(const char *folder, const char *entry, const struct tail_file *log,
    struct tail_file *copy_r)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s/%s", folder, entry);

	if (len < 0 || (size_t)len >= sizeof(path) ||
	    tail_file_open(path, copy_r) != 0)
		return false;
	if (tail_file_goes_on(copy_r, log))
		return true;
	tail_file_close(copy_r);
	return false;
}

static void
keep_longer(struct tail_file *best, struct tail_file *other)
{
	if (best->fd != -1 && tail_file_size(best) >= tail_file_size(other)) {
		tail_file_close(other);
		return;
	}
	tail_file_close(best);
	*best = *other;
}

bool
log_copy_open(const char *folder, const char *name, const struct tail_file *log,
    struct tail_file *copy_r)
{
	struct tail_file found;
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int n = 0;

	copy_r->fd = -1;
	if (dir == NULL)
		return false;
	while (n < NAMES_MAX && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, name, strlen(name)) != 0)
			continue;
		n++;
		if (open_entry(folder, entry->d_name, log, &found))
			keep_longer(copy_r, &found);
	}
	(void)closedir(dir);
	return copy_r->fd != -1;
}
