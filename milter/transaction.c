/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: libmilter's, one at a time for each session. */
#include "milter/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/route.h"

#define LINE_MAX_TEXT 1024

/* A recipient at end-of-message, sorted so that those of one host set, and
   among them those of one route, stand together. */
struct share {
	uint32_t set;
	uint32_t route;
	const char *text;
};

static bool
remember(struct transaction *transaction, const char *text)
{
	size_t room = transaction->room > 0 ? 2 * transaction->room : 8;
	char **list, *copy;

	if (transaction->n >= TRANSACTION_RECIPIENTS_MAX)
		return false;
	if (transaction->n == transaction->room) {
		list =
		    reallocarray(transaction->recipients, room, sizeof(*list));
		if (list == NULL)
			return false;
		transaction->recipients = list;
		transaction->room = room;
	}
	copy = strdup(text);
	if (copy == NULL)
		return false;
	transaction->recipients[transaction->n++] = copy;
	return true;
}

static bool
wants_tempfail(const struct lookup_base *base, uint32_t route, uint64_t now_ms)
{
	struct lookup_answer answer;

	if (base->config->routes[route].when_all_deferred != CONFIG_TEMPFAIL)
		return false;
	/* Whether any host is up does not depend on the ticket. Without a
	   message to try it nothing would ever be known of a host in trial. */
	(void)lookup_with_ticket(base, route, 0, now_ms, &answer);
	return answer.tempfail && !answer.trial_open;
}

enum transaction_rcpt
transaction_rcpt(struct transaction *transaction,
    const struct lookup_base *base, const char *text, uint64_t now_ms)
{
	struct address address;
	uint32_t route;

	if (!address_parse(text, strlen(text), &address))
		return TRANSACTION_TAKEN;
	route = lookup_route(base, &address);
	if (route == ROUTE_NONE)
		return TRANSACTION_TAKEN;
	lookup_seen(base, route, &address);
	if (wants_tempfail(base, route, now_ms))
		return TRANSACTION_TEMPFAIL;
	(void)remember(transaction, text);
	return TRANSACTION_TAKEN;
}

bool
transaction_should_wait(const struct transaction *transaction,
    const struct lookup_base *base, uint64_t first_ms, uint64_t now_ms)
{
	struct address address;
	uint32_t route;

	/* A list of many is no reason to look long: the first few tell. */
	for (size_t i = 0; i < transaction->n && i < 8; i++) {
		const char *text = transaction->recipients[i];

		if (!address_parse(text, strlen(text), &address))
			continue;
		route = lookup_route(base, &address);
		if (route != ROUTE_NONE &&
		    lookup_resolving(base, route, first_ms, now_ms))
			return true;
	}
	return false;
}

static int
by_set_and_route(const void *left, const void *right)
{
	const struct share *a = left, *b = right;

	if (a->set != b->set)
		return a->set < b->set ? -1 : 1;
	if (a->route != b->route)
		return a->route < b->route ? -1 : 1;
	return 0;
}

/* Routes are asked anew: a reload may lie between RCPT and now. */
static size_t
collect(const struct transaction *transaction, const struct lookup_base *base,
    struct share *shares)
{
	struct address address;
	size_t n = 0;
	uint32_t route;

	for (size_t i = 0; i < transaction->n; i++) {
		const char *text = transaction->recipients[i];

		if (!address_parse(text, strlen(text), &address))
			continue;
		route = lookup_route(base, &address);
		if (route == ROUTE_NONE)
			continue;
		shares[n].set = base->config->routes[route].set;
		shares[n].route = route;
		shares[n].text = text;
		n++;
	}
	qsort(shares, n, sizeof(*shares), by_set_and_route);
	return n;
}

static void
append(char *line, const char *text)
{
	size_t used = strlen(line);

	(void)snprintf(line + used, LINE_MAX_TEXT - used, "%s", text);
}

static void
append_hosts(
    char *line, const struct lookup_base *base, const struct lookup_answer *a)
{
	/* ", then" behind a trial: the trial is of the first one alone. */
	bool comma = order_offers(&a->order);
	char text[HOST_TEXT_MAX];

	for (uint32_t k = 0; k < a->order.n; k++) {
		/* Room for the count that ends the line. */
		if (strlen(line) + HOST_TEXT_MAX + 64 > LINE_MAX_TEXT) {
			append(line, " then ...");
			return;
		}
		(void)host_format(lookup_host(base, a, k), text);
		append(line, k == 1 && comma ? "," : "");
		append(line, k > 0 ? " then " : "");
		append(line, text);
	}
}

