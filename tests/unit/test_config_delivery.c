/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/outcome.h"
#include "policy/reply_rule.h"
#include "policy/smtp_reply.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define ROUTE                                                                  \
	"routes = ( { domain = \"a.test\"; hosts = ( \"10.0.0.1\" ); } );\n"

static struct config *config;

static void
begin(void)
{
	scratch_begin();
}

static void
end(void)
{
	config_free(&config);
	scratch_end();
}

static void
load(const char *text)
{
	config_free(&config);
	config = scratch_config(text);
}

/* -- what is read --------------------------------------------------------- */

START_TEST(without_a_delivery_group_nothing_is_followed_and_much_is_flushed)
{
	const struct config_delivery *delivery;

	load(ROUTE);
	delivery = &config->delivery;
	ck_assert_uint_eq(delivery->n_logs, 0);
	ck_assert_ptr_null(delivery->logs);
	ck_assert(!delivery->journal);
	ck_assert(delivery->flush_on_recovery);
	ck_assert_uint_eq(delivery->flush_again_ms, 600000);
	ck_assert_str_eq(delivery->flush_command[0], "postqueue");
	ck_assert_str_eq(delivery->flush_command[1], "-s");
	ck_assert_ptr_null(delivery->flush_command[2]);
	ck_assert_uint_eq(delivery->n_replies, 0);
}
END_TEST

START_TEST(every_option_of_the_delivery_group_is_read)
{
	const struct config_delivery *delivery;

	load("delivery = { logs = [ \"/var/log/mail.log\", \"/b\" ];\n"
	     "journal = true; flush_on_recovery = false;\n"
	     "flush_command = \"  /opt/x/postqueue   -c /etc/b -s \";\n"
	     "flush_again = 10.25;\n"
	     "replies = ( { reply = \"4\"; concerns = \"policy\"; } );\n"
	     "};\ndefer = { slow_start = 86400; };\n" ROUTE);
	delivery = &config->delivery;
	ck_assert_uint_eq(delivery->n_logs, 2);
	ck_assert_str_eq(delivery->logs[0], "/var/log/mail.log");
	ck_assert_str_eq(delivery->logs[1], "/b");
	ck_assert(delivery->journal);
	ck_assert(!delivery->flush_on_recovery);
	ck_assert_uint_eq(delivery->flush_again_ms, 10250);
	ck_assert_str_eq(delivery->flush_command[0], "/opt/x/postqueue");
	ck_assert_str_eq(delivery->flush_command[1], "-c");
	ck_assert_str_eq(delivery->flush_command[2], "/etc/b");
	ck_assert_str_eq(delivery->flush_command[3], "-s");
	ck_assert_ptr_null(delivery->flush_command[4]);
	ck_assert_uint_eq(delivery->n_replies, 1);
	ck_assert_uint_eq(config->defer.slow_start_ms, 86400000);
	load("delivery = { flush_command = \"a b c d e f g\"; };\n" ROUTE);
	ck_assert_str_eq(config->delivery.flush_command[6], "g");
	ck_assert_ptr_null(config->delivery.flush_command[7]);
}
END_TEST

static const struct {
	const char *text;
	struct reply_rule rule;
} replies[] = {
	{ "reply = \"4\"; concerns = \"host\";",
	    { STAGE_NONE, 4, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_HOST, NULL } },
	{ "stage = \"any\"; reply = \"5\"; concerns = \"nobody\";",
	    { STAGE_NONE, 5, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_NONE, NULL } },
	{ "stage = \"greeting\"; reply = \"452\"; concerns = \"message\";",
	    { STAGE_GREETING, 452, REPLY_ANY, REPLY_ANY, SMTP_TROUBLE_MESSAGE,
		NULL } },
	{ "stage = \"ehlo\"; reply = \"4 4.7\"; concerns = \"policy\";",
	    { STAGE_EHLO, 4, 7, REPLY_ANY, SMTP_TROUBLE_POLICY, NULL } },
	{ "stage = \"mail\"; reply = \"550 5.7.606\"; concerns = "
	  "\"recipient\"; text = \"Banned\";",
	    { STAGE_MAIL, 550, 7, 606, SMTP_TROUBLE_RECIPIENT, "Banned" } },
	{ "stage = \"rcpt\"; reply = \"452 4.3\"; concerns = \"host\";",
	    { STAGE_RCPT, 452, 3, REPLY_ANY, SMTP_TROUBLE_HOST, NULL } },
	{ "stage = \"data\"; reply = \"4 4.0.0\"; concerns = \"host\";",
	    { STAGE_DATA, 4, 0, 0, SMTP_TROUBLE_HOST, NULL } },
	{ "stage = \"end-of-data\"; reply = \"4 4.999.999\"; concerns = "
	  "\"host\"; text = \" x \";",
	    { STAGE_END_OF_DATA, 4, 999, 999, SMTP_TROUBLE_HOST, " x " } },
};

