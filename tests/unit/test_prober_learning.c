/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: prober, observer and flusher run on the test's; each server has its
   own. */
#include "milter/prober.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/learning_scene.h"
#include "tests/unit/suite.h"

START_TEST(one_refused_message_defers_the_host_before_any_probe)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	ck_assert_int_eq(state_of(1), HEALTH_UP);
	ck_assert_int_eq(
	    count_logged("host \\[127.0.0.10\\]:[0-9]+ up -> deferred for "
			 "0.2 s: " FULL
			 " \\(end-of-data, delivery, failure 1\\); no probe "
			 "sees that: one message will try it$"),
	    1);
	end_learning(2);
}
END_TEST

/* Some scanners and firewalls drop every session with a certain message. */
START_TEST(one_message_takes_each_host_away_once)
{
	static const char dropped[] =
	    "while sending end of data -- message may be sent more than once";
	char address[ENDPOINT_TEXT_MAX], reason[256];

	begin_learning(2, "", true);
	for (int i = 0; i < 4; i++) {
		next_message = 41; /* the same one */
		(void)endpoint_text(&servers[0].endpoint, address);
		(void)snprintf(reason, sizeof(reason),
		    "lost connection with %s[%s] %s", address, address,
		    dropped);
		deliver(0, "v@example.test", "deferred", reason);
		ck_assert_int_eq(
		    state_of(0), i == 0 ? HEALTH_DEFERRED : HEALTH_UP);
		next_message = 100;
		if (i == 0)
			wait_state(0, HEALTH_TRIAL);
		deliver_well(0);
	}
	ck_assert_int_eq(count_logged("-> deferred"), 1);
	next_message = 42;
	deliver(0, "v@example.test", "deferred", reason);
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	end_learning(2);
}
END_TEST

START_TEST(good_probes_do_not_end_what_they_cannot_see)
{
	uint64_t probes;

	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	probes = counted(0, COUNTER_OBSERVED_OK);
	while (counted(0, COUNTER_OBSERVED_OK) < probes + 4)
		turn();
	ck_assert_int_ne(state_of(0), HEALTH_UP);
	ck_assert_int_eq(
	    count_logged("the probe finds it well, deliveries do not"), 1);
	end_learning(2);
}
END_TEST

START_TEST(where_nobody_observes_deliveries_the_probe_decides)
{
	begin_learning(2, "", false);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	wait_state(0, HEALTH_UP);
	ck_assert_int_eq(count_logged("trial"), 0);
	end_learning(2);
}
END_TEST

/* A message claims the trial, for a moment, and meets the host. */
static void
claim_trial(uint32_t host)
{
	struct snapshot *snapshot = snapshot_get();
	uint32_t slot = snapshot->base->host_slot[host];
	uint64_t key = snapshot->config->sets[0].key, now_ms = clock_boot_ms();

	ck_assert(health_table_claim(
	    snapshot->table, slot, key, 7, now_ms, now_ms + 1500));
	health_table_claim_used(snapshot->table, slot, key, 7, now_ms);
	snapshot_put(&snapshot);
	while (!prober->targets[host]->trial_seen)
		turn();
}

static void
wait_claim_over(uint32_t host)
{
	struct snapshot *snapshot = snapshot_get();
	uint32_t slot = snapshot->base->host_slot[host];

	while (health_table_claim_state(
		   snapshot->table, slot, clock_boot_ms()) != CLAIM_NONE)
		turn();
	snapshot_put(&snapshot);
}

static const struct {
	const char *reply; /* NULL: no word */
	int hangs;
} words[] = {
	{ NULL, 1 },
	{ "452 4.5.3 Too many recipients", 0 },
	{ "452 4.3.4 Message too big", 0 },
	{ "450 4.1.8 Sender's domain not found", 0 },
	{ "450 4.7.1 Greylisted", 0 },
};

