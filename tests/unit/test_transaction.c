/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "milter/transaction.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/health_table.h"
#include "policy/unseen.h"
#include "tests/unit/suite.h"

#define NOW  1000000u
#define LAST 64

static const char configuration[] =
    "milter_socket = \"unix:/tmp/m\";\nmap_socket = \"unix:/tmp/s\";\n"
    "control_socket = \"/tmp/c\";\nhealth_table = \"/tmp/h\";\n"
    "transport = \"nexthop\";\nnot_routed = [ \"localhost\" ];\n"
    "pools = ( { name = \"two\"; hosts = ( { host = \"127.0.0.1\"; },\n"
    "  { host = \"127.0.0.2\"; } ); } );\n"
    "routes = ( { domain = \"a.test\"; pool = \"two\"; },\n"
    "  { domain = \"b.test\"; pool = \"two\"; },\n"
    "  { domain = \"t.test\"; when_all_deferred = \"tempfail\";\n"
    "    hosts = ( { host = \"127.0.0.3\"; } ); },\n"
    "  { domain = \"h.test\"; when_all_deferred = \"hold\";\n"
    "    hosts = ( { host = \"127.0.0.4\"; } ); },\n"
    "  { domain = \"l.test\"; hosts = ( { host = \"127.0.0.5\"; },\n"
    "    { host = \"127.0.0.6\"; },\n"
    "    { host = \"127.0.0.7\"; priority = 10; } ); },\n"
    "  { domain = \"d.test\"; use_dns = true; } );\n";

static char folder[] = "/tmp/test_transaction.XXXXXX";
static struct config *config;
static struct health_table *table;
static struct lookup_base *base;
static struct transaction transaction;
static char lines[LAST][1024];
static size_t n_lines;

static void
keep_line(void *arg, const char *text)
{
	(void)arg;
	ck_assert_uint_lt(n_lines, LAST);
	(void)snprintf(lines[n_lines++], sizeof(lines[0]), "%s", text);
}

