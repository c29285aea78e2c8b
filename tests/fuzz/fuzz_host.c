/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/host.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/frame.h"

/* An item that Postfix can take apart, and that means the same host again. */
static void
check_host(const struct host *host)
{
	char text[HOST_TEXT_MAX], plain[HOST_TEXT_MAX];
	size_t len = host_format(host, text);
	struct host again;

	require(len == strlen(text) && len < HOST_TEXT_MAX, "it fits");
	require(text[0] == '[' && strchr(text, ']') != NULL &&
		    strpbrk(text, ", \t\r\n\"\\") == NULL,
	    "it is one bracketed item");
	for (size_t i = 0; i < len; i++)
		require(text[i] > ' ' && text[i] <= '~', "it is ASCII");
	require(host->port > 0, "it has a port");
	require(
	    host_parse(text, 0, &again, NULL) == 0 && host_equal(host, &again),
	    "its text names the same host");
	require(host_format_plain(host, plain) < HOST_TEXT_MAX &&
		    host_parse(plain, 0, &again, NULL) == 0 &&
		    host_equal(host, &again),
	    "its plain text names the same host");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = string_copy(data, size);
	struct host host;
	struct err err;

	err.text[0] = '\0';
	if (host_parse(text, 0, &host, &err) == 0)
		check_host(&host);
	else
		require(err.text[0] != '\0', "a refusal says why");
	free(text);
	return 0;
}
