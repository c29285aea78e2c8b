/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; health_table_write is the probe thread's. */
#include "policy/health_table_map.h"

#include <assert.h>
#include <string.h>

/* A reader that the writer overtakes this often takes what it has. */
#define READ_TRIES 256

#define REASON_WORDS (LAYOUT_TEXT / sizeof(uint64_t))

_Static_assert(LAYOUT_TEXT == OUTCOME_TEXT_MAX, "a host's words fit");
_Static_assert(LAYOUT_TEXT == HEALTH_TABLE_REASON_MAX, "a reason fits");
_Static_assert(NELEM(((struct layout_host *)0)->counters) == COUNTER_COUNT,
    "a word for each counter");
_Static_assert((int)HEALTH_TRIAL <= (int)LAYOUT_STATE_MASK, "state fits");
_Static_assert((int)OVERRIDE_FORCED_UP <= (int)LAYOUT_KIND_MASK, "kind fits");
_Static_assert(OUTCOME_COUNT <= UINT8_MAX && STAGE_COUNT <= UINT8_MAX &&
		   SOURCE_COUNT <= UINT8_MAX,
    "enums fit a byte");

void
health_table_clean_text(char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);

	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	}
	memset(text + len, 0, size - len);
}

uint64_t
health_table_clamp_time(uint64_t ms)
{
	return ms < LAYOUT_TIME_MAX ? ms : LAYOUT_TIME_MAX;
}

void
health_table_store_words(_Atomic uint64_t *to, const void *from, size_t n)
{
	const unsigned char *at = from;
	uint64_t word;

	for (size_t i = 0; i < n; i++) {
		memcpy(&word, at + i * sizeof(word), sizeof(word));
		atomic_store_explicit(&to[i], word, memory_order_release);
	}
}

void
health_table_load_words(const _Atomic uint64_t *from, void *to_r, size_t n)
{
	unsigned char *at = to_r;
	uint64_t word;

	for (size_t i = 0; i < n; i++) {
		word = atomic_load_explicit(&from[i], memory_order_acquire);
		memcpy(at + i * sizeof(word), &word, sizeof(word));
	}
}

uint64_t
health_table_pack(const struct health *health, bool usable)
{
	uint64_t word = (uint64_t)health->state & LAYOUT_STATE_MASK;

	if (!usable)
		word |= LAYOUT_UNUSABLE;
	if (health->silent)
		word |= LAYOUT_SILENT;
	word |= ((uint64_t)health->slow_step & LAYOUT_SLOW_MASK)
		<< LAYOUT_SLOW_SHIFT;
	word |= (uint64_t)health->recoveries << LAYOUT_RECOVERY_SHIFT;
	return word | health_table_clamp_time(health->due_ms)
			  << LAYOUT_TIME_SHIFT;
}

/* The order of the names is the order of the numbers: what is above the last
   one can only be damage, and a host is up unless something says otherwise. */
static enum health_state
state_of(uint64_t number)
{
	return number <= HEALTH_TRIAL ? (enum health_state)number : HEALTH_UP;
}

static enum health_override
override_at(uint64_t word, uint64_t now_ms)
{
	uint64_t kind = word & LAYOUT_KIND_MASK;
	uint64_t until_ms = word >> LAYOUT_TIME_SHIFT;

	if (kind > OVERRIDE_FORCED_UP || (until_ms != 0 && until_ms <= now_ms))
		return OVERRIDE_NONE;
	return (enum health_override)kind;
}

