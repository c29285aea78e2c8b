/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/prober.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/flusher.h"
#include "milter/observer.h"
#include "milter/prober_parts.h"
#include "policy/hash.h"
#include "policy/hash_index.h"
#include "policy/xalloc.h"

uint32_t
prober_random(struct prober *prober)
{
	return (uint32_t)hash_mix(++prober->seed);
}

/* ---- targets ---- */

/* A literal of a family that the MTA does not use is listed nowhere. */
static bool
is_asked(const struct config *config, const struct host *host)
{
	switch (host->kind) {
	case HOST_IPV4:
		return config->address_family != CONFIG_IPV6;
	case HOST_IPV6:
		return config->address_family != CONFIG_IPV4;
	case HOST_NAME:
		break;
	}
	return true;
}

static struct prober_target *
target_new(struct prober *prober)
{
	struct prober_target *target = xcalloc(1, sizeof(*target));

	target->prober = prober;
	return target;
}

static void
target_free(struct prober_target *target)
{
	struct prober *prober = target->prober;
	struct prober_run *run, *next;

	prober_schedule_drop(target);
	prober_network_forget(target);
	resolver_cancel(&target->query);
	for (run = LIST_FIRST(&prober->runs); run != NULL; run = next) {
		next = LIST_NEXT(run, others);
		if (run->target != target)
			continue;
		run->target = NULL;
		/* A probe that somebody watches goes on. */
		if (run->scheduled)
			prober_run_drop(run);
	}
	if (target->timer != NULL)
		event_free(target->timer);
	free(target->addresses);
	free(target);
}

/* ---- adoption ---- */

static uint64_t
hash_of(const struct host *host)
{
	return hash_bytes(hash_key_fixed, host->name, strlen(host->name)) +
	       host->port;
}

static void
index_targets(const struct prober *prober, struct hash_index *index)
{
	hash_index_init(index, prober->n_targets);
	for (uint32_t i = 0; i < prober->n_targets; i++)
		hash_index_add(
		    index, hash_of(prober_host(prober->targets[i])), i);
}

/* Takes the target of this host out of the old ones. Returns: NULL if new. */
static struct prober_target *
take_old(struct prober *prober, const struct hash_index *index,
    const struct host *host)
{
	struct hash_index_at at;
	uint64_t hash = hash_of(host);

	for (uint32_t i = hash_index_first(index, hash, &at);
	     i != HASH_INDEX_NONE; i = hash_index_next(index, hash, &at)) {
		struct prober_target *target = prober->targets[i];

		if (target != NULL && host_equal(prober_host(target), host)) {
			prober->targets[i] = NULL;
			return target;
		}
	}
	return NULL;
}

static struct prober_target **
collect_targets(struct prober *prober, const struct config *config)
{
	struct prober_target **targets = xcalloc(
	    (size_t)config->n_hosts + 1, sizeof(struct prober_target *));
	struct hash_index index;

	index_targets(prober, &index);
	for (uint32_t i = 0; i < config->n_hosts; i++)
		targets[i] = take_old(prober, &index, &config->hosts[i]);
	hash_index_clear(&index);
	for (uint32_t i = 0; i < prober->n_targets; i++) {
		if (prober->targets[i] != NULL)
			target_free(prober->targets[i]);
	}
	free(prober->targets);
	return targets;
}

/* Gives a target, old or new, its place in the new snapshot. */
static struct prober_target *
settle(struct prober *prober, struct prober_target *target, uint32_t index)
{
	const struct config *config = prober_config(prober);
	bool asked = is_asked(config, &config->hosts[index]);

	if (target == NULL)
		target = target_new(prober);
	target->index = index;
	target->slot = prober->snapshot->base->host_slot[index];
	assert(target->slot != HEALTH_TABLE_NONE);
	if (!asked) {
		prober_schedule_drop(target);
		if (target->timer != NULL)
			event_free(target->timer);
		target->timer = NULL;
	}
	return target;
}

/* After all have their place: what is new is probed at once, what waits longer
   than the new interval comes earlier. */
