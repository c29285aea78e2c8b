/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_plan.h"

#include <string.h>

#include "policy/flush_plan_parts.h"

#define TAKE_MAX 16 /* messages looked at for a trial */

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
    int cause, uint64_t now_ms)
{
	struct flush_message *message = TAILQ_FIRST(&set->messages[cause]);
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
    char to_r[FLUSH_TO_MAX], char queue_id_r[DELIVERY_QUEUE_MAX])
{
	const struct flush_set *set = flush_known_set(&plan->known, key);
	struct flush_message *message = NULL;

	if (set == NULL)
		return false;
	for (int cause = CAUSE_COUNT; message == NULL && cause-- > 0;)
		message = find_one(&plan->known, set, cause, now_ms);
	if (message == NULL)
		return false;
	flush_ask(message, now_ms);
	memcpy(to_r, message->to, strlen(message->to) + 1);
	memcpy(queue_id_r, message->queue_id, sizeof(message->queue_id));
	return true;
}
