/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_plan.h"

#include <stdlib.h>
#include <string.h>

#include "policy/flush_known.h"
#include "policy/xalloc.h"

#define STEPS_MAX 64 /* of one call, without finding anything to do */
#define TAKE_MAX  16 /* messages looked at for a trial */
#define TO_MAX	  (ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX)

struct flush_plan {
	struct flush_known known;
	uint64_t pace_ms; /* nothing is done before */
	bool turn;	  /* rounds and single things take turns */
};

struct flush_plan *
flush_plan_create(struct hash_key key)
{
	struct flush_plan *plan = xcalloc(1, sizeof(*plan));

	flush_known_init(&plan->known, key);
	return plan;
}

void
flush_plan_free(struct flush_plan **plan)
{
	if (*plan == NULL)
		return;
	flush_known_clear(&(*plan)->known);
	free(*plan);
	*plan = NULL;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* -- planning ------------------------------------------------------------- */

/* When the domain may be flushed again. */
static uint64_t
free_ms(const struct flush_domain *domain)
{
	return domain->was_flushed ? domain->flushed_ms + FLUSH_DOMAIN_GAP_MS
				   : 0;
}

/* A flush after which nothing was heard may have moved it. */
static bool
is_worth_asking(const struct flush_message *message)
{
	return message->by_host &&
	       message->n_flushes == message->domain->n_flushes;
}

/* When it may be asked for: what had its line then is in the deferred queue. */
static uint64_t
settled_ms(uint64_t line_ms)
{
	return line_ms + FLUSH_SETTLE_MS;
}

/* The same of a message, which may have been asked for before. */
static uint64_t
patient_ms(const struct flush_message *message)
{
	uint64_t at_ms = settled_ms(message->line_ms);
	uint32_t doubled = message->n_asked - 1;

	if (message->n_asked == 0)
		return at_ms;
	if (doubled > FLUSH_RETRY_DOUBLE)
		doubled = FLUSH_RETRY_DOUBLE;
	return later(at_ms,
	    message->asked_ms + ((uint64_t)FLUSH_RETRY_GAP_MS << doubled));
}

static void
plan_message(
    struct flush_plan *plan, struct flush_message *message, uint64_t now_ms)
{
	uint32_t epoch = message->domain->set->epoch;

	if (message->epoch == epoch && due_is_in(&message->due))
		return;
	if (message->epoch != epoch && message->n_asked > 1)
		message->n_asked = 1;
	message->epoch = epoch;
	(void)due_heap_put(&plan->known.due, &message->due,
	    later(now_ms, patient_ms(message)));
}

/*
 * A line came after the recovery. The message has its own turn; the domain's
 * comes when it may be flushed again, but not before others of it have had the
 * time to fail as well. Where messages have no turn of their own it does not
 * wait for more, and those that have one wait for it.
 */
static void
plan_domain(
    struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms)
{
	uint64_t at_ms =
	    domain->more ? settled_ms(now_ms) : now_ms + FLUSH_RETRY_GAP_MS;

	at_ms = later(at_ms, free_ms(domain));
	if (domain->planned && domain->due.at_ms <= at_ms)
		return;
	domain->planned = true;
	(void)due_heap_put(&plan->known.due, &domain->due, at_ms);
}

/* The domain's turn in a round, too early after its last flush. */
static void
postpone(struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms)
{
	struct flush_message *message;

	domain->planned = true;
	(void)due_heap_put(&plan->known.due, &domain->due, free_ms(domain));
	for (message = TAILQ_FIRST(&domain->messages); message != NULL;
	     message = TAILQ_NEXT(message, of_domain))
		plan_message(plan, message, now_ms);
}

static void
end_round(struct flush_plan *plan, struct flush_set *set)
{
	if (set->in_round)
		TAILQ_REMOVE(&plan->known.rounds, set, of_rounds);
	set->in_round = false;
}

static void
begin_round(struct flush_plan *plan, struct flush_set *set)
{
	set->round++;
	if (!set->in_round)
		TAILQ_INSERT_TAIL(&plan->known.rounds, set, of_rounds);
	set->in_round = true;
}

/* -- what is told --------------------------------------------------------- */

static void
forget_old(struct flush_plan *plan, uint64_t now_ms)
{
	struct flush_message *message = TAILQ_FIRST(&plan->known.all_messages);

	/* One a line is enough: a line brings at most one. */
	if (message != NULL && now_ms - message->line_ms > FLUSH_FORGET_MS)
		flush_known_drop_message(&plan->known, message);
}

static void
answer_line(struct flush_plan *plan, struct flush_domain *domain,
    struct flush_message *message, uint64_t now_ms)
{
	/* Not after the last flush, and not before a recovery. */
	if (!due_is_in(&domain->set->due) ||
	    flush_known_is_refused(&plan->known, domain->name))
		return;
	if (message != NULL)
		plan_message(plan, message, now_ms);
	plan_domain(plan, domain, now_ms);
}

void
flush_plan_waiting(struct flush_plan *plan, uint64_t set,
    const struct address *recipient, const char *to, const char *queue_id,
    bool by_host, uint64_t now_ms)
{
	struct flush_message *message;
	struct flush_domain *domain;

	forget_old(plan, now_ms);
	if (queue_id[0] == '\0' || strlen(queue_id) >= DELIVERY_QUEUE_MAX ||
	    strlen(to) >= TO_MAX)
		return;
	domain = flush_known_need_domain(&plan->known, set, recipient->domain);
	if (domain == NULL)
		return;
	message = flush_known_need_message(&plan->known, domain, queue_id);
	if (message != NULL && flush_known_hear(&plan->known, message,
				   recipient, to, by_host, now_ms) == -1) {
		domain->more |= by_host;
		flush_known_drop_message(&plan->known, message);
		return;
	}
	domain->more |= by_host && message == NULL;
	if (by_host)
		domain->line_ms = now_ms;
	flush_known_settle(&plan->known, domain);
	if (by_host)
		answer_line(plan, domain, message, now_ms);
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
	begin_round(plan, set);
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
	end_round(plan, set);
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
	flush_known_refuse(&plan->known, domain);
}

void
flush_plan_forget_refusals(struct flush_plan *plan)
{
	flush_known_forget_refused(&plan->known);
}

/* -- what is to be done --------------------------------------------------- */

/* A flush comes too early for what was put off just now. */
static void
follow_up(struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms)
{
	struct flush_message *message;

	TAILQ_FOREACH(message, &domain->messages, of_domain)
	{
		if (!message->by_host || now_ms >= settled_ms(message->line_ms))
			continue;
		message->n_flushes = domain->n_flushes;
		plan_message(plan, message, now_ms);
	}
}

static void
flush(struct flush_plan *plan, struct flush_domain *domain, uint64_t now_ms,
    struct flush_step *step)
{
	bool all = now_ms >= settled_ms(domain->line_ms);

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
	(void)due_heap_put(&plan->known.due, &domain->due, free_ms(domain));
	flush_known_settle(&plan->known, domain);
}

static void
domain_is_due(struct flush_plan *plan, struct flush_domain *domain,
    uint64_t now_ms, struct flush_step *step)
{
	if (domain->planned && domain->set->up && domain->waits &&
	    !flush_known_is_refused(&plan->known, domain->name)) {
		flush(plan, domain, now_ms, step);
		return;
	}
	domain->planned = false;
	flush_known_settle(&plan->known, domain);
}

static void
ask(struct flush_message *message, uint64_t now_ms)
{
	message->n_asked++;
	message->asked_ms = now_ms;
	flush_known_touch(message);
}

/* A flush for messages that are not remembered moves the others, too. */
static bool
is_moved_soon(const struct flush_domain *domain, uint64_t now_ms)
{
	return domain->planned && domain->more && domain->due.at_ms > now_ms &&
	       domain->due.at_ms <= settled_ms(now_ms);
}

static void
message_is_due(struct flush_plan *plan, struct flush_message *message,
    uint64_t now_ms, struct flush_step *step)
{
	const struct flush_domain *domain = message->domain;

	if (message->epoch != domain->set->epoch || !domain->set->up ||
	    !is_worth_asking(message) ||
	    flush_known_is_refused(&plan->known, domain->name))
		return;
	if (now_ms < patient_ms(message)) {
		/* It was put off again, or taken for a trial, meanwhile. */
		(void)due_heap_put(
		    &plan->known.due, &message->due, patient_ms(message));
		return;
	}
	if (is_moved_soon(domain, now_ms)) {
		(void)due_heap_put(
		    &plan->known.due, &message->due, domain->due.at_ms + 1);
		return;
	}
	ask(message, now_ms);
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
		begin_round(plan, FLUSH_OF(due, flush_set, due));
		break;
	case FLUSH_KIND_DOMAIN:
		domain_is_due(
		    plan, FLUSH_OF(due, flush_domain, due), now_ms, step);
		break;
	case FLUSH_KIND_MESSAGE:
		message_is_due(
		    plan, FLUSH_OF(due, flush_message, due), now_ms, step);
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
	end_round(plan, set);
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
	if (flush_known_is_refused(&plan->known, domain->name))
		return true;
	if (now_ms < free_ms(domain))
		postpone(plan, domain, now_ms);
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
	at_ms = later(at_ms, later(plan->pace_ms, now_ms + 1));
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

/* -- trials --------------------------------------------------------------- */

/* Would qmgr(8) answer the question for it with what it knows already? Then it
   goes the way that it went before, and the host on trial hears nothing. */
static bool
is_in_memory(const struct flush_known *known,
    const struct flush_message *message, uint64_t now_ms)
{
	const struct flush_message *last =
	    TAILQ_LAST(&known->all_messages, flush_by_line);

	return now_ms - last->line_ms < FLUSH_MEMORY_MS &&
	       message->domain == last->domain &&
	       message->recipient == last->recipient;
}

static bool
may_be_taken(const struct flush_known *known,
    const struct flush_message *message, uint64_t now_ms)
{
	if (message->n_asked > 0 &&
	    now_ms - message->asked_ms < FLUSH_RETRY_GAP_MS)
		return false;
	return !is_in_memory(known, message, now_ms);
}

static struct flush_message *
find_one(const struct flush_known *known, const struct flush_set *set,
    bool by_host, uint64_t now_ms)
{
	struct flush_message *message = TAILQ_FIRST(&set->messages[by_host]);
	struct flush_message *young = NULL;

	for (int i = 0; i < TAKE_MAX && message != NULL; i++) {
		if (may_be_taken(known, message, now_ms)) {
			if (now_ms - message->line_ms >= FLUSH_MEMORY_MS)
				return message;
			if (young == NULL)
				young = message;
		}
		message = TAILQ_NEXT(message, of_set);
	}
	return young;
}

bool
flush_plan_take_one(struct flush_plan *plan, uint64_t key, uint64_t now_ms,
    char to_r[TO_MAX], char queue_id_r[DELIVERY_QUEUE_MAX])
{
	const struct flush_set *set = flush_known_set(&plan->known, key);
	struct flush_message *message;

	if (set == NULL)
		return false;
	message = find_one(&plan->known, set, true, now_ms);
	if (message == NULL)
		message = find_one(&plan->known, set, false, now_ms);
	if (message == NULL)
		return false;
	ask(message, now_ms);
	memcpy(to_r, message->to, strlen(message->to) + 1);
	memcpy(queue_id_r, message->queue_id, sizeof(message->queue_id));
	return true;
}

void
flush_plan_count(
    const struct flush_plan *plan, uint32_t *domains_r, uint32_t *messages_r)
{
	*domains_r = plan->known.n_waiting;
	*messages_r = plan->known.n_messages;
}
