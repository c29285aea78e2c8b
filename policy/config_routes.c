/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <stdlib.h>

#include "policy/address.h"
#include "policy/config_parse.h"
#include "policy/route.h"
#include "policy/xalloc.h"

#define LABEL_MAX 63

/* -- domains -------------------------------------------------------------- */

static bool
byte_is_good(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
	       byte == '-' || byte == '_' || byte >= 0x80;
}

static bool
labels_are_good(const char *name)
{
	size_t len = 0;

	for (; *name != '\0'; name++) {
		if (*name == '.' && len == 0)
			return false;
		if (*name != '.' && !byte_is_good((unsigned char)*name))
			return false;
		len = *name == '.' ? 0 : len + 1;
		if (len > LABEL_MAX)
			return false;
	}
	return len > 0;
}

static bool
literal_is_good(const char *domain)
{
	struct host host;

	return domain[strlen(domain) - 1] == ']' &&
	       host_parse(domain, 0, &host, NULL) == 0 &&
	       host.kind != HOST_NAME;
}

/*
 * The canonical spelling of a domain or ".parent" of the file.
 * Returns: NULL or what is wrong.
 */
static const char *
canonical_domain(const char *text, char domain_r[ADDRESS_DOMAIN_MAX])
{
	if (!address_domain(text, strlen(text), domain_r))
		return "is empty, has an empty label or no closing bracket";
	if (strcmp(domain_r, "all") == 0)
		return "is no domain; every domain is \"ALL\"";
	if (domain_r[0] == '*')
		return "has a star; all below a domain is \".example.com\"";
	if (domain_r[0] == '[')
		return literal_is_good(domain_r) ? NULL
						 : "is no address literal";
	if (!labels_are_good(domain_r + (domain_r[0] == '.')))
		return "is no domain";
	return NULL;
}

/* -- routes --------------------------------------------------------------- */

static void
report_duplicate(
    const struct config_reader *reader, uint32_t route, uint32_t first)
{
	const char *domain = reader->config->routes[route].domain;
	const char *file;
	unsigned line_there;

	config_source_find(reader->report->source, reader->route_lines[first],
	    &file, &line_there);
	config_error_at(reader->report, reader->route_lines[route],
	    "routes.domain: \"%s\" has a route already (%s:%u); each domain "
	    "once was expected",
	    CONFIG_SHOWN(domain), CONFIG_SHOWN(file), line_there);
}

/*
 * A copy of size bytes that does not move and goes with the config: strings of
 * the routes stand one behind the other, in blocks that name the one before.
 */
static const char *
keep_string(struct config_reader *reader, const char *text, size_t size)
{
	struct config_strings *block = reader->config->strings;
	char *at;

	if (block == NULL || block->used + size > sizeof(block->text)) {
		block = xcalloc(1, sizeof(*block));
		block->before = reader->config->strings;
		reader->config->strings = block;
	}
	at = block->text + block->used;
	memcpy(at, text, size);
	block->used += (uint32_t)size;
	return at;
}

void
config_strings_free(struct config_strings **strings)
{
	struct config_strings *block = *strings, *before;

	*strings = NULL;
	for (; block != NULL; block = before) {
		before = block->before;
		free(block);
	}
}

/* Returns: the domain of the file's text, kept; NULL after a report. */
static const char *
read_domain(struct config_reader *reader, const char *text, unsigned line)
{
	char domain[ADDRESS_DOMAIN_MAX];
	const char *wrong = NULL;

	if (strcmp(text, "ALL") == 0)
		memcpy(domain, "ALL", sizeof("ALL"));
	else
		wrong = canonical_domain(text, domain);
	if (wrong != NULL) {
		config_error_at(reader->report, line,
		    "routes.domain: \"%s\" %s; \"example.com\", "
		    "\".example.com\" or \"ALL\" was expected",
		    CONFIG_SHOWN(text), wrong);
		return NULL;
	}
	return keep_string(reader, domain, strlen(domain) + 1);
}

/* Exactly one of hosts, pool and use_dns says where mail goes. */
static bool
has_one_source(struct config_reader *reader, const struct config_raw_route *raw,
    unsigned line)
{
	int n = (raw->hosts != NULL) + (raw->pool != NULL) + raw->use_dns;

	if (n == 1)
		return true;
	config_error_at(reader->report, line,
	    "routes: the route of \"%s\" has %s; exactly one of hosts, pool "
	    "and use_dns = true was expected",
	    CONFIG_SHOWN(raw->domain),
	    n == 0	    ? "no hosts"
	    : !raw->use_dns ? "hosts and a pool"
	    : raw->hosts    ? "hosts and use_dns"
			    : "a pool and use_dns");
	return false;
}

