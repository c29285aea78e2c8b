/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The domains that the MTA's flush service does not serve: it is asked once for
 * each, not at every recovery. A part of the flush plan.
 */
#ifndef NH_POLICY_FLUSH_REFUSED_H
#define NH_POLICY_FLUSH_REFUSED_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/hash.h"
#include "policy/hash_chains.h"

struct flush_refused {
	struct hash_key key;
	struct hash_chains names;
	uint32_t n;
};

/* refused is all zero before. */
void flush_refused_init(
    struct flush_refused *refused, struct hash_key key) NH_ALL_NONNULL;
/* Is forgotten without memory, or when there are FLUSH_DOMAINS_MAX. */
void flush_refused_add(
    struct flush_refused *refused, const char *domain) NH_ALL_NONNULL;
bool flush_refused_has(
    const struct flush_refused *refused, const char *domain) NH_ALL_NONNULL;
void flush_refused_clear(struct flush_refused *refused) NH_ALL_NONNULL;

#endif
