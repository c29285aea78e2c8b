/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: get, put and refresh on any; all else on the probe thread. */
#include "milter/snapshot.h"

#include <assert.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/log.h"

/*
 * A mapping of the table, shared by the snapshots bound to it. Several exist
 * only between a reload that needed a larger file and the end of the last
 * snapshot before it. Touched by the probe thread alone.
 */
struct shared_table {
	struct health_table *table;
	dev_t device; /* which file it is */
	ino_t inode;
	unsigned users; /* snapshots, and one while it is the newest */
};

struct snapshot_private {
	_Atomic uint32_t references; /* one is held by being current */
	struct snapshot *next;	     /* in the chain of the retired */
	struct shared_table *shared;
};

static struct snapshot *_Atomic current;
/* Threads between their load of current and the count of their reference. */
static _Atomic uint32_t entering;
/* The probe thread's own. */
static struct snapshot *retired;
static struct shared_table *newest;
static uint32_t generation;

static void
shared_release(struct shared_table **shared)
{
	struct shared_table *old = *shared;

	*shared = NULL;
	if (old == NULL || --old->users > 0)
		return;
	health_table_close(&old->table);
	free(old);
}

static void
say_opened(const char *path, enum health_table_opened how,
    const struct health_table *table, const struct err *why)
{
	struct health_table_header_info info;

	health_table_header(table, &info);
	switch (how) {
	case HEALTH_TABLE_CREATED:
		log_info("health table %s: created for %u hosts", path,
		    info.hosts_max);
		break;
	case HEALTH_TABLE_ATTACHED:
		break; /* said when the deferred hosts are known */
	case HEALTH_TABLE_GROWN:
		log_info("health table %s: replaced by a larger one for %u "
			 "hosts, states kept",
		    path, info.hosts_max);
		break;
	case HEALTH_TABLE_REBOOTED:
		log_info("health table %s: from before the last boot, its "
			 "times are void: all hosts start up",
		    path);
		break;
	case HEALTH_TABLE_REPAIRED:
		log_warning("health table %s: repaired, the rest is kept: %s",
		    path, why->text);
		break;
	case HEALTH_TABLE_REBUILT:
		log_warning("health table %s: rebuilt, all hosts start up: %s",
		    path, why->text);
		break;
	}
}

static void
say_attached(const struct snapshot *snapshot)
{
	uint64_t now_ms = clock_boot_ms();
	uint32_t n = 0;

	for (uint32_t i = 0; i < snapshot->config->n_hosts; i++) {
		struct health_view view;

		health_table_view(snapshot->table, snapshot->base->host_slot[i],
		    now_ms, &view);
		if (view.state != HEALTH_UP)
			n++;
	}
	log_info("health table %s: attached, %u of %u hosts deferred",
	    snapshot->config->health_table, n, snapshot->config->n_hosts);
}

static void
make_birth(struct health_table_birth *birth_r)
{
	clock_boot_id(birth_r->boot_id);
	clock_random(&birth_r->ticket_key, sizeof(birth_r->ticket_key));
	birth_r->pid = (uint32_t)getpid();
	birth_r->now_ms = clock_boot_ms();
}

static void
note_file(struct shared_table *shared, const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return;
	shared->device = st.st_dev;
	shared->inode = st.st_ino;
}

/* Opens the file; on success it is the newest mapping. */
static int
open_table(const struct config *config, const struct health_table_size *wanted,
    enum health_table_opened *how_r, struct err *err)
{
	struct health_table_birth birth;
	struct shared_table *shared = calloc(1, sizeof(*shared));
	struct err why = { "" };

