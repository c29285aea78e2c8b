/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "milter/smtp_dialogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compiler.h"
#include "tests/fuzz/frame.h"

/* EHLO, HELO, STARTTLS, EHLO again, MAIL, RCPT, QUIT. */
#define SAID_MAX 7

/* How the connection behaves; the rest of the input is what the server says. */
struct manner {
	struct smtp_dialogue_options options;
	bool tls_works;
	enum outcome end; /* how it fails when the server has said all */
};

struct session {
	const struct manner *manner;
	struct smtp_dialogue dialogue;
	struct cuts cuts;
	unsigned n_said;
	size_t said_len;
	char said[SAID_MAX * SMTP_DIALOGUE_LINE_MAX + 1];
};

static void
watch(void *arg, const char *text)
{
	(void)arg;
	require(strncmp(text, "> ", 2) == 0 || strncmp(text, "< ", 2) == 0,
	    "what is shown says who said it");
	require_printable(text, 4096, "what is shown is printable");
}

/* One command, and one that a probe may say. */
static void
check_line(const struct smtp_dialogue *dialogue)
{
	static const char *const words[] = { "EHLO ", "HELO ", "STARTTLS\r\n",
		"MAIL FROM:<", "RCPT TO:<", "QUIT\r\n" };
	const char *line = dialogue->out;
	const size_t len = strnlen(line, sizeof(dialogue->out));
	bool known = false;

	require(len > 2 && len < sizeof(dialogue->out) &&
		    strcmp(line + len - 2, "\r\n") == 0,
	    "a line that is sent ends");
	for (size_t i = 0; i < len - 2; i++)
		require(line[i] >= ' ' && line[i] <= '~',
		    "a line that is sent is one line");
	for (size_t i = 0; i < NELEM(words); i++)
		known = known || strncmp(line, words[i], strlen(words[i])) == 0;
	require(known, "a probe says nothing else");
}

static void
say(struct session *session)
{
	const size_t len = strlen(session->dialogue.out);

	check_line(&session->dialogue);
	require(session->n_said++ < SAID_MAX, "a dialogue comes to its end");
	memcpy(session->said + session->said_len, session->dialogue.out, len);
	session->said_len += len;
}

/* Does what is wanted, as probe.c does. Returns: whether it goes on. */
static bool
obey(struct session *session, enum smtp_dialogue_want want)
{
	struct smtp_dialogue *dialogue = &session->dialogue;

	while (want == SMTP_WANT_TLS) {
		if (!session->manner->tls_works) {
			smtp_dialogue_fail(dialogue, OUTCOME_TLS, NULL);
			return false;
		}
		want = smtp_dialogue_tls_up(dialogue);
	}
	if (want == SMTP_WANT_SEND)
		say(session);
	require(
	    (want == SMTP_WANT_CLOSE) == (dialogue->state == DIALOGUE_CLOSED),
	    "what is closed wants to be");
	return want != SMTP_WANT_CLOSE;
}

/* Whether bytes come with the reply to STARTTLS or after the handshake makes a
   difference, and has to: that state hears all at once. */
static size_t
next_piece(struct session *session, const struct feed *rest)
{
	return session->dialogue.state == DIALOGUE_STARTTLS
		   ? rest->left
		   : cuts_next(&session->cuts, rest);
}

static void
hold(struct session *session, struct feed server)
{
	struct smtp_dialogue *dialogue = &session->dialogue;
	bool goes_on;
	size_t used, len;

	smtp_dialogue_init(dialogue, &session->manner->options);
	goes_on = obey(session, smtp_dialogue_connected(dialogue));
	while (goes_on && server.left > 0) {
		len = next_piece(session, &server);
		goes_on =
		    obey(session, smtp_dialogue_read(dialogue,
				      (const char *)server.at, len, &used));
		require(used > 0 && used <= len, "bytes are taken");
		(void)feed_piece(&server, used);
	}
	if (goes_on)
		smtp_dialogue_fail(dialogue, session->manner->end, NULL);
}

static void
check_end(const struct session *session)
{
	const struct smtp_dialogue *dialogue = &session->dialogue;
	const struct observation *seen = &dialogue->seen;

	require(dialogue->decided && dialogue->state == DIALOGUE_CLOSED,
	    "a dialogue ends with an answer");
	require(seen->outcome < OUTCOME_COUNT && seen->stage > STAGE_NONE &&
		    seen->stage < STAGE_DATA && seen->source == SOURCE_PROBE,
	    "an answer is one of the known");
	require(seen->code == 0 || (seen->code >= 200 && seen->code < 600),
	    "an answer has a code or none");
	require(seen->text[0] != '\0', "an answer has words");
	require_printable(
	    seen->text, sizeof(seen->text), "an answer is printable");
	require(!dialogue->retry_plain || seen->outcome == OUTCOME_TLS,
	    "only TLS makes a probe ask again in plain text");
	require(seen->silent == (seen->outcome == OUTCOME_TIMEOUT),
	    "who says nothing is silent");
}

static void
compare(const struct session *whole, const struct session *cut)
{
	require(memcmp(&whole->dialogue.seen, &cut->dialogue.seen,
		    sizeof(cut->dialogue.seen)) == 0 &&
		    whole->dialogue.retry_plain == cut->dialogue.retry_plain,
	    "an answer is the same whatever the pieces");
	require(strcmp(whole->said, cut->said) == 0,
	    "we say the same whatever the pieces");
}

static struct manner
take_manner(struct feed *input)
{
	static const enum outcome ends[] = { OUTCOME_LOST, OUTCOME_TIMEOUT,
		OUTCOME_LOCAL, OUTCOME_TLS };
	uint8_t level = feed_byte(input), how = feed_byte(input);

	return (struct manner){
		.options = { .level = (enum config_probe_level)(
				 level % (CONFIG_PROBE_RCPT + 1)),
		    .plain = (how & 1) != 0,
		    .helo = "mx.example.net",
		    .sender = (how & 2) != 0 ? "probe@example.net" : "",
		    .recipient = "postmaster@example.com",
		    .line = (how & 4) != 0 ? watch : NULL },
		.tls_works = (how & 8) != 0,
		.end = ends[how >> 4 & 3],
	};
}

/* Input: the level, how the connection behaves, how it is cut, then what the
   server says. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session whole, cut;
	struct feed input = { data, size };
	struct manner manner = take_manner(&input);

	memset(&whole, 0, sizeof(whole));
	memset(&cut, 0, sizeof(cut));
	whole.manner = cut.manner = &manner;
	cut.cuts.seed = feed_byte(&input);
	hold(&whole, input);
	hold(&cut, input);
	check_end(&whole);
	compare(&whole, &cut);
	return 0;
}
