/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: many, on purpose; each comment says which. */
#include "policy/health_table.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "policy/ticket.h"
#include "tests/unit/scratch_table.h"
#include "tests/unit/suite.h"

#define HOSTS	   4
#define WRITES	   50000
#define READS	   50000
#define OVERRIDES  20000
#define DRAWERS	   3
#define DRAWS	   200000
#define RECIPIENTS 300
#define LEAVES	   60000
#define KILLS	   200
#define MARKS	   (1u << 24) /* tickets that the killed may draw */

/* A shared table; every thread has its own handle, as processes would, or
   all share one: both happen. */
struct arena {
	struct scratch scratch;
	struct health_table *table;
	uint32_t set;
	uint32_t first_ticket;
	_Atomic unsigned char drawn[DRAWERS * DRAWS];
	pthread_barrier_t start; /* all begin together */
	atomic_bool torn, doubled, invented;
	atomic_ulong reads, found;
};

static struct arena arena;

static void
set_up(void)
{
	scratch_make(&arena.scratch);
	arena.table = scratch_open(&arena.scratch, HEALTH_TABLE_CREATED);
	for (unsigned i = 0; i < HOSTS; i++)
		REQUIRE(scratch_add(arena.table, i) == i, "host %u", i);
	arena.set = health_table_add_set(arena.table, 1);
	arena.first_ticket = health_table_cursor(arena.table, arena.set);
}

static void
tear_down(void)
{
	health_table_close(&arena.table);
	scratch_remove(&arena.scratch);
}

struct job {
	void *(*work)(void *argument);
	void *argument;
};

static void *
begin(void *argument)
{
	const struct job *job = argument;

	(void)pthread_barrier_wait(&arena.start);
	return job->work(job->argument);
}

static void
run_together(struct job *jobs, unsigned n)
{
	pthread_t threads[8];

	REQUIRE(n <= NELEM(threads), "too many");
	pthread_barrier_init(&arena.start, NULL, n);
	for (unsigned i = 0; i < n; i++)
		REQUIRE(pthread_create(&threads[i], NULL, begin, &jobs[i]) == 0,
		    "thread %u", i);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&arena.start);
}

/* Every field, and every byte of the text, follows from n. */
static void
make_detail(uint32_t n, struct health_detail *detail_r)
{
	memset(detail_r, 0, sizeof(*detail_r));
	detail_r->health.state = (enum health_state)(n % 2);
	detail_r->health.failures = n;
	detail_r->health.successes = n;
	detail_r->health.backoff_ms = n;
	detail_r->health.since_ms = n;
	detail_r->health.due_ms = n;
	detail_r->health.recoveries = (uint8_t)n;
	detail_r->health.silent = n % 3 == 0;
	detail_r->health.delivery_failures = n;
	detail_r->health.delivery_successes = n;
	detail_r->health.blind = n % 7 == 0;
	detail_r->health.flaps = (uint8_t)n;
	detail_r->health.stage = (uint8_t)(n % STAGE_COUNT);
	detail_r->health.rose_by = (uint8_t)(n % SOURCE_COUNT);
	detail_r->usable = n % 5 != 0;
	detail_r->last.code = (uint16_t)n;
	detail_r->last.latency_us = n;
	detail_r->last_seen_ms = n;
	detail_r->latency_us = n;
	memset(detail_r->last.text, 'A' + (int)(n % 26),
	    sizeof(detail_r->last.text) - 1);
}

