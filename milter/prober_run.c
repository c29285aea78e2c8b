/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/prober_parts.h"

#define BY_HAND_MAX 32 /* probes that people ask for, at a time */

/*
 * A run asks one host: the addresses of a name in turn, as the MTA does, until
 * one is well; and an address once more in plain text when TLS has failed and
 * nobody demands it. Each is a connection with a number (DCID) of its own; all
 * share one deadline, of which each address gets its part.
 */

static void start_connection(struct prober_run *run);

static void
say(const struct prober_run *run, const char *text)
{
	if (run->line != NULL)
		run->line(run->line_arg, text, false);
}

static void
on_line(void *arg, const char *text)
{
	say(arg, text);
}

/* Unlinks and frees; whoever watches has been told, or has gone. */
static void
discard(struct prober_run *run)
{
	struct prober *prober = run->prober;

	LIST_REMOVE(run, others);
	probe_cancel(&run->probe);
	resolver_cancel(&run->query);
	if (run->scheduled) {
		prober->n_running--;
		if (run->deferred)
			prober->n_running_deferred--;
	} else {
		prober->n_by_hand--;
	}
	if (run->target != NULL && run->target->run == run)
		run->target->run = NULL;
	free(run);
}

/* The one end of a run. seen NULL: the host was not asked. */
static void
finish(struct prober_run *run, const struct observation *seen)
{
	struct prober *prober = run->prober;
	struct prober_target *target = run->target;
	bool good =
	    seen != NULL && outcome_info(seen->outcome)->verdict == VERDICT_OK;

	if (seen != NULL && seen->outcome == OUTCOME_LOCAL)
		prober_log_local(prober, &run->host, seen->text);
	if (run->line != NULL)
		run->line(run->line_arg, NULL, good);
	discard(run);
	if (target != NULL) {
		if (seen != NULL)
			prober_verdict(target, seen);
		if (target->run == NULL && target->line == LINE_NONE &&
		    target->query == NULL)
			prober_schedule_next(target);
	}
	prober_schedule_go_on(prober);
}

static void
finish_local(struct prober_run *run, const char *text)
{
	struct observation seen = { .outcome = OUTCOME_LOCAL,
		.stage = STAGE_CONNECT,
		.source = SOURCE_PROBE };

	(void)snprintf(seen.text, sizeof(seen.text), "%s", text);
	say(run, seen.text);
	finish(run, &seen);
}

/* A failure seen at one address outweighs a trouble of ours at another. */
static void
conclude(struct prober_run *run, const struct observation *seen)
{
	struct observation last = *seen;

	if (outcome_info(seen->outcome)->verdict == VERDICT_NEUTRAL &&
	    run->failed)
		last = run->failure;
	finish(run, &last);
}

static void
on_done(void *arg, const struct probe_result *result)
{
	struct prober_run *run = arg;
	const struct observation *seen = &result->seen;
	enum outcome_verdict verdict = outcome_info(seen->outcome)->verdict;
	char shown[OUTCOME_TEXT_MAX + 64];

	run->probe = NULL;
	prober_log_connection(run, &run->addresses.list[run->at], result);
	(void)snprintf(shown, sizeof(shown), "* %s: %s (%s)",
	    outcome_info(seen->outcome)->token, seen->text,
	    outcome_stage_name(seen->stage));
	say(run, shown);
	if (result->retry_plain) {
		if (run->target != NULL)
			prober_log_tls(run->target, seen);
		run->plain = true;
		start_connection(run);
		return;
	}
	if (verdict == VERDICT_OK && !run->plain && run->target != NULL)
		run->target->tls_grudge = false;
	if (verdict == VERDICT_FAIL) {
		run->failed = true;
		run->failure = *seen;
	}
	if (verdict == VERDICT_OK || run->at + 1 >= run->addresses.n ||
	    clock_boot_ms() >= run->end_ms) {
		conclude(run, seen);
		return;
	}
	run->at++;
	run->plain = false;
	start_connection(run);
}

static uint32_t
share_of_time(const struct prober_run *run)
{
	uint64_t now_ms = clock_boot_ms();
	uint64_t left_ms = run->end_ms > now_ms ? run->end_ms - now_ms : 0;
	uint64_t share_ms = left_ms / (run->addresses.n - run->at);

	return share_ms > 0 ? (uint32_t)share_ms : 1;
}