static void
set_up(void)
{
	const struct health_table_size wanted = { 8, 8, 1024 };
	const struct health_table_birth birth = { .now_ms = NOW };
	struct config_problems problems;
	enum health_table_opened how;
	char path[64];
	struct err err;
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/conf", folder);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(configuration, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(config_load(path, &config, &problems), 0);
	config_problems_free(&problems);
	ck_assert_int_eq(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/table", folder);
	ck_assert_int_eq(
	    health_table_open(path, &wanted, &birth, &table, &how, &err), 0);
	ck_assert_int_eq(lookup_bind(config, table, true, &base, &err), 0);
	n_lines = 0;
}

static void
tear_down(void)
{
	char path[64];

	transaction_reset(&transaction);
	lookup_base_free(&base);
	health_table_close(&table);
	config_free(&config);
	(void)snprintf(path, sizeof(path), "%s/table", folder);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void
take(const char *recipient)
{
	ck_assert_int_eq(transaction_rcpt(&transaction, base, recipient, NOW),
	    TRANSACTION_TAKEN);
}

static void
set_state(const char *text, enum health_state state)
{
	struct health_detail detail;
	struct host host;
	uint32_t slot;

	ck_assert_int_eq(host_parse(text, 25, &host, NULL), 0);
	slot = health_table_find_host(table, &host);
	ck_assert_uint_ne(slot, HEALTH_TABLE_NONE);
	health_table_read(table, slot, &detail);
	detail.health.state = state;
	detail.health.due_ms = NOW + 10000;
	health_table_write(table, slot, &detail);
}

static void
defer(const char *text)
{
	set_state(text, HEALTH_DEFERRED);
}

static uint32_t
ticket_of(const char *recipient, enum lookup_ticket *from)
{
	struct lookup_answer answer;

	ck_assert_int_eq(lookup_recipient(base, recipient, strlen(recipient),
			     NOW + 10 * LOOKUP_STAND_IN_MS, &answer),
	    LOOKUP_HOSTS);
	*from = answer.ticket_from;
	return answer.ticket;
}

START_TEST(all_recipients_of_one_host_set_share_one_ticket)
{
	static const char *const recipients[] = { "<one@a.test>",
		"<two@A.Test>", "<three@b.test>", "<\"q q\"@b.test>" };
	static const char *const asked[] = { "one@a.test", "two@a.test",
		"three@B.TEST", "\"q q\"@b.test" };
	enum lookup_ticket from;
	uint32_t first = 0;

	for (size_t i = 0; i < NELEM(recipients); i++)
		take(recipients[i]);
	transaction_decide(&transaction, base, NOW, keep_line, NULL);
	for (size_t i = 0; i < NELEM(asked); i++) {
		uint32_t ticket = ticket_of(asked[i], &from);

		ck_assert_int_eq(from, TICKET_FOUND);
		if (i == 0)
			first = ticket;
		ck_assert_uint_eq(ticket, first);
	}
	ck_assert_uint_eq(n_lines, 2);
	ck_assert_ptr_nonnull(strstr(lines[0], "a.test: ticket "));
	ck_assert_ptr_nonnull(strstr(lines[0], "]:25 then ["));
	ck_assert_ptr_nonnull(strstr(lines[0], "(2 recipients)"));
	ck_assert_ptr_nonnull(strstr(lines[1], "b.test: ticket "));
}
END_TEST

START_TEST(messages_alternate_between_equal_hosts)
{
	char recipient[32], first[1024];
	size_t alike = 0;

	for (int i = 0; i < 10; i++) {
		(void)snprintf(recipient, sizeof(recipient), "<u%d@a.test>", i);
		take(recipient);
		transaction_decide(&transaction, base, NOW, keep_line, NULL);
		transaction_reset(&transaction);
	}
	(void)snprintf(first, sizeof(first), "%s", strchr(lines[0], '['));
	for (size_t i = 0; i < n_lines; i++)
		alike += strcmp(strchr(lines[i], '['), first) == 0;
	ck_assert_uint_eq(n_lines, 10);
	ck_assert_uint_eq(alike, 5);
}
END_TEST

/* The map's question, as the MTA asks while an alias becomes its members. */
static void
ask_map(const char *recipient, uint64_t now_ms)
{
	struct lookup_answer answer;

	(void)lookup_recipient(
	    base, recipient, strlen(recipient), now_ms, &answer);
}

/* Asked first at NOW, and again so long after. */
static bool
should_wait(uint64_t after_ms)
{
	return transaction_should_wait(&transaction, base, NOW, NOW + after_ms);
}

START_TEST(a_message_waits_while_the_members_of_an_alias_are_asked_for)
{
	take("<list@a.test>");
	ck_assert(!should_wait(0));
	ask_map("member@b.test", NOW);
	ck_assert(should_wait(0));
	ck_assert(should_wait(UNSEEN_QUIET_MS));
	ck_assert(!should_wait(UNSEEN_QUIET_MS + 1));
}
END_TEST

START_TEST(questions_that_are_explained_or_of_others_are_not_waited_for)
{
	take("<one@a.test>");
	ask_map("x@t.test", NOW);
	ck_assert(!should_wait(0));
	ask_map("two@a.test", NOW);
	ck_assert(should_wait(0));
	take("<two@a.test>");
	ck_assert(!should_wait(0));
}
END_TEST

START_TEST(what_is_not_routed_gets_no_ticket_and_no_line)
{
	static const char *const strangers[] = { "<x@elsewhere.test>",
		"<postmaster>", "<>", "", "<@>", "<x@localhost>" };

	for (size_t i = 0; i < NELEM(strangers); i++)
		take(strangers[i]);
	ck_assert_uint_eq(transaction.n, 0);
	transaction_decide(&transaction, base, NOW, keep_line, NULL);
	ck_assert_uint_eq(n_lines, 0);
}
END_TEST

START_TEST(tempfail_is_said_only_while_no_host_is_up)
{
	take("<x@t.test>");
	defer("127.0.0.3");
	ck_assert_int_eq(
	    transaction_rcpt(&transaction, base, "<y@t.test>", NOW),
	    TRANSACTION_TEMPFAIL);
	take("<y@a.test>");
	ck_assert_uint_eq(transaction.n, 2);
}
END_TEST

START_TEST(the_line_tells_hold_and_dns_and_all_deferred)
{
	defer("127.0.0.4");
	defer("127.0.0.1");
	defer("127.0.0.2");
	take("<x@h.test>");
	take("<x@d.test>");
	take("<x@a.test>");
	transaction_decide(&transaction, base, NOW, keep_line, NULL);
	ck_assert_uint_eq(n_lines, 3);
	for (size_t i = 0; i < n_lines; i++) {
		if (strncmp(lines[i], "h.test", 6) == 0)
			ck_assert_ptr_nonnull(strstr(lines[i], "held"));
		else if (strncmp(lines[i], "d.test", 6) == 0)
			ck_assert_ptr_nonnull(strstr(lines[i], "DNS"));
		else
			ck_assert_ptr_nonnull(strstr(
			    lines[i], "all hosts deferred, trying [127.0.0."));
	}
}
END_TEST

/* "DOMAIN: ticket N: REST", whatever N is. */
static void
check_line(size_t at, const char *domain, const char *rest)
{
	char start[64];
	size_t len =
	    (size_t)snprintf(start, sizeof(start), "%s: ticket ", domain);

	ck_assert_uint_lt(at, n_lines);
	ck_assert_msg(strncmp(lines[at], start, len) == 0, "%s", lines[at]);
	len += strspn(lines[at] + len, "0123456789");
	ck_assert_msg(strncmp(lines[at] + len, ": ", 2) == 0, "%s", lines[at]);
	ck_assert_str_eq(lines[at] + len + 2, rest);
}

static void
send_to(const char *recipient)
{
	take(recipient);
	transaction_decide(&transaction, base, NOW, keep_line, NULL);
	transaction_reset(&transaction);
}

START_TEST(the_line_marks_the_trial_of_a_host)
{
	set_state("127.0.0.1", HEALTH_TRIAL);
	set_state("127.0.0.4", HEALTH_TRIAL);
	send_to("<x@a.test>");
	send_to("<y@a.test>");
	send_to("<x@h.test>");
	send_to("<y@h.test>");
	check_line(0, "a.test",
	    "trial of [127.0.0.1]:25, then [127.0.0.2]:25 (1 recipient)");
	check_line(1, "a.test", "[127.0.0.2]:25 (1 recipient)");
	check_line(2, "h.test", "trial of [127.0.0.4]:25 (1 recipient)");
	check_line(3, "h.test", "held, no host may be tried now (1 recipient)");
	ck_assert_uint_eq(n_lines, 4);
}
END_TEST

START_TEST(only_the_first_comma_of_a_trials_line_is_one)
{
	set_state("127.0.0.6", HEALTH_TRIAL);
	send_to("<x@l.test>");
	send_to("<y@l.test>");
	check_line(0, "l.test",
	    "trial of [127.0.0.6]:25, then [127.0.0.5]:25 then "
	    "[127.0.0.7]:25 (1 recipient)");
	check_line(
	    1, "l.test", "[127.0.0.5]:25 then [127.0.0.7]:25 (1 recipient)");
}
END_TEST

START_TEST(a_route_that_says_tempfail_takes_one_message_for_a_trial)
{
	struct transaction other = { 0 };

	defer("127.0.0.3");
	ck_assert_int_eq(
	    transaction_rcpt(&transaction, base, "<x@t.test>", NOW),
	    TRANSACTION_TEMPFAIL);
	set_state("127.0.0.3", HEALTH_TRIAL);
	take("<x@t.test>");
	/* Taken is not claimed: the message may never come. */
	ck_assert_int_eq(transaction_rcpt(&other, base, "<y@t.test>", NOW),
	    TRANSACTION_TAKEN);
	transaction_decide(&transaction, base, NOW, keep_line, NULL);
	check_line(0, "t.test", "trial of [127.0.0.3]:25 (1 recipient)");
	ck_assert_int_eq(transaction_rcpt(&other, base, "<z@t.test>", NOW),
	    TRANSACTION_TEMPFAIL);
	ck_assert_int_eq(
	    transaction_rcpt(&other, base, "<z@t.test>", NOW + LOOKUP_CLAIM_MS),
	    TRANSACTION_TAKEN);
	transaction_reset(&other);
}
END_TEST

START_TEST(a_reset_transaction_starts_empty)
{
	take("<x@a.test>");
	transaction_reset(&transaction);
	ck_assert_uint_eq(transaction.n, 0);
	transaction_decide(&transaction, base, NOW, keep_line, NULL);
	ck_assert_uint_eq(n_lines, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("transaction");
	TCase *tcase = tcase_create("transaction");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, all_recipients_of_one_host_set_share_one_ticket);
	tcase_add_test(tcase, messages_alternate_between_equal_hosts);
	tcase_add_test(
	    tcase, a_message_waits_while_the_members_of_an_alias_are_asked_for);
	tcase_add_test(tcase,
	    questions_that_are_explained_or_of_others_are_not_waited_for);
	tcase_add_test(tcase, what_is_not_routed_gets_no_ticket_and_no_line);
	tcase_add_test(tcase, tempfail_is_said_only_while_no_host_is_up);
	tcase_add_test(tcase, the_line_tells_hold_and_dns_and_all_deferred);
	tcase_add_test(tcase, the_line_marks_the_trial_of_a_host);
	tcase_add_test(tcase, only_the_first_comma_of_a_trials_line_is_one);
	tcase_add_test(
	    tcase, a_route_that_says_tempfail_takes_one_message_for_a_trial);
	tcase_add_test(tcase, a_reset_transaction_starts_empty);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
