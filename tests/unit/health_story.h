/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What befalls one host, as a line of text: for the tests of policy/health.c.
 *
 * Each letter is an event, the number before it says when, in milliseconds
 * since the story began ("0F 10G").
 *   probes:      F failed, at the greeting; M failed, at MAIL; T timed out; G
 *                good; P the probe is not welcome; L trouble of our own
 *   deliveries:  f failed, at MAIL; e failed, at end-of-data; t timed out
 *                there; g took a message; p refused a recipient; l trouble of
 *                our own
 *   time:        ! a tick; n nothing was heard of a trial, s and the log
 *                speaks of others
 *   the world:   A it is alone, a no more; O deliveries are observed, o no more
 * After each event but those of the world, one letter says what changed: .
 * same, D went deferred, d still deferred, U went up, T went on trial.
 */
#ifndef NH_TESTS_UNIT_HEALTH_STORY_H
#define NH_TESTS_UNIT_HEALTH_STORY_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/health.h"

#define STORY_START_MS UINT64_C(1000000)
#define STORY_SEED     7
#define STORY_TEXT_MAX 256

/* Where deliveries are observed and probes go as far as MAIL. */
#define STORY_SEEN(fall_, rise_)                                               \
	{                                                                      \
		.fall = (fall_), .rise = (rise_), .first_ms = 10000,           \
		.max_ms = 600000, .observed = true, .probe_stage = STAGE_MAIL  \
	}

struct health_story {
	const char *name;
	struct health_policy policy; /* as the story begins */
	const char *events;
	const char *changes;
	const char *end; /* story_tell; who, and at which stage, is not told */
};

static inline struct observation
story_seen(char letter)
{
	static const struct {
		char letter;
		enum outcome outcome;
		enum outcome_stage stage;
	} letters[] = {
		{ 'f', OUTCOME_TEMPORARY, STAGE_GREETING },
		{ 'm', OUTCOME_TEMPORARY, STAGE_MAIL },
		{ 'e', OUTCOME_TEMPORARY, STAGE_END_OF_DATA },
		{ 't', OUTCOME_TIMEOUT, STAGE_GREETING },
		{ 'g', OUTCOME_OK, STAGE_QUIT },
		{ 'p', OUTCOME_POLICY, STAGE_RCPT },
		{ 'l', OUTCOME_LOCAL, STAGE_CONNECT },
	};
	bool probe = letter >= 'A' && letter <= 'Z';
	char lower = probe ? (char)(letter - 'A' + 'a') : letter;
	struct observation seen = { .source = probe ? SOURCE_PROBE
						    : SOURCE_DELIVERY };
	size_t i = 0;

	while (i < NELEM(letters) && letters[i].letter != lower)
		i++;
	if (i == NELEM(letters))
		ck_abort_msg("no such letter: %c", letter);
	seen.outcome = letters[i].outcome;
	seen.stage = letters[i].stage;
	seen.silent = seen.outcome == OUTCOME_TIMEOUT;
	if (letter == 'f')
		seen.stage = STAGE_MAIL;
	if (letter == 't')
		seen.stage = STAGE_END_OF_DATA;
	return seen;
}

/* Returns: whether the letter is of the world, and changes the policy only. */
static inline bool
story_world(char letter, struct health_policy *policy)
{
	if (letter == 'A' || letter == 'a')
		policy->alone = letter == 'A';
	else if (letter == 'O' || letter == 'o')
		policy->observed = letter == 'O';
	else
		return false;
	return true;
}

static inline enum health_change
story_step(const struct health_policy *policy, char letter, uint64_t now_ms,
    struct health *health)
{
	struct observation seen;

	if (letter == '!')
		return health_tick(policy, health, now_ms, health);
	if (letter == 'n' || letter == 's')
		return health_unheard(
		    policy, health, letter == 's', now_ms, STORY_SEED, health);
	seen = story_seen(letter);
	return health_observe(
	    policy, health, &seen, now_ms, STORY_SEED, health);
}

/* One word for each number that is not 0. */
static inline void
story_add(char text[STORY_TEXT_MAX], const char *word, uint64_t n)
{
	size_t len = strlen(text);

	if (n != 0)
		snprintf(text + len, STORY_TEXT_MAX - len, " %s%llu", word,
		    (unsigned long long)n);
}

/*
 * How a host is at the end, without what is 0: U up, D deferred or T in trial;
 * F and G failed and good probes in a row, f and g deliveries; b the back-off;
 * @ since when, from the beginning; r recoveries, w weight of a slow start, x
 * flaps, ? trials unheard of; in words what else it is.
 */
static inline void
story_tell(const struct health *health, char text[STORY_TEXT_MAX])
{
	snprintf(text, STORY_TEXT_MAX, "%c", "UDT"[health->state]);
	story_add(text, "F", health->failures);
	story_add(text, "G", health->successes);
	story_add(text, "f", health->delivery_failures);
	story_add(text, "g", health->delivery_successes);
	story_add(text, "b", health->backoff_ms);
	story_add(text, "@", health->since_ms - STORY_START_MS);
	story_add(text, "r", health->recoveries);
	story_add(text, "w", health->slow_step);
	story_add(text, "x", health->flaps);
	story_add(text, "?", health->unheard);
	strcat(text, health->blind ? " blind" : "");
	strcat(text, health->silent ? " silent" : "");
	strcat(text, health->overruled ? " overruled" : "");
}

/* Plays a story and judges each change and the end. */
static inline void
story_play(const struct health_story *story)
{
	struct health health = { .since_ms = STORY_START_MS };
	struct health_policy policy = story->policy;
	const char *at = story->events;
	enum health_change change;
	size_t i = 0;
	char *letter;
	char end[STORY_TEXT_MAX];
	uint64_t ms;

	for (; *at != '\0'; at = letter + 1 + strspn(letter + 1, " ")) {
		ms = strtoull(at, &letter, 10);
		if (story_world(*letter, &policy))
			continue;
		change =
		    story_step(&policy, *letter, STORY_START_MS + ms, &health);
		ck_assert_msg(".DdUT"[change] == story->changes[i],
		    "%s: event %zu (%c) changed %c", story->name, i, *letter,
		    ".DdUT"[change]);
		i++;
	}
	ck_assert_msg(story->changes[i] == '\0', "%s: too short", story->name);
	story_tell(&health, end);
	ck_assert_msg(strcmp(end, story->end) == 0, "%s: ends as %s, not %s",
	    story->name, end, story->end);
	ck_assert_msg((health.due_ms == 0) == (health.state == HEALTH_UP),
	    "%s: due %llu", story->name, (unsigned long long)health.due_ms);
}

#endif
