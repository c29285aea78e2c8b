/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; noting and forgetting are the probe thread's. */
#include "policy/health_table_map.h"

#include <assert.h>
#include <string.h>

_Static_assert(LAYOUT_HISTORY == HEALTH_HISTORY_MAX, "a place for each change");
_Static_assert((LAYOUT_HISTORY & (LAYOUT_HISTORY - 1)) == 0,
    "places go on in turn where turns wrap");

static uint64_t
change_check(const struct layout_change *change)
{
	return hash_bytes(
	    hash_key_fixed, change, offsetof(struct layout_change, check));
}

/* NULL: the file has none. */
static struct layout_history *
history_at(const struct health_table *table, uint32_t slot)
{
	assert(slot < table->hosts_max);
	return table->history != NULL ? &table->history[slot] : NULL;
}

static void
change_pack(const struct health_history *from, uint32_t turn,
    struct layout_change *to_r)
{
	*to_r = (struct layout_change){
		.at_ms = health_table_clamp_time(from->at_ms),
		.turn = turn,
		.backoff_ms = from->backoff_ms,
		.count = from->count,
		.code = from->code,
		.is_override = from->is_override,
		.from = from->from,
		.to = from->to,
		.blind = from->blind,
		.stage = (uint8_t)from->stage,
		.source = (uint8_t)from->source,
	};
	memcpy(to_r->text, from->text, sizeof(to_r->text));
	health_table_clean_text(to_r->text, sizeof(to_r->text));
	to_r->check = change_check(to_r);
}

static void
change_unpack(struct layout_change *from, struct health_history *to_r)
{
	memset(to_r, 0, sizeof(*to_r));
	to_r->at_ms = from->at_ms;
	to_r->is_override = from->is_override != 0;
	to_r->from = from->from;
	to_r->to = from->to;
	to_r->blind = from->blind != 0;
	to_r->backoff_ms = from->backoff_ms;
	to_r->count = from->count;
	to_r->stage = (enum outcome_stage)from->stage;
	to_r->source = (enum outcome_source)from->source;
	to_r->code = from->code;
	health_table_clean_text(from->text, sizeof(from->text));
	memcpy(to_r->text, from->text, sizeof(to_r->text));
}

static bool
change_is_sane(const struct layout_change *change, uint32_t turn)
{
	uint8_t last = change->is_override ? OVERRIDE_FORCED_UP : HEALTH_TRIAL;

	return change->check == change_check(change) && change->turn == turn &&
	       change->at_ms <= LAYOUT_TIME_MAX && change->is_override <= 1 &&
	       change->from <= last && change->to <= last &&
	       change->blind <= 1 && change->stage < STAGE_COUNT &&
	       change->source < SOURCE_COUNT;
}

void
health_table_note(struct health_table *table, uint32_t slot,
    const struct health_history *change)
{
	struct layout_history *history = history_at(table, slot);
	struct layout_change packed;
	uint32_t turn;

	if (history == NULL)
		return;
	turn = atomic_load_explicit(&history->next_turn, memory_order_relaxed);
	change_pack(change, turn, &packed);
	health_table_store_words(history->changes[turn % LAYOUT_HISTORY],
	    &packed, LAYOUT_CHANGE_WORDS);
	atomic_store_explicit(
	    &history->next_turn, turn + 1, memory_order_release);
}

uint32_t
health_table_history(const struct health_table *table, uint32_t slot,
    struct health_history list_r[HEALTH_HISTORY_MAX])
{
	const struct layout_history *history = history_at(table, slot);
	struct layout_change change;
	uint32_t turn, n = 0;

	if (history == NULL)
		return 0;
	turn = atomic_load_explicit(&history->next_turn, memory_order_acquire);
	for (uint32_t i = 0; i < LAYOUT_HISTORY; i++) {
		turn--;
		health_table_load_words(history->changes[turn % LAYOUT_HISTORY],
		    &change, LAYOUT_CHANGE_WORDS);
		if (change_is_sane(&change, turn))
			change_unpack(&change, &list_r[n++]);
	}
	return n;
}

void
health_table_forget(struct health_table *table, uint32_t slot)
{
	static const struct layout_change nothing;
	struct layout_history *history = history_at(table, slot);

	if (history == NULL)
		return;
	for (uint32_t i = 0; i < LAYOUT_HISTORY; i++)
		health_table_store_words(
		    history->changes[i], &nothing, LAYOUT_CHANGE_WORDS);
	atomic_store_explicit(&history->next_turn, 0, memory_order_release);
}