static void
start_connection(struct prober_run *run)
{
	struct prober *prober = run->prober;
	const struct config_probe *config = &prober_config(prober)->probe;
	const struct endpoint *endpoint = &run->addresses.list[run->at];
	char address[ENDPOINT_TEXT_MAX], shown[ENDPOINT_TEXT_MAX + 32];
	struct probe_options options = {
		.level = config->level,
		.timeout_ms = share_of_time(run),
		.plain = run->plain,
		.helo =
		    config->helo[0] != '\0' ? config->helo : prober->machine,
		.sender = config->sender,
		.recipient = config->recipient,
		.bind_address = config->bind_address,
		.tls_name = run->host.kind == HOST_NAME ? run->host.name : NULL,
		.line = run->line != NULL ? on_line : NULL,
		.line_arg = run,
	};

	run->dcid = ++prober->dcid;
	(void)snprintf(shown, sizeof(shown), "* connecting to %s port %u",
	    endpoint_text(endpoint, address), (unsigned)endpoint->port);
	say(run, shown);
	run->probe = probe_start(prober->env, endpoint, &options, on_done, run);
	if (run->probe == NULL)
		finish_local(run, "out of memory");
}

static struct prober_run *
new_run(struct prober *prober, const struct host *host)
{
	struct prober_run *run = calloc(1, sizeof(*run));

	if (run == NULL)
		return NULL;
	run->prober = prober;
	run->host = *host;
	run->end_ms = clock_boot_ms() + prober_config(prober)->probe.timeout_ms;
	LIST_INSERT_HEAD(&prober->runs, run, others);
	return run;
}

/* Does a deferred host have to satisfy this probe yet? One that waits for its
   time, or for a delivery, is well by its probes for long. */
static bool
is_awaited(const struct prober_target *target)
{
	struct health_detail detail;

	health_table_read(
	    target->prober->snapshot->table, target->slot, &detail);
	return detail.health.successes <
	       prober_config(target->prober)->defer.rise;
}

void
prober_run_scheduled(struct prober_target *target, bool deferred)
{
	struct prober *prober = target->prober;
	const struct host *host = prober_host(target);
	struct prober_run *run = new_run(prober, host);

	if (run == NULL) {
		prober_log_local(prober, host, "out of memory");
		prober_schedule_next(target);
		return;
	}
	run->target = target;
	run->scheduled = true;
	run->deferred = deferred;
	/* What is seen around a change is worth the log. */
	run->show = target->show || (deferred && is_awaited(target));
	target->show = false;
	target->run = run;
	prober->n_running++;
	if (deferred)
		prober->n_running_deferred++;
	if (host->kind == HOST_NAME)
		run->addresses = *target->addresses;
	else
		prober_names_literal(host, &run->addresses);
	start_connection(run);
}

void
prober_run_drop(struct prober_run *run)
{
	discard(run);
}

/* ---- by hand ---- */

static void
on_resolved(void *arg, const struct resolver_answer *answer)
{
	struct prober_run *run = arg;
	char shown[128];

	run->query = NULL;
	if (answer->kind == RESOLVER_FOUND) {
		run->addresses = *answer;
		start_connection(run);
		return;
	}
	(void)snprintf(
	    shown, sizeof(shown), "* does not resolve: %s", answer->why);
	say(run, shown);
	finish(run, NULL);
}

static struct prober_target *
target_of(struct prober *prober, const struct host *host)
{
	for (uint32_t i = 0; i < prober->n_targets; i++) {
		if (host_equal(prober_host(prober->targets[i]), host))
			return prober->targets[i];
	}
	return NULL;
}

void
prober_probe_now(struct prober *prober, const struct host *host,
    prober_line_fn *line, void *arg)
{
	struct prober_run *run = NULL;

	if (prober->n_by_hand < BY_HAND_MAX)
		run = new_run(prober, host);
	if (run == NULL) {
		line(arg, "* too many probes are under way", false);
		line(arg, NULL, false);
		return;
	}
	prober->n_by_hand++;
	run->target = target_of(prober, host);
	run->show = true;
	run->line = line;
	run->line_arg = arg;
	if (host->kind != HOST_NAME) {
		prober_names_literal(host, &run->addresses);
		start_connection(run);
		return;
	}
	run->query = resolver_ask(prober->resolver, host->name, host->port,
	    prober_config(prober)->address_family, on_resolved, run);
	if (run->query == NULL)
		finish_local(run, "out of memory");
}

void
prober_forget(struct prober *prober, void *arg)
{
	struct prober_run *run;

	LIST_FOREACH(run, &prober->runs, others)
	{
		if (run->line == NULL || run->line_arg != arg)
			continue;
		run->line = NULL;
		if (run->probe != NULL)
			probe_unwatch(run->probe);
	}
}
