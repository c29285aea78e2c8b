/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probes run on the test's; each server has its own. */
#include "milter/probe.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "milter/probe_connect.h"
#include "tests/unit/smtp_script.h"
#include "tests/unit/suite.h"

#define ADDRESS	   "127.0.0.42"
#define LOCAL	   "127.0.0.1" /* where loopback speaks from */
#define TIMEOUT_MS 300
#define SLACK_MS   5000 /* for a busy machine: not part of the promise */

#define HEALTHY_BUT                                                            \
	.greeting = "220 server.test ESMTP\r\n",                               \
	.ehlo = "250-server.test\r\n250 HELP\r\n",                             \
	.helo = "250 server.test\r\n", .starttls = "220 2.0.0 go\r\n",         \
	.mail = "250 2.1.0 Ok\r\n", .rcpt = "250 2.1.5 Ok\r\n"
#define EHLO_TLS "250-server.test\r\n250-STARTTLS\r\n250 HELP\r\n"

/* A designated member that is given twice: the later one is meant. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

enum deed { TALK = 0, REFUSE };

static const struct row {
	const char *name;
	struct script script;
	enum config_probe_level level;
	enum outcome outcome;
	enum outcome_stage stage;
	const char *text; /* how it begins */
	uint32_t n_quits; /* QUIT is said where somebody listens */
	enum deed deed;
	bool retry_plain;
} rows[] = {
	{ "multi-line greeting",
	    { HEALTHY_BUT, .greeting = "220-a ESMTP\r\n220-b\r\n220 c\r\n" },
	    CONFIG_PROBE_MAIL, OUTCOME_OK, STAGE_MAIL, "250 2.1.0 Ok", 1, TALK,
	    false },
	{ "multi-line EHLO",
	    { HEALTHY_BUT,
		.ehlo = "250-a\r\n250-SIZE 9\r\n250-X\r\n250 Y\r\n" },
	    CONFIG_PROBE_MAIL, OUTCOME_OK, STAGE_MAIL, "250 2.1.0 Ok", 1, TALK,
	    false },
	{ "HELO only", { HEALTHY_BUT, .ehlo = "502 5.5.1 what\r\n" },
	    CONFIG_PROBE_RCPT, OUTCOME_OK, STAGE_RCPT, "250 2.1.5 Ok", 1, TALK,
	    false },
	{ "greets 431", { HEALTHY_BUT, .greeting = "431 Mail system full\r\n" },
	    CONFIG_PROBE_MAIL, OUTCOME_TEMPORARY, STAGE_GREETING,
	    "431 Mail system full", 1, TALK, false },
	{ "greets 421 and closes",
	    { HEALTHY_BUT, .greeting = "421 4.3.2 down\r\n",
		.quirk = SCRIPT_CLOSE },
	    CONFIG_PROBE_MAIL, OUTCOME_TEMPORARY, STAGE_GREETING,
	    "421 4.3.2 down", 0, TALK, false },
	{ "5xx to EHLO and HELO",
	    { HEALTHY_BUT, .ehlo = "550 5.7.1 no\r\n",
		.helo = "550 5.7.1 not you\r\n" },
	    CONFIG_PROBE_EHLO, OUTCOME_PERMANENT, STAGE_EHLO,
	    "550 5.7.1 not you", 1, TALK, false },
	{ "452 to MAIL", { HEALTHY_BUT, .mail = "452 4.3.1 Insufficient\r\n" },
	    CONFIG_PROBE_MAIL, OUTCOME_TEMPORARY, STAGE_MAIL,
	    "452 4.3.1 Insufficient", 1, TALK, false },
	{ "silent", { .greeting = NULL, .quirk = SCRIPT_HOLD },
	    CONFIG_PROBE_MAIL, OUTCOME_TIMEOUT, STAGE_GREETING,
	    "no answer in time", 0, TALK, false },
	{ "silent, only the connection is wanted",
	    { .greeting = NULL, .quirk = SCRIPT_HOLD }, CONFIG_PROBE_CONNECT,
	    OUTCOME_OK, STAGE_CONNECT, "well", 0, TALK, false },
	{ "connection wanted, greeting comes",
	    { HEALTHY_BUT, .greeting = "431 full\r\n" }, CONFIG_PROBE_CONNECT,
	    OUTCOME_OK, STAGE_CONNECT, "well", 1, TALK, false },
	{ "half a line, then silence",
	    { .greeting = "220 server.te", .quirk = SCRIPT_HOLD },
	    CONFIG_PROBE_MAIL, OUTCOME_TIMEOUT, STAGE_GREETING,
	    "no answer in time", 0, TALK, false },
	{ "silent after EHLO", { HEALTHY_BUT, .ehlo = NULL }, CONFIG_PROBE_MAIL,
	    OUTCOME_TIMEOUT, STAGE_EHLO, "no answer in time", 0, TALK, false },
	{ "closes in mid-reply",
	    { .greeting = "220-a\r\n220-b", .quirk = SCRIPT_CLOSE },
	    CONFIG_PROBE_MAIL, OUTCOME_LOST, STAGE_GREETING,
	    "connection closed", 0, TALK, false },
	{ "accepts and closes", { .greeting = NULL, .quirk = SCRIPT_CLOSE },
	    CONFIG_PROBE_MAIL, OUTCOME_LOST, STAGE_GREETING,
	    "connection closed", 0, TALK, false },
	{ "accepts and resets", { .greeting = NULL, .quirk = SCRIPT_RESET },
	    CONFIG_PROBE_MAIL, OUTCOME_LOST, STAGE_GREETING,
	    "connection closed", 0, TALK, false },
	{ "refuses", { HEALTHY_BUT }, CONFIG_PROBE_MAIL, OUTCOME_REFUSED,
	    STAGE_CONNECT, "connection refused", 0, REFUSE, false },
	{ "drips", { .greeting = "220 ", .quirk = SCRIPT_DRIP },
	    CONFIG_PROBE_MAIL, OUTCOME_TIMEOUT, STAGE_GREETING,
	    "no answer in time", 0, TALK, false },
	{ "one endless line",
	    { .greeting = "220 ", .quirk = SCRIPT_ENDLESS_LINE },
	    CONFIG_PROBE_MAIL, OUTCOME_NOT_SMTP, STAGE_GREETING,
	    "line too long: 220 aaa", 0, TALK, false },
	{ "endless lines", { .greeting = NULL, .quirk = SCRIPT_ENDLESS_LINES },
	    CONFIG_PROBE_MAIL, OUTCOME_NOT_SMTP, STAGE_GREETING,
	    "endless reply", 0, TALK, false },
	{ "ten megabytes of banner",
	    { HEALTHY_BUT, .greeting = "", .quirk = SCRIPT_BANNER },
	    CONFIG_PROBE_MAIL, OUTCOME_NOT_SMTP, STAGE_GREETING,
	    "line too long: 220-bbb", 0, TALK, false },
	{ "binary", { HEALTHY_BUT, .greeting = "220 \x1b[31m\xff\xfe\x07\r\n" },
	    CONFIG_PROBE_MAIL, OUTCOME_NOT_SMTP, STAGE_GREETING,
	    "not an SMTP reply: 220 \\x1b[31m\\xff\\xfe\\x07", 0, TALK, false },
	{ "another protocol",
	    { HEALTHY_BUT, .greeting = "HTTP/1.1 400 Bad Request\r\n\r\n" },
	    CONFIG_PROBE_MAIL, OUTCOME_NOT_SMTP, STAGE_GREETING,
	    "not an SMTP reply: HTTP/1.1 400", 0, TALK, false },
	{ "TLS, where offered",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .quirk = SCRIPT_TLS },
	    CONFIG_PROBE_MAIL, OUTCOME_OK, STAGE_MAIL, "250 2.1.0 Ok", 1, TALK,
	    false },
	{ "TLS, demanded",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .quirk = SCRIPT_TLS },
	    CONFIG_PROBE_STARTTLS, OUTCOME_OK, STAGE_EHLO, "250 server.test", 1,
	    TALK, false },
	{ "452 to MAIL under TLS",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .mail = "452 4.3.1 full\r\n",
		.quirk = SCRIPT_TLS },
	    CONFIG_PROBE_MAIL, OUTCOME_TEMPORARY, STAGE_MAIL, "452 4.3.1 full",
	    1, TALK, false },
	{ "TLS demanded, not offered", { HEALTHY_BUT }, CONFIG_PROBE_STARTTLS,
	    OUTCOME_NO_STARTTLS, STAGE_STARTTLS, "STARTTLS is not", 1, TALK,
	    false },
	{ "garbage for a handshake",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .quirk = SCRIPT_TLS_GARBAGE },
	    CONFIG_PROBE_STARTTLS, OUTCOME_TLS, STAGE_TLS, "", 0, TALK, false },
	{ "garbage for a handshake nobody demands",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .quirk = SCRIPT_TLS_GARBAGE },
	    CONFIG_PROBE_MAIL, OUTCOME_TLS, STAGE_TLS, "", 0, TALK, true },
	{ "hangs up on the handshake",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .quirk = SCRIPT_TLS_CLOSE },
	    CONFIG_PROBE_MAIL, OUTCOME_TLS, STAGE_TLS, "", 0, TALK, true },
	{ "silent in the handshake",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS, .quirk = SCRIPT_TLS_HOLD },
	    CONFIG_PROBE_MAIL, OUTCOME_TIMEOUT, STAGE_TLS, "no answer in time",
	    0, TALK, false },
	{ "plain text behind the reply to STARTTLS",
	    { HEALTHY_BUT, .ehlo = EHLO_TLS,
		.starttls = "220 go\r\n250 injected\r\n",
		.quirk = SCRIPT_TLS_HOLD },
	    CONFIG_PROBE_MAIL, OUTCOME_NOT_SMTP, STAGE_TLS, "plain text", 0,
	    TALK, false },
};

