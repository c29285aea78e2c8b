/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread's, or a tool's, before a table is used. */
#include "policy/health_table_map.h"

#include <string.h>

#define SLOW_STEPS 8

/* A clock that two threads read differs a little; a host is never deferred for
   longer than the largest back-off that a configuration may ask for, which is
   a week, and its jitter. */
#define CLOCK_SLACK_MS (UINT64_C(1000) * 60)
#define DUE_SLACK_MS   (UINT64_C(1000) * 3600 * 24 * 8)
/* Overrides end within a lifetime. */
#define UNTIL_SLACK_MS (UINT64_C(1000) * 3600 * 24 * 366 * 100)

static uint32_t
power_of_two(uint32_t at_least)
{
	uint32_t n = LAYOUT_TICKET_WAYS;

	while (n < at_least)
		n *= 2;
	return n;
}

static uint64_t
after(uint64_t at, uint64_t n, uint64_t size)
{
	return (at + n * size + LAYOUT_ALIGN - 1) / LAYOUT_ALIGN * LAYOUT_ALIGN;
}

/* The limits keep every sum far below 2^64, and an index half empty. */
int
health_table_plan(
    const struct health_table_size *size, struct layout_header *header_r)
{
	struct layout_header *h = header_r;

	if (size->hosts > LAYOUT_HOSTS_MAX || size->sets > LAYOUT_SETS_MAX ||
	    size->tickets > LAYOUT_TICKETS_MAX)
		return -1;
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, LAYOUT_MAGIC, LAYOUT_MAGIC_LEN);
	h->major = LAYOUT_MAJOR;
	h->minor = LAYOUT_MINOR;
	h->header_size = sizeof(*h);
	h->byte_order = LAYOUT_BYTE_ORDER;
	h->host_size = sizeof(struct layout_host);
	h->set_size = sizeof(struct layout_set);
	h->ticket_size = sizeof(struct ticket_slot);
	h->hosts_max = size->hosts;
	h->sets_max = size->sets;
	h->tickets_max = power_of_two(size->tickets);
	h->host_index_max = power_of_two(size->hosts * 2);
	h->set_index_max = power_of_two(size->sets * 2);
	h->hosts_at = sizeof(*h);
	h->host_index_at = after(h->hosts_at, h->hosts_max, h->host_size);
	h->sets_at =
	    after(h->host_index_at, h->host_index_max, sizeof(uint32_t));
	h->set_index_at = after(h->sets_at, h->sets_max, h->set_size);
	h->tickets_at =
	    after(h->set_index_at, h->set_index_max, sizeof(uint32_t));
	h->history_at = after(h->tickets_at, h->tickets_max, h->ticket_size);
	h->history_size = h->hosts_max * sizeof(struct layout_history);
	h->file_size = after(h->history_at, 1, h->history_size);
	return 0;
}

uint64_t
health_table_header_check(const struct layout_header *header)
{
	return hash_bytes(hash_key_fixed, header, LAYOUT_CHECK_AT);
}

/* The same from the byte begin on, up to the byte end? */
static bool
agree(const struct layout_header *a, const struct layout_header *b,
    size_t begin, size_t end)
{
	return memcmp((const char *)a + begin, (const char *)b + begin,
		   end - begin) == 0;
}

/* Are sizes and places those that this program would choose for the counts? The
   first version had no history; a later one may have more behind it. */
static bool
shape_is_ours(const struct layout_header *header)
{
	struct health_table_size size = { header->hosts_max, header->sets_max,
		header->tickets_max };
	struct layout_header ours;

	if (health_table_plan(&size, &ours) == -1)
		return false;
	if (header->minor == 0) {
		ours.file_size = ours.history_at;
		ours.history_at = 0;
		ours.history_size = 0;
	}
	if (!agree(header, &ours, offsetof(struct layout_header, header_size),
		offsetof(struct layout_header, file_size)) ||
	    !agree(header, &ours, offsetof(struct layout_header, hosts_at),
		offsetof(struct layout_header, reserved_sections)))
		return false;
	return header->file_size == ours.file_size ||
	       (header->minor > LAYOUT_MINOR &&
		   header->file_size > ours.file_size);
}

