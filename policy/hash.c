/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; no state. */
#include "policy/hash.h"

#include <endian.h>
#include <string.h>

const struct hash_key hash_key_fixed = { 0x6e657874686f7000,
	0x6d696c7465720000 };

/* The state of one hash. By value: it stays in registers, and a lookup makes
   half a dozen hashes. */
struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline struct sip
sip_round(struct sip s)
{
	s.v0 += s.v1;
	s.v2 += s.v3;
	s.v1 = rotate(s.v1, 13) ^ s.v0;
	s.v3 = rotate(s.v3, 16) ^ s.v2;
	s.v0 = rotate(s.v0, 32);
	s.v2 += s.v1;
	s.v0 += s.v3;
	s.v1 = rotate(s.v1, 17) ^ s.v2;
	s.v3 = rotate(s.v3, 21) ^ s.v0;
	s.v2 = rotate(s.v2, 32);
	return s;
}

static inline struct sip
sip_take(struct sip s, uint64_t word)
{
	s.v3 ^= word;
	s = sip_round(s);
	s.v0 ^= word;
	return s;
}

/* Little-endian whatever the machine is: the value is kept in files. */
static inline uint64_t
word_at(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return le64toh(word);
}

/* Fewer than eight bytes. */
static inline uint64_t
rest_at(const unsigned char *bytes, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	return word;
}

uint64_t
hash_bytes(struct hash_key key, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	struct sip s = { key.k0 ^ 0x736f6d6570736575,
		key.k1 ^ 0x646f72616e646f6d, key.k0 ^ 0x6c7967656e657261,
		key.k1 ^ 0x7465646279746573 };
	size_t left = len;

	for (; left >= 8; left -= 8, at += 8)
		s = sip_take(s, word_at(at));
	s = sip_take(s, (uint64_t)len << 56 | rest_at(at, left));
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		s = sip_round(s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t
hash_mix(uint64_t number)
{
	number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
	number = (number ^ number >> 27) * 0x94d049bb133111eb;
	return number ^ number >> 31;
}
