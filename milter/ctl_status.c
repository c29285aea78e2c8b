/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_status.h"

#include "milter/clock.h"
#include "milter/ctl_host.h"
#include "policy/printable.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>

#define RFC3339_SIZE 32
#define TEXT_MAX     1024

enum ctl_writer
ctl_writer_of(const struct health_table_header_info *info, uint64_t now_ms)
{
	pid_t pid = (pid_t)info->writer_pid;

	if (pid <= 0 || (kill(pid, 0) == -1 && errno == ESRCH))
		return CTL_WRITER_DEAD;
	/* The number may belong to another process by now. */
	if (info->heartbeat_ms + CTL_STALE_MS < now_ms)
		return CTL_WRITER_STALE;
	return CTL_WRITER_ALIVE;
}

/* A string that JSON can carry, whatever the bytes are. */
static json_t *
json_text(const char *text)
{
	json_t *value = json_string(text);
	char safe[TEXT_MAX];

	if (value != NULL)
		return value;
	return json_string(printable(text, strlen(text), safe, sizeof(safe)));
}

static json_t *
json_time(uint64_t boot_ms)
{
	char text[RFC3339_SIZE];

	if (boot_ms == 0)
		return json_null();
	return json_string(clock_rfc3339(boot_ms, text, sizeof(text)));
}

/*
 * Why the host is where it is: the operator's word while there is one, else
 * what was measured.
 */
static void
put_reason(json_t *object, const struct ctl_host *host)
{
	const struct observation *last = &host->detail.last;
	bool overridden = host->view.override != OVERRIDE_NONE;
	uint64_t since =
	    overridden ? host->override.since_ms : host->detail.health.since_ms;
	json_t *stage = json_null(), *source = json_null();

	if (overridden) {
		source = json_string(outcome_source_name(SOURCE_OPERATOR));
	} else if (last->source != SOURCE_NONE) {
		stage = json_string(outcome_stage_name(last->stage));
		source = json_string(outcome_source_name(last->source));
	}
	json_object_set_new(object, "reason",
	    json_text(overridden ? host->override.reason : last->text));
	json_object_set_new(object, "stage", stage);
	json_object_set_new(object, "source", source);
	json_object_set_new(object, "since", json_time(since));
	json_object_set_new(
	    object, "until", json_time(ctl_host_until_ms(host)));
}

static json_t *
json_count(uint64_t number)
{
	return json_integer((json_int_t)number);
}

static void
add_host(const struct ctl_host *host, void *arg)
{
	json_t *object, *list = arg;
	uint32_t latency_us = host->detail.latency_us;

	/* In the file but not taken up: the daemon knows nothing of it. */
	if (host->slot == HEALTH_TABLE_NONE)
		return;
	object = json_object();
	json_object_set_new(object, "host", json_text(host->host.name));
	json_object_set_new(object, "port", json_count(host->host.port));
	json_object_set_new(
	    object, "state", json_string(health_state_name(host->view.state)));
	json_object_set_new(object, "override",
	    json_string(health_override_name(host->view.override)));
	json_object_set_new(object, "usable", json_boolean(host->view.usable));
	put_reason(object, host);
	json_object_set_new(
	    object, "failures", json_count(ctl_host_failures(host)));
	json_object_set_new(
	    object, "picked", json_count(host->counter[COUNTER_PICKED]));
	json_object_set_new(object, "observed_ok",
	    json_count(host->counter[COUNTER_OBSERVED_OK]));
	json_object_set_new(object, "observed_failed",
	    json_count(host->counter[COUNTER_OBSERVED_FAILED]));
	json_object_set_new(object, "latency_ms",
	    latency_us == 0 ? json_null() : json_real(latency_us / 1000.0));
	json_array_append_new(list, object);
}

static json_t *
json_route(const struct ctl *ctl, const struct config_route *route)
{
	const struct config *config = ctl->config;
	json_t *object = json_object(), *hosts = json_array();
	const struct config_set *set = NULL;
	uint32_t cursor = 0, slot;
	char text[HOST_TEXT_MAX];

	if (route->set != CONFIG_NO_SET) {
		set = &config->sets[route->set];
		slot = health_table_find_set(ctl->table, set->key);
		if (slot != HEALTH_TABLE_NONE)
			cursor = health_table_cursor(ctl->table, slot);
	}
	for (uint32_t i = 0; set != NULL && i < set->n_members; i++) {
		uint32_t host = config->members[set->first_member + i].host;

		(void)host_format_plain(&config->hosts[host], text);
		json_array_append_new(hosts, json_text(text));
	}
	json_object_set_new(object, "domain", json_text(route->domain));
	json_object_set_new(object, "cursor", json_count(cursor));
	json_object_set_new(object, "hosts", hosts);
	return object;
}

json_t *
ctl_status_json(const struct ctl *ctl)
{
	struct health_table_header_info info;
	json_t *root = json_object(), *writer = json_object();
	json_t *hosts = json_array(), *routes = json_array();

	health_table_header(ctl->table, &info);
	json_object_set_new(root, "generation", json_count(info.generation));
	json_object_set_new(writer, "pid", json_count(info.writer_pid));
	json_object_set_new(writer, "alive",
	    json_boolean(
		ctl_writer_of(&info, ctl->now_ms) == CTL_WRITER_ALIVE));
	json_object_set_new(root, "writer", writer);
	ctl_host_each(ctl, add_host, hosts);
	json_object_set_new(root, "hosts", hosts);
	for (uint32_t i = 0; ctl->config != NULL && i < ctl->config->n_routes;
	     i++)
		json_array_append_new(
		    routes, json_route(ctl, &ctl->config->routes[i]));
	json_object_set_new(root, "routes", routes);
	return root;
}

static int
print_json(const struct ctl *ctl)
{
	json_t *root = ctl_status_json(ctl);
	int dumped = json_dumpf(root, stdout, JSON_COMPACT);

	json_decref(root);
	if (dumped == -1) {
		fprintf(stderr, "nexthopctl: cannot write the status\n");
		return CTL_TROUBLE;
	}
	(void)putchar('\n');
	return CTL_OK;
}

int
ctl_status_run(struct ctl *ctl, int argc, char **argv)
{
	struct err err;

	if (argc > 1 && (argc > 2 || strcmp(argv[1], "--json") != 0)) {
		fprintf(stderr, "usage: nexthopctl status [--json]\n");
		return CTL_USAGE;
	}
	if (ctl_attach(ctl, &err) == -1) {
		fprintf(stderr, "nexthopctl: %s\n", err.text);
		return CTL_TROUBLE;
	}
	ctl->now_ms = clock_boot_ms();
	if (argc > 1)
		return print_json(ctl);
	ctl_status_text(ctl, stdout);
	return CTL_OK;
}
