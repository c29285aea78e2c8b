/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The delivery attempts that are under way, and notes of what was seen in each.
 * A delivery agent handles one request at a time, so an attempt is found by its
 * process. Bounded: the oldest makes room.
 */
#ifndef NH_POLICY_DELIVERY_ATTEMPTS_H
#define NH_POLICY_DELIVERY_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/delivery.h"
#include "policy/delivery_line.h"

#define DELIVERY_ATTEMPTS_MAX	4096
#define DELIVERY_NOTES_MAX	8192 /* of all attempts */
#define DELIVERY_NOTES_EACH	128  /* of one: two hosts' lists, and more */
#define DELIVERY_RECIPIENTS_MAX 64   /* remembered of one; Postfix puts 50 */
#define DELIVERY_NONE		UINT32_MAX

/* Something seen of one server in one visit to it. */
struct delivery_note {
	uint32_t next; /* of the same attempt, or DELIVERY_NONE */
	uint32_t name; /* as in struct delivery_place */
	uint32_t host;
	uint32_t visit;
	enum delivery_sight sight;
	bool each;	 /* as in struct delivery_reading */
	uint32_t n_open; /* lines whose recipient, or port, is not known yet */
	/* Recipients that were refused too, in a row that a success would
	   end. */
	uint32_t n_held;
	uint64_t held[DELIVERY_ROW];
	struct observation seen; /* of the newest line; not of DELIVERY_OK */
};

struct delivery_attempt {
	uint32_t pid;
	char queue_id[DELIVERY_QUEUE_MAX]; /* "": not told yet */
	uint64_t touched_ms;
	uint32_t route;	 /* of the last recipient, or ROUTE_NONE */
	uint32_t visit;	 /* grows with each server that is turned to */
	uint32_t name;	 /* the server visited; DELIVERY_NONE: a stranger */
	uint32_t joined; /* the last visit that is surely of this queue id */
	bool resulted;	 /* a result came of this visit */
	bool closed;	 /* and it ended the visit */
	bool probed;	 /* somebody asks whether an address exists */
	uint32_t n_recipients;
	uint32_t recipients[DELIVERY_RECIPIENTS_MAX]; /* with results; low
							 halves of hashes */
	uint32_t first_note, n_notes;
	uint32_t same_bucket, older, newer; /* of delivery_attempts.c */
};

struct delivery_attempts;

/* Owns: the caller. Aborts without memory; nothing else allocates. */
struct delivery_attempts *delivery_attempts_create(void);
void delivery_attempts_free(struct delivery_attempts **attempts) NH_ALL_NONNULL;
void delivery_attempts_forget(
    struct delivery_attempts *attempts) NH_ALL_NONNULL;

/* Returns: the open attempt of a process, or NULL. */
struct delivery_attempt *delivery_attempts_find(
    struct delivery_attempts *attempts, uint32_t pid) NH_ALL_NONNULL;
/* The one that was touched longest ago, or NULL. */
struct delivery_attempt *delivery_attempts_oldest(
    struct delivery_attempts *attempts) NH_ALL_NONNULL;
/* Is there no room for an attempt more, or for one's notes? */
bool delivery_attempts_are_full(
    const struct delivery_attempts *attempts) NH_ALL_NONNULL;

/* Opens one for a process that has none; there must be room. */
struct delivery_attempt *delivery_attempts_open(
    struct delivery_attempts *attempts, uint32_t pid) NH_ALL_NONNULL;
void delivery_attempts_touch(struct delivery_attempts *attempts,
    struct delivery_attempt *attempt, uint64_t now_ms) NH_ALL_NONNULL;
/* Ends it, with its notes. */
void delivery_attempts_close(struct delivery_attempts *attempts,
    struct delivery_attempt *attempt) NH_ALL_NONNULL;

/* A new note, n_open and n_held 0, for an attempt that has fewer than
   DELIVERY_NOTES_EACH; for as many there is room when not full. */
struct delivery_note *delivery_attempts_note(struct delivery_attempts *attempts,
    struct delivery_attempt *attempt) NH_ALL_NONNULL;
/*
 * Walks the notes: at is &attempt->first_note at first, &note->next after that.
 * Returns: the note there, or NULL. A removed one is followed by what at says
 * then.
 */
struct delivery_note *delivery_attempts_note_at(
    struct delivery_attempts *attempts, const uint32_t *at) NH_ALL_NONNULL;
void delivery_attempts_remove(struct delivery_attempts *attempts,
    struct delivery_attempt *attempt, uint32_t *at) NH_ALL_NONNULL;

#endif
