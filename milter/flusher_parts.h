/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of the flusher share: flusher.c (what is asked of the MTA),
 * flusher_report.c (what is said of it). Nobody else includes this.
 * Thread: the probe thread.
 */
#ifndef NH_MILTER_FLUSHER_PARTS_H
#define NH_MILTER_FLUSHER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "milter/command.h"
#include "milter/flusher.h"
#include "policy/compiler.h"
#include "policy/delivery_line.h"
#include "policy/flush_plan.h"

#define FLUSHER_TRIALS_MAX 32 /* asked for and not begun */
#ifndef FLUSHER_DEADLINE_MS
#define FLUSHER_DEADLINE_MS 30000
#endif

/* What is said of many domains: of the first by name, then a number. */
struct flusher_tally {
	uint32_t flushed, refused;
};

struct flusher {
	struct event_base *base;
	struct event *timer;
	bool awake; /* the timer is set for now */
	struct flush_plan *plan;
	struct command *command; /* under way, or NULL */
	struct flush_step step;	 /* what it is for */

	/* of the configuration */
	bool enabled;
	uint32_t flush_again_ms;
	char **argv; /* with room for two more words */
	size_t n_argv;
	size_t message_at; /* the last "-s"; 0: there is none */
	bool hopeless;	   /* there is no such program */

	char trials[FLUSHER_TRIALS_MAX][DELIVERY_QUEUE_MAX];
	uint32_t trials_begun, trials_asked; /* a ring */

	struct flusher_tally tally;
	uint64_t quiet_ms; /* general trouble is not told again before */
};

/*
 * flusher_report.c
 */
/* How the command for flusher->step ended. A domain that the flush service
   refuses is told to the plan. */
void flusher_report(struct flusher *flusher,
    const struct command_result *result) NH_ALL_NONNULL;
/* Trouble that is the same for all domains is told once a minute. */
void flusher_tell_trouble(struct flusher *flusher, const char *what,
    const char *advice) NH_ALL_NONNULL;
/* The end of one recovery: what was not named is counted. */
void flusher_end_tally(struct flusher *flusher) NH_ALL_NONNULL;

#endif
