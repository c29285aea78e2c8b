/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <time.h>

#include "milter/clock.h"
#include "milter/prober_parts.h"

/*
 * A target is either waiting for its timer, or for its name, or in a line, or
 * being probed. Lines exist because max_parallel bounds the probes under way;
 * deferred hosts have a line of their own and at most half of the places: a
 * hundred silent hosts, each holding its place until the deadline, must not
 * keep the healthy ones from being seen.
 */

void
prober_schedule_in(struct prober_target *target, uint64_t wait_ms)
{
	struct timeval wait = clock_timeval(wait_ms);

	if (target->timer != NULL)
		(void)event_add(target->timer, &wait);
}

/* The first round is undelayed; the second spreads the targets over one
   interval; then each keeps its place, give or take a twentieth. */
static uint64_t
wait_when_up(struct prober_target *target, uint32_t interval_ms)
{
	struct prober *prober = target->prober;
	uint32_t jitter = interval_ms / 10 + 1;

	if (!target->probed) {
		target->probed = true;
		return interval_ms / 2 + (uint64_t)interval_ms * target->index /
					     prober->n_targets;
	}
	return interval_ms - jitter / 2 + prober_random(prober) % jitter;
}

/* A probe shortly before the end of the back-off would find the host not yet
   due: it then waits for that moment. */
static uint64_t
wait_when_deferred(const struct prober_target *target,
    const struct health *health, uint32_t interval_ms)
{
	uint64_t now_ms = clock_boot_ms();
	uint64_t wait_ms = health_probe_wait(health, interval_ms);
	uint64_t due_ms = health->due_ms > now_ms ? health->due_ms - now_ms : 0;

	if (due_ms > wait_ms && due_ms <= wait_ms + wait_ms / 8)
		return due_ms;
	return wait_ms + prober_random(target->prober) % (wait_ms / 20 + 1);
}

void
prober_schedule_next(struct prober_target *target)
{
	struct prober *prober = target->prober;
	uint32_t interval_ms = prober_config(prober)->probe.interval_ms;
	struct health_detail detail;

	health_table_read(prober->snapshot->table, target->slot, &detail);
	if (detail.health.state == HEALTH_UP)
		prober_schedule_in(target, wait_when_up(target, interval_ms));
	else
		prober_schedule_in(target,
		    wait_when_deferred(target, &detail.health, interval_ms));
}

static bool
is_deferred(const struct prober_target *target)
{
	struct health_view view;

	health_table_view(target->prober->snapshot->table, target->slot,
	    clock_boot_ms(), &view);
	return view.state != HEALTH_UP;
}

static void
leave_line(struct prober_target *target)
{
	struct prober *prober = target->prober;

	if (target->line != LINE_NONE)
		TAILQ_REMOVE(&prober->waiting[target->line], target, waiting);
	target->line = LINE_NONE;
}

void
prober_schedule_now(struct prober_target *target, bool first)
{
	struct prober *prober = target->prober;

	if (target->timer == NULL || target->run != NULL || prober->closing ||
	    target->line == LINE_FIRST || (target->line != LINE_NONE && !first))
		return;
	leave_line(target);
	(void)event_del(target->timer);
	if (prober_host(target)->kind == HOST_NAME &&
	    target->addresses == NULL) {
		prober_names_ask(target);
		return;
	}
	target->line = first		     ? LINE_FIRST
		       : is_deferred(target) ? LINE_DEFERRED
					     : LINE_UP;
	target->waiting_since_ms = clock_boot_ms();
	TAILQ_INSERT_TAIL(&prober->waiting[target->line], target, waiting);
	prober_schedule_go_on(prober);
}

void
prober_schedule_drop(struct prober_target *target)
{
	leave_line(target);
	if (target->timer != NULL)
		(void)event_del(target->timer);
}

void
prober_schedule_due(evutil_socket_t fd, short what, void *arg)
{
	struct prober_target *target = arg;
	struct prober *prober = target->prober;

	(void)fd;
	(void)what;
	if (prober_override_disabled(target))
		prober_schedule_in(
		    target, prober_config(prober)->probe.interval_ms);
	else if (prober_host(target)->kind == HOST_NAME)
		prober_names_ask(target);
	else
		prober_schedule_now(target, false);
}

/* Whoever has waited longest, unless the deferred have had their half. */
static struct prober_target *
next_in_line(const struct prober *prober)
{
	uint32_t half = prober_config(prober)->probe.max_parallel / 2;
	struct prober_target *first = TAILQ_FIRST(&prober->waiting[LINE_FIRST]);
	struct prober_target *up = TAILQ_FIRST(&prober->waiting[LINE_UP]);
	struct prober_target *deferred =
	    TAILQ_FIRST(&prober->waiting[LINE_DEFERRED]);

	if (first != NULL)
		return first;
	if (prober->n_running_deferred >= (half > 0 ? half : 1))
		deferred = NULL;
	if (up == NULL || deferred == NULL)
		return up != NULL ? up : deferred;
	return deferred->waiting_since_ms < up->waiting_since_ms ? deferred
								 : up;
}

void
prober_schedule_go_on(struct prober *prober)
{
	struct prober_target *target;

	while (!prober->closing &&
	       prober->n_running < prober_config(prober)->probe.max_parallel) {
		target = next_in_line(prober);
		if (target == NULL)
			return;
		leave_line(target);
		prober_run_scheduled(target, is_deferred(target));
	}
}
