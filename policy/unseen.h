/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * Questions for recipients that the milter has not seen. smtpd(8) asks before
 * the milter is told of the recipient, a moment later; qmgr(8) asks for members
 * of aliases and for always_bcc, of which the milter is never told. What is not
 * explained by a RCPT soon is the second kind: the MTA is resolving a message
 * that lives on stand-ins, and a ticket drawn now would split it.
 *
 * A short memory of this process, not of the table: the newest questions only,
 * a lost one costs nothing but a message that may be split.
 */
#ifndef NH_POLICY_UNSEEN_H
#define NH_POLICY_UNSEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/compiler.h"

#define UNSEEN_MAX	 256 /* questions remembered */
#define UNSEEN_QUIET_MS	 3   /* longer than the gaps within a message */
#define UNSEEN_MEMORY_MS 250 /* such mail may come again */

struct unseen {
	_Atomic uint32_t next;
	/* 16 bits of a hash of the recipient, 16 of the set, 8 of the turn, 24
	   of the time in ms; 0: none, or explained. */
	_Atomic uint64_t question[UNSEEN_MAX];
};

/*
 * A recipient of set was asked for and has no ticket.
 * turn: the set's cursor; tells whether the question came after a draw.
 * Thread: any.
 */
void unseen_asked(struct unseen *unseen, uint32_t set, uint32_t turn,
    const struct address *recipient, uint64_t now_ms) NH_ALL_NONNULL;

/* The milter has been told of the recipient. Thread: any. */
void unseen_explained(struct unseen *unseen, uint32_t set,
    const struct address *recipient) NH_ALL_NONNULL;

/*
 * Is the MTA resolving recipients of set that are not explained: was one asked
 * for within the last UNSEEN_QUIET_MS; or one lately, but none yet since the
 * draw that led to turn?
 * just_drawn: that draw was so lately that its questions may be still to come.
 * first_ms: when the caller began to wait. One question from before must be
 * unexplained to this moment: on a busy MTA there are always some whose RCPT is
 * on its way, others each time, and nobody is to wait until there are none.
 * Where the memory holds nothing but unexplained questions for set, that one
 * may have had to make room. Thread: any.
 */
bool unseen_resolving(const struct unseen *unseen, uint32_t set, uint32_t turn,
    bool just_drawn, uint64_t first_ms,
    uint64_t now_ms) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
