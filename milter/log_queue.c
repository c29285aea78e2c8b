/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any, under the lock of log.c. */
#include "milter/log_queue.h"

#include <assert.h>
#include <string.h>

/* Bytes used up to which a level may still add. */
static const size_t limits[] = {
	[CONFIG_LOG_ERROR] = LOG_QUEUE_BYTES,
	[CONFIG_LOG_WARNING] = LOG_QUEUE_BYTES,
	[CONFIG_LOG_INFO] = LOG_QUEUE_BYTES / 4 * 3,
	[CONFIG_LOG_DEBUG] = LOG_QUEUE_BYTES / 2,
};
_Static_assert(NELEM(limits) == CONFIG_LOG_DEBUG + 1, "one for each level");

static unsigned char ring[LOG_QUEUE_BYTES];
static size_t first, used;

static void
copy_in(const void *bytes, size_t len)
{
	size_t at = (first + used) % LOG_QUEUE_BYTES;
	size_t run = LOG_QUEUE_BYTES - at < len ? LOG_QUEUE_BYTES - at : len;

	memcpy(ring + at, bytes, run);
	memcpy(ring, (const unsigned char *)bytes + run, len - run);
	used += len;
}

static void
copy_out(void *bytes, size_t len)
{
	size_t run =
	    LOG_QUEUE_BYTES - first < len ? LOG_QUEUE_BYTES - first : len;

	memcpy(bytes, ring + first, run);
	memcpy((unsigned char *)bytes + run, ring, len - run);
	first = (first + len) % LOG_QUEUE_BYTES;
	used -= len;
}

bool
log_queue_put(const struct log_entry *entry)
{
	if (used + sizeof(*entry) + entry->len > limits[entry->level])
		return false;
	copy_in(entry, sizeof(*entry));
	copy_in(entry->text, entry->len);
	return true;
}

bool
log_queue_take(struct log_entry *entry_r, char *text, size_t size)
{
	if (used == 0)
		return false;
	copy_out(entry_r, sizeof(*entry_r));
	assert(entry_r->len <= size);
	copy_out(text, entry_r->len);
	entry_r->text = text;
	return true;
}

bool
log_queue_is_empty(void)
{
	return used == 0;
}

bool
log_queue_is_filling(void)
{
	return used > LOG_QUEUE_BYTES / 8;
}
