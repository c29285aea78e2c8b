/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: open and replace are the probe thread's; attach is anybody's. */
#include "policy/health_table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/health_table_map.h"

#define FILE_MODE	0640
#define ROOM_MIN	64
#define ALLOCATE_TRIES	100 /* of a call that signals interrupt */
#define NEW_FILE_SUFFIX ".new"

/*
 * A disk that fills up later must not become a SIGBUS: the space is taken now.
 */
static int
reserve(int fd, uint64_t bytes)
{
	int error = EINTR;

	for (int i = 0; i < ALLOCATE_TRIES && error == EINTR; i++)
		error = posix_fallocate(fd, 0, (off_t)bytes);
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

static uint32_t
with_room(uint32_t wanted, uint32_t most)
{
	uint64_t n = (uint64_t)wanted + wanted / 2;

	if (wanted > most)
		return wanted; /* health_table_plan says no */
	if (n < ROOM_MIN)
		n = ROOM_MIN;
	return n < most ? (uint32_t)n : most;
}

static uint32_t
larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* A header for what is wanted and for what old has. */
static int
plan(const struct health_table_size *wanted, const struct health_table *old,
    bool keep_tickets, const struct health_table_birth *birth,
    struct layout_header *header_r)
{
	struct health_table_size size = *wanted;
	struct health_table_header_info info = { .bytes = 0 };
	struct hash_key key = birth->ticket_key;

	if (old != NULL)
		health_table_header(old, &info);
	if (keep_tickets) {
		key = old->ticket_key;
		size.tickets = larger(wanted->tickets, info.tickets_max);
	}
	size.hosts =
	    with_room(larger(wanted->hosts, info.hosts_used), LAYOUT_HOSTS_MAX);
	size.sets =
	    with_room(larger(wanted->sets, info.sets_used), LAYOUT_SETS_MAX);
	if (health_table_plan(&size, header_r) == -1) {
		errno = EFBIG;
		return -1;
	}
	memcpy(header_r->boot_id, birth->boot_id, sizeof(header_r->boot_id));
	header_r->ticket_key[0] = key.k0;
	header_r->ticket_key[1] = key.k1;
	header_r->check = health_table_header_check(header_r);
	return 0;
}

/* Who writes from now on. */
static void
sign(struct health_table *table, const struct health_table_birth *birth)
{
	atomic_store_explicit(
	    &table->header->writer_pid, birth->pid, memory_order_relaxed);
	atomic_store_explicit(&table->header->writer_start_ms, birth->now_ms,
	    memory_order_relaxed);
	health_table_heartbeat(table, birth->now_ms);
}

/* An empty table in an open new file. */
static int
fill_file(int fd, const struct layout_header *header,
    const struct health_table_birth *birth, struct health_table *table_r)
{
	if (fchmod(fd, FILE_MODE) == -1 ||
	    reserve(fd, header->file_size) == -1 ||
	    health_table_map(fd, header, table_r) == -1)
		return -1;
	memcpy(table_r->header, header, LAYOUT_FIXED_SIZE);
	sign(table_r, birth);
	return 0;
}

/* What an earlier life left half-made under the name goes first. The one
   writer is alone here; its lock sees to that. */
static int
create_file(const char *new_path, const struct layout_header *header,
    const struct health_table_birth *birth, struct health_table *table_r)
{
	int fd, failed, error;

	if (unlink(new_path) == -1 && errno != ENOENT)
		return -1;
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    FILE_MODE);
	if (fd == -1)
		return -1;
	failed = fill_file(fd, header, birth, table_r);
	error = errno;
	(void)close(fd);
	if (failed == -1)
		(void)unlink(new_path);
	errno = error;
	return failed;
}

/* What the old table hands on. */
struct inheritance {
	struct health_table *old; /* NULL: nothing */
	bool other_boot;
};

/*
 * Marks before it carries: an override that comes too late to be carried finds
 * the mark, and its writer goes to the new file (health_table_set_override).
 */
static int
take_over(const char *path, const char *new_path,
    const struct inheritance *from, uint64_t now_ms, struct health_table *table)
{
	int error;

	if (from->old != NULL) {
		atomic_store(&from->old->header->superseded, 1);
		health_table_carry(table, from->old, from->other_boot, now_ms);
		health_table_set_generation(
		    table, atomic_load_explicit(&from->old->header->generation,
			       memory_order_relaxed));
	}
	if (rename(new_path, path) == 0)
		return 0;
	error = errno;
	if (from->old != NULL)
		atomic_store(&from->old->header->superseded, 0);
	(void)unlink(new_path);
	health_table_unmap(table);
	errno = error;
	return -1;
}

