/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that observes deliveries. */
#include "policy/delivery_hosts.h"

#include <stdlib.h>
#include <string.h>

#include "policy/hash.h"
#include "policy/route.h"
#include "policy/xalloc.h"

/* The host of this name and port; port 0: who stands for the name. */
static uint64_t
hash_of(const char *name, uint16_t port)
{
	struct hash_key key = hash_key_fixed;

	key.k0 ^= port;
	return hash_bytes(key, name, strlen(name));
}

static uint32_t
find(const struct delivery_hosts *hosts, const char *name, uint16_t port)
{
	const struct host *host;
	struct hash_index_at at;
	uint64_t hash = hash_of(name, port);

	for (uint32_t n = hash_index_first(&hosts->index, hash, &at);
	     n != HASH_INDEX_NONE;
	     n = hash_index_next(&hosts->index, hash, &at)) {
		host = &hosts->config->hosts[n];
		if ((port == 0 ? hosts->name[n] == n : host->port == port) &&
		    strcmp(host->name, name) == 0)
			return n;
	}
	return DELIVERY_HOSTS_NONE;
}

static void
add(struct delivery_hosts *hosts, uint32_t host)
{
	const char *name = hosts->config->hosts[host].name;
	uint32_t first = find(hosts, name, 0);

	hash_index_add(&hosts->index,
	    hash_of(name, hosts->config->hosts[host].port), host);
	hosts->next[host] = DELIVERY_HOSTS_NONE;
	if (first == DELIVERY_HOSTS_NONE) {
		hosts->name[host] = host;
		hash_index_add(&hosts->index, hash_of(name, 0), host);
		return;
	}
	hosts->name[host] = first;
	hosts->next[host] = hosts->next[first];
	hosts->next[first] = host;
}

void
delivery_hosts_init(struct delivery_hosts *hosts, const struct config *config)
{
	*hosts = (struct delivery_hosts){ .config = config };
	hash_index_init(&hosts->index, 2 * (size_t)config->n_hosts);
	hosts->name = xcalloc(config->n_hosts, sizeof(hosts->name[0]));
	hosts->next = xcalloc(config->n_hosts, sizeof(hosts->next[0]));
	for (uint32_t i = 0; i < config->n_hosts; i++)
		add(hosts, i);
}

void
delivery_hosts_clear(struct delivery_hosts *hosts)
{
	hash_index_clear(&hosts->index);
	free(hosts->name);
	free(hosts->next);
	*hosts = (struct delivery_hosts){ .config = NULL };
}

/* Is text this address, in any spelling? */
static bool
is_address(const char *text, const struct host *address)
{
	struct host parsed;

	if (strcmp(text, address->name) == 0)
		return true;
	return host_parse(text, 0, &parsed, NULL) == 0 &&
	       parsed.kind == address->kind &&
	       strcmp(parsed.name, address->name) == 0;
}

/*
 * Which name a server goes by. smtp(8) logs a literal as H[H], and whatever it
 * looked up as H[A]. A stranger's domain may have an MX that points to an
 * address of ours: its name is not ours, and it can harm nobody but itself.
 */
static uint32_t
name_of(
    const struct delivery_hosts *hosts, const struct delivery_server *server)
{
	uint32_t name = find(hosts, server->name, 0);
	struct host parsed;

	if (name == DELIVERY_HOSTS_NONE && strchr(server->name, ':') != NULL &&
	    host_parse(server->name, 0, &parsed, NULL) == 0)
		name = find(hosts, parsed.name, 0);
	if (name == DELIVERY_HOSTS_NONE || server->address[0] == '\0')
		return DELIVERY_HOSTS_NONE;
	if (hosts->config->hosts[name].kind != HOST_NAME &&
	    !is_address(server->address, &hosts->config->hosts[name]))
		return DELIVERY_HOSTS_NONE;
	return name;
}

static const struct config_set *
set_of(const struct config *config, uint32_t route)
{
	if (route == ROUTE_NONE || config->routes[route].set == CONFIG_NO_SET)
		return NULL;
	return &config->sets[config->routes[route].set];
}

static uint32_t
ports_of_route(const struct delivery_hosts *hosts, uint32_t name,
    uint32_t route, uint32_t list_r[CONFIG_SET_HOSTS_MAX])
{
	const struct config_set *set = set_of(hosts->config, route);
	uint32_t n = 0, host;

	if (set == NULL)
		return 0;
	for (uint32_t i = 0; i < set->n_members; i++) {
		host = hosts->config->members[set->first_member + i].host;
		if (hosts->name[host] == name)
			list_r[n++] = host;
	}
	return n;
}

uint32_t
delivery_hosts_ports(const struct delivery_hosts *hosts, uint32_t name,
    uint32_t route, uint32_t list_r[CONFIG_SET_HOSTS_MAX])
{
	uint32_t n = ports_of_route(hosts, name, route, list_r);

	if (n > 0)
		return n;
	for (uint32_t host = name; host != DELIVERY_HOSTS_NONE;
	     host = hosts->next[host]) {
		if (n == CONFIG_SET_HOSTS_MAX)
			return 0;
		list_r[n++] = host;
	}
	return n;
}

/*
 * The one port of a name. A session of before shows another port where
 * smtp(8), before 3.8, takes it from the list at hand; but it may as well be
 * a server of somebody else, a content filter at the same address. The
 * recipient's route decides.
 */
static uint32_t
only_port(const struct delivery_hosts *hosts,
    const struct delivery_server *server, uint32_t name, uint32_t route)
{
	uint32_t list[CONFIG_SET_HOSTS_MAX];

	if (server->port == 0 ||
	    server->port == hosts->config->hosts[name].port ||
	    ports_of_route(hosts, name, route, list) > 0)
		return name;
	return DELIVERY_HOSTS_NONE;
}

struct delivery_place
delivery_hosts_place(const struct delivery_hosts *hosts,
    const struct delivery_server *server, uint32_t route)
{
	struct delivery_place place = { name_of(hosts, server),
		DELIVERY_HOSTS_NONE };
	bool sure = server->port != 0 && !server->reused;

	if (place.name == DELIVERY_HOSTS_NONE)
		return place;
	if (sure)
		place.host = find(
		    hosts, hosts->config->hosts[place.name].name, server->port);
	else if (hosts->next[place.name] == DELIVERY_HOSTS_NONE)
		place.host = only_port(hosts, server, place.name, route);
	else
		return place;
	if (place.host == DELIVERY_HOSTS_NONE)
		place.name = DELIVERY_HOSTS_NONE;
	return place;
}
