/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the commands of nexthopctl work on: the configuration, and the health
 * table through its file. Made for bad nights: with a configuration that is
 * broken just now, the paths of the table and of the control socket are still
 * found in its text. Speaks to standard error; decides nothing.
 */
#ifndef NH_MILTER_CTL_OPEN_H
#define NH_MILTER_CTL_OPEN_H

#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"
#include "policy/health_table.h"

/* Exit codes of the tool. */
enum ctl_exit { CTL_OK = 0, CTL_TROUBLE = 1, CTL_USAGE = 2 };

struct ctl {
	const char *path;	    /* the configuration file */
	struct config *config;	    /* NULL: broken or unreadable */
	char *table_path;	    /* NULL: not known */
	char *control_socket;	    /* as written; NULL: not known */
	struct health_table *table; /* NULL: not attached */
	uint64_t now_ms;	    /* boot time */
};

/*
 * Reads the configuration; when that fails, says so on standard error (the
 * first few errors) and looks for the two paths in the text of the file.
 * Returns: 0 when the paths are known (config may be NULL); -1 when they are
 * not, or when need_config and there is none. Words have been said.
 * Owns: the caller, ctl_close.
 */
int ctl_open(struct ctl *ctl, const char *path,
    bool need_config) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * The same for a command that leaves the errors to the daemon: nothing is said
 * of them when the paths are known.
 */
int ctl_open_quietly(
    struct ctl *ctl, const char *path) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Attaches the table, once more when it was replaced meanwhile. A table that
 * is attached already is dropped first.
 * Returns: 0; -1 with err in words for people.
 */
int ctl_attach(struct ctl *ctl, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

void ctl_close(struct ctl *ctl) NH_ALL_NONNULL;

/*
 * Finds NAME = "VALUE" at the start of a line of the file at path, as it stands
 * there: for files that do not parse.
 * Returns: the value (Owns: the caller), or NULL when there is none.
 */
char *ctl_scan(const char *path, const char *name) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
