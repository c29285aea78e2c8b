/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The one question that both faces ask: a recipient, answered with the hosts
 * to try, "not ours", "hold", or "as DNS says". The milter and the map only
 * translate. No lock, no allocation, no wait.
 */
#ifndef NH_POLICY_LOOKUP_H
#define NH_POLICY_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"
#include "policy/health_table.h"
#include "policy/order.h"
#include "policy/unseen.h"

/* How long the last drawn ticket of a set stands in for a missing one. */
#define LOOKUP_STAND_IN_MS 1000

/* How long a ticket has the claim on a host in trial. */
#define LOOKUP_CLAIM_MS 30000

/*
 * A configuration bound to a table: where each host and each set has its slot.
 * Immutable once made, but for unseen. Owns neither config nor table.
 */
struct lookup_base {
	const struct config *config;
	struct health_table *table; /* NULL: no table; all hosts count as
				       up, nothing is drawn */
	uint32_t *host_slot;	    /* per config host; HEALTH_TABLE_NONE */
	uint32_t *set_slot;	    /* per config set */
	struct unseen *unseen;	    /* questions without a ticket */
	bool claims;		    /* questions may claim a trial */
};

/*
 * Binds. add true (the table's writer only: the worker's probe thread, or its
 * main thread before that runs): missing slots are made,
 * names that are new start unusable until they resolve; false: they stay
 * HEALTH_TABLE_NONE, and questions leave no trace (tools).
 * Returns: 0; -1 when the table has no room (err says so).
 * Owns: the caller, lookup_base_free.
 */
int lookup_bind(const struct config *config, struct health_table *table,
    bool add, struct lookup_base **base_r, struct err *err) NH_MUSTCHECK
    NH_NONNULL(1, 4, 5);
void lookup_base_free(struct lookup_base **base) NH_ALL_NONNULL;

enum lookup_kind {
	LOOKUP_NOT_OURS = 0, /* no route serves the domain */
	LOOKUP_HOSTS,	     /* order lists them */
	LOOKUP_HOLD,	     /* routed, nothing may be tried now */
	LOOKUP_DNS	     /* use_dns: the MTA's own MX lookup */
};

enum lookup_ticket {
	TICKET_FOUND = 0, /* left by the milter for this recipient */
	TICKET_LAST,	  /* stand-in: the set's last one, < 1 s old */
	TICKET_HASH	  /* stand-in: hash of the recipient */
};

struct lookup_answer {
	enum lookup_kind kind;
	uint32_t route; /* index, or ROUTE_NONE */
	uint32_t ticket;
	enum lookup_ticket ticket_from;
	bool tempfail;	    /* all hosts are deferred and the route wants
			       the milter to say 451 */
	bool trial_open;    /* a ticket drawn now would claim a host in
			       trial */
	struct order order; /* valid for HOSTS and HOLD of a set */
};

/*
 * Answers for a recipient.
 * text: as the MTA wrote it (address_parse). No "@": not ours.
 * Units: now_ms is boot time.
 * when_all_deferred: try lists the deferred hosts; hold answers LOOKUP_HOLD;
 * tempfail lists them as try does (mail that is in the queue already) and sets
 * tempfail. A ticket that has the claim on a host in trial is answered with
 * that host first in its tier, and with LOOKUP_HOSTS, whatever the route wants.
 * A question claims nothing, until the host's patience is over (view.due_ms):
 * then one with the recipient's own ticket or its hash may, so that mail that
 * meets no milter, or is tried again, ends a trial as well. A ticket that is
 * drawn takes such a claim over.
 * Thread: any. Returns: answer_r->kind.
 */
enum lookup_kind lookup_recipient(const struct lookup_base *base,
    const char *text, size_t len, uint64_t now_ms,
    struct lookup_answer *answer_r) NH_ALL_NONNULL;
enum lookup_kind lookup_address(const struct lookup_base *base,
    const struct address *address, uint64_t now_ms,
    struct lookup_answer *answer_r) NH_ALL_NONNULL;

/* As lookup_address, for a route and a ticket that are known already; leaves no
   trace. */
enum lookup_kind lookup_with_ticket(const struct lookup_base *base,
    uint32_t route, uint32_t ticket, uint64_t now_ms,
    struct lookup_answer *answer_r) NH_ALL_NONNULL;

/* The route of an address; ROUTE_NONE. */
uint32_t lookup_route(const struct lookup_base *base,
    const struct address *address) NH_ALL_NONNULL;

/*
 * Draws the next ticket of a route's set; the first host of the order counts
 * as picked. If a host of the first tier that counts is in trial and free, the
 * ticket claims it for LOOKUP_CLAIM_MS; one host a ticket. A host in trial
 * behind a tier with hosts that are up is listed there for every ticket, and
 * needs no claim.
 * Returns: false when the route has no set (use_dns) or there is no table.
 */
bool lookup_draw(const struct lookup_base *base, uint32_t route,
    uint64_t now_ms, uint32_t *ticket_r) NH_ALL_NONNULL;
/*
 * The same only if the ticket gets the claim on a host in trial: for a message
 * that waits, and is asked to be tried when the ticket has been left for it.
 * Until the MTA asks its question another draw takes the claim over.
 * Returns: false when there is no such host.
 */
bool lookup_draw_trial(const struct lookup_base *base, uint32_t route,
    uint64_t now_ms, uint32_t *ticket_r) NH_MUSTCHECK NH_ALL_NONNULL;
/* Leaves the ticket for a recipient of that route. */
void lookup_leave(const struct lookup_base *base, uint32_t route,
    const struct address *recipient, uint32_t ticket,
    uint64_t now_ms) NH_ALL_NONNULL;

/*
 * The milter is told of a recipient: its question, if the MTA asked one just
 * now, is explained (policy/unseen.h).
 */
void lookup_seen(const struct lookup_base *base, uint32_t route,
    const struct address *recipient) NH_ALL_NONNULL;

/*
 * Is the MTA, at this moment, asking for recipients of the route's set that
 * the milter never saw (members of an alias, always_bcc)? A ticket drawn now
 * could split their message: wait a little. Never for a set of one host.
 * first_ms: when this was asked first (policy/unseen.h).
 */
bool lookup_resolving(const struct lookup_base *base, uint32_t route,
    uint64_t first_ms, uint64_t now_ms) NH_MUSTCHECK NH_ALL_NONNULL;

/* The k-th host of an answer. */
const struct host *lookup_host(const struct lookup_base *base,
    const struct lookup_answer *answer, uint32_t k) NH_ALL_NONNULL;

#endif
