/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state of its own. */
#include "policy/delivery_sight.h"

#include <stdio.h>
#include <string.h>

#include "policy/reply_rule.h"

/*
 * The answer to a recipient too many (RFC 5321 section 4.5.3.1.10) is the one
 * to "insufficient system storage", too. A probe has one recipient, so there it
 * means the host; a delivery has many.
 */
static bool
may_be_too_many(enum outcome_stage stage, const struct smtp_reply *reply)
{
	return stage == STAGE_RCPT && reply->code == 452 && !reply->enhanced;
}

/*
 * 4.5.3: too many recipients; 4.3.4: too large; 4.1.7 and 4.1.8: the sender's
 * address (Postfix: reject_unknown_sender_domain), for all of whose recipients
 * it is the same. Another message passes.
 */
static bool
is_only_this_message(const struct smtp_reply *reply)
{
	if (!reply->enhanced)
		return false;
	switch (reply->subject) {
	case 1:
		return reply->detail == 7 || reply->detail == 8;
	case 3:
		return reply->detail == 4;
	case 5:
		return reply->detail == 3;
	default:
		return false;
	}
}

static enum outcome
outcome_of(const struct smtp_reply *reply)
{
	if (reply->code / 100 == 4)
		return OUTCOME_TEMPORARY;
	return reply->code / 100 == 5 ? OUTCOME_PERMANENT : OUTCOME_NOT_SMTP;
}

/* A reply that is not the host's trouble. Returns: false: it says nothing. */
static bool
read_personal(enum smtp_trouble trouble, const struct smtp_reply *reply,
    struct delivery_reading *reading)
{
	reading->seen.outcome = OUTCOME_POLICY;
	if (reply->code / 100 == 5) {
		reading->sight = DELIVERY_FINAL;
		return true;
	}
	if (reply->code / 100 != 4)
		return false;
	if (is_only_this_message(reply))
		reading->sight = DELIVERY_WORD;
	else if (trouble == SMTP_TROUBLE_POLICY ||
		 (reply->enhanced &&
		     (reply->subject == 7 || reply->subject == 2)))
		reading->sight = DELIVERY_SHY;
	else
		reading->sight = DELIVERY_REFUSAL;
	return true;
}

static bool
read_reply(const struct config *config, const struct smtp_reply *reply,
    struct delivery_reading *reading)
{
	struct observation *seen = &reading->seen;
	const struct reply_rule *own =
	    smtp_reply_own_rule(config->delivery.replies,
		config->delivery.n_replies, seen->stage, reply);
	enum smtp_trouble trouble =
	    own != NULL ? own->trouble
			: smtp_reply_classify(seen->stage, reply);

	seen->code = reply->code;
	/* 421 ends the session, for all that it was asked for. */
	reading->each = seen->stage == STAGE_RCPT && reply->code != 421;
	(void)snprintf(seen->text, sizeof(seen->text), "%s", reply->text);
	switch (trouble) {
	case SMTP_TROUBLE_NONE:
		return false;
	case SMTP_TROUBLE_HOST:
		reading->by_host = true;
		if (own == NULL && may_be_too_many(seen->stage, reply))
			break;
		reading->sight = DELIVERY_TROUBLE;
		seen->outcome = outcome_of(reply);
		return true;
	case SMTP_TROUBLE_MESSAGE:
	case SMTP_TROUBLE_RECIPIENT:
	case SMTP_TROUBLE_POLICY:
	case SMTP_TROUBLE_COUNT:
		break;
	}
	return read_personal(trouble, reply, reading);
}

static bool
read_connection(
    const struct delivery_failure *failure, struct delivery_reading *reading)
{
	struct observation *seen = &reading->seen;

	reading->sight = DELIVERY_TROUBLE;
	reading->by_host = true;
	seen->outcome = failure->outcome;
	seen->silent = failure->silent;
	(void)snprintf(seen->text, sizeof(seen->text), "%s", failure->text);
	return outcome_info(failure->outcome)->verdict == VERDICT_FAIL;
}

bool
delivery_sight_read(const struct config *config,
    const struct delivery_failure *failure, struct delivery_reading *reading_r)
{
	*reading_r = (struct delivery_reading){ .sight = DELIVERY_OK };
	reading_r->seen.source = SOURCE_DELIVERY;
	/* Only a long reply to a recipient's name can hide its stage. */
	reading_r->seen.stage =
	    failure->stage == STAGE_NONE ? STAGE_RCPT : failure->stage;
	if (failure->refused)
		return read_reply(config, &failure->reply, reading_r);
	return read_connection(failure, reading_r);
}

struct observation
delivery_sight_ok(void)
{
	struct observation seen = { .outcome = OUTCOME_OK,
		.stage = STAGE_END_OF_DATA,
		.source = SOURCE_DELIVERY };

	(void)snprintf(
	    seen.text, sizeof(seen.text), "%s", outcome_info(OUTCOME_OK)->text);
	return seen;
}