void
health_table_view(const struct health_table *table, uint32_t slot,
    uint64_t now_ms, struct health_view *view_r)
{
	const struct layout_host *host = health_table_slot(table, slot);
	uint64_t word =
	    atomic_load_explicit(&host->health, memory_order_acquire);

	view_r->state = state_of(word & LAYOUT_STATE_MASK);
	view_r->usable = (word & LAYOUT_UNUSABLE) == 0;
	view_r->silent = (word & LAYOUT_SILENT) != 0;
	view_r->slow_step =
	    (uint8_t)(word >> LAYOUT_SLOW_SHIFT & LAYOUT_SLOW_MASK);
	view_r->recoveries =
	    (uint8_t)(word >> LAYOUT_RECOVERY_SHIFT & LAYOUT_RECOVERY_MASK);
	view_r->due_ms = word >> LAYOUT_TIME_SHIFT;
	view_r->override = override_at(
	    atomic_load_explicit(&host->override_word, memory_order_acquire),
	    now_ms);
}

static uint64_t
detail_check(const struct layout_detail *detail)
{
	return hash_bytes(
	    hash_key_fixed, detail, offsetof(struct layout_detail, check));
}

static void
detail_pack(const struct health_detail *from, struct layout_detail *to_r)
{
	*to_r = (struct layout_detail){
		.since_ms = from->health.since_ms,
		.due_ms = health_table_clamp_time(from->health.due_ms),
		.last_seen_ms = from->last_seen_ms,
		.failures = from->health.failures,
		.successes = from->health.successes,
		.backoff_ms = from->health.backoff_ms,
		.latency_us = from->latency_us,
		.last_latency_us = from->last.latency_us,
		.last_code = from->last.code,
		.state = (uint8_t)from->health.state,
		.recoveries = from->health.recoveries,
		.slow_step = from->health.slow_step & LAYOUT_SLOW_MASK,
		.silent = from->health.silent,
		.usable = from->usable,
		.last_outcome = (uint8_t)from->last.outcome,
		.last_stage = (uint8_t)from->last.stage,
		.last_source = (uint8_t)from->last.source,
		.last_silent = from->last.silent,
		.delivery_failures = from->health.delivery_failures,
		.delivery_successes = from->health.delivery_successes,
		.blind = from->health.blind,
		.overruled = from->health.overruled,
		.flaps = from->health.flaps,
		.unheard = from->health.unheard,
		.stage = from->health.stage,
		.fell_by = from->health.fell_by,
		.rose_by = from->health.rose_by,
	};
	memcpy(to_r->last_text, from->last.text, sizeof(to_r->last_text));
	health_table_clean_text(to_r->last_text, sizeof(to_r->last_text));
	to_r->check = detail_check(to_r);
}

static void
unpack_deliveries(const struct layout_detail *from, struct health *to_r)
{
	to_r->delivery_failures = from->delivery_failures;
	to_r->delivery_successes = from->delivery_successes;
	to_r->blind = from->blind != 0;
	to_r->overruled = from->overruled != 0;
	to_r->flaps = from->flaps;
	to_r->unheard = from->unheard;
	if (from->stage < STAGE_COUNT)
		to_r->stage = from->stage;
	if (from->fell_by < SOURCE_COUNT)
		to_r->fell_by = from->fell_by;
	if (from->rose_by < SOURCE_COUNT)
		to_r->rose_by = from->rose_by;
}

static void
detail_unpack(struct layout_detail *from, struct health_detail *to_r)
{
	memset(to_r, 0, sizeof(*to_r));
	unpack_deliveries(from, &to_r->health);
	to_r->health.state = state_of(from->state);
	to_r->health.failures = from->failures;
	to_r->health.successes = from->successes;
	to_r->health.backoff_ms = from->backoff_ms;
	to_r->health.since_ms = from->since_ms;
	to_r->health.due_ms = from->due_ms;
	to_r->health.recoveries = from->recoveries;
	to_r->health.slow_step = from->slow_step;
	to_r->health.silent = from->silent != 0;
	to_r->usable = from->usable != 0;
	to_r->last_seen_ms = from->last_seen_ms;
	to_r->latency_us = from->latency_us;
	to_r->last.latency_us = from->last_latency_us;
	to_r->last.code = from->last_code;
	to_r->last.silent = from->last_silent != 0;
	if (from->last_outcome < OUTCOME_COUNT)
		to_r->last.outcome = (enum outcome)from->last_outcome;
	if (from->last_stage < STAGE_COUNT)
		to_r->last.stage = (enum outcome_stage)from->last_stage;
	if (from->last_source < SOURCE_COUNT)
		to_r->last.source = (enum outcome_source)from->last_source;
	health_table_clean_text(from->last_text, sizeof(from->last_text));
	memcpy(to_r->last.text, from->last_text, sizeof(to_r->last.text));
}

