/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of the prober share, and nobody else: prober.c (targets come
 * and go), prober_schedule.c (whose turn it is), prober_run.c (one host asked,
 * over one or more connections), prober_verdict.c (what an observation does to
 * the table), prober_delivery.c (what the deliveries say), prober_trial.c (the
 * cautious way back), prober_sets.c (which sets can be delivered to),
 * prober_shares.c (who takes over a share), prober_network.c (is it our own
 * network?), prober_names.c (host names), prober_override.c (the operator's
 * word) and prober_log.c (the lines). All of it on the probe thread.
 */
#ifndef NH_MILTER_PROBER_PARTS_H
#define NH_MILTER_PROBER_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "milter/probe.h"
#include "milter/prober.h"
#include "milter/resolver.h"
#include "milter/snapshot.h"
#include "policy/delivery.h"
#include "policy/health.h"
#include "policy/health_table.h"
#include "policy/host.h"
#include "policy/outcome.h"

/* Where a target waits for its turn. */
enum prober_line {
	LINE_NONE = 0,
	LINE_FIRST,
	LINE_UP,
	LINE_DEFERRED,
	LINE_COUNT
};

/* The last thing the network said about a target. */
enum prober_sight { SIGHT_NONE = 0, SIGHT_NETWORK_FAILS, SIGHT_ANSWERS };

struct prober_run;

/* One host of the configuration. */
struct prober_target {
	struct prober *prober;
	uint32_t index;	     /* into config.hosts of the snapshot */
	uint32_t slot;	     /* in the table */
	struct event *timer; /* its next turn; NULL: never probed (a
				literal of a family that is not used) */
	enum prober_line line;
	TAILQ_ENTRY(prober_target) waiting;
	uint64_t waiting_since_ms;
	struct prober_run *run; /* the scheduled one, under way */
	struct resolver_query *query;
	struct resolver_answer *addresses; /* of a name; NULL: never found */
	uint64_t take_over_ms;		   /* when it last took over a share */
	bool show;   /* its next probe is logged at info */
	bool probed; /* its first probe has been */
	bool said_unresolved;
	enum prober_sight sight;
	enum health_override override; /* as last logged */
	/* The last harmless complaint, warned of once until it changes. */
	enum outcome grudge;
	enum outcome_stage grudge_stage;
	uint16_t grudge_code;
	bool tls_grudge; /* warned that TLS fails */
	/* Deliveries. */
	struct delivery_streak streak;
	uint64_t shy_ms;     /* when its shyness was warned of, 0: never */
	uint64_t doubted_ms; /* when a doubt sent for a probe, 0: never */
	uint64_t steady_ms;  /* written down as taking mail, 0: look again */
	uint64_t fell_ms;    /* up -> deferred, 0: before this worker */
	bool said_blind;     /* that probe and deliveries disagree */
	/* Its trial. */
	uint64_t trial_ms; /* since when */
	uint64_t offer_ms; /* no queued message is asked for before */
	bool trial_heard;  /* a delivery spoke of it */
	bool trial_seen;   /* its claim has been noticed; until then the log
			      had told of so many deliveries: */
	uint64_t heard_before;
};

TAILQ_HEAD(prober_waiting, prober_target);

/* One host being asked: all its addresses, one deadline. */
struct prober_run {
	struct prober *prober;
	struct prober_target *target; /* NULL: not (any more) configured */
	LIST_ENTRY(prober_run) others;
	struct host host;
	bool scheduled; /* counts against max_parallel */
	bool deferred;	/* and against the deferred hosts' half */
	bool show;
	bool plain;
	bool failed; /* failure is valid */
	struct observation failure;
	struct resolver_answer addresses;
	uint32_t at;	 /* the address that is being asked */
	uint64_t end_ms; /* the deadline, boot time */
	uint64_t dcid;
	struct probe *probe;
	struct resolver_query *query;
	prober_line_fn *line; /* NULL: nobody watches */
	void *line_arg;
};

LIST_HEAD(prober_runs, prober_run);

struct prober {
	struct event_base *base;
	struct probe_env *env;
	struct resolver *resolver;
	struct event *tick; /* once a second */
	struct snapshot *snapshot;
	struct prober_target **targets; /* per config host */
	uint32_t n_targets;
	struct prober_waiting waiting[LINE_COUNT];
	struct prober_runs runs;
	uint32_t n_running, n_running_deferred, n_by_hand;
	uint64_t dcid;
	uint64_t seed;
	char machine[HOST_NAME_MAX_LEN]; /* its name, "" when it has no dot */
	/* Which sets a host is in: set_of[first_set[h] .. first_set[h + 1]),
	   and one route of each set. */
	uint32_t *first_set, *set_of, *route_of_set;
	bool *set_is_up;	   /* per set: some host is up */
	struct observer *observer; /* NULL: no deliveries are observed */
	struct flusher *flusher;   /* NULL: nothing is flushed */
	/* Is it our own network? */
	uint32_t n_sighted, n_network_fails;
	bool network_suspect;
	/* Our own troubles are warned of once a minute at most. */
	uint64_t local_warned_ms;
	char local_text[OUTCOME_TEXT_MAX];
	bool closing;
};

