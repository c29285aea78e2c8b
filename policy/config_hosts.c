/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include "policy/config_parse.h"
#include "policy/hash.h"
#include "policy/xalloc.h"

/* -- lists of hosts ------------------------------------------------------- */

/* Returns: 0, or -1 after a report. */
static int
read_item(struct config_reader *reader, const config_setting_t *setting,
    struct config_item *item_r)
{
	struct config_raw_host raw = reader->host_default;
	size_t errors = reader->report->problems->n_errors;
	struct err err;

	/* "192.168.1.10" stands for { host = "192.168.1.10"; }. */
	if (config_setting_type(setting) == CONFIG_TYPE_STRING)
		raw.host = config_setting_get_string(setting);
	else
		config_group_read(
		    &reader->host_group, setting, &raw, reader->report, NULL);
	if (reader->report->problems->n_errors > errors)
		return -1;
	item_r->line = config_line(setting);
	item_r->priority = (uint16_t)raw.priority;
	item_r->weight = (uint16_t)raw.weight;
	if (raw.host == NULL) {
		config_error_at(reader->report, item_r->line,
		    "hosts: an item without a host; host = \"...\" was "
		    "expected");
		return -1;
	}
	if (host_parse(raw.host, (uint16_t)raw.port, &item_r->host, &err) ==
	    -1) {
		config_error_at(
		    reader->report, item_r->line, "hosts.host: %s", err.text);
		return -1;
	}
	/* A port in the text wins in host_parse: is it the same one? */
	if (raw.port != 0 && item_r->host.port != raw.port) {
		config_error_at(reader->report, item_r->line,
		    "hosts.host: \"%s\" and port = %u name two ports; one "
		    "was expected",
		    CONFIG_SHOWN(raw.host), raw.port);
		return -1;
	}
	return 0;
}

/* Returns: false after a report. */
static bool
is_new(const struct config_reader *reader, unsigned n)
{
	const struct config_item *item = &reader->items[n];
	char text[HOST_TEXT_MAX];
	const char *file;
	unsigned line;

	for (unsigned i = 0; i < n; i++) {
		if (!host_equal(&reader->items[i].host, &item->host))
			continue;
		host_format(&item->host, text);
		config_source_find(reader->report->source,
		    reader->items[i].line, &file, &line);
		config_error_at(reader->report, item->line,
		    "hosts: %s stands in this list already (%s:%u); each "
		    "host once was expected",
		    text, CONFIG_SHOWN(file), line);
		return false;
	}
	return true;
}

unsigned
config_read_items(struct config_reader *reader, const config_setting_t *list,
    const char *where)
{
	char shown[CONFIG_SHOWN_MAX];
	unsigned n, good = 0;

	if (!config_setting_is_list(list) && !config_setting_is_array(list)) {
		config_error_at(reader->report, config_line(list),
		    "%s: %s; a list ( { host = \"...\"; }, ... ) was expected",
		    where, config_setting_shown(list, shown));
		return 0;
	}
	n = (unsigned)config_setting_length(list);
	if (n == 0 || n > CONFIG_SET_HOSTS_MAX) {
		config_error_at(reader->report, config_line(list),
		    "%s: %u hosts; a list of 1 to %d hosts was expected", where,
		    n, CONFIG_SET_HOSTS_MAX);
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		if (read_item(reader, config_setting_get_elem(list, i),
			&reader->items[good]) == 0 &&
		    is_new(reader, good))
			good++;
	}
	return good == n ? n : 0;
}

/* -- hosts ---------------------------------------------------------------- */

static uint64_t
host_hash(const struct host *host)
{
	struct hash_key key = hash_key_fixed;

	key.k0 ^= host->port;
	return hash_bytes(key, host->name, strlen(host->name));
}

static void
warn_of_family(struct config_reader *reader, const struct config_item *item)
{
	enum config_address_family family = reader->config->address_family;
	char text[HOST_TEXT_MAX];

	if ((family != CONFIG_IPV4 || item->host.kind != HOST_IPV6) &&
	    (family != CONFIG_IPV6 || item->host.kind != HOST_IPV4))
		return;
	host_format(&item->host, text);
	config_warn_at(reader->report, item->line,
	    "%s is never listed: address_family = \"%s\"; an address of that "
	    "family was expected",
	    text, family == CONFIG_IPV4 ? "ipv4" : "ipv6");
}

static uint32_t
add_host(struct config_reader *reader, const struct config_item *item)
{
	struct config *config = reader->config;
	uint32_t n = config->n_hosts;

	if (n == CONFIG_HOSTS_MAX) {
		if (!reader->too_many_hosts)
			config_error_at(reader->report, item->line,
			    "hosts: more than %d different hosts; fewer were "
			    "expected",
			    CONFIG_HOSTS_MAX);
		reader->too_many_hosts = true;
		return 0;
	}
	if (n == reader->hosts_capacity) {
		reader->hosts_capacity = n * 2 + 64;
		config->hosts = xreallocarray(config->hosts,
		    reader->hosts_capacity, sizeof(config->hosts[0]));
		config->host_domain = xreallocarray(config->host_domain,
		    reader->hosts_capacity, sizeof(config->host_domain[0]));
	}
	config->hosts[n] = item->host;
	config->host_domain[n] = config->n_routes;
	config->any_names |= item->host.kind == HOST_NAME;
	config->n_hosts++;
	hash_index_add(&reader->host_index, host_hash(&item->host), n);
	warn_of_family(reader, item);
	return n;
}

uint32_t
config_host_number(struct config_reader *reader, const struct config_item *item)
{
	uint64_t hash = host_hash(&item->host);
	struct hash_index_at at;

	for (uint32_t n = hash_index_first(&reader->host_index, hash, &at);
	     n != HASH_INDEX_NONE;
	     n = hash_index_next(&reader->host_index, hash, &at)) {
		if (host_equal(&reader->config->hosts[n], &item->host))
			return n;
	}
	return add_host(reader, item);
}