/* Writes a new file beside path and gives it path's name. */
static int
replace(const char *path, const struct health_table_size *wanted,
    const struct health_table_birth *birth, const struct inheritance *from,
    struct health_table *table_r, struct err *why)
{
	char new_path[PATH_MAX];
	struct layout_header header;
	int len =
	    snprintf(new_path, sizeof(new_path), "%s%s", path, NEW_FILE_SUFFIX);

	errno = ENAMETOOLONG;
	if (len < 0 || (size_t)len >= sizeof(new_path) ||
	    plan(wanted, from->old, from->old != NULL && !from->other_boot,
		birth, &header) == -1 ||
	    create_file(new_path, &header, birth, table_r) == -1 ||
	    take_over(path, new_path, from, birth->now_ms, table_r) == -1) {
		err_set(why, "%s: cannot create it: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

/* A file of the first layout lacks a section. */
static bool
is_too_small(
    const struct health_table *table, const struct health_table_size *wanted)
{
	return table->history == NULL || table->hosts_max < wanted->hosts ||
	       table->sets_max < wanted->sets ||
	       table->tickets_max < wanted->tickets;
}

static enum health_table_opened
repair(uint32_t bad, struct err *why)
{
	err_set(why, "%u entries do not validate and are dropped", bad);
	return HEALTH_TABLE_REPAIRED;
}

/* What to do with a valid file. Fills why for HEALTH_TABLE_REPAIRED. */
static enum health_table_opened
judge(const struct health_table *table, const struct health_table_size *wanted,
    const struct health_table_birth *birth, bool *other_boot_r, struct err *why)
{
	uint32_t bad;

	*other_boot_r = memcmp(table->header->boot_id, birth->boot_id,
			    sizeof(birth->boot_id)) != 0;
	bad = health_table_count_bad(table, *other_boot_r ? 0 : birth->now_ms);
	if (bad > 0)
		return repair(bad, why);
	if (*other_boot_r)
		return HEALTH_TABLE_REBOOTED;
	return is_too_small(table, wanted) ? HEALTH_TABLE_GROWN
					   : HEALTH_TABLE_ATTACHED;
}

/* Continues a table that was found. */
static int
continue_table(const char *path, const struct health_table_size *wanted,
    const struct health_table_birth *birth, struct health_table *found,
    struct health_table *table_r, enum health_table_opened *how_r,
    struct err *why)
{
	struct inheritance from = { .old = found };
	uint32_t bad;
	int result;

	*how_r = judge(found, wanted, birth, &from.other_boot, why);
	if (*how_r == HEALTH_TABLE_ATTACHED) {
		bad = health_table_repair(found);
		if (bad == 0) {
			sign(found, birth);
			*table_r = *found;
			return 0;
		}
		*how_r = repair(bad, why);
	}
	result = replace(path, wanted, birth, &from, table_r, why);
	health_table_unmap(found);
	return result;
}

static int
open_table(const char *path, const struct health_table_size *wanted,
    const struct health_table_birth *birth, struct health_table *table_r,
    enum health_table_opened *how_r, struct err *why)
{
	struct inheritance nothing = { .old = NULL };
	struct health_table found = { .header = NULL };
	enum health_table_found what =
	    health_table_examine(path, true, &found, why);
	struct err failed;

	switch (what) {
	case FOUND_REFUSED:
		return -1;
	case FOUND_TABLE:
		return continue_table(
		    path, wanted, birth, &found, table_r, how_r, why);
	case FOUND_NOTHING:
	case FOUND_INVALID:
		break;
	}
	*how_r =
	    what == FOUND_NOTHING ? HEALTH_TABLE_CREATED : HEALTH_TABLE_REBUILT;
	if (replace(path, wanted, birth, &nothing, table_r, &failed) == 0)
		return 0;
	*why = failed;
	return -1;
}

int
health_table_open(const char *path, const struct health_table_size *wanted,
    const struct health_table_birth *birth, struct health_table **table_r,
    enum health_table_opened *how_r, struct err *why)
{
	struct health_table *table = calloc(1, sizeof(*table));

	why->text[0] = '\0';
	*how_r = HEALTH_TABLE_CREATED;
	*table_r = NULL;
	if (table == NULL) {
		err_set(why, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (open_table(path, wanted, birth, table, how_r, why) == -1) {
		free(table);
		return -1;
	}
	if (*how_r != HEALTH_TABLE_REPAIRED && *how_r != HEALTH_TABLE_REBUILT)
		why->text[0] = '\0';
	*table_r = table;
	return 0;
}
