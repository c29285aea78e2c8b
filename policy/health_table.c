/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; adding and header updates are the probe thread's. */
#include "policy/health_table.h"

#include <assert.h>
#include <string.h>

#include "policy/health_table_map.h"

#define CURSOR_START_MASK 0xffffu

bool
health_table_superseded(const struct health_table *table)
{
	return atomic_load(&table->header->superseded) != 0;
}

/* Counts in the file are clamped: a capacity is never exceeded. */
static uint32_t
hosts_used(const struct health_table *table)
{
	uint32_t n = atomic_load_explicit(
	    &table->header->hosts_used, memory_order_acquire);

	return n < table->hosts_max ? n : table->hosts_max;
}

static uint32_t
sets_used(const struct health_table *table)
{
	uint32_t n = atomic_load_explicit(
	    &table->header->sets_used, memory_order_acquire);

	return n < table->sets_max ? n : table->sets_max;
}

bool
health_table_has_room(
    const struct health_table *table, uint32_t new_hosts, uint32_t new_sets)
{
	return new_hosts <= table->hosts_max - hosts_used(table) &&
	       new_sets <= table->sets_max - sets_used(table);
}

void
health_table_header(
    const struct health_table *table, struct health_table_header_info *info_r)
{
	const struct layout_header *header = table->header;

	*info_r = (struct health_table_header_info){
		.generation = atomic_load_explicit(
		    &header->generation, memory_order_acquire),
		.writer_pid = atomic_load_explicit(
		    &header->writer_pid, memory_order_relaxed),
		.hosts_used = hosts_used(table),
		.hosts_max = table->hosts_max,
		.sets_used = sets_used(table),
		.sets_max = table->sets_max,
		.tickets_max = table->tickets_max,
		.heartbeat_ms = atomic_load_explicit(
		    &header->heartbeat_ms, memory_order_relaxed),
		.writer_start_ms = atomic_load_explicit(
		    &header->writer_start_ms, memory_order_relaxed),
		.bytes = table->bytes,
	};
}

void
health_table_set_generation(struct health_table *table, uint32_t n)
{
	atomic_store_explicit(
	    &table->header->generation, n, memory_order_release);
}

void
health_table_heartbeat(struct health_table *table, uint64_t now_ms)
{
	atomic_store_explicit(
	    &table->header->heartbeat_ms, now_ms, memory_order_relaxed);
}

struct layout_host *
health_table_slot(const struct health_table *table, uint32_t slot)
{
	assert(slot < table->hosts_max);
	return &table->hosts[slot];
}

static struct layout_set *
set_at(const struct health_table *table, uint32_t slot)
{
	assert(slot < table->sets_max);
	return &table->sets[slot];
}

/*
 * Open addressing, at most half full: slot + 1 stands at the first free cell
 * from the hash on. match says whether a slot is the one that is looked for.
 */
struct index_search {
	const struct health_table *table;
	uint64_t hash;
	const char *text; /* of a host; unused for a set */
};

typedef bool index_match(const struct index_search *search, uint32_t slot);

static bool
host_matches(const struct index_search *search, uint32_t slot)
{
	const struct layout_host *host;

	if (slot >= search->table->hosts_max)
		return false;
	host = &search->table->hosts[slot];
	return atomic_load_explicit(&host->used, memory_order_acquire) ==
		   LAYOUT_USED &&
	       host->key == search->hash &&
	       strncmp(host->text, search->text, sizeof(host->text)) == 0;
}

static bool
set_matches(const struct index_search *search, uint32_t slot)
{
	const struct layout_set *set;

	if (slot >= search->table->sets_max)
		return false;
	set = &search->table->sets[slot];
	return atomic_load_explicit(&set->used, memory_order_acquire) ==
		   LAYOUT_USED &&
	       set->key == search->hash;
}

/*
 * Returns: the matching slot, or HEALTH_TABLE_NONE; *cell_r is then the free
 * cell where it would go, UINT32_MAX when there is none.
 */
