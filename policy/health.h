/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The state of one host and how observations change it: a pure function of
 * (policy, state, verdict, time). Thresholds, back-off with jitter, recovery.
 * Knows nothing of tables, sockets or text.
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

struct health {
	enum health_state state;
	uint32_t failures;   /* failed observations in a row */
	uint32_t successes;  /* good ones in a row */
	uint32_t backoff_ms; /* the present back-off, 0 when up */
	uint64_t since_ms;   /* of the present state; boot time */
	uint64_t due_ms;     /* deferred: until then; else 0 */
	uint8_t recoveries;  /* counts ends of failure, wraps: a list is
				spelled anew at each (order.h) */
	uint8_t slow_step;   /* 0: full weight; 1..8 eighths of it */
	bool silent;	     /* was deferred by silence */
};

struct health_policy {
	uint32_t fall;	   /* >= 1 */
	uint32_t rise;	   /* >= 1 */
	uint32_t first_ms; /* > 0 */
	uint32_t max_ms;   /* >= first_ms */
	bool hold_backoff; /* our own network is suspect: back-offs do
			      not grow */
};

enum health_change {
	HEALTH_SAME = 0,       /* nothing that a reader would notice */
	HEALTH_WENT_DEFERRED,  /* up -> deferred */
	HEALTH_STILL_DEFERRED, /* back-off was over, renewed */
	HEALTH_WENT_UP	       /* deferred -> up */
};

/*
 * Applies one observation.
 * Units: milliseconds of boot time. seed: any number, for the jitter (the new
 * due time lies within backoff .. backoff * 1.1).
 * A neutral verdict changes nothing. A failure while deferred and before
 * due_ms counts but moves no time; at or after due_ms it doubles the back-off
 * up to max_ms. rise successes in a row bring the host up at once, whatever
 * due_ms says.
 * Returns: what changed; *next_r is the new state (may be the same object as
 * *old).
 * Thread: any.
 */
enum health_change health_observe(const struct health_policy *policy,
    const struct health *old, const struct observation *seen, uint64_t now_ms,
    uint32_t seed, struct health *next_r) NH_ALL_NONNULL;

/* When a host of this state should be probed next: interval when up,
   min(interval, back-off) when deferred. Units: ms from now. */
uint32_t health_probe_wait(
    const struct health *health, uint32_t interval_ms) NH_ALL_NONNULL;

const char *health_state_name(enum health_state state);		 /* "up" */
const char *health_override_name(enum health_override override); /* "none" */

#endif