static bool
detail_is_whole(const struct health_detail *detail)
{
	struct health_detail whole;

	make_detail(detail->health.failures, &whole);
	return detail->health.state == whole.health.state &&
	       detail->health.successes == whole.health.successes &&
	       detail->health.backoff_ms == whole.health.backoff_ms &&
	       detail->health.since_ms == whole.health.since_ms &&
	       detail->health.due_ms == whole.health.due_ms &&
	       detail->health.recoveries == whole.health.recoveries &&
	       detail->health.silent == whole.health.silent &&
	       detail->health.delivery_failures ==
		   whole.health.delivery_failures &&
	       detail->health.delivery_successes ==
		   whole.health.delivery_successes &&
	       detail->health.blind == whole.health.blind &&
	       detail->health.flaps == whole.health.flaps &&
	       detail->health.stage == whole.health.stage &&
	       detail->health.rose_by == whole.health.rose_by &&
	       detail->usable == whole.usable &&
	       detail->last.code == whole.last.code &&
	       detail->last.latency_us == whole.last.latency_us &&
	       detail->last_seen_ms == whole.last_seen_ms &&
	       detail->latency_us == whole.latency_us &&
	       memcmp(detail->last.text, whole.last.text,
		   sizeof(whole.last.text)) == 0;
}

/* The view's fields follow from its due time. */
static bool
view_is_whole(const struct health_view *view)
{
	struct health_detail whole;

	make_detail((uint32_t)view->due_ms, &whole);
	return view->state == whole.health.state &&
	       view->recoveries == whole.health.recoveries &&
	       view->silent == whole.health.silent &&
	       view->usable == whole.usable;
}

static void
set_override(uint32_t slot, uint32_t n)
{
	struct health_override_info info = { .kind =
						 (enum health_override)(n % 4),
		.until_ms = n,
		.since_ms = n };

	memset(info.reason, 'a' + (int)(n % 26), sizeof(info.reason) - 1);
	health_table_set_override(arena.table, slot, &info);
}

static bool
override_is_whole(const struct health_override_info *info)
{
	uint32_t n = (uint32_t)info->until_ms;

	/* The text may be missing (five writers at once), never another's. */
	if (info->kind != n % 4)
		return false;
	if (info->reason[0] == '\0')
		return info->since_ms == 0;
	return info->since_ms == n && info->reason[0] == 'a' + (int)(n % 26) &&
	       strspn(info->reason, (char[]){ info->reason[0], '\0' }) ==
		   sizeof(info->reason) - 1;
}

/* Thread: the one writer. */
static void *
write_details(void *unused)
{
	struct health_detail detail;

	(void)unused;
	for (uint32_t n = 1; n <= WRITES; n++) {
		make_detail(n, &detail);
		health_table_write(arena.table, n % 2, &detail);
		health_table_heartbeat(arena.table, n);
	}
	return NULL;
}

/* Thread: several; as operators in a hurry. */
static void *
write_overrides(void *number)
{
	uint32_t first = *(uint32_t *)number;

	for (uint32_t n = 1; n <= OVERRIDES; n++)
		set_override(0, n * 3 + first); /* all at one host */
	return NULL;
}

/* Thread: several. */
static void *
read_all(void *unused)
{
	struct health_detail detail;
	struct health_override_info info;
	struct health_view view;

	(void)unused;
	for (uint32_t n = 0; n < READS; n++) {
		health_table_read(arena.table, n % 2, &detail);
		health_table_get_override(arena.table, 0, &info);
		health_table_view(arena.table, n % 2, 0, &view);
		if (!detail_is_whole(&detail) || !override_is_whole(&info) ||
		    !view_is_whole(&view))
			arena.torn = true;
		arena.reads++;
	}
	return NULL;
}

START_TEST(no_reader_ever_sees_a_torn_detail_or_override)
{
	uint32_t first[3] = { 1, 2, 3 };
	struct job jobs[] = { { write_details, NULL },
		{ write_overrides, &first[0] }, { write_overrides, &first[1] },
		{ write_overrides, &first[2] }, { read_all, NULL },
		{ read_all, NULL } };
	struct health_detail zero;

	make_detail(0, &zero);
	for (uint32_t i = 0; i < HOSTS; i++) {
		health_table_write(arena.table, i, &zero);
		set_override(i, 0);
	}
	run_together(jobs, NELEM(jobs));
	ck_assert(!arena.torn);
	ck_assert_uint_eq(arena.reads, 2 * READS);
}
END_TEST

