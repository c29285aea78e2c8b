/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's (as the probe thread), and some that look up. */
#include "milter/snapshot.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "policy/health_layout.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define TWO_HOSTS                                                              \
	"routes = ( { domain = \"example.com\"; hosts = ("                     \
	" { host = \"127.0.0.10\"; }, { host = \"127.0.0.20\"; } ); } );\n"
#define ONE_HOST                                                               \
	"routes = ( { domain = \"example.com\"; hosts = ("                     \
	" { host = \"127.0.0.20\"; } ); } );\n"

static void
begin(void)
{
	char path[SCRATCH_PATH_MAX];
	struct config_log log = { CONFIG_LOG_FILE, CONFIG_LOG_INFO, path };
	struct err err;

	scratch_begin();
	(void)scratch_path("log", path);
	ck_assert_int_eq(log_open(&log, &err), 0);
}

static void
adopt(const char *rest)
{
	struct config *config = scratch_config(rest);
	struct err err = { "" };

	if (snapshot_adopt(config, &err) == -1)
		ck_abort_msg("%s", err.text);
}

static void
expect_logged(const char *text)
{
	char *log = scratch_read("log");

	if (strstr(log, text) == NULL)
		ck_abort_msg("no \"%s\" in:\n%s", text, log);
	free(log);
}

/* Routes of one host each. */
static const char *
many_hosts(int n, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "routes = (");

	for (int i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, size - used,
		    "%s{domain=\"d%d\";hosts=({host=\"127.1.%d.%d\";});}",
		    i == 0 ? "" : ",", i, i / 200, i % 200 + 1);
	ck_assert_uint_lt(used + 4, size);
	(void)snprintf(text + used, size - used, ");\n");
	return text;
}

static void
defer_host(const struct snapshot *snapshot, uint32_t host)
{
	uint32_t slot = snapshot->base->host_slot[host];
	struct health_detail detail;

	health_table_read(snapshot->table, slot, &detail);
	detail.health.state = HEALTH_DEFERRED;
	detail.health.due_ms = clock_boot_ms() + 60000;
	health_table_write(snapshot->table, slot, &detail);
}

static enum health_state
state_of(const struct snapshot *snapshot, uint32_t host)
{
	struct health_view view;

	health_table_view(snapshot->table, snapshot->base->host_slot[host],
	    clock_boot_ms(), &view);
	return view.state;
}

static void
expect_first_deferred(void)
{
	struct snapshot *snapshot = snapshot_get();

	ck_assert_int_eq(state_of(snapshot, 0), HEALTH_DEFERRED);
	ck_assert_int_eq(state_of(snapshot, 1), HEALTH_UP);
	snapshot_put(&snapshot);
}

START_TEST(the_first_adopt_creates_the_table_and_says_so)
{
	char path[SCRATCH_PATH_MAX], want[256];
	struct snapshot *snapshot;

	adopt(TWO_HOSTS);
	snapshot = snapshot_get();
	ck_assert_uint_eq(snapshot->generation, 1);
	ck_assert_uint_eq(snapshot->config->n_hosts, 2);
	ck_assert_uint_ne(snapshot->base->host_slot[0], HEALTH_TABLE_NONE);
	ck_assert_uint_ne(snapshot->base->set_slot[0], HEALTH_TABLE_NONE);
	ck_assert_int_eq(access(scratch_path("health", path), F_OK), 0);
	(void)snprintf(
	    want, sizeof(want), "]: health table %s: created for ", path);
	expect_logged(want);
	snapshot_put(&snapshot);
	ck_assert_ptr_null(snapshot);
	snapshot_end();
}
END_TEST

START_TEST(an_attached_table_keeps_states_and_they_are_counted)
{
	struct snapshot *snapshot;

	adopt(TWO_HOSTS);
	snapshot = snapshot_get();
	defer_host(snapshot, 0);
	snapshot_put(&snapshot);
	snapshot_end();
	adopt(TWO_HOSTS);
	expect_logged(": attached, 1 of 2 hosts deferred");
	expect_first_deferred();
	snapshot_end();
}
END_TEST

START_TEST(a_table_that_is_not_valid_is_rebuilt_with_a_warning)
{
	scratch_write("health", "this is no table");
	adopt(TWO_HOSTS);
	expect_logged("warning: health table ");
	expect_logged(": rebuilt, all hosts start up: ");
	snapshot_end();
}
END_TEST

