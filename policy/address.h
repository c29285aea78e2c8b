/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Mail addresses as the MTA hands them over (RFC 5321 section 4.1.2):
 * what a recipient's local part and domain are, in one canonical spelling, so
 * that the address at RCPT and the address in the MTA's later question meet.
 * Knows nothing of routes.
 */
#ifndef NH_POLICY_ADDRESS_H
#define NH_POLICY_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/compiler.h"

#define ADDRESS_LOCAL_MAX  512 /* bytes with the final zero */
#define ADDRESS_DOMAIN_MAX 256 /* bytes with the final zero */

struct address {
	char local[ADDRESS_LOCAL_MAX];	 /* unquoted, case kept */
	char domain[ADDRESS_DOMAIN_MAX]; /* lower case; "[127.0.0.1]" keeps
					    its brackets; no final dot */
	size_t local_len;		 /* a quoted local part may hold any
					    byte but zero */
	size_t domain_len;
};

/*
 * Splits text (len bytes; angle brackets around it and a source route
 * "@a,@b:" in it are dropped) at the last "@" outside quotes and brackets.
 * Quotes and backslashes of the local part are taken off, ASCII letters of
 * the domain made lower case, other bytes (UTF-8) kept. A local part longer
 * than the limit above is cut. Returns: true; false when text has no domain, an
 * empty domain or one longer than the limit, an unfinished quote or a zero
 * byte: then nothing can be routed by it. Thread: any. No allocation.
 */
bool address_parse(const char *text, size_t len,
    struct address *address_r) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Canonical spelling of a receiving domain: as address_parse does, into
 * domain_r (ADDRESS_DOMAIN_MAX bytes).
 * Returns: false when it is empty or too long.
 */
bool address_domain(
    const char *text, size_t len, char *domain_r) NH_MUSTCHECK NH_ALL_NONNULL;

#endif