START_TEST(a_reply_of_the_file_becomes_a_rule)
{
	const struct reply_rule *wanted = &replies[_i].rule, *rule;
	char text[512];

	snprintf(text, sizeof(text),
	    "delivery = { replies = ( { %s }, { reply = \"4\"; concerns = "
	    "\"host\"; } ); };\n" ROUTE,
	    replies[_i].text);
	load(text);
	ck_assert_uint_eq(config->delivery.n_replies, 2);
	rule = &config->delivery.replies[0];
	ck_assert_int_eq(rule->stage, wanted->stage);
	ck_assert_uint_eq(rule->code, wanted->code);
	ck_assert_int_eq(rule->subject, wanted->subject);
	ck_assert_int_eq(rule->detail, wanted->detail);
	ck_assert_int_eq(rule->trouble, wanted->trouble);
	ck_assert_pstr_eq(rule->text, wanted->text);
}
END_TEST

/* The words of the file are the words of logs and status. */
START_TEST(stages_and_whom_they_concern_have_the_names_that_are_shown)
{
	const struct config_option *option = config_options;
	const char *const *words;

	while (strcmp(option->name, "delivery.replies.stage") != 0)
		option++;
	words = option->words;
	ck_assert_str_eq(words[1], outcome_stage_name(replies[2].rule.stage));
	for (int i = 2; words[i] != NULL; i++)
		ck_assert_str_eq(
		    words[i], outcome_stage_name(replies[i + 1].rule.stage));
	while (strcmp(option->name, "delivery.replies.concerns") != 0)
		option++;
	for (unsigned i = 1; i < SMTP_TROUBLE_COUNT; i++)
		ck_assert_str_eq(
		    option->words[i], smtp_trouble_name((enum smtp_trouble)i));
}
END_TEST