struct seen {
	struct event_base *base;
	struct probe_result result;
	int n_done;
};

static void
on_done(void *arg, const struct probe_result *result)
{
	struct seen *seen = arg;

	seen->result = *result;
	seen->n_done++;
	(void)event_base_loopbreak(seen->base);
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct probe_options
options_of(enum config_probe_level level)
{
	struct probe_options options = { .level = level,
		.timeout_ms = TIMEOUT_MS,
		.helo = "probe.test",
		.sender = "",
		.recipient = "post@example.test",
		.bind_address = "" };

	return options;
}

static uint64_t
run_probe(const struct endpoint *endpoint, const struct probe_options *options,
    struct seen *seen)
{
	struct probe_env *env;
	struct err err;
	uint64_t start;

	memset(seen, 0, sizeof(*seen));
	seen->base = event_base_new();
	ck_assert_int_eq(probe_env_create(seen->base, &env, &err), 0);
	start = now_ms();
	ck_assert_ptr_nonnull(
	    probe_start(env, endpoint, options, on_done, seen));
	ck_assert_int_eq(seen->n_done, 0);
	(void)event_base_dispatch(seen->base);
	start = now_ms() - start;
	ck_assert_int_eq(seen->n_done, 1);
	/* Nothing is left behind that the loop would wait for. */
	(void)event_base_loop(seen->base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(event_base_get_num_events(seen->base,
			     EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE),
	    0);
	ck_assert_int_eq(seen->n_done, 1);
	probe_env_free(&env);
	event_base_free(seen->base);
	return start;
}

START_TEST(each_server_gives_its_outcome_within_one_deadline)
{
	const struct row *row = &rows[_i];
	struct probe_options options = options_of(row->level);
	struct script_server server;
	struct seen seen;
	const struct observation *what = &seen.result.seen;
	uint64_t took_ms;

	script_start(&server, ADDRESS, 0, &row->script);
	if (row->deed == REFUSE)
		script_stop(&server);
	took_ms = run_probe(&server.endpoint, &options, &seen);
	if (row->deed != REFUSE)
		script_stop(&server);
	ck_assert_msg(what->outcome == row->outcome, "%s: %s %s", row->name,
	    outcome_info(what->outcome)->token, what->text);
	ck_assert_msg(what->stage == row->stage, "%s: %s", row->name,
	    outcome_stage_name(what->stage));
	ck_assert_msg(strncmp(what->text, row->text, strlen(row->text)) == 0,
	    "%s: %s", row->name, what->text);
	ck_assert(seen.result.retry_plain == row->retry_plain);
	ck_assert(what->silent == (row->outcome == OUTCOME_TIMEOUT));
	ck_assert_msg(took_ms <= TIMEOUT_MS + SLACK_MS, "%s: %d ms", row->name,
	    (int)took_ms);
	if (row->outcome == OUTCOME_TIMEOUT)
		ck_assert_uint_ge(took_ms, TIMEOUT_MS - 5);
	ck_assert_uint_eq(server.n_quits, row->n_quits);
	ck_assert_uint_eq(server.n_data, 0);
	ck_assert_uint_eq(server.n_early, 0);
	if (row->deed != REFUSE)
		ck_assert_str_eq(seen.result.interface, LOCAL);
}
END_TEST

/* The answer is known after the greeting; that QUIT is not answered must not
   hold it up until the deadline. */
START_TEST(good_manners_do_not_hold_up_the_report)
{
	static const struct script mute = { .greeting = "431 full\r\n",
		.quirk = SCRIPT_HOLD };
	struct probe_options options = options_of(CONFIG_PROBE_MAIL);
	struct script_server server;
	struct seen seen;

	options.timeout_ms = 20000;
	script_start(&server, ADDRESS, 0, &mute);
	ck_assert_uint_lt(
	    run_probe(&server.endpoint, &options, &seen), 500 + SLACK_MS);
	ck_assert_int_eq(seen.result.seen.outcome, OUTCOME_TEMPORARY);
	ck_assert_uint_lt(seen.result.seen.latency_us, 400000);
	script_stop(&server);
}
END_TEST

/* Of ten megabytes no more than a few pieces may ever be held. */
START_TEST(a_huge_banner_does_not_grow_memory)
{
	struct script banner = { HEALTHY_BUT, .quirk = SCRIPT_BANNER };
	struct probe_options options = options_of(CONFIG_PROBE_MAIL);
	struct script_server server;
	struct rusage before, after;
	struct seen seen;

	banner.greeting = "";
	script_start(&server, ADDRESS, 0, &banner);
	(void)run_probe(&server.endpoint, &options, &seen);
	(void)getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < 5; i++)
		(void)run_probe(&server.endpoint, &options, &seen);
	(void)getrusage(RUSAGE_SELF, &after);
	script_stop(&server);
	ck_assert_int_eq(seen.result.seen.outcome, OUTCOME_NOT_SMTP);
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 4096);
}
END_TEST

