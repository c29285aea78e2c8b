/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_plan.h"

#include <stdlib.h>
#include <string.h>

#include "policy/flush_plan_parts.h"
#include "policy/xalloc.h"

struct flush_plan *
flush_plan_create(struct hash_key key)
{
	struct flush_plan *plan = xcalloc(1, sizeof(*plan));

	flush_known_init(&plan->known, key);
	flush_refused_init(&plan->refused, key);
	return plan;
}

void
flush_plan_free(struct flush_plan **plan)
{
	if (*plan == NULL)
		return;
	flush_known_clear(&(*plan)->known);
	flush_refused_clear(&(*plan)->refused);
	free(*plan);
	*plan = NULL;
}

static void
forget_old(struct flush_plan *plan, uint64_t now_ms)
{
	struct flush_message *message = TAILQ_FIRST(&plan->known.all_messages);

	/* One a line is enough: a line brings at most one. */
	if (message != NULL && now_ms - message->line_ms > FLUSH_FORGET_MS)
		flush_known_drop_message(&plan->known, message);
}

/* While hosts are up, and no recovery just was. Not the domain: one message
   that nobody takes would have it flushed again and again. Nor for ever: the
   pauses of the MTA's own retries are no longer then. */
static void
ask_alone(
    struct flush_plan *plan, struct flush_message *message, uint64_t now_ms)
{
	if (message->n_asked > FLUSH_RETRY_DOUBLE)
		return;
	message->domain->set->up = true;
	flush_schedule_message(plan, message, now_ms);
}

/* A line of a message that waits for the hosts; NULL: it is not remembered. */
static void
answer_line(struct flush_plan *plan, struct flush_domain *domain,
    struct flush_message *message, bool set_is_up, uint64_t now_ms)
{
	if (flush_refused_has(&plan->refused, domain->name))
		return;
	/* Not after the last flush, and not before a recovery. */
	if (due_is_in(&domain->set->due)) {
		if (message != NULL)
			flush_schedule_message(plan, message, now_ms);
		flush_schedule_domain(plan, domain, now_ms);
	} else if (set_is_up && message != NULL) {
		ask_alone(plan, message, now_ms);
	}
}

static bool
may_be_kept(const struct delivery_waiting *waiting)
{
	return waiting->queue_id[0] != '\0' &&
	       strlen(waiting->queue_id) < DELIVERY_QUEUE_MAX &&
	       strlen(waiting->to) < FLUSH_TO_MAX;
}

void
flush_plan_waiting(struct flush_plan *plan, uint64_t set,
    const struct delivery_waiting *waiting, bool set_is_up, uint64_t now_ms)
{
	bool by_host = waiting->cause == CAUSE_HOST;
	struct flush_message *message;
	struct flush_domain *domain;

	forget_old(plan, now_ms);
	if (!may_be_kept(waiting))
		return;
	domain = flush_known_need_domain(
	    &plan->known, set, waiting->recipient->domain);
	if (domain == NULL)
		return;
	message =
	    flush_known_need_message(&plan->known, domain, waiting->queue_id);
	if (message != NULL &&
	    flush_known_hear(&plan->known, message, waiting, now_ms) == -1) {
		domain->more |= by_host;
		flush_known_drop_message(&plan->known, message);
		return;
	}
	domain->more |= by_host && message == NULL;
	if (by_host)
		domain->line_ms = now_ms;
	flush_known_settle(&plan->known, domain);
	if (by_host)
		answer_line(plan, domain, message, set_is_up, now_ms);
}

void
flush_plan_blame(
    struct flush_plan *plan, uint64_t key, bool set_is_up, uint64_t now_ms)
{
	struct flush_set *set = flush_known_set(&plan->known, key);
	struct flush_message *message;

	if (set == NULL)
		return;
	while ((message = TAILQ_FIRST(&set->messages[CAUSE_REFUSAL])) != NULL) {
		flush_known_blame(message, CAUSE_HOST);
		flush_known_settle(&plan->known, message->domain);
		answer_line(plan, message->domain, message, set_is_up, now_ms);
	}
}

void
flush_plan_gone(struct flush_plan *plan, uint64_t set,
    const struct address *recipient, const char *queue_id)
{
	const struct flush_known *known = &plan->known;
	const struct flush_domain *domain = flush_known_domain(
	    known, flush_known_set(known, set), recipient->domain);
	struct flush_message *message =
	    flush_known_message(known, domain, queue_id);

	if (message != NULL &&
	    message->recipient == flush_known_recipient(known, recipient))
		flush_known_drop_message(&plan->known, message);
}

void
flush_plan_recovered(struct flush_plan *plan, uint64_t key, uint64_t now_ms,
    uint32_t flush_again_ms)
{
	struct flush_set *set = flush_known_need_set(&plan->known, key);

	if (set == NULL)
		return;
	set->up = true;
	set->moved = false;
	set->epoch++;
	flush_round_begin(plan, set);
	(void)due_heap_put(
	    &plan->known.due, &set->due, now_ms + flush_again_ms);
}

void
flush_plan_failed(struct flush_plan *plan, uint64_t key)
{
	struct flush_set *set = flush_known_set(&plan->known, key);

	if (set == NULL)
		return;
	set->up = false;
	flush_round_end(plan, set);
	due_heap_remove(&plan->known.due, &set->due);
	flush_known_settle_set(&plan->known, set);
}

void
flush_plan_move(
    struct flush_plan *plan, flush_plan_find_fn *find, const void *arg)
{
	struct flush_known *known = &plan->known;
	struct flush_domain *domain, *next;
	uint64_t key;

	for (domain = TAILQ_FIRST(&known->all_domains); domain != NULL;
	     domain = next) {
		next = TAILQ_NEXT(domain, of_known);
		if (!find(arg, domain->name, &key))
			flush_known_drop_domain(known, domain);
		else if (key != domain->set->key)
			flush_known_move(known, domain, key);
	}
	flush_known_end_moves(known);
}

bool
flush_plan_has_moved(const struct flush_plan *plan, uint64_t key)
{
	const struct flush_set *set = flush_known_set(&plan->known, key);

	return set != NULL && set->moved;
}

void
flush_plan_refuse(struct flush_plan *plan, const char *domain)
{
	flush_refused_add(&plan->refused, domain);
}

void
flush_plan_forget_refusals(struct flush_plan *plan)
{
	flush_refused_clear(&plan->refused);
}

void
flush_plan_count(
    const struct flush_plan *plan, uint32_t *domains_r, uint32_t *messages_r)
{
	*domains_r = plan->known.n_waiting;
	*messages_r = plan->known.n_messages;
}
