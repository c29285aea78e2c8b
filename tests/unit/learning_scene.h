/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A prober that learns from deliveries: the scene of prober_scene.h with an
 * observer and a flusher, and healthy servers. Deliveries are lines that the
 * test makes up.
 */
#ifndef NH_TESTS_UNIT_LEARNING_SCENE_H
#define NH_TESTS_UNIT_LEARNING_SCENE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/flusher.h"
#include "milter/observer.h"
#include "milter/prober.h"
#include "tests/unit/prober_scene.h"
#include "tests/unit/smtp_script.h"

/* As QUICK, but a probe that a busy machine makes late is no failure. */
#define PATIENT                                                                \
	"probe = { level = \"mail\"; interval = %s; timeout = 30.0; "          \
	"helo = \"probe.test\"; max_parallel = 8; };\n"                        \
	"defer = { fall = 1; rise = 2; first = 0.2; max = 10.0; };\n"

#define FULL "452 4.3.1 Insufficient system resources"

static struct observer *observer;
static struct flusher *flusher;
static struct script_server servers[2];
static unsigned next_message;
static const char *family = "any"; /* that the MTA uses */

/* Routes example.test to n healthy servers of equal priority; the flush command
   notes what it is asked for. */
static inline void
adopt_learning(size_t n, const char *more_delivery, const char *more_route)
{
	static char text[CONFIG_MAX];
	char command[SCRATCH_PATH_MAX], address[ENDPOINT_TEXT_MAX];
	int used;

	used = snprintf(text, sizeof(text),
	    PATIENT "address_family = \"%s\";\n"
		    "delivery = { flush_command = \"%s -s\"; %s };\n"
		    "routes = ( { domain = \"example.test\"; %s hosts = (",
	    "0.1", family, scratch_path("flush", command), more_delivery,
	    more_route);
	for (size_t i = 0; i < n; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
		    "%s{ host = \"%s\"; port = %u; }", i > 0 ? "," : "",
		    endpoint_text(&servers[i].endpoint, address),
		    (unsigned)servers[i].endpoint.port);
	(void)snprintf(text + used, sizeof(text) - (size_t)used, "); } );\n");
	adopt_text(text);
}

static inline void
write_flush_command(void)
{
	char path[SCRATCH_PATH_MAX], text[256], out[SCRATCH_PATH_MAX];

	(void)snprintf(text, sizeof(text), "#!/bin/sh\necho \"$@\" >>%s\n",
	    scratch_path("flushed", out));
	scratch_write("flush", text);
	ck_assert_int_eq(chmod(scratch_path("flush", path), 0755), 0);
	scratch_write("flushed", "");
}

/* observed: somebody sends lines. */
static inline void
begin_learning(size_t n, const char *more_route, bool observed)
{
	struct delivery_calls calls;
	struct err err;

	begin(CONFIG_LOG_INFO);
	write_flush_command();
	for (size_t i = 0; i < n; i++) {
		char address[32];

		(void)snprintf(
		    address, sizeof(address), "127.0.0.%zu", 10 * (i + 1));
		script_start(&servers[i], address, 0, &script_healthy);
	}
	adopt_learning(n, "", more_route);
	ck_assert_int_eq(prober_create(base, &prober, &err), 0);
	calls = prober_delivery_calls(prober);
	ck_assert_int_eq(observer_create(base, &calls, &observer, &err), 0);
	ck_assert_int_eq(flusher_create(base, &flusher, &err), 0);
	prober_connect(prober, observer, flusher);
	prober_adopt(prober);
	if (observed)
		observer_joined(observer);
	for (size_t i = 0; i < n; i++)
		while (counted((uint32_t)i, COUNTER_OBSERVED_OK) == 0)
			turn();
}

static inline void
end_learning(size_t n)
{
	prober_free(&prober);
	observer_free(&observer);
	flusher_free(&flusher);
	end();
	for (size_t i = 0; i < n; i++)
		script_stop(&servers[i]);
}

/* A result of one message, as smtp(8) logs it. */
static inline void
deliver(size_t server, const char *recipient, const char *status,
    const char *reason)
{
	char address[ENDPOINT_TEXT_MAX], line[2048];
	const struct endpoint *endpoint = &servers[server].endpoint;

	(void)endpoint_text(endpoint, address);
	next_message++;
	(void)snprintf(line, sizeof(line),
	    "Nov 28 07:17:39 mta postfix/nexthop/smtp[%u]: 4C%05X: to=<%s>, "
	    "relay=%s[%s]:%u, delay=0.1, delays=0.02/0.01/0.03/0.04, "
	    "dsn=%s, status=%s (%s)",
	    1000 + next_message % 7, next_message, recipient, address, address,
	    (unsigned)endpoint->port,
	    strcmp(status, "sent") == 0 ? "2.0.0" : "4.3.1", status, reason);
	observer_line(observer, line, strlen(line));
}

static inline void
deliver_well(size_t server)
{
	deliver(server, "u@example.test", "sent", "250 2.0.0 Ok: queued");
}

/* What the server says, at the end of a message. */
static inline void
refuse(size_t server, const char *recipient, const char *reply,
    const char *command)
{
	char address[ENDPOINT_TEXT_MAX], reason[512];

	(void)endpoint_text(&servers[server].endpoint, address);
	(void)snprintf(reason, sizeof(reason),
	    "host %s[%s] said: %s (in reply to %s)", address, address, reply,
	    command);
	deliver(server, recipient, "deferred", reason);
}

static inline void
wait_flushed(const char *wanted)
{
	uint64_t end_ms = clock_boot_ms() + WAIT_MS;
	char *text = NULL;
	bool there = false;

	while (!there) {
		free(text);
		text = scratch_read("flushed");
		there = strstr(text, wanted) != NULL;
		if (!there && clock_boot_ms() > end_ms)
			ck_abort_msg("no \"%s\" in: %s", wanted, text);
		turn();
	}
	free(text);
}

static inline enum health_state
state_of(uint32_t host)
{
	return detail_of(host).health.state;
}

static inline void
wait_state(uint32_t host, enum health_state state)
{
	uint64_t end_ms = clock_boot_ms() + WAIT_MS;

	while (state_of(host) != state) {
		if (clock_boot_ms() > end_ms)
			ck_abort_msg("host %u is %s", (unsigned)host,
			    health_state_name(state_of(host)));
		turn();
	}
}

#endif
