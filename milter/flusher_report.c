/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/flusher_parts.h"

#include <stdio.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "policy/printable.h"

#define NAMED_MAX      5 /* domains of one recovery that are named */
#define TROUBLE_GAP_MS 60000
#define SHOWN_MAX      (ADDRESS_DOMAIN_MAX * 4)

static const char *
shown(const char *text, char out[SHOWN_MAX])
{
	return printable(text, strlen(text), out, SHOWN_MAX);
}

static void
tell_flushed(struct flusher *flusher)
{
	char domain[SHOWN_MAX];

	if (flusher->step.action == FLUSH_MESSAGE) {
		log_debug(
		    "%s: asked the MTA to try it again", flusher->step.what);
		return;
	}
	log_line(flusher->tally.flushed++ < NAMED_MAX ? CONFIG_LOG_INFO
						      : CONFIG_LOG_DEBUG,
	    "flushed %s: mail that waited is tried again",
	    shown(flusher->step.what, domain));
}

static void
tell_refused(struct flusher *flusher)
{
	char domain[SHOWN_MAX];

	(void)shown(flusher->step.what, domain);
	flush_plan_refuse(flusher->plan, flusher->step.what);
	log_line(flusher->tally.refused++ < NAMED_MAX ? CONFIG_LOG_WARNING
						      : CONFIG_LOG_DEBUG,
	    "cannot flush %s: fast_flush_domains of the MTA does not list it, "
	    "so mail that waits is tried when the MTA does by itself; main.cf "
	    "needs fast_flush_domains = $relay_domains, %s",
	    domain, domain);
}

/* The end of one recovery: what was not named is counted. */
void
flusher_end_tally(struct flusher *flusher)
{
	struct flusher_tally *tally = &flusher->tally;

	if (tally->flushed > NAMED_MAX)
		log_info("flushed %u more domains",
		    (unsigned)(tally->flushed - NAMED_MAX));
	if (tally->refused > NAMED_MAX)
		log_warning("cannot flush %u more domains that "
			    "fast_flush_domains of the MTA does not list",
		    (unsigned)(tally->refused - NAMED_MAX));
	*tally = (struct flusher_tally){ 0, 0 };
}

/* Trouble that is the same for all domains is told once a minute. */
void
flusher_tell_trouble(
    struct flusher *flusher, const char *what, const char *advice)
{
	uint64_t now_ms = clock_boot_ms();
	char domain[SHOWN_MAX];
	bool loud = now_ms >= flusher->quiet_ms;

	if (loud)
		flusher->quiet_ms = now_ms + TROUBLE_GAP_MS;
	log_line(loud ? CONFIG_LOG_WARNING : CONFIG_LOG_DEBUG,
	    "cannot flush %s: %s: %s%s", shown(flusher->step.what, domain),
	    flusher->argv[0], what, advice);
}

/* postqueue(1) exits with 69 for all of these; only its words tell. */
static const struct {
	const char *words;
	const char *advice;
} advices[] = {
	{ "ermission denied",
	    "; under NoNewPrivileges the daemon has to be in the group of "
	    "postqueue (SupplementaryGroups=postdrop)" },
	{ "not allowed to flush",
	    "; authorized_flush_users of main.cf has to list the daemon's "
	    "user" },
};

static void
tell_failed(struct flusher *flusher, const struct command_result *result)
{
	const char *advice = "";
	char what[COMMAND_OUTPUT_MAX + 32];

	for (size_t i = 0; i < NELEM(advices); i++) {
		if (strstr(result->output, advices[i].words) != NULL)
			advice = advices[i].advice;
	}
	(void)snprintf(what, sizeof(what), "exit status %d%s%s", result->status,
	    result->output[0] == '\0' ? "" : ": ", result->output);
	flusher_tell_trouble(flusher, what, advice);
}

void
flusher_report(struct flusher *flusher, const struct command_result *result)
{
	static const char refusal[] =
	    "Flush service is not configured for destination";
	char what[64];

	switch (result->end) {
	case COMMAND_EXITED:
		if (result->status == 0)
			tell_flushed(flusher);
		else if (flusher->step.action == FLUSH_DOMAIN &&
			 strstr(result->output, refusal) != NULL)
			tell_refused(flusher);
		else
			tell_failed(flusher, result);
		break;
	case COMMAND_KILLED:
		(void)snprintf(what, sizeof(what), "was killed by signal %d",
		    result->status);
		flusher_tell_trouble(flusher, what, "");
		break;
	case COMMAND_TIMED_OUT:
		(void)snprintf(what, sizeof(what), "was ended after %g s",
		    FLUSHER_DEADLINE_MS / 1e3);
		flusher_tell_trouble(flusher, what, "");
		break;
	case COMMAND_LOST:
		flusher_tell_trouble(flusher, "nobody knows how it ended", "");
		break;
	}
}
