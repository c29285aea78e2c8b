/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The shared health table: one mmap'd file that the worker writes and that
 * nexthopctl and later workers read. Host states, operator overrides, cursors
 * of host sets and tickets survive a restart and a kill at any instruction.
 * Knows bytes and atomics; decides nothing. The only user of mmap.
 *
 * Writers: health words and details: the probe thread of the one worker that
 * holds the lock (a file of its own, not this module's). Overrides:
 * nexthopctl. Cursors, tickets, claims, counters: anybody, atomically.
 */
#ifndef NH_POLICY_HEALTH_TABLE_H
#define NH_POLICY_HEALTH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/err.h"
#include "policy/hash.h"
#include "policy/health.h"
#include "policy/host.h"
#include "policy/outcome.h"

#define HEALTH_TABLE_NONE UINT32_MAX

struct health_table;

struct health_table_size {
	uint32_t hosts; /* wanted at least */
	uint32_t sets;
	uint32_t tickets;
};

/* What identifies a life of the machine and of the writer. */
struct health_table_birth {
	uint8_t boot_id[16];
	struct hash_key ticket_key; /* random; used when a table is created */
	uint32_t pid;
	uint64_t now_ms; /* CLOCK_BOOTTIME */
};

enum health_table_opened {
	HEALTH_TABLE_CREATED = 0, /* there was no file */
	HEALTH_TABLE_ATTACHED,	  /* valid: everything is kept */
	HEALTH_TABLE_GROWN,	  /* valid, too small, or of an earlier layout:
				     copied into a new file */
	HEALTH_TABLE_REBOOTED,	  /* valid, another boot: times void, hosts up,
				     no history, overrides without an end are
				     kept */
	HEALTH_TABLE_REPAIRED,	  /* some entries are not valid: *why says how
				     many; copied into a new file without them */
	HEALTH_TABLE_REBUILT	  /* not valid: *why says so; started anew */
};

/*
 * Opens the table for the worker: creates, attaches or replaces the file (a new
 * one is written beside it, space reserved, mode 0640, then renamed over it;
 * the old one is marked superseded).  Room is left for growth: half as many
 * hosts and sets again as wanted, at least 64.
 * Returns: 0; -1 with why filled (cannot create, disk full, ...). why is filled
 * also for HEALTH_TABLE_REPAIRED and HEALTH_TABLE_REBUILT.
 * Owns: the caller, health_table_close.
 */
int health_table_open(const char *path, const struct health_table_size *wanted,
    const struct health_table_birth *birth, struct health_table **table_r,
    enum health_table_opened *how_r,
    struct err *why) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Opens an existing valid table for reading and for overrides.
 * Returns: 0, or -1 with why: missing, short, foreign, another layout, another
 * boot, no permission.
 */
int health_table_attach(const char *path, const uint8_t boot_id[16],
    struct health_table **table_r, struct err *why) NH_MUSTCHECK NH_ALL_NONNULL;
void health_table_close(struct health_table **table) NH_ALL_NONNULL;

/* Has the file been replaced by a newer one? Then attach again. */
bool health_table_superseded(const struct health_table *table) NH_ALL_NONNULL;
/* Do wanted slots fit into this file, given those in use? */
bool health_table_has_room(const struct health_table *table, uint32_t new_hosts,
    uint32_t new_sets) NH_ALL_NONNULL;

struct health_table_header_info {
	uint32_t generation, writer_pid, hosts_used, hosts_max, sets_used,
	    sets_max, tickets_max;
	uint64_t heartbeat_ms, writer_start_ms, bytes;
};
void health_table_header(const struct health_table *table,
    struct health_table_header_info *info_r) NH_ALL_NONNULL;
/* The writer's: a new generation of the configuration; a sign of life. */
void health_table_set_generation(
    struct health_table *table, uint32_t n) NH_ALL_NONNULL;
void health_table_heartbeat(
    struct health_table *table, uint64_t now_ms) NH_ALL_NONNULL;

/*
 * The slot of a host.
 * Returns: its number, or HEALTH_TABLE_NONE (find: not there; add: no room).
 * add returns the slot that is there already. Adding is the writer's.
 */
uint32_t health_table_find_host(
    const struct health_table *table, const struct host *host) NH_ALL_NONNULL;
uint32_t health_table_add_host(
    struct health_table *table, const struct host *host) NH_ALL_NONNULL;
/* Host of a used slot. Returns: 0, -1 for a slot not in use or not valid. */
int health_table_host(const struct health_table *table, uint32_t slot,
    struct host *host_r) NH_ALL_NONNULL;

/* What a lookup needs of a host: one load of one atomic word, plus one for the
   operator's. */
struct health_view {
	enum health_state state;
	enum health_override override; /* NONE when its time is over */
	bool usable; /* false: a name that does not resolve now */
	uint8_t slow_step;
	uint8_t recoveries;
	bool silent;
	uint64_t due_ms;
};
void health_table_view(const struct health_table *table, uint32_t slot,
    uint64_t now_ms, struct health_view *view_r) NH_ALL_NONNULL;

/*
 * The writer's view of a slot: everything measured. Read by others through a
 * sequence counter, so that what is read belongs together.
 */
struct health_detail {
	struct health health;
	bool usable;
	struct observation last; /* why the host is where it is: the
				    observation that led to its state */
	uint64_t last_seen_ms;	 /* of the newest observation of any kind */
	uint32_t latency_us;	 /* of the newest good probe */
};
void health_table_read(const struct health_table *table, uint32_t slot,
    struct health_detail *detail_r) NH_ALL_NONNULL;
/* Thread: the one writer. Publishes the health word last. */
void health_table_write(struct health_table *table, uint32_t slot,
    const struct health_detail *detail) NH_ALL_NONNULL;

/*
 * A trial is claimed by a ticket of a set: only questions with that ticket are
 * offered the host. One claim a host; it ends by itself at until_ms.
 *
 * A ticket that was drawn has a message behind it. A question may come of one
 * that is refused in the next moment, so what it claims is weak: a drawn ticket
 * takes it over. So is a claim for a queued message that the MTA was asked to
 * try, until it is used: the message may be in the middle of an attempt, or be
 * gone, and is then not heard of.
 *
 * A claim is used once a question has been answered with it; before, nothing
 * can be heard of the host. From then on a claim for a queued message is as
 * good as a drawn one. Those two, used, are kept when their time is over, for
 * the writer to see; others end without a trace.
 */
enum health_claim {
	CLAIM_NONE = 0, /* free */
	CLAIM_WEAK,	/* free for a drawn ticket, and a queued message's */
	CLAIM_OPEN,
	CLAIM_OVER /* used, and nobody has released it: free only when the
		      writer leaves it for this long */
};
#define HEALTH_CLAIM_KEPT_MS 10000

/*
 * Claims for a ticket that was drawn, for one of a queued message that is about
 * to be asked for (a claim of either of the weak kinds gives way to it), or for
 * that of a question.
 * Units: until_ms is now_ms and the same time for all who claim.
 * Returns: true when this ticket has the claim now (it was free, or its
 * already). An atomic exchange: one of many wins. Thread: any.
 */
bool health_table_claim(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms,
    uint64_t until_ms) NH_MUSTCHECK NH_ALL_NONNULL;
bool health_table_claim_called(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms,
    uint64_t until_ms) NH_MUSTCHECK NH_ALL_NONNULL;
bool health_table_claim_weakly(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms,
    uint64_t until_ms) NH_MUSTCHECK NH_ALL_NONNULL;
/* Has this ticket the claim? Thread: any. */
bool health_table_claimed_by(const struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms) NH_ALL_NONNULL;
/* A question is answered with this ticket's claim; nothing, if that is another
   question's. Thread: any. */
void health_table_claim_used(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms) NH_ALL_NONNULL;
enum health_claim health_table_claim_state(const struct health_table *table,
    uint32_t slot, uint64_t now_ms) NH_ALL_NONNULL;
/* Whatever it is, it is free. Thread: the one writer. */
void health_table_release(
    struct health_table *table, uint32_t slot) NH_ALL_NONNULL;

/*
 * The newest changes of a host's state, HEALTH_HISTORY_MAX of them. A change is
 * of the measured state, or of the operator's override (is_override, from and
 * to are enum health_override then).
 */
#define HEALTH_HISTORY_MAX 16
struct health_history {
	uint64_t at_ms; /* boot time */
	bool is_override;
	uint8_t from, to; /* enum health_state, or enum health_override */
	bool blind;	  /* deferred for what no probe sees */
	uint32_t backoff_ms;
	uint32_t count; /* failures or successes in a row that led to it */
	enum outcome_stage stage;
	enum outcome_source source;
	uint16_t code;
	char text[OUTCOME_TEXT_MAX]; /* printable ASCII */
};
/* Thread: the one writer. A reader meanwhile sees it whole or not at all. A
   file of an earlier layout, which only tools keep open, has no room for it. */
void health_table_note(struct health_table *table, uint32_t slot,
    const struct health_history *change) NH_ALL_NONNULL;
/* Newest first; what does not validate is left out. Returns: how many. */
uint32_t health_table_history(const struct health_table *table, uint32_t slot,
    struct health_history list_r[HEALTH_HISTORY_MAX]) NH_ALL_NONNULL;

#define HEALTH_TABLE_REASON_MAX 128
struct health_override_info {
	enum health_override kind;
	uint64_t until_ms; /* 0: no end */
	uint64_t since_ms;
	char reason[HEALTH_TABLE_REASON_MAX]; /* printable ASCII */
};
/* Any process; the last one wins. until_ms 0: for ever. */
void health_table_set_override(struct health_table *table, uint32_t slot,
    const struct health_override_info *info) NH_ALL_NONNULL;
void health_table_get_override(const struct health_table *table, uint32_t slot,
    struct health_override_info *info_r) NH_ALL_NONNULL;

/* Counters, for display only; relaxed. */
enum health_counter {
	COUNTER_PICKED = 0, /* tickets that chose this host first */
	COUNTER_OBSERVED_OK,
	COUNTER_OBSERVED_FAILED,
	COUNTER_COUNT
};
void health_table_count(struct health_table *table, uint32_t slot,
    enum health_counter counter) NH_ALL_NONNULL;
uint64_t health_table_counter(const struct health_table *table, uint32_t slot,
    enum health_counter counter) NH_ALL_NONNULL;

/*
 * Cursors: one a host set, named by its 64-bit key. A new one starts at a
 * number below 65536 derived from the key by hash_mix, so that many quiet sets
 * do not all begin at their first host.
 */
/* Says that the set is searched for, or added, soon. */
void health_table_expect_set(
    const struct health_table *table, uint64_t key) NH_ALL_NONNULL;
uint32_t health_table_find_set(
    const struct health_table *table, uint64_t key) NH_ALL_NONNULL;
uint32_t health_table_add_set(
    struct health_table *table, uint64_t key) NH_ALL_NONNULL;

/*
 * Draws the next ticket of a set (and notes the time).
 * Returns: the ticket, before the advance. Thread: any.
 */
uint32_t health_table_draw(struct health_table *table, uint32_t set_slot,
    uint64_t now_ms) NH_ALL_NONNULL;
/* The ticket drawn last, if younger than max_age_ms. */
bool health_table_last_drawn(const struct health_table *table,
    uint32_t set_slot, uint64_t now_ms, uint32_t max_age_ms,
    uint32_t *ticket_r) NH_ALL_NONNULL;
/* The next ticket, without drawing it. */
uint32_t health_table_cursor(
    const struct health_table *table, uint32_t set_slot) NH_ALL_NONNULL;

/* Raw parts of the ticket section, for policy/ticket.c alone. */
struct ticket_slot;
struct ticket_slot *health_table_tickets(const struct health_table *table,
    uint32_t *n_r, struct hash_key *key_r) NH_ALL_NONNULL;

#endif
