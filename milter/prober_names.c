/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/log.h"
#include "milter/prober_parts.h"

void
prober_names_literal(const struct host *host, struct resolver_answer *answer_r)
{
	memset(answer_r, 0, sizeof(*answer_r));
	answer_r->kind = RESOLVER_NONE;
	answer_r->why = "not an address";
	if (endpoint_parse(host->name, host->port, &answer_r->list[0]) == 0) {
		answer_r->kind = RESOLVER_FOUND;
		answer_r->n = 1;
	}
}

/* Only a name that resolves may be listed. */
static void
set_usable(struct prober_target *target, bool usable)
{
	struct health_table *table = target->prober->snapshot->table;
	struct health_detail detail;

	health_table_read(table, target->slot, &detail);
	if (detail.usable == usable)
		return;
	detail.usable = usable;
	health_table_write(table, target->slot, &detail);
	prober_sets_look(target);
}

static void
found(struct prober_target *target, const struct resolver_answer *answer)
{
	char host[HOST_TEXT_MAX], address[ENDPOINT_TEXT_MAX];

	(void)host_format(prober_host(target), host);
	if (target->addresses == NULL || target->said_unresolved)
		log_info("host %s resolves: %u address%s, the first is %s",
		    host, answer->n, answer->n == 1 ? "" : "es",
		    endpoint_text(&answer->list[0], address));
	target->said_unresolved = false;
	if (target->addresses == NULL)
		target->addresses = malloc(sizeof(*target->addresses));
	if (target->addresses == NULL)
		return;
	*target->addresses = *answer;
	set_usable(target, true);
}

static void
not_found(struct prober_target *target, const struct resolver_answer *answer)
{
	char host[HOST_TEXT_MAX];

	if (!target->said_unresolved) {
		(void)host_format(prober_host(target), host);
		log_warning("host %s does not resolve: %s; left out until it "
			    "does",
		    host, answer->why);
	}
	target->said_unresolved = true;
	free(target->addresses);
	target->addresses = NULL;
	set_usable(target, false);
}

/* What was known stays, also across a restart: the table remembers whether the
   name was usable. */
static void
could_not_ask(
    struct prober_target *target, const struct resolver_answer *answer)
{
	char host[HOST_TEXT_MAX];

	(void)host_format(prober_host(target), host);
	if (target->addresses != NULL || target->said_unresolved) {
		log_debug(
		    "host %s does not resolve now: %s", host, answer->why);
		return;
	}
	log_warning("host %s does not resolve now: %s; asked again later, "
		    "meanwhile all stays as it was",
	    host, answer->why);
	target->said_unresolved = true;
}

static void
on_resolved(void *arg, const struct resolver_answer *answer)
{
	struct prober_target *target = arg;

	target->query = NULL;
	switch (answer->kind) {
	case RESOLVER_FOUND:
		found(target, answer);
		break;
	case RESOLVER_NONE:
		not_found(target, answer);
		break;
	case RESOLVER_TRY_AGAIN:
		could_not_ask(target, answer);
		break;
	}
	if (target->addresses != NULL)
		prober_schedule_now(target, target->show);
	else
		prober_schedule_next(target);
}

void
prober_names_ask(struct prober_target *target)
{
	struct prober *prober = target->prober;
	const struct host *host = prober_host(target);

	if (target->query != NULL)
		return;
	target->query = resolver_ask(prober->resolver, host->name, host->port,
	    prober_config(prober)->address_family, on_resolved, target);
	if (target->query == NULL)
		prober_schedule_next(target);
}
