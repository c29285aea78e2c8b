/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: prober, observer and flusher run on the test's; each server has its
   own. */
#include "milter/prober.h"

#include <check.h>
#include <signal.h>

#include "policy/lookup.h"
#include "tests/unit/learning_scene.h"
#include "tests/unit/suite.h"

#define CLAIM_MS 1500 /* longer than a tick of the prober */

START_TEST(a_message_that_is_taken_ends_the_trial)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	struct snapshot *snapshot;

	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	deliver_well(0);
	ck_assert_int_eq(state_of(0), HEALTH_UP);
	ck_assert_int_eq(count_logged("trial -> up after [0-9.]+ s: 1 good "
				      "delivery$"),
	    1);
	snapshot = snapshot_get();
	ck_assert_uint_eq(health_table_history(snapshot->table,
			      snapshot->base->host_slot[0], list),
	    3);
	snapshot_put(&snapshot);
	ck_assert_uint_eq(list[0].to, HEALTH_UP);
	ck_assert_uint_eq(list[1].to, HEALTH_TRIAL);
	ck_assert_uint_eq(list[2].to, HEALTH_DEFERRED);
	ck_assert_int_eq(list[2].stage, STAGE_END_OF_DATA);
	ck_assert_str_eq(list[2].text, FULL);
	end_learning(2);
}
END_TEST

START_TEST(a_message_that_is_refused_doubles_the_back_off)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	ck_assert_uint_eq(detail_of(0).health.backoff_ms, 400);
	ck_assert_int_eq(count_logged("trial -> deferred for 0.4 s: " FULL), 1);
	end_learning(2);
}
END_TEST

START_TEST(a_host_in_trial_when_the_log_goes_is_the_probes)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	observer_left(observer);
	wait_state(0, HEALTH_UP);
	end_learning(2);
}
END_TEST

/*
 * A message takes the trial, for a shorter time than a ticket would have it,
 * and the prober has noticed that.
 */
static void
try_host(uint32_t host)
{
	struct snapshot *snapshot = snapshot_get();
	uint32_t slot = snapshot->base->host_slot[host];
	uint64_t key = snapshot->config->sets[0].key;
	uint64_t now_ms = clock_boot_ms();

	ck_assert(health_table_claim(
	    snapshot->table, slot, key, 1, now_ms, now_ms + CLAIM_MS));
	health_table_claim_used(snapshot->table, slot, key, 1, now_ms);
	snapshot_put(&snapshot);
	while (!prober->targets[host]->trial_seen)
		turn();
}

static void
wait_claim_over(uint32_t host)
{
	while (prober->targets[host]->trial_seen)
		turn();
}

/* The probes find it well all the while. */
START_TEST(after_three_messages_of_which_nothing_is_heard_the_probe_decides)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	for (int i = 0; i < HEALTH_UNHEARD_MAX; i++) {
		ck_assert_int_eq(state_of(0), HEALTH_TRIAL);
		ck_assert_uint_eq(detail_of(0).health.unheard, (unsigned)i);
		try_host(0);
		wait_claim_over(0);
	}
	ck_assert_int_eq(
	    count_logged("host .*: nothing was heard of the message that "
			 "tried it$"),
	    HEALTH_UNHEARD_MAX - 1);
	ck_assert_int_eq(
	    count_logged("warning: host \\[127.0.0.10\\]:[0-9]+: nothing was "
			 "heard of 3 messages that tried it; .* the probe "
			 "decides now$"),
	    1);
	wait_state(0, HEALTH_UP);
	ck_assert_int_eq(count_logged("trial -> up"), 0);
	end_learning(2);
}
END_TEST

START_TEST(a_message_that_hangs_while_others_are_heard_of_is_a_failure)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	try_host(0);
	deliver_well(1);
	wait_claim_over(0);
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	ck_assert(detail_of(0).health.silent);
	ck_assert_int_eq(count_logged("trial -> deferred for 0.4 s: no word of "
				      "the message that tried it"),
	    1);
	end_learning(2);
}
END_TEST

/* The first rise of them are: by those it could be up. */
START_TEST(steady_good_probes_of_a_blind_host_are_not_worth_the_log)
{
	static const char told[] = "New SMTP DCID [0-9]+ interface [0-9.]+ "
				   "address 127.0.0.10 ";
	uint64_t probes;
	int before;

	begin_learning(2, "", true);
	before = count_logged(told);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	probes = counted(0, COUNTER_OBSERVED_OK);
	while (counted(0, COUNTER_OBSERVED_OK) < probes + 6)
		turn();
	ck_assert_int_ge(count_logged(told), before + 2);
	ck_assert_int_le(count_logged(told), before + 3);
	end_learning(2);
}
END_TEST

START_TEST(a_refused_recipient_leaves_the_trial_to_the_next_message)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	try_host(0);
	refuse(0, "v@example.test", "450 4.7.1 Greylisted", "RCPT TO command");
	wait_claim_over(0);
	ck_assert_int_eq(state_of(0), HEALTH_TRIAL);
	ck_assert_uint_eq(detail_of(0).health.unheard, 0);
	ck_assert_int_eq(count_logged("nothing was heard"), 0);
	try_host(0);
	deliver_well(0);
	ck_assert_int_eq(state_of(0), HEALTH_UP);
	end_learning(2);
}
END_TEST

static Suite *
prober_trial_suite(void)
{
	Suite *suite = suite_create("test_prober_trial");
	TCase *tcase = tcase_create("trial");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_message_that_is_taken_ends_the_trial);
	tcase_add_test(tcase, a_message_that_is_refused_doubles_the_back_off);
	tcase_add_test(tcase, a_host_in_trial_when_the_log_goes_is_the_probes);
	tcase_add_test(tcase,
	    after_three_messages_of_which_nothing_is_heard_the_probe_decides);
	tcase_add_test(
	    tcase, a_message_that_hangs_while_others_are_heard_of_is_a_failure);
	tcase_add_test(
	    tcase, a_refused_recipient_leaves_the_trial_to_the_next_message);
	tcase_add_test(
	    tcase, steady_good_probes_of_a_blind_host_are_not_worth_the_log);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return suite_run(prober_trial_suite());
}
