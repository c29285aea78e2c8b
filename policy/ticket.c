/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; two relaxed words an entry, checked against each other. */
#include "policy/ticket.h"

#include <assert.h>

#include "policy/hash.h"
#include "policy/health_table_map.h"

#define AHEAD_MAX_S 60

/*
 * Chained, not joined: "a" at "b.c" and any other cut of the same bytes differ,
 * and so do two sets. Never 0, which an empty entry would match.
 */
static uint64_t
ticket_hash(
    struct hash_key key, uint64_t set_key, const struct address *recipient)
{
	uint64_t hash = hash_bytes(key, recipient->local, recipient->local_len);

	key.k0 ^= hash;
	key.k1 ^= set_key;
	hash = hash_bytes(key, recipient->domain, recipient->domain_len);
	return hash != 0 ? hash : 1;
}

static struct ticket_slot *
bucket_of(struct ticket_slot *tickets, uint32_t n, uint64_t hash)
{
	return &tickets[(uint32_t)hash & (n - 1) & ~(LAYOUT_TICKET_WAYS - 1u)];
}

/* Returns: the value under hash, or 0. */
static uint64_t
value_if(const struct ticket_slot *slot, uint64_t hash)
{
	uint64_t value =
	    atomic_load_explicit(&slot->value, memory_order_relaxed);
	uint64_t mixed =
	    atomic_load_explicit(&slot->mixed, memory_order_relaxed);

	return (mixed ^ value) == hash ? value : 0;
}

/* Differences of 32-bit seconds are right across a wrap. Another thread's now
   may be a little ahead of ours; what is far ahead is damage, and very old. */
static uint32_t
age_of(uint64_t value, uint32_t now_s)
{
	uint32_t age = now_s - (uint32_t)value;

	return age > UINT32_MAX - AHEAD_MAX_S ? 0 : age;
}

/*
 * The slot of this hash, else an empty one, else the oldest; of equally old
 * ones any, so that a rush within one second does not meet on one slot.
 * Finding and leaving both stop at the first match: an unlikely second entry
 * is never seen.
 */
static struct ticket_slot *
victim(struct ticket_slot *bucket, uint64_t hash, uint32_t now_s)
{
	unsigned at = (unsigned)(hash >> 32) % LAYOUT_TICKET_WAYS;
	struct ticket_slot *oldest = &bucket[at];
	uint32_t age, oldest_age = 0;
	uint64_t value;

	for (unsigned i = 0; i < LAYOUT_TICKET_WAYS; i++) {
		if (value_if(&bucket[i], hash) != 0)
			return &bucket[i];
	}
	for (unsigned i = 0; i < LAYOUT_TICKET_WAYS; i++) {
		value = atomic_load_explicit(
		    &bucket[i].value, memory_order_relaxed);
		if (value == 0)
			return &bucket[i];
		age = age_of(value, now_s);
		if (age > oldest_age) {
			oldest = &bucket[i];
			oldest_age = age;
		}
	}
	return oldest;
}

static void
put(struct ticket_slot *slot, uint64_t hash, uint64_t value)
{
	atomic_store_explicit(&slot->value, value, memory_order_relaxed);
	atomic_store_explicit(&slot->mixed, hash ^ value, memory_order_relaxed);
}

void
ticket_leave(struct health_table *table, uint64_t set_key,
    const struct address *recipient, uint32_t ticket, uint64_t now_ms)
{
	uint32_t now_s = (uint32_t)(now_ms / 1000);
	struct ticket_slot *tickets;
	struct hash_key key;
	uint64_t hash;
	uint32_t n;

	if (now_s == 0)
		now_s = 1; /* a value is never 0 as a whole */
	tickets = health_table_tickets(table, &n, &key);
	hash = ticket_hash(key, set_key, recipient);
	put(victim(bucket_of(tickets, n, hash), hash, now_s), hash,
	    (uint64_t)ticket << 32 | now_s);
}

bool
ticket_find(const struct health_table *table, uint64_t set_key,
    const struct address *recipient, uint32_t *ticket_r)
{
	struct ticket_slot *bucket;
	struct hash_key key;
	uint64_t hash, value;
	uint32_t n;

	bucket = health_table_tickets(table, &n, &key);
	hash = ticket_hash(key, set_key, recipient);
	bucket = bucket_of(bucket, n, hash);
	for (unsigned i = 0; i < LAYOUT_TICKET_WAYS; i++) {
		value = value_if(&bucket[i], hash);
		if (value != 0) {
			*ticket_r = (uint32_t)(value >> 32);
			return true;
		}
	}
	return false;
}

/* A bucket of the new table, which is not smaller, gets the entries of one old
   bucket at most: nothing is pushed out. */
void
ticket_carry(struct health_table *to, const struct health_table *from)
{
	struct hash_key key, old_key;
	uint32_t n, old_n, seconds;
	struct ticket_slot *tickets = health_table_tickets(to, &n, &key);
	struct ticket_slot *old = health_table_tickets(from, &old_n, &old_key);
	uint64_t value, hash;

	assert(key.k0 == old_key.k0 && key.k1 == old_key.k1);
	for (uint32_t i = 0; i < old_n; i++) {
		value =
		    atomic_load_explicit(&old[i].value, memory_order_relaxed);
		hash = value ^ atomic_load_explicit(
				   &old[i].mixed, memory_order_relaxed);
		seconds = (uint32_t)value;
		if (value != 0 && hash != 0)
			put(victim(bucket_of(tickets, n, hash), hash, seconds),
			    hash, value);
	}
}
