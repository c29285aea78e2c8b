/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One line of the MTA's delivery log, taken apart. The forms are those of
 * Postfix 3.5 to 3.12 (src/smtp/smtp_trouble.c, smtp_connect.c, smtp_proto.c,
 * src/global/log_adhoc.c), with any syslog_name, behind an RFC 3164 or RFC 3339
 * prefix, or as the journal has it.
 *
 * A line holds text of strangers: what a server said, and recipients as
 * somebody wrote them. Neither may play a part of the line that the MTA wrote:
 * a line that can be read in two ways is no line (DELIVERY_LINE_OTHER), nor is
 * one with control characters, nor a RESULT without its end.
 * Knows nothing of hosts, routes and health.
 *
 * One failure, how many lines? A failed connection has an EVENT line, and when
 * it was the last of its attempt it stands in the RESULT of each recipient
 * again (told). Any other failure is either an EVENT, or, at the last server of
 * the list, in the RESULTs: there one failure concerns all recipients that were
 * left and has the same words in all of their lines (same pid, queue_id, name,
 * address and stage). Only replies at STAGE_RCPT, and LMTP's at
 * STAGE_END_OF_DATA, are given for each recipient.
 */
#ifndef NH_POLICY_DELIVERY_LINE_H
#define NH_POLICY_DELIVERY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/host.h"
#include "policy/outcome.h"
#include "policy/smtp_reply.h"

#define DELIVERY_LINE_MAX  8192 /* bytes; what is longer may be cut off */
#define DELIVERY_QUEUE_MAX 32	/* of a queue id, with zero */

enum delivery_line_kind {
	DELIVERY_LINE_OTHER = 0, /* nothing that concerns us */
	DELIVERY_LINE_EVENT,	 /* one server of an attempt failed; the next
				    one of the list is tried */
	DELIVERY_LINE_RESULT	 /* what became of one recipient */
};

enum delivery_status {
	DELIVERY_SENT = 0,
	DELIVERY_DEFERRED, /* also "SOFTBOUNCE" */
	DELIVERY_BOUNCED,  /* also "expired" is BOUNCED */
	DELIVERY_PROBED	   /* deliverable, undeliverable: no delivery */
};

/* What a deferred recipient waits for, when no server said it. */
enum delivery_waits {
	DELIVERY_WAITS_ATTEMPT = 0, /* an attempt was made and failed */
	DELIVERY_WAITS_SUSPENDED,   /* "delivery temporarily suspended" */
	DELIVERY_WAITS_HELD,	    /* "deferred transport" */
	DELIVERY_WAITS_OTHER	    /* anything else without an attempt */
};

/* One server's failure: of an EVENT line, or inside of a RESULT's reason. */
struct delivery_failure {
	bool there;   /* false: the line tells of none */
	bool refused; /* the server sent a reply (reply is valid); else the
			 connection failed, was lost or timed out */
	bool told;    /* in a RESULT: an EVENT has told of it */
	enum outcome_stage stage; /* STAGE_NONE: not told (cut off); judge a
				     reply then as at STAGE_RCPT, where it
				     proves least against the host */
	enum outcome outcome;	  /* without a reply: REFUSED, UNREACHABLE,
				     TIMEOUT, LOST, TLS, NO_STARTTLS, NOT_SMTP;
				     with one: OK, it is for
				     smtp_reply_classify */
	bool silent;
	struct smtp_reply reply;
	/* The server, H[A]:P as the MTA wrote it, spelled as in host.h. */
	char name[HOST_NAME_MAX_LEN]; /* H == A: a literal */
	char address[HOST_NAME_MAX_LEN];
	uint16_t port; /* 0: not told; of a RESULT: that of relay= */
	char text[OUTCOME_TEXT_MAX]; /* for people, printable: "452 4.3.1
					Full", "connection refused" */
};

struct delivery_line {
	enum delivery_line_kind kind;
	bool attempt; /* logged by smtp(8) or lmtp(8), not by error(8), qmgr */
	uint32_t pid; /* of the process that logged it */
	char queue_id[DELIVERY_QUEUE_MAX]; /* "" for "connect to" lines */
	struct delivery_failure failure;
	/* The rest is of a RESULT. */
	enum delivery_status status;
	enum delivery_waits waits;
	struct address recipient; /* of to=<>, parsed; domain_len 0: it could
				     not be, the rest of the line holds */
	/* As written; "" when it does not fit. */
	char to[ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX];
	/* Of an attempt only: other programs speak of no server. */
	bool relayed;			       /* relay= is not "none" */
	char relay_name[HOST_NAME_MAX_LEN];    /* as above */
	char relay_address[HOST_NAME_MAX_LEN]; /* "" : a local socket */
	uint16_t relay_port;
	bool reused; /* conn_use=: the port is not sure (before 3.8) */
};

/*
 * Takes a line of a log file apart (no line end in it; NUL bytes may be).
 * Recipients that end in no domain are no RESULT: they are not relayed.
 * Returns: line_r->kind; after OTHER the rest of *line_r is zero. Thread: any.
 */
enum delivery_line_kind delivery_line_parse(
    const char *text, size_t len, struct delivery_line *line_r) NH_ALL_NONNULL;

/*
 * The same for a record of the journal, which keeps the parts: the tag
 * ("postfix/smtp") and the message.
 */
enum delivery_line_kind delivery_line_parse_record(const char *tag,
    size_t tag_len, uint32_t pid, const char *text, size_t len,
    struct delivery_line *line_r) NH_ALL_NONNULL;

#endif
