/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; constant tables. */

/*
 * The MTA's own words stand in front, and at the very end behind what a server
 * said ("(in reply to RCPT TO command)", src/smtp/smtp_proto.c). What is
 * between them is the server's and is never searched for words of the MTA.
 */
#include <string.h>

#include "policy/delivery_line_parts.h"
#include "policy/printable.h"

/* Words of the MTA for a point of the dialogue. */
struct stage_words {
	const char *words;
	enum outcome_stage stage;
};

/* What was being done when the connection was lost. QUIT and RSET come behind
   the delivery: no trouble. */
static const struct stage_words while_words[] = {
	{ "receiving the initial server greeting", STAGE_GREETING },
	{ "performing the EHLO handshake", STAGE_EHLO },
	{ "performing the HELO handshake", STAGE_EHLO },
	{ "performing the LHLO handshake", STAGE_EHLO },
	{ "receiving the STARTTLS response", STAGE_STARTTLS },
	{ "sending XFORWARD name/address", STAGE_EHLO },
	{ "sending XFORWARD protocol/helo_name", STAGE_EHLO },
	{ "sending MAIL FROM", STAGE_MAIL },
	{ "sending RCPT TO", STAGE_RCPT },
	{ "sending DATA command", STAGE_DATA },
	{ "sending message body", STAGE_DATA },
	{ "sending end of data -- message may be sent more than once",
	    STAGE_END_OF_DATA },
	{ "sending final RSET", STAGE_QUIT },
	{ "sending RSET probe", STAGE_QUIT },
	{ "sending QUIT", STAGE_QUIT },
};

static const struct stage_words reply_words[] = {
	{ " (in reply to MAIL FROM command)", STAGE_MAIL },
	{ " (in reply to RCPT TO command)", STAGE_RCPT },
	{ " (in reply to DATA command)", STAGE_DATA },
	{ " (in reply to end of DATA command)", STAGE_END_OF_DATA },
	{ " (in reply to final RSET command)", STAGE_QUIT },
	{ " (in reply to RSET probe)", STAGE_QUIT },
	{ " (in reply to QUIT command)", STAGE_QUIT },
};

/* strerror(3) of glibc, musl and the BSDs. What is missing here may be our own
   trouble: no addresses or ports left, no route out, a firewall of ours. */
static const struct {
	const char *words;
	enum outcome outcome;
} connect_words[] = {
	{ "Connection refused", OUTCOME_REFUSED },
	{ "Connection reset by peer", OUTCOME_REFUSED },
	{ "Connection timed out", OUTCOME_TIMEOUT },
	{ "Operation timed out", OUTCOME_TIMEOUT },
	{ "No route to host", OUTCOME_UNREACHABLE },
	{ "Host is unreachable", OUTCOME_UNREACHABLE },
	{ "Host is down", OUTCOME_UNREACHABLE },
};

/* A failure without a reply. */
static void
fail(struct delivery_failure *failure, enum outcome_stage stage,
    enum outcome outcome)
{
	const char *text = outcome_info(outcome)->text;

	failure->there = true;
	failure->stage = stage;
	failure->outcome = outcome;
	failure->silent = outcome == OUTCOME_TIMEOUT;
	(void)printable(
	    text, strlen(text), failure->text, sizeof(failure->text));
}

static void
fail_with_reply(struct delivery_failure *failure, enum outcome_stage stage,
    struct line_text said)
{
	failure->refused =
	    smtp_reply_from_text(said.at, said.len, &failure->reply);
	fail(failure, stage, failure->refused ? OUTCOME_OK : OUTCOME_NOT_SMTP);
	memcpy(failure->text, failure->reply.text, sizeof(failure->text));
}

/* The functions of the forms below: rest is what follows the server's name. */

static void
connecting(struct line_text rest, bool whole, struct delivery_failure *failure)
{
	uint32_t port;

	(void)whole;
	if (!line_text_take(&rest, ":") ||
	    !line_text_take_number(&rest, UINT16_MAX, ": ", &port))
		return;
	for (size_t i = 0; i < NELEM(connect_words); i++) {
		if (!line_text_is(rest, connect_words[i].words))
			continue;
		fail(failure, STAGE_CONNECT, connect_words[i].outcome);
		failure->port = (uint16_t)port;
	}
}