static uint32_t
index_find(_Atomic uint32_t *index, uint32_t mask,
    const struct index_search *search, index_match *match, uint32_t *cell_r)
{
	uint32_t cell, entry;

	*cell_r = UINT32_MAX;
	for (uint32_t i = 0; i <= mask; i++) {
		cell = ((uint32_t)hash_mix(search->hash) + i) & mask;
		entry =
		    atomic_load_explicit(&index[cell], memory_order_acquire);
		if (entry == 0) {
			*cell_r = cell;
			return HEALTH_TABLE_NONE;
		}
		if (match(search, entry - 1))
			return entry - 1;
	}
	return HEALTH_TABLE_NONE;
}

static uint32_t
find_host_text(const struct health_table *table, const char *text,
    uint64_t hash, uint32_t *cell_r)
{
	struct index_search search = { table, hash, text };

	return index_find(table->host_index, table->host_index_mask, &search,
	    host_matches, cell_r);
}

static uint32_t
find_set_key(const struct health_table *table, uint64_t key, uint32_t *cell_r)
{
	struct index_search search = { table, key, NULL };

	return index_find(table->set_index, table->set_index_mask, &search,
	    set_matches, cell_r);
}

uint32_t
health_table_find_host(
    const struct health_table *table, const struct host *host)
{
	char text[HOST_TEXT_MAX];
	size_t len = host_format(host, text);
	uint32_t cell;

	return find_host_text(
	    table, text, hash_bytes(hash_key_fixed, text, len), &cell);
}

bool
health_table_index_host(struct health_table *table, uint32_t slot)
{
	const struct layout_host *host = health_table_slot(table, slot);
	uint32_t cell,
	    found = find_host_text(table, host->text, host->key, &cell);

	if (found != HEALTH_TABLE_NONE || cell == UINT32_MAX)
		return found == slot;
	atomic_store_explicit(
	    &table->host_index[cell], slot + 1, memory_order_release);
	return true;
}

bool
health_table_index_set(struct health_table *table, uint32_t slot)
{
	uint32_t cell,
	    found = find_set_key(table, set_at(table, slot)->key, &cell);

	if (found != HEALTH_TABLE_NONE || cell == UINT32_MAX)
		return found == slot;
	atomic_store_explicit(
	    &table->set_index[cell], slot + 1, memory_order_release);
	return true;
}

/*
 * Fill, then mark used, then count, then index: killed after any of these
 * steps, the next writer finds either nothing or a whole slot
 * (health_table_repair).
 */
uint32_t
health_table_add_host(struct health_table *table, const struct host *host)
{
	uint32_t slot = health_table_find_host(table, host);
	struct layout_host *at;
	size_t len;

	if (slot != HEALTH_TABLE_NONE)
		return slot;
	slot = hosts_used(table);
	if (slot == table->hosts_max)
		return HEALTH_TABLE_NONE;
	at = health_table_slot(table, slot);
	memset(at->text, 0, sizeof(at->text));
	len = host_format(host, at->text);
	at->key = hash_bytes(hash_key_fixed, at->text, len);
	health_table_reset(table, slot);
	atomic_store_explicit(&at->used, LAYOUT_USED, memory_order_release);
	atomic_store_explicit(
	    &table->header->hosts_used, slot + 1, memory_order_release);
	(void)health_table_index_host(table, slot);
	return slot;
}

int
health_table_host(
    const struct health_table *table, uint32_t slot, struct host *host_r)
{
	const struct layout_host *host;
	char text[HOST_TEXT_MAX];

	if (slot >= table->hosts_max)
		return -1;
	host = &table->hosts[slot];
	if (atomic_load_explicit(&host->used, memory_order_acquire) !=
		LAYOUT_USED ||
	    memchr(host->text, '\0', sizeof(host->text)) == NULL ||
	    host_parse(host->text, 0, host_r, NULL) == -1)
		return -1;
	(void)host_format(host_r, text);
	return strcmp(text, host->text) == 0 ? 0 : -1;
}