/*
 * Turn 2n or 2n + 1: copy n % 2 is in force. It is whole as long as the
 * writer has not begun n + 2, that is up to turn 2n + 2.
 */
static bool
try_detail(const struct layout_host *host, struct layout_detail *detail_r)
{
	uint32_t before =
	    atomic_load_explicit(&host->detail_turn, memory_order_acquire);
	uint32_t after;

	health_table_load_words(
	    host->detail[before / 2 % 2], detail_r, LAYOUT_DETAIL_WORDS);
	after = atomic_load_explicit(&host->detail_turn, memory_order_relaxed);
	return after - (before & ~1u) <= 2;
}

bool
health_table_load_detail(
    const struct layout_host *host, struct layout_detail *detail_r)
{
	for (int i = 0; i < READ_TRIES; i++) {
		if (try_detail(host, detail_r))
			break;
	}
	return detail_r->check == detail_check(detail_r);
}

/* When the detail is lost, what the health word says is still true. */
static void
detail_from_view(const struct health_view *view, struct health_detail *detail_r)
{
	memset(detail_r, 0, sizeof(*detail_r));
	detail_r->health.state = view->state;
	detail_r->health.due_ms = view->due_ms;
	detail_r->health.recoveries = view->recoveries;
	detail_r->health.slow_step = view->slow_step;
	detail_r->health.silent = view->silent;
	detail_r->usable = view->usable;
}

void
health_table_read(const struct health_table *table, uint32_t slot,
    struct health_detail *detail_r)
{
	struct layout_detail detail;
	struct health_view view;

	if (health_table_load_detail(health_table_slot(table, slot), &detail)) {
		detail_unpack(&detail, detail_r);
		return;
	}
	health_table_view(table, slot, 0, &view);
	detail_from_view(&view, detail_r);
}

void
health_table_write(struct health_table *table, uint32_t slot,
    const struct health_detail *detail)
{
	struct layout_host *host = health_table_slot(table, slot);
	uint32_t turn =
	    atomic_load_explicit(&host->detail_turn, memory_order_relaxed);
	struct layout_detail packed;

	assert(detail->health.state <= HEALTH_TRIAL);
	detail_pack(detail, &packed);
	turn &= ~1u; /* odd: a writer was killed; its copy is written anew */
	atomic_store_explicit(
	    &host->detail_turn, turn + 1, memory_order_relaxed);
	health_table_store_words(
	    host->detail[(turn / 2 + 1) % 2], &packed, LAYOUT_DETAIL_WORDS);
	atomic_store_explicit(
	    &host->detail_turn, turn + 2, memory_order_release);
	atomic_store_explicit(&host->health,
	    health_table_pack(&detail->health, detail->usable),
	    memory_order_release);
}

/* What the seal of a reason is made of. */
struct sealed {
	uint64_t turn;
	uint64_t since_ms;
	char text[LAYOUT_TEXT];
};

static uint64_t
seal_of(const struct sealed *sealed)
{
	uint64_t hash = hash_bytes(hash_key_fixed, sealed, sizeof(*sealed));

	return (hash & ~(uint64_t)LAYOUT_TURN_MASK) | sealed->turn;
}

static void
store_reason(struct layout_reason *reason, const struct sealed *sealed)
{
	atomic_store_explicit(&reason->seal, 0, memory_order_relaxed);
	atomic_store_explicit(
	    &reason->since_ms, sealed->since_ms, memory_order_release);
	health_table_store_words(reason->text, sealed->text, REASON_WORDS);
	atomic_store_explicit(
	    &reason->seal, seal_of(sealed), memory_order_release);
}

