/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What can be seen of a destination host, and what each sight means: one
 * table. A verdict is about the host only; trouble of ours (no descriptors, no
 * ports, no route out) is neutral and blames nobody.
 */
#ifndef NH_POLICY_OUTCOME_H
#define NH_POLICY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"

#define OUTCOME_TEXT_MAX 128 /* bytes of a host's words kept, with zero */

/* Where in the dialogue it happened. */
enum outcome_stage {
	STAGE_NONE = 0,
	STAGE_CONNECT,
	STAGE_GREETING,
	STAGE_EHLO,
	STAGE_STARTTLS,
	STAGE_TLS,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,
	STAGE_END_OF_DATA,
	STAGE_QUIT,
	STAGE_COUNT
};

enum outcome {
	OUTCOME_OK = 0,
	OUTCOME_POLICY,	     /* the host is well, it dislikes our question
				(530, 5xx or 4.7.x to MAIL, RCPT refused) */
	OUTCOME_REFUSED,     /* connection refused or reset at connect */
	OUTCOME_UNREACHABLE, /* no route to host, network unreachable */
	OUTCOME_TIMEOUT,     /* silence: at connect or at any later stage */
	OUTCOME_TEMPORARY,   /* 4.x.x that is the host's own trouble */
	OUTCOME_PERMANENT,   /* 5.x.x at greeting or EHLO */
	OUTCOME_LOST,	     /* connection closed in mid-dialogue */
	OUTCOME_NOT_SMTP,    /* bytes that are no SMTP reply, endless lines */
	OUTCOME_TLS,	     /* handshake failed */
	OUTCOME_NO_STARTTLS, /* level starttls, not offered */
	OUTCOME_LOCAL,	     /* our own trouble */
	OUTCOME_COUNT
};

enum outcome_verdict { VERDICT_OK = 0, VERDICT_FAIL, VERDICT_NEUTRAL };

enum outcome_source {
	SOURCE_NONE = 0,
	SOURCE_PROBE,
	SOURCE_DELIVERY,
	SOURCE_OPERATOR,
	SOURCE_PEER,
	SOURCE_COUNT
};

struct outcome_info {
	enum outcome_verdict verdict;
	const char *token;  /* "CONNECT_REFUSED"-like, for logs */
	const char *text;   /* for people: "connection refused" */
	const char *reason; /* "reason:" of the log's Connection Error line,
			       "unexpected SMTP response" */
};

/* One thing seen of a host. */
struct observation {
	enum outcome outcome;
	enum outcome_stage stage;
	enum outcome_source source;
	bool silent;		     /* no answer in time (OUTCOME_TIMEOUT) */
	uint16_t code;		     /* SMTP reply code, 0 for none */
	uint32_t latency_us;	     /* 0: not measured */
	char text[OUTCOME_TEXT_MAX]; /* "431 Mail system full", or the info's
					text; printable ASCII */
};

/* Thread: any; static tables. Never NULL. */
const struct outcome_info *outcome_info(enum outcome outcome);
const char *outcome_stage_name(enum outcome_stage stage);    /* "greeting" */
const char *outcome_source_name(enum outcome_source source); /* "probe" */

#endif
