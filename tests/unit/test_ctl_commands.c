/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */
#include "policy/ticket.h"
#include "tests/unit/ctl_room.h"
#include "tests/unit/suite.h"

/* ---- lookup ---- */

START_TEST(lookup_tells_route_order_and_why)
{
	defer_first("431 Mail system full");
	lookup_text("User+Ext@EXAMPLE.com", 0);
	SAYS("route:   example.com\n");
	SAYS("order:   [192.168.1.20]:2525\n");
	SAYS(
	    "[192.168.1.10]:25    0         1       left out  deferred until ");
	SAYS("431 Mail system full (greeting, probe, 3 in a row)\n");
	SAYS("[192.168.1.20]:2525  10        1       1         up\n");
	lookup_text("u@a.example.org", 0);
	SAYS("route:   .example.org\n");
	lookup_text("u@dns.test", 3);
	SAYS("own MX lookup\n");
	lookup_text("u@example.net", 3);
	SAYS("route:   none");
}
END_TEST

START_TEST(lookup_with_a_count_shows_the_next_tickets_and_draws_none)
{
	uint32_t set = health_table_find_set(table, ctl.config->sets[1].key);
	uint32_t cursor = health_table_cursor(table, set);
	char wanted[64];

	lookup_text("u@a.example.org", 8);
	(void)snprintf(wanted, sizeof(wanted), "\n%u: [", (unsigned)cursor + 7);
	SAYS(wanted);
	SAYS("first choice: [::1]:25 6, [192.168.1.10]:25 2\n");
	ck_assert_uint_eq(health_table_cursor(table, set), cursor);
}
END_TEST

START_TEST(lookup_without_a_table_takes_all_hosts_as_up)
{
	health_table_close(&ctl.table);
	lookup_text("u@example.com", 1);
	SAYS("order:   [192.168.1.10]:25 then [192.168.1.20]:2525\n");
	SAYS("counting from ticket 0\n");
}
END_TEST

START_TEST(lookup_says_hold_when_all_hosts_are_off)
{
	run_override("drain 192.168.1.10", 0);
	run_override("disable 192.168.1.20:2525 --reason broken", 0);
	lookup_text("u@example.com", 1);
	SAYS("order:   hold: mail is accepted and waits in the queue\n");
	SAYS("left out  drained\n");
	SAYS("left out  disabled: broken\n");
}
END_TEST

START_TEST(lookup_lists_no_host_of_a_route_that_holds)
{
	struct err err;

	ctl_close(&ctl);
	write_conf(
	    "routes = ( { domain = \"hold.test\"; when_all_deferred = "
	    "\"hold\"; hosts = ( { host = \"192.168.1.10\"; } ); } );\n");
	ck_assert_int_eq(ctl_open(&ctl, conf_path, true), 0);
	ck_assert_int_eq(ctl_attach(&ctl, &err), 0);
	defer_first("431 Mail system full");
	lookup_text("u@hold.test", 0);
	SAYS("no host is up; when_all_deferred = hold\n");
	SAYS("left out  deferred until ");
	status_text();
	SAYS("hold.test  held");
}
END_TEST

/* ---- hosts in trial ---- */

static void
put_on_trial(uint32_t slot)
{
	struct health_detail detail;

	health_table_read(table, slot, &detail);
	detail.health.state = HEALTH_TRIAL;
	detail.health.due_ms = ctl.now_ms - 1;
	detail.last = (struct observation){ .outcome = OUTCOME_TEMPORARY,
		.stage = STAGE_RCPT,
		.source = SOURCE_DELIVERY,
		.code = 452,
		.text = "452 4.3.1 try later" };
	health_table_write(table, slot, &detail);
}

static uint64_t
set_key(uint32_t route)
{
	return ctl.config->sets[ctl.config->routes[route].set].key;
}

