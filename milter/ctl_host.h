/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One host as the commands show it: everything that the table holds of it, and
 * how to say it. Reads only.
 */
#ifndef NH_MILTER_CTL_HOST_H
#define NH_MILTER_CTL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"
#include "policy/err.h"
#include "policy/health_table.h"
#include "policy/host.h"

#define CTL_REASON_MAX 512 /* bytes that always suffice */

/* All that is known of one host at one moment. */
struct ctl_host {
	struct host host;
	uint32_t slot; /* HEALTH_TABLE_NONE: in the configuration, but
			  not in the table (then the rest is void) */
	struct health_view view;
	struct health_detail detail;
	struct health_override_info override; /* of view.override */
	uint64_t counter[COUNTER_COUNT];
};

/* Reads the slot of a host; slot may be HEALTH_TABLE_NONE. */
void ctl_host_read(const struct ctl *ctl, const struct host *host,
    uint32_t slot, struct ctl_host *host_r) NH_ALL_NONNULL;

/*
 * How often in a row the host has failed now, as the source of its last words
 * counts: probes and deliveries have rows of their own.
 */
uint32_t ctl_host_failures(const struct ctl_host *host) NH_ALL_NONNULL;

/*
 * Why the host is where it is: "431 Mail system full (greeting, probe, 2 in a
 * row)", the operator's reason first when there is an override. Printable.
 * Returns: out; "" when there is nothing to say.
 */
char *ctl_host_reason(
    const struct ctl_host *host, char *out, size_t size) NH_ALL_NONNULL;

/* Until when: the end of the override, else of the deferral; 0 for none. */
uint64_t ctl_host_until_ms(const struct ctl_host *host) NH_ALL_NONNULL;

/*
 * Calls each for the hosts of the configuration in the order of the file, or,
 * without a configuration, for all hosts of the table.
 */
typedef void ctl_host_fn(const struct ctl_host *host, void *arg);
void ctl_host_each(const struct ctl *ctl, ctl_host_fn *each, void *arg)
    NH_NONNULL(1, 2);

/* HOST or HOST:PORT as people type it; without a port all of them are meant. */
struct ctl_host_word {
	struct host host;
	bool any_port;
};
int ctl_host_word_parse(const char *text, struct ctl_host_word *word_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
bool ctl_host_word_means(
    const struct ctl_host_word *word, const struct host *host) NH_ALL_NONNULL;
/* As it was meant: with the port only if it was typed. */
void ctl_host_word_format(const struct ctl_host_word *word,
    char text_r[HOST_TEXT_MAX]) NH_ALL_NONNULL;

/* Says on out which known hosts text may have meant, the nearest first. */
void ctl_host_suggest(
    const struct ctl *ctl, const char *text, FILE *out) NH_ALL_NONNULL;

#endif
