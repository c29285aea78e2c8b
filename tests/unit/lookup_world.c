/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "tests/unit/lookup_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/route.h"

struct world world;

const char world_two_hosts[] =
    "routes = ( { domain = \"example.com\"; hosts = ("
    " { host = \"" A "\"; }, { host = \"" B "\"; } ); } );";

const char world_many_kinds[] =
    "not_routed = [ \"mx.example.net\", \"localhost\" ];\n"
    "pools = ( { name = \"three\"; hosts = ( { host = \"" A "\"; },"
    " { host = \"" B "\"; }, { host = \"" C "\"; port = 2525; } ); } );\n"
    "routes = (\n"
    " { domain = \"Example.COM\"; hosts = ( { host = \"" A "\"; } ); },\n"
    " { domain = \".example.org\"; pool = \"three\"; },\n"
    " { domain = \"dns.example.org\"; use_dns = true; },\n"
    " { domain = \"[127.0.0.1]\"; hosts = ( { host = \"" B "\"; } ); }\n"
    ");";

static const uint8_t boot_id[16] = "one boot of many";

void
world_load(const char *routes)
{
	struct config_problems problems;
	char path[80];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/conf", world.folder);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "health_table = \"%s\";\ntransport = \"nexthop\";\n%s",
	    world.table_path, routes);
	ck_assert_int_eq(fclose(file), 0);
	if (config_load(path, &world.config, &problems) == -1)
		ck_abort_msg("%s", problems.list[0].text);
	config_problems_free(&problems);
	ck_assert_int_eq(unlink(path), 0);
}

void
world_open_table(uint32_t hosts, uint32_t sets)
{
	struct health_table_size size = { hosts, sets, 65536 };
	struct health_table_birth birth = {
		.ticket_key = { 3, 5 }, .pid = 1, .now_ms = START_MS
	};
	enum health_table_opened how;
	struct err err;

	memcpy(birth.boot_id, boot_id, sizeof(boot_id));
	if (health_table_open(world.table_path, &size, &birth, &world.table,
		&how, &err) == -1)
		ck_abort_msg("%s", err.text);
}

void
world_bind(bool add)
{
	struct err err;

	if (lookup_bind(world.config, world.table, add, &world.base, &err) ==
	    -1)
		ck_abort_msg("%s", err.text);
}

void
world_make_folder(void)
{
	memset(&world, 0, sizeof(world));
	world.now_ms = START_MS;
	strcpy(world.folder, "/tmp/test_lookup.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(world.folder));
	(void)snprintf(world.table_path, sizeof(world.table_path), "%s/health",
	    world.folder);
}

void
world_setup(const char *routes)
{
	world_make_folder();
	world_load(routes);
	world_open_table(world.config->n_hosts, world.config->n_sets);
	world_bind(true);
}

void
world_teardown(void)
{
	lookup_base_free(&world.base);
	ck_assert_ptr_null(world.base);
	if (world.table != NULL)
		health_table_close(&world.table);
	if (world.config != NULL)
		config_free(&world.config);
	(void)unlink(world.table_path);
	ck_assert_int_eq(rmdir(world.folder), 0);
}

uint32_t
world_slot(const char *name)
{
	for (uint32_t i = 0; i < world.config->n_hosts; i++)
		if (strcmp(world.config->hosts[i].name, name) == 0)
			return world.base->host_slot[i];
	ck_abort_msg("no host %s", name);
}

void
world_set_state(const char *name, enum health_state state, uint64_t due_ms)
{
	struct health_detail detail;

	health_table_read(world.table, world_slot(name), &detail);
	if (detail.health.state != HEALTH_UP && state == HEALTH_UP)
		detail.health.recoveries++;
	detail.health.state = state;
	detail.health.due_ms = due_ms;
	health_table_write(world.table, world_slot(name), &detail);
}

void
world_set_usable(const char *name, bool usable)
{
	struct health_detail detail;

	health_table_read(world.table, world_slot(name), &detail);
	detail.usable = usable;
	health_table_write(world.table, world_slot(name), &detail);
}

struct address
world_address(const char *text)
{
	struct address address;

	if (!address_parse(text, strlen(text), &address))
		ck_abort_msg("not an address: %s", text);
	return address;
}

struct lookup_answer
world_ask(const char *text)
{
	struct lookup_answer answer;
	enum lookup_kind kind;

	memset(&answer, 0xa5, sizeof(answer));
	kind = lookup_recipient(
	    world.base, text, strlen(text), world.now_ms, &answer);
	ck_assert_int_eq(kind, answer.kind);
	return answer;
}

const char *
world_hosts(const struct lookup_answer *answer)
{
	static char text[CONFIG_SET_HOSTS_MAX * HOST_TEXT_MAX];
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t k = 0; k < answer->order.n; k++) {
		char one[HOST_TEXT_MAX];

		host_format_plain(lookup_host(world.base, answer, k), one);
		len +=
		    (size_t)sprintf(text + len, "%s%s", k > 0 ? " " : "", one);
	}
	return text;
}

uint32_t
world_take_message(const char *const *recipients, size_t n)
{
	struct address first = world_address(recipients[0]);
	uint32_t route = lookup_route(world.base, &first);
	uint32_t ticket;

	ck_assert_uint_ne(route, ROUTE_NONE);
	ck_assert(lookup_draw(world.base, route, world.now_ms, &ticket));
	for (size_t i = 0; i < n; i++) {
		struct address to = world_address(recipients[i]);

		lookup_leave(world.base, route, &to, ticket, world.now_ms);
	}
	return ticket;
}