void
health_table_count(
    struct health_table *table, uint32_t slot, enum health_counter counter)
{
	assert(counter < COUNTER_COUNT);
	atomic_fetch_add_explicit(
	    &health_table_slot(table, slot)->counters[counter], 1,
	    memory_order_relaxed);
}

uint64_t
health_table_counter(const struct health_table *table, uint32_t slot,
    enum health_counter counter)
{
	assert(counter < COUNTER_COUNT);
	return atomic_load_explicit(
	    &health_table_slot(table, slot)->counters[counter],
	    memory_order_relaxed);
}

void
health_table_expect_set(const struct health_table *table, uint64_t key)
{
	uint32_t cell = (uint32_t)hash_mix(key) & table->set_index_mask;

	NH_FETCH(&table->set_index[cell]);
}

uint32_t
health_table_find_set(const struct health_table *table, uint64_t key)
{
	uint32_t cell;

	return find_set_key(table, key, &cell);
}

uint32_t
health_table_add_set(struct health_table *table, uint64_t key)
{
	uint32_t cell, slot = find_set_key(table, key, &cell);
	struct layout_set *set;

	if (slot != HEALTH_TABLE_NONE)
		return slot;
	slot = sets_used(table);
	if (slot == table->sets_max)
		return HEALTH_TABLE_NONE;
	set = set_at(table, slot);
	set->key = key;
	atomic_store_explicit(&set->cursor,
	    (uint32_t)hash_mix(key) & CURSOR_START_MASK, memory_order_relaxed);
	atomic_store_explicit(&set->last, 0, memory_order_relaxed);
	atomic_store_explicit(&set->used, LAYOUT_USED, memory_order_release);
	atomic_store_explicit(
	    &table->header->sets_used, slot + 1, memory_order_release);
	if (cell != UINT32_MAX)
		atomic_store_explicit(
		    &table->set_index[cell], slot + 1, memory_order_release);
	return slot;
}

uint32_t
health_table_draw(
    struct health_table *table, uint32_t set_slot, uint64_t now_ms)
{
	struct layout_set *set = set_at(table, set_slot);
	uint32_t ticket =
	    atomic_fetch_add_explicit(&set->cursor, 1, memory_order_relaxed);
	uint64_t last = (uint64_t)ticket << 32 | (uint32_t)now_ms;

	/* 0 means "never": ticket 0 at time 0 is told a millisecond late. */
	atomic_store_explicit(
	    &set->last, last != 0 ? last : 1, memory_order_relaxed);
	return ticket;
}

bool
health_table_last_drawn(const struct health_table *table, uint32_t set_slot,
    uint64_t now_ms, uint32_t max_age_ms, uint32_t *ticket_r)
{
	uint64_t last = atomic_load_explicit(
	    &set_at(table, set_slot)->last, memory_order_relaxed);
	/* Wraps after 49 days: a set that was quiet for exactly so long offers
	   an old ticket, which is as good a stand-in as a hash. A draw that is
	   a little ahead of the asker's clock is new, not old. */
	int32_t age_ms = (int32_t)((uint32_t)now_ms - (uint32_t)last);

	if (last == 0 || (age_ms > 0 && (uint32_t)age_ms >= max_age_ms) ||
	    age_ms < -1000)
		return false;
	*ticket_r = (uint32_t)(last >> 32);
	return true;
}

uint32_t
health_table_cursor(const struct health_table *table, uint32_t set_slot)
{
	return atomic_load_explicit(
	    &set_at(table, set_slot)->cursor, memory_order_relaxed);
}

struct ticket_slot *
health_table_tickets(
    const struct health_table *table, uint32_t *n_r, struct hash_key *key_r)
{
	*n_r = table->tickets_max;
	*key_r = table->ticket_key;
	return table->tickets;
}
