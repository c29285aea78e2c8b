/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/delivery_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/frame.h"

/* A server that the configuration could name, too. */
static void
check_server(const char *name, const char *address, uint16_t port)
{
	char text[HOST_TEXT_MAX];
	struct host host;

	require((name[0] == '\0') == (address[0] == '\0'),
	    "a name comes with an address");
	require(port == 0 || address[0] != '\0', "a port needs an address");
	if (address[0] == '\0')
		return;
	(void)snprintf(text, sizeof(text), "[%s]", name);
	require(host_parse(text, 0, &host, NULL) == 0 &&
		    strcmp(host.name, name) == 0,
	    "a name is in its canonical spelling");
	(void)snprintf(text, sizeof(text), "[%s]", address);
	require(host_parse(text, 0, &host, NULL) == 0 &&
		    host.kind != HOST_NAME && strcmp(host.name, address) == 0,
	    "an address is in its canonical spelling");
}

static void
check_failure(const struct delivery_failure *failure)
{
	static const struct delivery_failure none;

	if (!failure->there) {
		require(memcmp(failure, &none, sizeof(none)) == 0,
		    "where no failure is, nothing is");
		return;
	}
	require(failure->stage < STAGE_COUNT && failure->stage != STAGE_QUIT,
	    "a failure has a stage");
	require(failure->outcome < OUTCOME_COUNT &&
		    failure->refused == (failure->outcome == OUTCOME_OK),
	    "a failure has a reply or an outcome");
	require(!failure->refused ||
		    (failure->reply.code >= 200 && failure->reply.code < 600),
	    "a reply has a code");
	require(failure->address[0] != '\0', "a failure is somebody's");
	require(failure->text[0] != '\0', "a failure has words");
	require_printable(
	    failure->text, sizeof(failure->text), "words are printable");
	require_printable(failure->reply.text, sizeof(failure->reply.text),
	    "a reply is printable");
	check_server(failure->name, failure->address, failure->port);
}

static void
check_result(const struct delivery_line *line)
{
	require(line->status <= DELIVERY_PROBED &&
		    line->waits <= DELIVERY_WAITS_OTHER,
	    "a result has a status");
	require(line->waits == DELIVERY_WAITS_ATTEMPT ||
		    line->status == DELIVERY_DEFERRED,
	    "only what is deferred waits");
	require(strnlen(line->to, sizeof(line->to)) < sizeof(line->to),
	    "a recipient ends");
	require(
	    strlen(line->recipient.local) == line->recipient.local_len &&
		strlen(line->recipient.domain) == line->recipient.domain_len,
	    "a recipient has its length");
	require(line->relayed || line->relay_address[0] == '\0',
	    "without a relay nobody is named");
	check_server(line->relay_name, line->relay_address, line->relay_port);
	require(
	    !line->failure.there || !line->relayed ||
		(strcmp(line->failure.name, line->relay_name) == 0 &&
		    strcmp(line->failure.address, line->relay_address) == 0),
	    "a result names one server");
	require(line->failure.told == (line->failure.there && !line->relayed),
	    "what has no relay was told before");
}

static void
check_line(const struct delivery_line *line)
{
	static const struct delivery_line none;

	if (line->kind == DELIVERY_LINE_OTHER) {
		require(memcmp(line, &none, sizeof(none)) == 0,
		    "nothing is left of other lines");
		return;
	}
	require_printable(
	    line->queue_id, sizeof(line->queue_id), "a queue id is printable");
	check_failure(&line->failure);
	require(
	    line->attempt || !line->failure.there, "only an attempt can fail");
	if (line->kind == DELIVERY_LINE_RESULT) {
		require(line->queue_id[0] != '\0', "a result is a message's");
		check_result(line);
		return;
	}
	require(line->kind == DELIVERY_LINE_EVENT && line->attempt &&
		    line->failure.there && !line->failure.told,
	    "an event is a failure");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = exact_copy(data, size);
	struct delivery_line line;

	require(delivery_line_parse(text, size, &line) == line.kind,
	    "the kind is returned");
	check_line(&line);
	require(delivery_line_parse_record(
		    "postfix/smtp", 12, 1, text, size, &line) == line.kind,
	    "the kind of a record is returned");
	check_line(&line);
	free(text);
	return 0;
}