/* Both copies of its detail. */
static void
damage_slot(uint32_t slot)
{
	const uint64_t noise = 0x5555555555555555;
	char path[SCRATCH_PATH_MAX];
	int fd = open(scratch_path("health", path), O_RDWR);
	struct layout_header header;
	ssize_t n = sizeof(noise);

	ck_assert_int_eq(
	    pread(fd, &header, sizeof(header), 0), (ssize_t)sizeof(header));
	for (size_t copy = 0; copy < 2; copy++) {
		size_t at = header.hosts_at +
			    slot * sizeof(struct layout_host) +
			    offsetof(struct layout_host, detail) +
			    copy * sizeof(struct layout_detail);

		ck_assert_int_eq(
		    pwrite(fd, &noise, sizeof(noise), (off_t)at), n);
	}
	(void)close(fd);
}

START_TEST(a_table_with_a_damaged_entry_keeps_the_others_with_a_warning)
{
	struct snapshot *snapshot;
	uint32_t slot;

	adopt(TWO_HOSTS);
	snapshot = snapshot_get();
	defer_host(snapshot, 0);
	defer_host(snapshot, 1);
	slot = snapshot->base->host_slot[1];
	snapshot_put(&snapshot);
	snapshot_end();
	damage_slot(slot);
	adopt(TWO_HOSTS);
	expect_logged("warning: health table ");
	expect_logged(": repaired, the rest is kept: 1 entries do not validate "
		      "and are dropped");
	expect_first_deferred();
	snapshot_end();
}
END_TEST

START_TEST(a_table_from_before_the_last_boot_starts_all_hosts_up)
{
	const struct health_table_size size = { 8, 8, 1024 };
	const struct health_table_birth birth = { .now_ms = 1 };
	const struct health_detail sick = { .health.state = HEALTH_DEFERRED };
	enum health_table_opened how;
	struct health_table *table;
	char path[SCRATCH_PATH_MAX];
	struct snapshot *snapshot;
	struct host host;
	struct err err;

	ck_assert_int_eq(health_table_open(scratch_path("health", path), &size,
			     &birth, &table, &how, &err),
	    0);
	ck_assert_int_eq(host_parse("127.0.0.10", 0, &host, &err), 0);
	health_table_write(table, health_table_add_host(table, &host), &sick);
	health_table_close(&table);
	adopt(TWO_HOSTS);
	expect_logged("]: health table ");
	expect_logged(": from before the last boot, its times are void: all "
		      "hosts start up");
	snapshot = snapshot_get();
	ck_assert_int_eq(state_of(snapshot, 0), HEALTH_UP);
	snapshot_put(&snapshot);
	snapshot_end();
}
END_TEST

START_TEST(a_table_that_cannot_be_made_is_an_error_and_config_stays_ours)
{
	char path[SCRATCH_PATH_MAX];
	struct config *config = scratch_config(TWO_HOSTS);
	struct err err = { "" };

	free(config->health_table);
	config->health_table =
	    strdup(scratch_path("no/such/folder/health", path));
	ck_assert_int_eq(snapshot_adopt(config, &err), -1);
	ck_assert_str_ne(err.text, "");
	config_free(&config);
}
END_TEST

START_TEST(refresh_exchanges_when_there_is_a_newer_one)
{
	struct snapshot *mine, *before;

	adopt(TWO_HOSTS);
	mine = before = snapshot_get();
	ck_assert(!snapshot_refresh(&mine));
	ck_assert_ptr_eq(mine, before);
	adopt(ONE_HOST);
	ck_assert(snapshot_refresh(&mine));
	ck_assert_ptr_ne(mine, before);
	ck_assert_uint_eq(mine->generation, 2);
	ck_assert_uint_eq(mine->config->n_hosts, 1);
	ck_assert(!snapshot_refresh(&mine));
	snapshot_put(&mine);
	snapshot_reap();
	snapshot_end();
}
END_TEST

START_TEST(a_snapshot_in_use_is_not_reaped)
{
	struct snapshot *old;

	adopt(TWO_HOSTS);
	old = snapshot_get();
	adopt(ONE_HOST);
	snapshot_reap();
	/* The sanitizers would say it if this were gone. */
	ck_assert_uint_eq(old->config->n_hosts, 2);
	ck_assert_str_eq(old->config->routes[0].domain, "example.com");
	snapshot_put(&old);
	snapshot_reap();
	snapshot_end();
}
END_TEST

START_TEST(hosts_that_stay_keep_their_state_at_a_reload)
{
	struct snapshot *snapshot;

	adopt(TWO_HOSTS);
	snapshot = snapshot_get();
	defer_host(snapshot, 1); /* 127.0.0.20 */
	adopt(ONE_HOST);
	(void)snapshot_refresh(&snapshot);
	ck_assert_int_eq(state_of(snapshot, 0), HEALTH_DEFERRED);
	snapshot_put(&snapshot);
	snapshot_end();
}
END_TEST

