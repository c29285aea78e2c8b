/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What lines of the delivery log say of the hosts of the configuration. Lines
 * of one attempt (process id and queue id) are put together, because the MTA
 * does not tell everything in one line: a server's refusal stands there without
 * its port and without its recipient, the recipient's result follows.
 *
 * Which host: H[A] with H == A is a literal, else the name H; a name that is
 * not configured is nobody's, whatever address it has. A port that the line
 * tells is believed, and one that is not configured there is nobody's (not
 * behind conn_use=, which may lie before Postfix 3.8). Without a port the host
 * is sure when only one is configured; else the route of the attempt's
 * recipient narrows it down, and the relay= of its result, which is another
 * one. What is still open after that is put to every host that remains, marked
 * as doubt.
 *
 * When: trouble of a sure host at once, with the first line that tells of it.
 * A refusal waits for the result that names its recipient. One that stands in
 * the result of the last server of a list is told at once, but those of further
 * recipients only at the end of the attempt, and not at all when that server
 * takes the message for anybody: then it may have been one recipient too many.
 *
 * Pure: no time but what is passed, bounded memory, no log.
 */
#ifndef NH_POLICY_DELIVERY_H
#define NH_POLICY_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/delivery_line.h"
#include "policy/outcome.h"
#include "policy/smtp_reply.h"

/* What one delivery showed of one host. */
enum delivery_sight {
	DELIVERY_OK = 0,  /* it took a message */
	DELIVERY_TROUBLE, /* its own trouble: seen.outcome is a failure */
	DELIVERY_REFUSAL, /* a 4xx that looks personal, neither 4.7.x nor 4.2.x,
			     or 452 alone to a recipient (seen.outcome is
			     OUTCOME_POLICY) */
	DELIVERY_SHY,	  /* 4.7.x or 4.2.x: greylisting, mailbox full ...
			     (OUTCOME_POLICY) */
	DELIVERY_FINAL,	  /* 5xx after the greeting: it works, and says no
			     (OUTCOME_POLICY) */
	DELIVERY_WORD	  /* a 4xx that this message alone has earned: no more
			     than that it answers (OUTCOME_POLICY) */
};

struct delivery_seen {
	uint32_t host; /* index into config.hosts */
	enum delivery_sight sight;
	bool doubt;	    /* one of several ports, none is sure */
	uint64_t message;   /* hash of the queue id; never 0 */
	uint64_t recipient; /* of REFUSAL and SHY: hash of the recipient, or
			       of the queue id where nobody was named;
			       else 0 */
	struct observation seen; /* source is SOURCE_DELIVERY */
};

/* What a recipient that was put off waits for. */
enum delivery_cause {
	CAUSE_RECIPIENT = 0, /* what one server said of it, or of its message */
	CAUSE_REFUSAL, /* the same, unless a row of such replies shows that
			  it is the host (delivery_judge) */
	CAUSE_HOST,    /* trouble of the hosts, or suspended, or held, or
			  no reason; 452 alone is trouble here */
	CAUSE_COUNT
};

/* A recipient that was put off. */
struct delivery_waiting {
	uint32_t route; /* index into config.routes; has a set */
	const struct address *recipient;
	const char *to; /* as written */
	const char *queue_id;
	enum delivery_cause cause;
};

struct delivery_calls {
	void (*seen)(void *arg, const struct delivery_seen *seen);
	void (*waiting)(void *arg, const struct delivery_waiting *waiting);
	/* A recipient of a route is delivered or bounced: queue_id's wait may
	   be over. */
	void (*gone)(void *arg, uint32_t route, const struct address *recipient,
	    const char *queue_id);
	void *arg;
};

struct delivery;

/*
 * config must outlive the object, or be replaced by delivery_adopt (open
 * attempts are forgotten then; they are few and short). calls is copied; all of
 * them are wanted, and none may call back.
 * Owns: the caller, delivery_free. May abort without memory.
 * Thread: one at a time.
 */
struct delivery *delivery_create(const struct config *config,
    const struct delivery_calls *calls) NH_ALL_NONNULL;
void delivery_adopt(
    struct delivery *delivery, const struct config *config) NH_ALL_NONNULL;
void delivery_free(struct delivery **delivery) NH_ALL_NONNULL;

/* Takes a line; the calls are made from here. Units: boot time. No
   allocation. */
void delivery_feed(struct delivery *delivery, const struct delivery_line *line,
    uint64_t now_ms) NH_ALL_NONNULL;

/*
 * What a host's deliveries add up to: rows of refusals, doubts. One for each
 * host, zero at first; belongs to whoever keeps it.
 */
#define DELIVERY_ROW	 5  /* different recipients refused, none accepted */
#define DELIVERY_SHY_ROW 20 /* the same for 4.7.x and 4.2.x: a warning */
#define DELIVERY_DOUBTS	 3  /* doubtful troubles, none accepted */
#define DELIVERY_FATAL	 4  /* messages that a host had trouble with */

struct delivery_streak {
	/* Low halves of the hashes of the rows so far, but for the last. */
	uint32_t refused[DELIVERY_ROW - 1];
	uint32_t shy[DELIVERY_SHY_ROW - 1];
	uint8_t n_refused, n_shy; /* up to a full row; warned when n_shy is */
	uint8_t n_doubts;
	uint8_t refused_stage; /* enum outcome_stage: the last one of the row */
	uint8_t trouble_stage; /* and of what counted or was doubtful */
	/* Messages that met trouble when they were sent, a ring; low halves. */
	uint32_t fatal[DELIVERY_FATAL];
	uint8_t n_fatal;
	bool took; /* another message, since the last trouble that counted */
};

enum delivery_verdict {
	DELIVERY_NOTHING = 0, /* nothing for the state */
	DELIVERY_COUNTS,      /* apply *seen_r to the host's health */
	DELIVERY_WARN_SHY,    /* it answers 4.7.x or 4.2.x to everybody: a
				 warning, once until it takes a message */
	DELIVERY_PROBE	      /* a doubt: probe it now */
};

/*
 * Judges a sight in the light of those before it. seen_r: what to apply: the
 * observation itself; for a full row OUTCOME_TEMPORARY with the last reply's
 * words.
 *  - A success ends rows and doubts.
 *  - The row of refusals is full with DELIVERY_ROW different recipients; from
 *    then on each refusal counts. A 4.7.x between does not end it: it is no
 *    success. Refusals alone, and 4.7.x, are nothing for the state, lest one
 *    greylisted recipient end the row of failures of a sick host.
 *  - A 5xx shows that the host works as far as that stage: it ends a row of
 *    refusals up to there, and counts unless trouble was seen later than there.
 *  - Doubtful troubles count at the third in a row.
 *  - Trouble while or after a message is sent, with one that met it before, is
 *    the message's when the host took another one since: some are dropped by
 *    every scanner and firewall that they meet, and would take each host away
 *    whenever they are tried.
 */
enum delivery_verdict delivery_judge(struct delivery_streak *streak,
    const struct delivery_seen *seen,
    struct observation *seen_r) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
