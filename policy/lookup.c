/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; lookup_bind with add: the probe thread. */
#include "policy/lookup.h"

#include "policy/hash.h"
#include "policy/route.h"
#include "policy/ticket.h"
#include "policy/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The questions for a message follow its draw within this time, unless the
   machine is very busy. */
#define JUST_DRAWN_MS 20

/*
 * Adds a host that the table does not know. A name cannot be listed before it
 * has resolved once: an unresolvable last item makes Postfix bounce
 * (src/smtp/smtp_connect.c keeps the reason of the last one only).
 */
static uint32_t
add_host(struct health_table *table, const struct host *host)
{
	struct health_detail detail;
	uint32_t slot = health_table_add_host(table, host);

	if (slot == HEALTH_TABLE_NONE || host->kind != HOST_NAME)
		return slot;
	health_table_read(table, slot, &detail);
	detail.usable = false;
	health_table_write(table, slot, &detail);
	return slot;
}

static int
bind_hosts(struct lookup_base *base, bool add, struct err *err)
{
	const struct config *config = base->config;

	for (uint32_t i = 0; i < config->n_hosts; i++) {
		const struct host *host = &config->hosts[i];
		uint32_t *slot = &base->host_slot[i];

		*slot = HEALTH_TABLE_NONE;
		if (base->table == NULL)
			continue;
		*slot = health_table_find_host(base->table, host);
		if (*slot != HEALTH_TABLE_NONE || !add)
			continue;
		*slot = add_host(base->table, host);
		if (*slot == HEALTH_TABLE_NONE) {
			err_set(err,
			    "the health table has no room for %u hosts",
			    config->n_hosts);
			return -1;
		}
	}
	return 0;
}

static int
bind_sets(struct lookup_base *base, bool add, struct err *err)
{
	const struct config *config = base->config;

	for (uint32_t i = 0; i < config->n_sets; i++) {
		uint64_t key = config->sets[i].key;
		uint32_t *slot = &base->set_slot[i];

		*slot = HEALTH_TABLE_NONE;
		if (base->table == NULL)
			continue;
		*slot = health_table_find_set(base->table, key);
		if (*slot != HEALTH_TABLE_NONE || !add)
			continue;
		*slot = health_table_add_set(base->table, key);
		if (*slot == HEALTH_TABLE_NONE) {
			err_set(err,
			    "the health table has no room for %u host sets",
			    config->n_sets);
			return -1;
		}
	}
	return 0;
}

int
lookup_bind(const struct config *config, struct health_table *table, bool add,
    struct lookup_base **base_r, struct err *err)
{
	struct lookup_base *base = xcalloc(1, sizeof(*base));

	base->config = config;
	base->table = table;
	base->host_slot = xcalloc(config->n_hosts, sizeof(uint32_t));
	base->set_slot = xcalloc(config->n_sets, sizeof(uint32_t));
	base->unseen = xcalloc(1, sizeof(*base->unseen));
	if (bind_hosts(base, add, err) == -1 ||
	    bind_sets(base, add, err) == -1) {
		lookup_base_free(&base);
		*base_r = NULL;
		return -1;
	}
	*base_r = base;
	return 0;
}

void
lookup_base_free(struct lookup_base **base)
{
	if (*base == NULL)
		return;
	free((*base)->host_slot);
	free((*base)->set_slot);
	free((*base)->unseen);
	free(*base);
	*base = NULL;
}

uint32_t
lookup_route(const struct lookup_base *base, const struct address *address)
{
	return route_find(
	    base->config->index, address->domain, address->domain_len);
}

static const struct config_set *
set_of(const struct lookup_base *base, uint32_t route)
{
	uint32_t set;

	assert(route < base->config->n_routes);
	set = base->config->routes[route].set;
	return set == CONFIG_NO_SET ? NULL : &base->config->sets[set];
}

