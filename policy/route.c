/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: built on the loading one; searched on any. */
#include "policy/route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/hash.h"
#include "policy/hash_index.h"
#include "policy/xalloc.h"

/* More dots than a domain of 255 bytes can have. */
#define DEPTHS 256

struct domain {
	const char *name;
	uint32_t len;
	uint32_t route;
};

/* Domains and ".parents" by name. */
struct domains {
	struct hash_index by_name;
	struct domain *list;
	size_t n, capacity;
	/* How many dots its parents have: suffixes of other depths need not
	   be looked up, so long hostile domains cost no more than others. */
	bool depths[DEPTHS];
};

struct route_index {
	struct domains routes;
	struct domains excluded; /* owns its names */
	uint32_t all;		 /* the route of "ALL" */
};

/* Flooding is no danger: only configured domains are stored, and a question
   for another one ends at the first empty slot. */
static uint64_t
name_hash(const char *name, size_t len)
{
	return hash_bytes(hash_key_fixed, name, len);
}

static uint32_t
domains_find(const struct domains *domains, const char *name, size_t len)
{
	uint64_t hash = name_hash(name, len);
	struct hash_index_at at;
	const struct domain *found;

	for (uint32_t n = hash_index_first(&domains->by_name, hash, &at);
	     n != HASH_INDEX_NONE;
	     n = hash_index_next(&domains->by_name, hash, &at)) {
		found = &domains->list[n];
		if (found->len == len && memcmp(found->name, name, len) == 0)
			return n;
	}
	return HASH_INDEX_NONE;
}

static size_t
count_dots(const char *name, size_t len)
{
	size_t dots = 0;

	for (size_t i = 0; i < len; i++)
		dots += name[i] == '.';
	return dots;
}

static void
domains_add(struct domains *domains, const char *name, uint32_t route)
{
	size_t len = strlen(name), dots = count_dots(name, len);

	if (domains->n == domains->capacity) {
		domains->capacity = domains->capacity * 2 + 8;
		domains->list = xreallocarray(
		    domains->list, domains->capacity, sizeof(domains->list[0]));
	}
	hash_index_add(
	    &domains->by_name, name_hash(name, len), (uint32_t)domains->n);
	domains->list[domains->n++] =
	    (struct domain){ name, (uint32_t)len, route };
	if (name[0] == '.' && dots < DEPTHS)
		domains->depths[dots] = true;
}

/* The longest ".parent" of name. */
static uint32_t
domains_find_parent(const struct domains *domains, const char *name, size_t len)
{
	size_t dots = count_dots(name, len);
	uint32_t n;

	if (len > 0 && name[0] == '.')
		dots--;
	for (size_t i = 1; i < len; i++) {
		if (name[i] != '.')
			continue;
		if (dots < DEPTHS && domains->depths[dots]) {
			n = domains_find(domains, name + i, len - i);
			if (n != HASH_INDEX_NONE)
				return n;
		}
		dots--;
	}
	return HASH_INDEX_NONE;
}

struct route_index *
route_index_create(size_t n)
{
	struct route_index *index = xcalloc(1, sizeof(*index));

	index->all = ROUTE_NONE;
	index->routes.capacity = n;
	index->routes.list = xcalloc(n, sizeof(index->routes.list[0]));
	hash_index_init(&index->routes.by_name, n);
	hash_index_init(&index->excluded.by_name, 0);
	return index;
}

void
route_index_free(struct route_index **index)
{
	struct route_index *old = *index;

	*index = NULL;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->excluded.n; i++)
		free((void *)(uintptr_t)old->excluded.list[i].name);
	free(old->excluded.list);
	free(old->routes.list);
	hash_index_clear(&old->excluded.by_name);
	hash_index_clear(&old->routes.by_name);
	free(old);
}

uint32_t
route_index_add(struct route_index *index, const char *domain, uint32_t route)
{
	uint32_t n, old;

	if (strcmp(domain, "ALL") == 0) {
		old = index->all;
		if (old == ROUTE_NONE)
			index->all = route;
		return old;
	}
	n = domains_find(&index->routes, domain, strlen(domain));
	if (n != HASH_INDEX_NONE)
		return index->routes.list[n].route;
	domains_add(&index->routes, domain, route);
	return ROUTE_NONE;
}

void
route_index_expect(const struct route_index *index, const char *domain)
{
	hash_index_expect(
	    &index->routes.by_name, name_hash(domain, strlen(domain)));
}

void
route_index_exclude(struct route_index *index, const char *domain)
{
	if (domains_find(&index->excluded, domain, strlen(domain)) ==
	    HASH_INDEX_NONE)
		domains_add(&index->excluded, xstrdup(domain), ROUTE_NONE);
}

static bool
is_excluded(const struct route_index *index, const char *domain, size_t len)
{
	const struct domains *excluded = &index->excluded;

	return excluded->n > 0 &&
	       (domains_find(excluded, domain, len) != HASH_INDEX_NONE ||
		   domains_find_parent(excluded, domain, len) !=
		       HASH_INDEX_NONE);
}

uint32_t
route_find(const struct route_index *index, const char *domain, size_t len)
{
	const struct domains *routes = &index->routes;
	uint32_t n = HASH_INDEX_NONE;

	/* ".example.org" is the name of a route, never a domain. */
	if (len > 0 && domain[0] != '.')
		n = domains_find(routes, domain, len);
	if (n == HASH_INDEX_NONE) {
		if (len == 0 || is_excluded(index, domain, len))
			return ROUTE_NONE;
		n = domains_find_parent(routes, domain, len);
	}
	return n == HASH_INDEX_NONE ? index->all : routes->list[n].route;
}
