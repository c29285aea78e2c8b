/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Long random lives of a host. Where probes alone decide, a few lines of rules
 * have to say the same as policy/health.c; where deliveries are observed too,
 * what must always hold does, and every host finds a way back.
 *
 * Thread: the test's own process, one thread.
 */
#include "policy/health.h"

#include <check.h>

#include "policy/hash.h"
#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define START_MS UINT64_C(1000000)
#define LIVES	 5000
#define STEPS	 1000

/* ---- probes alone ---- */

/* The rules for hosts that only probes see, told anew. */
struct model {
	bool up, silent;
	uint32_t failures, successes, backoff_ms;
	uint8_t recoveries;
	uint64_t since_ms, due_ms;
};

static void
model_wait(
    struct model *model, uint64_t backoff_ms, uint64_t now_ms, uint32_t seed)
{
	model->backoff_ms = (uint32_t)backoff_ms;
	model->due_ms =
	    now_ms + backoff_ms + hash_mix(seed) % (backoff_ms / 10 + 1);
}

static void
model_good(
    struct model *model, const struct health_policy *policy, uint64_t now_ms)
{
	model->recoveries += model->up && model->failures > 0;
	model->failures = 0;
	model->successes++;
	if (model->up || model->successes < policy->rise)
		return;
	model->up = true;
	model->silent = false;
	model->since_ms = now_ms;
	model->due_ms = 0;
	model->backoff_ms = 0;
	model->recoveries++;
}

static void
model_failed(struct model *model, const struct health_policy *policy,
    bool silent, uint64_t now_ms, uint32_t seed)
{
	uint64_t twice = (uint64_t)model->backoff_ms << !policy->hold_backoff;

	model->failures++;
	model->successes = 0;
	if (model->up && model->failures < policy->fall)
		return;
	model->silent = silent;
	if (model->up) {
		model->up = false;
		model->since_ms = now_ms;
		model_wait(model, policy->first_ms, now_ms, seed);
	} else if (now_ms >= model->due_ms) {
		model_wait(model,
		    twice < policy->max_ms ? twice : policy->max_ms, now_ms,
		    seed);
	}
}

static bool
same(const struct model *model, const struct health *health)
{
	return model->up == (health->state == HEALTH_UP) &&
	       health->state != HEALTH_TRIAL &&
	       model->silent == health->silent &&
	       model->failures == health->failures &&
	       model->successes == health->successes &&
	       model->backoff_ms == health->backoff_ms &&
	       model->recoveries == health->recoveries &&
	       model->since_ms == health->since_ms &&
	       model->due_ms == health->due_ms;
}

static uint32_t
below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(scratch_random(state) >> 16) % n;
}

static enum outcome
any_outcome(uint64_t *state, bool well)
{
	enum outcome outcome = (enum outcome)below(state, OUTCOME_COUNT);

	return well && below(state, 4) != 0 ? OUTCOME_OK : outcome;
}

static struct health_policy
any_policy(uint64_t *state, bool observed)
{
	struct health_policy policy = { .fall = 1 + below(state, 3),
		.rise = 1 + below(state, 3),
		.first_ms = 1 + below(state, 20000),
		.observed = observed,
		.slow_start_ms = below(state, 2) * below(state, 60000),
		.probe_stage = (enum outcome_stage)(
		    STAGE_CONNECT + below(state, STAGE_RCPT)) };

	policy.max_ms = policy.first_ms + below(state, 600000);
	return policy;
}

static const struct model unborn = { .up = true, .since_ms = START_MS };

/* One probe, and perhaps a tick, of both. Returns: the change. */
static enum health_change
probe_both(const struct health_policy *policy, uint64_t now_ms, bool well,
    struct model *model, struct health *health, uint64_t *state)
{
	struct observation seen = { .outcome = any_outcome(state, well),
		.stage = (enum outcome_stage)below(state, STAGE_COUNT),
		.source = SOURCE_PROBE,
		.silent = below(state, 3) == 0 };
	uint32_t seed = below(state, UINT32_MAX);
	enum outcome_verdict verdict = outcome_info(seen.outcome)->verdict;

	if (verdict == VERDICT_OK)
		model_good(model, policy, now_ms);
	else if (verdict == VERDICT_FAIL)
		model_failed(model, policy, seen.silent, now_ms, seed);
	if (below(state, 2) == 0)
		REQUIRE(
		    health_tick(policy, health, now_ms, health) == HEALTH_SAME,
		    "time changed something");
	return health_observe(policy, health, &seen, now_ms, seed, health);
}

static void
live_by_probes(unsigned life, uint64_t *state)
{
	struct health_policy policy = any_policy(state, false);
	struct health health = { .since_ms = START_MS };
	struct model model = unborn;
	uint64_t now_ms = START_MS;
	enum health_change change;
	bool was_up;

	policy.slow_start_ms = 0;
	for (unsigned i = 0; i < STEPS; i++) {
		now_ms += below(state, 2) * below(state, policy.first_ms * 2);
		/* A third fall in a row is damped: let it stay up before. */
		if (model.up && health.flaps == HEALTH_FLAPS_FREE)
			now_ms += HEALTH_AGAIN_MS;
		policy.alone = below(state, 2) == 0;
		policy.hold_backoff = below(state, 8) == 0;
		was_up = model.up;
		change = probe_both(
		    &policy, now_ms, i / 16 % 2 == 0, &model, &health, state);
		REQUIRE(
		    same(&model, &health) && !health.blind && !health.overruled,
		    "life %u, step %u: %s", life, i,
		    health_state_name(health.state));
		REQUIRE((change == HEALTH_WENT_UP) == (model.up && !was_up) &&
			    (change == HEALTH_WENT_DEFERRED) ==
				(!model.up && was_up),
		    "life %u, step %u: change %d", life, i, (int)change);
	}
}

