/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * One mail transaction as the milter sees it: its recipients at RCPT, and at
 * end-of-message one ticket for each host set among them. Knows nothing of
 * libmilter; a session's transaction is touched by one thread at a time.
 */
#ifndef NH_MILTER_TRANSACTION_H
#define NH_MILTER_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/lookup.h"

/* Recipients of one message that get a ticket; the stand-in serves more. */
#define TRANSACTION_RECIPIENTS_MAX 50000
/* Ticket lines of one message; what is over is counted in one more line. */
#define TRANSACTION_LINES_MAX 32

struct transaction {
	char **recipients; /* routed ones only, as written at RCPT */
	size_t n, room;
	bool open; /* between MAIL and end-of-message or abort */
};

/* What became of one recipient. */
enum transaction_rcpt {
	TRANSACTION_TAKEN = 0, /* ours, or none of our business */
	TRANSACTION_TEMPFAIL   /* no host is up, none in trial waits for a
				  message, and the route says tempfail:
				  answer 451 4.3.1 */
};

/*
 * Notes a recipient. Without memory it is let pass without a ticket: the
 * stand-in serves it.
 * text: argument of RCPT, angle brackets or not.
 */
enum transaction_rcpt transaction_rcpt(struct transaction *transaction,
    const struct lookup_base *base, const char *text,
    uint64_t now_ms) NH_ALL_NONNULL;

/*
 * Would the tickets of this transaction, drawn now, come between the MTA's
 * questions for another message (lookup_resolving)?
 * first_ms: when this was asked first.
 */
bool transaction_should_wait(const struct transaction *transaction,
    const struct lookup_base *base, uint64_t first_ms,
    uint64_t now_ms) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * End of message: draws the tickets, leaves them in the table, and tells one
 * line for each route through line (without the queue id).
 */
typedef void transaction_line_fn(void *arg, const char *text);
void transaction_decide(struct transaction *transaction,
    const struct lookup_base *base, uint64_t now_ms, transaction_line_fn *line,
    void *arg) NH_NONNULL(1, 2, 4);

/* Forgets the recipients; the transaction can be used again. */
void transaction_reset(struct transaction *transaction) NH_ALL_NONNULL;

#endif
