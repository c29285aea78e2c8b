/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: prober, observer and flusher run on the test's; each server has its
   own. Deliveries are lines that the test makes up. */
#include "milter/prober.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lookup.h"
#include "tests/unit/learning_scene.h"
#include "tests/unit/suite.h"

START_TEST(waiting_mail_is_flushed_when_the_first_host_is_up_again)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "MAIL FROM command");
	refuse(1, "v@example.test", FULL, "MAIL FROM command");
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	ck_assert_int_eq(state_of(1), HEALTH_DEFERRED);
	wait_flushed("-s example.test\n");
	end_learning(2);
}
END_TEST

START_TEST(nothing_is_flushed_while_another_host_took_the_mail)
{
	char *flushed;

	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "MAIL FROM command");
	wait_state(0, HEALTH_UP);
	run_for(300);
	flushed = scratch_read("flushed");
	ck_assert_str_eq(flushed, "");
	free(flushed);
	end_learning(2);
}
END_TEST

static void
reload(size_t n, const char *more_route)
{
	adopt_learning(n, "", more_route);
	prober_adopt(prober);
}

START_TEST(waiting_mail_is_flushed_when_a_reload_brings_a_host_that_is_up)
{
	begin_learning(2, "", true);
	reload(1, "");
	refuse(0, "u@example.test", FULL, "end of DATA command");
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	reload(2, "");
	wait_flushed("-s example.test\n");
	ck_assert_int_ne(state_of(0), HEALTH_UP);
	end_learning(2);
}
END_TEST

START_TEST(waiting_mail_takes_the_trial_of_a_host_whose_set_a_reload_changed)
{
	begin_learning(2, "", true);
	refuse(1, "u@example.test", FULL, "end of DATA command");
	refuse(0, "u@example.test", FULL, "end of DATA command");
	refuse(0, "v@example.test", FULL, "end of DATA command");
	reload(1, "");
	wait_flushed("-i 4C");
	ck_assert_int_eq(count_logged("-> up"), 0);
	end_learning(2);
}
END_TEST

START_TEST(waiting_mail_is_flushed_when_a_reload_makes_its_hosts_usable)
{
	begin_learning(2, "", true);
	family = "ipv6";
	reload(2, "");
	refuse(0, "u@example.test", FULL, "end of DATA command");
	ck_assert_int_eq(state_of(1), HEALTH_UP);
	family = "any";
	reload(2, "");
	wait_flushed("-s example.test\n");
	ck_assert_int_ne(state_of(0), HEALTH_UP);
	end_learning(2);
}
END_TEST

START_TEST(a_reload_that_changes_nothing_flushes_nothing)
{
	char *flushed;

	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "MAIL FROM command");
	reload(2, "when_all_deferred = \"hold\";");
	run_for(300);
	flushed = scratch_read("flushed");
	ck_assert_str_eq(flushed, "");
	free(flushed);
	end_learning(2);
}
END_TEST

/* What was planned when it was up is nothing for hosts that none can use. */
START_TEST(a_reload_that_leaves_no_usable_host_ends_what_was_planned)
{
	char *flushed;

	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "MAIL FROM command");
	refuse(1, "v@example.test", FULL, "MAIL FROM command");
	wait_flushed("-s example.test\n");
	family = "ipv6";
	reload(2, "");
	scratch_write("flushed", "");
	refuse(0, "w@example.test", FULL, "MAIL FROM command");
	run_for(300);
	flushed = scratch_read("flushed");
	ck_assert_str_eq(flushed, "");
	free(flushed);
	end_learning(2);
}
END_TEST

/* The ticket that the recipient of a queued message has, offers the host. */
START_TEST(a_queued_message_is_asked_for_when_no_new_mail_takes_the_trial)
{
	struct lookup_answer answer;
	struct snapshot *snapshot;

	begin_learning(1, "when_all_deferred = \"hold\";", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	refuse(0, "v@example.test", FULL, "end of DATA command");
	wait_flushed("-i 4C");
	ck_assert_int_eq(state_of(0), HEALTH_TRIAL);
	snapshot = snapshot_get();
	ck_assert_int_eq(lookup_recipient(snapshot->base, "u@example.test", 14,
			     clock_boot_ms(), &answer),
	    LOOKUP_HOSTS);
	ck_assert_int_eq(lookup_with_ticket(snapshot->base, 0,
			     answer.ticket + 1, clock_boot_ms(), &answer),
	    LOOKUP_HOLD);
	snapshot_put(&snapshot);
	end_learning(1);
}
END_TEST

/* The message that was asked for does not come; the host may be tried. */
START_TEST(new_mail_does_not_wait_for_a_queued_message_that_does_not_come)
{
	struct lookup_answer answer;
	struct snapshot *snapshot;
	uint32_t ticket;

	begin_learning(1, "when_all_deferred = \"hold\";", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	refuse(0, "v@example.test", FULL, "end of DATA command");
	wait_flushed("-i 4C");
	snapshot = snapshot_get();
	ck_assert(lookup_draw(snapshot->base, 0, clock_boot_ms(), &ticket));
	ck_assert_int_eq(lookup_with_ticket(snapshot->base, 0, ticket,
			     clock_boot_ms(), &answer),
	    LOOKUP_HOSTS);
	ck_assert_int_eq(lookup_recipient(snapshot->base, "u@example.test", 14,
			     clock_boot_ms(), &answer),
	    LOOKUP_HOLD);
	snapshot_put(&snapshot);
	end_learning(1);
}
END_TEST

static Suite *
prober_waiting_suite(void)
{
	Suite *suite = suite_create("test_prober_waiting");
	TCase *tcase = tcase_create("waiting");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(
	    tcase, waiting_mail_is_flushed_when_the_first_host_is_up_again);
	tcase_add_test(
	    tcase, nothing_is_flushed_while_another_host_took_the_mail);
	tcase_add_test(tcase,
	    waiting_mail_is_flushed_when_a_reload_brings_a_host_that_is_up);
	tcase_add_test(tcase,
	    waiting_mail_takes_the_trial_of_a_host_whose_set_a_reload_changed);
	tcase_add_test(tcase,
	    waiting_mail_is_flushed_when_a_reload_makes_its_hosts_usable);
	tcase_add_test(tcase, a_reload_that_changes_nothing_flushes_nothing);
	tcase_add_test(
	    tcase, a_reload_that_leaves_no_usable_host_ends_what_was_planned);
	tcase_add_test(tcase,
	    a_queued_message_is_asked_for_when_no_new_mail_takes_the_trial);
	tcase_add_test(tcase,
	    new_mail_does_not_wait_for_a_queued_message_that_does_not_come);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return suite_run(prober_waiting_suite());
}
