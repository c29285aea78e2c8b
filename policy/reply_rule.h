/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One row of the table that says whom a reply concerns: built in
 * (smtp_reply.c) or of the configuration (delivery.replies). The first row that
 * matches holds.
 */
#ifndef NH_POLICY_REPLY_RULE_H
#define NH_POLICY_REPLY_RULE_H

#include <stdint.h>

#include "policy/outcome.h"
#include "policy/smtp_reply.h"

#define REPLY_ANY  (-1) /* any subject or detail, with or without a code */
#define REPLY_NONE (-2) /* subject: a reply without an enhanced code */

struct reply_rule {
	enum outcome_stage stage; /* STAGE_NONE: any stage */
	uint16_t code;		  /* a class (4), a code (452), or 0 for any */
	int16_t subject;	  /* a number, REPLY_ANY or REPLY_NONE */
	int16_t detail;		  /* a number or REPLY_ANY */
	enum smtp_trouble trouble;
	char *text; /* must occur in the reply's text, ASCII case does not
		       matter; NULL: any text. Owned by the configuration. */
};

#endif
