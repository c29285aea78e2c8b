/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "tests/unit/delivery_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/scratch.h"

#define NAMES_MAX 64

struct delivery_log delivery_log;

/* -- what is told --------------------------------------------------------- */

static const char *const sights[] = {
	[DELIVERY_OK] = "ok",
	[DELIVERY_TROUBLE] = "trouble",
	[DELIVERY_REFUSAL] = "refusal",
	[DELIVERY_SHY] = "shy",
	[DELIVERY_FINAL] = "final",
	[DELIVERY_WORD] = "word",
};

static void
append(char *all, size_t size, const char *one)
{
	size_t used = strlen(all);

	/* What finds no room is only counted. */
	(void)snprintf(
	    all + used, size - used, "%s%s", used > 0 ? "; " : "", one);
}

/* Recipients by their hash, as they came. */
static uint64_t recipients[NAMES_MAX];
static unsigned n_recipients;

static unsigned
number_of(uint64_t recipient)
{
	unsigned i = 0;

	while (i < n_recipients && recipients[i] != recipient)
		i++;
	if (i == n_recipients && n_recipients < NAMES_MAX)
		recipients[n_recipients++] = recipient;
	return i + 1;
}

static void
take_seen(void *arg, const struct delivery_seen *seen)
{
	char host[HOST_TEXT_MAX], text[HOST_TEXT_MAX + 64], number[16] = "";

	REQUIRE(arg == &delivery_log, "another arg");
	REQUIRE(seen->host < delivery_log.config->n_hosts, "no such host");
	REQUIRE(seen->seen.source == SOURCE_DELIVERY, "not by delivery");
	if (seen->sight == DELIVERY_REFUSAL || seen->sight == DELIVERY_SHY)
		(void)snprintf(
		    number, sizeof(number), " #%u", number_of(seen->recipient));
	else
		ck_assert_uint_eq(seen->recipient, 0);
	host_format_plain(&delivery_log.config->hosts[seen->host], host);
	(void)snprintf(text, sizeof(text), "%s%s %s%s", sights[seen->sight],
	    seen->doubt ? "?" : "", host, number);
	append(delivery_log.told, sizeof(delivery_log.told), text);
	if (delivery_log.n_seen < DELIVERY_LOG_SEEN_MAX)
		delivery_log.seen[delivery_log.n_seen] = *seen;
	delivery_log.n_seen++;
}

static const char *const causes[CAUSE_COUNT] = {
	[CAUSE_RECIPIENT] = "own",
	[CAUSE_REFUSAL] = "refused",
	[CAUSE_HOST] = "host",
};

static void
take_waiting(void *arg, const struct delivery_waiting *waiting)
{
	char text[2048];

	REQUIRE(arg == &delivery_log, "another arg");
	(void)snprintf(text, sizeof(text), "waits %s %s", waiting->to,
	    causes[waiting->cause]);
	append(delivery_log.routes, sizeof(delivery_log.routes), text);
}

static void
take_gone(void *arg, uint32_t route, const struct address *recipient,
    const char *queue_id)
{
	char text[2048];

	REQUIRE(arg == &delivery_log, "another arg");
	REQUIRE(route < delivery_log.config->n_routes, "no such route");
	REQUIRE(queue_id[0] != '\0', "no queue id");
	(void)snprintf(text, sizeof(text), "gone %s@%s", recipient->local,
	    recipient->domain);
	append(delivery_log.routes, sizeof(delivery_log.routes), text);
}

void
delivery_log_begin(const char *routes)
{
	struct delivery_calls calls = { take_seen, take_waiting, take_gone,
		&delivery_log };

	scratch_begin();
	delivery_log.config = scratch_config(routes);
	delivery_log.delivery = delivery_create(delivery_log.config, &calls);
	delivery_log.now_ms = 1000000;
	delivery_log_clear();
}

void
delivery_log_adopt(const char *routes)
{
	struct config *old = delivery_log.config;

	delivery_log.config = scratch_config(routes);
	delivery_adopt(delivery_log.delivery, delivery_log.config);
	config_free(&old);
}

void
delivery_log_end(void)
{
	delivery_free(&delivery_log.delivery);
	config_free(&delivery_log.config);
	scratch_end();
}

void
delivery_log_clear(void)
{
	delivery_log.told[0] = delivery_log.routes[0] = '\0';
	delivery_log.n_seen = 0;
	n_recipients = 0;
}

uint32_t
delivery_log_host(const char *text)
{
	struct host host;
	struct err err;

	ck_assert_int_eq(host_parse(text, 0, &host, &err), 0);
	for (uint32_t i = 0; i < delivery_log.config->n_hosts; i++) {
		if (host_equal(&delivery_log.config->hosts[i], &host))
			return i;
	}
	ck_abort_msg("no host %s", text);
	return 0;
}

/* -- shorthand ------------------------------------------------------------ */

static const char *
word(char **rest)
{
	const char *found = strsep(rest, " ");

	REQUIRE(found != NULL, "a line ends too soon");
	return found;
}

static void
parse_server(const char *text, char *name, char *address, uint16_t *port)
{
	char copy[HOST_NAME_MAX_LEN], *slash, *hash;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	hash = strchr(copy, '#');
	if (hash != NULL) {
		*hash = '\0';
		*port = (uint16_t)atoi(hash + 1);
	}
	slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	(void)snprintf(name, HOST_NAME_MAX_LEN, "%s", copy);
	(void)snprintf(
	    address, HOST_NAME_MAX_LEN, "%s", slash != NULL ? slash + 1 : copy);
}