static const char *
occasion(const struct lookup_answer *answer)
{
	if (answer->order.kind == ORDER_DEFERRED)
		return "all hosts deferred, trying ";
	return order_offers(&answer->order) ? "trial of " : "";
}

static void
describe(char *line, const struct lookup_base *base, const struct share *share,
    uint32_t ticket, uint64_t now_ms)
{
	const char *domain = base->config->routes[share->route].domain;
	struct lookup_answer answer;

	switch (
	    lookup_with_ticket(base, share->route, ticket, now_ms, &answer)) {
	case LOOKUP_HOSTS:
		(void)snprintf(line, LINE_MAX_TEXT, "%s: ticket %u: %s", domain,
		    (unsigned)ticket, occasion(&answer));
		append_hosts(line, base, &answer);
		break;
	case LOOKUP_HOLD:
		(void)snprintf(line, LINE_MAX_TEXT,
		    "%s: ticket %u: held, no host may be tried now", domain,
		    (unsigned)ticket);
		break;
	case LOOKUP_DNS:
		(void)snprintf(
		    line, LINE_MAX_TEXT, "%s: next hop from DNS", domain);
		break;
	case LOOKUP_NOT_OURS:
		(void)snprintf(line, LINE_MAX_TEXT, "%s: no answer", domain);
		break;
	}
}

static void
leave(const struct lookup_base *base, const struct share *share,
    uint32_t ticket, uint64_t now_ms)
{
	struct address address;

	if (address_parse(share->text, strlen(share->text), &address))
		lookup_leave(base, share->route, &address, ticket, now_ms);
}

static void
tell(const struct lookup_base *base, const struct share *share, size_t count,
    uint32_t ticket, uint64_t now_ms, transaction_line_fn *line, void *arg)
{
	char text[LINE_MAX_TEXT], tail[48];

	describe(text, base, share, ticket, now_ms);
	(void)snprintf(tail, sizeof(tail), " (%zu recipient%s)", count,
	    count == 1 ? "" : "s");
	append(text, tail);
	line(arg, text);
}

static void
tell_rest(size_t routes, transaction_line_fn *line, void *arg)
{
	char text[64];

	if (routes <= TRANSACTION_LINES_MAX)
		return;
	(void)snprintf(text, sizeof(text), "and %zu more routes",
	    routes - TRANSACTION_LINES_MAX);
	line(arg, text);
}

/* shares are sorted: each run of one set gets one ticket, each run of one
   route one line. */
static void
distribute(const struct lookup_base *base, const struct share *shares, size_t n,
    uint64_t now_ms, transaction_line_fn *line, void *arg)
{
	size_t first = 0, routes = 0;
	uint32_t ticket = 0;
	bool drawn = false;

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || shares[i].set != shares[i - 1].set)
			drawn =
			    lookup_draw(base, shares[i].route, now_ms, &ticket);
		if (drawn)
			leave(base, &shares[i], ticket, now_ms);
		if (i + 1 < n && shares[i + 1].route == shares[i].route)
			continue;
		if (routes++ < TRANSACTION_LINES_MAX)
			tell(base, &shares[first], i + 1 - first, ticket,
			    now_ms, line, arg);
		first = i + 1;
	}
	tell_rest(routes, line, arg);
}

void
transaction_decide(struct transaction *transaction,
    const struct lookup_base *base, uint64_t now_ms, transaction_line_fn *line,
    void *arg)
{
	struct share *shares;

	if (transaction->n == 0)
		return;
	shares = calloc(transaction->n, sizeof(*shares));
	if (shares == NULL)
		return;
	distribute(base, shares, collect(transaction, base, shares), now_ms,
	    line, arg);
	free(shares);
}

void
transaction_reset(struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->n; i++)
		free(transaction->recipients[i]);
	free(transaction->recipients);
	memset(transaction, 0, sizeof(*transaction));
}
