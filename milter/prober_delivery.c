/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/clock.h"
#include "milter/flusher.h"
#include "milter/log.h"
#include "milter/prober_parts.h"
#include "policy/delivery.h"

#define SHY_PAUSE_MS 3600000 /* between two such warnings of one host */

/*
 * What the deliveries say: of hosts, it becomes health; of mail that waits, it
 * goes to the flusher. A prober that is closing has no hosts any more, but its
 * end turns the loop, and lines may come then.
 */

/* Once in a while: on a host that greylists, strangers who never come back make
   such rows all day. */
static void
warn_shy(struct prober_target *target, const struct observation *seen)
{
	uint64_t now_ms = clock_boot_ms();
	char host[HOST_TEXT_MAX];

	if (target->shy_ms != 0 && now_ms - target->shy_ms < SHY_PAUSE_MS)
		return;
	target->shy_ms = now_ms;
	(void)host_format(prober_host(target), host);
	log_warning("host %s puts everybody off: the last %d recipients were "
		    "answered like \"%s\", and none was accepted; is its "
		    "policy service down? it stays in use",
	    host, DELIVERY_SHY_ROW, seen->text);
}

/* A doubt about which of several it was, ports or addresses: the probe may
   tell. One dead address of several makes a doubt of each message. */
static void
look_closer(struct prober_target *target)
{
	uint64_t now_ms = clock_boot_ms();

	if (target->doubted_ms != 0 &&
	    now_ms - target->doubted_ms <
		prober_config(target->prober)->probe.interval_ms)
		return;
	target->doubted_ms = now_ms;
	target->show = true;
	prober_schedule_now(target, true);
}

/* A name with several addresses: what fails at one may work at the next, which
   the MTA, like the probe, asks then. */
static bool
is_one_of_many(
    const struct prober_target *target, const struct delivery_seen *sight)
{
	return sight->sight == DELIVERY_TROUBLE && target->addresses != NULL &&
	       target->addresses->n > 1;
}

static uint64_t
key_of(const struct prober *prober, uint32_t set)
{
	return prober_config(prober)->sets[set].key;
}

/* What was refused before the row was full, and what still comes of it. After
   the verdict, by which the sets may have failed. */
static void
blame(const struct prober_target *target)
{
	const struct prober *prober = target->prober;
	uint32_t end = prober->first_set[target->index + 1];

	if (prober->flusher == NULL)
		return;
	for (uint32_t at = prober->first_set[target->index]; at < end; at++) {
		uint32_t set = prober->set_of[at];

		flusher_blame(prober->flusher, key_of(prober, set),
		    prober->set_is_up[set]);
	}
}

static void
on_seen(void *arg, const struct delivery_seen *sight)
{
	struct prober *prober = arg;
	struct prober_target *target;
	struct delivery_seen told = *sight;
	struct observation seen;

	if (prober->closing)
		return;
	target = prober->targets[sight->host];
	target->trial_heard = true;
	told.doubt = told.doubt || is_one_of_many(target, sight);
	switch (delivery_judge(&target->streak, &told, &seen)) {
	case DELIVERY_NOTHING:
		break;
	case DELIVERY_COUNTS:
		prober_verdict_delivery(target, &seen);
		if (told.sight == DELIVERY_REFUSAL)
			blame(target);
		break;
	case DELIVERY_WARN_SHY:
		warn_shy(target, &seen);
		break;
	case DELIVERY_PROBE:
		look_closer(target);
		break;
	}
}

static uint32_t
set_of(const struct prober *prober, uint32_t route)
{
	return prober_config(prober)->routes[route].set;
}

static void
on_waiting(void *arg, const struct delivery_waiting *waiting)
{
	struct prober *prober = arg;
	uint32_t set;

	if (prober->flusher == NULL || prober->closing)
		return;
	set = set_of(prober, waiting->route);
	flusher_waiting(prober->flusher, key_of(prober, set), waiting,
	    prober->set_is_up[set]);
}

static void
on_gone(void *arg, uint32_t route, const struct address *recipient,
    const char *queue_id)
{
	struct prober *prober = arg;

	if (prober->flusher != NULL && !prober->closing)
		flusher_gone(prober->flusher,
		    key_of(prober, set_of(prober, route)), recipient, queue_id);
}

struct delivery_calls
prober_delivery_calls(struct prober *prober)
{
	struct delivery_calls calls = { .seen = on_seen,
		.waiting = on_waiting,
		.gone = on_gone,
		.arg = prober };

	return calls;
}