/* A literal of a family that the MTA has switched off. */
static bool
is_wrong_family(const struct config *config, uint32_t host)
{
	switch (config->address_family) {
	case CONFIG_ANY:
		return false;
	case CONFIG_IPV4:
		return config->hosts[host].kind == HOST_IPV6;
	case CONFIG_IPV6:
		return config->hosts[host].kind == HOST_IPV4;
	}
	return false;
}

/* What is known of the set's members now. Without a slot nothing is known
   against a host. */
static void
gather(const struct lookup_base *base, const struct config_set *set,
    uint64_t now_ms, struct order_input *input_r)
{
	const struct config_member *member =
	    &base->config->members[set->first_member];

	for (uint32_t i = 0; i < set->n_members; i++) {
		uint32_t host = member[i].host;
		uint32_t slot = base->host_slot[host];

		if (slot == HEALTH_TABLE_NONE)
			input_r[i].view =
			    (struct health_view){ .state = HEALTH_UP,
				    .usable = true };
		else
			health_table_view(
			    base->table, slot, now_ms, &input_r[i].view);
		input_r[i].wrong_family = is_wrong_family(base->config, host);
	}
}

/* Turns what the order found and the route's wish into the answer's kind. */
static void
conclude(enum config_when_all_deferred wish, struct lookup_answer *answer)
{
	switch (answer->order.kind) {
	case ORDER_UP:
		answer->kind = LOOKUP_HOSTS;
		return;
	case ORDER_DEFERRED:
		answer->kind = wish == CONFIG_HOLD ? LOOKUP_HOLD : LOOKUP_HOSTS;
		answer->tempfail = wish == CONFIG_TEMPFAIL;
		return;
	case ORDER_NONE:
		answer->kind = LOOKUP_HOLD;
		return;
	}
}

static enum lookup_kind
answer_without_hosts(
    enum lookup_kind kind, uint32_t route, struct lookup_answer *answer)
{
	answer->kind = kind;
	answer->route = route;
	answer->ticket = 0;
	answer->ticket_from = TICKET_HASH;
	answer->tempfail = false;
	answer->order.kind = ORDER_NONE;
	answer->order.n = 0;
	answer->order.spelling = 0;
	return kind;
}

enum lookup_kind
lookup_with_ticket(const struct lookup_base *base, uint32_t route,
    uint32_t ticket, uint64_t now_ms, struct lookup_answer *answer_r)
{
	const struct config_set *set = set_of(base, route);
	struct order_input input[CONFIG_SET_HOSTS_MAX];

	if (set == NULL)
		return answer_without_hosts(LOOKUP_DNS, route, answer_r);
	answer_r->route = route;
	answer_r->ticket = ticket;
	answer_r->ticket_from = TICKET_FOUND;
	answer_r->tempfail = false;
	gather(base, set, now_ms, input);
	order_compute(&base->config->members[set->first_member], input,
	    set->n_members, ticket, &answer_r->order);
	conclude(base->config->routes[route].when_all_deferred, answer_r);
	return answer_r->kind;
}

/* One recipient goes one way, also at the retry. */
static uint32_t
hash_of(const struct address *address)
{
	char text[ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX];
	size_t len = address->local_len;

	memcpy(text, address->local, len);
	text[len++] = '@';
	memcpy(text + len, address->domain, address->domain_len);
	len += address->domain_len;
	return (uint32_t)hash_bytes(hash_key_fixed, text, len);
}

/* The recipient's ticket, or what stands in for it. */
static enum lookup_ticket
find_ticket(const struct lookup_base *base, uint32_t set,
    const struct address *address, uint64_t now_ms, uint32_t *ticket_r)
{
	uint32_t slot = base->set_slot[set];

	if (slot == HEALTH_TABLE_NONE) {
		*ticket_r = hash_of(address);
		return TICKET_HASH;
	}
	if (ticket_find(
		base->table, base->config->sets[set].key, address, ticket_r))
		return TICKET_FOUND;
	unseen_asked(base->unseen, set, health_table_cursor(base->table, slot),
	    address, now_ms);
	if (health_table_last_drawn(
		base->table, slot, now_ms, LOOKUP_STAND_IN_MS, ticket_r))
		return TICKET_LAST;
	*ticket_r = hash_of(address);
	return TICKET_HASH;
}

