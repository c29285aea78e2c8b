/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; pure functions. */
#include "policy/health.h"

#include "policy/hash.h"

#define SLOW_STEPS 8 /* the ramp of a slow start, in eighths */

/* What is applied to a host, by whose rules and when. */
struct sight {
	const struct health_policy *policy;
	const struct observation *seen;
	uint64_t now_ms;
	uint32_t seed;
};

static uint32_t
one_more(uint32_t n)
{
	return n < UINT32_MAX ? n + 1 : n;
}

static uint8_t
one_more_small(uint8_t n)
{
	return n < UINT8_MAX ? (uint8_t)(n + 1) : n;
}

/* A clock that was set back makes things young, not ancient. */
static uint64_t
elapsed(uint64_t since_ms, uint64_t now_ms)
{
	return now_ms > since_ms ? now_ms - since_ms : 0;
}

/* Is a recovery so young that a fall now belongs to the one before it? */
static bool
rose_just_now(const struct health *health, uint64_t now_ms)
{
	return health->rose_by != SOURCE_NONE &&
	       elapsed(health->since_ms, now_ms) < HEALTH_AGAIN_MS;
}

static bool
is_damped(const struct health *health)
{
	return health->flaps > HEALTH_FLAPS_FREE;
}

/* The back-off of a fall. Flaps of all hosts together may be our own
   network's: they do not make it longer. */
static uint32_t
first_backoff(const struct health_policy *policy, const struct health *health)
{
	uint64_t wanted = policy->first_ms;

	if (policy->hold_backoff)
		return policy->first_ms;
	for (unsigned flap = HEALTH_FLAPS_FREE;
	     flap < health->flaps && wanted < policy->max_ms; flap++)
		wanted *= 2;
	return (uint32_t)(wanted < policy->max_ms ? wanted : policy->max_ms);
}

/* Each renewal doubles the back-off before. A policy that a reload has changed
   may leave the old value outside of its bounds. */
static uint32_t
next_backoff(const struct health_policy *policy, const struct health *health)
{
	uint64_t wanted = health->backoff_ms;

	if (!policy->hold_backoff)
		wanted *= 2;
	if (wanted < policy->first_ms)
		wanted = policy->first_ms;
	if (wanted > policy->max_ms)
		wanted = policy->max_ms;
	return (uint32_t)wanted;
}

/* Hosts that fell together should not all be asked again together. */
static uint64_t
due_after(uint64_t now_ms, uint32_t backoff_ms, uint32_t seed)
{
	return now_ms + backoff_ms + hash_mix(seed) % (backoff_ms / 10 + 1);
}

static void
enter(struct health *health, enum health_state state, uint64_t now_ms)
{
	if (health->state != state)
		health->since_ms = now_ms;
	health->state = state;
}

static void
defer(const struct health_policy *policy, uint64_t now_ms, uint32_t seed,
    struct health *health)
{
	health->backoff_ms = health->state == HEALTH_UP
				 ? first_backoff(policy, health)
				 : next_backoff(policy, health);
	health->due_ms = due_after(now_ms, health->backoff_ms, seed);
	enter(health, HEALTH_DEFERRED, now_ms);
}

/* Good ones from before the fall say nothing about the way back. */
static enum health_change
fall(const struct sight *sight, struct health *health)
{
	health->flaps = rose_just_now(health, sight->now_ms)
			    ? one_more_small(health->flaps)
			    : 0;
	health->fell_by = (uint8_t)sight->seen->source;
	health->silent = sight->seen->silent;
	health->successes = 0;
	health->delivery_successes = 0;
	health->slow_step = 0;
	defer(sight->policy, sight->now_ms, sight->seed, health);
	return HEALTH_WENT_DEFERRED;
}

static bool
probe_failed_late(const struct health *health)
{
	return health->failures > 0 && health->stage >= STAGE_MAIL;
}