/* Whatever it says: it answered, and does not hang. */
START_TEST(a_trial_of_which_a_word_is_heard_does_not_hang)
{
	begin_learning(2, "", true);
	refuse(0, "u@example.test", FULL, "end of DATA command");
	wait_state(0, HEALTH_TRIAL);
	claim_trial(0);
	deliver_well(1);
	if (words[_i].reply != NULL)
		refuse(0, "v@example.test", words[_i].reply, "RCPT TO command");
	wait_claim_over(0);
	ck_assert_int_eq(count_logged("trial -> deferred for .*: no word of "
				      "the message that tried it"),
	    words[_i].hangs);
	end_learning(2);
}
END_TEST

static const struct script refuses_mail = {
	.greeting = "220 server.test ESMTP\r\n",
	.ehlo = "250 server.test\r\n",
	.mail = "451 4.3.0 Not from you\r\n",
};

START_TEST(deliveries_overrule_a_probe_that_is_not_welcome)
{
	uint64_t before;

	begin_learning(1, "", true);
	atomic_store(&servers[0].script, &refuses_mail);
	wait_state(0, HEALTH_DEFERRED);
	while (state_of(0) != HEALTH_UP)
		deliver_well(0);
	ck_assert_int_eq(count_logged("warning: host .*: deliveries find it "
				      "well, the probe does not: failed probes "
				      "from MAIL on do not count$"),
	    1);
	before = counted(0, COUNTER_OBSERVED_FAILED);
	while (counted(0, COUNTER_OBSERVED_FAILED) < before + 3)
		turn();
	ck_assert_int_eq(state_of(0), HEALTH_UP);
	/* What is shown of the host is not the probe's trouble. */
	ck_assert_int_eq(detail_of(0).last.source, SOURCE_DELIVERY);
	ck_assert_int_eq(count_logged("deliveries find it well"), 1);
	end_learning(1);
}
END_TEST

START_TEST(personal_refusals_never_touch_the_state)
{
	static const char *const replies[] = { "452 4.2.2 Mailbox full",
		"450 4.2.1 Mailbox busy", "450 4.7.1 Greylisted",
		"550 5.1.1 No such user", "450 4.1.1 Not now" };

	begin_learning(2, "", true);
	for (size_t i = 0; i < NELEM(replies); i++) {
		refuse(0, "u@example.test", replies[i], "RCPT TO command");
		ck_assert_int_eq(state_of(0), HEALTH_UP);
	}
	end_learning(2);
}
END_TEST

START_TEST(five_recipients_in_a_row_are_the_hosts_trouble)
{
	char recipient[64];

	begin_learning(2, "", true);
	for (int i = 0; i < DELIVERY_ROW; i++) {
		ck_assert_int_eq(state_of(0), HEALTH_UP);
		(void)snprintf(
		    recipient, sizeof(recipient), "u%d@example.test", i);
		refuse(0, recipient, "451 Try later", "RCPT TO command");
	}
	ck_assert_int_eq(state_of(0), HEALTH_DEFERRED);
	end_learning(2);
}
END_TEST

START_TEST(a_sender_that_hosts_do_not_like_is_not_their_trouble)
{
	char recipient[64];

	begin_learning(2, "", true);
	for (int i = 0; i < 2 * DELIVERY_ROW; i++) {
		(void)snprintf(
		    recipient, sizeof(recipient), "u%d@example.test", i);
		refuse(0, recipient,
		    "450 4.1.8 <x@nowhere.test>: Sender address rejected: "
		    "Domain not found",
		    "RCPT TO command");
	}
	ck_assert_int_eq(state_of(0), HEALTH_UP);
	end_learning(2);
}
END_TEST

/* Among strangers who never come back somebody known passes now and then. */
START_TEST(greylisting_of_everybody_is_one_warning)
{
	char recipient[64];

	begin_learning(2, "", true);
	for (int i = 0; i < 4 * DELIVERY_SHY_ROW; i++) {
		if (i == 2 * DELIVERY_SHY_ROW)
			deliver_well(0);
		(void)snprintf(
		    recipient, sizeof(recipient), "u%d@example.test", i);
		refuse(0, recipient, "450 4.7.1 Greylisted", "RCPT TO command");
	}
	ck_assert_int_eq(state_of(0), HEALTH_UP);
	ck_assert_int_eq(count_logged("warning: host .*puts everybody off.*"
				      "450 4.7.1 Greylisted"),
	    1);
	end_learning(2);
}
END_TEST

