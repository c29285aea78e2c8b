/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <stdlib.h>

#include "policy/config_parse.h"
#include "policy/hash.h"
#include "policy/xalloc.h"

_Static_assert(sizeof(struct config_member) == 8,
    "members are compared and hashed as bytes");

/* -- sets ----------------------------------------------------------------- */

/* Stable, so hosts of one priority keep the order of the file. */
static void
sort_members(struct config_member *members, unsigned n)
{
	struct config_member moving;
	unsigned to;

	for (unsigned i = 1; i < n; i++) {
		moving = members[i];
		for (to = i;
		     to > 0 && members[to - 1].priority > moving.priority; to--)
			members[to] = members[to - 1];
		members[to] = moving;
	}
}

static unsigned
common_divisor(unsigned a, unsigned b)
{
	unsigned rest;

	while (b != 0) {
		rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* 2:2 and 1:1 are the same share, and one set. */
static void
reduce_weights(struct config_member *members, unsigned n)
{
	unsigned divisor, end;

	for (unsigned first = 0; first < n; first = end) {
		divisor = members[first].weight;
		for (end = first + 1; end < n && members[end].priority ==
						     members[first].priority;
		     end++)
			divisor = common_divisor(divisor, members[end].weight);
		for (unsigned i = first; i < end; i++)
			members[i].weight =
			    (uint16_t)(members[i].weight / divisor);
	}
}

/*
 * The name of the set's cursor in the table: made of what the hosts are, not of
 * where they stand in this file, so it outlives changes of other routes.
 */
static uint64_t
set_key(const struct config *config, const struct config_member *members,
    unsigned n)
{
	struct hash_key key = hash_key_fixed;
	char text[HOST_TEXT_MAX];
	size_t len;

	for (unsigned i = 0; i < n; i++) {
		len = host_format(&config->hosts[members[i].host], text);
		key.k0 =
		    hash_bytes(key, text, len) ^
		    ((uint64_t)members[i].priority << 16 | members[i].weight);
	}
	return hash_mix(key.k0 ^ n);
}

static uint32_t
add_set(struct config_reader *reader, const struct config_member *members,
    unsigned n, uint64_t hash)
{
	struct config *config = reader->config;
	uint32_t set = config->n_sets;

	if (config->n_members + n > reader->members_capacity) {
		reader->members_capacity = config->n_members * 2 + n + 256;
		config->members = xreallocarray(config->members,
		    reader->members_capacity, sizeof(config->members[0]));
	}
	if (set == reader->sets_capacity) {
		reader->sets_capacity = set * 2 + 64;
		config->sets = xreallocarray(config->sets,
		    reader->sets_capacity, sizeof(config->sets[0]));
	}
	memcpy(config->members + config->n_members, members,
	    n * sizeof(members[0]));
	config->sets[set] = (struct config_set){
		.key = set_key(config, members, n),
		.first_member = config->n_members,
		.n_members = n,
	};
	config->n_members += n;
	config->n_sets++;
	hash_index_add(&reader->set_index, hash, set);
	return set;
}

/* The set of the first n items. */
static uint32_t
set_of_items(struct config_reader *reader, unsigned n)
{
	const struct config *config = reader->config;
	struct config_member members[CONFIG_SET_HOSTS_MAX];
	const struct config_set *set;
	struct hash_index_at at;
	uint64_t hash;

	for (unsigned i = 0; i < n; i++)
		members[i] = (struct config_member){
			.host = config_host_number(reader, &reader->items[i]),
			.priority = reader->items[i].priority,
			.weight = reader->items[i].weight,
		};
	sort_members(members, n);
	reduce_weights(members, n);
	hash = hash_bytes(hash_key_fixed, members, n * sizeof(members[0]));
	for (uint32_t i = hash_index_first(&reader->set_index, hash, &at);
	     i != HASH_INDEX_NONE;
	     i = hash_index_next(&reader->set_index, hash, &at)) {
		set = &config->sets[i];
		if (set->n_members == n &&
		    memcmp(config->members + set->first_member, members,
			n * sizeof(members[0])) == 0)
			return i;
	}
	return add_set(reader, members, n, hash);
}

uint32_t
config_set_of_hosts(struct config_reader *reader, const config_setting_t *hosts,
    const char *where)
{
	unsigned n = config_read_items(reader, hosts, where);

	return n == 0 ? CONFIG_NO_SET : set_of_items(reader, n);
}

/* -- pools ---------------------------------------------------------------- */

static struct config_pool *
find_pool(const struct config_reader *reader, const char *name)
{
	uint64_t hash = hash_bytes(hash_key_fixed, name, strlen(name));
	struct hash_index_at at;

	for (uint32_t n = hash_index_first(&reader->pool_index, hash, &at);
	     n != HASH_INDEX_NONE;
	     n = hash_index_next(&reader->pool_index, hash, &at)) {
		if (strcmp(reader->pools[n].name, name) == 0)
			return &reader->pools[n];
	}
	return NULL;
}

static void
add_pool(struct config_reader *reader, const struct config_raw_pool *raw,
    unsigned line)
{
	const struct config_pool *old = find_pool(reader, raw->name);
	struct config_pool *pool = &reader->pools[reader->n_pools];
	const char *file;
	unsigned line_there;

	if (old != NULL) {
		config_source_find(
		    reader->report->source, old->line, &file, &line_there);
		config_error_at(reader->report, line,
		    "pools.name: \"%s\" is the name of a pool already "
		    "(%s:%u); each name once was expected",
		    CONFIG_SHOWN(raw->name), CONFIG_SHOWN(file), line_there);
		return;
	}
	*pool = (struct config_pool){ .name = raw->name,
		.hosts = raw->hosts,
		.line = line,
		.set = CONFIG_NO_SET };
	pool->good = raw->hosts != NULL &&
		     config_read_items(reader, raw->hosts, "pools.hosts") > 0;
	hash_index_add(&reader->pool_index,
	    hash_bytes(hash_key_fixed, raw->name, strlen(raw->name)),
	    reader->n_pools++);
}

static void
read_pool(struct config_reader *reader, const config_setting_t *setting)
{
	struct config_raw_pool raw = { .name = NULL };
	size_t errors = reader->report->problems->n_errors;

	config_group_read(
	    &reader->pool_group, setting, &raw, reader->report, NULL);
	if (reader->report->problems->n_errors == errors &&
	    (raw.name == NULL || raw.hosts == NULL))
		config_error_at(reader->report, config_line(setting),
		    "pools: a pool without %s; name = \"...\" and hosts = "
		    "( ... ) were expected",
		    raw.name == NULL ? "a name" : "hosts");
	if (raw.name != NULL)
		add_pool(reader, &raw, config_line(setting));
}

void
config_read_pools(struct config_reader *reader)
{
	const config_setting_t *list = config_written(reader, "pools");
	char shown[CONFIG_SHOWN_MAX];
	unsigned n;

	if (list == NULL)
		return;
	if (!config_setting_is_list(list)) {
		config_error_at(reader->report, config_line(list),
		    "pools: %s; a list ( { name = \"...\"; hosts = ( ... ); },"
		    " ... ) was expected",
		    config_setting_shown(list, shown));
		return;
	}
	n = (unsigned)config_setting_length(list);
	reader->pools = xcalloc(n, sizeof(reader->pools[0]));
	for (unsigned i = 0; i < n; i++)
		read_pool(reader, config_setting_get_elem(list, i));
}

uint32_t
config_set_of_pool(
    struct config_reader *reader, const char *name, unsigned line)
{
	struct config_pool *pool = find_pool(reader, name);

	if (pool == NULL) {
		config_error_at(reader->report, line,
		    "routes.pool: there is no pool \"%s\"; the name of a pool "
		    "was expected",
		    CONFIG_SHOWN(name));
		return CONFIG_NO_SET;
	}
	pool->used = true;
	if (pool->good && pool->set == CONFIG_NO_SET)
		pool->set =
		    config_set_of_hosts(reader, pool->hosts, "pools.hosts");
	return pool->set;
}

void
config_check_pools(struct config_reader *reader)
{
	for (uint32_t i = 0; i < reader->n_pools; i++) {
		if (!reader->pools[i].used)
			config_warn_at(reader->report, reader->pools[i].line,
			    "pools.name: no route uses the pool \"%s\"; its "
			    "hosts are ignored, routes with pool = \"%s\" were "
			    "expected",
			    CONFIG_SHOWN(reader->pools[i].name),
			    CONFIG_SHOWN(reader->pools[i].name));
	}
}

void
config_sets_finish(struct config_reader *reader)
{
	struct config *config = reader->config;

	free(reader->pools);
	hash_index_clear(&reader->host_index);
	hash_index_clear(&reader->set_index);
	hash_index_clear(&reader->pool_index);
	config->hosts = xreallocarray(
	    config->hosts, config->n_hosts + 1, sizeof(config->hosts[0]));
	config->host_domain = xreallocarray(config->host_domain,
	    config->n_hosts + 1, sizeof(config->host_domain[0]));
	config->members = xreallocarray(
	    config->members, config->n_members + 1, sizeof(config->members[0]));
	config->sets = xreallocarray(
	    config->sets, config->n_sets + 1, sizeof(config->sets[0]));
}
