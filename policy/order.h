/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The order: which hosts of a set, in which sequence, for one ticket and the
 * health of now. Pure: what it needs of each member comes as an array.
 *
 *  - Tiers in ascending priority. In the first tier with hosts that are up,
 *    ticket % (sum of weights) chooses the first one: exact over each cycle,
 *    equal weights give A B C A B C, and when a host leaves its share spreads
 *    over all that stay.
 *  - The rest of that tier follows as a fixed rotation, later tiers in the
 *    order of the file: few distinct lists, because Postfix keeps concurrency
 *    and its memory of dead destinations by the list's spelling.
 *  - A host in trial that is offered to this ticket stands first in its tier,
 *    as if it were up; the others follow as if it were not there. Only in the
 *    first tier.
 *  - A host in trial of a later tier stands in its place as if it were up, for
 *    every ticket: a message reaches it only when all hosts before it refused
 *    it for now. Left out, a backup would stay in trial until the hosts before
 *    it fall, and be missing then.
 *  - While any host is up, deferred ones are left out, and in the first tier
 *    with hosts to try, and before it, those in trial that are not offered.
 *    Drained, disabled and unusable hosts are always left out.
 */
#ifndef NH_POLICY_ORDER_H
#define NH_POLICY_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/health_table.h"

enum order_kind {
	ORDER_UP = 0,	/* hosts that are up, or the offered one; behind their
			   tier also those in trial */
	ORDER_DEFERRED, /* none is up: all deferred ones, in trial first, silent
			   ones last, then soonest due first */
	ORDER_NONE	/* nothing usable, or all drained or disabled */
};

/* Why a member is or is not in the list, for people. */
enum order_why {
	ORDER_WHY_UP = 0,
	ORDER_WHY_FORCED,   /* operator: forced-up */
	ORDER_WHY_DEFERRED, /* left out (or listed in ORDER_DEFERRED) */
	ORDER_WHY_DRAIN,
	ORDER_WHY_DISABLED,
	ORDER_WHY_FAMILY,     /* address family the MTA does not use */
	ORDER_WHY_UNRESOLVED, /* a name that does not resolve now */
	ORDER_WHY_TRIAL,      /* in trial, offered to another ticket or to
				 none; listed behind the first tier */
	ORDER_WHY_OFFERED     /* in trial, and this ticket is the one */
};

struct order_input {
	struct health_view view;
	bool wrong_family; /* literal of a family the MTA has disabled */
	bool offered;	   /* in trial, and this ticket has the claim */
	bool taken;	   /* in trial, and another one has it; order_claimable
			      alone reads it */
};

struct order {
	enum order_kind kind;
	uint32_t n;
	/* Indices into the set's members (0 .. n_members-1), first choice
	   first. */
	uint8_t member[CONFIG_SET_HOSTS_MAX];
	uint8_t why[CONFIG_SET_HOSTS_MAX]; /* enum order_why, per member */
	/* Sum of the listed hosts' recoveries, and a little for each that is
	   forced up: how to spell the list, so that a returned host is not met
	   by a suspended spelling. With an offered host it depends on the
	   ticket too: a failed trial may have suspended the one before. */
	uint32_t spelling;
};

/*
 * Computes the order of n members (input[i] belongs to members[i]).
 * Returns nothing: order_r->kind says it all. No allocation.
 * Thread: any.
 */
void order_compute(const struct config_member *members,
    const struct order_input *input, uint32_t n, uint32_t ticket,
    struct order *order_r) NH_ALL_NONNULL;

/*
 * Which member the next ticket could claim: the first one in trial that is not
 * taken, of the first tier that has such a one or hosts that are up.
 * Returns: its index; n: none.
 * Thread: any.
 */
uint32_t order_claimable(const struct config_member *members,
    const struct order_input *input, uint32_t n) NH_ALL_NONNULL;

/* Does the list begin with a host in trial? */
bool order_offers(const struct order *order) NH_ALL_NONNULL;

const char *order_why_text(enum order_why why); /* "deferred", ... */

#endif
