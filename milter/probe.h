/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One probe: one connection to one address, one dialogue, one absolute
 * deadline, one report. Decides nothing about health, writes no log. Whatever
 * the server does (silence, drip, endless lines, ten megabytes), memory and
 * time are bounded: what it has said is taken off the socket in pieces of 16
 * KB, and kept only as the one line that the report quotes.
 */
#ifndef NH_MILTER_PROBE_H
#define NH_MILTER_PROBE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "milter/endpoint.h"
#include "milter/smtp_dialogue.h"
#include "policy/compiler.h"
#include "policy/err.h"
#include "policy/outcome.h"

struct probe;
struct probe_env; /* what all probes of a thread share: the loop, TLS */

/* Owns: the caller, probe_env_free, after the last probe's end. */
int probe_env_create(struct event_base *base, struct probe_env **env_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
void probe_env_free(struct probe_env **env) NH_ALL_NONNULL;

/* Strings are copied; none is NULL unless said. */
struct probe_options {
	enum config_probe_level level;
	uint32_t timeout_ms; /* for everything, from the start */
	bool plain;	     /* as smtp_dialogue_options.plain */
	const char *helo;    /* "": the literal of the local address */
	const char *sender;
	const char *recipient;
	const char *bind_address;    /* "": the system's choice; ignored for
					addresses of another family */
	const char *tls_name;	     /* for SNI; NULL for IP literals */
	smtp_dialogue_line_fn *line; /* NULL: nobody watches */
	void *line_arg;
};

struct probe_result {
	struct observation seen;
	char interface[ENDPOINT_TEXT_MAX]; /* local address; "-" for none */
	bool retry_plain; /* TLS has failed and is not demanded: how the host is
			     shows in a probe without it */
};

typedef void probe_done_fn(void *arg, const struct probe_result *result);

/*
 * Starts a probe.
 * done: called exactly once, from the loop, never from within probe_start;
 * the probe is gone after it.
 * Returns: the probe, for probe_cancel; NULL when there is no memory.
 */
struct probe *probe_start(struct probe_env *env,
    const struct endpoint *endpoint, const struct probe_options *options,
    probe_done_fn *done, void *arg) NH_MUSTCHECK NH_NONNULL(1, 2, 3, 4);

/* Drops it: the connection is closed, done is not called. */
void probe_cancel(struct probe **probe) NH_ALL_NONNULL;
/* Nobody watches the lines any more. */
void probe_unwatch(struct probe *probe) NH_ALL_NONNULL;

#endif
