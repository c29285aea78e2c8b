/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdio.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/prober_parts.h"
#include "policy/printable.h"

#define SECONDS_MAX    24
#define LOCAL_PAUSE_MS 60000

/* "10", "0.5": seconds as people write them. */
static const char *
seconds(uint64_t ms, char text[SECONDS_MAX])
{
	if (ms % 1000 == 0 || ms >= 10000)
		(void)snprintf(text, SECONDS_MAX, "%llu",
		    (unsigned long long)((ms + 500) / 1000));
	else
		(void)snprintf(text, SECONDS_MAX, "%llu.%llu",
		    (unsigned long long)(ms / 1000),
		    (unsigned long long)(ms % 1000 / 100));
	return text;
}

static const char *
domain_of(const struct prober_run *run)
{
	const struct config *config;
	uint32_t route;

	if (run->target == NULL)
		return "-";
	config = prober_config(run->prober);
	route = config->host_domain[run->target->index];
	return route < config->n_routes ? config->routes[route].domain : "-";
}

/* The two lines of one connection stand together: whether the first is worth
   the log shows only at the end. A host's own words say where they were said,
   ours do not. */
void
prober_log_connection(const struct prober_run *run,
    const struct endpoint *endpoint, const struct probe_result *result)
{
	const struct observation *seen = &result->seen;
	const struct outcome_info *info = outcome_info(seen->outcome);
	bool failed = info->verdict == VERDICT_FAIL && !result->retry_plain;
	enum config_log_level level =
	    failed || run->show ? CONFIG_LOG_INFO : CONFIG_LOG_DEBUG;
	char address[ENDPOINT_TEXT_MAX];
	unsigned long long dcid = run->dcid;

	if (info->verdict == VERDICT_NEUTRAL || !log_wants(level))
		return;
	(void)endpoint_text(endpoint, address);
	log_line(level, "New SMTP DCID %llu interface %s address %s port %u",
	    dcid, result->interface, address, (unsigned)endpoint->port);
	if (info->verdict != VERDICT_FAIL)
		return;
	log_line(level,
	    "Connection Error: DCID %llu domain: %s IP: %s port: %u "
	    "details: %s%s%s%s interface: %s reason: %s",
	    dcid, domain_of(run), address, (unsigned)endpoint->port, seen->text,
	    seen->code == 0 ? " (" : "",
	    seen->code == 0 ? outcome_stage_name(seen->stage) : "",
	    seen->code == 0 ? ")" : "", result->interface, info->reason);
}

/* "end-of-data, delivery, failure 1" */
static void
describe(const struct health *now, const struct observation *seen, char *text,
    size_t size)
{
	bool delivery = seen->source == SOURCE_DELIVERY;

	(void)snprintf(text, size, "%s, %s, failure %u",
	    outcome_stage_name(seen->stage), outcome_source_name(seen->source),
	    delivery ? now->delivery_failures : now->failures);
}

static void
log_deferred(const char *host, enum health_change change,
    const struct health *old, const struct health *now,
    const struct observation *seen)
{
	static const char *const arrow[] = { [HEALTH_UP] = "up ->",
		[HEALTH_DEFERRED] = "deferred ->",
		[HEALTH_TRIAL] = "trial ->" };
	char time[SECONDS_MAX], where[64];
	bool new = old->state != HEALTH_DEFERRED;

	describe(now, seen, where, sizeof(where));
	log_line(new ? CONFIG_LOG_INFO : CONFIG_LOG_DEBUG,
	    "host %s %s deferred for %s s: %s (%s)%s", host,
	    new ? arrow[old->state] : "still", seconds(now->backoff_ms, time),
	    seen->text, where,
	    now->blind && change == HEALTH_WENT_DEFERRED
		? "; no probe sees that: one message will try it"
		: "");
}

/* Why a host is up again: what it was that came in a row. */
static void
log_up(const struct prober_target *target, const char *host,
    const struct health *old, const struct health *now, uint64_t now_ms)
{
	char time[SECONDS_MAX];
	uint64_t since_ms =
	    target->fell_ms != 0 ? target->fell_ms : old->since_ms;
	bool delivery = now->rose_by == SOURCE_DELIVERY;
	uint32_t n = delivery ? now->delivery_successes : now->successes;

	log_info("host %s %s -> up after %s s: %u good %s%s", host,
	    health_state_name(old->state), seconds(now_ms - since_ms, time), n,
	    delivery ? "deliver" : "probe",
	    delivery ? (n == 1 ? "y" : "ies") : (n == 1 ? "" : "s"));
}