int
health_table_check_header(
    const struct layout_header *header, uint64_t file_size, struct err *why)
{
	if (file_size < sizeof(*header)) {
		err_set(why, "is too short (%llu bytes)",
		    (unsigned long long)file_size);
	} else if (memcmp(header->magic, LAYOUT_MAGIC, LAYOUT_MAGIC_LEN) != 0) {
		err_set(why, "is no health table");
	} else if (header->byte_order != LAYOUT_BYTE_ORDER) {
		err_set(why, "comes from a machine of another kind");
	} else if (header->major != LAYOUT_MAJOR) {
		err_set(why,
		    "has layout %u.%u; this program reads layout %u only",
		    header->major, header->minor, LAYOUT_MAJOR);
	} else if (header->check != health_table_header_check(header) ||
		   !shape_is_ours(header)) {
		err_set(why, "has a damaged header");
	} else if (header->file_size != file_size) {
		err_set(why, "has %llu bytes, but its header says %llu",
		    (unsigned long long)file_size,
		    (unsigned long long)header->file_size);
	} else {
		return 0;
	}
	return -1;
}

void
health_table_point(struct health_table *table, void *mapping,
    const struct layout_header *judged)
{
	char *base = mapping;

	table->header = mapping;
	table->hosts = (void *)(base + judged->hosts_at);
	table->host_index = (void *)(base + judged->host_index_at);
	table->sets = (void *)(base + judged->sets_at);
	table->set_index = (void *)(base + judged->set_index_at);
	table->tickets = (void *)(base + judged->tickets_at);
	table->history = judged->history_at != 0
			     ? (void *)(base + judged->history_at)
			     : NULL;
	table->ticket_key.k0 = judged->ticket_key[0];
	table->ticket_key.k1 = judged->ticket_key[1];
	table->bytes = judged->file_size;
	table->hosts_max = judged->hosts_max;
	table->sets_max = judged->sets_max;
	table->tickets_max = judged->tickets_max;
	table->host_index_mask = judged->host_index_max - 1;
	table->set_index_mask = judged->set_index_max - 1;
}

static bool
times_are_sane(const struct layout_detail *detail, uint64_t now_ms)
{
	return detail->since_ms <= now_ms + CLOCK_SLACK_MS &&
	       detail->last_seen_ms <= now_ms + CLOCK_SLACK_MS &&
	       detail->due_ms <= now_ms + DUE_SLACK_MS;
}

static bool
deliveries_are_sane(const struct layout_detail *detail)
{
	return detail->blind <= 1 && detail->overruled <= 1 &&
	       detail->unheard <= HEALTH_UNHEARD_MAX &&
	       detail->stage < STAGE_COUNT && detail->fell_by < SOURCE_COUNT &&
	       detail->rose_by < SOURCE_COUNT;
}

static bool
detail_is_sane(const struct layout_detail *detail, uint64_t now_ms)
{
	return detail->state <= HEALTH_TRIAL && detail->silent <= 1 &&
	       detail->usable <= 1 && detail->last_silent <= 1 &&
	       detail->slow_step <= SLOW_STEPS &&
	       detail->last_outcome < OUTCOME_COUNT &&
	       detail->last_stage < STAGE_COUNT &&
	       detail->last_source < SOURCE_COUNT &&
	       deliveries_are_sane(detail) &&
	       (now_ms == 0 || times_are_sane(detail, now_ms));
}

static bool
override_is_sane(const struct layout_host *host, uint64_t now_ms)
{
	uint64_t word =
	    atomic_load_explicit(&host->override_word, memory_order_acquire);

	return (word & LAYOUT_KIND_MASK) <= OVERRIDE_FORCED_UP &&
	       (now_ms == 0 ||
		   word >> LAYOUT_TIME_SHIFT <= now_ms + UNTIL_SLACK_MS);
}

bool
health_table_slot_is_sane(
    const struct health_table *table, uint32_t slot, uint64_t now_ms)
{
	const struct layout_host *host = health_table_slot(table, slot);
	struct layout_detail detail;
	struct host parsed;

	return health_table_host(table, slot, &parsed) == 0 &&
	       host->key ==
		   hash_bytes(hash_key_fixed, host->text, strlen(host->text)) &&
	       override_is_sane(host, now_ms) &&
	       health_table_load_detail(host, &detail) &&
	       detail_is_sane(&detail, now_ms);
}

