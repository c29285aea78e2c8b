/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; lookup_bind with add: the probe thread. */
#include "policy/lookup.h"

#include "policy/xalloc.h"

#include <stdlib.h>

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
		if (i + NH_FETCH_AHEAD < config->n_sets)
			health_table_expect_set(
			    base->table, config->sets[i + NH_FETCH_AHEAD].key);
		*slot = add ? health_table_add_set(base->table, key)
			    : health_table_find_set(base->table, key);
		if (*slot == HEALTH_TABLE_NONE && add) {
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
	base->claims = add;
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