enum lookup_kind
lookup_address(const struct lookup_base *base, const struct address *address,
    uint64_t now_ms, struct lookup_answer *answer_r)
{
	uint32_t route = lookup_route(base, address);
	enum lookup_ticket from;
	uint32_t set, ticket;

	if (route == ROUTE_NONE)
		return answer_without_hosts(LOOKUP_NOT_OURS, route, answer_r);
	set = base->config->routes[route].set;
	if (set == CONFIG_NO_SET)
		return answer_without_hosts(LOOKUP_DNS, route, answer_r);
	from = find_ticket(base, set, address, now_ms, &ticket);
	(void)lookup_with_ticket(base, route, ticket, now_ms, answer_r);
	answer_r->ticket_from = from;
	return answer_r->kind;
}

enum lookup_kind
lookup_recipient(const struct lookup_base *base, const char *text, size_t len,
    uint64_t now_ms, struct lookup_answer *answer_r)
{
	struct address address;

	if (!address_parse(text, len, &address))
		return answer_without_hosts(
		    LOOKUP_NOT_OURS, ROUTE_NONE, answer_r);
	return lookup_address(base, &address, now_ms, answer_r);
}

bool
lookup_draw(const struct lookup_base *base, uint32_t route, uint64_t now_ms,
    uint32_t *ticket_r)
{
	const struct config_set *set = set_of(base, route);
	struct lookup_answer answer;
	uint32_t slot, first;

	if (set == NULL || base->table == NULL)
		return false;
	slot = base->set_slot[base->config->routes[route].set];
	if (slot == HEALTH_TABLE_NONE)
		return false;
	*ticket_r = health_table_draw(base->table, slot, now_ms);
	if (lookup_with_ticket(base, route, *ticket_r, now_ms, &answer) !=
	    LOOKUP_HOSTS)
		return true;
	first =
	    base->config->members[set->first_member + answer.order.member[0]]
		.host;
	if (base->host_slot[first] != HEALTH_TABLE_NONE)
		health_table_count(
		    base->table, base->host_slot[first], COUNTER_PICKED);
	return true;
}

void
lookup_leave(const struct lookup_base *base, uint32_t route,
    const struct address *recipient, uint32_t ticket, uint64_t now_ms)
{
	const struct config_set *set = set_of(base, route);

	if (set != NULL && base->table != NULL)
		ticket_leave(base->table, set->key, recipient, ticket, now_ms);
}

const struct host *
lookup_host(const struct lookup_base *base, const struct lookup_answer *answer,
    uint32_t k)
{
	const struct config_set *set = set_of(base, answer->route);
	uint32_t member;

	assert(set != NULL && k < answer->order.n);
	member = set->first_member + answer->order.member[k];
	return &base->config->hosts[base->config->members[member].host];
}

void
lookup_seen(const struct lookup_base *base, uint32_t route,
    const struct address *recipient)
{
	uint32_t set = base->config->routes[route].set;

	if (set != CONFIG_NO_SET)
		unseen_explained(base->unseen, set, recipient);
}

bool
lookup_resolving(
    const struct lookup_base *base, uint32_t route, uint64_t now_ms)
{
	uint32_t set = base->config->routes[route].set, slot, last;

	if (set == CONFIG_NO_SET || base->set_slot[set] == HEALTH_TABLE_NONE)
		return false;
	slot = base->set_slot[set];
	return unseen_resolving(base->unseen, set,
	    health_table_cursor(base->table, slot),
	    health_table_last_drawn(
		base->table, slot, now_ms, JUST_DRAWN_MS, &last),
	    now_ms);
}