START_TEST(a_reload_that_needs_more_room_gets_a_larger_file)
{
	static char big[128 * 1024];
	struct health_table_header_info before, after;
	struct snapshot *old, *fresh;
	struct health_view view;
	uint32_t slot;

	adopt(TWO_HOSTS);
	old = snapshot_get();
	defer_host(old, 1);
	health_table_header(old->table, &before);
	ck_assert_uint_lt(before.hosts_max, 1000);
	adopt(many_hosts((int)before.hosts_max + 50, big, sizeof(big)));
	expect_logged(": replaced by a larger one for ");
	fresh = snapshot_get();
	health_table_header(fresh->table, &after);
	ck_assert_uint_gt(after.hosts_max, before.hosts_max);
	ck_assert_ptr_ne(fresh->table, old->table);
	ck_assert(health_table_superseded(old->table));
	ck_assert(!health_table_superseded(fresh->table));
	/* History comes along by key, also of hosts that no route names
	   now; who still has the old mapping can read it. */
	slot = health_table_find_host(fresh->table, &old->config->hosts[1]);
	ck_assert_uint_ne(slot, HEALTH_TABLE_NONE);
	health_table_view(fresh->table, slot, clock_boot_ms(), &view);
	ck_assert_int_eq(view.state, HEALTH_DEFERRED);
	ck_assert_int_eq(state_of(old, 1), HEALTH_DEFERRED);
	snapshot_put(&old);
	snapshot_put(&fresh);
	snapshot_reap();
	snapshot_end();
}
END_TEST

#define LOOKERS 3

static _Atomic bool enough;

/* As the map thread does: one reference, refreshed. */
static void *
look_up_refreshing(void *arg)
{
	struct snapshot *mine = snapshot_get();
	_Atomic unsigned *done = arg;

	while (!atomic_load(&enough)) {
		struct lookup_answer answer;

		(void)snapshot_refresh(&mine);
		ck_assert_int_eq(lookup_recipient(mine->base, "a@example.com",
				     13, clock_boot_ms(), &answer),
		    LOOKUP_HOSTS);
		ck_assert_uint_le(answer.order.n, mine->config->n_hosts);
		(void)atomic_fetch_add(done, 1);
	}
	snapshot_put(&mine);
	return NULL;
}

/* As a milter session does: taken and given back each time. */
static void *
look_up_taking(void *arg)
{
	_Atomic unsigned *done = arg;

	while (!atomic_load(&enough)) {
		struct snapshot *mine = snapshot_get();
		uint32_t ticket;

		ck_assert(lookup_draw(mine->base, 0, clock_boot_ms(), &ticket));
		snapshot_put(&mine);
		(void)atomic_fetch_add(done, 1);
	}
	return NULL;
}

START_TEST(reloads_while_lookups_run_harm_nobody)
{
	pthread_t threads[2 * LOOKERS];
	static _Atomic unsigned done;

	adopt(TWO_HOSTS);
	for (int i = 0; i < LOOKERS; i++) {
		ck_assert_int_eq(pthread_create(&threads[2 * i], NULL,
				     look_up_refreshing, &done),
		    0);
		ck_assert_int_eq(pthread_create(&threads[2 * i + 1], NULL,
				     look_up_taking, &done),
		    0);
	}
	for (int i = 0; i < 100; i++) {
		unsigned before = atomic_load(&done);

		adopt(i % 2 == 0 ? ONE_HOST : TWO_HOSTS);
		/* Somebody meets each of them. */
		while (atomic_load(&done) == before)
			(void)sched_yield();
		snapshot_reap();
	}
	atomic_store(&enough, true);
	for (int i = 0; i < 2 * LOOKERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	snapshot_reap();
	snapshot_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *tcase = tcase_create("snapshot");

	tcase_add_checked_fixture(tcase, begin, scratch_end);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, the_first_adopt_creates_the_table_and_says_so);
	tcase_add_test(
	    tcase, an_attached_table_keeps_states_and_they_are_counted);
	tcase_add_test(
	    tcase, a_table_that_is_not_valid_is_rebuilt_with_a_warning);
	tcase_add_test(tcase,
	    a_table_with_a_damaged_entry_keeps_the_others_with_a_warning);
	tcase_add_test(
	    tcase, a_table_from_before_the_last_boot_starts_all_hosts_up);
	tcase_add_test(tcase,
	    a_table_that_cannot_be_made_is_an_error_and_config_stays_ours);
	tcase_add_test(tcase, refresh_exchanges_when_there_is_a_newer_one);
	tcase_add_test(tcase, a_snapshot_in_use_is_not_reaped);
	tcase_add_test(tcase, hosts_that_stay_keep_their_state_at_a_reload);
	tcase_add_test(tcase, a_reload_that_needs_more_room_gets_a_larger_file);
	tcase_add_test(tcase, reloads_while_lookups_run_harm_nobody);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
