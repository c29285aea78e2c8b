/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/ticket.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000)
#define NOW_MS (3600 * SECOND)
#define BOOT_ID                                                                \
	{                                                                      \
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16          \
	}

static char directory[] = "/tmp/test_ticket.XXXXXX";
static char path[64];
static struct health_table *table;
static struct hash_key new_key = { 0x1234, 0x5678 }; /* for a new table */

/* For checks in inner loops: Check's own leave a mark in a file each time. */
#define REQUIRE(ok, ...)                                                       \
	do {                                                                   \
		if (!(ok))                                                     \
			ck_abort_msg(__VA_ARGS__);                             \
	} while (0)

static void
open_table(uint32_t tickets, enum health_table_opened expected)
{
	struct health_table_size size = { 4, 4, tickets };
	struct health_table_birth birth = { .boot_id = BOOT_ID,
		.ticket_key = new_key,
		.pid = 1,
		.now_ms = NOW_MS };
	enum health_table_opened how;
	struct err why;

	if (health_table_open(path, &size, &birth, &table, &how, &why) == -1)
		ck_abort_msg("%s", why.text);
	ck_assert_int_eq(how, expected);
}

static void
set_up(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/table", directory);
	open_table(1024, HEALTH_TABLE_CREATED);
}

static void
tear_down(void)
{
	health_table_close(&table);
	(void)unlink(path);
	(void)rmdir(directory);
}

static struct address
recipient_of(const char *local, const char *domain)
{
	struct address address = { .local_len = strlen(local),
		.domain_len = strlen(domain) };

	strcpy(address.local, local);
	strcpy(address.domain, domain);
	return address;
}

static struct address
recipient_number(unsigned n)
{
	char local[16];

	snprintf(local, sizeof(local), "u%u", n);
	return recipient_of(local, "example.com");
}

START_TEST(a_ticket_that_was_left_is_found)
{
	struct address a = recipient_of("a", "example.com");
	uint32_t ticket = 99;

	ck_assert(!ticket_find(table, 1, &a, &ticket));
	ck_assert_uint_eq(ticket, 99);
	ticket_leave(table, 1, &a, 17, NOW_MS);
	ck_assert(ticket_find(table, 1, &a, &ticket));
	ck_assert_uint_eq(ticket, 17);
}
END_TEST

static const uint32_t extremes[] = { 0, 1, INT32_MAX, UINT32_MAX };
static const uint64_t moments[] = { 0, 1, 999, 4294967294 * SECOND,
	4294967295 * SECOND, 4294967296 * SECOND, UINT64_MAX };

START_TEST(every_ticket_can_be_left_at_every_time)
{
	struct address a = recipient_of("a", "example.com");
	uint32_t ticket;

	for (size_t i = 0; i < NELEM(moments); i++) {
		ticket = ~extremes[_i];
		ticket_leave(table, 1, &a, extremes[_i], moments[i]);
		ck_assert(ticket_find(table, 1, &a, &ticket));
		ck_assert_uint_eq(ticket, extremes[_i]);
	}
}
END_TEST

START_TEST(the_newest_ticket_of_a_recipient_counts)
{
	struct address a = recipient_of("a", "example.com");
	uint32_t ticket;

	for (uint32_t i = 0; i < 1000; i++) {
		ticket_leave(table, 1, &a, i, NOW_MS + i);
		REQUIRE(ticket_find(table, 1, &a, &ticket) && ticket == i,
		    "ticket %u after %u", ticket, i);
	}
}
END_TEST

static const struct {
	const char *local, *domain;
	uint64_t set;
} others[] = {
	{ "b", "example.com", 1 },
	{ "A", "example.com", 1 },
	{ "a", "example.org", 1 },
	{ "a", "example.com", 2 },
	{ "", "aexample.com", 1 },
	{ "ae", "xample.com", 1 },
	{ "aexample.com", "", 1 },
	{ "a@example.com", "", 1 },
	{ "", "", 0 },
};

