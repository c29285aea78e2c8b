/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the flush plan knows to wait: host sets, their domains, the domains'
 * messages. Nobody else includes this. It finds, makes and drops things, within
 * the limits of flush_plan.h, and has no idea of when to do what.
 *
 * Everything is found by a hash and stands in lists, so that no call looks at
 * more than it needs.
 */
#ifndef NH_POLICY_FLUSH_KNOWN_H
#define NH_POLICY_FLUSH_KNOWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/delivery.h"
#include "policy/due_heap.h"
#include "policy/hash.h"
#include "policy/hash_chains.h"

enum flush_kind { FLUSH_KIND_SET = 0, FLUSH_KIND_DOMAIN, FLUSH_KIND_MESSAGE };

struct flush_domain;
struct flush_message;

struct flush_set {
	struct due due; /* the last flush; while it is planned, lines that
			   come are answered */
	struct hash_link link;
	uint64_t key;
	bool up;
	bool moved;	/* mail that waited for another set came, and no
			   recovery since */
	uint32_t epoch; /* grows with each recovery: then the patience with
			   messages begins anew */
	uint32_t n_domains;
	/* A round flushes all domains that wait: those of another round than
	   the set's, which stand first. */
	uint32_t round;
	bool in_round;
	TAILQ_ENTRY(flush_set) of_rounds;
	TAILQ_HEAD(, flush_domain) waiting;
	/* By their cause; the longest untouched first. */
	TAILQ_HEAD(, flush_message) messages[CAUSE_COUNT];
};

struct flush_domain {
	struct due due; /* the next flush, or the end of the last one's gap */
	struct hash_link link;
	struct flush_set *set;
	bool planned;	/* due is a flush */
	uint32_t round; /* the last in which it was looked at */
	bool more;	/* mail waits that is not remembered */
	bool waits;	/* it is in set->waiting */
	bool counted;	/* in known->n_waiting */
	bool was_flushed;
	uint64_t flushed_ms;
	uint64_t line_ms; /* when the last line of one that waits came */
	uint32_t n_flushes;
	uint32_t n_messages;
	uint32_t n_by_host; /* of these */
	TAILQ_ENTRY(flush_domain) of_waiting, of_known;
	TAILQ_HEAD(, flush_message) messages;
	char name[];
};

struct flush_message {
	struct due due; /* the next time it is asked for */
	struct hash_link link;
	struct flush_domain *domain;
	enum delivery_cause cause;
	bool homeless;	    /* in no list of a set: its domain is moving */
	uint32_t epoch;	    /* of the set, when planned */
	uint32_t n_flushes; /* of the domain, at the last line */
	uint32_t n_asked;   /* times, in this epoch and the last before it */
	uint64_t asked_ms;
	uint64_t line_ms;   /* when the last line came */
	uint64_t recipient; /* hash, of that line */
	char *to;
	TAILQ_ENTRY(flush_message) of_domain, of_set, of_known;
	char queue_id[DELIVERY_QUEUE_MAX];
};

struct flush_known {
	struct hash_key key;
	struct hash_chains sets, domains, messages;
	uint32_t n_sets, n_domains, n_messages;
	uint32_t n_waiting; /* domains with mail */
	struct due_heap due;
	/* The longest unheard of stand first: */
	TAILQ_HEAD(, flush_domain) all_domains;
	TAILQ_HEAD(flush_by_line, flush_message) all_messages;
	TAILQ_HEAD(, flush_set) rounds;
};

void flush_known_init(
    struct flush_known *known, struct hash_key key) NH_ALL_NONNULL;
void flush_known_clear(struct flush_known *known) NH_ALL_NONNULL;

/* Each: found, or NULL. Valid until it is dropped. */
struct flush_set *flush_known_set(
    const struct flush_known *known, uint64_t key) NH_ALL_NONNULL;
struct flush_domain *flush_known_domain(const struct flush_known *known,
    const struct flush_set *set, const char *name) NH_NONNULL(1, 3);
struct flush_message *flush_known_message(const struct flush_known *known,
    const struct flush_domain *domain, const char *queue_id) NH_NONNULL(1, 3);

/*
 * Each: found or made, or NULL without memory or room. A domain takes the place
 * of the one longest unheard of when there are too many; a message takes
 * nobody's.
 */
struct flush_set *flush_known_need_set(
    struct flush_known *known, uint64_t key) NH_ALL_NONNULL;
struct flush_domain *flush_known_need_domain(
    struct flush_known *known, uint64_t key, const char *name) NH_ALL_NONNULL;
struct flush_message *flush_known_need_message(struct flush_known *known,
    struct flush_domain *domain, const char *queue_id) NH_ALL_NONNULL;

/* What a new line says of a message. Returns: -1 without memory; the message is
   as it was then. */
int flush_known_hear(struct flush_known *known, struct flush_message *message,
    const struct delivery_waiting *waiting, uint64_t now_ms) NH_ALL_NONNULL;
/* Another cause is known for it; not of a new line. */
void flush_known_blame(
    struct flush_message *message, enum delivery_cause cause) NH_ALL_NONNULL;
/* It was touched: others are longer untouched now. */
void flush_known_touch(struct flush_message *message) NH_ALL_NONNULL;
uint64_t flush_known_recipient(const struct flush_known *known,
    const struct address *recipient) NH_ALL_NONNULL;

/* The domain goes with it when nothing needs it any more. */
void flush_known_drop_message(
    struct flush_known *known, struct flush_message *message) NH_ALL_NONNULL;

/*
 * The domain waits for the set with this key from now on, and nothing is
 * planned for it. It may be dropped: when the set cannot be had, or knows the
 * domain already. Its messages are in no list of a set until
 * flush_known_end_moves, which has to follow.
 */
void flush_known_move(struct flush_known *known, struct flush_domain *domain,
    uint64_t key) NH_ALL_NONNULL;
void flush_known_end_moves(struct flush_known *known) NH_ALL_NONNULL;
/* Whatever waits of it is not known any more. */
void flush_known_drop_domain(
    struct flush_known *known, struct flush_domain *domain) NH_ALL_NONNULL;

/*
 * After each change of a domain, or of a set: puts a domain into its set's list
 * or takes it out, and drops what nobody needs any more.
 */
void flush_known_settle(
    struct flush_known *known, struct flush_domain *domain) NH_ALL_NONNULL;
void flush_known_settle_set(
    struct flush_known *known, struct flush_set *set) NH_ALL_NONNULL;

#endif
