/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; pure. In the worker: the probe thread. */
#include "milter/smtp_dialogue.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "policy/printable.h"

#define SHOWN_MAX 512 /* bytes of a line that is shown */

enum argument { ARG_NONE = 0, ARG_HELO, ARG_SENDER, ARG_RECIPIENT };

/*
 * The protocol. Entering a state sends its line; a reply of class 2 leads to
 * next, any other to refused: to DIALOGUE_QUIT with the outcome that
 * smtp_reply_outcome gives for the stage, or to another way of going on. When
 * reaches is the level that was asked for, the answer is known.
 */
static const struct step {
	const char *name;
	const char *before, *after; /* around the argument; NULL: no line */
	enum argument argument;
	enum outcome_stage stage;
	enum config_probe_level reaches;
	enum smtp_dialogue_state next;
	enum smtp_dialogue_state refused;
} steps[] = {
	[DIALOGUE_CONNECT] = { "connect", NULL, NULL, ARG_NONE, STAGE_CONNECT,
	    CONFIG_PROBE_CONNECT, DIALOGUE_GREETING, DIALOGUE_CLOSED },
	[DIALOGUE_GREETING] = { "greeting", NULL, NULL, ARG_NONE,
	    STAGE_GREETING, CONFIG_PROBE_GREETING, DIALOGUE_EHLO,
	    DIALOGUE_QUIT },
	[DIALOGUE_EHLO] = { "ehlo", "EHLO ", "", ARG_HELO, STAGE_EHLO,
	    CONFIG_PROBE_EHLO, DIALOGUE_STARTTLS, DIALOGUE_HELO },
	[DIALOGUE_HELO] = { "helo", "HELO ", "", ARG_HELO, STAGE_EHLO,
	    CONFIG_PROBE_EHLO, DIALOGUE_STARTTLS, DIALOGUE_QUIT },
	[DIALOGUE_STARTTLS] = { "starttls", "STARTTLS", "", ARG_NONE,
	    STAGE_STARTTLS, CONFIG_PROBE_EHLO, DIALOGUE_TLS, DIALOGUE_MAIL },
	[DIALOGUE_TLS] = { "tls", NULL, NULL, ARG_NONE, STAGE_TLS,
	    CONFIG_PROBE_EHLO, DIALOGUE_TLS_EHLO, DIALOGUE_CLOSED },
	[DIALOGUE_TLS_EHLO] = { "ehlo after tls", "EHLO ", "", ARG_HELO,
	    STAGE_EHLO, CONFIG_PROBE_STARTTLS, DIALOGUE_MAIL, DIALOGUE_QUIT },
	[DIALOGUE_MAIL] = { "mail", "MAIL FROM:<", ">", ARG_SENDER, STAGE_MAIL,
	    CONFIG_PROBE_MAIL, DIALOGUE_RCPT, DIALOGUE_QUIT },
	[DIALOGUE_RCPT] = { "rcpt", "RCPT TO:<", ">", ARG_RECIPIENT, STAGE_RCPT,
	    CONFIG_PROBE_RCPT, DIALOGUE_QUIT, DIALOGUE_QUIT },
	[DIALOGUE_QUIT] = { "quit", "QUIT", "", ARG_NONE, STAGE_QUIT,
	    CONFIG_PROBE_RCPT, DIALOGUE_CLOSED, DIALOGUE_CLOSED },
	[DIALOGUE_CLOSED] = { "closed", NULL, NULL, ARG_NONE, STAGE_QUIT,
	    CONFIG_PROBE_RCPT, DIALOGUE_CLOSED, DIALOGUE_CLOSED },
};
_Static_assert(NELEM(steps) == DIALOGUE_COUNT, "one row per state");

const char *
smtp_dialogue_state_name(enum smtp_dialogue_state state)
{
	assert((unsigned)state < DIALOGUE_COUNT);
	return steps[state].name;
}

/* A line break in an option must not become a command. */
static void
copy_argument(char *to, const char *from)
{
	size_t i;

	for (i = 0; from[i] != '\0' && i < SMTP_DIALOGUE_ARG_MAX - 1; i++) {
		unsigned char byte = (unsigned char)from[i];

		to[i] = byte < 0x20 || byte == 0x7f ? '?' : from[i];
	}
	to[i] = '\0';
}

