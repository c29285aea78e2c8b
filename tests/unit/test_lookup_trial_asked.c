/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/lookup.h"

#include <check.h>
#include <stdlib.h>

#include "policy/route.h"
#include "tests/unit/suite.h"
#include "tests/unit/trial_scene.h"

/* -- questions ------------------------------------------------------------ */

START_TEST(a_question_claims_when_the_hosts_patience_is_over)
{
	struct lookup_answer answer;

	set_scene("hold", 10, HEALTH_DEFERRED);
	world.now_ms += PATIENT_MS - 1;
	answer = world_ask(TO);
	ck_assert_int_eq(answer.kind, LOOKUP_HOLD);
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world.now_ms += 1;
	answer = world_ask(TO);
	ck_assert_int_eq(answer.ticket_from, TICKET_HASH);
	ck_assert_int_eq(answer.kind, LOOKUP_HOSTS);
	LISTS(answer, A ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_WEAK);
	/* smtpd asked; qmgr asks for the same recipient. */
	world.now_ms += 100;
	LISTS(world_ask(TO), A ":25");
	ck_assert_int_eq(world_ask("other@example.com").kind, LOOKUP_HOLD);
	world.now_ms += LOOKUP_CLAIM_MS;
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	LISTS(world_ask("other@example.com"), A ":25");
	world_teardown();
}
END_TEST

START_TEST(mail_that_is_tried_again_claims_with_its_old_ticket)
{
	struct lookup_answer answer;

	set_scene("try", 10, HEALTH_DEFERRED);
	world_set_state(A, HEALTH_DEFERRED, world.now_ms + 1000);
	(void)message_to(TO);
	world.now_ms += 3600000;
	world_set_state(A, HEALTH_TRIAL, world.now_ms);
	answer = world_ask(TO);
	ck_assert_int_eq(answer.ticket_from, TICKET_FOUND);
	LISTS(answer, A ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_WEAK);
	world_teardown();
}
END_TEST

START_TEST(a_message_drawn_after_its_own_question_has_the_claim)
{
	uint32_t ticket;

	set_scene("try", 10, HEALTH_UP);
	(void)message_to(TO);
	health_table_release(world.table, world_slot(A));
	world.now_ms += PATIENT_MS;
	/* smtpd asks for a new message and finds the old one's ticket. */
	LISTS(world_ask(TO), A ":25 " B ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_WEAK);
	ck_assert(with_ticket(0).trial_open);
	ticket = message_to(TO);
	ck_assert_int_eq(claim_of(A), CLAIM_OPEN);
	ck_assert_uint_eq(world_ask(TO).ticket, ticket);
	LISTS(world_ask(TO), A ":25 " B ":25");
	world.now_ms += LOOKUP_CLAIM_MS;
	ck_assert_int_eq(claim_of(A), CLAIM_OVER);
	world_teardown();
}
END_TEST

