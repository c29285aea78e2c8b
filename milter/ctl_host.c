/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUGGESTIONS 5

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

uint32_t
ctl_host_failures(const struct ctl_host *host)
{
	const struct health *health = &host->detail.health;

	return host->detail.last.source == SOURCE_DELIVERY
		   ? health->delivery_failures
		   : health->failures;
}

/*
 * What was measured: the host's words, where they were said, who heard them
 * and how often. They are printable: the table sees to that when it is read.
 */
static void
measured_reason(const struct ctl_host *host, char *out, size_t size)
{
	const struct observation *last = &host->detail.last;
	uint32_t failures = ctl_host_failures(host);
	char row[sizeof(", 4294967295 in a row")] = "";

	out[0] = '\0';
	if (last->source == SOURCE_NONE || last->text[0] == '\0')
		return;
	if (failures > 0)
		(void)snprintf(
		    row, sizeof(row), ", %" PRIu32 " in a row", failures);
	(void)snprintf(out, size, "%s (%s, %s%s)", last->text,
	    outcome_stage_name(last->stage), outcome_source_name(last->source),
	    row);
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

/* ---- a host as people type it ---- */

/* Two defaults tell whether the text names a port. */
int
ctl_host_word_parse(
    const char *text, struct ctl_host_word *word_r, struct err *err)
{
	struct host other;

	if (host_parse(text, 1, &word_r->host, err) == -1 ||
	    host_parse(text, 2, &other, err) == -1)
		return -1;
	word_r->any_port = word_r->host.port != other.port;
	return 0;
}

bool
ctl_host_word_means(const struct ctl_host_word *word, const struct host *host)
{
	struct host same_port = word->host;

	if (word->any_port)
		same_port.port = host->port;
	return host_equal(&same_port, host);
}

void
ctl_host_word_format(
    const struct ctl_host_word *word, char text_r[HOST_TEXT_MAX])
{
	if (word->any_port)
		(void)snprintf(text_r, HOST_TEXT_MAX, "%s", word->host.name);
	else
		(void)host_format_plain(&word->host, text_r);
}

/* How much two spellings share at their beginning and at their end. */
static size_t
likeness(const char *a, const char *b)
{
	size_t len_a = strlen(a), len_b = strlen(b), head = 0, tail = 0;

	while (head < len_a && head < len_b && a[head] == b[head])
		head++;
	while (head + tail < len_a && head + tail < len_b &&
	       a[len_a - tail - 1] == b[len_b - tail - 1])
		tail++;
	return head + tail;
}

struct near {
	const char *text;
	uint32_t n;
	struct {
		size_t score;
		char name[HOST_TEXT_MAX];
	} best[SUGGESTIONS];
};

static void
consider(const struct ctl_host *host, void *arg)
{
	struct near *near = arg;
	char name[HOST_TEXT_MAX];
	size_t score;
	uint32_t at;

	if (host->slot == HEALTH_TABLE_NONE)
		return;
	(void)host_format_plain(&host->host, name);
	score = likeness(near->text, name);
	at = near->n;
	if (near->n < SUGGESTIONS)
		near->n++;
	else if (near->best[--at].score >= score)
		return;
	for (; at > 0 && near->best[at - 1].score < score; at--)
		near->best[at] = near->best[at - 1];
	near->best[at].score = score;
	memcpy(near->best[at].name, name, sizeof(name));
}

void
ctl_host_suggest(const struct ctl *ctl, const char *text, FILE *out)
{
	struct near near = { .text = text };

	ctl_host_each(ctl, consider, &near);
	if (near.n == 0) {
		fprintf(out, "nexthopctl: the table knows no host at all\n");
		return;
	}
	fprintf(out, "nexthopctl: it knows, among others,");
	for (uint32_t i = 0; i < near.n; i++)
		fprintf(out, "%s %s", i > 0 ? "," : "", near.best[i].name);
	fprintf(out, "\n");
}
