/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * Who we run as. Hostile SMTP and TLS are never parsed as root unless the
 * administrator insists.
 */
#ifndef NH_MILTER_PRIVILEGES_H
#define NH_MILTER_PRIVILEGES_H

#include "policy/compiler.h"
#include "policy/err.h"

#define PRIVILEGES_DEFAULT_USER "nexthop"

/*
 * Started as root: becomes user (its uid, gid and all its groups); "" means
 * PRIVILEGES_DEFAULT_USER, "root" stays root. Started as somebody else:
 * nothing changes; a user that differs is an error.
 * Returns: 0, -1 with err.
 */
int privileges_drop(
    const char *user, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Started as root: a log file that does not exist yet is made and given to
 * user, who will have to open it again. What goes wrong is found by those who
 * need the file.
 */
void privileges_create_file(const char *user, const char *path) NH_ALL_NONNULL;

/* Started as root: path belongs to user and the user's group from now on. */
void privileges_give(const char *user, const char *path) NH_ALL_NONNULL;

/* As many descriptors as the hard limit allows (root: at least 65536). */
void privileges_raise_descriptors(void);

#endif
