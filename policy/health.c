/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; pure functions. */
#include "policy/health.h"

#include "policy/hash.h"

static uint32_t
one_more(uint32_t n)
{
	return n < UINT32_MAX ? n + 1 : n;
}

/* A first back-off is first_ms; each renewal doubles the one before. A policy
   that a reload has changed may leave the old value outside of its bounds. */
static uint32_t
next_backoff(const struct health_policy *policy, const struct health *old)
{
	uint64_t wanted = old->backoff_ms;

	if (old->state == HEALTH_UP)
		return policy->first_ms;
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
defer(const struct health_policy *policy, struct health *health,
    uint64_t now_ms, uint32_t seed)
{
	health->backoff_ms = next_backoff(policy, health);
	health->due_ms = due_after(now_ms, health->backoff_ms, seed);
	if (health->state != HEALTH_DEFERRED)
		health->since_ms = now_ms;
	health->state = HEALTH_DEFERRED;
	health->slow_step = 0;
}

static enum health_change
observe_failure(const struct health_policy *policy, bool silent,
    uint64_t now_ms, uint32_t seed, struct health *health)
{
	health->failures = one_more(health->failures);
	health->successes = 0;
	switch (health->state) {
	case HEALTH_UP:
		if (health->failures < policy->fall)
			return HEALTH_SAME;
		health->silent = silent;
		defer(policy, health, now_ms, seed);
		return HEALTH_WENT_DEFERRED;
	case HEALTH_DEFERRED:
		/* What it does now counts: a host that refused politely may
		   have fallen silent since, or the other way round. */
		health->silent = silent;
		if (now_ms < health->due_ms)
			return HEALTH_SAME;
		break;
	case HEALTH_TRIAL:
		health->silent = silent;
		break;
	}
	defer(policy, health, now_ms, seed);
	return HEALTH_STILL_DEFERRED;
}

static enum health_change
observe_success(
    const struct health_policy *policy, uint64_t now_ms, struct health *health)
{
	/* Failures below fall pass unseen here, but the MTA may have met them
	   too and hold them against the lists as they are spelled now. */
	if (health->state == HEALTH_UP && health->failures > 0)
		health->recoveries++;
	health->successes = one_more(health->successes);
	health->failures = 0;
	if (health->state == HEALTH_UP || health->successes < policy->rise)
		return HEALTH_SAME;
	health->state = HEALTH_UP;
	health->since_ms = now_ms;
	health->due_ms = 0;
	health->backoff_ms = 0;
	health->recoveries++;
	health->slow_step = 0;
	health->silent = false;
	return HEALTH_WENT_UP;
}

enum health_change
health_observe(const struct health_policy *policy, const struct health *old,
    const struct observation *seen, uint64_t now_ms, uint32_t seed,
    struct health *next_r)
{
	enum outcome_verdict verdict = outcome_info(seen->outcome)->verdict;
	struct health next = *old;
	enum health_change change = HEALTH_SAME;

	switch (verdict) {
	case VERDICT_OK:
		change = observe_success(policy, now_ms, &next);
		break;
	case VERDICT_FAIL:
		change =
		    observe_failure(policy, seen->silent, now_ms, seed, &next);
		break;
	case VERDICT_NEUTRAL:
		break;
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
