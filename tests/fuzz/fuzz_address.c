/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/address.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/frame.h"

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
	char *text = exact_copy(data, size);
	struct address address;

	if (address_parse(text, size, &address)) {
		require(address.local_len < ADDRESS_LOCAL_MAX &&
			    strlen(address.local) == address.local_len,
		    "a local part has its length");
		check_domain(&address);
	}
	free(text);
	return 0;
}
