/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_refused.h"

#include <stdlib.h>
#include <string.h>

#include "policy/flush_plan.h"

struct refused_name {
	struct hash_link link;
	char text[];
};

static struct refused_name *
name_of(struct hash_link *link)
{
	return OWNER_OF(link, refused_name, link);
}

static uint64_t
hash_of(const struct flush_refused *refused, const char *domain)
{
	return hash_bytes(refused->key, domain, strlen(domain));
}

void
flush_refused_init(struct flush_refused *refused, struct hash_key key)
{
	refused->key = key;
}

bool
flush_refused_has(const struct flush_refused *refused, const char *domain)
{
	struct hash_link *link;
	uint64_t hash;

	if (refused->n == 0)
		return false;
	hash = hash_of(refused, domain);
	for (link = hash_chains_first(&refused->names, hash); link != NULL;
	     link = link->next) {
		if (link->hash == hash &&
		    strcmp(name_of(link)->text, domain) == 0)
			return true;
	}
	return false;
}

void
flush_refused_add(struct flush_refused *refused, const char *domain)
{
	size_t size = strlen(domain) + 1;
	struct refused_name *name;

	if (refused->n >= FLUSH_DOMAINS_MAX ||
	    flush_refused_has(refused, domain))
		return;
	name = malloc(sizeof(*name) + size);
	if (name == NULL)
		return;
	memcpy(name->text, domain, size);
	hash_chains_put(&refused->names, &name->link, hash_of(refused, domain));
	refused->n++;
}

static void
drop_name(struct hash_link *link)
{
	free(name_of(link));
}

void
flush_refused_clear(struct flush_refused *refused)
{
	if (refused->n == 0)
		return;
	hash_chains_clear(&refused->names, drop_name);
	refused->n = 0;
}