static enum health_change
rise(const struct health_policy *policy, enum outcome_source source,
    uint64_t now_ms, struct health *health)
{
	enter(health, HEALTH_UP, now_ms);
	/* Not by probes then: they have no failures left. */
	if (policy->observed && probe_failed_late(health))
		health->overruled = true;
	health->rose_by = (uint8_t)source;
	health->due_ms = 0;
	health->backoff_ms = 0;
	health->failures = 0;
	health->delivery_failures = 0;
	health->recoveries++;
	health->slow_step = policy->slow_start_ms > 0 && !policy->alone;
	health->silent = false;
	health->blind = false;
	health->unheard = 0;
	return HEALTH_WENT_UP;
}

/* Do the probes say by now that it is well, and is it theirs to say? */
static bool
probes_bring_up(const struct health_policy *policy, const struct health *health,
    uint64_t now_ms)
{
	if (health->state == HEALTH_UP || health->successes < policy->rise)
		return false;
	if (health->blind || health->state == HEALTH_TRIAL)
		return false;
	return !is_damped(health) || policy->alone || now_ms >= health->due_ms;
}

static enum health_change
probe_good(const struct sight *sight, struct health *health)
{
	/* Failures below fall pass unseen here, but the MTA may have met them
	   too and hold them against the lists as they are spelled now. */
	if (health->state == HEALTH_UP && health->failures > 0)
		health->recoveries++;
	health->successes = one_more(health->successes);
	health->failures = 0;
	if (!probes_bring_up(sight->policy, health, sight->now_ms))
		return HEALTH_SAME;
	return rise(sight->policy, sight->seen->source, sight->now_ms, health);
}

/* A failure of a host that is not up: a trial is lost at once, a back-off is
   renewed when its time is over. */
static enum health_change
still_deferred(const struct sight *sight, struct health *health)
{
	if (health->state == HEALTH_DEFERRED && sight->now_ms < health->due_ms)
		return HEALTH_SAME;
	defer(sight->policy, sight->now_ms, sight->seed, health);
	return HEALTH_STILL_DEFERRED;
}

static enum health_change
probe_failed(const struct sight *sight, struct health *health)
{
	health->stage = (uint8_t)sight->seen->stage;
	if (health->overruled && sight->seen->stage >= STAGE_MAIL)
		return probe_good(sight, health);
	health->failures = one_more(health->failures);
	health->successes = 0;
	if (health->state == HEALTH_UP)
		return health->failures < sight->policy->fall
			   ? HEALTH_SAME
			   : fall(sight, health);
	/* What it does now counts: a host that refused politely may have
	   fallen silent since, or the other way round. */
	health->silent = sight->seen->silent;
	return still_deferred(sight, health);
}

static bool
is_behind_probes(const struct sight *sight)
{
	return sight->policy->observed &&
	       sight->seen->stage > sight->policy->probe_stage;
}

/* Probes took it back from a fall that deliveries had seen, and find it well
   still: they do not see what ails it. */
static bool
probes_were_wrong(const struct sight *sight, const struct health *health)
{
	return sight->policy->observed && health->rose_by == SOURCE_PROBE &&
	       health->fell_by == SOURCE_DELIVERY && health->failures == 0 &&
	       rose_just_now(health, sight->now_ms);
}

static enum health_change
delivery_failed_again(const struct sight *sight, struct health *health)
{
	bool was_silent = health->silent;
	enum health_change change;

	health->blind = health->blind || is_behind_probes(sight);
	health->silent = sight->seen->silent;
	change = still_deferred(sight, health);
	/* Silence costs a message minutes: probes vouch for the host anew. What
	   was under way before does not keep asking for that. */
	if (health->silent && (!was_silent || change != HEALTH_SAME))
		health->successes = 0;
	return change;
}

