/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any, each with a handle of its own. */
#include "policy/health_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/health_table_map.h"

void
health_table_unmap(struct health_table *table)
{
	if (table->header != NULL)
		(void)munmap(table->header, table->bytes);
	memset(table, 0, sizeof(*table));
}

int
health_table_map(
    int fd, const struct layout_header *judged, struct health_table *table_r)
{
	void *mapping = mmap(
	    NULL, judged->file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapping == MAP_FAILED)
		return -1;
	health_table_point(table_r, mapping, judged);
	return 0;
}

/*
 * May what is in this file be believed? Its group may be given the right to
 * write (overrides without being root); that is an administrator's choice. The
 * worker also wants it to be its own, or root's; a tool reads the table of the
 * daemon's user, whoever runs the tool.
 */
static bool
is_trusted(
    const struct stat *status, bool worker, const char *path, struct err *why)
{
	if ((status->st_mode & S_IWOTH) != 0) {
		err_set(why, "%s: anybody may write to it", path);
		return false;
	}
	if (worker && status->st_uid != geteuid() && status->st_uid != 0) {
		err_set(why, "%s: belongs to user %u", path,
		    (unsigned)status->st_uid);
		return false;
	}
	return true;
}

static enum health_table_found
refused(const char *path, struct err *why)
{
	err_set(why, "%s: %s", path, strerror(errno));
	return FOUND_REFUSED;
}

/* Judges a file by what fstat and the first bytes say, then maps it. */
static enum health_table_found
examine_file(int fd, const char *path, bool worker,
    struct health_table *table_r, struct err *why)
{
	struct layout_header header = { .major = 0 };
	struct stat status;
	struct err what;
	ssize_t got;

	if (fstat(fd, &status) == -1)
		return refused(path, why);
	if (!S_ISREG(status.st_mode)) {
		err_set(why, "%s: is no plain file", path);
		return FOUND_REFUSED;
	}
	if (!is_trusted(&status, worker, path, why))
		return FOUND_INVALID;
	got = pread(fd, &header, sizeof(header), 0);
	if (got == -1)
		return refused(path, why);
	if (health_table_check_header(&header,
		(size_t)got < sizeof(header) ? (uint64_t)got
					     : (uint64_t)status.st_size,
		&what) == -1) {
		err_set(why, "%s: %.150s", path, what.text);
		return FOUND_INVALID;
	}
	if (health_table_map(fd, &header, table_r) == -1)
		return refused(path, why);
	return FOUND_TABLE;
}

/*
 * NOFOLLOW: the link could lead anywhere. NONBLOCK: a pipe must not stop us.
 * The file that cannot be opened for want of permission may still be replaced
 * where the directory is ours.
 */
enum health_table_found
health_table_examine(const char *path, bool worker,
    struct health_table *table_r, struct err *why)
{
	enum health_table_found found;
	int fd =
	    open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1 && errno == ENOENT) {
		err_set(why, "%s: %s", path, strerror(errno));
		return FOUND_NOTHING;
	}
	if (fd == -1) {
		bool denied = errno == EACCES || errno == EPERM;

		err_set(why, "%s: %s", path,
		    errno == ELOOP ? "is a symbolic link" : strerror(errno));
		return denied ? FOUND_INVALID : FOUND_REFUSED;
	}
	found = examine_file(fd, path, worker, table_r, why);
	(void)close(fd);
	return found;
}

int
health_table_attach(const char *path, const uint8_t boot_id[16],
    struct health_table **table_r, struct err *why)
{
	struct health_table *table = calloc(1, sizeof(*table));

	why->text[0] = '\0';
	*table_r = NULL;
	if (table == NULL) {
		err_set(why, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (health_table_examine(path, false, table, why) != FOUND_TABLE) {
		free(table);
		return -1;
	}
	if (memcmp(table->header->boot_id, boot_id, 16) != 0) {
		err_set(why, "%s: is from before the last boot", path);
		health_table_close(&table);
		return -1;
	}
	*table_r = table;
	return 0;
}

void
health_table_close(struct health_table **table)
{
	if (*table == NULL)
		return;
	health_table_unmap(*table);
	free(*table);
	*table = NULL;
}
