/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of the flush plan share: flush_plan.c (what is told),
 * flush_schedule.c (when what is asked for), flush_steps.c (what is to be done
 * now), flush_take.c (a message for a trial). Nobody else includes this.
 * Thread: the one that owns the plan.
 */
#ifndef NH_POLICY_FLUSH_PLAN_PARTS_H
#define NH_POLICY_FLUSH_PLAN_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/flush_known.h"
#include "policy/flush_plan.h"
#include "policy/flush_refused.h"

#define FLUSH_TO_MAX (ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX)

struct flush_plan {
	struct flush_known known;
	struct flush_refused refused;
	uint64_t pace_ms; /* nothing is done before */
	bool turn;	  /* rounds and single things take turns */
};

static inline uint64_t
flush_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * flush_schedule.c
 */
/* When the domain may be flushed again. */
uint64_t flush_free_ms(const struct flush_domain *domain) NH_ALL_NONNULL;
/* When what had its line at line_ms is in the deferred queue. */
uint64_t flush_settled_ms(uint64_t line_ms);
/* The same of a message, which may have been asked for before. */
uint64_t flush_patient_ms(const struct flush_message *message) NH_ALL_NONNULL;
/* Each plans what it names, unless that is planned for earlier. */
void flush_schedule_message(struct flush_plan *plan,
    struct flush_message *message, uint64_t now_ms) NH_ALL_NONNULL;
void flush_schedule_domain(struct flush_plan *plan, struct flush_domain *domain,
    uint64_t now_ms) NH_ALL_NONNULL;
/* The domain's turn in a round, too early after its last flush. */
void flush_postpone(struct flush_plan *plan, struct flush_domain *domain,
    uint64_t now_ms) NH_ALL_NONNULL;
/* A round flushes all domains of a set that wait. */
void flush_round_begin(
    struct flush_plan *plan, struct flush_set *set) NH_ALL_NONNULL;
void flush_round_end(
    struct flush_plan *plan, struct flush_set *set) NH_ALL_NONNULL;
/* The message is asked for now. */
void flush_ask(struct flush_message *message, uint64_t now_ms) NH_ALL_NONNULL;

#endif