/* Thread: several. */
static void *
draw(void *unused)
{
	uint32_t at, last;

	(void)unused;
	for (uint32_t n = 0; n < DRAWS; n++) {
		at = health_table_draw(arena.table, arena.set, n) -
		     arena.first_ticket;
		if (at >= DRAWERS * DRAWS || arena.drawn[at]++ != 0)
			arena.doubled = true;
		if (health_table_last_drawn(
			arena.table, arena.set, n, 1000, &last) &&
		    last - arena.first_ticket >= DRAWERS * DRAWS)
			arena.invented = true;
		health_table_count(arena.table, 0, COUNTER_PICKED);
	}
	return NULL;
}

START_TEST(drawn_tickets_are_all_distinct_and_none_is_skipped)
{
	struct job jobs[DRAWERS] = { { draw, NULL }, { draw, NULL },
		{ draw, NULL } };

	run_together(jobs, DRAWERS);
	ck_assert(!arena.doubled);
	ck_assert(!arena.invented);
	for (size_t i = 0; i < DRAWERS * DRAWS; i++)
		REQUIRE(arena.drawn[i] == 1, "ticket %zu", i);
	ck_assert_uint_eq(health_table_counter(arena.table, 0, COUNTER_PICKED),
	    DRAWERS * DRAWS);
}
END_TEST

static struct address
recipient_of(uint32_t n)
{
	struct address address = { .domain = "example.com",
		.domain_len = strlen("example.com") };

	address.local_len =
	    (size_t)snprintf(address.local, sizeof(address.local), "u%u", n);
	return address;
}

/* Tickets that are left are 1000 times the recipient and something. Thread:
   several. */
static void *
leave_tickets(void *unused)
{
	struct address address;

	(void)unused;
	for (uint32_t n = 0; n < LEAVES; n++) {
		address = recipient_of(n % RECIPIENTS);
		ticket_leave(arena.table, 1, &address,
		    n % RECIPIENTS * 1000 + n / RECIPIENTS, n * 10);
	}
	return NULL;
}

/* Thread: several. */
static void *
find_tickets(void *unused)
{
	struct address address;
	uint32_t ticket, who;

	(void)unused;
	for (uint32_t n = 0; n < LEAVES; n++) {
		who = n % (RECIPIENTS + 50);
		address = recipient_of(who);
		if (!ticket_find(arena.table, 1, &address, &ticket))
			continue;
		arena.found++;
		if (who >= RECIPIENTS || ticket / 1000 != who ||
		    ticket % 1000 > LEAVES / RECIPIENTS)
			arena.invented = true;
	}
	return NULL;
}

START_TEST(no_ticket_is_found_that_was_never_left)
{
	struct job jobs[] = { { leave_tickets, NULL }, { leave_tickets, NULL },
		{ find_tickets, NULL }, { find_tickets, NULL } };

	run_together(jobs, NELEM(jobs));
	ck_assert(!arena.invented);
	(void)find_tickets(NULL);
	ck_assert_uint_gt(arena.found, 0);
	ck_assert(!arena.invented);
}
END_TEST

/* Thread: the writer, while the others use what is there. */
static void *
add_hosts(void *unused)
{
	(void)unused;
	for (uint32_t n = HOSTS; n < 64; n++) {
		(void)scratch_add(arena.table, n);
		(void)health_table_add_set(arena.table, n);
	}
	return NULL;
}

/* Thread: several. */
static void *
find_hosts(void *unused)
{
	struct host host, back;
	uint32_t slot;

	(void)unused;
	for (uint32_t n = 0; n < 64 * 50; n++) {
		host = scratch_host(n % 64);
		slot = health_table_find_host(arena.table, &host);
		if (slot == HEALTH_TABLE_NONE)
			continue;
		if (health_table_host(arena.table, slot, &back) == -1 ||
		    !host_equal(&host, &back))
			arena.torn = true;
		slot = health_table_find_set(arena.table, n % 64);
		if (slot != HEALTH_TABLE_NONE)
			(void)health_table_draw(arena.table, slot, n);
	}
	return NULL;
}

