/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Which host of the configuration a server in the delivery log is: an index by
 * name. Hosts that share a name and differ in their port are a chain; the
 * number of any one of them, always the same one, stands for the name.
 */
#ifndef NH_POLICY_DELIVERY_HOSTS_H
#define NH_POLICY_DELIVERY_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/hash_index.h"

#define DELIVERY_HOSTS_NONE UINT32_MAX

struct delivery_hosts {
	const struct config *config;
	struct hash_index index; /* by name and port, and by name alone */
	uint32_t *name;		 /* by host: who stands for its name */
	uint32_t *next;		 /* by host: the next one of its chain */
};

/* A server as the log names it: H[A]:P. */
struct delivery_server {
	const char *name, *address; /* lower case; "" when not told */
	uint16_t port;		    /* 0: not told */
	bool reused; /* by a session of before: the port may be a lie */
};

/* What is known of it. */
struct delivery_place {
	uint32_t name; /* DELIVERY_HOSTS_NONE: none of ours */
	uint32_t host; /* DELIVERY_HOSTS_NONE: one of the name's ports */
};

/*
 * Indexes config, which must outlive hosts. Aborts without memory.
 * Owns: the caller, delivery_hosts_clear.
 */
void delivery_hosts_init(
    struct delivery_hosts *hosts, const struct config *config) NH_ALL_NONNULL;
void delivery_hosts_clear(struct delivery_hosts *hosts) NH_ALL_NONNULL;

/*
 * Finds a server.
 * route: of the recipient, where one is known, else ROUTE_NONE.
 * No allocation.
 */
struct delivery_place delivery_hosts_place(const struct delivery_hosts *hosts,
    const struct delivery_server *server, uint32_t route) NH_ALL_NONNULL;

/*
 * The hosts of a name that mail of route can reach; all of that name when it
 * reaches none of them, or route is ROUTE_NONE.
 * Returns: how many; 0 when they are more than CONFIG_SET_HOSTS_MAX.
 */
uint32_t delivery_hosts_ports(const struct delivery_hosts *hosts, uint32_t name,
    uint32_t route, uint32_t list_r[CONFIG_SET_HOSTS_MAX]) NH_ALL_NONNULL;

#endif
