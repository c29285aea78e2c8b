/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of the health table share among themselves: the handle of a
 * mapped file, and the steps of opening one. No one else includes this.
 *
 *   health_table.c        hosts and sets: finding, adding, drawing, counting
 *   health_table_slot.c   one host's words: view, detail, override
 *   health_table_claim.c  one host's trial: who has the claim
 *   health_table_history.c one host's changes: note, list
 *   health_table_check.c  is this file, this slot worth trusting?
 *   health_table_carry.c  what a new file takes over from an old one
 *   health_table_attach.c what stands under the path; attach, close
 *   health_table_file.c   open: create, replace, continue
 */
#ifndef NH_POLICY_HEALTH_TABLE_MAP_H
#define NH_POLICY_HEALTH_TABLE_MAP_H

#include "policy/compiler.h"
#include "policy/health_layout.h"
#include "policy/health_table.h"

/* Capacities and places are copied out of the header when it is checked: what
   happens to the file later cannot lead a pointer astray. */
struct health_table {
	struct layout_header *header; /* start of the mapping */
	struct layout_host *hosts;
	struct layout_set *sets;
	_Atomic uint32_t *host_index;
	_Atomic uint32_t *set_index;
	struct ticket_slot *tickets;
	struct layout_history *history; /* NULL: a file of layout 1.0 */
	struct hash_key ticket_key;
	uint64_t bytes;
	uint32_t hosts_max;
	uint32_t sets_max;
	uint32_t tickets_max;
	uint32_t host_index_mask;
	uint32_t set_index_mask;
};

/* health_table.c */
struct layout_host *health_table_slot(
    const struct health_table *table, uint32_t slot) NH_ALL_NONNULL;
/* Puts a used slot into its index, if it is not there. Returns: false when
   another slot has its name, or there is no room. */
bool health_table_index_host(
    struct health_table *table, uint32_t slot) NH_ALL_NONNULL;
bool health_table_index_set(
    struct health_table *table, uint32_t slot) NH_ALL_NONNULL;

/* health_table_slot.c */
uint64_t health_table_pack(
    const struct health *health, bool usable) NH_ALL_NONNULL;
/* The detail in force. Returns: false when its check does not hold. */
bool health_table_load_detail(const struct layout_host *host,
    struct layout_detail *detail_r) NH_ALL_NONNULL;
/* Makes a new slot up, usable, without an override and without a history. */
void health_table_reset(
    struct health_table *table, uint32_t slot) NH_ALL_NONNULL;
/*
 * n words from or to memory that others use meanwhile. Words are stored with
 * release and loaded with acquire order, not between fences: who sees any word
 * of a write also sees the turn that announced it, and a race detector can
 * follow.
 */
void health_table_store_words(
    _Atomic uint64_t *to, const void *from, size_t n) NH_ALL_NONNULL;
void health_table_load_words(
    const _Atomic uint64_t *from, void *to_r, size_t n) NH_ALL_NONNULL;
/* Text that came through memory which others write: ends, and is ASCII. */
void health_table_clean_text(char *text, size_t size) NH_ALL_NONNULL;
/* What the table can hold of a time. */
uint64_t health_table_clamp_time(uint64_t ms);

/* health_table_history.c */
/* Empties a slot's history. */
void health_table_forget(
    struct health_table *table, uint32_t slot) NH_ALL_NONNULL;

/* health_table_check.c */
/*
 * Fills the sizes, capacities and offsets of a file for these counts.
 * Returns: 0, -1 when more is asked than a table can hold.
 */
int health_table_plan(const struct health_table_size *size,
    struct layout_header *header_r) NH_ALL_NONNULL;
/* The hash that header->check has to have. */
uint64_t health_table_header_check(
    const struct layout_header *header) NH_ALL_NONNULL;
/*
 * Judges the fixed part of a header (a copy of it) of a file of file_size
 * bytes. Returns: 0, or -1 with why: the second half of a sentence about the
 * file.
 */
int health_table_check_header(const struct layout_header *header,
    uint64_t file_size, struct err *why) NH_ALL_NONNULL;
/* Points the handle at a mapping whose header has been judged good. */
void health_table_point(struct health_table *table, void *mapping,
    const struct layout_header *judged) NH_ALL_NONNULL;
/*
 * May this used slot be trusted? Times are judged only when now_ms is not 0
 * (they mean nothing after a reboot).
 */
bool health_table_slot_is_sane(const struct health_table *table, uint32_t slot,
    uint64_t now_ms) NH_ALL_NONNULL;
/*
 * Counts what does not validate: slots, index entries. Changes nothing.
 * Returns: how many.
 */
uint32_t health_table_count_bad(
    const struct health_table *table, uint64_t now_ms) NH_ALL_NONNULL;
/* Completes what a writer was killed in the middle of. The writer's. Returns:
   how many entries have the name of another: damage that a lost index had
   hidden. */
uint32_t health_table_repair(
    struct health_table *table) NH_MUSTCHECK NH_ALL_NONNULL;

/* health_table_attach.c */
/* What stands under a path. */
enum health_table_found {
	FOUND_NOTHING = 0,
	FOUND_TABLE,   /* mapped, its header is good */
	FOUND_INVALID, /* a plain file, to be replaced */
	FOUND_REFUSED  /* not ours to touch, or our own trouble */
};
/* Looks, judges, maps. why is filled unless it is FOUND_TABLE. */
enum health_table_found health_table_examine(const char *path, bool worker,
    struct health_table *table_r, struct err *why) NH_ALL_NONNULL;
/* Maps an open file. Returns: 0, -1 with errno. */
int health_table_map(int fd, const struct layout_header *judged,
    struct health_table *table_r) NH_ALL_NONNULL;
void health_table_unmap(struct health_table *table) NH_ALL_NONNULL;

/* health_table_carry.c */
/*
 * Takes sane hosts with their history, sets and tickets over. other_boot:
 * times are void, and histories with them.
 * Room must be there.
 */
void health_table_carry(struct health_table *to,
    const struct health_table *from, bool other_boot,
    uint64_t now_ms) NH_ALL_NONNULL;

/* ticket.c: takes the tickets of a table with the same key over. */
void ticket_carry(
    struct health_table *to, const struct health_table *from) NH_ALL_NONNULL;

#endif
