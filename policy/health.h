/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The state of one host and how observations change it: a pure function of
 * (policy, state, observation, time). Thresholds per source, back-off with
 * jitter, trial, slow start, flap damping. Knows nothing of tables, sockets or
 * text.
 *
 * A host is *blind* while it is deferred for something that no probe sees: its
 * trouble came from a delivery at a stage behind the last one that a probe
 * reaches; or probes had taken it back and a delivery made it fall again within
 * HEALTH_AGAIN_MS while the newest probe found it well. Only deliveries end
 * that: when its time is up it is in trial. Where no deliveries are observed
 * (policy.observed) nobody is blind and nobody is in trial: probes decide.
 */
#ifndef NH_POLICY_HEALTH_H
#define NH_POLICY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/outcome.h"

enum health_state { HEALTH_UP = 0, HEALTH_DEFERRED, HEALTH_TRIAL };

/* The operator's word, stronger than what is measured. */
enum health_override {
	OVERRIDE_NONE = 0,
	OVERRIDE_DRAIN, /* no new mail */
	OVERRIDE_DISABLED,
	OVERRIDE_FORCED_UP
};

#define HEALTH_AGAIN_MS                                                        \
	300000		    /* a fall within this time of the recovery         \
			       is one more flap */
#define HEALTH_FLAPS_FREE 2 /* flaps that are not damped */
#define HEALTH_PATIENCE_MS                                                     \
	10000		     /* of a trial: then a question may claim it,      \
				not only a ticket drawn by the milter */
#define HEALTH_UNHEARD_MAX 3 /* trials of which nothing was heard */

struct health {
	enum health_state state;
	uint32_t failures;  /* failed probes in a row */
	uint32_t successes; /* good ones in a row */
	uint32_t delivery_failures, delivery_successes; /* of deliveries */
	uint32_t backoff_ms; /* the present back-off, 0 when up */
	uint64_t since_ms;   /* of the present state; boot time */
	uint64_t due_ms;     /* deferred: until then; trial: from then on any
				question may claim it; up: 0 */
	uint8_t recoveries;  /* counts ends of failure, wraps: a list is
				spelled anew at each (order.h) */
	uint8_t slow_step;   /* 0: full weight; 1..8 eighths of it */
	bool silent;	     /* was deferred by silence */
	bool blind;	     /* see above; only while deferred or in trial */
	bool overruled;	     /* deliveries find well what probes do not: a
				probe that fails at MAIL or later says only
				that the host answers, and counts as good.
				Ends with a really good probe, with a failed
				delivery, or when none are observed */
	uint8_t flaps;	     /* falls in a row, each within HEALTH_AGAIN_MS of
				the recovery before; 0 once it stayed up; less
				when it was spared (health_tick) */
	uint8_t unheard;     /* trials in a row of which nothing was heard */
	uint8_t stage;	     /* enum outcome_stage of the newest failed probe */
	uint8_t fell_by;     /* enum outcome_source of the last fall */
	uint8_t rose_by;     /* and of the last recovery */
};

struct health_policy {
	uint32_t fall;	   /* >= 1 */
	uint32_t rise;	   /* >= 1 */
	uint32_t first_ms; /* > 0 */
	uint32_t max_ms;   /* >= first_ms */
	bool hold_backoff; /* our own network is suspect: back-offs do
			      not grow, by flaps neither */
	bool observed;	   /* deliveries are observed now */
	bool alone;	   /* in some set of the host no other host is up:
			      nothing keeps it out longer than it must */
	enum outcome_stage probe_stage; /* the last stage a probe reaches */
	uint32_t slow_start_ms;		/* 0: none */
};

enum health_change {
	HEALTH_SAME = 0,       /* nothing that a reader would notice */
	HEALTH_WENT_DEFERRED,  /* up -> deferred */
	HEALTH_STILL_DEFERRED, /* back-off was over, renewed; or a trial
				  failed */
	HEALTH_WENT_UP,	       /* deferred or trial -> up */
	HEALTH_WENT_TRIAL      /* deferred -> trial */
};

