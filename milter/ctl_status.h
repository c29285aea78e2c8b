/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The status as people and programs read it. Reads the table, changes nothing.
 */
#ifndef NH_MILTER_CTL_STATUS_H
#define NH_MILTER_CTL_STATUS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "milter/ctl_open.h"
#include "policy/compiler.h"
#include "policy/health_table.h"

/* A worker gives a sign of life each second; older ones mean trouble. */
#define CTL_STALE_MS 15000

/* What the worker's sign of life says. */
enum ctl_writer {
	CTL_WRITER_ALIVE = 0,
	CTL_WRITER_STALE, /* there is such a process, but no sign */
	CTL_WRITER_DEAD
};
enum ctl_writer ctl_writer_of(const struct health_table_header_info *info,
    uint64_t now_ms) NH_ALL_NONNULL;

/*
 * The status as JSON. ctl->table is attached; ctl->config may be NULL (then
 * all hosts of the table, and no routes).
 * Owns: the caller, json_decref.
 */
json_t *ctl_status_json(const struct ctl *ctl) NH_ALL_NONNULL;

/* The same for people, bounded however many routes there are. */
void ctl_status_text(const struct ctl *ctl, FILE *out) NH_ALL_NONNULL;

/* `status [--json]`. Returns: enum ctl_exit. */
int ctl_status_run(struct ctl *ctl, int argc, char **argv) NH_ALL_NONNULL;

#endif
