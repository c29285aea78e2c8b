/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What a probe says and hears: a pure state machine over one table. Bytes and
 * events go in, a line to send or a wish comes out; it knows no socket and no
 * clock. It always ends with QUIT where the server still listens, and never
 * sends DATA.
 *
 * As smtp(8) of Postfix does: EHLO refused (but not by 421) is followed by
 * HELO; STARTTLS refused is followed by MAIL in plain text, unless the level
 * demands TLS. A TLS handshake that fails at the levels mail and rcpt is not
 * held against the host either: the MTA may use TLS with other settings than
 * ours, or not at all; the probe is to be repeated in plain text (retry_plain).
 */
#ifndef NH_MILTER_SMTP_DIALOGUE_H
#define NH_MILTER_SMTP_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/outcome.h"
#include "policy/smtp_reply.h"

#define SMTP_DIALOGUE_ARG_MAX	512    /* of HELO name, sender, recipient */
#define SMTP_DIALOGUE_LINE_MAX	1024   /* a line to send */
#define SMTP_DIALOGUE_BYTES_MAX 262144 /* heard in all */

enum smtp_dialogue_state {
	DIALOGUE_CONNECT = 0,
	DIALOGUE_GREETING,
	DIALOGUE_EHLO,
	DIALOGUE_HELO,
	DIALOGUE_STARTTLS,
	DIALOGUE_TLS, /* the handshake is under way */
	DIALOGUE_TLS_EHLO,
	DIALOGUE_MAIL,
	DIALOGUE_RCPT,
	DIALOGUE_QUIT,
	DIALOGUE_CLOSED,
	DIALOGUE_COUNT
};

enum smtp_dialogue_want {
	SMTP_WANT_READ = 0, /* more bytes */
	SMTP_WANT_SEND,	    /* send dialogue->out, then read */
	SMTP_WANT_TLS,	    /* start the handshake, tell how it went */
	SMTP_WANT_CLOSE	    /* that was all */
};

/*
 * Shows one line, "> EHLO mx.example.net" or "< 250 ok", printable.
 */
typedef void smtp_dialogue_line_fn(void *arg, const char *text);

struct smtp_dialogue_options {
	enum config_probe_level level;
	bool plain;	    /* do not use STARTTLS, unless the level
			       demands it */
	const char *helo;   /* not "" */
	const char *sender; /* "" is the null sender */
	const char *recipient;
	smtp_dialogue_line_fn *line; /* NULL: nobody watches */
	void *arg;
};

struct smtp_dialogue {
	enum smtp_dialogue_state state;
	bool decided;		 /* seen is final; what follows is courtesy */
	bool retry_plain;	 /* decided by a TLS failure that the level does
				    not mind: ask again in plain text */
	struct observation seen; /* outcome, stage, code, text, silent */
	char out[SMTP_DIALOGUE_LINE_MAX]; /* with CRLF */
	/* private */
	bool offered_starttls;
	size_t n_bytes;
	struct smtp_reply_parser parser;
	struct smtp_dialogue_options options;
	char helo[SMTP_DIALOGUE_ARG_MAX];
	char sender[SMTP_DIALOGUE_ARG_MAX];
	char recipient[SMTP_DIALOGUE_ARG_MAX];
};

/*
 * Begins. The strings of options are copied (control characters become "?").
 */
void smtp_dialogue_init(struct smtp_dialogue *dialogue,
    const struct smtp_dialogue_options *options) NH_ALL_NONNULL;

/* The connection stands. Level connect is decided now. */
enum smtp_dialogue_want smtp_dialogue_connected(
    struct smtp_dialogue *dialogue) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Takes bytes of the server, at most to the end of a reply; *used_r says how
 * many. To be called again with the rest, after doing what is wanted. Bytes
 * left when TLS is wanted were said out of turn: then it ends.
 */
enum smtp_dialogue_want smtp_dialogue_read(struct smtp_dialogue *dialogue,
    const char *bytes, size_t len, size_t *used_r) NH_MUSTCHECK NH_ALL_NONNULL;

/* The TLS handshake has succeeded. */
enum smtp_dialogue_want smtp_dialogue_tls_up(
    struct smtp_dialogue *dialogue) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * The connection has failed in the present state: timeout, closed, TLS, ours.
 * Decides, unless it is decided. text: NULL takes the outcome's own.
 */
void smtp_dialogue_fail(struct smtp_dialogue *dialogue, enum outcome outcome,
    const char *text) NH_NONNULL(1);

const char *smtp_dialogue_state_name(enum smtp_dialogue_state state);

#endif