static void
start(struct prober_target *target, uint32_t interval_ms)
{
	struct prober *prober = target->prober;
	const struct config *config = prober_config(prober);
	struct timeval now, due;
	int64_t left_ms;

	if (target->timer == NULL) {
		if (!is_asked(config, &config->hosts[target->index]))
			return;
		target->timer =
		    evtimer_new(prober->base, prober_schedule_due, target);
		if (target->timer != NULL && !prober_override_disabled(target))
			prober_schedule_now(target, false);
		else
			prober_schedule_in(target, interval_ms);
		return;
	}
	if (evtimer_pending(target->timer, &due) == 0)
		return;
	(void)evutil_gettimeofday(&now, NULL);
	left_ms = (int64_t)(due.tv_sec - now.tv_sec) * 1000 +
		  (due.tv_usec - now.tv_usec) / 1000;
	if (left_ms > (int64_t)interval_ms * 2)
		prober_schedule_in(
		    target, prober_random(prober) % (interval_ms + 1));
}

/* Which sets can be delivered to is told to a flusher that knows the sets, and
   asked by lines that an observer brings. */
static void
adopt_sets(struct prober *prober, const struct config *old)
{
	const struct config *config = prober_config(prober);

	prober_shares_build(prober);
	if (prober->flusher != NULL)
		flusher_adopt(prober->flusher, config);
	prober_sets_build(prober, old);
	if (prober->observer != NULL)
		observer_adopt(prober->observer, config);
}

void
prober_connect(
    struct prober *prober, struct observer *observer, struct flusher *flusher)
{
	prober->observer = observer;
	prober->flusher = flusher;
}

void
prober_adopt(struct prober *prober)
{
	struct snapshot *fresh = snapshot_get(), *old = prober->snapshot;
	const struct config *config = fresh->config;
	struct prober_target **targets = collect_targets(prober, config);

	prober->snapshot = fresh;
	prober->targets = targets;
	prober->n_targets = config->n_hosts;
	for (uint32_t i = 0; i < prober->n_targets; i++)
		targets[i] = settle(prober, targets[i], i);
	adopt_sets(prober, old == NULL ? NULL : old->config);
	if (old != NULL)
		snapshot_put(&old);
	prober_override_look(prober);
	for (uint32_t i = 0; i < prober->n_targets; i++)
		start(targets[i], config->probe.interval_ms);
	prober_schedule_go_on(prober);
}

/* ---- beginning and end ---- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct prober *prober = arg;

	(void)fd;
	(void)what;
	if (prober->snapshot == NULL)
		return;
	prober_override_look(prober);
	prober_trial_tick(prober);
}

/* A name without a dot is none that another machine would believe. */
static void
learn_own_name(struct prober *prober)
{
	if (gethostname(prober->machine, sizeof(prober->machine) - 1) == -1 ||
	    strchr(prober->machine, '.') == NULL)
		prober->machine[0] = '\0';
}

static int
open_parts(struct prober *prober, struct err *err)
{
	const struct timeval second = { 1, 0 };

	if (probe_env_create(prober->base, &prober->env, err) == -1 ||
	    resolver_create(prober->base, NULL, &prober->resolver, err) == -1)
		return -1;
	prober->tick = event_new(prober->base, -1, EV_PERSIST, on_tick, prober);
	if (prober->tick == NULL || event_add(prober->tick, &second) == -1) {
		err_set(err, "cannot set up the prober's timer");
		return -1;
	}
	return 0;
}

int
prober_create(
    struct event_base *base, struct prober **prober_r, struct err *err)
{
	struct prober *prober = calloc(1, sizeof(*prober));

	*prober_r = NULL;
	if (prober == NULL) {
		err_set(err, "no memory for the prober");
		return -1;
	}
	prober->base = base;
	LIST_INIT(&prober->runs);
	for (size_t i = 0; i < LINE_COUNT; i++)
		TAILQ_INIT(&prober->waiting[i]);
	clock_random(&prober->seed, sizeof(prober->seed));
	learn_own_name(prober);
	if (open_parts(prober, err) == -1) {
		prober_free(&prober);
		return -1;
	}
	*prober_r = prober;
	return 0;
}

void
prober_free(struct prober **prober)
{
	struct prober *old = *prober;
	struct prober_run *run;

	*prober = NULL;
	if (old == NULL)
		return;
	old->closing = true;
	while ((run = LIST_FIRST(&old->runs)) != NULL)
		prober_run_drop(run);
	for (uint32_t i = 0; i < old->n_targets; i++)
		target_free(old->targets[i]);
	free(old->targets);
	prober_shares_free(old);
	free(old->set_is_up);
	if (old->tick != NULL)
		event_free(old->tick);
	resolver_free(&old->resolver);
	probe_env_free(&old->env);
	if (old->snapshot != NULL)
		snapshot_put(&old->snapshot);
	free(old);
}
