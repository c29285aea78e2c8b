/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdio.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/prober_parts.h"

bool
prober_override_disabled(const struct prober_target *target)
{
	struct health_view view;

	health_table_view(target->prober->snapshot->table, target->slot,
	    clock_boot_ms(), &view);
	return view.override == OVERRIDE_DISABLED;
}

/* An override that has run out is still there to be read. */
static void
what_is_in_force(const struct prober_target *target, uint64_t now_ms,
    struct health_override_info *info_r)
{
	health_table_get_override(
	    target->prober->snapshot->table, target->slot, info_r);
	if (info_r->kind == OVERRIDE_NONE || info_r->until_ms == 0 ||
	    info_r->until_ms > now_ms)
		return;
	info_r->kind = OVERRIDE_NONE;
	(void)snprintf(
	    info_r->reason, sizeof(info_r->reason), "its time is over");
}

/* A host that people give back may have been down in the meantime, and the MTA
   may remember that against the lists as they were spelled. */
static void
respell(const struct prober_target *target)
{
	struct health_table *table = target->prober->snapshot->table;
	struct health_detail detail;

	health_table_read(table, target->slot, &detail);
	detail.health.recoveries++;
	health_table_write(table, target->slot, &detail);
}

static void
note(const struct prober_target *target, enum health_override old,
    const struct health_override_info *info, uint64_t now_ms)
{
	struct health_table *table = target->prober->snapshot->table;
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n = health_table_history(table, target->slot, list), i = 0;
	struct health_history change = { .at_ms = now_ms,
		.is_override = true,
		.from = (uint8_t)old,
		.to = (uint8_t)info->kind,
		.source = SOURCE_OPERATOR };

	/* A worker that starts sees it anew; the history has it already. */
	while (i < n && !list[i].is_override)
		i++;
	if (i < n && list[i].to == change.to)
		return;
	memcpy(change.text, info->reason, sizeof(change.text));
	health_table_note(table, target->slot, &change);
}

static void
look_at(struct prober_target *target, uint64_t now_ms)
{
	struct health_override_info info;
	enum health_override old = target->override;

	what_is_in_force(target, now_ms, &info);
	if (info.kind == old)
		return;
	target->override = info.kind;
	prober_log_override(target, old, &info, now_ms);
	if (info.kind == OVERRIDE_NONE || info.kind == OVERRIDE_FORCED_UP)
		respell(target);
	note(target, old, &info, now_ms);
	prober_sets_look(target);
	if (old == OVERRIDE_DISABLED)
		prober_schedule_now(target, false);
}

void
prober_override_look(struct prober *prober)
{
	uint64_t now_ms = clock_boot_ms();
	struct health_view view;

	for (uint32_t i = 0; i < prober->n_targets; i++) {
		struct prober_target *target = prober->targets[i];

		health_table_view(
		    prober->snapshot->table, target->slot, now_ms, &view);
		if (view.override != target->override)
			look_at(target, now_ms);
	}
}