START_TEST(lookup_says_that_a_host_in_trial_waits_for_a_message)
{
	put_on_trial(first);
	lookup_text("u@example.com", 3);
	SAYS("order:   [192.168.1.20]:2525\n");
	SAYS("left out  in trial: one message may try it; "
	     "452 4.3.1 try later (rcpt, delivery)\n");
	SAYS("the one that is drawn first tries the host in trial before "
	     "these\n");
	SAYS_NOT("until");
	ck_assert_int_eq(
	    health_table_claim_state(table, first, ctl.now_ms), CLAIM_NONE);
}
END_TEST

START_TEST(lookup_says_to_which_ticket_a_trial_is_offered)
{
	uint32_t set = health_table_find_set(table, set_key(0));
	uint32_t next = health_table_cursor(table, set);
	char wanted[64];

	put_on_trial(first);
	ck_assert(health_table_claim(
	    table, first, set_key(0), next + 1, ctl.now_ms, ctl.now_ms + 9));
	lookup_text("u@example.com", 3);
	SAYS("left out  in trial: another message tries it; 452 ");
	(void)snprintf(wanted, sizeof(wanted),
	    "\n%u: [192.168.1.20]:2525\n%u: [192.168.1.10]:25 then ",
	    (unsigned)next, (unsigned)next + 1);
	SAYS(wanted);
	SAYS("first choice: [192.168.1.10]:25 1, [192.168.1.20]:2525 2\n");
	SAYS_NOT("drawn first");
}
END_TEST

START_TEST(lookup_shows_the_offer_to_the_recipients_own_ticket)
{
	struct address to;

	put_on_trial(first);
	ck_assert(address_parse("u@example.com", 13, &to));
	ticket_leave(table, set_key(0), &to, 17, ctl.now_ms);
	ck_assert(health_table_claim(
	    table, first, set_key(0), 17, ctl.now_ms, ctl.now_ms + 9));
	lookup_text("u@example.com", 0);
	SAYS("ticket:  17 (left by the milter for this recipient)\n");
	SAYS("order:   [192.168.1.10]:25 then [192.168.1.20]:2525\n");
	SAYS("0         1       1      in trial, offered to this ticket: "
	     "452 4.3.1 try later (rcpt, delivery)\n");
	/* Shown is not used. */
	ck_assert_int_eq(
	    health_table_claim_state(table, first, ctl.now_ms + 9), CLAIM_NONE);
}
END_TEST

START_TEST(lookup_says_that_a_message_comes_after_the_time_of_a_blind_host)
{
	struct health_detail detail;

	defer_first("452 4.3.1 try later");
	health_table_read(table, first, &detail);
	detail.health.blind = true;
	health_table_write(table, first, &detail);
	lookup_text("u@example.com", 0);
	SAYS(" (40 s), then one message may try it: 452 4.3.1 try later (");
	run_override("drain 192.168.1.10 --for 90", 0);
	lookup_text("u@example.com", 0);
	SAYS_NOT("one message");
}
END_TEST

START_TEST(lookup_says_that_nothing_was_heard_of_a_trial)
{
	put_on_trial(first);
	ck_assert(health_table_claim(
	    table, first, set_key(0), 17, ctl.now_ms - 2, ctl.now_ms - 1));
	health_table_claim_used(table, first, set_key(0), 17, ctl.now_ms - 2);
	lookup_text("u@example.com", 0);
	SAYS("in trial: nothing was heard of the message that tried it; 452 ");
}
END_TEST

