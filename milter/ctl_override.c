/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_override.h"

#include "milter/clock.h"
#include "milter/ctl_duration.h"
#include "milter/ctl_host.h"
#include "milter/ctl_status.h"
#include "policy/lookup.h"
#include "policy/printable.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DOMAINS_SHOWN 5

#define FOLLOW_PAUSE_NS 10000000
#define FOLLOW_TRIES	500 /* five seconds in all */

struct wish {
	const char *word; /* as typed: "drain" */
	enum health_override kind;
	struct ctl_host_word host;
	uint64_t for_ms; /* 0: no end */
	const char *reason;
};

static int
usage(const char *word)
{
	if (strcmp(word, "enable") == 0)
		fprintf(stderr, "usage: nexthopctl enable HOST[:PORT]\n");
	else
		fprintf(stderr,
		    "usage: nexthopctl %s HOST[:PORT] [--for DURATION] "
		    "[--reason TEXT]\n"
		    "DURATION: 90, 90s, 10m, 2h or 1d\n",
		    word);
	return CTL_USAGE;
}

static enum health_override
kind_of(const char *word)
{
	static const struct {
		const char *word;
		enum health_override kind;
	} kinds[] = {
		{ "drain", OVERRIDE_DRAIN },
		{ "disable", OVERRIDE_DISABLED },
		{ "force-up", OVERRIDE_FORCED_UP },
	};

	for (size_t i = 0; i < NELEM(kinds); i++)
		if (strcmp(kinds[i].word, word) == 0)
			return kinds[i].kind;
	return OVERRIDE_NONE;
}

static bool
parse_for(const char *text, uint64_t *ms_r)
{
	if (ctl_duration_parse(text, ms_r) == 0)
		return true;
	fprintf(stderr, "nexthopctl: --for %s: this is no duration\n", text);
	return false;
}

static int
parse_words(int argc, char **argv, struct wish *wish)
{
	const char *host = NULL;
	struct err err;
	bool good = true;

	*wish = (struct wish){ .word = argv[0], .kind = kind_of(argv[0]) };
	for (int i = 1; i < argc && good; i++) {
		bool has_value = i + 1 < argc && wish->kind != OVERRIDE_NONE;

		if (strcmp(argv[i], "--for") == 0 && has_value)
			good = parse_for(argv[++i], &wish->for_ms);
		else if (strcmp(argv[i], "--reason") == 0 && has_value)
			wish->reason = argv[++i];
		else if (host == NULL && argv[i][0] != '-')
			host = argv[i];
		else
			good = false;
	}
	if (host == NULL || !good)
		return -1;
	if (ctl_host_word_parse(host, &wish->host, &err) == -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return -1;
	}
	return 0;
}

static void
write_word(struct ctl *ctl, uint32_t slot, const struct wish *wish)
{
	struct health_override_info info = { .kind = wish->kind };

	info.since_ms = ctl->now_ms;
	if (wish->for_ms > 0)
		info.until_ms = ctl->now_ms + wish->for_ms;
	if (wish->reason != NULL)
		(void)printable(wish->reason, strlen(wish->reason), info.reason,
		    sizeof(info.reason));
	health_table_set_override(ctl->table, slot, &info);
}

static void
say_done(
    const struct ctl *ctl, const struct wish *wish, const struct ctl_host *host)
{
	char name[HOST_TEXT_MAX], until[32], reason[CTL_REASON_MAX];
	char span[CTL_DURATION_TEXT];

	(void)host_format_plain(&host->host, name);
	(void)ctl_host_reason(host, reason, sizeof(reason));
	if (wish->kind == OVERRIDE_NONE)
		printf("%s: no override any more; it is measured %s", name,
		    health_state_name(host->view.state));
	else if (host->override.until_ms == 0)
		printf("%s: %s, until `nexthopctl enable`", name,
		    health_override_name(host->view.override));
	else
		printf("%s: %s until %s (for %s)", name,
		    health_override_name(host->view.override),
		    clock_rfc3339(
			host->override.until_ms, until, sizeof(until)),
		    ctl_duration_format(host->override.until_ms - ctl->now_ms,
			span, sizeof(span)));
	printf("%s%s\n", reason[0] != '\0' ? ": " : "", reason);
}

/* All slots that are meant. Returns: their number. */
static uint32_t
override_all(struct ctl *ctl, struct wish *wish, bool say)
{
	struct health_table_header_info info;
	struct ctl_host seen;
	struct host host;
	uint32_t n = 0;

	health_table_header(ctl->table, &info);
	for (uint32_t slot = 0; slot < info.hosts_used; slot++) {
		if (health_table_host(ctl->table, slot, &host) == -1 ||
		    !ctl_host_word_means(&wish->host, &host))
			continue;
		write_word(ctl, slot, wish);
		n++;
		if (!say)
			continue;
		ctl_host_read(ctl, &host, slot, &seen);
		say_done(ctl, wish, &seen);
	}
	return n;
}