/* A name with two addresses one of which is dead: each message tells. */
START_TEST(doubts_send_for_one_probe_an_interval)
{
	struct prober_target *target;
	int before;

	begin_learning(2, "", true);
	adopt("30.0", servers, 2);
	prober_adopt(prober);
	target = prober->targets[0];
	target->addresses = calloc(1, sizeof(*target->addresses));
	ck_assert_ptr_nonnull(target->addresses);
	target->addresses->n = 2;
	while (target->run != NULL)
		turn();
	before = count_logged("New SMTP DCID");
	for (int i = 0; i < 10; i++) {
		refuse(0, "u@example.test", FULL, "MAIL FROM command");
		deliver_well(0);
		while (target->run != NULL)
			turn();
	}
	ck_assert_int_eq(state_of(0), HEALTH_UP);
	ck_assert_int_eq(count_logged("New SMTP DCID") - before, 1);
	end_learning(2);
}
END_TEST

/* The end of the prober turns the loop while a name is being asked for. */
START_TEST(a_line_that_comes_when_all_ends_reaches_no_host_that_is_gone)
{
	struct delivery_calls calls;
	char path[SCRATCH_PATH_MAX], text[CONFIG_MAX];
	struct err err;

	begin(CONFIG_LOG_INFO);
	scratch_write("mail", "");
	(void)snprintf(text, sizeof(text),
	    PATIENT "delivery = { logs = [ \"%s\" ]; };\n"
		    "routes = ( { domain = \"example.test\"; hosts = ( "
		    "{ host = \"mx.example.test\"; } ); } );\n",
	    "0.1", scratch_path("mail", path));
	adopt_text(text);
	ck_assert_int_eq(prober_create(base, &prober, &err), 0);
	calls = prober_delivery_calls(prober);
	ck_assert_int_eq(observer_create(base, &calls, &observer, &err), 0);
	ck_assert_int_eq(flusher_create(base, &flusher, &err), 0);
	prober_connect(prober, observer, flusher);
	prober_adopt(prober);
	scratch_write("mail",
	    "Nov 28 07:17:39 mta postfix/smtp[1]: 4C00001: "
	    "to=<u@example.test>, relay=mx.example.test[127.0.0.10]:25, "
	    "delay=0.1, delays=0.02/0.01/0.03/0.04, dsn=2.0.0, status=sent "
	    "(250 2.0.0 Ok)\n");
	prober_free(&prober);
	observer_free(&observer);
	flusher_free(&flusher);
	end();
}
END_TEST

static Suite *
prober_learning_suite(void)
{
	Suite *suite = suite_create("test_prober_learning");
	TCase *tcase = tcase_create("learning");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(
	    tcase, one_refused_message_defers_the_host_before_any_probe);
	tcase_add_test(tcase, one_message_takes_each_host_away_once);
	tcase_add_test(tcase, good_probes_do_not_end_what_they_cannot_see);
	tcase_add_test(
	    tcase, where_nobody_observes_deliveries_the_probe_decides);
	tcase_add_loop_test(tcase,
	    a_trial_of_which_a_word_is_heard_does_not_hang, 0, NELEM(words));
	tcase_add_test(tcase, deliveries_overrule_a_probe_that_is_not_welcome);
	tcase_add_test(tcase, personal_refusals_never_touch_the_state);
	tcase_add_test(tcase, five_recipients_in_a_row_are_the_hosts_trouble);
	tcase_add_test(
	    tcase, a_sender_that_hosts_do_not_like_is_not_their_trouble);
	tcase_add_test(tcase, greylisting_of_everybody_is_one_warning);
	tcase_add_test(tcase, doubts_send_for_one_probe_an_interval);
	tcase_add_test(tcase,
	    a_line_that_comes_when_all_ends_reaches_no_host_that_is_gone);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return suite_run(prober_learning_suite());
}