static enum outcome_stage
parse_stage(const char *text)
{
	enum outcome_stage stage = STAGE_NONE;

	while (
	    stage < STAGE_COUNT && strcmp(outcome_stage_name(stage), text) != 0)
		stage++;
	REQUIRE(stage < STAGE_COUNT, "no stage %s", text);
	return stage;
}

static void
parse_reply(const char *text, struct delivery_failure *failure)
{
	struct smtp_reply_parser parser;
	char line[SMTP_REPLY_LINE_MAX];
	size_t used;

	(void)snprintf(line, sizeof(line), "%s\r\n", text);
	smtp_reply_begin(&parser);
	REQUIRE(smtp_reply_feed(&parser, line, strlen(line), &used) ==
		    SMTP_REPLY_DONE,
	    "no reply: %s", text);
	failure->refused = true;
	failure->reply = parser.reply;
	memcpy(failure->text, parser.reply.text, sizeof(failure->text));
}

static void
parse_failure(char *rest, struct delivery_failure *failure)
{
	static const struct {
		const char *word;
		enum outcome outcome;
		enum outcome_stage stage; /* STAGE_NONE: the next word */
	} kinds[] = {
		{ "refused", OUTCOME_REFUSED, STAGE_CONNECT },
		{ "unreachable", OUTCOME_UNREACHABLE, STAGE_CONNECT },
		{ "tls", OUTCOME_TLS, STAGE_TLS },
		{ "lost", OUTCOME_LOST, STAGE_NONE },
		{ "timeout", OUTCOME_TIMEOUT, STAGE_NONE },
		{ "local", OUTCOME_LOCAL, STAGE_CONNECT },
		{ "said", OUTCOME_OK, STAGE_NONE },
	};
	const char *kind;
	size_t i = 0;

	failure->there = true;
	parse_server(
	    word(&rest), failure->name, failure->address, &failure->port);
	kind = word(&rest);
	while (i < NELEM(kinds) && strcmp(kinds[i].word, kind) != 0)
		i++;
	REQUIRE(i < NELEM(kinds), "no failure %s", kind);
	failure->outcome = kinds[i].outcome;
	failure->stage = kinds[i].stage != STAGE_NONE
			     ? kinds[i].stage
			     : parse_stage(word(&rest));
	failure->silent = failure->outcome == OUTCOME_TIMEOUT;
	if (failure->outcome == OUTCOME_OK)
		parse_reply(rest, failure);
	else
		(void)snprintf(
		    failure->text, sizeof(failure->text), "%s", kind);
}

static void
parse_status(const char *text, struct delivery_line *line)
{
	static const struct {
		const char *word;
		enum delivery_status status;
		enum delivery_waits waits;
	} words[] = {
		{ "sent", DELIVERY_SENT, DELIVERY_WAITS_ATTEMPT },
		{ "deferred", DELIVERY_DEFERRED, DELIVERY_WAITS_ATTEMPT },
		{ "bounced", DELIVERY_BOUNCED, DELIVERY_WAITS_ATTEMPT },
		{ "probed", DELIVERY_PROBED, DELIVERY_WAITS_ATTEMPT },
		{ "suspended", DELIVERY_DEFERRED, DELIVERY_WAITS_SUSPENDED },
		{ "held", DELIVERY_DEFERRED, DELIVERY_WAITS_HELD },
		{ "other", DELIVERY_DEFERRED, DELIVERY_WAITS_OTHER },
	};
	size_t i = 0;

	while (i < NELEM(words) && strcmp(words[i].word, text) != 0)
		i++;
	REQUIRE(i < NELEM(words), "no status %s", text);
	line->status = words[i].status;
	line->waits = words[i].waits;
}

static void
parse_result(const char *to, char *rest, struct delivery_line *line)
{
	const char *relay = word(&rest), *next;

	line->kind = DELIVERY_LINE_RESULT;
	(void)snprintf(line->to, sizeof(line->to), "%s", to);
	/* As the line parser does with what has no domain. */
	if (!address_parse(to, strlen(to), &line->recipient))
		memset(&line->recipient, 0, sizeof(line->recipient));
	line->relayed = strcmp(relay, "none") != 0;
	if (line->relayed)
		parse_server(relay, line->relay_name, line->relay_address,
		    &line->relay_port);
	next = word(&rest);
	line->reused = strcmp(next, "reused") == 0;
	parse_status(line->reused ? word(&rest) : next, line);
	if (rest != NULL)
		parse_failure(rest, &line->failure);
}

struct delivery_line
delivery_log_parse(const char *text)
{
	struct delivery_line line = { .kind = DELIVERY_LINE_EVENT };
	char copy[4096], *rest = copy;
	const char *by, *queue_id, *to;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	by = word(&rest);
	line.attempt = strcmp(by, "error") != 0;
	line.pid = (uint32_t)atoi(by);
	queue_id = word(&rest);
	if (strcmp(queue_id, "-") != 0)
		(void)snprintf(
		    line.queue_id, sizeof(line.queue_id), "%s", queue_id);
	if (strncmp(rest, "to=", 3) != 0) {
		parse_failure(rest, &line.failure);
	} else {
		rest += 3;
		to = strsep(&rest, " ");
		parse_result(to, rest, &line);
	}
	return line;
}

void
delivery_log_feed(const char *text)
{
	struct delivery_line line = delivery_log_parse(text);

	delivery_feed(delivery_log.delivery, &line, delivery_log.now_ms);
}

void
delivery_log_feed_all(const char *const *lines, unsigned n)
{
	for (unsigned i = 0; i < n && lines[i] != NULL; i++)
		delivery_log_feed(lines[i]);
}