static enum health_change
delivery_failed(const struct sight *sight, struct health *health)
{
	health->overruled = false;
	health->unheard = 0;
	health->delivery_failures = one_more(health->delivery_failures);
	health->delivery_successes = 0;
	if (health->state != HEALTH_UP)
		return delivery_failed_again(sight, health);
	if (health->delivery_failures < sight->policy->fall)
		return HEALTH_SAME;
	health->blind =
	    is_behind_probes(sight) || probes_were_wrong(sight, health);
	return fall(sight, health);
}

static enum health_change
delivery_good(const struct sight *sight, struct health *health)
{
	bool enough;

	health->unheard = 0;
	if (health->state == HEALTH_UP && health->delivery_failures > 0)
		health->recoveries++; /* as for probes */
	health->delivery_successes = one_more(health->delivery_successes);
	health->delivery_failures = 0;
	enough = health->state == HEALTH_TRIAL ||
		 (health->state == HEALTH_DEFERRED && sight->policy->alone &&
		     health->delivery_successes >= sight->policy->rise);
	if (!enough)
		return HEALTH_SAME;
	return rise(sight->policy, SOURCE_DELIVERY, sight->now_ms, health);
}

static enum health_change
observe_delivery(const struct sight *sight, struct health *health)
{
	enum outcome outcome = sight->seen->outcome;

	if (outcome == OUTCOME_POLICY) {
		if (health->state == HEALTH_UP)
			health->delivery_failures = 0;
		health->unheard = 0;
		return HEALTH_SAME;
	}
	return outcome_info(outcome)->verdict == VERDICT_OK
		   ? delivery_good(sight, health)
		   : delivery_failed(sight, health);
}

static enum health_change
observe_probe(const struct sight *sight, struct health *health)
{
	if (outcome_info(sight->seen->outcome)->verdict != VERDICT_OK)
		return probe_failed(sight, health);
	health->overruled = false;
	return probe_good(sight, health);
}

/* A trial that nobody ended: from now on the probe decides. */
static void
end_trial(uint64_t now_ms, struct health *health)
{
	enter(health, HEALTH_DEFERRED, now_ms);
	health->due_ms = now_ms;
	health->blind = false;
	health->unheard = 0;
}

/* Where nobody observes deliveries, nothing that only they end may last. */
static void
forget_deliveries(
    const struct health_policy *policy, uint64_t now_ms, struct health *health)
{
	if (policy->observed)
		return;
	if (health->state == HEALTH_TRIAL)
		end_trial(now_ms, health);
	health->blind = false;
	health->overruled = false;
}

enum health_change
health_observe(const struct health_policy *policy, const struct health *old,
    const struct observation *seen, uint64_t now_ms, uint32_t seed,
    struct health *next_r)
{
	struct sight sight = { policy, seen, now_ms, seed };
	struct health next = *old;
	enum health_change change = HEALTH_SAME;

	if (outcome_info(seen->outcome)->verdict != VERDICT_NEUTRAL) {
		forget_deliveries(policy, now_ms, &next);
		change = seen->source == SOURCE_DELIVERY
			     ? observe_delivery(&sight, &next)
			     : observe_probe(&sight, &next);
	}
	*next_r = next;
	return change;
}

static void
ramp(const struct health_policy *policy, uint64_t now_ms, struct health *health)
{
	uint64_t up_ms = elapsed(health->since_ms, now_ms);

	if (health->slow_step == 0)
		return;
	health->slow_step =
	    up_ms < policy->slow_start_ms
		? (uint8_t)(1 + up_ms * SLOW_STEPS / policy->slow_start_ms)
		: 0;
}

/* A probe that fails finds nothing for a message to try; silence cost the last
   message so much time that probes go first. */
static bool
may_be_tried(const struct health_policy *policy, const struct health *health,
    uint64_t now_ms)
{
	return now_ms >= health->due_ms && health->failures == 0 &&
	       (!health->silent || health->successes >= policy->rise);
}

