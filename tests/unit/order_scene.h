/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the tests of the order share: a set of hosts with their states, made
 * from a number or from letters, and the lists that come of it.
 */
#ifndef NH_TESTS_UNIT_ORDER_SCENE_H
#define NH_TESTS_UNIT_ORDER_SCENE_H

#include <check.h>

#include "policy/order.h"

#define MAX CONFIG_SET_HOSTS_MAX

/* For checks in inner loops: Check's own leave a mark in a file each time. */
#define REQUIRE(ok, ...)                                                       \
	do {                                                                   \
		if (!(ok))                                                     \
			ck_abort_msg(__VA_ARGS__);                             \
	} while (0)

/* A set with what is known of its hosts. */
struct scene {
	uint32_t n;
	struct config_member member[MAX];
	struct order_input input[MAX];
};

/* The next random numbers come from this seed. */
extern uint64_t scene_random_state;
/* Returns: a number below limit. */
uint32_t scene_random(uint32_t limit);

/* n healthy hosts of one tier. */
void scene_of(struct scene *scene, uint32_t n);

/*
 * A scene in letters, one host each: u up, d deferred, t in trial, o in trial
 * and offered to the ticket, c in trial and claimed by another one, D drained,
 * X disabled, F forced up though deferred, f wrong family, n unresolved name.
 * A blank begins the next tier.
 */
void scene_from(struct scene *scene, const char *letters);

/* order_compute, after which nothing in *order_r is left from before. */
void scene_compute(
    const struct scene *scene, uint32_t ticket, struct order *order_r);

/* The listed members as letters: "CAB". */
const char *scene_list(const struct scene *scene, uint32_t ticket);

#endif
