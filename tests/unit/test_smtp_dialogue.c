/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "milter/smtp_dialogue.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXCHANGES 10

/*
 * A scripted talk: what the server says (NULL: nothing any more), and what the
 * probe must answer to it. "(tls)" stands for the wish for a handshake, and as
 * the server's words for one that succeeds; "(lost)", "(timeout)" and
 * "(tls failed)" are what befalls the connection; "(close)" is the end.
 */
struct talk {
	const char *name;
	enum config_probe_level level;
	bool plain;
	struct {
		const char *server, *probe;
	} exchange[EXCHANGES];
	enum outcome outcome;
	enum outcome_stage stage;
	const char *text;
	bool retry_plain;
};

#define EHLO_TLS "250-mx\r\n250-STARTTLS\r\n250 HELP\r\n"

static const struct talk talks[] = {
	{ "multi-line greeting and EHLO", CONFIG_PROBE_MAIL, false,
	    { { "220-mx ESMTP\r\n220-two\r\n220 three\r\n", "EHLO me.test" },
		{ "250-mx\r\n250-SIZE 9\r\n250 HELP\r\n", "MAIL FROM:<>" },
		{ "250 2.1.0 Ok\r\n", "QUIT" }, { "221 Bye\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_MAIL, "250 2.1.0 Ok", false },
	{ "level connect", CONFIG_PROBE_CONNECT, false,
	    { { "431 full\r\n", "QUIT" }, { "221 Bye\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_CONNECT, "well", false },
	{ "level greeting", CONFIG_PROBE_GREETING, false,
	    { { "220 mx\r\n", "QUIT" }, { "221 Bye\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_GREETING, "220 mx", false },
	{ "level ehlo", CONFIG_PROBE_EHLO, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "QUIT" },
		{ "221 Bye\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_EHLO, "250 mx", false },
	{ "level starttls", CONFIG_PROBE_STARTTLS, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n", "(tls)" }, { "(tls)", "EHLO me.test" },
		{ "250 mx\r\n", "QUIT" }, { "221 Bye\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_EHLO, "250 mx", false },
	{ "level rcpt", CONFIG_PROBE_RCPT, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" },
		{ "250 ok\r\n", "RCPT TO:<post@example.test>" },
		{ "250 ok\r\n", "QUIT" }, { "221 Bye\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_RCPT, "250 ok", false },
	{ "TLS when offered", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n", "(tls)" }, { "(tls)", "EHLO me.test" },
		{ EHLO_TLS, "MAIL FROM:<>" }, { "250 ok\r\n", "QUIT" } },
	    OUTCOME_OK, STAGE_MAIL, "250 ok", false },
	{ "no TLS when plain is wanted", CONFIG_PROBE_MAIL, true,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "MAIL FROM:<>" },
		{ "250 ok\r\n", "QUIT" } },
	    OUTCOME_OK, STAGE_MAIL, "250 ok", false },
	{ "431 greeting", CONFIG_PROBE_MAIL, false,
	    { { "431 Mail system full\r\n", "QUIT" },
		{ "221 Bye\r\n", "(close)" } },
	    OUTCOME_TEMPORARY, STAGE_GREETING, "431 Mail system full", false },
	{ "554 greeting", CONFIG_PROBE_GREETING, false,
	    { { "554-No\r\n554 5.7.1 way\r\n", "QUIT" } }, OUTCOME_PERMANENT,
	    STAGE_GREETING, "554 No", false },
	{ "EHLO refused, HELO taken", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "502-5.5.1 no\r\n502-STARTTLS\r\n502 no\r\n",
		    "HELO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" }, { "250 ok\r\n", "QUIT" } },
	    OUTCOME_OK, STAGE_MAIL, "250 ok", false },
	{ "EHLO and HELO refused", CONFIG_PROBE_EHLO, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { "550 a\r\n", "HELO me.test" },
		{ "550 5.7.1 b\r\n", "QUIT" } },
	    OUTCOME_PERMANENT, STAGE_EHLO, "550 5.7.1 b", false },
	{ "EHLO 4xx, HELO taken", CONFIG_PROBE_EHLO, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { "451 a\r\n", "HELO me.test" },
		{ "250 mx\r\n", "QUIT" } },
	    OUTCOME_OK, STAGE_EHLO, "250 mx", false },
	{ "421 to EHLO", CONFIG_PROBE_EHLO, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "421 4.3.2 down\r\n", "QUIT" } },
	    OUTCOME_TEMPORARY, STAGE_EHLO, "421 4.3.2 down", false },
	{ "STARTTLS demanded, not offered", CONFIG_PROBE_STARTTLS, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { "250 mx\r\n", "QUIT" } },
	    OUTCOME_NO_STARTTLS, STAGE_STARTTLS, "STARTTLS is not offered",
	    false },
	{ "STARTTLS demanded, refused", CONFIG_PROBE_STARTTLS, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "454 4.7.0 no\r\n", "QUIT" } },
	    OUTCOME_TEMPORARY, STAGE_STARTTLS, "454 4.7.0 no", false },
	{ "STARTTLS refused, plain text goes on", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "454 4.7.0 no\r\n", "MAIL FROM:<>" },
		{ "250 ok\r\n", "QUIT" } },
	    OUTCOME_OK, STAGE_MAIL, "250 ok", false },
	{ "421 to STARTTLS", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "421 down\r\n", "QUIT" } },
	    OUTCOME_TEMPORARY, STAGE_STARTTLS, "421 down", false },
	{ "handshake fails where TLS is a choice", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n", "(tls)" }, { "(tls failed)", "(close)" } },
	    OUTCOME_TLS, STAGE_TLS, "wrong version number", true },
	{ "server hangs up on the handshake", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n", "(tls)" }, { "(lost)", "(close)" } },
	    OUTCOME_TLS, STAGE_TLS, "TLS handshake failed", true },
	{ "handshake fails where TLS is demanded", CONFIG_PROBE_STARTTLS, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n", "(tls)" }, { "(tls failed)", "(close)" } },
	    OUTCOME_TLS, STAGE_TLS, "wrong version number", false },
	{ "silence in the handshake", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n", "(tls)" }, { "(timeout)", "(close)" } },
	    OUTCOME_TIMEOUT, STAGE_TLS, "no answer in time", false },
	{ "plain text behind the reply to STARTTLS", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" }, { EHLO_TLS, "STARTTLS" },
		{ "220 go\r\n250 injected\r\n", "(close)" } },
	    OUTCOME_NOT_SMTP, STAGE_TLS,
	    "plain text behind the reply to STARTTLS", false },
	{ "452 to MAIL", CONFIG_PROBE_RCPT, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" },
		{ "452 4.3.1 Insufficient system resources\r\n", "QUIT" } },
	    OUTCOME_TEMPORARY, STAGE_MAIL,
	    "452 4.3.1 Insufficient system resources", false },
	{ "530 to MAIL is policy", CONFIG_PROBE_RCPT, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" },
		{ "530 5.7.0 Must authenticate\r\n", "QUIT" } },
	    OUTCOME_POLICY, STAGE_MAIL, "530 5.7.0 Must authenticate", false },
	{ "greylisted recipient is policy", CONFIG_PROBE_RCPT, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" },
		{ "250 ok\r\n", "RCPT TO:<post@example.test>" },
		{ "450 4.7.1 Greylisted\r\n", "QUIT" } },
	    OUTCOME_POLICY, STAGE_RCPT, "450 4.7.1 Greylisted", false },
	{ "452 to RCPT", CONFIG_PROBE_RCPT, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" },
		{ "250 ok\r\n", "RCPT TO:<post@example.test>" },
		{ "452 4.3.1 full\r\n", "QUIT" } },
	    OUTCOME_TEMPORARY, STAGE_RCPT, "452 4.3.1 full", false },
	{ "not SMTP", CONFIG_PROBE_MAIL, false,
	    { { "SSH-2.0-OpenSSH\r\n", "(close)" } }, OUTCOME_NOT_SMTP,
	    STAGE_GREETING, "not an SMTP reply: SSH-2.0-OpenSSH", false },
	{ "lost in the greeting", CONFIG_PROBE_MAIL, false,
	    { { "220-half\r\n220-", NULL }, { "(lost)", "(close)" } },
	    OUTCOME_LOST, STAGE_GREETING, "connection closed in mid-dialogue",
	    false },
	{ "silent before MAIL is answered", CONFIG_PROBE_MAIL, false,
	    { { "220 mx\r\n", "EHLO me.test" },
		{ "250 mx\r\n", "MAIL FROM:<>" }, { "(timeout)", "(close)" } },
	    OUTCOME_TIMEOUT, STAGE_MAIL, "no answer in time", false },
	{ "no reply to QUIT changes nothing", CONFIG_PROBE_GREETING, false,
	    { { "220 mx\r\n", "QUIT" }, { "(timeout)", "(close)" } },
	    OUTCOME_OK, STAGE_GREETING, "220 mx", false },
	{ "garbage after QUIT changes nothing", CONFIG_PROBE_GREETING, false,
	    { { "220 mx\r\n", "QUIT" }, { "garbage\r\n", "(close)" } },
	    OUTCOME_OK, STAGE_GREETING, "220 mx", false },
};

