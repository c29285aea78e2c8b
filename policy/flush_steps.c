/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_plan.h"

#include <string.h>

#include "policy/flush_plan_parts.h"

#define STEPS_MAX 64 /* of one call, without finding anything to do */

/* A flush after which nothing was heard may have moved it. */
static bool
is_worth_asking(const struct flush_message *message)
{
	return message->cause == CAUSE_HOST &&
	       message->n_flushes == message->domain->n_flushes;
}

/* A flush comes too early for what was put off just now. */
static void
follow_up(struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms)
{
	struct flush_message *message;

	TAILQ_FOREACH(message, &domain->messages, of_domain)
	{
		if (message->cause != CAUSE_HOST ||
		    now_ms >= flush_settled_ms(message->line_ms))
			continue;
		message->n_flushes = domain->n_flushes;
		flush_schedule_message(plan, message, now_ms);
	}
}

static void
flush(struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms,
    struct flush_step *step)
{
	bool all = now_ms >= flush_settled_ms(domain->line_ms);

	step->action = FLUSH_DOMAIN;
	memcpy(step->what, domain->name, strlen(domain->name) + 1);
	step->set = domain->set->key;
	domain->was_flushed = true;
	domain->flushed_ms = now_ms;
	domain->n_flushes++;
	if (all)
		domain->more = false;
	else
		follow_up(plan, domain, now_ms);
	/* It is known to the end of the gap, whatever goes. */
	domain->planned = !all;
	(void)due_heap_put(
	    &plan->known.due, &domain->due, flush_free_ms(domain));
	flush_known_settle(&plan->known, domain);
}

static void
domain_is_due(struct flush_plan *plan, struct flush_domain *domain,
    uint64_t now_ms, struct flush_step *step)
{
	if (domain->planned && domain->set->up && domain->waits &&
	    !flush_refused_has(&plan->refused, domain->name)) {
		flush(plan, domain, now_ms, step);
		return;
	}
	domain->planned = false;
	flush_known_settle(&plan->known, domain);
}

/* A flush for messages that are not remembered moves the others, too. */
static bool
is_moved_soon(const struct flush_domain *domain, uint64_t now_ms)
{
	return domain->planned && domain->more && domain->due.at_ms > now_ms &&
	       domain->due.at_ms <= flush_settled_ms(now_ms);
}

static void
message_is_due(struct flush_plan *plan, struct flush_message *message,
    uint64_t now_ms, struct flush_step *step)
{
	const struct flush_domain *domain = message->domain;

	if (message->epoch != domain->set->epoch || !domain->set->up ||
	    !is_worth_asking(message) ||
	    flush_refused_has(&plan->refused, domain->name))
		return;
	if (now_ms < flush_patient_ms(message)) {
		/* It was put off again, or taken for a trial, meanwhile. */
		(void)due_heap_put(
		    &plan->known.due, &message->due, flush_patient_ms(message));
		return;
	}
	if (is_moved_soon(domain, now_ms)) {
		(void)due_heap_put(
		    &plan->known.due, &message->due, domain->due.at_ms + 1);
		return;
	}
	flush_ask(message, now_ms);
	step->action = FLUSH_MESSAGE;
	memcpy(step->what, message->queue_id, sizeof(message->queue_id));
	step->set = domain->set->key;
}

/* Each of these two returns: whether there was something to look at. */
static bool
do_due(struct flush_plan *plan, uint64_t now_ms, struct flush_step *step)
{
	struct due *due = due_heap_first(&plan->known.due);

	if (due == NULL || due->at_ms > now_ms)
		return false;
	due_heap_remove(&plan->known.due, due);
	switch ((enum flush_kind)due->kind) {
	case FLUSH_KIND_SET:
		flush_round_begin(plan, OWNER_OF(due, flush_set, due));
		break;
	case FLUSH_KIND_DOMAIN:
		domain_is_due(
		    plan, OWNER_OF(due, flush_domain, due), now_ms, step);
		break;
	case FLUSH_KIND_MESSAGE:
		message_is_due(
		    plan, OWNER_OF(due, flush_message, due), now_ms, step);
		break;
	}
	return true;
}

static bool
do_round(struct flush_plan *plan, uint64_t now_ms, struct flush_step *step)
{
	struct flush_set *set = TAILQ_FIRST(&plan->known.rounds);
	struct flush_domain *domain;

	if (set == NULL)
		return false;
	flush_round_end(plan, set);
	domain = TAILQ_FIRST(&set->waiting);
	if (domain == NULL || domain->round == set->round) {
		flush_known_settle_set(&plan->known, set);
		return true;
	}
	/* Behind the other sets, so that each gets on. */
	TAILQ_INSERT_TAIL(&plan->known.rounds, set, of_rounds);
	set->in_round = true;
	domain->round = set->round;
	TAILQ_REMOVE(&set->waiting, domain, of_waiting);
	TAILQ_INSERT_TAIL(&set->waiting, domain, of_waiting);
	if (flush_refused_has(&plan->refused, domain->name))
		return true;
	if (now_ms < flush_free_ms(domain))
		flush_postpone(plan, domain, now_ms);
	else
		flush(plan, domain, now_ms, step);
	return true;
}

static bool
look(struct flush_plan *plan, uint64_t now_ms, struct flush_step *step)
{
	plan->turn = !plan->turn;
	if (plan->turn)
		return do_round(plan, now_ms, step) ||
		       do_due(plan, now_ms, step);
	return do_due(plan, now_ms, step) || do_round(plan, now_ms, step);
}

static uint32_t
wait_ms(const struct flush_plan *plan, uint64_t now_ms)
{
	const struct due *due = due_heap_first(&plan->known.due);
	uint64_t at_ms = now_ms;

	if (TAILQ_EMPTY(&plan->known.rounds)) {
		if (due == NULL)
			return UINT32_MAX;
		at_ms = due->at_ms;
	}
	at_ms = flush_later(at_ms, flush_later(plan->pace_ms, now_ms + 1));
	return at_ms - now_ms < UINT32_MAX ? (uint32_t)(at_ms - now_ms)
					   : UINT32_MAX - 1;
}

enum flush_action
flush_plan_next(struct flush_plan *plan, uint64_t now_ms,
    struct flush_step *step_r, uint32_t *wait_r_ms)
{
	bool more = now_ms >= plan->pace_ms;

	*step_r = (struct flush_step){ .action = FLUSH_NOTHING };
	for (int i = 0;
	     more && i < STEPS_MAX && step_r->action == FLUSH_NOTHING; i++)
		more = look(plan, now_ms, step_r);
	if (step_r->action != FLUSH_NOTHING)
		plan->pace_ms = now_ms + FLUSH_PACE_MS;
	*wait_r_ms = wait_ms(plan, now_ms);
	return step_r->action;
}
