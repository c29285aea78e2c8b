/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that observes deliveries. */
#include "policy/delivery_attempts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy/hash.h"
#include "policy/route.h"
#include "policy/xalloc.h"

#define BUCKETS (2 * DELIVERY_ATTEMPTS_MAX) /* a power of two */

/* Attempts and notes that were never used lie above n_*_used; their memory is
   not touched before. */
struct delivery_attempts {
	uint32_t buckets[BUCKETS];
	uint32_t oldest, newest;
	uint32_t n_open, n_used, free;
	uint32_t n_notes, n_notes_used, free_note;
	struct delivery_attempt attempt[DELIVERY_ATTEMPTS_MAX];
	struct delivery_note note[DELIVERY_NOTES_MAX];
};

void
delivery_attempts_forget(struct delivery_attempts *attempts)
{
	memset(attempts->buckets, 0xff, sizeof(attempts->buckets));
	attempts->oldest = attempts->newest = DELIVERY_NONE;
	attempts->free = attempts->free_note = DELIVERY_NONE;
	attempts->n_open = attempts->n_used = 0;
	attempts->n_notes = attempts->n_notes_used = 0;
}

struct delivery_attempts *
delivery_attempts_create(void)
{
	struct delivery_attempts *attempts = xcalloc(1, sizeof(*attempts));

	delivery_attempts_forget(attempts);
	return attempts;
}

void
delivery_attempts_free(struct delivery_attempts **attempts)
{
	free(*attempts);
	*attempts = NULL;
}

/* -- attempts ------------------------------------------------------------- */

static uint32_t *
bucket_of(struct delivery_attempts *attempts, uint32_t pid)
{
	return &attempts->buckets[hash_mix(pid) & (BUCKETS - 1)];
}

static uint32_t
number_of(const struct delivery_attempts *attempts,
    const struct delivery_attempt *attempt)
{
	return (uint32_t)(attempt - attempts->attempt);
}

struct delivery_attempt *
delivery_attempts_find(struct delivery_attempts *attempts, uint32_t pid)
{
	uint32_t n = *bucket_of(attempts, pid);

	while (n != DELIVERY_NONE && attempts->attempt[n].pid != pid)
		n = attempts->attempt[n].same_bucket;
	return n == DELIVERY_NONE ? NULL : &attempts->attempt[n];
}

struct delivery_attempt *
delivery_attempts_oldest(struct delivery_attempts *attempts)
{
	return attempts->oldest == DELIVERY_NONE
		   ? NULL
		   : &attempts->attempt[attempts->oldest];
}

bool
delivery_attempts_are_full(const struct delivery_attempts *attempts)
{
	return attempts->n_open == DELIVERY_ATTEMPTS_MAX ||
	       attempts->n_notes > DELIVERY_NOTES_MAX - DELIVERY_NOTES_EACH;
}

/* Puts it at the newest end. */
static void
link_age(struct delivery_attempts *attempts, struct delivery_attempt *attempt)
{
	uint32_t n = number_of(attempts, attempt);

	attempt->older = attempts->newest;
	attempt->newer = DELIVERY_NONE;
	if (attempts->newest == DELIVERY_NONE)
		attempts->oldest = n;
	else
		attempts->attempt[attempts->newest].newer = n;
	attempts->newest = n;
}

static void
unlink_age(struct delivery_attempts *attempts, struct delivery_attempt *attempt)
{
	if (attempt->older == DELIVERY_NONE)
		attempts->oldest = attempt->newer;
	else
		attempts->attempt[attempt->older].newer = attempt->newer;
	if (attempt->newer == DELIVERY_NONE)
		attempts->newest = attempt->older;
	else
		attempts->attempt[attempt->newer].older = attempt->older;
}

static struct delivery_attempt *
take_attempt(struct delivery_attempts *attempts)
{
	struct delivery_attempt *attempt;

	assert(attempts->n_open < DELIVERY_ATTEMPTS_MAX);
	attempts->n_open++;
	if (attempts->free == DELIVERY_NONE)
		return &attempts->attempt[attempts->n_used++];
	attempt = &attempts->attempt[attempts->free];
	attempts->free = attempt->same_bucket;
	return attempt;
}

struct delivery_attempt *
delivery_attempts_open(struct delivery_attempts *attempts, uint32_t pid)
{
	struct delivery_attempt *attempt = take_attempt(attempts);
	uint32_t *bucket = bucket_of(attempts, pid);

	/* Not all of it: recipients are many, and guarded by their number. */
	attempt->pid = pid;
	attempt->queue_id[0] = '\0';
	attempt->touched_ms = 0;
	attempt->route = ROUTE_NONE;
	attempt->visit = attempt->joined = 0;
	attempt->name = DELIVERY_NONE;
	attempt->resulted = attempt->closed = attempt->probed = false;
	attempt->n_recipients = attempt->n_notes = 0;
	attempt->first_note = DELIVERY_NONE;
	attempt->same_bucket = *bucket;
	*bucket = number_of(attempts, attempt);
	link_age(attempts, attempt);
	return attempt;
}

void
delivery_attempts_touch(struct delivery_attempts *attempts,
    struct delivery_attempt *attempt, uint64_t now_ms)
{
	attempt->touched_ms = now_ms;
	unlink_age(attempts, attempt);
	link_age(attempts, attempt);
}

void
delivery_attempts_close(
    struct delivery_attempts *attempts, struct delivery_attempt *attempt)
{
	uint32_t n = number_of(attempts, attempt);
	uint32_t *at = bucket_of(attempts, attempt->pid);

	while (attempt->first_note != DELIVERY_NONE)
		delivery_attempts_remove(
		    attempts, attempt, &attempt->first_note);
	while (*at != n)
		at = &attempts->attempt[*at].same_bucket;
	*at = attempt->same_bucket;
	unlink_age(attempts, attempt);
	attempt->same_bucket = attempts->free;
	attempts->free = n;
	attempts->n_open--;
}

/* -- notes ---------------------------------------------------------------- */

static uint32_t
take_note(struct delivery_attempts *attempts)
{
	uint32_t n = attempts->free_note;

	attempts->n_notes++;
	if (n == DELIVERY_NONE)
		return attempts->n_notes_used++;
	attempts->free_note = attempts->note[n].next;
	return n;
}

struct delivery_note *
delivery_attempts_note(
    struct delivery_attempts *attempts, struct delivery_attempt *attempt)
{
	struct delivery_note *note;
	uint32_t n;

	assert(attempt->n_notes < DELIVERY_NOTES_EACH);
	assert(attempts->n_notes < DELIVERY_NOTES_MAX);
	n = take_note(attempts);
	note = &attempts->note[n];
	note->n_open = note->n_held = 0;
	note->next = attempt->first_note;
	attempt->first_note = n;
	attempt->n_notes++;
	return note;
}

struct delivery_note *
delivery_attempts_note_at(
    struct delivery_attempts *attempts, const uint32_t *at)
{
	return *at == DELIVERY_NONE ? NULL : &attempts->note[*at];
}

void
delivery_attempts_remove(struct delivery_attempts *attempts,
    struct delivery_attempt *attempt, uint32_t *at)
{
	uint32_t n = *at;

	*at = attempts->note[n].next;
	attempts->note[n].next = attempts->free_note;
	attempts->free_note = n;
	attempts->n_notes--;
	attempt->n_notes--;
}
