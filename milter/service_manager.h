/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/*
 * The service manager's side of things: sockets it hands over, and what it is
 * told. Without libsystemd at build time all of it does nothing.
 */
#ifndef NH_MILTER_SERVICE_MANAGER_H
#define NH_MILTER_SERVICE_MANAGER_H

#include "policy/compiler.h"

/*
 * The listening socket handed over under a name (FileDescriptorName= of the
 * socket unit: "milter", "map", "control").
 * Returns: the descriptor, -1 when there is none.
 */
int service_manager_socket(const char *name) NH_ALL_NONNULL;

/* Tells it a state, as sd_notify(3): "READY=1", "STOPPING=1". */
void service_manager_notify(const char *state) NH_ALL_NONNULL;

#endif