/* Damping is for hosts that others stand in for. Where nobody does, one that
   waits for its trial waits as it would after any fall. */
static void
spare_the_last(const struct health_policy *policy, struct health *health)
{
	uint64_t due_ms = health->since_ms + policy->first_ms;

	if (!policy->alone || !health->blind || !is_damped(health))
		return;
	health->flaps = HEALTH_FLAPS_FREE;
	health->backoff_ms = policy->first_ms;
	if (due_ms < health->due_ms)
		health->due_ms = due_ms;
}

static enum health_change
tick_deferred(
    const struct health_policy *policy, uint64_t now_ms, struct health *health)
{
	spare_the_last(policy, health);
	if (probes_bring_up(policy, health, now_ms))
		return rise(policy, SOURCE_PROBE, now_ms, health);
	if (!health->blind || !may_be_tried(policy, health, now_ms))
		return HEALTH_SAME;
	enter(health, HEALTH_TRIAL, now_ms);
	health->due_ms = now_ms + HEALTH_PATIENCE_MS;
	return HEALTH_WENT_TRIAL;
}

enum health_change
health_tick(const struct health_policy *policy, const struct health *old,
    uint64_t now_ms, struct health *next_r)
{
	struct health next = *old;
	enum health_change change = HEALTH_SAME;

	forget_deliveries(policy, now_ms, &next);
	switch (next.state) {
	case HEALTH_UP:
		ramp(policy, now_ms, &next);
		if (!rose_just_now(&next, now_ms))
			next.flaps = 0;
		break;
	case HEALTH_DEFERRED:
		change = tick_deferred(policy, now_ms, &next);
		break;
	case HEALTH_TRIAL:
		break;
	}
	*next_r = next;
	return change;
}

bool
health_is_waiting(const struct health *health)
{
	return health->state != HEALTH_UP || health->slow_step != 0 ||
	       health->flaps != 0 || health->overruled;
}

/* Hears nothing of a claimed trial. */
static enum health_change
hang(const struct health_policy *policy, uint64_t now_ms, uint32_t seed,
    struct health *health)
{
	struct observation silence = { .outcome = OUTCOME_TIMEOUT,
		.source = SOURCE_DELIVERY,
		.silent = true };
	struct sight sight = { policy, &silence, now_ms, seed };

	return delivery_failed(&sight, health);
}

enum health_change
health_unheard(const struct health_policy *policy, const struct health *old,
    bool log_speaks, uint64_t now_ms, uint32_t seed, struct health *next_r)
{
	struct health next = *old;
	enum health_change change = HEALTH_SAME;

	if (next.state == HEALTH_TRIAL && log_speaks) {
		change = hang(policy, now_ms, seed, &next);
	} else if (next.state == HEALTH_TRIAL) {
		next.unheard = one_more_small(next.unheard);
		if (next.unheard >= HEALTH_UNHEARD_MAX) {
			end_trial(now_ms, &next);
			change = HEALTH_STILL_DEFERRED;
		}
	}
	*next_r = next;
	return change;
}

uint32_t
health_probe_wait(const struct health *health, uint32_t interval_ms)
{
	if (health->state == HEALTH_UP || health->backoff_ms == 0 ||
	    health->backoff_ms > interval_ms)
		return interval_ms;
	return health->backoff_ms;
}

const char *
health_state_name(enum health_state state)
{
	switch (state) {
	case HEALTH_UP:
		return "up";
	case HEALTH_DEFERRED:
		return "deferred";
	case HEALTH_TRIAL:
		return "trial";
	}
	return "unknown";
}

const char *
health_override_name(enum health_override override)
{
	switch (override) {
	case OVERRIDE_NONE:
		return "none";
	case OVERRIDE_DRAIN:
		return "drain";
	case OVERRIDE_DISABLED:
		return "disabled";
	case OVERRIDE_FORCED_UP:
		return "forced-up";
	}
	return "unknown";
}