void
smtp_dialogue_init(
    struct smtp_dialogue *dialogue, const struct smtp_dialogue_options *options)
{
	memset(dialogue, 0, sizeof(*dialogue));
	dialogue->options = *options;
	copy_argument(dialogue->helo, options->helo);
	copy_argument(dialogue->sender, options->sender);
	copy_argument(dialogue->recipient, options->recipient);
	dialogue->seen.source = SOURCE_PROBE;
	smtp_reply_begin(&dialogue->parser);
}

/* Lines that are sent hold our own configuration only, lines that are heard
   may hold anything. */
static void
show(struct smtp_dialogue *dialogue, char mark, const char *text, size_t len)
{
	char shown[SHOWN_MAX] = { mark, ' ', '\0' };

	if (dialogue->options.line == NULL)
		return;
	printable(text, len, shown + 2, sizeof(shown) - 2);
	dialogue->options.line(dialogue->options.arg, shown);
}

static const char *
argument_of(const struct smtp_dialogue *dialogue, enum argument argument)
{
	switch (argument) {
	case ARG_NONE:
		break;
	case ARG_HELO:
		return dialogue->helo;
	case ARG_SENDER:
		return dialogue->sender;
	case ARG_RECIPIENT:
		return dialogue->recipient;
	}
	return "";
}

/* The only place that changes the state: entering one says its line. */
static enum smtp_dialogue_want
set_state(struct smtp_dialogue *dialogue, enum smtp_dialogue_state state)
{
	const struct step *step = &steps[state];
	int len;

	dialogue->state = state;
	smtp_reply_begin(&dialogue->parser);
	if (state == DIALOGUE_CLOSED)
		return SMTP_WANT_CLOSE;
	if (step->before == NULL)
		return state == DIALOGUE_TLS ? SMTP_WANT_TLS : SMTP_WANT_READ;
	len = snprintf(dialogue->out, sizeof(dialogue->out), "%s%s%s\r\n",
	    step->before, argument_of(dialogue, step->argument), step->after);
	assert(len > 2 && (size_t)len < sizeof(dialogue->out));
	show(dialogue, '>', dialogue->out, (size_t)len - 2);
	return SMTP_WANT_SEND;
}

static void
decide(struct smtp_dialogue *dialogue, enum outcome outcome, uint16_t code,
    const char *text)
{
	struct observation *seen = &dialogue->seen;

	if (dialogue->decided)
		return;
	dialogue->decided = true;
	seen->outcome = outcome;
	seen->stage = steps[dialogue->state].stage;
	seen->silent = outcome == OUTCOME_TIMEOUT;
	seen->code = code;
	(void)snprintf(seen->text, sizeof(seen->text), "%s",
	    text != NULL ? text : outcome_info(outcome)->text);
}

enum smtp_dialogue_want
smtp_dialogue_connected(struct smtp_dialogue *dialogue)
{
	assert(dialogue->state == DIALOGUE_CONNECT);
	if (dialogue->options.level == CONFIG_PROBE_CONNECT)
		decide(dialogue, OUTCOME_OK, 0, NULL);
	return set_state(dialogue, steps[DIALOGUE_CONNECT].next);
}

/* TLS comes between EHLO and MAIL, or not. */
static enum smtp_dialogue_want
after_ehlo(struct smtp_dialogue *dialogue)
{
	bool demanded = dialogue->options.level == CONFIG_PROBE_STARTTLS;

	if (dialogue->offered_starttls &&
	    (demanded || !dialogue->options.plain))
		return set_state(dialogue, DIALOGUE_STARTTLS);
	if (!demanded)
		return set_state(dialogue, DIALOGUE_MAIL);
	decide(dialogue, OUTCOME_NO_STARTTLS, 0, NULL);
	dialogue->seen.stage = STAGE_STARTTLS;
	return set_state(dialogue, DIALOGUE_QUIT);
}

static enum smtp_dialogue_want
accepted(struct smtp_dialogue *dialogue, const struct step *step,
    const struct smtp_reply *reply)
{
	if (step->reaches >= dialogue->options.level) {
		decide(dialogue, OUTCOME_OK, reply->code, reply->text);
		return set_state(dialogue, DIALOGUE_QUIT);
	}
	if (step->next == DIALOGUE_STARTTLS)
		return after_ehlo(dialogue);
	return set_state(dialogue, step->next);
}

