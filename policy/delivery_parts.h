/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of delivery.h share: delivery.c reads lines,
 * delivery_notes.c keeps what they say in mind and tells it.
 */
#ifndef NH_POLICY_DELIVERY_PARTS_H
#define NH_POLICY_DELIVERY_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/delivery.h"
#include "policy/delivery_attempts.h"
#include "policy/delivery_hosts.h"
#include "policy/delivery_line.h"
#include "policy/delivery_sight.h"

struct delivery {
	const struct config *config;
	struct delivery_calls calls;
	struct delivery_hosts hosts;
	struct delivery_attempts *attempts;
};

/* A line, and what is made of it. */
struct delivery_scene {
	const struct delivery_line *line;
	struct delivery_attempt *attempt;
	struct delivery_place place; /* of the server that it is about */
	bool told;		     /* it failed, and reading says how */
	struct delivery_reading reading;
	/* The rest is of a RESULT. */
	uint32_t route;
	uint64_t recipient; /* hash, never 0 */
};

/*
 * One server of an attempt failed, the next one is tried: tells what can be
 * told now, notes the rest. scene->told, and a place of ours.
 */
void delivery_notes_event(struct delivery *delivery,
    const struct delivery_scene *scene) NH_ALL_NONNULL;

/* A recipient has its result: tells what it reveals of servers before, and of
   its own. */
void delivery_notes_result(struct delivery *delivery,
    const struct delivery_scene *scene) NH_ALL_NONNULL;

/* Is there a note of this host in the attempt? */
bool delivery_notes_know(const struct delivery *delivery,
    const struct delivery_attempt *attempt,
    uint32_t host) NH_MUSTCHECK NH_ALL_NONNULL;

/* There will be no more lines of the visits up to last: tells what is open, and
   forgets them. */
void delivery_notes_settle(struct delivery *delivery,
    struct delivery_attempt *attempt, uint32_t last) NH_ALL_NONNULL;

#endif