/*
 * Applies one observation: of a delivery, or of anything else, which then
 * counts as a probe's.
 * Units: milliseconds of boot time. seed: any number, for the jitter (the new
 * due time lies within backoff .. backoff * 1.1).
 * Streaks and thresholds are per source; a fall ends the rows of successes, a
 * recovery those of failures, of both. A neutral verdict changes nothing. A
 * failure while deferred and before due_ms counts but moves no time; at or
 * after due_ms, and in trial, it doubles the back-off up to max_ms.
 *
 * Probes: rise good ones in a row bring the host up at once, whatever due_ms
 * says; not a blind one or one in trial, and a host with more than
 * HEALTH_FLAPS_FREE flaps not before due_ms unless it is alone. Its back-off
 * starts at first_ms doubled for each flap above HEALTH_FLAPS_FREE.
 * Deliveries: a success in trial brings the host up; while deferred, rise of
 * them in a row do when it is alone (its mail is tried all the same), else they
 * only count. A host brought up by deliveries while its newest probe failed at
 * MAIL or later is overruled. OUTCOME_POLICY of a delivery says the
 * host answers: for a host that is up it ends the row of failures; else it is
 * neutral, but a word (unheard).
 * A host that is not up and that a delivery finds failing at a stage behind the
 * last one of a probe becomes blind. A delivery that fails in silence, if that
 * is news or renews the back-off, also ends the row of good probes: they have
 * to vouch for the host anew before its next trial.
 * Returns: what changed; *next_r is the new state (may be the same object as
 * *old).
 * Thread: any.
 */
enum health_change health_observe(const struct health_policy *policy,
    const struct health *old, const struct observation *seen, uint64_t now_ms,
    uint32_t seed, struct health *next_r) NH_ALL_NONNULL;

/*
 * What time alone does; call it about once a second for hosts that are not
 * simply up (health_is_waiting).
 *  - slow start: slow_step follows the time since the recovery;
 *  - flaps end when the host stayed up for HEALTH_AGAIN_MS;
 *  - a blind host whose due_ms is over goes on trial if deliveries are observed
 *    and no probe failed since the newest good one; a silent one only after
 *    rise good probes since it fell. due_ms is then now + HEALTH_PATIENCE_MS;
 *  - a blind host that is alone is spared the damping: its flaps become
 *    HEALTH_FLAPS_FREE, its back-off first_ms, from when it was deferred;
 *  - where deliveries are not observed (any more) a host in trial is deferred
 *    again with its time over, and blind and overruled end: the probe decides
 *    (an observation does that as well);
 *  - a host that probes may bring up, and whose last rise probes were good,
 *    goes up: a damped one whose time is over or that is alone now, or one that
 *    is blind no more.
 * Returns: HEALTH_SAME, HEALTH_WENT_TRIAL, HEALTH_WENT_UP. *next_r may differ
 * from *old in all cases, the end of a trial is HEALTH_SAME too: write it.
 * Thread: any.
 */
enum health_change health_tick(const struct health_policy *policy,
    const struct health *old, uint64_t now_ms,
    struct health *next_r) NH_ALL_NONNULL;
/* Is there something that time alone may change? A cheap test. */
bool health_is_waiting(const struct health *health) NH_ALL_NONNULL;

/*
 * A trial was claimed and its time is over without a word of it.
 * log_speaks: the log told of some delivery to some host meanwhile, so it is
 * the right log, and the host hangs: a failure (silent, back-off doubled).
 * Otherwise the log may be the wrong one: the trial stays, and after
 * HEALTH_UNHEARD_MAX of them blind ends and the probe decides (deferred, its
 * time over; the caller warns: HEALTH_STILL_DEFERRED with next_r->blind false).
 * unheard begins anew with any word of the host, and when it gave up. A host
 * that is not in trial (any more) stays as it is.
 * Returns: HEALTH_SAME, HEALTH_STILL_DEFERRED.
 * Thread: any.
 */
enum health_change health_unheard(const struct health_policy *policy,
    const struct health *old, bool log_speaks, uint64_t now_ms, uint32_t seed,
    struct health *next_r) NH_ALL_NONNULL;

/* When a host of this state should be probed next: interval when up,
   min(interval, back-off) when deferred. Units: ms from now. */
uint32_t health_probe_wait(
    const struct health *health, uint32_t interval_ms) NH_ALL_NONNULL;

const char *health_state_name(enum health_state state);		 /* "up" */
const char *health_override_name(enum health_override override); /* "none" */

#endif
