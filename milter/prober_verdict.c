/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdio.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/observer.h"
#include "milter/prober_parts.h"

/* A host that takes message after message is written down once in a while. */
#define STEADY_MS 1000

static enum outcome_stage
last_stage(enum config_probe_level level)
{
	switch (level) {
	case CONFIG_PROBE_CONNECT:
		return STAGE_CONNECT;
	case CONFIG_PROBE_GREETING:
		return STAGE_GREETING;
	case CONFIG_PROBE_EHLO:
		return STAGE_EHLO;
	case CONFIG_PROBE_STARTTLS:
		return STAGE_TLS;
	case CONFIG_PROBE_MAIL:
		return STAGE_MAIL;
	case CONFIG_PROBE_RCPT:
		return STAGE_RCPT;
	}
	return STAGE_CONNECT;
}

struct health_policy
prober_policy(const struct prober_target *target)
{
	const struct prober *prober = target->prober;
	const struct config *config = prober_config(prober);
	struct health_policy policy = { .fall = config->defer.fall,
		.rise = config->defer.rise,
		.first_ms = config->defer.first_ms,
		.max_ms = config->defer.max_ms,
		.slow_start_ms = config->defer.slow_start_ms,
		.hold_backoff = prober->network_suspect,
		.observed = prober->observer != NULL &&
			    observer_is_alive(prober->observer),
		.alone = prober_sets_alone(target),
		.probe_stage = last_stage(config->probe.level) };

	return policy;
}

/* ---- a new state ---- */

static void
note(const struct prober_target *target, const struct health *old,
    const struct health_detail *detail, const struct observation *seen,
    uint64_t now_ms)
{
	const struct health *now = &detail->health;
	bool good = outcome_info(seen->outcome)->verdict == VERDICT_OK;
	bool delivery = seen->source == SOURCE_DELIVERY;
	struct health_history change = { .at_ms = now_ms,
		.from = (uint8_t)old->state,
		.to = (uint8_t)now->state,
		.blind = now->blind,
		.backoff_ms = now->backoff_ms,
		.stage = seen->stage,
		.source = seen->source,
		.code = seen->code };

	if (good)
		change.count =
		    delivery ? now->delivery_successes : now->successes;
	else
		change.count =
		    delivery ? now->delivery_failures : now->failures;
	memcpy(change.text, seen->text, sizeof(change.text));
	health_table_note(
	    target->prober->snapshot->table, target->slot, &change);
}

/* What a state change entails elsewhere. */
static void
spread(struct prober_target *target, enum health_change change,
    const struct health *old, uint64_t now_ms)
{
	if (old->state == HEALTH_TRIAL || change == HEALTH_WENT_TRIAL)
		health_table_release(
		    target->prober->snapshot->table, target->slot);
	if (old->state == HEALTH_UP) {
		target->fell_ms = now_ms;
		target->said_blind = false;
	}
	target->trial_ms = change == HEALTH_WENT_TRIAL ? now_ms : 0;
	target->offer_ms = 0;
	target->trial_seen = target->trial_heard = false;
	prober_sets_look(target);
	if (change == HEALTH_WENT_DEFERRED)
		prober_shares_take_over(target, now_ms);
	/* A probe that is under way, or in line, ends with a turn anyway. */
	if (target->run == NULL && target->line == LINE_NONE &&
	    target->query == NULL)
		prober_schedule_next(target);
}

void
prober_change(struct prober_target *target, enum health_change change,
    const struct health *old, const struct health_detail *detail,
    const struct observation *seen, uint64_t now_ms)
{
	health_table_write(
	    target->prober->snapshot->table, target->slot, detail);
	prober_log_change(target, change, old, &detail->health, seen, now_ms);
	if (detail->health.state == old->state)
		return;
	note(target, old, detail, seen, now_ms);
	spread(target, change, old, now_ms);
}

/* ---- one observation ---- */

/* Where they disagree the delivery wins, and people are told once. */
static void
tell_disagreement(struct prober_target *target, const struct health *old,
    const struct health *now, const struct observation *seen)
{
	char host[HOST_TEXT_MAX];

	(void)host_format(prober_host(target), host);
	if (now->overruled && !old->overruled)
		log_warning("host %s: deliveries find it well, the probe does "
			    "not: failed probes from MAIL on do not count",
		    host);
	if (now->blind && now->state == HEALTH_DEFERRED &&
	    seen->source == SOURCE_PROBE && !target->said_blind &&
	    outcome_info(seen->outcome)->verdict == VERDICT_OK) {
		target->said_blind = true;
		log_info("host %s: the probe finds it well, deliveries do not: "
			 "it stays deferred until it takes a message",
		    host);
	}
}

static bool
is_overruled(const struct health *health, const struct observation *seen)
{
	return health->overruled && seen->source == SOURCE_PROBE &&
	       seen->stage >= STAGE_MAIL;
}

static void
apply(struct prober_target *target, const struct observation *seen,
    uint64_t now_ms)
{
	struct prober *prober = target->prober;
	struct health_table *table = prober->snapshot->table;
	struct health_policy policy = prober_policy(target);
	bool good = outcome_info(seen->outcome)->verdict == VERDICT_OK;
	enum health_change change;
	struct health_detail detail;
	struct health old;

	health_table_read(table, target->slot, &detail);
	old = detail.health;
	change = health_observe(
	    &policy, &old, seen, now_ms, prober_random(prober), &detail.health);
	detail.last_seen_ms = now_ms;
	if (good && seen->latency_us != 0)
		detail.latency_us = seen->latency_us;
	/* The steady good ones say nothing about why the host is where it is,
	   and neither does a probe that is overruled. */
	if (change != HEALTH_SAME || detail.last.source == SOURCE_NONE ||
	    (!good && !is_overruled(&detail.health, seen)))
		detail.last = *seen;
	health_table_count(table, target->slot,
	    good ? COUNTER_OBSERVED_OK : COUNTER_OBSERVED_FAILED);
	target->steady_ms = good && change == HEALTH_SAME &&
				    detail.health.state == HEALTH_UP &&
				    detail.health.delivery_failures == 0
				? now_ms
				: 0;
	tell_disagreement(target, &old, &detail.health, seen);
	prober_change(target, change, &old, &detail, seen, now_ms);
}

void
prober_verdict(struct prober_target *target, const struct observation *seen)
{
	if (outcome_info(seen->outcome)->verdict == VERDICT_NEUTRAL)
		return;
	if (seen->outcome == OUTCOME_POLICY)
		prober_log_grudge(target, seen);
	else if (seen->outcome == OUTCOME_OK &&
		 target->grudge == OUTCOME_POLICY)
		target->grudge = OUTCOME_OK;
	prober_network_saw(target, seen);
	apply(target, seen, clock_boot_ms());
}

void
prober_verdict_delivery(
    struct prober_target *target, const struct observation *seen)
{
	uint64_t now_ms = clock_boot_ms();

	if (seen->outcome == OUTCOME_OK && target->steady_ms != 0 &&
	    now_ms - target->steady_ms < STEADY_MS)
		health_table_count(target->prober->snapshot->table,
		    target->slot, COUNTER_OBSERVED_OK);
	else
		apply(target, seen, now_ms);
}
