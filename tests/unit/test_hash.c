/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/hash.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/hash_index.h"
#include "tests/unit/suite.h"

static const char text[] = "the quick brown fox jumps over";

/* Values of before: cursors in a table file are found by them. */
START_TEST(the_fixed_key_gives_the_same_values_on_every_machine)
{
	ck_assert_uint_eq(
	    hash_bytes(hash_key_fixed, NULL, 0), UINT64_C(0xb1f71ac43190db77));
	ck_assert_uint_eq(hash_bytes(hash_key_fixed, "example.com", 11),
	    UINT64_C(0xeb56895f5c3bd889));
	ck_assert_uint_eq(hash_mix(1), UINT64_C(0x5692161d100b05e5));
}
END_TEST

START_TEST(every_length_up_to_30_bytes_has_its_own_hash)
{
	uint64_t seen[sizeof(text)];

	for (size_t len = 0; len < sizeof(text); len++) {
		seen[len] = hash_bytes(hash_key_fixed, text, len);
		for (size_t i = 0; i < len; i++)
			ck_assert_uint_ne(seen[i], seen[len]);
	}
}
END_TEST

START_TEST(another_key_gives_another_hash)
{
	struct hash_key key = hash_key_fixed;

	key.k0 ^= 1;
	ck_assert_uint_ne(
	    hash_bytes(key, text, 8), hash_bytes(hash_key_fixed, text, 8));
	key = hash_key_fixed;
	key.k1 ^= 1;
	ck_assert_uint_ne(
	    hash_bytes(key, text, 8), hash_bytes(hash_key_fixed, text, 8));
}
END_TEST

START_TEST(where_the_bytes_lie_in_memory_does_not_matter)
{
	char moved[sizeof(text) + 8];

	for (size_t shift = 0; shift < 8; shift++) {
		for (size_t i = 0; i < sizeof(text); i++)
			moved[shift + i] = text[i];
		ck_assert_uint_eq(
		    hash_bytes(hash_key_fixed, moved + shift, sizeof(text)),
		    hash_bytes(hash_key_fixed, text, sizeof(text)));
	}
}
END_TEST

START_TEST(low_bits_of_similar_strings_are_spread_evenly)
{
	unsigned buckets[16] = { 0 };
	char name[32];
	int len;

	for (int i = 0; i < 16000; i++) {
		len = snprintf(name, sizeof(name), "d%d.example.com", i);
		buckets[hash_bytes(hash_key_fixed, name, (size_t)len) & 15]++;
	}
	for (size_t i = 0; i < NELEM(buckets); i++) {
		ck_assert_uint_gt(buckets[i], 850);
		ck_assert_uint_lt(buckets[i], 1150);
	}
}
END_TEST

START_TEST(an_index_finds_all_numbers_of_a_hash_and_no_other)
{
	struct hash_index index;
	struct hash_index_at at;
	uint32_t n, found = 0;

	hash_index_init(&index, 0);
	/* Hashes 0 to 999, three numbers each; it has to grow. */
	for (uint32_t i = 0; i < 3000; i++)
		hash_index_add(&index, i % 1000, i);
	for (n = hash_index_first(&index, 7, &at); n != HASH_INDEX_NONE;
	     n = hash_index_next(&index, 7, &at)) {
		ck_assert_uint_eq(n % 1000, 7);
		found++;
	}
	ck_assert_uint_eq(found, 3);
	ck_assert_uint_eq(hash_index_first(&index, 1000, &at), HASH_INDEX_NONE);
	ck_assert_uint_le(2 * index.n, index.mask + 1);
	hash_index_clear(&index);
}
END_TEST

START_TEST(an_index_of_equal_tags_still_ends_each_search)
{
	struct hash_index index;
	struct hash_index_at at;
	uint32_t found = 0;

	hash_index_init(&index, 4);
	/* Equal low halves: one cluster that wraps around the end. */
	for (uint32_t i = 0; i < 100; i++)
		hash_index_add(&index, (uint64_t)i << 32 | 0xffffffff, i);
	for (uint32_t n = hash_index_first(&index, 0xffffffff, &at);
	     n != HASH_INDEX_NONE; n = hash_index_next(&index, 0xffffffff, &at))
		found++;
	ck_assert_uint_eq(found, 100);
	ck_assert_uint_eq(
	    hash_index_first(&index, 0xfffffffe, &at), HASH_INDEX_NONE);
	hash_index_clear(&index);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_hash");
	TCase *tcase = tcase_create("hash");

	tcase_add_test(
	    tcase, the_fixed_key_gives_the_same_values_on_every_machine);
	tcase_add_test(tcase, every_length_up_to_30_bytes_has_its_own_hash);
	tcase_add_test(tcase, another_key_gives_another_hash);
	tcase_add_test(tcase, where_the_bytes_lie_in_memory_does_not_matter);
	tcase_add_test(tcase, low_bits_of_similar_strings_are_spread_evenly);
	tcase_add_test(
	    tcase, an_index_finds_all_numbers_of_a_hash_and_no_other);
	tcase_add_test(tcase, an_index_of_equal_tags_still_ends_each_search);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