void
prober_log_change(const struct prober_target *target, enum health_change change,
    const struct health *old, const struct health *now,
    const struct observation *seen, uint64_t now_ms)
{
	char host[HOST_TEXT_MAX];

	(void)host_format(prober_host(target), host);
	switch (change) {
	case HEALTH_SAME:
		if (old->state != now->state)
			log_info("host %s %s -> %s: deliveries are not "
				 "observed any more, the probe decides",
			    host, health_state_name(old->state),
			    health_state_name(now->state));
		break;
	case HEALTH_WENT_DEFERRED:
	case HEALTH_STILL_DEFERRED:
		log_deferred(host, change, old, now, seen);
		break;
	case HEALTH_WENT_TRIAL:
		log_info("host %s deferred -> trial: its time is up, one "
			 "message may try it",
		    host);
		break;
	case HEALTH_WENT_UP:
		log_up(target, host, old, now, now_ms);
		break;
	}
}

/* What a host says against the probe is no trouble of the host's; people hear
   of it once, and again when it says something else. */
void
prober_log_grudge(struct prober_target *target, const struct observation *seen)
{
	char host[HOST_TEXT_MAX];

	if (target->grudge == seen->outcome &&
	    target->grudge_stage == seen->stage &&
	    target->grudge_code == seen->code)
		return;
	target->grudge = seen->outcome;
	target->grudge_stage = seen->stage;
	target->grudge_code = seen->code;
	(void)host_format(prober_host(target), host);
	log_warning("host %s refuses the probe at %s: %s; counted as good, see "
		    "probe.level and probe.sender",
	    host, outcome_stage_name(seen->stage), seen->text);
}

/* The same for TLS that fails where nobody demands it. */
void
prober_log_tls(struct prober_target *target, const struct observation *seen)
{
	char host[HOST_TEXT_MAX];

	if (target->tls_grudge)
		return;
	target->tls_grudge = true;
	(void)host_format(prober_host(target), host);
	log_warning("host %s: TLS handshake failed: %s; not counted at this "
		    "probe.level, asked again in plain text",
	    host, seen->text);
}

void
prober_log_local(
    struct prober *prober, const struct host *host, const char *text)
{
	char name[HOST_TEXT_MAX];
	uint64_t now_ms = clock_boot_ms();
	bool new = strcmp(prober->local_text, text) != 0 ||
		   now_ms - prober->local_warned_ms >= LOCAL_PAUSE_MS;

	(void)host_format(host, name);
	log_line(new ? CONFIG_LOG_WARNING : CONFIG_LOG_DEBUG,
	    "cannot probe %s: %s: trouble of our own, no host is blamed", name,
	    text);
	if (!new)
		return;
	prober->local_warned_ms = now_ms;
	(void)snprintf(
	    prober->local_text, sizeof(prober->local_text), "%s", text);
}

void
prober_log_override(const struct prober_target *target,
    enum health_override old, const struct health_override_info *info,
    uint64_t now_ms)
{
	char host[HOST_TEXT_MAX], time[SECONDS_MAX];
	char span[SECONDS_MAX + sizeof(" for  s")] = "";
	char reason[HEALTH_TABLE_REASON_MAX * 4];

	(void)host_format(prober_host(target), host);
	/* The table is a file: what it holds is a stranger's text as well. */
	printable(info->reason, strnlen(info->reason, sizeof(info->reason)),
	    reason, sizeof(reason));
	if (info->until_ms > now_ms && info->kind != OVERRIDE_NONE)
		(void)snprintf(span, sizeof(span), " for %s s",
		    seconds(
			(info->until_ms - now_ms + 999) / 1000 * 1000, time));
	log_info("host %s override %s -> %s%s%s%s", host,
	    health_override_name(old), health_override_name(info->kind), span,
	    reason[0] != '\0' ? ": " : "", reason);
}