void
health_table_set_override(struct health_table *table, uint32_t slot,
    const struct health_override_info *info)
{
	struct layout_host *host = health_table_slot(table, slot);
	uint32_t turn = atomic_fetch_add_explicit(
	    &host->override_turn, 1, memory_order_relaxed);
	struct sealed sealed = { .turn = turn & LAYOUT_TURN_MASK,
		.since_ms = info->since_ms };
	uint64_t word = (uint64_t)info->kind & LAYOUT_KIND_MASK;

	assert(info->kind <= OVERRIDE_FORCED_UP);
	memcpy(sealed.text, info->reason, sizeof(sealed.text));
	health_table_clean_text(sealed.text, sizeof(sealed.text));
	store_reason(&host->reasons[turn % LAYOUT_TURNS], &sealed);
	word |= sealed.turn << LAYOUT_TURN_SHIFT;
	word |= health_table_clamp_time(info->until_ms) << LAYOUT_TIME_SHIFT;
	/* In one order with health_table_superseded, which the caller asks
	   next: either the new file takes this word over or the caller learns
	   of the new file. */
	atomic_store(&host->override_word, word);
}

/* Returns: whether the text of the turn that the word names is whole. */
static bool
load_reason(
    const struct layout_host *host, uint64_t word, struct sealed *sealed_r)
{
	const struct layout_reason *reason;
	uint64_t seal;

	sealed_r->turn = word >> LAYOUT_TURN_SHIFT & LAYOUT_TURN_MASK;
	reason = &host->reasons[sealed_r->turn % LAYOUT_TURNS];
	seal = atomic_load_explicit(&reason->seal, memory_order_acquire);
	sealed_r->since_ms =
	    atomic_load_explicit(&reason->since_ms, memory_order_acquire);
	health_table_load_words(reason->text, sealed_r->text, REASON_WORDS);
	return seal == seal_of(sealed_r);
}

/* A text that is not whole under a word that stays the same is lost for good;
   under a word that changed, the new word's text may be had. */
void
health_table_get_override(const struct health_table *table, uint32_t slot,
    struct health_override_info *info_r)
{
	const struct layout_host *host = health_table_slot(table, slot);
	uint64_t word = atomic_load(&host->override_word), asked;
	struct sealed sealed;
	bool whole;
	int tries = 0;

	do {
		asked = word;
		whole = load_reason(host, asked, &sealed);
		word = atomic_load(&host->override_word);
	} while (!whole && word != asked && ++tries < READ_TRIES);
	memset(info_r, 0, sizeof(*info_r));
	info_r->kind = override_at(asked, 0);
	info_r->until_ms = asked >> LAYOUT_TIME_SHIFT;
	if (!whole)
		return;
	info_r->since_ms = sealed.since_ms;
	memcpy(info_r->reason, sealed.text, sizeof(info_r->reason));
	health_table_clean_text(info_r->reason, sizeof(info_r->reason));
}

void
health_table_reset(struct health_table *table, uint32_t slot)
{
	struct layout_host *host = health_table_slot(table, slot);
	struct health_detail fresh = { .usable = true };

	for (size_t i = 0; i < NELEM(host->counters); i++)
		atomic_store_explicit(
		    &host->counters[i], 0, memory_order_relaxed);
	for (size_t i = 0; i < LAYOUT_TURNS; i++)
		atomic_store_explicit(
		    &host->reasons[i].seal, 0, memory_order_relaxed);
	atomic_store_explicit(&host->override_word, 0, memory_order_relaxed);
	atomic_store_explicit(&host->trial, 0, memory_order_relaxed);
	health_table_forget(table, slot);
	fresh.health.since_ms = atomic_load_explicit(
	    &table->header->heartbeat_ms, memory_order_relaxed);
	health_table_write(table, slot, &fresh);
}
