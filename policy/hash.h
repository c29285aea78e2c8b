/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Keyed hashing of short strings (SipHash-1-3 shape: Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012). Keyed, because recipients are
 * chosen by strangers and must not be able to aim at one bucket.
 */
#ifndef NH_POLICY_HASH_H
#define NH_POLICY_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"

struct hash_key {
	uint64_t k0;
	uint64_t k1;
};

/*
 * Hashes len bytes.
 * NULL: bytes may be NULL only when len is 0.
 * Returns: any 64-bit value; the same for the same key and bytes, on every
 * machine.
 * Thread: any.
 */
uint64_t hash_bytes(struct hash_key key, const void *bytes, size_t len);

/*
 * The key for what must come out the same in every process and after every
 * start (names of host sets, the stand-in for a ticket). Not secret.
 */
extern const struct hash_key hash_key_fixed;

/* Mixes one 64-bit number (a finalizer, not keyed). */
uint64_t hash_mix(uint64_t number);

#endif
