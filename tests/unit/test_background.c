/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's main one, and the one of the work. */
#include "milter/background.h"

#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/unit/suite.h"

struct seen {
	bool done;
	int priority;
	pthread_t thread;
};

static void
look(void *arg)
{
	struct seen *seen = arg;

	seen->priority = getpriority(PRIO_PROCESS, 0);
	seen->thread = pthread_self();
	seen->done = true;
}

START_TEST(the_work_is_done_on_return_and_gave_way_to_all_others)
{
	struct seen seen = { .done = false };

	background_run(look, &seen);
	ck_assert(seen.done);
	ck_assert_int_eq(seen.priority, 10);
	ck_assert(!pthread_equal(seen.thread, pthread_self()));
}
END_TEST

START_TEST(the_caller_keeps_its_priority)
{
	int before = getpriority(PRIO_PROCESS, 0);
	struct seen seen;

	background_run(look, &seen);
	ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), before);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_background");
	TCase *tcase = tcase_create("background");

	tcase_add_test(
	    tcase, the_work_is_done_on_return_and_gave_way_to_all_others);
	tcase_add_test(tcase, the_caller_keeps_its_priority);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
