/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; constant tables. */
#include "policy/outcome.h"

#include <assert.h>
#include <stddef.h>

/* What the MTA calls a failed connection and what we call one have to meet in
   the reader's mind: the words of "reason" are those of mail gateways. */
static const struct outcome_info infos[] = {
	[OUTCOME_OK] = { VERDICT_OK, "OK", "well", "none" },
	[OUTCOME_POLICY] = { VERDICT_OK, "POLICY", "the probe is not welcome",
	    "probe refused" },
	[OUTCOME_REFUSED] = { VERDICT_FAIL, "CONNECT_REFUSED",
	    "connection refused", "connection refused" },
	[OUTCOME_UNREACHABLE] = { VERDICT_FAIL, "UNREACHABLE",
	    "host unreachable", "host unreachable" },
	[OUTCOME_TIMEOUT] = { VERDICT_FAIL, "TIMEOUT", "no answer in time",
	    "timed out" },
	[OUTCOME_TEMPORARY] = { VERDICT_FAIL, "TEMPORARY_REPLY",
	    "temporary failure", "unexpected SMTP response" },
	[OUTCOME_PERMANENT] = { VERDICT_FAIL, "PERMANENT_REPLY",
	    "permanent failure", "unexpected SMTP response" },
	[OUTCOME_LOST] = { VERDICT_FAIL, "CONNECTION_LOST",
	    "connection closed in mid-dialogue", "connection lost" },
	[OUTCOME_NOT_SMTP] = { VERDICT_FAIL, "NOT_SMTP", "not an SMTP reply",
	    "unexpected SMTP response" },
	[OUTCOME_TLS] = { VERDICT_FAIL, "TLS_FAILED", "TLS handshake failed",
	    "TLS handshake failed" },
	[OUTCOME_NO_STARTTLS] = { VERDICT_FAIL, "NO_STARTTLS",
	    "STARTTLS is not offered", "STARTTLS not offered" },
	[OUTCOME_LOCAL] = { VERDICT_NEUTRAL, "LOCAL", "trouble of our own",
	    "local trouble" },
};
_Static_assert(NELEM(infos) == OUTCOME_COUNT, "one row per outcome");

static const char *const stage_names[] = {
	[STAGE_NONE] = "none",
	[STAGE_CONNECT] = "connect",
	[STAGE_GREETING] = "greeting",
	[STAGE_EHLO] = "ehlo",
	[STAGE_STARTTLS] = "starttls",
	[STAGE_TLS] = "tls",
	[STAGE_MAIL] = "mail",
	[STAGE_RCPT] = "rcpt",
	[STAGE_DATA] = "data",
	[STAGE_END_OF_DATA] = "end-of-data",
	[STAGE_QUIT] = "quit",
};
_Static_assert(NELEM(stage_names) == STAGE_COUNT, "one name per stage");

static const char *const source_names[] = {
	[SOURCE_NONE] = "none",
	[SOURCE_PROBE] = "probe",
	[SOURCE_DELIVERY] = "delivery",
	[SOURCE_OPERATOR] = "operator",
	[SOURCE_PEER] = "peer",
};
_Static_assert(NELEM(source_names) == SOURCE_COUNT, "one name per source");

const struct outcome_info *
outcome_info(enum outcome outcome)
{
	assert((unsigned)outcome < OUTCOME_COUNT);
	return &infos[outcome];
}

const char *
outcome_stage_name(enum outcome_stage stage)
{
	assert((unsigned)stage < STAGE_COUNT);
	return stage_names[stage];
}

const char *
outcome_source_name(enum outcome_source source)
{
	assert((unsigned)source < SOURCE_COUNT);
	return source_names[source];
}