START_TEST(probes_alone_decide_by_the_simple_rules)
{
	uint64_t state = 88172645463325252;

	for (unsigned life = 0; life < LIVES; life++)
		live_by_probes(life, &state);
}
END_TEST

/* ---- all that can be seen ---- */

static void
must_hold(const struct health_policy *policy, const struct health *health,
    uint64_t now_ms, unsigned step)
{
	bool up = health->state == HEALTH_UP;

	REQUIRE((health->due_ms == 0) == up && (health->backoff_ms == 0) == up,
	    "step %u: due %llu, back-off %u", step,
	    (unsigned long long)health->due_ms, health->backoff_ms);
	REQUIRE(
	    !up || (!health->blind && !health->silent && health->unheard == 0),
	    "step %u: up and blind", step);
	REQUIRE(up || health->slow_step == 0, "step %u: slow", step);
	REQUIRE(health->backoff_ms <= policy->max_ms && health->slow_step <= 8,
	    "step %u: back-off %u, step %u", step, health->backoff_ms,
	    health->slow_step);
	REQUIRE(health->due_ms <= now_ms + policy->max_ms +
				      policy->max_ms / 10 + HEALTH_PATIENCE_MS,
	    "step %u: due too late", step);
	REQUIRE(health->state != HEALTH_TRIAL || health->blind,
	    "step %u: a trial without need", step);
	REQUIRE(
	    health->unheard < HEALTH_UNHEARD_MAX && health->since_ms <= now_ms,
	    "step %u: unheard %u", step, health->unheard);
	REQUIRE(!up || health->failures < policy->fall || health->overruled,
	    "step %u: up after %u failures", step, health->failures);
}

/* Something of all that can happen. */
static void
befall(const struct health_policy *policy, uint64_t now_ms,
    struct health *health, uint64_t *state)
{
	struct observation seen = { .outcome = any_outcome(state, true),
		.stage = (enum outcome_stage)below(state, STAGE_COUNT),
		.source = below(state, 2) == 0 ? SOURCE_PROBE : SOURCE_DELIVERY,
		.silent = below(state, 3) == 0 };
	uint32_t seed = below(state, UINT32_MAX);

	switch (below(state, 6)) {
	case 0:
	case 1:
		(void)health_tick(policy, health, now_ms, health);
		break;
	case 2:
		(void)health_unheard(
		    policy, health, below(state, 2) == 0, now_ms, seed, health);
		break;
	default:
		(void)health_observe(
		    policy, health, &seen, now_ms, seed, health);
		break;
	}
}

/* The host is well from now on, and nothing but probes and, in trial, one
   message come. Returns: how long it took to be up. */
static uint64_t
recover(const struct health_policy *policy, struct health *health,
    uint64_t now_ms, uint64_t most_ms)
{
	struct observation good = { .source = SOURCE_PROBE };
	uint64_t began_ms = now_ms, probe_ms = now_ms;

	while (health->state != HEALTH_UP && now_ms - began_ms <= most_ms) {
		if (now_ms >= probe_ms) {
			good.source = SOURCE_PROBE;
			(void)health_observe(
			    policy, health, &good, now_ms, 1, health);
			probe_ms = now_ms + health_probe_wait(health, 30000);
		}
		(void)health_tick(policy, health, now_ms, health);
		good.source = SOURCE_DELIVERY;
		if (health->state == HEALTH_TRIAL)
			(void)health_observe(
			    policy, health, &good, now_ms, 1, health);
		now_ms += 1000;
	}
	return now_ms - began_ms;
}

static void
live_and_recover(unsigned life, uint64_t *state)
{
	struct health_policy policy = any_policy(state, true);
	struct health health = { .since_ms = START_MS };
	uint64_t now_ms = START_MS, most_ms;
	unsigned steps = 1 + below(state, STEPS);

	for (unsigned i = 0; i < steps; i++) {
		now_ms += below(state, 2) * below(state, policy.first_ms * 2);
		policy.alone = below(state, 2) == 0;
		policy.hold_backoff = below(state, 8) == 0;
		policy.observed = below(state, 64) != 0;
		befall(&policy, now_ms, &health, state);
		must_hold(&policy, &health, now_ms, i);
	}
	/* The back-off that it has, and as many probes as may be needed. */
	most_ms = policy.max_ms + policy.max_ms / 10 +
		  (uint64_t)(policy.rise + 1) * 31000;
	REQUIRE(recover(&policy, &health, now_ms, most_ms) <= most_ms,
	    "life %u: %s for ever", life, health_state_name(health.state));
}

START_TEST(what_must_hold_holds_and_a_host_that_is_well_comes_back)
{
	uint64_t state = 4711;

	for (unsigned life = 0; life < LIVES; life++)
		live_and_recover(life, &state);
}
END_TEST

static Suite *
health_model_suite(void)
{
	Suite *suite = suite_create("health_model");
	TCase *lives = tcase_create("lives");

	tcase_set_timeout(lives, 120);
	tcase_add_test(lives, probes_alone_decide_by_the_simple_rules);
	tcase_add_test(
	    lives, what_must_hold_holds_and_a_host_that_is_well_comes_back);
	suite_add_tcase(suite, lives);
	return suite;
}

int
main(void)
{
	return suite_run(health_model_suite());
}