START_TEST(another_recipient_or_set_finds_nothing)
{
	struct address a = recipient_of("a", "example.com");
	struct address b = recipient_of(others[_i].local, others[_i].domain);
	uint32_t ticket;

	ticket_leave(table, 1, &a, 17, NOW_MS);
	ck_assert(!ticket_find(table, others[_i].set, &b, &ticket));
}
END_TEST

START_TEST(a_local_part_counts_by_its_length_not_to_a_zero)
{
	struct address a = recipient_of("ab", "example.com"), b = a;
	uint32_t ticket;

	b.local_len = 1;
	ticket_leave(table, 1, &a, 17, NOW_MS);
	ck_assert(!ticket_find(table, 1, &b, &ticket));
}
END_TEST

/* 1024 entries: a tenth more than half of them seldom fill a bucket of 8. */
START_TEST(a_table_half_full_forgets_next_to_nothing)
{
	unsigned found = 0;
	uint32_t ticket;

	for (unsigned i = 0; i < 512; i++) {
		struct address a = recipient_number(i);

		ticket_leave(table, 1, &a, i, NOW_MS + i);
	}
	for (unsigned i = 0; i < 512; i++) {
		struct address a = recipient_number(i);

		if (!ticket_find(table, 1, &a, &ticket))
			continue;
		REQUIRE(ticket == i, "u%u has ticket %u", i, ticket);
		found++;
	}
	ck_assert_uint_ge(found, 495);
}
END_TEST

/* How many of the tickets first .. first + n - 1 are still there. */
static unsigned
count_found(unsigned first, unsigned n)
{
	unsigned found = 0;
	uint32_t ticket;

	for (unsigned i = first; i < first + n; i++) {
		struct address a = recipient_number(i);

		if (ticket_find(table, 1, &a, &ticket)) {
			REQUIRE(ticket == i, "u%u has ticket %u", i, ticket);
			found++;
		}
	}
	return found;
}

static const uint64_t beginnings[] = { NOW_MS, 4294966296 * SECOND,
	4294967200 * SECOND };

/* Ten times the capacity, a second apart, also across the wrap of the seconds:
   the newest quarter is all there, the oldest half is all gone. */
START_TEST(the_oldest_goes_out)
{
	for (unsigned i = 0; i < 10240; i++) {
		struct address a = recipient_number(i);

		ticket_leave(table, 1, &a, i, beginnings[_i] + i * SECOND);
	}
	ck_assert_uint_ge(count_found(10240 - 256, 256), 254);
	ck_assert_uint_eq(count_found(0, 5120), 0);
	ck_assert_uint_ge(count_found(0, 10240), 1000);
}
END_TEST

START_TEST(a_rush_within_one_second_fills_all_ways)
{
	for (unsigned i = 0; i < 20480; i++) {
		struct address a = recipient_number(i);

		ticket_leave(table, 1, &a, i, NOW_MS);
	}
	ck_assert_uint_ge(count_found(0, 20480), 1020);
	ck_assert_uint_ge(count_found(20480 - 256, 256), 200);
}
END_TEST

START_TEST(who_is_a_second_ahead_is_not_taken_for_old)
{
	struct address a = recipient_of("ahead", "example.com");
	uint32_t ticket;

	health_table_close(&table);
	ck_assert_int_eq(unlink(path), 0);
	open_table(8, HEALTH_TABLE_CREATED);
	for (unsigned i = 0; i < 7; i++) {
		struct address old = recipient_number(i);

		ticket_leave(table, 1, &old, i, NOW_MS - 60 * SECOND);
	}
	ticket_leave(table, 1, &a, 42, NOW_MS + SECOND);
	for (unsigned i = 100; i < 107; i++) {
		struct address new = recipient_number(i);

		ticket_leave(table, 1, &new, i, NOW_MS);
	}
	ck_assert(ticket_find(table, 1, &a, &ticket));
	ck_assert_uint_eq(ticket, 42);
}
END_TEST