static void
read_route(struct config_reader *reader, const config_setting_t *setting)
{
	struct config_raw_route raw = reader->route_default;
	size_t errors = reader->report->problems->n_errors;
	struct config *config = reader->config;
	struct config_route *route = &config->routes[config->n_routes];
	unsigned line = config_line(setting);

	config_group_read(
	    &reader->route_group, setting, &raw, reader->report, NULL);
	if (raw.domain == NULL) {
		if (reader->report->problems->n_errors == errors)
			config_error_at(reader->report, line,
			    "routes: a route without a domain; domain = "
			    "\"...\" was expected");
		return;
	}
	route->set = CONFIG_NO_SET;
	route->use_dns = raw.use_dns;
	route->when_all_deferred = (uint8_t)raw.when_all_deferred;
	reader->route_lines[config->n_routes] = line;
	route->domain = read_domain(reader, raw.domain, line);
	if (route->domain == NULL)
		return;
	if (has_one_source(reader, &raw, line) && !raw.use_dns)
		route->set =
		    raw.hosts != NULL
			? config_set_of_hosts(reader, raw.hosts, "routes.hosts")
			: config_set_of_pool(reader, raw.pool, line);
	config->any_tempfail |= raw.when_all_deferred == CONFIG_TEMPFAIL;
	config->n_routes++;
}

/* Room for n more routes. */
static void
make_room(struct config_reader *reader, uint32_t n)
{
	struct config *config = reader->config;

	if (reader->routes_capacity - config->n_routes >= n)
		return;
	reader->routes_capacity = config->n_routes + n;
	config->routes = xreallocarray(
	    config->routes, reader->routes_capacity, sizeof(config->routes[0]));
	reader->route_lines = xreallocarray(reader->route_lines,
	    reader->routes_capacity, sizeof(reader->route_lines[0]));
}

static void
read_list(struct config_reader *reader, const config_setting_t *list)
{
	unsigned n = (unsigned)config_setting_length(list);

	make_room(reader, n);
	for (unsigned i = 0; i < n; i++)
		read_route(reader, config_setting_get_elem(list, i));
}

/* The list's other pieces; the first one came with the rest of the text. */
static void
read_pieces(struct config_reader *reader)
{
	struct config_piece piece = { .text = NULL };
	struct config_tree tree;

	while (!reader->broken &&
	       config_pieces_next(reader->report->source, &piece)) {
		if (config_tree_parse(&tree, piece.text, piece.lines_before,
			reader->report) == 0)
			read_list(
			    reader, config_lookup(&tree.parsed, "routes"));
		else
			reader->broken = true;
		config_tree_clear(&tree);
	}
	free(piece.text);
}

/* When all are read: what stands together in the file is scattered in the
   index. */
static void
index_routes(struct config_reader *reader)
{
	struct config *config = reader->config;
	uint32_t n = config->n_routes, first;

	config->index = route_index_create(n);
	for (uint32_t i = 0; i < n; i++) {
		if (i + NH_FETCH_AHEAD < n)
			route_index_expect(config->index,
			    config->routes[i + NH_FETCH_AHEAD].domain);
		first =
		    route_index_add(config->index, config->routes[i].domain, i);
		if (first != ROUTE_NONE)
			report_duplicate(reader, i, first);
	}
}

void
config_read_routes(struct config_reader *reader)
{
	const config_setting_t *list = config_written(reader, "routes");

	make_room(reader, reader->report->source->pieces.routes + 1);
	if (list != NULL && config_setting_is_list(list) &&
	    config_setting_length(list) > 0) {
		read_list(reader, list);
		read_pieces(reader);
	} else {
		config_error_at(reader->report,
		    list == NULL ? 0 : config_line(list),
		    "there are no routes; routes = ( { domain = \"...\"; "
		    "hosts = ( ... ); }, ... ); was expected");
	}
	if (!reader->broken)
		index_routes(reader);
}

/* -- not_routed ----------------------------------------------------------- */

static const char *
exclude(struct config_reader *reader, const config_setting_t *setting,
    const char *text)
{
	struct config *config = reader->config;
	char domain[ADDRESS_DOMAIN_MAX];
	const char *wrong = canonical_domain(text, domain);
	uint32_t route;

	if (wrong != NULL)
		return wrong;
	route = route_find(config->index, domain, strlen(domain));
	if (route != ROUTE_NONE &&
	    strcmp(config->routes[route].domain, domain) == 0)
		config_warn_at(reader->report, config_line(setting),
		    "not_routed: \"%s\" has a route of its own, which is "
		    "used; either this item or the route was expected",
		    CONFIG_SHOWN(domain));
	route_index_exclude(config->index, domain);
	return NULL;
}

void
config_read_not_routed(struct config_reader *reader)
{
	config_read_strings(reader, "not_routed",
	    "\"example.com\" or \".example.com\"", exclude);
}
