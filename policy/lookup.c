/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any. */
#include "policy/lookup.h"

#include "policy/hash.h"
#include "policy/route.h"
#include "policy/ticket.h"

#include <assert.h>
#include <string.h>

/* The questions for a message follow its draw within this time, unless the
   machine is very busy. */
#define JUST_DRAWN_MS 20

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

/* A set for one ticket, as it is at this moment. */
struct sight {
	const struct config_set *set;
	const struct config_member *member;
	uint32_t ticket;
	bool trial;   /* some member is in trial */
	bool offered; /* to this ticket, which claims no second one */
	struct order_input input[CONFIG_SET_HOSTS_MAX];
};

static void
look_at_trial(const struct lookup_base *base, uint32_t slot, uint64_t now_ms,
    struct sight *sight, struct order_input *input)
{
	enum health_claim claim =
	    health_table_claim_state(base->table, slot, now_ms);

	sight->trial = true;
	input->offered = health_table_claimed_by(
	    base->table, slot, sight->set->key, sight->ticket, now_ms);
	input->taken = claim == CLAIM_OPEN || claim == CLAIM_OVER;
	sight->offered = sight->offered || input->offered;
}

/* What is known of the set's members now. Without a slot nothing is known
   against a host. */
static void
gather(const struct lookup_base *base, const struct config_set *set,
    uint32_t ticket, uint64_t now_ms, struct sight *sight_r)
{
	sight_r->set = set;
	sight_r->member = &base->config->members[set->first_member];
	sight_r->ticket = ticket;
	sight_r->trial = sight_r->offered = false;
	for (uint32_t i = 0; i < set->n_members; i++) {
		uint32_t host = sight_r->member[i].host;
		uint32_t slot = base->host_slot[host];
		struct order_input *input = &sight_r->input[i];

		input->wrong_family = is_wrong_family(base->config, host);
		input->offered = input->taken = false;
		if (slot == HEALTH_TABLE_NONE) {
			input->view = (struct health_view){ .state = HEALTH_UP,
				.usable = true };
			continue;
		}
		health_table_view(base->table, slot, now_ms, &input->view);
		if (input->view.state == HEALTH_TRIAL)
			look_at_trial(base, slot, now_ms, sight_r, input);
	}
}

static uint32_t
claimable(const struct sight *sight)
{
	return sight->trial ? order_claimable(sight->member, sight->input,
				  sight->set->n_members)
			    : sight->set->n_members;
}

typedef bool claim_fn(struct health_table *table, uint32_t slot,
    uint64_t set_key, uint32_t ticket, uint64_t now_ms, uint64_t until_ms);

/* The drawn ticket claims a host in trial, if there is one to be had. */
static void
claim_drawn(const struct lookup_base *base, claim_fn *claim, uint64_t now_ms,
    struct sight *sight)
{
	uint32_t i;

	if (!sight->trial || sight->offered)
		return;
	while ((i = claimable(sight)) < sight->set->n_members) {
		if (claim(base->table, base->host_slot[sight->member[i].host],
			sight->set->key, sight->ticket, now_ms,
			now_ms + LOOKUP_CLAIM_MS)) {
			sight->input[i].offered = true;
			return;
		}
		sight->input[i].taken = true; /* somebody was faster */
	}
}

/* The question does, when no message with a ticket of its own has come while
   the host's patience lasted. */
static void
claim_asking(
    const struct lookup_base *base, uint64_t now_ms, struct sight *sight)
{
	uint32_t i;

	if (!sight->trial || sight->offered)
		return;
	i = claimable(sight);
	if (i == sight->set->n_members || sight->input[i].view.due_ms > now_ms)
		return;
	sight->input[i].offered = health_table_claim_weakly(base->table,
	    base->host_slot[sight->member[i].host], sight->set->key,
	    sight->ticket, now_ms, now_ms + LOOKUP_CLAIM_MS);
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
	answer->trial_open = false;
	answer->order.kind = ORDER_NONE;
	answer->order.n = 0;
	answer->order.spelling = 0;
	return kind;
}

static void
answer_by_order(const struct lookup_base *base, uint32_t route,
    const struct sight *sight, struct lookup_answer *answer)
{
	answer->route = route;
	answer->ticket = sight->ticket;
	answer->ticket_from = TICKET_FOUND;
	answer->tempfail = false;
	answer->trial_open = claimable(sight) < sight->set->n_members;
	order_compute(sight->member, sight->input, sight->set->n_members,
	    sight->ticket, &answer->order);
	conclude(base->config->routes[route].when_all_deferred, answer);
}

