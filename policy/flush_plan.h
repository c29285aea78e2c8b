/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Which mail waits in the MTA's queue for which host set, and when it is worth
 * asking the MTA to try it again: a plan, without processes and without a clock
 * of its own.
 *
 * A recovery plans one flush for each domain that was seen waiting. A message
 * that was in an attempt at that moment is not moved by it; when its deferred
 * line comes, that message alone is asked for, with growing pauses. While such
 * lines keep coming the domain is flushed again, at most once a minute, and
 * once more at the end, after flush_again_ms. While a host of the set is up
 * there is no recovery to wait for: each message that is put off for trouble of
 * the hosts is asked for alone, with the same pauses. A domain that was flushed
 * less than a minute before a recovery is flushed when that minute is over; the
 * messages that were put off since are asked for before.
 *
 * Bounded in all it keeps, and in the work of each call: what does not fit is
 * known only as "more of this domain", which a flush of the domain moves too.
 */
#ifndef NH_POLICY_FLUSH_PLAN_H
#define NH_POLICY_FLUSH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/delivery.h"
#include "policy/hash.h"

#define FLUSH_DOMAINS_MAX   65536
#define FLUSH_ALL_MAX	    65536 /* messages remembered in all */
#define FLUSH_MESSAGES_MAX  512	  /* of one domain */
#define FLUSH_MESSAGES_FEW  1	  /* of one domain, once half of all are */
#define FLUSH_SETTLE_MS	    1000  /* from a line to the deferred queue */
#define FLUSH_DOMAIN_GAP_MS 60000 /* between two flushes of one domain */
#define FLUSH_RETRY_GAP_MS  10000 /* between two retries of one message */
#define FLUSH_RETRY_DOUBLE  5	  /* times that this gap doubles, at most */
#define FLUSH_PACE_MS	    20	  /* between two actions of any kind */
/* qmgr(8) answers its last question of so long from memory, by the recipient
   and the sender (src/global/resolve_clnt.c). */
#define FLUSH_MEMORY_MS 30000
/* Without a line for so long a message is not in the queue any more. */
#define FLUSH_FORGET_MS 86400000

struct flush_plan;

/* key: random, because domains and queue ids are chosen by strangers.
   Owns: the caller. May abort without memory. */
struct flush_plan *flush_plan_create(struct hash_key key);
void flush_plan_free(struct flush_plan **plan) NH_ALL_NONNULL;

/*
 * A recipient waits. set: key of its host set (config_set.key), which outlives
 * a reload. What does not wait for the hosts is only remembered as a message
 * that could take a trial. The newest line of a message counts. set_is_up: a
 * host of the set is up, and mail that waits for hosts is to be asked for.
 */
void flush_plan_waiting(struct flush_plan *plan, uint64_t set,
    const struct delivery_waiting *waiting, bool set_is_up,
    uint64_t now_ms) NH_ALL_NONNULL;
/* A row of refusals is the host's: what was refused waits for hosts. */
void flush_plan_blame(struct flush_plan *plan, uint64_t key, bool set_is_up,
    uint64_t now_ms) NH_ALL_NONNULL;
/* It is delivered or bounced. Of a message with several recipients the last one
   that was put off is remembered. */
void flush_plan_gone(struct flush_plan *plan, uint64_t set,
    const struct address *recipient, const char *queue_id) NH_ALL_NONNULL;

/* The set with this key can be delivered to again. */
void flush_plan_recovered(struct flush_plan *plan, uint64_t key,
    uint64_t now_ms, uint32_t flush_again_ms) NH_ALL_NONNULL;
/* It cannot any more: what was planned for it is pointless. What waits is
   still known. */
void flush_plan_failed(struct flush_plan *plan, uint64_t key) NH_ALL_NONNULL;

/*
 * After a reload: each domain waits for the set that its route has now, and
 * what was planned for those that move is planned no more.
 * find returns: false for a domain that no set serves: it is forgotten.
 */
typedef bool flush_plan_find_fn(
    const void *arg, const char *domain, uint64_t *set_r);
void flush_plan_move(struct flush_plan *plan, flush_plan_find_fn *find,
    const void *arg) NH_NONNULL(1, 2);
/* Has mail that waited for another set been moved to this one, which has not
   recovered since? */
bool flush_plan_has_moved(
    const struct flush_plan *plan, uint64_t set) NH_ALL_NONNULL;

/* The flush service does not serve this domain: plan nothing for it. */
void flush_plan_refuse(
    struct flush_plan *plan, const char *domain) NH_ALL_NONNULL;
/* After a reload everything is worth asking again. */
void flush_plan_forget_refusals(struct flush_plan *plan) NH_ALL_NONNULL;

enum flush_action { FLUSH_NOTHING = 0, FLUSH_DOMAIN, FLUSH_MESSAGE };

struct flush_step {
	enum flush_action action;
	char what[ADDRESS_DOMAIN_MAX + 1]; /* the domain, or the queue id */
	uint64_t set;
};

/*
 * The next thing to do now, which counts as done then. For a queue id the MTA
 * is asked for one message, for a domain for all that waits for it. Returns:
 * step_r->action; *wait_r_ms: how long there will be nothing else to do
 * (UINT32_MAX: until something is told).
 */
enum flush_action flush_plan_next(struct flush_plan *plan, uint64_t now_ms,
    struct flush_step *step_r, uint32_t *wait_r_ms) NH_ALL_NONNULL;

/*
 * A message that waits for this set, for a trial, longest untouched first: not
 * one that was asked for just now, nor one whose answer the MTA may have in
 * memory, because the newest line of all is its own or of the same recipient,
 * and not older than FLUSH_MEMORY_MS. Preferred are those that wait for the
 * hosts to those that a host refused, these to those that wait for a reason of
 * their own, and among them those whose own line is
 * older than that: what was asked last is known only by what was put off last.
 * Returns: false when there is none now. to_r: the recipient as written.
 */
bool flush_plan_take_one(struct flush_plan *plan, uint64_t set, uint64_t now_ms,
    char to_r[ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX],
    char queue_id_r[DELIVERY_QUEUE_MAX]) NH_ALL_NONNULL;

/* Domains and messages known to wait, for display; there may be more messages.
 */
void flush_plan_count(const struct flush_plan *plan, uint32_t *domains_r,
    uint32_t *messages_r) NH_ALL_NONNULL;

#endif