START_TEST(a_probe_binds_to_the_address_it_is_told)
{
	struct probe_options options = options_of(CONFIG_PROBE_GREETING);
	struct script_server server;
	struct seen seen;

	script_start(&server, ADDRESS, 0, &script_healthy);
	options.bind_address = "127.0.0.77";
	(void)run_probe(&server.endpoint, &options, &seen);
	ck_assert_int_eq(seen.result.seen.outcome, OUTCOME_OK);
	ck_assert_str_eq(seen.result.interface, "127.0.0.77");
	/* One of another family is of no use here. */
	options.bind_address = "::1";
	(void)run_probe(&server.endpoint, &options, &seen);
	ck_assert_int_eq(seen.result.seen.outcome, OUTCOME_OK);
	/* One that is not this machine's is our own trouble. */
	options.bind_address = "192.0.2.1";
	(void)run_probe(&server.endpoint, &options, &seen);
	ck_assert_int_eq(seen.result.seen.outcome, OUTCOME_LOCAL);
	ck_assert_str_eq(seen.result.interface, "-");
	script_stop(&server);
}
END_TEST

START_TEST(no_descriptors_left_is_our_own_trouble)
{
	struct probe_options options = options_of(CONFIG_PROBE_MAIL);
	struct probe_env *env;
	struct endpoint endpoint;
	struct rlimit limit, none;
	struct seen seen = { .n_done = 0 };
	struct err err;

	ck_assert_int_eq(endpoint_parse(ADDRESS, 25, &endpoint), 0);
	seen.base = event_base_new();
	ck_assert_int_eq(probe_env_create(seen.base, &env, &err), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_ptr_nonnull(
	    probe_start(env, &endpoint, &options, on_done, &seen));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	(void)event_base_dispatch(seen.base);
	ck_assert_int_eq(seen.result.seen.outcome, OUTCOME_LOCAL);
	ck_assert_str_eq(seen.result.seen.text, strerror(EMFILE));
	probe_env_free(&env);
	event_base_free(seen.base);
}
END_TEST

static const struct {
	int error;
	bool at_once;
	enum outcome outcome;
} errno_rows[] = {
	{ ECONNREFUSED, true, OUTCOME_REFUSED },
	{ ECONNREFUSED, false, OUTCOME_REFUSED },
	{ ECONNRESET, false, OUTCOME_REFUSED },
	{ ETIMEDOUT, false, OUTCOME_TIMEOUT },
	{ EHOSTUNREACH, true, OUTCOME_UNREACHABLE },
	{ EHOSTUNREACH, false, OUTCOME_UNREACHABLE },
	{ ENETUNREACH, true, OUTCOME_LOCAL },
	{ ENETUNREACH, false, OUTCOME_UNREACHABLE },
	{ EMFILE, true, OUTCOME_LOCAL },
	{ ENFILE, true, OUTCOME_LOCAL },
	{ ENOBUFS, true, OUTCOME_LOCAL },
	{ ENOMEM, false, OUTCOME_LOCAL },
	{ EACCES, true, OUTCOME_LOCAL },
	{ EADDRNOTAVAIL, true, OUTCOME_LOCAL },
	{ EADDRINUSE, true, OUTCOME_LOCAL },
	{ EAFNOSUPPORT, true, OUTCOME_LOCAL },
};

START_TEST(errors_are_told_apart_by_whose_they_are)
{
	ck_assert_int_eq(
	    probe_connect_outcome(errno_rows[_i].error, errno_rows[_i].at_once),
	    errno_rows[_i].outcome);
}
END_TEST

struct watched {
	char text[512];
};

static void
on_line(void *arg, const char *text)
{
	struct watched *watched = arg;
	size_t len = strlen(watched->text);

	(void)snprintf(
	    watched->text + len, sizeof(watched->text) - len, "%s|", text);
}

START_TEST(the_dialogue_is_shown_line_by_line)
{
	struct probe_options options = options_of(CONFIG_PROBE_EHLO);
	struct watched watched = { "" };
	struct script_server server;
	struct seen seen;

	options.helo = "";
	options.line = on_line;
	options.line_arg = &watched;
	script_start(&server, ADDRESS, 0, &script_healthy);
	(void)run_probe(&server.endpoint, &options, &seen);
	script_stop(&server);
	ck_assert_str_eq(watched.text,
	    "< 220 server.test ESMTP|> EHLO [" LOCAL "]|"
	    "< 250-server.test|< 250 HELP|> QUIT|< 221 2.0.0 Bye|");
}
END_TEST

START_TEST(a_probe_that_is_dropped_says_nothing_and_leaves_nothing)
{
	static const struct script silent = { .quirk = SCRIPT_HOLD };
	struct probe_options options = options_of(CONFIG_PROBE_MAIL);
	struct script_server server;
	struct probe_env *env;
	struct probe *probe;
	struct seen seen = { .n_done = 0 };
	struct err err;

	script_start(&server, ADDRESS, 0, &silent);
	seen.base = event_base_new();
	ck_assert_int_eq(probe_env_create(seen.base, &env, &err), 0);
	probe = probe_start(env, &server.endpoint, &options, on_done, &seen);
	(void)event_base_loop(seen.base, EVLOOP_ONCE);
	probe_cancel(&probe);
	ck_assert_ptr_null(probe);
	(void)event_base_dispatch(seen.base);
	ck_assert_int_eq(seen.n_done, 0);
	probe_env_free(&env);
	event_base_free(seen.base);
	script_stop(&server);
}
END_TEST

static Suite *
probe_suite(void)
{
	Suite *suite = suite_create("test_probe");
	TCase *servers = tcase_create("servers");
	TCase *ours = tcase_create("ours");

	tcase_set_timeout(servers, 30);
	tcase_add_loop_test(servers,
	    each_server_gives_its_outcome_within_one_deadline, 0,
	    (int)NELEM(rows));
	tcase_add_test(servers, good_manners_do_not_hold_up_the_report);
	tcase_add_test(servers, a_huge_banner_does_not_grow_memory);
	suite_add_tcase(suite, servers);
	tcase_set_timeout(ours, 30);
	tcase_add_test(ours, a_probe_binds_to_the_address_it_is_told);
	tcase_add_test(ours, no_descriptors_left_is_our_own_trouble);
	tcase_add_loop_test(ours, errors_are_told_apart_by_whose_they_are, 0,
	    (int)NELEM(errno_rows));
	tcase_add_test(ours, the_dialogue_is_shown_line_by_line);
	tcase_add_test(
	    ours, a_probe_that_is_dropped_says_nothing_and_leaves_nothing);
	suite_add_tcase(suite, ours);
	return suite;
}

int
main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return suite_run(probe_suite());
}