enum lookup_kind
lookup_with_ticket(const struct lookup_base *base, uint32_t route,
    uint32_t ticket, uint64_t now_ms, struct lookup_answer *answer_r)
{
	const struct config_set *set = set_of(base, route);
	struct sight sight;

	if (set == NULL)
		return answer_without_hosts(LOOKUP_DNS, route, answer_r);
	gather(base, set, ticket, now_ms, &sight);
	answer_by_order(base, route, &sight, answer_r);
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

/* The slot of the host that the answer begins with. */
static uint32_t
first_slot(const struct lookup_base *base, const struct config_set *set,
    const struct lookup_answer *answer)
{
	uint32_t member = set->first_member + answer->order.member[0];

	return base->host_slot[base->config->members[member].host];
}

/* Answers a question of the MTA's, which may begin or use a trial. */
static void
answer_question(const struct lookup_base *base, uint32_t route,
    enum lookup_ticket from, uint64_t now_ms, struct sight *sight,
    struct lookup_answer *answer)
{
	/* The ticket drawn last is another message's, which has had its chance
	   to claim; the next question of this one may meet a newer ticket. */
	if (base->claims && from != TICKET_LAST)
		claim_asking(base, now_ms, sight);
	answer_by_order(base, route, sight, answer);
	answer->ticket_from = from;
	if (base->claims && order_offers(&answer->order))
		health_table_claim_used(base->table,
		    first_slot(base, sight->set, answer), sight->set->key,
		    sight->ticket, now_ms);
}

enum lookup_kind
lookup_address(const struct lookup_base *base, const struct address *address,
    uint64_t now_ms, struct lookup_answer *answer_r)
{
	uint32_t route = lookup_route(base, address), ticket;
	const struct config_set *set;
	enum lookup_ticket from;
	struct sight sight;

	if (route == ROUTE_NONE)
		return answer_without_hosts(LOOKUP_NOT_OURS, route, answer_r);
	set = set_of(base, route);
	if (set == NULL)
		return answer_without_hosts(LOOKUP_DNS, route, answer_r);
	from = find_ticket(
	    base, base->config->routes[route].set, address, now_ms, &ticket);
	gather(base, set, ticket, now_ms, &sight);
	answer_question(base, route, from, now_ms, &sight, answer_r);
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

static bool
draw(const struct lookup_base *base, uint32_t route, claim_fn *claim,
    uint64_t now_ms, struct lookup_answer *answer_r)
{
	const struct config_set *set = set_of(base, route);
	struct sight sight;
	uint32_t slot;

	if (set == NULL || base->table == NULL)
		return false;
	slot = base->set_slot[base->config->routes[route].set];
	if (slot == HEALTH_TABLE_NONE)
		return false;
	gather(base, set, health_table_draw(base->table, slot, now_ms), now_ms,
	    &sight);
	claim_drawn(base, claim, now_ms, &sight);
	answer_by_order(base, route, &sight, answer_r);
	if (answer_r->kind != LOOKUP_HOSTS)
		return true;
	slot = first_slot(base, set, answer_r);
	if (slot != HEALTH_TABLE_NONE)
		health_table_count(base->table, slot, COUNTER_PICKED);
	return true;
}

bool
lookup_draw(const struct lookup_base *base, uint32_t route, uint64_t now_ms,
    uint32_t *ticket_r)
{
	struct lookup_answer answer;

	if (!draw(base, route, health_table_claim, now_ms, &answer))
		return false;
	*ticket_r = answer.ticket;
	return true;
}

bool
lookup_draw_trial(const struct lookup_base *base, uint32_t route,
    uint64_t now_ms, uint32_t *ticket_r)
{
	struct lookup_answer answer;

	(void)lookup_with_ticket(base, route, 0, now_ms, &answer);
	if (!answer.trial_open ||
	    !draw(base, route, health_table_claim_called, now_ms, &answer))
		return false;
	*ticket_r = answer.ticket;
	return order_offers(&answer.order);
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
lookup_resolving(const struct lookup_base *base, uint32_t route,
    uint64_t first_ms, uint64_t now_ms)
{
	uint32_t set = base->config->routes[route].set, slot, last;

	if (set == CONFIG_NO_SET || base->set_slot[set] == HEALTH_TABLE_NONE ||
	    base->config->sets[set].n_members == 1)
		return false;
	slot = base->set_slot[set];
	return unseen_resolving(base->unseen, set,
	    health_table_cursor(base->table, slot),
	    health_table_last_drawn(
		base->table, slot, now_ms, JUST_DRAWN_MS, &last),
	    first_ms, now_ms);
}
