/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread's, while the new file has no name yet. */
#include "policy/health_table_map.h"

static void
carry_override(struct health_table *to, uint32_t slot,
    const struct health_table *from, uint32_t old, bool other_boot)
{
	struct health_override_info info;

	health_table_get_override(from, old, &info);
	if (info.kind == OVERRIDE_NONE)
		return;
	/* An end told in the time of another boot means nothing now; an
	   override without an end is what the operator wants until told. */
	if (other_boot && info.until_ms != 0)
		return;
	if (other_boot)
		info.since_ms = 0;
	health_table_set_override(to, slot, &info);
}

static void
carry_history(struct health_table *to, uint32_t slot,
    const struct health_table *from, uint32_t old)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n = health_table_history(from, old, list);

	while (n > 0)
		health_table_note(to, slot, &list[--n]);
}

static void
carry_host(struct health_table *to, const struct health_table *from,
    uint32_t old, bool other_boot)
{
	struct health_detail detail;
	struct host host;
	uint32_t slot;

	if (health_table_host(from, old, &host) == -1 ||
	    health_table_find_host(to, &host) != HEALTH_TABLE_NONE)
		return;
	slot = health_table_add_host(to, &host);
	if (slot == HEALTH_TABLE_NONE)
		return;
	carry_override(to, slot, from, old, other_boot);
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		atomic_store_explicit(&to->hosts[slot].counters[i],
		    atomic_load_explicit(
			&from->hosts[old].counters[i], memory_order_relaxed),
		    memory_order_relaxed);
	if (other_boot)
		return;
	atomic_store_explicit(&to->hosts[slot].trial,
	    atomic_load_explicit(&from->hosts[old].trial, memory_order_relaxed),
	    memory_order_relaxed);
	carry_history(to, slot, from, old);
	health_table_read(from, old, &detail);
	health_table_write(to, slot, &detail);
}

static void
carry_set(struct health_table *to, const struct health_table *from,
    uint32_t old, bool other_boot)
{
	const struct layout_set *was = &from->sets[old];
	uint32_t slot;

	if (atomic_load_explicit(&was->used, memory_order_acquire) !=
		LAYOUT_USED ||
	    health_table_find_set(to, was->key) != HEALTH_TABLE_NONE)
		return;
	slot = health_table_add_set(to, was->key);
	if (slot == HEALTH_TABLE_NONE)
		return;
	atomic_store_explicit(&to->sets[slot].cursor,
	    atomic_load_explicit(&was->cursor, memory_order_relaxed),
	    memory_order_relaxed);
	if (other_boot)
		return;
	atomic_store_explicit(&to->sets[slot].last,
	    atomic_load_explicit(&was->last, memory_order_relaxed),
	    memory_order_relaxed);
}

void
health_table_carry(struct health_table *to, const struct health_table *from,
    bool other_boot, uint64_t now_ms)
{
	for (uint32_t i = 0; i < from->hosts_max; i++) {
		if (atomic_load_explicit(&from->hosts[i].used,
			memory_order_acquire) == LAYOUT_USED &&
		    health_table_slot_is_sane(from, i, other_boot ? 0 : now_ms))
			carry_host(to, from, i, other_boot);
	}
	for (uint32_t i = 0; i < from->sets_max; i++)
		carry_set(to, from, i, other_boot);
	if (!other_boot)
		ticket_carry(to, from);
}