START_TEST(lookup_shows_a_backup_in_trial_in_its_place)
{
	struct host host;
	uint32_t slot;

	ck_assert_int_eq(host_parse("192.168.1.20:2525", 0, &host, NULL), 0);
	slot = health_table_find_host(table, &host);
	put_on_trial(slot);
	lookup_text("u@example.com", 1);
	SAYS("order:   [192.168.1.10]:25 then [192.168.1.20]:2525\n");
	SAYS("10        1       2      in trial: tried when those before it "
	     "refuse a message; 452 ");
	SAYS_NOT("drawn first");
	/* A claim from when none was up before it plays no part. */
	ck_assert(health_table_claim(
	    table, slot, set_key(0), 17, ctl.now_ms, ctl.now_ms + 9));
	lookup_text("u@example.com", 1);
	SAYS("2      in trial: tried when those before it refuse a message");
	health_table_release(table, slot);
	defer_first("431 Mail system full");
	lookup_text("u@example.com", 0);
	SAYS("order:   [192.168.1.20]:2525 then [192.168.1.10]:25\n");
	SAYS("no host is up; when_all_deferred = try; a new message tries the "
	     "host in trial\n");
	SAYS("0         1       2      deferred until ");
	SAYS("10        1       1      in trial: one message may try it; 452 ");
}
END_TEST

START_TEST(a_trial_has_no_end_to_show)
{
	struct ctl_host seen;
	struct host host;

	put_on_trial(first);
	ck_assert_int_eq(health_table_host(table, first, &host), 0);
	ctl_host_read(&ctl, &host, first, &seen);
	ck_assert_int_eq(seen.view.state, HEALTH_TRIAL);
	ck_assert_uint_ne(seen.view.due_ms, 0);
	ck_assert_uint_eq(ctl_host_until_ms(&seen), 0);
}
END_TEST

START_TEST(lookup_shows_the_drain_of_a_host_in_trial)
{
	put_on_trial(first);
	run_override("drain 192.168.1.10 --for 90 --reason broken", 0);
	lookup_text("u@example.com", 1);
	SAYS("left out  drained until ");
	SAYS(": broken; 452 4.3.1 try later (rcpt, delivery)\n");
	SAYS_NOT("drawn first");
}
END_TEST

/* ---- overrides ---- */

static const struct {
	const char *words;
	int status;
	enum health_override kind; /* of 192.168.1.10:25 */
	uint64_t for_ms;
} overrides[] = {
	{ "drain 192.168.1.10", CTL_OK, OVERRIDE_DRAIN, 0 },
	{ "drain 192.168.1.10:25", CTL_OK, OVERRIDE_DRAIN, 0 },
	{ "disable [192.168.1.10]:25 --for 90", CTL_OK, OVERRIDE_DISABLED,
	    90000 },
	{ "force-up 192.168.1.10 --for 1d --reason x", CTL_OK,
	    OVERRIDE_FORCED_UP, 86400000 },
	{ "drain --reason x --for 2h 192.168.1.10", CTL_OK, OVERRIDE_DRAIN,
	    7200000 },
	{ "enable 192.168.1.10", CTL_OK, OVERRIDE_NONE, 0 },
	{ "drain ::1", CTL_OK, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.10:26", CTL_TROUBLE, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.1", CTL_TROUBLE, OVERRIDE_NONE, 0 },
	{ "drain mx.example.net", CTL_TROUBLE, OVERRIDE_NONE, 0 },
	{ "drain", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "drain [1.2.3.4", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.10:99999", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.10 192.168.1.20", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.10 --for", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.10 --for soon", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "drain 192.168.1.10 --ever", CTL_USAGE, OVERRIDE_NONE, 0 },
	{ "enable 192.168.1.10 --for 90", CTL_USAGE, OVERRIDE_NONE, 0 },
};

START_TEST(an_override_writes_the_word_of_the_host_that_is_meant)
{
	struct health_override_info info;
	struct health_view view;

	run_override(overrides[_i].words, overrides[_i].status);
	health_table_view(table, first, ctl.now_ms, &view);
	ck_assert_int_eq(view.override, overrides[_i].kind);
	if (view.override == OVERRIDE_NONE)
		return;
	health_table_get_override(table, first, &info);
	ck_assert_uint_eq(info.since_ms, ctl.now_ms);
	ck_assert_uint_eq(info.until_ms,
	    overrides[_i].for_ms == 0 ? 0 : ctl.now_ms + overrides[_i].for_ms);
}
END_TEST