static inline const struct config *
prober_config(const struct prober *prober)
{
	return prober->snapshot->config;
}

static inline const struct host *
prober_host(const struct prober_target *target)
{
	return &prober_config(target->prober)->hosts[target->index];
}

/* prober.c */
uint32_t prober_random(struct prober *prober) NH_ALL_NONNULL;

/* prober_schedule.c */
/* Its turn comes in wait_ms. */
void prober_schedule_in(
    struct prober_target *target, uint64_t wait_ms) NH_ALL_NONNULL;
/* After a probe or a skipped turn: the turn that its state asks for. */
void prober_schedule_next(struct prober_target *target) NH_ALL_NONNULL;
/* As soon as there is room; ahead of all others when first. */
void prober_schedule_now(
    struct prober_target *target, bool first) NH_ALL_NONNULL;
/* Takes it out of line and timer. */
void prober_schedule_drop(struct prober_target *target) NH_ALL_NONNULL;
/* Room has become free. */
void prober_schedule_go_on(struct prober *prober) NH_ALL_NONNULL;
/* The timer's callback. */
void prober_schedule_due(evutil_socket_t fd, short what, void *arg);

/* prober_run.c */
void prober_run_scheduled(
    struct prober_target *target, bool deferred) NH_ALL_NONNULL;
/* Ends without a verdict: the loop or the target goes away. */
void prober_run_drop(struct prober_run *run) NH_ALL_NONNULL;

/* prober_verdict.c */
/* Applies what a probe, or a delivery, has seen. */
void prober_verdict(struct prober_target *target,
    const struct observation *seen) NH_ALL_NONNULL;
void prober_verdict_delivery(struct prober_target *target,
    const struct observation *seen) NH_ALL_NONNULL;
struct health_policy prober_policy(
    const struct prober_target *target) NH_ALL_NONNULL;
/* Writes a state down, and does what a change entails. seen: what led to it. */
void prober_change(struct prober_target *target, enum health_change change,
    const struct health *old, const struct health_detail *detail,
    const struct observation *seen, uint64_t now_ms) NH_ALL_NONNULL;

/* prober_trial.c */
/* Once a second: trials, slow starts, and whatever only waits. */
void prober_trial_tick(struct prober *prober) NH_ALL_NONNULL;

/* prober_network.c */
/* A probe has ended so. */
void prober_network_saw(struct prober_target *target,
    const struct observation *seen) NH_ALL_NONNULL;
/* It will not be seen any more. */
void prober_network_forget(struct prober_target *target) NH_ALL_NONNULL;

/* prober_shares.c */
/* Builds, and frees, which sets each host is in. */
void prober_shares_build(struct prober *prober) NH_ALL_NONNULL;
void prober_shares_free(struct prober *prober) NH_ALL_NONNULL;
/* The hosts that take over from one that fell are probed at once. */
void prober_shares_take_over(
    struct prober_target *target, uint64_t now_ms) NH_ALL_NONNULL;

/* prober_sets.c */
/* After the shares are built, and the flusher has adopted the configuration:
   which sets have a host that is up. The flusher hears of those that had none
   under the old configuration (NULL: there was none), and of those that mail
   was moved to. */
void prober_sets_build(struct prober *prober, const struct config *old)
    NH_NONNULL(1);
/* The host may have changed: the flusher hears of sets that did. */
void prober_sets_look(struct prober_target *target) NH_ALL_NONNULL;
/* Is no other host up, in some set of it? */
bool prober_sets_alone(const struct prober_target *target) NH_ALL_NONNULL;

/* prober_names.c */
/* Resolves a target that is a name; its probe follows. */
void prober_names_ask(struct prober_target *target) NH_ALL_NONNULL;
/* The address of a literal. */
void prober_names_literal(
    const struct host *host, struct resolver_answer *answer_r) NH_ALL_NONNULL;

/* prober_override.c */
/* Notes and logs what the operator has changed. */
void prober_override_look(struct prober *prober) NH_ALL_NONNULL;
bool prober_override_disabled(
    const struct prober_target *target) NH_ALL_NONNULL;

/* prober_log.c */
void prober_log_connection(const struct prober_run *run,
    const struct endpoint *endpoint,
    const struct probe_result *result) NH_ALL_NONNULL;
void prober_log_change(const struct prober_target *target,
    enum health_change change, const struct health *old,
    const struct health *now, const struct observation *seen,
    uint64_t now_ms) NH_ALL_NONNULL;
void prober_log_grudge(struct prober_target *target,
    const struct observation *seen) NH_ALL_NONNULL;
void prober_log_tls(struct prober_target *target,
    const struct observation *seen) NH_ALL_NONNULL;
void prober_log_local(struct prober *prober, const struct host *host,
    const char *text) NH_ALL_NONNULL;
void prober_log_override(const struct prober_target *target,
    enum health_override old, const struct health_override_info *info,
    uint64_t now_ms) NH_ALL_NONNULL;

#endif