static enum smtp_dialogue_want
refused(struct smtp_dialogue *dialogue, const struct step *step,
    const struct smtp_reply *reply, enum outcome outcome)
{
	bool demanded = dialogue->options.level == CONFIG_PROBE_STARTTLS;

	/* 421 closes the connection: there is no other way to go on. */
	if (step->refused != DIALOGUE_QUIT && reply->code != 421 &&
	    !(demanded && dialogue->state == DIALOGUE_STARTTLS))
		return set_state(dialogue, step->refused);
	decide(dialogue, outcome, reply->code, reply->text);
	return set_state(dialogue, DIALOGUE_QUIT);
}

static enum smtp_dialogue_want
take_reply(struct smtp_dialogue *dialogue)
{
	const struct step *step = &steps[dialogue->state];
	struct smtp_reply reply = dialogue->parser.reply;
	enum outcome outcome = smtp_reply_outcome(step->stage, &reply);

	/* The answer is known already: after the greeting (level connect) comes
	   QUIT, after the reply to QUIT nothing. */
	if (dialogue->decided)
		return set_state(dialogue, dialogue->state == DIALOGUE_QUIT
					       ? DIALOGUE_CLOSED
					       : DIALOGUE_QUIT);
	if (outcome == OUTCOME_OK)
		return accepted(dialogue, step, &reply);
	return refused(dialogue, step, &reply, outcome);
}

/* Bytes that are no SMTP: nobody listens for a QUIT there. */
static enum smtp_dialogue_want
not_smtp(struct smtp_dialogue *dialogue, const char *text)
{
	decide(dialogue, OUTCOME_NOT_SMTP, 0, text);
	return set_state(dialogue, DIALOGUE_CLOSED);
}

static void
note_line(struct smtp_dialogue *dialogue)
{
	const struct smtp_reply_parser *parser = &dialogue->parser;

	show(dialogue, '<', parser->line, parser->line_len);
	if (dialogue->state == DIALOGUE_EHLO && parser->reply.n_lines > 1 &&
	    parser->reply.code / 100 == 2 &&
	    smtp_reply_line_is(parser, "STARTTLS"))
		dialogue->offered_starttls = true;
}

enum smtp_dialogue_want
smtp_dialogue_read(struct smtp_dialogue *dialogue, const char *bytes,
    size_t len, size_t *used_r)
{
	enum smtp_dialogue_want want;
	size_t used;

	*used_r = 0;
	assert(dialogue->state != DIALOGUE_TLS);
	while (*used_r < len && dialogue->state != DIALOGUE_CLOSED) {
		enum smtp_reply_status status = smtp_reply_feed(
		    &dialogue->parser, bytes + *used_r, len - *used_r, &used);

		*used_r += used;
		dialogue->n_bytes += used;
		if (dialogue->n_bytes > SMTP_DIALOGUE_BYTES_MAX)
			return not_smtp(dialogue, "endless reply");
		switch (status) {
		case SMTP_REPLY_MORE:
			break;
		case SMTP_REPLY_LINE:
			note_line(dialogue);
			break;
		case SMTP_REPLY_DONE:
			note_line(dialogue);
			want = take_reply(dialogue);
			if (want == SMTP_WANT_TLS && *used_r < len)
				return not_smtp(dialogue,
				    "plain text behind the reply to STARTTLS");
			return want;
		case SMTP_REPLY_BAD:
			show(dialogue, '<', dialogue->parser.line,
			    dialogue->parser.line_len);
			return not_smtp(dialogue, dialogue->parser.reply.text);
		}
	}
	return dialogue->state == DIALOGUE_CLOSED ? SMTP_WANT_CLOSE
						  : SMTP_WANT_READ;
}

enum smtp_dialogue_want
smtp_dialogue_tls_up(struct smtp_dialogue *dialogue)
{
	assert(dialogue->state == DIALOGUE_TLS);
	return set_state(dialogue, steps[DIALOGUE_TLS].next);
}

void
smtp_dialogue_fail(
    struct smtp_dialogue *dialogue, enum outcome outcome, const char *text)
{
	bool demanded = dialogue->options.level == CONFIG_PROBE_STARTTLS;

	/* Hanging up on our handshake is how some servers refuse it. */
	if (dialogue->state == DIALOGUE_TLS && outcome == OUTCOME_LOST)
		outcome = OUTCOME_TLS;
	if (!dialogue->decided && outcome == OUTCOME_TLS && !demanded)
		dialogue->retry_plain = true;
	decide(dialogue, outcome, 0, text);
	(void)set_state(dialogue, DIALOGUE_CLOSED);
}
