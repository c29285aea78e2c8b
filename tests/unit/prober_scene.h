/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A prober with all that it needs: a loop, a table, a log in a scratch folder,
 * and a route to scripted servers. Each failure ends the test.
 */
#ifndef NH_TESTS_UNIT_PROBER_SCENE_H
#define NH_TESTS_UNIT_PROBER_SCENE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/prober_parts.h"
#include "tests/unit/loop_scene.h"
#include "tests/unit/scratch.h"
#include "tests/unit/smtp_script.h"

#define WAIT_MS	   20000 /* for what must come: then the test fails */
#define CONFIG_MAX 65536
#define QUICK                                                                  \
	"probe = { level = \"mail\"; interval = %s; timeout = 0.3; "           \
	"helo = \"probe.test\"; max_parallel = 8; };\n"                        \
	"defer = { fall = 1; rise = 2; first = 0.2; max = 10.0; };\n"

static struct event_base *base;
static struct prober *prober;

static inline void
adopt_text(const char *text)
{
	struct config *config = scratch_config(text);
	struct err err = { "" };

	if (snapshot_adopt(config, &err) == -1)
		ck_abort_msg("%s", err.text);
}

/* Routes example.test to these servers in ascending priority. */
static inline void
adopt(const char *interval, const struct script_server *servers, size_t n)
{
	static char text[CONFIG_MAX];
	char address[ENDPOINT_TEXT_MAX];
	int used = snprintf(text, sizeof(text),
	    QUICK "routes = ( { domain = \"example.test\"; hosts = (",
	    interval);

	for (size_t i = 0; i < n; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
		    "%s{ host = \"%s\"; port = %u; priority = %u; }",
		    i > 0 ? "," : "",
		    endpoint_text(&servers[i].endpoint, address),
		    (unsigned)servers[i].endpoint.port, (unsigned)i);
	(void)snprintf(text + used, sizeof(text) - (size_t)used, "); } );\n");
	adopt_text(text);
}

static inline void
begin(enum config_log_level level)
{
	scratch_begin();
	scratch_open_log(level);
	base = event_base_new();
}

static inline void
start(void)
{
	struct err err;

	ck_assert_int_eq(prober_create(base, &prober, &err), 0);
	prober_adopt(prober);
}

static inline void
end(void)
{
	prober_free(&prober);
	ck_assert_ptr_null(prober);
	/* Ends when no event is left: at once, but for a moment of turn(). */
	(void)event_base_dispatch(base);
	ck_assert_int_eq(event_base_get_num_events(base,
			     EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE),
	    0);
	event_base_free(base);
	snapshot_reap();
	snapshot_end();
	scratch_end();
}

/* How often a line of the log matches (an extended regular expression). */
static inline int
count_logged(const char *pattern)
{
	return scratch_count("log", pattern);
}

static inline void
turn(void)
{
	loop_turn(base);
}

static inline void
wait_logged(const char *pattern)
{
	uint64_t end_ms = clock_boot_ms() + WAIT_MS;
	char *log;

	while (count_logged(pattern) == 0) {
		if (clock_boot_ms() > end_ms) {
			log = scratch_read("log");
			ck_abort_msg("no \"%s\" in:\n%s", pattern, log);
		}
		turn();
	}
}

static inline void
run_for(uint64_t ms)
{
	loop_for(base, ms);
}

static inline struct health_detail
detail_of(uint32_t host)
{
	struct snapshot *snapshot = snapshot_get();
	struct health_detail detail;

	health_table_read(
	    snapshot->table, snapshot->base->host_slot[host], &detail);
	snapshot_put(&snapshot);
	return detail;
}

static inline uint64_t
counted(uint32_t host, enum health_counter counter)
{
	struct snapshot *snapshot = snapshot_get();
	uint64_t n = health_table_counter(
	    snapshot->table, snapshot->base->host_slot[host], counter);

	snapshot_put(&snapshot);
	return n;
}

static inline void
override(uint32_t host, enum health_override kind, uint64_t for_ms,
    const char *reason)
{
	struct health_override_info info = { .kind = kind };
	struct snapshot *snapshot = snapshot_get();

	info.since_ms = clock_boot_ms();
	info.until_ms = for_ms > 0 ? info.since_ms + for_ms : 0;
	(void)snprintf(info.reason, sizeof(info.reason), "%s", reason);
	health_table_set_override(
	    snapshot->table, snapshot->base->host_slot[host], &info);
	snapshot_put(&snapshot);
}

/* What a probe by hand has shown, and how it ended. */
struct shown {
	char text[1024];
	int n_ends;
	bool good;
};

static inline void
on_shown(void *arg, const char *text, bool good)
{
	struct shown *shown = arg;
	size_t len = strlen(shown->text);

	ck_assert_int_eq(shown->n_ends, 0);
	if (text == NULL) {
		shown->n_ends++;
		shown->good = good;
		return;
	}
	(void)snprintf(
	    shown->text + len, sizeof(shown->text) - len, "%s|", text);
}

static inline void
wait_shown(const struct shown *shown)
{
	uint64_t end_ms = clock_boot_ms() + WAIT_MS;

	while (shown->n_ends == 0 && clock_boot_ms() < end_ms)
		turn();
	ck_assert_int_eq(shown->n_ends, 1);
}

#endif