/*
 * The file may have been replaced while it was written to: then the word
 * belongs into the new one too. Between its mark and the new one's name the
 * writer takes over all hosts, which takes time when they are many. Returns:
 * whether the word stands in a file that nothing has replaced.
 */
static bool
follow_table(struct ctl *ctl, struct wish *wish)
{
	const struct timespec pause = { .tv_nsec = FOLLOW_PAUSE_NS };
	struct err err;

	for (int i = 0; i < FOLLOW_TRIES; i++) {
		if (!health_table_superseded(ctl->table))
			return true;
		(void)nanosleep(&pause, NULL);
		if (ctl_attach(ctl, &err) == -1 ||
		    override_all(ctl, wish, false) == 0)
			return false;
	}
	return false;
}

/* ---- hosts that are not there ---- */

static int
say_unknown(const struct ctl *ctl, const struct wish *wish)
{
	char name[HOST_TEXT_MAX];

	for (uint32_t i = 0; ctl->config != NULL && i < ctl->config->n_hosts;
	     i++) {
		if (!ctl_host_word_means(&wish->host, &ctl->config->hosts[i]))
			continue;
		fprintf(stderr,
		    "nexthopctl: %s is in %s, but the daemon has not taken "
		    "that up yet: nexthopctl reload\n",
		    wish->host.host.name, ctl->path);
		return CTL_TROUBLE;
	}
	ctl_host_word_format(&wish->host, name);
	fprintf(stderr, "nexthopctl: %s is not in the health table\n", name);
	ctl_host_suggest(ctl, name, stderr);
	return CTL_TROUBLE;
}

/* ---- what it means for the routes ---- */

static bool
set_is_touched(
    const struct config *config, uint32_t set_number, const struct wish *wish)
{
	const struct config_set *set = &config->sets[set_number];

	for (uint32_t i = 0; i < set->n_members; i++) {
		uint32_t host = config->members[set->first_member + i].host;

		if (ctl_host_word_means(&wish->host, &config->hosts[host]))
			return true;
	}
	return false;
}

/* Routes that have been left with nothing to try. */
static void
warn_of_held_routes(const struct ctl *ctl, const struct wish *wish)
{
	const struct config *config = ctl->config;
	struct lookup_base *base;
	struct lookup_answer answer;
	uint32_t n = 0;
	struct err err;

	if (lookup_bind(config, ctl->table, false, &base, &err) == -1)
		return;
	for (uint32_t i = 0; i < config->n_routes; i++) {
		if (config->routes[i].set == CONFIG_NO_SET ||
		    !set_is_touched(config, config->routes[i].set, wish) ||
		    lookup_with_ticket(base, i, 0, ctl->now_ms, &answer) !=
			LOOKUP_HOLD)
			continue;
		if (n++ < DOMAINS_SHOWN)
			fprintf(stderr,
			    "warning: %s has no host left to try: its mail "
			    "waits in the queue\n",
			    config->routes[i].domain);
	}
	if (n > DOMAINS_SHOWN)
		fprintf(stderr,
		    "warning: the same holds for %" PRIu32 " more routes\n",
		    n - DOMAINS_SHOWN);
	lookup_base_free(&base);
}

static void
say_if_down(const struct ctl *ctl)
{
	struct health_table_header_info info;

	health_table_header(ctl->table, &info);
	if (ctl_writer_of(&info, ctl->now_ms) == CTL_WRITER_DEAD)
		fprintf(stderr, "nexthopctl: the daemon is not running; it "
				"takes this up when it starts\n");
}

int
ctl_override_run(struct ctl *ctl, int argc, char **argv)
{
	struct wish wish;
	struct err err;

	if (parse_words(argc, argv, &wish) == -1)
		return usage(argv[0]);
	if (ctl_attach(ctl, &err) == -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return CTL_TROUBLE;
	}
	ctl->now_ms = clock_boot_ms();
	if (override_all(ctl, &wish, true) == 0)
		return say_unknown(ctl, &wish);
	if (!follow_table(ctl, &wish)) {
		fprintf(stderr, "nexthopctl: the table was replaced "
				"meanwhile: try again\n");
		return CTL_TROUBLE;
	}
	if (ctl->config != NULL && wish.kind != OVERRIDE_NONE)
		warn_of_held_routes(ctl, &wish);
	say_if_down(ctl);
	return CTL_OK;
}