START_TEST(a_question_that_lives_on_anothers_ticket_claims_nothing)
{
	struct lookup_answer answer;

	set_scene("try", 10, HEALTH_UP);
	world.now_ms += PATIENT_MS;
	(void)message_to(TO);
	health_table_release(world.table, world_slot(A));
	answer = world_ask("member@example.com");
	ck_assert_int_eq(answer.ticket_from, TICKET_LAST);
	LISTS(answer, B ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world.now_ms += LOOKUP_STAND_IN_MS;
	LISTS(world_ask("member@example.com"), A ":25 " B ":25");
	world_teardown();
}
END_TEST

START_TEST(a_backup_behind_hosts_that_are_up_is_not_claimed_by_a_question)
{
	set_scene("try", 0, HEALTH_UP);
	world.now_ms += PATIENT_MS;
	LISTS(world_ask(TO), B ":25 " A ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world_set_state(B, HEALTH_DEFERRED, world.now_ms + 1000);
	LISTS(world_ask(TO), A ":25");
	world_teardown();
}
END_TEST

START_TEST(a_tool_claims_nothing_and_uses_nothing)
{
	uint32_t ticket;

	set_scene("hold", 10, HEALTH_DEFERRED);
	world.now_ms += PATIENT_MS;
	lookup_base_free(&world.base);
	world_bind(false);
	ck_assert_int_eq(world_ask(TO).kind, LOOKUP_HOLD);
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	ticket = message_to(TO);
	ck_assert_uint_eq(world_ask(TO).ticket, ticket);
	LISTS(world_ask(TO), A ":25");
	(void)with_ticket(ticket);
	world.now_ms += LOOKUP_CLAIM_MS;
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world_teardown();
}
END_TEST

/* -- queued mail ---------------------------------------------------------- */

START_TEST(a_ticket_for_queued_mail_is_drawn_only_when_it_gets_the_claim)
{
	struct address to = world_address(TO);
	uint32_t ticket, cursor;

	set_scene("hold", 10, HEALTH_DEFERRED);
	cursor = health_table_cursor(world.table, world.base->set_slot[0]);
	ck_assert(lookup_draw_trial(world.base, 0, world.now_ms, &ticket));
	ck_assert_uint_eq(ticket, cursor);
	lookup_leave(world.base, 0, &to, ticket, world.now_ms);
	LISTS(world_ask(TO), A ":25");
	ck_assert_uint_eq(picked(A), 1);
	ck_assert(!lookup_draw_trial(world.base, 0, world.now_ms, &ticket));
	ck_assert_uint_eq(
	    health_table_cursor(world.table, world.base->set_slot[0]),
	    cursor + 1);
	world_set_state(A, HEALTH_DEFERRED, world.now_ms + 1000);
	health_table_release(world.table, world_slot(A));
	ck_assert(!lookup_draw_trial(world.base, 0, world.now_ms, &ticket));
	world_teardown();
}
END_TEST

/* Leaves a ticket for queued mail. */
static void
call(const char *recipient)
{
	struct address to = world_address(recipient);
	uint32_t ticket;

	ck_assert(lookup_draw_trial(world.base, 0, world.now_ms, &ticket));
	lookup_leave(world.base, 0, &to, ticket, world.now_ms);
}

/* As when qmgr(8) answers from memory, or the message is in an attempt. */
START_TEST(new_mail_takes_the_trial_of_a_queued_message_that_does_not_come)
{
	set_scene("hold", 10, HEALTH_DEFERRED);
	call(TO);
	ck_assert_int_eq(claim_of(A), CLAIM_WEAK);
	(void)message_to("new@example.com");
	ck_assert_int_eq(claim_of(A), CLAIM_OPEN);
	ck_assert_int_eq(world_ask(TO).kind, LOOKUP_HOLD);
	LISTS(world_ask("new@example.com"), A ":25");
	world_teardown();
}
END_TEST

START_TEST(a_queued_message_that_comes_has_the_trial_alone)
{
	uint32_t ticket;

	set_scene("hold", 10, HEALTH_DEFERRED);
	call(TO);
	LISTS(world_ask(TO), A ":25");
	ck_assert_int_eq(claim_of(A), CLAIM_OPEN);
	(void)message_to("new@example.com");
	ck_assert_int_eq(world_ask("new@example.com").kind, LOOKUP_HOLD);
	ck_assert(!lookup_draw_trial(world.base, 0, world.now_ms, &ticket));
	/* Should it hang, that is seen. */
	world.now_ms += LOOKUP_CLAIM_MS;
	ck_assert_int_eq(claim_of(A), CLAIM_OVER);
	world_teardown();
}
END_TEST

START_TEST(a_queued_message_that_does_not_come_gives_way_to_the_next)
{
	set_scene("hold", 10, HEALTH_DEFERRED);
	call(TO);
	call("other@example.com");
	ck_assert_int_eq(world_ask(TO).kind, LOOKUP_HOLD);
	LISTS(world_ask("other@example.com"), A ":25");
	world.now_ms += LOOKUP_CLAIM_MS;
	health_table_release(world.table, world_slot(A));
	call(TO);
	world.now_ms += LOOKUP_CLAIM_MS;
	ck_assert_int_eq(claim_of(A), CLAIM_NONE);
	world_teardown();
}
END_TEST

START_TEST(without_hosts_or_without_a_table_no_trial_is_drawn)
{
	struct address dns = world_address("user@dns.example.org");
	struct lookup_answer answer;
	uint32_t ticket;

	world_setup(world_many_kinds);
	ck_assert(!lookup_draw_trial(
	    world.base, lookup_route(world.base, &dns), world.now_ms, &ticket));
	answer = world_ask("user@dns.example.org");
	ck_assert(!answer.trial_open);
	ck_assert(!order_offers(&answer.order));
	answer = world_ask("user@elsewhere.example");
	ck_assert(!answer.trial_open);
	ck_assert(!order_offers(&answer.order));
	world_teardown();
	world_make_folder();
	world_load(world_two_hosts);
	world_bind(true);
	ck_assert(!lookup_draw_trial(world.base, 0, world.now_ms, &ticket));
	ck_assert(!world_ask(TO).trial_open);
	world_teardown();
}
END_TEST

static Suite *
lookup_trial_asked_suite(void)
{
	Suite *suite = suite_create("lookup_trial_asked");
	TCase *questions = tcase_create("questions");
	TCase *queued = tcase_create("queued");

	tcase_add_test(
	    questions, a_question_claims_when_the_hosts_patience_is_over);
	tcase_add_test(
	    questions, mail_that_is_tried_again_claims_with_its_old_ticket);
	tcase_add_test(
	    questions, a_message_drawn_after_its_own_question_has_the_claim);
	tcase_add_test(
	    questions, a_question_that_lives_on_anothers_ticket_claims_nothing);
	tcase_add_test(questions,
	    a_backup_behind_hosts_that_are_up_is_not_claimed_by_a_question);
	tcase_add_test(questions, a_tool_claims_nothing_and_uses_nothing);
	suite_add_tcase(suite, questions);
	tcase_add_test(queued,
	    a_ticket_for_queued_mail_is_drawn_only_when_it_gets_the_claim);
	tcase_add_test(queued,
	    new_mail_takes_the_trial_of_a_queued_message_that_does_not_come);
	tcase_add_test(queued, a_queued_message_that_comes_has_the_trial_alone);
	tcase_add_test(
	    queued, a_queued_message_that_does_not_come_gives_way_to_the_next);
	tcase_add_test(
	    queued, without_hosts_or_without_a_table_no_trial_is_drawn);
	suite_add_tcase(suite, queued);
	return suite;
}

int
main(void)
{
	return suite_run(lookup_trial_asked_suite());
}