	if (shared == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	make_birth(&birth);
	if (health_table_open(config->health_table, wanted, &birth,
		&shared->table, how_r, &why) == -1) {
		/* The table's own words name the file. */
		*err = why;
		free(shared);
		return -1;
	}
	say_opened(config->health_table, *how_r, shared->table, &why);
	note_file(shared, config->health_table);
	shared->users = 1;
	shared_release(&newest);
	newest = shared;
	return 0;
}

/* How many hosts and sets of config the table does not know. */
static void
count_new(const struct config *config, const struct health_table *table,
    uint32_t *hosts_r, uint32_t *sets_r)
{
	*hosts_r = *sets_r = 0;
	for (uint32_t i = 0; i < config->n_hosts; i++)
		if (health_table_find_host(table, &config->hosts[i]) ==
		    HEALTH_TABLE_NONE)
			++*hosts_r;
	for (uint32_t i = 0; i < config->n_sets; i++) {
		if (i + NH_FETCH_AHEAD < config->n_sets)
			health_table_expect_set(
			    table, config->sets[i + NH_FETCH_AHEAD].key);
		if (health_table_find_set(table, config->sets[i].key) ==
		    HEALTH_TABLE_NONE)
			++*sets_r;
	}
}

/*
 * Sees to it that the newest mapping has room for config. A file never changes
 * its shape in place: a larger one takes its path, and snapshots of before keep
 * the old mapping until they are reaped.
 * Returns: 0 and whether the table was just attached, -1 with err.
 */
static int
table_for(const struct config *config, bool *attached_r, struct err *err)
{
	struct health_table_size wanted = { .hosts = config->n_hosts,
		.sets = config->n_sets,
		.tickets = config->tickets };
	enum health_table_opened how;
	struct health_table_header_info info;
	uint32_t new_hosts, new_sets;

	*attached_r = false;
	if (newest == NULL) {
		if (open_table(config, &wanted, &how, err) == -1)
			return -1;
		*attached_r = how == HEALTH_TABLE_ATTACHED;
		if (how == HEALTH_TABLE_CREATED)
			return 0;
	}
	count_new(config, newest->table, &new_hosts, &new_sets);
	if (health_table_has_room(newest->table, new_hosts, new_sets))
		return 0;
	health_table_header(newest->table, &info);
	wanted.hosts = info.hosts_used + new_hosts;
	wanted.sets = info.sets_used + new_sets;
	return open_table(config, &wanted, &how, err);
}

static void
snapshot_free(struct snapshot **snapshot)
{
	struct snapshot *old = *snapshot;

	*snapshot = NULL;
	if (old->base != NULL)
		lookup_base_free(&old->base);
	if (old->config != NULL)
		config_free(&old->config);
	if (old->private != NULL)
		shared_release(&old->private->shared);
	free(old->private);
	free(old);
}

/* An unpublished snapshot over the newest mapping; config is not in it yet. */
static struct snapshot *
snapshot_make(const struct config *config, struct err *err)
{
	struct snapshot *made = calloc(1, sizeof(*made));

	if (made != NULL)
		made->private = calloc(1, sizeof(*made->private));
	if (made == NULL || made->private == NULL) {
		free(made);
		err_set(err, "out of memory");
		return NULL;
	}
	made->table = newest->table;
	made->private->shared = newest;
	newest->users++;
	atomic_init(&made->private->references, 1);
	if (lookup_bind(config, newest->table, true, &made->base, err) == -1)
		snapshot_free(&made);
	return made;
}

static void
retire(struct snapshot *old)
{
	if (old == NULL)
		return;
	old->private->next = retired;
	retired = old;
	snapshot_put(&old);
}

int
snapshot_adopt(struct config *config, struct err *err)
{
	struct snapshot *made;
	bool attached;

	if (table_for(config, &attached, err) == -1)
		return -1;
	made = snapshot_make(config, err);
	if (made == NULL)
		return -1;
	made->config = config;
	made->generation = ++generation;
	if (attached)
		say_attached(made);
	health_table_set_generation(made->table, made->generation);
	retire(atomic_exchange(&current, made));
	return 0;
}

/*
 * The order matters, and it is why all of this is sequentially consistent: a
 * thread that is counted in entering may be about to take the snapshot that it
 * loaded; one that enters after the exchange in snapshot_adopt gets the new
 * one. So a retired snapshot without references, seen after entering was 0,
 * can never be had again.
 */
struct snapshot *
snapshot_get(void)
{
	struct snapshot *taken;

	(void)atomic_fetch_add(&entering, 1);
	taken = atomic_load(&current);
	assert(taken != NULL);
	(void)atomic_fetch_add(&taken->private->references, 1);
	(void)atomic_fetch_sub(&entering, 1);
	return taken;
}

void
snapshot_put(struct snapshot **snapshot)
{
	struct snapshot *mine = *snapshot;

	*snapshot = NULL;
	if (mine != NULL)
		(void)atomic_fetch_sub(&mine->private->references, 1);
}

bool
snapshot_refresh(struct snapshot **mine)
{
	if (*mine == atomic_load_explicit(&current, memory_order_acquire))
		return false;
	snapshot_put(mine);
	*mine = snapshot_get();
	return true;
}

bool
snapshot_table_in_place(void)
{
	struct snapshot *now = snapshot_get();
	struct health_table_header_info info;
	struct stat st;
	bool same;

	health_table_header(now->table, &info);
	same = stat(now->config->health_table, &st) == 0 &&
	       st.st_dev == newest->device && st.st_ino == newest->inode &&
	       (uint64_t)st.st_size >= info.bytes;

	snapshot_put(&now);
	return same;
}

void
snapshot_reap(void)
{
	struct snapshot **at = &retired;
	bool any = false;

	if (retired == NULL || atomic_load(&entering) != 0)
		return; /* next time */
	while (*at != NULL) {
		struct snapshot *dead = *at;

		if (atomic_load(&dead->private->references) > 0) {
			at = &dead->private->next;
			continue;
		}
		*at = dead->private->next;
		snapshot_free(&dead);
		any = true;
	}
	/* Each reload is parsed on a thread of its own, and glibc has these use
	   one arena after the other: what is free in all of them would be kept
	   for a long time. */
	if (any)
		(void)malloc_trim(0);
}

void
snapshot_end(void)
{
	retire(atomic_exchange(&current, NULL));
	snapshot_reap();
	assert(retired == NULL);
	shared_release(&newest);
	generation = 0;
}