START_TEST(hosts_may_be_added_while_others_look)
{
	struct job jobs[] = { { find_hosts, NULL }, { find_hosts, NULL },
		{ add_hosts, NULL } };

	run_together(jobs, NELEM(jobs));
	ck_assert(!arena.torn);
	for (unsigned i = 0; i < 64; i++)
		REQUIRE(scratch_add(arena.table, i) == i, "host %u", i);
}
END_TEST

/* What the killed leave for the one who looks after them. */
struct witness {
	_Atomic uint32_t started; /* rounds of work, over all lives */
	_Atomic uint32_t doubled;
	uint32_t first_ticket;
	_Atomic unsigned char drawn[MARKS];
};

/* All that a writer does, without end: the parent ends it. */
static void
work(struct witness *witness, struct health_table *table)
{
	struct health_detail detail;
	struct health_override_info info = { .kind = OVERRIDE_DRAIN,
		.reason = "in a hurry" };
	struct address address;
	uint32_t at;

	for (uint32_t n = 0;; n++) {
		at = health_table_draw(table, 0, SCRATCH_NOW_MS) -
		     witness->first_ticket;
		if (at >= MARKS || witness->drawn[at]++ != 0)
			witness->doubled++;
		make_detail(n % 1000000, &detail);
		health_table_write(table, n % HOSTS, &detail);
		scratch_note(table, n % HOSTS, n, n + 1);
		health_table_set_override(table, n % HOSTS, &info);
		address = recipient_of(n % RECIPIENTS);
		ticket_leave(table, 1, &address, n % RECIPIENTS * 1000, n);
		if (n % 16 == 0)
			(void)scratch_add(table, HOSTS + n / 16 % 1000);
		if (n % 16 == 8)
			(void)health_table_add_set(table, 2 + n / 16 % 1000);
		witness->started++;
	}
}

/* Every fourth life replaces the table again and again before it works: each
   opening belongs to another boot. */
static void
live(struct witness *witness, unsigned life)
{
	enum health_table_opened how;
	struct health_table *table = NULL;
	struct scratch *scratch = &arena.scratch;
	unsigned openings = life % 4 == 3 ? 20 : 1;

	for (unsigned i = 0; i < openings; i++) {
		if (table != NULL)
			health_table_close(&table);
		if (openings > 1)
			scratch->birth.boot_id[0] = (uint8_t)i;
		if (health_table_open(scratch->path, &scratch->size,
			&scratch->birth, &table, &how, &scratch->why) == -1)
			_exit(1);
		if (how != HEALTH_TABLE_ATTACHED && how != HEALTH_TABLE_GROWN &&
		    how != HEALTH_TABLE_REBOOTED)
			_exit(2);
		witness->started++;
	}
	work(witness, table);
}

/* What the next worker finds: all is kept, or the times are of another boot. */
static struct health_table *
open_after_death(unsigned life)
{
	enum health_table_opened how;
	struct health_table *table;
	struct scratch *scratch = &arena.scratch;

	REQUIRE(health_table_open(scratch->path, &scratch->size,
		    &scratch->birth, &table, &how, &scratch->why) == 0,
	    "life %u: %s", life, scratch->why.text);
	REQUIRE(how == HEALTH_TABLE_ATTACHED ||
		    (life % 4 == 3 && how == HEALTH_TABLE_REBOOTED),
	    "life %u: opened as %d: %s", life, (int)how, scratch->why.text);
	return table;
}