START_TEST(enable_ends_an_override)
{
	struct health_view view;

	run_override("drain 192.168.1.10 --reason x", 0);
	run_override("enable 192.168.1.10", 0);
	health_table_view(table, first, ctl.now_ms, &view);
	ck_assert_int_eq(view.override, OVERRIDE_NONE);
	status_text();
	SAYS("3 hosts: 3 up\n");
}
END_TEST

START_TEST(an_unknown_host_is_answered_with_its_likes)
{
	FILE *file = out();

	ctl_host_suggest(&ctl, "192.168.1.21", file);
	ck_assert_int_eq(fclose(file), 0);
	SAYS("it knows, among others, 192.168.1.20:2525, 192.168.1.10:25, ");
}
END_TEST

START_TEST(an_override_follows_the_table_that_replaced_its_own)
{
	struct health_table_size size = { 5000, 8, 64 };
	struct health_table_birth birth = { .pid = (uint32_t)getpid() };
	struct health_table *grown;
	enum health_table_opened how;
	struct health_view view;
	struct err err;

	birth.now_ms = ctl.now_ms;
	clock_boot_id(birth.boot_id);
	ck_assert_int_eq(
	    health_table_open(table_path, &size, &birth, &grown, &how, &err),
	    0);
	ck_assert_int_eq(how, HEALTH_TABLE_GROWN);
	ck_assert(health_table_superseded(ctl.table));
	run_override("drain 192.168.1.10", 0);
	health_table_view(grown, first, ctl.now_ms, &view);
	ck_assert_int_eq(view.override, OVERRIDE_DRAIN);
	health_table_close(&grown);
}
END_TEST

static void
add_tests(Suite *s)
{
	TCase *lookup = tcase_create("lookup");
	TCase *trial = tcase_create("trial");
	TCase *override = tcase_create("override");

	tcase_add_checked_fixture(lookup, setup, teardown);
	tcase_add_test(lookup, lookup_tells_route_order_and_why);
	tcase_add_test(
	    lookup, lookup_with_a_count_shows_the_next_tickets_and_draws_none);
	tcase_add_test(lookup, lookup_without_a_table_takes_all_hosts_as_up);
	tcase_add_test(lookup, lookup_says_hold_when_all_hosts_are_off);
	tcase_add_test(lookup, lookup_lists_no_host_of_a_route_that_holds);
	suite_add_tcase(s, lookup);
	tcase_add_checked_fixture(trial, setup, teardown);
	tcase_add_test(
	    trial, lookup_says_that_a_host_in_trial_waits_for_a_message);
	tcase_add_test(trial, lookup_says_to_which_ticket_a_trial_is_offered);
	tcase_add_test(
	    trial, lookup_shows_the_offer_to_the_recipients_own_ticket);
	tcase_add_test(trial,
	    lookup_says_that_a_message_comes_after_the_time_of_a_blind_host);
	tcase_add_test(trial, lookup_says_that_nothing_was_heard_of_a_trial);
	tcase_add_test(trial, lookup_shows_a_backup_in_trial_in_its_place);
	tcase_add_test(trial, a_trial_has_no_end_to_show);
	tcase_add_test(trial, lookup_shows_the_drain_of_a_host_in_trial);
	suite_add_tcase(s, trial);
	tcase_add_checked_fixture(override, setup, teardown);
	tcase_add_loop_test(override,
	    an_override_writes_the_word_of_the_host_that_is_meant, 0,
	    (int)NELEM(overrides));
	tcase_add_test(override, enable_ends_an_override);
	tcase_add_test(override, an_unknown_host_is_answered_with_its_likes);
	tcase_add_test(
	    override, an_override_follows_the_table_that_replaced_its_own);
	suite_add_tcase(s, override);
}

int
main(void)
{
	Suite *s = suite_create("ctl_commands");

	add_tests(s);
	return suite_run(s);
}
