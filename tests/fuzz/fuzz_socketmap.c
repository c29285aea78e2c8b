/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "milter/socketmap.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/frame.h"

/* One route of each kind; without a table all hosts count as up. */
static const char routes[] =
    "milter_socket = \"unix:/run/nexthop-milter/milter\";\n"
    "map_socket = \"unix:/run/nexthop-milter/map\";\n"
    "health_table = \"/run/nexthop-milter/health\";\n"
    "transport = \"nexthop\";\n"
    "address_family = \"ipv4\";\n"
    "not_routed = [ \"mx.example.net\" ];\n"
    "routes = (\n"
    "{ domain = \"example.com\"; hosts = ({ host = \"192.168.1.10\"; },\n"
    "  { host = \"192.168.1.20\"; priority = 10; }); },\n"
    "{ domain = \".hold.test\"; hosts = ({ host = \"2001:db8::1\"; }); },\n"
    "{ domain = \"ALL\"; use_dns = true; });\n";

static const struct lookup_base *
make_base(void)
{
	struct config *config = config_of(routes);
	struct lookup_base *base;
	struct err err;

	require(lookup_bind(config, NULL, false, &base, &err) == 0, err.text);
	return base;
}

/* out is one netstring whose content is one of the three answers. */
static void
check_answer(const char *out, size_t len)
{
	char *content;
	size_t said = strtoul(out, &content, 10);

	require(len <= SOCKETMAP_OUTPUT_MAX, "an answer fits its buffer");
	require(*content == ':', "an answer has a length");
	content++;
	require(
	    (size_t)(content - out) + said + 1 == len && out[len - 1] == ',',
	    "the length is right");
	require((said > 3 && memcmp(content, "OK ", 3) == 0) ||
		    (said == 9 && memcmp(content, "NOTFOUND ", 9) == 0) ||
		    (said > 5 && memcmp(content, "TEMP ", 5) == 0),
	    "an answer is OK with data, NOTFOUND or TEMP");
	for (size_t i = 0; i < said; i++)
		require(content[i] >= ' ' && content[i] < 0x7f,
		    "nothing unprintable gets through");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lookup_base *base;
	static char out[SOCKETMAP_OUTPUT_MAX];
	struct socketmap_request request, again;
	char *bytes = exact_copy(data, size), *at = bytes;
	size_t left = size;

	if (base == NULL)
		base = make_base();
	while (socketmap_read(at, left, &request) == SOCKETMAP_WHOLE) {
		require(request.used <= left, "nothing is made up");
		require(socketmap_read(at, request.used - 1, &again) ==
			    SOCKETMAP_MORE,
		    "what is whole was unfinished before its last byte");
		check_answer(out, socketmap_answer(base, &request, 1000, out));
		at += request.used;
		left -= request.used;
	}
	free(bytes);
	return 0;
}