/* Kills a child at a random moment after it has begun to work. */
static void
one_life(struct witness *witness, unsigned life, uint64_t *state)
{
	uint32_t before = witness->started;
	struct timespec wait = { 0, 0 }, poll = { 0, 20000 };
	pid_t child = fork();
	int status;

	REQUIRE(child != -1, "fork");
	if (child == 0) {
		live(witness, life);
		_exit(3);
	}
	for (int i = 0; i < 500000 && witness->started == before &&
			waitpid(child, &status, WNOHANG) == 0;
	     i++)
		nanosleep(&poll, NULL);
	/* Not a wait for something: where the blow falls is the test. */
	wait.tv_nsec = (long)(scratch_random(state) % 2000000);
	nanosleep(&wait, NULL);
	REQUIRE(kill(child, SIGKILL) == 0, "life %u ended by itself", life);
	REQUIRE(waitpid(child, &status, 0) == child && WIFSIGNALED(status),
	    "life %u: status %d", life, status);
}

static void
judge_after_death(struct witness *witness, unsigned life)
{
	struct health_table *table = open_after_death(life);
	struct health_table_header_info info;
	struct health_detail detail;
	struct health_view view;
	struct health_history list[HEALTH_HISTORY_MAX];
	struct host host;
	uint32_t ticket, n;

	health_table_header(table, &info);
	for (uint32_t i = 0; i < info.hosts_used; i++)
		REQUIRE(health_table_host(table, i, &host) == 0 &&
			    health_table_find_host(table, &host) == i,
		    "life %u: host %u", life, i);
	for (uint32_t i = 0; i < HOSTS; i++) {
		health_table_read(table, i, &detail);
		health_table_view(table, i, 0, &view);
		REQUIRE(detail.health.failures == 0 || detail_is_whole(&detail),
		    "life %u: detail %u", life, i);
		REQUIRE(view.due_ms == detail.health.due_ms, "life %u: word %u",
		    life, i);
		n = health_table_history(table, i, list);
		while (n-- > 0)
			REQUIRE(scratch_is_change(&list[n],
				    (uint32_t)(list[n].at_ms - SCRATCH_NOW_MS)),
			    "life %u: history of %u", life, i);
	}
	for (uint32_t i = 0; i < RECIPIENTS; i++) {
		struct address address = recipient_of(i);

		REQUIRE(!ticket_find(table, 1, &address, &ticket) ||
			    ticket == i * 1000,
		    "life %u: recipient %u has %u", life, i, ticket);
	}
	REQUIRE(witness->doubled == 0, "life %u: drawn twice", life);
	health_table_close(&table);
}

START_TEST(a_writer_killed_at_any_moment_leaves_a_table_that_is_kept)
{
	struct witness *witness = mmap(NULL, sizeof(*witness),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t state = 88172645463325252;

	ck_assert_ptr_ne(witness, MAP_FAILED);
	witness->first_ticket = arena.first_ticket;
	health_table_close(&arena.table);
	for (unsigned life = 0; life < KILLS; life++) {
		one_life(witness, life, &state);
		judge_after_death(witness, life);
	}
	ck_assert_uint_gt(witness->started, KILLS);
	ck_assert_int_eq(munmap(witness, sizeof(*witness)), 0);
	arena.table = scratch_open(&arena.scratch, HEALTH_TABLE_ATTACHED);
}
END_TEST

static Suite *
races_suite(void)
{
	Suite *suite = suite_create("table_races");
	TCase *threads = tcase_create("threads");
	TCase *kills = tcase_create("kills");

	tcase_add_checked_fixture(threads, set_up, tear_down);
	tcase_set_timeout(threads, 300);
	tcase_add_test(threads, no_reader_ever_sees_a_torn_detail_or_override);
	tcase_add_test(
	    threads, drawn_tickets_are_all_distinct_and_none_is_skipped);
	tcase_add_test(threads, no_ticket_is_found_that_was_never_left);
	tcase_add_test(threads, hosts_may_be_added_while_others_look);
	suite_add_tcase(suite, threads);
	tcase_add_checked_fixture(kills, set_up, tear_down);
	tcase_set_timeout(kills, 300);
	tcase_add_test(
	    kills, a_writer_killed_at_any_moment_leaves_a_table_that_is_kept);
	suite_add_tcase(suite, kills);
	return suite;
}

int
main(void)
{
	return suite_run(races_suite());
}