struct watch {
	int heard, said;
};

static void
watch_line(void *arg, const char *text)
{
	struct watch *watch = arg;

	ck_assert(text[0] == '<' || text[0] == '>');
	ck_assert_int_eq(text[1], ' ');
	for (const char *c = text; *c != '\0'; c++)
		ck_assert(*c >= ' ' && *c < 0x7f);
	watch->heard += text[0] == '<';
	watch->said += text[0] == '>';
}

static void
expect(const char *name, struct smtp_dialogue *dialogue,
    enum smtp_dialogue_want want, const char *probe)
{
	char line[128];

	switch (want) {
	case SMTP_WANT_READ:
		ck_assert_msg(probe == NULL, "%s: nothing said", name);
		break;
	case SMTP_WANT_SEND:
		ck_assert_msg(probe != NULL, "%s: %s", name, dialogue->out);
		(void)snprintf(line, sizeof(line), "%s\r\n", probe);
		ck_assert_msg(strcmp(dialogue->out, line) == 0, "%s: %s", name,
		    dialogue->out);
		break;
	case SMTP_WANT_TLS:
		ck_assert_msg(probe != NULL, "%s", name);
		ck_assert_str_eq(probe, "(tls)");
		break;
	case SMTP_WANT_CLOSE:
		ck_assert_msg(probe != NULL, "%s: closed", name);
		ck_assert_msg(strcmp(probe, "(close)") == 0,
		    "%s: closed, not %s", name, probe);
		break;
	}
}

