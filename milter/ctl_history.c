/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_history.h"

#include "milter/clock.h"
#include "milter/ctl_duration.h"
#include "milter/ctl_grid.h"
#include "milter/ctl_host.h"

#include <stdlib.h>

#define TIME_SIZE   40
#define CHANGE_SIZE 64
#define WHY_SIZE    (OUTCOME_TEXT_MAX + 160)

static void
change_text(const struct health_history *change, char text[CHANGE_SIZE])
{
	const char *from, *to;

	if (change->is_override) {
		from = health_override_name((enum health_override)change->from);
		to = health_override_name((enum health_override)change->to);
	} else {
		from = health_state_name((enum health_state)change->from);
		to = health_state_name((enum health_state)change->to);
	}
	(void)snprintf(text, CHANGE_SIZE, "%s%s -> %s",
	    change->is_override ? "override " : "", from, to);
}

/* "for 10 s: 452 4.3.1 Full (end-of-data, delivery, 1 in a row)" */
static void
why_text(const struct health_history *change, char text[WHY_SIZE])
{
	char span[CTL_DURATION_TEXT], time[CTL_DURATION_TEXT + 8] = "";

	if (change->is_override) {
		(void)snprintf(text, WHY_SIZE, "%s%s(operator)", change->text,
		    change->text[0] != '\0' ? " " : "");
		return;
	}
	if (change->to == HEALTH_DEFERRED)
		(void)snprintf(time, sizeof(time), "for %s: ",
		    ctl_duration_format(
			change->backoff_ms, span, sizeof(span)));
	if (change->to == HEALTH_TRIAL)
		(void)snprintf(text, WHY_SIZE,
		    "its time was up; deferred for: %s", change->text);
	else
		(void)snprintf(text, WHY_SIZE, "%s%s (%s, %s, %u in a row)%s",
		    time, change->text, outcome_stage_name(change->stage),
		    outcome_source_name(change->source),
		    (unsigned)change->count,
		    change->blind ? ", no probe sees it" : "");
}

static void
add_change(struct ctl_grid *grid, const char *name,
    const struct health_history *change)
{
	char at[TIME_SIZE], what[CHANGE_SIZE], why[WHY_SIZE];

	(void)clock_rfc3339(change->at_ms, at, sizeof(at));
	change_text(change, what);
	why_text(change, why);
	ctl_grid_add(grid, (const char *[]){ name, at, what, why });
}

/* Returns: how many changes there were. */
static uint32_t
add_slot(const struct ctl *ctl, uint32_t slot, const struct host *host,
    struct ctl_grid *grid)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n = health_table_history(ctl->table, slot, list);
	char name[HOST_TEXT_MAX];

	(void)host_format(host, name);
	for (uint32_t i = n; i-- > 0;)
		add_change(grid, name, &list[i]);
	return n;
}

int
ctl_history_print(const struct ctl *ctl, const char *text, FILE *out)
{
	struct health_table_header_info info;
	struct ctl_host_word word;
	struct ctl_grid *grid;
	uint32_t hosts = 0, changes = 0;
	char name[HOST_TEXT_MAX];
	struct host host;
	struct err err;

	if (ctl_host_word_parse(text, &word, &err) == -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return CTL_USAGE;
	}
	grid = ctl_grid_create(4);
	ctl_grid_add(grid, (const char *[]){ "HOST", "TIME", "CHANGE", "WHY" });
	health_table_header(ctl->table, &info);
	for (uint32_t slot = 0; slot < info.hosts_used; slot++) {
		if (health_table_host(ctl->table, slot, &host) == -1 ||
		    !ctl_host_word_means(&word, &host))
			continue;
		hosts++;
		changes += add_slot(ctl, slot, &host, grid);
	}
	ctl_host_word_format(&word, name);
	if (changes > 0)
		ctl_grid_print(grid, out);
	else if (hosts > 0)
		fprintf(out, "%s: no change of state is on record\n", name);
	ctl_grid_free(&grid);
	if (hosts > 0)
		return CTL_OK;
	fprintf(stderr, "nexthopctl: %s is not in the health table\n", name);
	ctl_host_suggest(ctl, name, stderr);
	return CTL_TROUBLE;
}

int
ctl_history_run(struct ctl *ctl, int argc, char **argv)
{
	struct err err;

	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: nexthopctl history HOST[:PORT]\n");
		return CTL_USAGE;
	}
	if (ctl_attach(ctl, &err) == -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return CTL_TROUBLE;
	}
	ctl->now_ms = clock_boot_ms();
	return ctl_history_print(ctl, argv[1], stdout);
}