static void
said(struct line_text rest, bool whole, struct delivery_failure *failure)
{
	enum outcome_stage stage = STAGE_NONE;

	for (size_t i = 0; whole && i < NELEM(reply_words); i++) {
		if (!line_text_ends(rest, reply_words[i].words))
			continue;
		rest.len -= strlen(reply_words[i].words);
		stage = reply_words[i].stage;
		break;
	}
	if (stage != STAGE_QUIT)
		fail_with_reply(failure, stage, rest);
}

static void
refused_to_talk(
    struct line_text rest, bool whole, struct delivery_failure *failure)
{
	(void)whole;
	fail_with_reply(failure, STAGE_GREETING, rest);
}

static void
refused_tls(struct line_text rest, bool whole, struct delivery_failure *failure)
{
	(void)whole;
	fail_with_reply(failure, STAGE_STARTTLS, rest);
}

static void
offered_no_tls(
    struct line_text rest, bool whole, struct delivery_failure *failure)
{
	(void)whole;
	if (rest.len == 0)
		fail(failure, STAGE_STARTTLS, OUTCOME_NO_STARTTLS);
}

static void
broke_off(struct line_text rest, struct delivery_failure *failure,
    enum outcome outcome)
{
	enum outcome_stage stage = STAGE_NONE;

	for (size_t i = 0; i < NELEM(while_words); i++) {
		if (line_text_is(rest, while_words[i].words))
			stage = while_words[i].stage;
	}
	if (stage != STAGE_QUIT)
		fail(failure, stage, outcome);
}

static void
lost(struct line_text rest, bool whole, struct delivery_failure *failure)
{
	(void)whole;
	broke_off(rest, failure, OUTCOME_LOST);
}

static void
timed_out(struct line_text rest, bool whole, struct delivery_failure *failure)
{
	(void)whole;
	broke_off(rest, failure, OUTCOME_TIMEOUT);
}

/* BEFORE H[A]BEHIND... (src/smtp/smtp_trouble.c, smtp_connect.c,
   smtp_proto.c). */
static const struct {
	const char *before;
	const char *behind;
	void (*read)(
	    struct line_text rest, bool whole, struct delivery_failure *);
} forms[] = {
	{ "connect to ", "", connecting },
	{ "host ", " said: ", said },
	/* A code that SMTP does not have at this place. */
	{ "Protocol error: host ", " said: ", said },
	{ "host ", " refused to talk to me: ", refused_to_talk },
	{ "lost connection with ", " while ", lost },
	{ "conversation with ", " timed out while ", timed_out },
	{ "TLS is required, but was not offered by host ", "", offered_no_tls },
	{ "TLS is required, but host ",
	    " refused to start TLS: ", refused_tls },
};

static bool
agree(const struct line_server *a, const struct line_server *b)
{
	return strcmp(a->name, b->name) == 0 &&
	       strcmp(a->address, b->address) == 0;
}

static void
name_server(struct delivery_failure *failure, const struct line_server *server)
{
	memcpy(failure->name, server->name, sizeof(failure->name));
	memcpy(failure->address, server->address, sizeof(failure->address));
	if (failure->port == 0)
		failure->port = server->port;
}

/* The reason names nobody, so it takes a relay. */
static bool
handshake_failed(struct line_text reason)
{
	return line_text_is(reason, "Cannot start TLS: handshake failure");
}

bool
delivery_line_reason(struct line_text reason, bool whole,
    const struct line_server *relay, struct delivery_failure *failure_r)
{
	struct line_server server;

	memset(failure_r, 0, sizeof(*failure_r));
	for (size_t i = 0; i < NELEM(forms); i++) {
		struct line_text rest = reason;

		if (!line_text_take(&rest, forms[i].before) ||
		    !line_text_take_server(&rest, &server) ||
		    !line_text_take(&rest, forms[i].behind))
			continue;
		if (relay != NULL && !agree(&server, relay))
			return false;
		forms[i].read(rest, whole, failure_r);
		if (failure_r->there)
			name_server(failure_r, relay != NULL ? relay : &server);
		return true;
	}
	if (relay != NULL && relay->address[0] != '\0' &&
	    handshake_failed(reason)) {
		fail(failure_r, STAGE_TLS, OUTCOME_TLS);
		name_server(failure_r, relay);
	}
	return true;
}
