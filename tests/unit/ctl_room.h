/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A configuration and a worker's table in a folder of their own, and nexthopctl
 * attached to them.
 */
#ifndef NH_TESTS_UNIT_CTL_ROOM_H
#define NH_TESTS_UNIT_CTL_ROOM_H

#include "milter/clock.h"
#include "milter/ctl_host.h"
#include "milter/ctl_lookup.h"
#include "milter/ctl_open.h"
#include "milter/ctl_override.h"
#include "milter/ctl_status.h"
#include "policy/lookup.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 128

static const char routes_text[] =
    "routes = ( { domain = \"example.com\"; hosts = (\n"
    "    { host = \"192.168.1.10\"; priority = 0; },\n"
    "    { host = \"192.168.1.20\"; port = 2525; priority = 10; } ); },\n"
    "  { domain = \".example.org\"; hosts = (\n"
    "    { host = \"::1\"; weight = 3; }, { host = \"192.168.1.10\"; } ); },\n"
    "  { domain = \"dns.test\"; use_dns = true; } );\n";

static char folder[] = "/tmp/nh-ctl-XXXXXX";
static char conf_path[PATH_SIZE], table_path[PATH_SIZE];
static struct ctl ctl;
static struct health_table *table; /* the worker's */
static uint32_t first;		   /* slot of 192.168.1.10:25 */
static char *text;		   /* printed last */
static size_t text_len;

static inline void
write_conf(const char *rest)
{
	FILE *file = fopen(conf_path, "we");

	ck_assert_ptr_nonnull(file);
	fprintf(file,
	    "milter_socket = \"unix:%s/m\";\nmap_socket = \"unix:%s/s\";\n"
	    "control_socket = \"%s/c\";\n  health_table  =\"%s\";\n"
	    "transport = \"nexthop\";\nnot_routed = [ \"localhost\" ];\n%s",
	    folder, folder, folder, table_path, rest);
	ck_assert_int_eq(fclose(file), 0);
}

/* As the worker does at its start. */
static inline void
make_table(void)
{
	struct health_table_size size = { 8, 8, 64 };
	struct health_table_birth birth = { .pid = (uint32_t)getpid() };
	enum health_table_opened how;
	struct lookup_base *base;
	struct host host;
	struct err err;

	birth.now_ms = clock_boot_ms();
	clock_boot_id(birth.boot_id);
	ck_assert_int_eq(
	    health_table_open(table_path, &size, &birth, &table, &how, &err),
	    0);
	ck_assert_int_eq(lookup_bind(ctl.config, table, true, &base, &err), 0);
	lookup_base_free(&base);
	health_table_set_generation(table, 7);
	health_table_heartbeat(table, birth.now_ms);
	ck_assert_int_eq(host_parse("192.168.1.10", 0, &host, &err), 0);
	first = health_table_find_host(table, &host);
	ck_assert_uint_ne(first, HEALTH_TABLE_NONE);
}

static inline void
setup(void)
{
	struct err err;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(conf_path, sizeof(conf_path), "%s/conf", folder);
	(void)snprintf(table_path, sizeof(table_path), "%s/health", folder);
	write_conf(routes_text);
	ck_assert_int_eq(ctl_open(&ctl, conf_path, true), 0);
	make_table();
	ck_assert_int_eq(ctl_attach(&ctl, &err), 0);
}

static inline void
teardown(void)
{
	free(text);
	ctl_close(&ctl);
	health_table_close(&table);
	(void)unlink(conf_path);
	(void)unlink(table_path);
	(void)rmdir(folder);
}

static inline void
defer_first(const char *words)
{
	struct health_detail detail;

	health_table_read(table, first, &detail);
	detail.health.state = HEALTH_DEFERRED;
	detail.health.failures = 3;
	detail.health.since_ms = ctl.now_ms - 500;
	detail.health.due_ms = ctl.now_ms + 40000;
	detail.health.backoff_ms = 40000;
	detail.last_seen_ms = ctl.now_ms;
	detail.latency_us = 1500;
	detail.last = (struct observation){ .outcome = OUTCOME_TEMPORARY,
		.stage = STAGE_GREETING,
		.source = SOURCE_PROBE,
		.code = 431 };
	(void)snprintf(detail.last.text, sizeof(detail.last.text), "%s", words);
	health_table_write(table, first, &detail);
	for (int i = 0; i < 5; i++)
		health_table_count(table, first, COUNTER_OBSERVED_FAILED);
	health_table_count(table, first, COUNTER_PICKED);
}

static inline void
run_override(const char *words, int status)
{
	char line[256], *argv[8], *save = NULL;
	int argc = 0;

	(void)snprintf(line, sizeof(line), "%s", words);
	for (char *word = strtok_r(line, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	ck_assert_msg(
	    ctl_override_run(&ctl, argc, argv) == status, "%s", words);
}

static inline FILE *
out(void)
{
	free(text);
	text = NULL;
	return open_memstream(&text, &text_len);
}

static inline void
status_text(void)
{
	FILE *file = out();

	ctl_status_text(&ctl, file);
	ck_assert_int_eq(fclose(file), 0);
}

static inline void
lookup_text(const char *address, uint32_t count)
{
	FILE *file = out();

	ck_assert_int_eq(ctl_lookup_print(&ctl, address, count, file), CTL_OK);
	ck_assert_int_eq(fclose(file), 0);
}

#define SAYS(part)                                                             \
	ck_assert_msg(                                                         \
	    strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text)
#define SAYS_NOT(part)                                                         \
	ck_assert_msg(strstr(text, part) == NULL, "\"%s\" in:\n%s", part, text)

#endif