static enum smtp_dialogue_want
say(struct smtp_dialogue *dialogue, const char *bytes, size_t step)
{
	enum smtp_dialogue_want want = SMTP_WANT_READ;
	size_t len = strlen(bytes), at = 0, used, n;

	while (at < len && want == SMTP_WANT_READ) {
		n = len - at < step ? len - at : step;
		want = smtp_dialogue_read(dialogue, bytes + at, n, &used);
		at += used;
	}
	return want;
}

static enum smtp_dialogue_want
befall(struct smtp_dialogue *dialogue, const char *event)
{
	if (strcmp(event, "(tls)") == 0)
		return smtp_dialogue_tls_up(dialogue);
	if (strcmp(event, "(tls failed)") == 0)
		smtp_dialogue_fail(
		    dialogue, OUTCOME_TLS, "wrong version number");
	else if (strcmp(event, "(lost)") == 0)
		smtp_dialogue_fail(dialogue, OUTCOME_LOST, NULL);
	else
		smtp_dialogue_fail(dialogue, OUTCOME_TIMEOUT, NULL);
	return SMTP_WANT_CLOSE;
}

static void
play(const struct talk *talk, size_t step)
{
	struct watch watch = { 0, 0 };
	struct smtp_dialogue dialogue;
	struct smtp_dialogue_options options = { .level = talk->level,
		.plain = talk->plain,
		.helo = "me.test",
		.sender = "",
		.recipient = "post@example.test",
		.line = watch_line,
		.arg = &watch };

	smtp_dialogue_init(&dialogue, &options);
	ck_assert_int_eq(smtp_dialogue_connected(&dialogue), SMTP_WANT_READ);
	ck_assert(dialogue.decided == (talk->level == CONFIG_PROBE_CONNECT));
	for (int i = 0; i < EXCHANGES && talk->exchange[i].server != NULL;
	     i++) {
		const char *server = talk->exchange[i].server;

		expect(talk->name, &dialogue,
		    server[0] == '(' ? befall(&dialogue, server)
				     : say(&dialogue, server, step),
		    talk->exchange[i].probe);
	}
	ck_assert_msg(dialogue.decided, "%s", talk->name);
	ck_assert_msg(dialogue.seen.outcome == talk->outcome, "%s: %s",
	    talk->name, outcome_info(dialogue.seen.outcome)->token);
	ck_assert_msg(dialogue.seen.stage == talk->stage, "%s: %s", talk->name,
	    outcome_stage_name(dialogue.seen.stage));
	ck_assert_str_eq(dialogue.seen.text, talk->text);
	ck_assert(dialogue.retry_plain == talk->retry_plain);
	ck_assert(dialogue.seen.silent == (talk->outcome == OUTCOME_TIMEOUT));
	ck_assert_int_eq(dialogue.seen.source, SOURCE_PROBE);
	ck_assert_int_gt(watch.heard + watch.said, 0);
}