START_TEST(sixteen_logs_and_256_replies_are_not_too_many)
{
	char text[65536];
	size_t used;

	used = (size_t)snprintf(text, sizeof(text), "delivery = { logs = (");
	for (int i = 0; i < CONFIG_LOGS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s\"/%d\"", i > 0 ? "," : "", i);
	used += (size_t)snprintf(
	    text + used, sizeof(text) - used, "); replies = (");
	for (int i = 0; i < CONFIG_REPLIES_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s{ reply = \"4\"; concerns = \"host\"; }",
		    i > 0 ? "," : "");
	snprintf(text + used, sizeof(text) - used, "); };\n" ROUTE);
	load(text);
	ck_assert_uint_eq(config->delivery.n_logs, CONFIG_LOGS_MAX);
	ck_assert_uint_eq(config->delivery.n_replies, CONFIG_REPLIES_MAX);
}
END_TEST

/* -- what is refused ------------------------------------------------------ */

#define DELIVERY(members) "delivery = {\n" members " };\n" ROUTE
#define REPLY(members)	  DELIVERY("replies = (\n{ " members " } );")
#define CODE(text)	  REPLY("reply = \"" text "\"; concerns = \"host\";")
#define FOUR(x)		  x x x x
#define LONG_128	  FOUR(FOUR("01234567"))
#define LONG_1024	  FOUR(LONG_128) FOUR(LONG_128)

static const struct {
	const char *text;
	unsigned line; /* of the only error */
	const char *piece;
} errors[] = {
	{ DELIVERY("log = \"/a\";"), 2,
	    "delivery.log is no option; one of logs, journal, flush_on_rec" },
	{ "delivery = 1;\n" ROUTE, 1, "delivery: 1; a group" },
	{ DELIVERY("logs = \"/a\";"), 2,
	    "delivery.logs: \"/a\"; an array of strings" },
	{ DELIVERY("logs = ( \"/a\",\n1 );"), 3,
	    "delivery.logs: 1 is no string; at most 16 different absolute" },
	{ DELIVERY("logs = [ \"/a\",\n\"mail.log\" ];"), 3,
	    "delivery.logs: \"mail.log\" is no absolute path; at most 16" },
	{ DELIVERY("logs = [ \"\" ];"), 2,
	    "delivery.logs: \"\" is no absolute path" },
	{ DELIVERY("logs = [ \"/var/log/\" ];"), 2,
	    "delivery.logs: \"/var/log/\" is no absolute path" },
	{ DELIVERY("logs = [ \"/a\\nb\" ];"), 2,
	    "delivery.logs: \"/a\\x0ab\" is no absolute path" },
	{ DELIVERY("logs = [ \"/" LONG_1024 "\" ];"), 2,
	    "is no absolute path" },
	{ DELIVERY("logs = [ \"/a\", \"/b\",\n\"/a\" ];"), 3,
	    "delivery.logs: \"/a\" stands in this list already; at most" },
	{ DELIVERY("logs = [ \"/0\", \"/1\", \"/2\", \"/3\", \"/4\", \"/5\","
		   "\"/6\", \"/7\", \"/8\", \"/9\", \"/a\", \"/b\", \"/c\","
		   "\"/d\", \"/e\", \"/f\",\n\"/g\" ];"),
	    3, "delivery.logs: \"/g\" is one too many; at most 16" },
	{ DELIVERY("journal = 1;"), 2, "delivery.journal: 1; true or false" },
	{ DELIVERY("flush_on_recovery = \"yes\";"), 2,
	    "delivery.flush_on_recovery: \"yes\"; true or false" },
	{ DELIVERY("flush_again = 9.9;"), 2,
	    "delivery.flush_again: 9.9; a number of seconds from 10 to" },
	{ DELIVERY("flush_again = 86401;"), 2,
	    "delivery.flush_again: 86401; a number of seconds from 10 to" },
	{ DELIVERY("flush_command = \"\";"), 2,
	    "delivery.flush_command: \"\"; a string of 1 to 1023 bytes" },
	{ DELIVERY("flush_on_recovery = true;\nflush_command = \" \";"), 3,
	    "delivery.flush_command: \" \"; a program and its arguments" },
	{ DELIVERY("flush_command = \"  \";"), 2,
	    "delivery.flush_command: \"  \"; a program and its arguments" },
	{ DELIVERY("flush_command = \"a\\tb\";"), 2,
	    "delivery.flush_command: \"a\\x09b\"; a string of 1 to 1023" },
	{ DELIVERY("flush_command = \"" LONG_1024 "\";"), 2,
	    "a string of 1 to 1023 bytes" },
	{ DELIVERY("flush_command = \"a 'b c' -s\";"), 2,
	    "delivery.flush_command: \"a 'b c' -s\"; a program and its" },
	{ DELIVERY("flush_command = \"a \\\"b\\\"\";"), 2,
	    "; a program and its arguments, with blanks between them and" },
	{ DELIVERY("flush_command = [ \"a\" ];"), 2,
	    "delivery.flush_command: an array [ ... ]; a string" },
	{ "defer = { slow_start = -1; };\n" ROUTE, 1,
	    "defer.slow_start: -1; a number of seconds from 0 to 86400" },
	{ "defer = { slow_start = 86401; };\n" ROUTE, 1,
	    "defer.slow_start: 86401; a number of seconds from 0 to 86400" },
	{ DELIVERY("replies = \"4\";"), 2,
	    "delivery.replies: \"4\"; a list ( { reply = \"...\"; " },
	{ DELIVERY("replies = ( 4 );"), 2, "delivery.replies: 4; a group" },
	{ REPLY("code = \"4\";"), 3,
	    "delivery.replies.code is no option; one of stage, reply, text," },
	{ REPLY("concerns = \"host\";"), 3,
	    "delivery.replies: an item without a reply; reply = \"...\"" },
	{ REPLY("reply = \"4\";"), 3,
	    "delivery.replies: an item without concerns; reply = \"...\"" },
	{ REPLY("stage = \"rset\"; reply = \"4\"; concerns = \"host\";"), 3,
	    "delivery.replies.stage: \"rset\"; one of \"any\", \"greeting\"" },
	{ REPLY("reply = \"4\";\nconcerns = \"none\";"), 4,
	    "delivery.replies.concerns: \"none\"; one of \"nobody\", \"host" },
	{ REPLY("reply = \"4\"; concerns = \"host\"; text = \"\";"), 3,
	    "delivery.replies.text: \"\"; a string of 1 to 127 bytes" },
	{ REPLY("reply = \"4\"; concerns = \"host\"; text = \"" LONG_128 "\";"),
	    3, "; a string of 1 to 127 bytes" },
	{ REPLY("reply = 452; concerns = \"host\";"), 3,
	    "delivery.replies.reply: 452; a string of 1 to 16 bytes" },
	{ CODE("2"), 3,
	    "delivery.replies.reply: \"2\"; a class (4, 5) or a code (452)" },
	{ CODE("354"), 3, "\"354\"; a class" },
	{ CODE("45"), 3, "\"45\"; a class" },
	{ CODE("45x"), 3, "\"45x\"; a class" },
	{ CODE("4520"), 3, "\"4520\"; a class" },
	{ CODE("x"), 3, "\"x\"; a class" },
	{ CODE(" 4"), 3, "\" 4\"; a class" },
	{ CODE("452 "), 3, "\"452 \"; a class" },
	{ CODE("452-4.3.1"), 3, "\"452-4.3.1\"; a class" },
	{ CODE("452  4.3.1"), 3, "\"452  4.3.1\"; a class" },
	{ CODE("452 5.3.1"), 3, "\"452 5.3.1\"; a class" },
	{ CODE("452 4"), 3, "\"452 4\"; a class" },
	{ CODE("452 4."), 3, "\"452 4.\"; a class" },
	{ CODE("452 4.3."), 3, "\"452 4.3.\"; a class" },
	{ CODE("452 4.3.1."), 3, "\"452 4.3.1.\"; a class" },
	{ CODE("452 4.1000"), 3, "\"452 4.1000\"; a class" },
	{ CODE("452 4.3.1000"), 3, "\"452 4.3.1000\"; a class" },
	{ CODE("452 4.-3"), 3, "\"452 4.-3\"; a class" },
	{ CODE("452 44.3"), 3, "\"452 44.3\"; a class" },
};

static void
check_the_only_error(const char *text, unsigned line, const char *piece)
{
	char path[SCRATCH_PATH_MAX], place[SCRATCH_PATH_MAX + 32];
	struct config_problems problems;
	const char *said = NULL;

	scratch_write("conf", text);
	ck_assert_int_eq(
	    config_load(scratch_path("conf", path), &config, &problems), -1);
	ck_assert_ptr_null(config);
	ck_assert_uint_eq(problems.n_errors, 1);
	for (size_t i = 0; i < problems.n; i++) {
		if (!problems.list[i].warning)
			said = problems.list[i].text;
	}
	ck_assert_ptr_nonnull(said);
	snprintf(place, sizeof(place), "%s:%u: ", path, line);
	ck_assert_msg(strncmp(said, place, strlen(place)) == 0,
	    "\"%s\" does not begin with \"%s\"", said, place);
	ck_assert_msg(strstr(said, piece) != NULL, "\"%s\" is not in \"%s\"",
	    piece, said);
	config_problems_free(&problems);
}

START_TEST(a_bad_delivery_group_is_refused_with_line_and_reason)
{
	check_the_only_error(
	    errors[_i].text, errors[_i].line, errors[_i].piece);
}
END_TEST

START_TEST(the_257th_reply_is_one_too_many)
{
	char text[65536];
	size_t used;

	used = (size_t)snprintf(
	    text, sizeof(text), "\ndelivery = { replies = ( { }");
	for (int i = 0; i < CONFIG_REPLIES_MAX; i++)
		used +=
		    (size_t)snprintf(text + used, sizeof(text) - used, ", { }");
	snprintf(text + used, sizeof(text) - used, "); };\n" ROUTE);
	check_the_only_error(
	    text, 2, "delivery.replies: 257 items; at most 256 were expected");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_config_delivery");
	TCase *tcase = tcase_create("delivery");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase,
	    without_a_delivery_group_nothing_is_followed_and_much_is_flushed);
	tcase_add_test(tcase, every_option_of_the_delivery_group_is_read);
	tcase_add_loop_test(
	    tcase, a_reply_of_the_file_becomes_a_rule, 0, (int)NELEM(replies));
	tcase_add_test(
	    tcase, stages_and_whom_they_concern_have_the_names_that_are_shown);
	tcase_add_test(tcase, sixteen_logs_and_256_replies_are_not_too_many);
	tcase_add_loop_test(tcase,
	    a_bad_delivery_group_is_refused_with_line_and_reason, 0,
	    (int)NELEM(errors));
	tcase_add_test(tcase, the_257th_reply_is_one_too_many);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
