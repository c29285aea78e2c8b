/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; touches only what it is given. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "policy/delivery.h"

static uint8_t
later(uint8_t stage, enum outcome_stage other)
{
	return (uint8_t)other > stage ? (uint8_t)other : stage;
}

/* Puts recipient into a row of up to limit different ones; the last that fills
   it needs no place. Returns: false when it is there already. */
static bool
put(uint32_t *row, uint8_t *n, uint8_t limit, uint32_t recipient)
{
	for (uint8_t i = 0; i < *n && i < limit - 1; i++) {
		if (row[i] == recipient)
			return false;
	}
	if (*n < limit - 1)
		row[*n] = recipient;
	(*n)++;
	return true;
}

/*
 * In a full row any refusal is a failure, the same recipient's too: the trial
 * of a deferred host may be a message that was refused before.
 */
static enum delivery_verdict
judge_refusal(struct delivery_streak *streak, const struct delivery_seen *seen,
    struct observation *seen_r)
{
	enum outcome_stage stage = seen->seen.stage;

	if (seen->recipient == 0)
		return DELIVERY_NOTHING;
	streak->refused_stage = later(streak->refused_stage, stage);
	if (streak->n_refused < DELIVERY_ROW &&
	    (!put(streak->refused, &streak->n_refused, DELIVERY_ROW,
		 (uint32_t)seen->recipient) ||
		streak->n_refused < DELIVERY_ROW))
		return DELIVERY_NOTHING;
	streak->trouble_stage = later(streak->trouble_stage, stage);
	seen_r->outcome = OUTCOME_TEMPORARY;
	return DELIVERY_COUNTS;
}

static enum delivery_verdict
judge_shy(struct delivery_streak *streak, const struct delivery_seen *seen)
{
	if (seen->recipient == 0 || streak->n_shy == DELIVERY_SHY_ROW)
		return DELIVERY_NOTHING;
	(void)put(streak->shy, &streak->n_shy, DELIVERY_SHY_ROW,
	    (uint32_t)seen->recipient);
	return streak->n_shy == DELIVERY_SHY_ROW ? DELIVERY_WARN_SHY
						 : DELIVERY_NOTHING;
}

/* Returns: whether it was known; it is from now on. */
static bool
was_fatal(struct delivery_streak *streak, uint32_t message)
{
	for (size_t i = 0; i < DELIVERY_FATAL && i < streak->n_fatal; i++) {
		if (streak->fatal[i] == message)
			return true;
	}
	streak->fatal[streak->n_fatal % DELIVERY_FATAL] = message;
	/* Full is full, whatever the number. */
	streak->n_fatal = streak->n_fatal + 1 < 2 * DELIVERY_FATAL
			      ? (uint8_t)(streak->n_fatal + 1)
			      : DELIVERY_FATAL;
	return false;
}

static enum delivery_verdict
judge_trouble(struct delivery_streak *streak, const struct delivery_seen *seen)
{
	if (seen->seen.stage >= STAGE_DATA &&
	    was_fatal(streak, (uint32_t)seen->message) && streak->took)
		return DELIVERY_NOTHING;
	streak->took = false;
	streak->trouble_stage = later(streak->trouble_stage, seen->seen.stage);
	if (!seen->doubt || streak->n_doubts == DELIVERY_DOUBTS - 1)
		return DELIVERY_COUNTS;
	streak->n_doubts++;
	return DELIVERY_PROBE;
}

static enum delivery_verdict
judge_final(struct delivery_streak *streak, const struct delivery_seen *seen)
{
	uint8_t stage = (uint8_t)seen->seen.stage;

	if (stage >= streak->refused_stage) {
		streak->n_refused = 0;
		streak->refused_stage = STAGE_NONE;
	}
	if (stage < streak->trouble_stage)
		return DELIVERY_NOTHING;
	streak->trouble_stage = STAGE_NONE;
	streak->n_doubts = 0;
	return DELIVERY_COUNTS;
}

enum delivery_verdict
delivery_judge(struct delivery_streak *streak, const struct delivery_seen *seen,
    struct observation *seen_r)
{
	*seen_r = seen->seen;
	switch (seen->sight) {
	case DELIVERY_OK:
		memset(streak, 0, offsetof(struct delivery_streak, fatal));
		streak->took = true;
		return DELIVERY_COUNTS;
	case DELIVERY_TROUBLE:
		return judge_trouble(streak, seen);
	case DELIVERY_REFUSAL:
		return judge_refusal(streak, seen, seen_r);
	case DELIVERY_SHY:
		return judge_shy(streak, seen);
	case DELIVERY_FINAL:
		return judge_final(streak, seen);
	case DELIVERY_WORD:
		return DELIVERY_NOTHING;
	}
	assert(!"a sight");
	return DELIVERY_NOTHING;
}
