/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <string.h>

#include "milter/clock.h"
#include "milter/flusher.h"
#include "milter/log.h"
#include "milter/observer.h"
#include "milter/prober_parts.h"
#include "policy/lookup.h"
#include "policy/route.h"

/* New mail takes a trial as it comes; queued mail is asked for it when none has
   come for a while, and again when that was in vain. */
#define NEW_MAIL_MS    2000
#define OFFER_AGAIN_MS 10000
#define OFFER_SETS     16 /* of a host's sets that are looked at */

/* The recipient of a queued message, which is about to be asked for, gets a
   ticket that has the claim. */
static void
on_ready(void *arg, const char *to)
{
	const struct prober_target *target = arg;
	const struct lookup_base *base = target->prober->snapshot->base;
	uint64_t now_ms = clock_boot_ms();
	struct address address;
	char host[HOST_TEXT_MAX];
	uint32_t route, ticket;

	if (!address_parse(to, strlen(to), &address))
		return;
	route = lookup_route(base, &address);
	if (route == ROUTE_NONE ||
	    !lookup_draw_trial(base, route, now_ms, &ticket))
		return;
	lookup_leave(base, route, &address, ticket, now_ms);
	(void)host_format(prober_host(target), host);
	log_line(target->offer_ms == 0 ? CONFIG_LOG_INFO : CONFIG_LOG_DEBUG,
	    "host %s: no new mail for its trial: a message that waits is "
	    "asked for",
	    host);
}

/* Would a ticket of this set, drawn now, try the host? */
static bool
is_open(const struct prober *prober, uint32_t set, uint64_t now_ms)
{
	struct lookup_answer answer;

	(void)lookup_with_ticket(prober->snapshot->base,
	    prober->route_of_set[set], 0, now_ms, &answer);
	return answer.trial_open;
}

static void
offer_queued(struct prober_target *target, uint64_t now_ms)
{
	struct prober *prober = target->prober;
	uint32_t at = prober->first_set[target->index];
	uint32_t end = prober->first_set[target->index + 1];

	if (prober->flusher == NULL)
		return;
	for (uint32_t n = 0; at < end && n < OFFER_SETS; at++, n++) {
		uint32_t set = prober->set_of[at];

		/* Nobody else is up: the mail that waits need not wait. */
		if (prober->set_is_up[set] &&
		    now_ms < target->trial_ms + NEW_MAIL_MS)
			continue;
		if (is_open(prober, set, now_ms) &&
		    flusher_try_one(prober->flusher,
			prober_config(prober)->sets[set].key, on_ready,
			target)) {
			target->offer_ms = now_ms + OFFER_AGAIN_MS;
			return;
		}
	}
}

static void
tell_unheard(const struct prober_target *target, const struct health *now)
{
	char host[HOST_TEXT_MAX];

	(void)host_format(prober_host(target), host);
	if (now->state == HEALTH_DEFERRED && !now->blind)
		log_warning("host %s: nothing was heard of %d messages that "
			    "tried it; is the log that is followed this MTA's? "
			    "the probe decides now",
		    host, HEALTH_UNHEARD_MAX);
	else if (now->state == HEALTH_TRIAL)
		log_info("host %s: nothing was heard of the message that tried "
			 "it",
		    host);
}

static void
claim_is_over(
    struct prober_target *target, struct health_detail *detail, uint64_t now_ms)
{
	struct prober *prober = target->prober;
	struct health_policy policy = prober_policy(target);
	struct health old = detail->health;
	bool log_speaks =
	    prober->observer != NULL &&
	    observer_heard(prober->observer) != target->heard_before;
	struct observation seen = { .outcome = OUTCOME_TIMEOUT,
		.source = SOURCE_DELIVERY,
		.silent = true,
		.text = "no word of the message that tried it" };
	enum health_change change;

	health_table_release(prober->snapshot->table, target->slot);
	target->trial_seen = false;
	/* It answered, and what it said decides nothing. */
	if (target->trial_heard) {
		target->trial_heard = false;
		return;
	}
	change = health_unheard(&policy, &old, log_speaks, now_ms,
	    prober_random(prober), &detail->health);
	tell_unheard(target, &detail->health);
	if (change != HEALTH_SAME)
		detail->last = seen;
	prober_change(target, change, &old, detail, &seen, now_ms);
}

static void
watch(
    struct prober_target *target, struct health_detail *detail, uint64_t now_ms)
{
	struct prober *prober = target->prober;

	switch (health_table_claim_state(
	    prober->snapshot->table, target->slot, now_ms)) {
	case CLAIM_NONE:
	case CLAIM_WEAK:
		if (now_ms >= target->offer_ms)
			offer_queued(target, now_ms);
		break;
	case CLAIM_OPEN:
		if (target->trial_seen)
			break;
		target->trial_seen = true;
		target->heard_before = prober->observer == NULL
					   ? 0
					   : observer_heard(prober->observer);
		break;
	case CLAIM_OVER:
		claim_is_over(target, detail, now_ms);
		break;
	}
}

static void
tick(struct prober_target *target, uint64_t now_ms)
{
	struct health_policy policy;
	struct health_detail detail;
	struct health old;
	enum health_change change;

	health_table_read(
	    target->prober->snapshot->table, target->slot, &detail);
	old = detail.health;
	if (health_is_waiting(&old)) {
		policy = prober_policy(target);
		change = health_tick(&policy, &old, now_ms, &detail.health);
		if (change != HEALTH_SAME ||
		    memcmp(&old, &detail.health, sizeof(old)) != 0)
			prober_change(target, change, &old, &detail,
			    &detail.last, now_ms);
	}
	if (detail.health.state == HEALTH_TRIAL)
		watch(target, &detail, now_ms);
}

void
prober_trial_tick(struct prober *prober)
{
	uint64_t now_ms = clock_boot_ms();
	struct health_view view;

	for (uint32_t i = 0; i < prober->n_targets; i++) {
		struct prober_target *target = prober->targets[i];

		health_table_view(
		    prober->snapshot->table, target->slot, now_ms, &view);
		if (view.state != HEALTH_UP || view.slow_step != 0)
			tick(target, now_ms);
	}
}