/* A used flag is 0 or LAYOUT_USED. */
static bool
is_used(const _Atomic uint32_t *used, uint32_t *bad)
{
	uint32_t value = atomic_load_explicit(used, memory_order_acquire);

	if (value != 0 && value != LAYOUT_USED)
		++*bad;
	return value == LAYOUT_USED;
}

static uint32_t
count_bad_hosts(const struct health_table *table, uint64_t now_ms)
{
	uint32_t bad = 0, found;
	struct host host;

	for (uint32_t i = 0; i < table->hosts_max; i++) {
		if (!is_used(&table->hosts[i].used, &bad))
			continue;
		if (!health_table_slot_is_sane(table, i, now_ms) ||
		    health_table_host(table, i, &host) == -1) {
			bad++;
			continue;
		}
		/* Not indexed: a kill did that. Under another number: twice. */
		found = health_table_find_host(table, &host);
		if (found != i && found != HEALTH_TABLE_NONE)
			bad++;
	}
	return bad;
}

static uint32_t
count_bad_sets(const struct health_table *table)
{
	uint32_t bad = 0, found;

	for (uint32_t i = 0; i < table->sets_max; i++) {
		if (!is_used(&table->sets[i].used, &bad))
			continue;
		found = health_table_find_set(table, table->sets[i].key);
		if (found != i && found != HEALTH_TABLE_NONE)
			bad++;
	}
	return bad;
}

static bool
entry_is_used(const struct health_table *table, bool hosts, uint32_t slot)
{
	if (slot >= (hosts ? table->hosts_max : table->sets_max))
		return false;
	return atomic_load_explicit(
		   hosts ? &table->hosts[slot].used : &table->sets[slot].used,
		   memory_order_acquire) == LAYOUT_USED;
}

static uint32_t
count_bad_entries(const struct health_table *table, bool hosts)
{
	const _Atomic uint32_t *index =
	    hosts ? table->host_index : table->set_index;
	uint32_t mask = hosts ? table->host_index_mask : table->set_index_mask;
	uint32_t bad = 0, n = 0, entry;

	for (uint32_t i = 0; i <= mask; i++) {
		entry = atomic_load_explicit(&index[i], memory_order_acquire);
		if (entry == 0)
			continue;
		n++;
		if (!entry_is_used(table, hosts, entry - 1))
			bad++;
	}
	/* Fuller than any writer fills it: searches would grow long. */
	return n > mask / 2 + 1 ? bad + 1 : bad;
}

uint32_t
health_table_count_bad(const struct health_table *table, uint64_t now_ms)
{
	return count_bad_hosts(table, now_ms) + count_bad_sets(table) +
	       count_bad_entries(table, true) + count_bad_entries(table, false);
}

/* The health word is stored last and follows from the detail. */
static void
repair_host(struct health_table *table, uint32_t slot)
{
	struct health_detail detail;

	health_table_read(table, slot, &detail);
	atomic_store_explicit(&table->hosts[slot].health,
	    health_table_pack(&detail.health, detail.usable),
	    memory_order_release);
}

uint32_t
health_table_repair(struct health_table *table)
{
	uint32_t hosts = 0, sets = 0, twins = 0;

	for (uint32_t i = 0; i < table->hosts_max; i++) {
		if (entry_is_used(table, true, i)) {
			twins += !health_table_index_host(table, i);
			repair_host(table, i);
			hosts = i + 1;
		}
	}
	for (uint32_t i = 0; i < table->sets_max; i++) {
		if (entry_is_used(table, false, i)) {
			twins += !health_table_index_set(table, i);
			sets = i + 1;
		}
	}
	atomic_store_explicit(
	    &table->header->hosts_used, hosts, memory_order_release);
	atomic_store_explicit(
	    &table->header->sets_used, sets, memory_order_release);
	atomic_store(&table->header->superseded, 0);
	return twins;
}
