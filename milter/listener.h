/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * The three listening sockets. The supervisor opens them and keeps them open,
 * so that a worker that dies costs no question: it waits in the backlog.
 */
#ifndef NH_MILTER_LISTENER_H
#define NH_MILTER_LISTENER_H

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/err.h"

enum listener_name {
	LISTENER_MILTER = 0,
	LISTENER_MAP,
	LISTENER_CONTROL,
	LISTENER_COUNT
};

struct listener {
	int fd;		/* -1: not open */
	char path[108]; /* of a UNIX socket that is ours to remove, else "" */
	unsigned long inode;
};

struct listeners {
	struct listener socket[LISTENER_COUNT];
};

/*
 * Opens all three (or takes them from the service manager): a left-over UNIX
 * socket that nobody answers on is replaced, a live one is an error.
 * Returns: 0; -1 with err, nothing left open.
 */
int listeners_open(const struct config *config, struct listeners *listeners_r,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/* Closes them; UNIX sockets that are still the ones that we made are removed.
 */
void listeners_close(struct listeners *listeners) NH_ALL_NONNULL;

#endif
