/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/due_heap.h"

#include <check.h>
#include <stdlib.h>

#include "tests/unit/suite.h"

#define MANY 1000

static struct due_heap heap;
static struct due things[MANY];

static void
begin(void)
{
	heap = (struct due_heap){ .list = NULL };
	for (int i = 0; i < MANY; i++)
		things[i] = (struct due){ .kind = (uint32_t)i };
}

static void
end(void)
{
	due_heap_clear(&heap);
}

static struct due *
pop(void)
{
	struct due *first = due_heap_first(&heap);

	ck_assert_ptr_nonnull(first);
	ck_assert(due_is_in(first));
	due_heap_remove(&heap, first);
	ck_assert(!due_is_in(first));
	return first;
}

/* Takes everything out: n things, each not before the one before it. */
static void
check_order(uint32_t n)
{
	uint64_t last_ms = 0;

	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_ge(due_heap_first(&heap)->at_ms, last_ms);
		last_ms = pop()->at_ms;
	}
	ck_assert_ptr_null(due_heap_first(&heap));
}

START_TEST(an_empty_heap_has_nothing)
{
	ck_assert_ptr_null(due_heap_first(&heap));
	due_heap_remove(&heap, &things[0]);
	ck_assert(!due_is_in(&things[0]));
}
END_TEST

START_TEST(what_is_due_first_comes_first)
{
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(
		    due_heap_put(&heap, &things[i], i * 7919u % MANY), 0);
	ck_assert_uint_eq(due_heap_first(&heap)->kind, 0);
	check_order(MANY);
}
END_TEST

START_TEST(things_can_be_moved_to_and_fro)
{
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(due_heap_put(&heap, &things[i], MANY), 0);
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(due_heap_put(&heap, &things[i],
				     i % 2 ? i * 31u % 500 : MANY + i),
		    0);
	check_order(MANY);
}
END_TEST

START_TEST(things_can_be_taken_out_anywhere)
{
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(
		    due_heap_put(&heap, &things[i], i * 613u % MANY), 0);
	for (uint32_t i = 0; i < MANY; i += 3)
		due_heap_remove(&heap, &things[i]);
	check_order(MANY - (MANY + 2) / 3);
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert(!due_is_in(&things[i]));
}
END_TEST

/* A small heap in which every place has been the one that moved. */
START_TEST(any_order_of_putting_and_taking_out_keeps_the_order)
{
	unsigned random = 1;
	uint32_t n = 0;

	for (int step = 0; step < 20000; step++) {
		struct due *due =
		    &things[(random = random * 1103515245u + 12345u) / 65536 %
			    16];

		if (random % 8 < 3) {
			n -= due_is_in(due);
			due_heap_remove(&heap, due);
		} else {
			n += !due_is_in(due);
			ck_assert_int_eq(
			    due_heap_put(&heap, due, random / 256 % 32), 0);
		}
		ck_assert_uint_eq(heap.n, n);
		for (uint32_t i = 0; i < n; i++) {
			ck_assert_uint_eq(heap.list[i]->place, i + 1);
			ck_assert_uint_ge(heap.list[i]->at_ms,
			    heap.list[i > 0 ? (i - 1) / 2 : 0]->at_ms);
		}
	}
	check_order(n);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_due_heap");
	TCase *tcase = tcase_create("heap");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, an_empty_heap_has_nothing);
	tcase_add_test(tcase, what_is_due_first_comes_first);
	tcase_add_test(tcase, things_can_be_moved_to_and_fro);
	tcase_add_test(tcase, things_can_be_taken_out_anywhere);
	tcase_add_test(
	    tcase, any_order_of_putting_and_taking_out_keeps_the_order);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
