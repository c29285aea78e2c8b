/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_plan_parts.h"

uint64_t
flush_free_ms(const struct flush_domain *domain)
{
	return domain->was_flushed ? domain->flushed_ms + FLUSH_DOMAIN_GAP_MS
				   : 0;
}

uint64_t
flush_settled_ms(uint64_t line_ms)
{
	return line_ms + FLUSH_SETTLE_MS;
}

uint64_t
flush_patient_ms(const struct flush_message *message)
{
	uint64_t at_ms = flush_settled_ms(message->line_ms);
	uint32_t doubled = message->n_asked - 1;

	if (message->n_asked == 0)
		return at_ms;
	if (doubled > FLUSH_RETRY_DOUBLE)
		doubled = FLUSH_RETRY_DOUBLE;
	return flush_later(at_ms,
	    message->asked_ms + ((uint64_t)FLUSH_RETRY_GAP_MS << doubled));
}

void
flush_schedule_message(
    struct flush_plan *plan, struct flush_message *message, uint64_t now_ms)
{
	uint32_t epoch = message->domain->set->epoch;

	if (message->epoch == epoch && due_is_in(&message->due))
		return;
	if (message->epoch != epoch && message->n_asked > 1)
		message->n_asked = 1;
	message->epoch = epoch;
	(void)due_heap_put(&plan->known.due, &message->due,
	    flush_later(now_ms, flush_patient_ms(message)));
}

/*
 * A line came after the recovery. The message has its own turn; the domain's
 * comes when it may be flushed again, but not before others of it have had the
 * time to fail as well. Where messages have no turn of their own it does not
 * wait for more, and those that have one wait for it.
 */
void
flush_schedule_domain(
    struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms)
{
	uint64_t at_ms = domain->more ? flush_settled_ms(now_ms)
				      : now_ms + FLUSH_RETRY_GAP_MS;

	at_ms = flush_later(at_ms, flush_free_ms(domain));
	if (domain->planned && domain->due.at_ms <= at_ms)
		return;
	domain->planned = true;
	(void)due_heap_put(&plan->known.due, &domain->due, at_ms);
}

void
flush_postpone(
    struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms)
{
	struct flush_message *message;

	domain->planned = true;
	(void)due_heap_put(
	    &plan->known.due, &domain->due, flush_free_ms(domain));
	for (message = TAILQ_FIRST(&domain->messages); message != NULL;
	     message = TAILQ_NEXT(message, of_domain))
		flush_schedule_message(plan, message, now_ms);
}

void
flush_round_end(struct flush_plan *plan, struct flush_set *set)
{
	if (set->in_round)
		TAILQ_REMOVE(&plan->known.rounds, set, of_rounds);
	set->in_round = false;
}

void
flush_round_begin(struct flush_plan *plan, struct flush_set *set)
{
	set->round++;
	if (!set->in_round)
		TAILQ_INSERT_TAIL(&plan->known.rounds, set, of_rounds);
	set->in_round = true;
}

void
flush_ask(struct flush_message *message, uint64_t now_ms)
{
	message->n_asked++;
	message->asked_ms = now_ms;
	flush_known_touch(message);
}
