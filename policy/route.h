/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Which route serves a domain: exact, then ".parent" (longest first), then
 * "ALL". A hash, never a scan: 10 routes and 1,000,000 cost the same.
 * Domains in not_routed are served by exact routes only.
 */
#ifndef NH_POLICY_ROUTE_H
#define NH_POLICY_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"

#define ROUTE_NONE UINT32_MAX

struct route_index;

/*
 * An empty index with room for about n domains.
 * Owns: the caller, route_index_free. May abort on no memory (load time).
 */
struct route_index *route_index_create(size_t n);
void route_index_free(struct route_index **index) NH_ALL_NONNULL;

/*
 * Adds a canonical domain ("example.com", ".example.org", "ALL").
 * NULL: none; domain must outlive the index (it is not copied).
 * Returns: ROUTE_NONE when added, else the number of the route that has the
 * domain already.
 */
uint32_t route_index_add(struct route_index *index, const char *domain,
    uint32_t route) NH_ALL_NONNULL;
/* Says that domain is added soon. */
void route_index_expect(
    const struct route_index *index, const char *domain) NH_ALL_NONNULL;

/*
 * Says that domain (canonical, or ".parent" for all below it) is not covered
 * by ".parent" and "ALL" routes. The text is copied.
 */
void route_index_exclude(
    struct route_index *index, const char *domain) NH_ALL_NONNULL;

/*
 * Finds the route of a canonical domain of len bytes.
 * Returns: its number, or ROUTE_NONE.
 * Thread: any; no lock, no allocation.
 */
uint32_t route_find(const struct route_index *index, const char *domain,
    size_t len) NH_ALL_NONNULL;

#endif