START_TEST(talk_all_at_once)
{
	play(&talks[_i], SIZE_MAX);
}
END_TEST

/* But for what is injected: byte by byte the handshake is wanted before it. */
START_TEST(talk_byte_by_byte_is_the_same)
{
	if (strstr(talks[_i].text, "plain text behind") == NULL)
		play(&talks[_i], 1);
}
END_TEST

START_TEST(a_failure_before_the_connection_stands_is_of_stage_connect)
{
	struct smtp_dialogue dialogue;
	struct smtp_dialogue_options options = { .level = CONFIG_PROBE_MAIL,
		.helo = "me.test",
		.sender = "",
		.recipient = "" };

	smtp_dialogue_init(&dialogue, &options);
	smtp_dialogue_fail(&dialogue, OUTCOME_REFUSED, NULL);
	ck_assert_int_eq(dialogue.seen.outcome, OUTCOME_REFUSED);
	ck_assert_int_eq(dialogue.seen.stage, STAGE_CONNECT);
	ck_assert_str_eq(dialogue.seen.text, "connection refused");
	smtp_dialogue_fail(&dialogue, OUTCOME_TIMEOUT, NULL);
	ck_assert_int_eq(dialogue.seen.outcome, OUTCOME_REFUSED);
}
END_TEST

START_TEST(options_cannot_smuggle_commands)
{
	char huge[2000];
	struct smtp_dialogue dialogue;
	struct smtp_dialogue_options options = { .level = CONFIG_PROBE_MAIL,
		.helo = "me\r\nDATA",
		.sender = huge,
		.recipient = "" };

	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	smtp_dialogue_init(&dialogue, &options);
	ck_assert_int_eq(smtp_dialogue_connected(&dialogue), SMTP_WANT_READ);
	ck_assert_int_eq(say(&dialogue, "220 mx\r\n", 99), SMTP_WANT_SEND);
	ck_assert_str_eq(dialogue.out, "EHLO me??DATA\r\n");
	ck_assert_int_eq(say(&dialogue, "250 mx\r\n", 99), SMTP_WANT_SEND);
	ck_assert_uint_lt(strlen(dialogue.out), SMTP_DIALOGUE_LINE_MAX);
}
END_TEST

/* Single replies without end, each of them correct. */
START_TEST(a_server_that_never_stops_talking_ends_the_dialogue)
{
	static const char ehlo[] =
	    "250-mx\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n";
	struct smtp_dialogue dialogue;
	struct smtp_dialogue_options options = { .level = CONFIG_PROBE_MAIL,
		.helo = "me.test",
		.sender = "",
		.recipient = "" };
	enum smtp_dialogue_want want = SMTP_WANT_READ;
	size_t n = 0;

	smtp_dialogue_init(&dialogue, &options);
	ck_assert_int_eq(smtp_dialogue_connected(&dialogue), SMTP_WANT_READ);
	ck_assert_int_eq(say(&dialogue, "220 mx\r\n", 99), SMTP_WANT_SEND);
	while (want == SMTP_WANT_READ && n++ < 100000)
		want = say(&dialogue, ehlo, SIZE_MAX);
	ck_assert_int_eq(want, SMTP_WANT_CLOSE);
	ck_assert_int_eq(dialogue.seen.outcome, OUTCOME_NOT_SMTP);
	ck_assert_int_eq(dialogue.seen.stage, STAGE_EHLO);
}
END_TEST

START_TEST(states_have_names)
{
	for (int i = 0; i < DIALOGUE_COUNT; i++)
		ck_assert_uint_gt(strlen(smtp_dialogue_state_name(
				      (enum smtp_dialogue_state)i)),
		    0);
}
END_TEST

static Suite *
smtp_dialogue_suite(void)
{
	Suite *suite = suite_create("test_smtp_dialogue");
	TCase *all = tcase_create("dialogue");

	tcase_add_loop_test(all, talk_all_at_once, 0, (int)NELEM(talks));
	tcase_add_loop_test(
	    all, talk_byte_by_byte_is_the_same, 0, (int)NELEM(talks));
	tcase_add_test(
	    all, a_failure_before_the_connection_stands_is_of_stage_connect);
	tcase_add_test(all, options_cannot_smuggle_commands);
	tcase_add_test(
	    all, a_server_that_never_stops_talking_ends_the_dialogue);
	tcase_add_test(all, states_have_names);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(smtp_dialogue_suite());
}
