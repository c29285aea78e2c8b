/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Tickets in the shared table: which ticket was drawn for a recipient. Fixed
 * capacity, keyed hash, sets of eight ways, the oldest goes out. A miss is
 * never an error. Two words an entry, the first XORed with the second: a torn
 * pair does not match and reads as a miss, so no lock is needed.
 */
#ifndef NH_POLICY_TICKET_H
#define NH_POLICY_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/address.h"
#include "policy/compiler.h"
#include "policy/health_table.h"

/* Leaves ticket for (recipient, host set). Thread: any. */
void ticket_leave(struct health_table *table, uint64_t set_key,
    const struct address *recipient, uint32_t ticket,
    uint64_t now_ms) NH_ALL_NONNULL;

/* Finds it. Returns: false when there is none (any more). Thread: any. */
bool ticket_find(const struct health_table *table, uint64_t set_key,
    const struct address *recipient, uint32_t *ticket_r) NH_ALL_NONNULL;

#endif