/* What a torn pair looks like: a word of one entry beside a word of another. */
START_TEST(a_torn_pair_reads_as_a_miss)
{
	struct address a = recipient_of("a", "example.com");
	struct hash_key key;
	struct words {
		uint64_t mixed, value;
	} * slots;
	uint32_t n, ticket;

	ticket_leave(table, 1, &a, 17, NOW_MS);
	slots = (void *)health_table_tickets(table, &n, &key);
	ck_assert_uint_eq(n, 1024);
	for (uint32_t i = 0; i < n; i++) {
		if (slots[i].value != 0)
			slots[i].value ^= UINT64_C(1) << (32 + _i);
	}
	ck_assert(!ticket_find(table, 1, &a, &ticket));
	ticket_leave(table, 1, &a, 18, NOW_MS);
	ck_assert(ticket_find(table, 1, &a, &ticket));
	ck_assert_uint_eq(ticket, 18);
}
END_TEST

START_TEST(random_words_are_no_tickets)
{
	struct hash_key key;
	uint64_t *words, state = 88172645463325252;
	uint32_t n, ticket;

	words = (void *)health_table_tickets(table, &n, &key);
	for (uint32_t i = 0; i < 2 * n; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[i] = state;
	}
	ck_assert_uint_eq(count_found(0, 5000), 0);
	for (unsigned i = 0; i < 100; i++) {
		struct address a = recipient_number(i);

		ticket_leave(table, 1, &a, i, NOW_MS);
		REQUIRE(ticket_find(table, 1, &a, &ticket) && ticket == i,
		    "u%u", i);
	}
}
END_TEST

static const struct {
	uint32_t wanted, given;
} capacities[] = {
	{ 0, 8 },
	{ 1, 8 },
	{ 8, 8 },
	{ 9, 16 },
	{ 1000, 1024 },
	{ 1025, 2048 },
	{ 65536, 65536 },
};

START_TEST(capacity_is_a_power_of_two_of_at_least_eight)
{
	struct hash_key key;
	uint32_t n;

	health_table_close(&table);
	ck_assert_int_eq(unlink(path), 0);
	open_table(capacities[_i].wanted, HEALTH_TABLE_CREATED);
	(void)health_table_tickets(table, &n, &key);
	ck_assert_uint_eq(n, capacities[_i].given);
}
END_TEST

START_TEST(growing_keeps_every_ticket_of_a_full_table)
{
	unsigned before;

	for (unsigned i = 0; i < 3000; i++) {
		struct address a = recipient_number(i);

		ticket_leave(table, 1, &a, i, NOW_MS + i * 100);
	}
	before = count_found(0, 3000);
	ck_assert_uint_ge(before, 1000);
	health_table_close(&table);
	new_key.k0++; /* each life offers another; the old one stays */
	open_table(5000, HEALTH_TABLE_GROWN);
	ck_assert_uint_eq(count_found(0, 3000), before);
}
END_TEST

static Suite *
ticket_suite(void)
{
	Suite *suite = suite_create("ticket");
	TCase *all = tcase_create("tickets");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, a_ticket_that_was_left_is_found);
	tcase_add_loop_test(all, every_ticket_can_be_left_at_every_time, 0,
	    (int)NELEM(extremes));
	tcase_add_test(all, the_newest_ticket_of_a_recipient_counts);
	tcase_add_loop_test(
	    all, another_recipient_or_set_finds_nothing, 0, (int)NELEM(others));
	tcase_add_test(all, a_local_part_counts_by_its_length_not_to_a_zero);
	tcase_add_test(all, a_table_half_full_forgets_next_to_nothing);
	tcase_add_loop_test(
	    all, the_oldest_goes_out, 0, (int)NELEM(beginnings));
	tcase_add_test(all, a_rush_within_one_second_fills_all_ways);
	tcase_add_test(all, who_is_a_second_ahead_is_not_taken_for_old);
	tcase_add_loop_test(all, a_torn_pair_reads_as_a_miss, 0, 32);
	tcase_add_test(all, random_words_are_no_tickets);
	tcase_add_loop_test(all, capacity_is_a_power_of_two_of_at_least_eight,
	    0, (int)NELEM(capacities));
	tcase_add_test(all, growing_keeps_every_ticket_of_a_full_table);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(ticket_suite());
}
