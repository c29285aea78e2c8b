/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_host.h"

#include <stdio.h>
#include <string.h>

void
ctl_host_read(const struct ctl *ctl, const struct host *host, uint32_t slot,
    struct ctl_host *host_r)
{
	memset(host_r, 0, sizeof(*host_r));
	host_r->host = *host;
	host_r->slot = slot;
	if (slot == HEALTH_TABLE_NONE)
		return;
	health_table_view(ctl->table, slot, ctl->now_ms, &host_r->view);
	health_table_read(ctl->table, slot, &host_r->detail);
	health_table_get_override(ctl->table, slot, &host_r->override);
	for (int i = 0; i < COUNTER_COUNT; i++)
		host_r->counter[i] = health_table_counter(
		    ctl->table, slot, (enum health_counter)i);
}

/*
 * What was measured: the host's words, where they were said and who heard
 * them. They are printable: the table sees to that when it is read.
 */
static void
measured_reason(const struct ctl_host *host, char *out, size_t size)
{
	const struct observation *last = &host->detail.last;

	out[0] = '\0';
	if (last->source == SOURCE_NONE || last->text[0] == '\0')
		return;
	(void)snprintf(out, size, "%s (%s, %s)", last->text,
	    outcome_stage_name(last->stage), outcome_source_name(last->source));
}

char *
ctl_host_reason(const struct ctl_host *host, char *out, size_t size)
{
	char measured[CTL_REASON_MAX / 2];
	const char *by_operator = "";

	measured_reason(host, measured, sizeof(measured));
	if (host->view.override != OVERRIDE_NONE)
		by_operator = host->override.reason;
	if (host->slot == HEALTH_TABLE_NONE)
		(void)snprintf(out, size, "not in the table yet");
	else if (host->view.usable)
		(void)snprintf(out, size, "%s%s%s", by_operator,
		    by_operator[0] != '\0' && measured[0] != '\0' ? "; " : "",
		    measured);
	else
		(void)snprintf(out, size, "%s%sdoes not resolve%s%s",
		    by_operator, by_operator[0] != '\0' ? "; " : "",
		    measured[0] != '\0' ? "; " : "", measured);
	return out;
}

uint64_t
ctl_host_until_ms(const struct ctl_host *host)
{
	if (host->view.override != OVERRIDE_NONE)
		return host->override.until_ms;
	return host->view.state == HEALTH_DEFERRED ? host->view.due_ms : 0;
}

static void
each_configured(const struct ctl *ctl, ctl_host_fn *each, void *arg)
{
	struct ctl_host host;

	for (uint32_t i = 0; i < ctl->config->n_hosts; i++) {
		const struct host *it = &ctl->config->hosts[i];

		ctl_host_read(
		    ctl, it, health_table_find_host(ctl->table, it), &host);
		each(&host, arg);
	}
}

static void
each_in_table(const struct ctl *ctl, ctl_host_fn *each, void *arg)
{
	struct health_table_header_info info;
	struct ctl_host host;
	struct host it;

	health_table_header(ctl->table, &info);
	for (uint32_t slot = 0; slot < info.hosts_used; slot++) {
		if (health_table_host(ctl->table, slot, &it) == -1)
			continue;
		ctl_host_read(ctl, &it, slot, &host);
		each(&host, arg);
	}
}

void
ctl_host_each(const struct ctl *ctl, ctl_host_fn *each, void *arg)
{
	if (ctl->config != NULL)
		each_configured(ctl, each, arg);
	else
		each_in_table(ctl, each, arg);
}
