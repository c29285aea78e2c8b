/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: a writer that replaces the table, readers and an operator. */
#include "policy/health_table.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define GROWTHS	   10	    /* each doubles the tickets */
#define PAUSES_MAX 10000000 /* turns that one waits for another */
#define READERS	   2

static struct scratch scratch;

/* What the threads share. */
static struct {
	_Atomic bool done;
	_Atomic bool broken;	   /* somebody saw something that must not be */
	_Atomic uint32_t attached; /* times, by readers */
	_Atomic uint64_t said;	   /* overrides, by their number */
} arena;

static void
set_up(void)
{
	struct health_table *table;

	scratch_make(&scratch);
	memset(&arena, 0, sizeof(arena));
	scratch.size.hosts = scratch.size.sets = SCRATCH_MANY;
	scratch_leave_many(&scratch);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	health_table_close(&table);
}

static void
tear_down(void)
{
	scratch_remove(&scratch);
}

static struct health_table *
attach(void)
{
	struct health_table *table = NULL;
	struct err why;

	if (health_table_attach(
		scratch.path, scratch.birth.boot_id, &table, &why) == -1)
		arena.broken = true;
	return table;
}

/* scratch_leave_many gave each host as many changes as its number says, and
   every other one a detail. */
static bool
is_whole(const struct health_table *table)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	struct health_detail detail;
	uint32_t slot;

	for (unsigned i = 0; i < SCRATCH_MANY; i++) {
		struct host host = scratch_host(i);

		slot = health_table_find_host(table, &host);
		if (slot == HEALTH_TABLE_NONE ||
		    health_table_history(table, slot, list) !=
			(i < HEALTH_HISTORY_MAX ? i : HEALTH_HISTORY_MAX))
			return false;
		health_table_read(table, slot, &detail);
		if (detail.health.state !=
		    (i % 2 == 0 ? HEALTH_DEFERRED : HEALTH_UP))
			return false;
	}
	return true;
}

/* As nexthopctl status does, and as one that stays attached. */
static void *
read_on(void *unused)
{
	struct health_table *table;

	(void)unused;
	while (!arena.done && !arena.broken) {
		table = attach();
		if (table == NULL)
			break;
		arena.attached++;
		do {
			if (!is_whole(table))
				arena.broken = true;
		} while (!health_table_superseded(table) && !arena.done);
		health_table_close(&table);
	}
	return NULL;
}

/* Returns: whether the word stands in a file that nothing has replaced. The one
   before it must not have been lost. */
static bool
say(uint64_t number)
{
	struct health_override_info info = { .kind = OVERRIDE_DISABLED,
		.since_ms = number };
	struct health_override_info before;
	struct health_table *table = attach();
	struct host host = scratch_host(1);
	uint32_t slot;
	bool stays;

	if (table == NULL)
		return false;
	slot = health_table_find_host(table, &host);
	health_table_get_override(table, slot, &before);
	if (before.since_ms + 1 != number && before.since_ms != number)
		arena.broken = true;
	health_table_set_override(table, slot, &info);
	stays = !health_table_superseded(table);
	health_table_close(&table);
	return stays;
}

/* As nexthopctl disable does: again, until the new file has its name. */
static void *
override_on(void *unused)
{
	(void)unused;
	while (!arena.done && !arena.broken) {
		for (int turns = 0; !say(arena.said + 1) && !arena.broken;
		     turns++) {
			if (turns == PAUSES_MAX)
				arena.broken = true;
			(void)sched_yield();
		}
		arena.said++;
	}
	return NULL;
}

/* Each growth meets an operator that is busy, and readers that have noticed the
   one before it. */
static void
let_others_work(int growths)
{
	const uint32_t wanted = READERS * ((uint32_t)growths + 1);
	const uint64_t said = arena.said;
	int turns = 0;

	while (!arena.broken && (arena.attached < wanted || arena.said == said))
		if (++turns == PAUSES_MAX)
			arena.broken = true;
		else
			(void)sched_yield();
}

static void
grow(void)
{
	struct health_table *table;

	for (int i = 0; i < GROWTHS; i++) {
		let_others_work(i);
		scratch.size.tickets *= 2;
		table = scratch_open(&scratch, HEALTH_TABLE_GROWN);
		health_table_close(&table);
	}
	let_others_work(GROWTHS);
}

START_TEST(a_table_may_grow_while_others_read_and_override)
{
	void *(*const others[READERS + 1])(
	    void *) = { read_on, read_on, override_on };
	struct health_override_info info;
	struct health_table *table;
	struct host host = scratch_host(1);
	pthread_t threads[NELEM(others)];

	for (size_t i = 0; i < NELEM(others); i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, others[i], NULL), 0);
	grow();
	arena.done = true;
	for (size_t i = 0; i < NELEM(others); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert(!arena.broken);
	table = scratch_open(&scratch, HEALTH_TABLE_ATTACHED);
	ck_assert(is_whole(table));
	health_table_get_override(
	    table, health_table_find_host(table, &host), &info);
	ck_assert_int_eq(info.kind, OVERRIDE_DISABLED);
	ck_assert_uint_eq(info.since_ms, arena.said);
	health_table_close(&table);
}
END_TEST

static Suite *
growth_suite(void)
{
	Suite *suite = suite_create("table_growth");
	TCase *growth = tcase_create("growth");

	tcase_add_checked_fixture(growth, set_up, tear_down);
	tcase_set_timeout(growth, 60);
	tcase_add_test(growth, a_table_may_grow_while_others_read_and_override);
	suite_add_tcase(suite, growth);
	return suite;
}

int
main(void)
{
	return suite_run(growth_suite());
}
