/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/address.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

/* What is canonical already stays as it is. */
static void
check_domain(const struct address *address)
{
	char again[ADDRESS_DOMAIN_MAX];

	require(address->domain_len > 0 &&
		    address->domain_len < ADDRESS_DOMAIN_MAX &&
		    strlen(address->domain) == address->domain_len,
	    "a domain has its length");
	for (size_t i = 0; i < address->domain_len; i++)
		require(address->domain[i] < 'A' || address->domain[i] > 'Z',
		    "a domain is in lower case");
	require(address_domain(address->domain, address->domain_len, again) &&
		    strcmp(again, address->domain) == 0,
	    "a canonical domain is its own canonical spelling");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy that ends where the text ends: reading on is noticed. */
	char *text = malloc(size > 0 ? size : 1);
	struct address address;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	if (address_parse(text, size, &address)) {
		require(address.local_len < ADDRESS_LOCAL_MAX &&
			    strlen(address.local) == address.local_len,
		    "a local part has its length");
		check_domain(&address);
	}
	free(text);
	return 0;
}
