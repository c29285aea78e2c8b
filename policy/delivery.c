/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that observes deliveries. */
#include "policy/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "policy/delivery_parts.h"
#include "policy/hash.h"
#include "policy/route.h"
#include "policy/xalloc.h"

/* An attempt of which nothing was heard for so long is over: the longest
   silence is that of smtp_data_done_timeout, 600 s. */
#define ATTEMPT_MS 900000

struct delivery *
delivery_create(const struct config *config, const struct delivery_calls *calls)
{
	struct delivery *delivery = xcalloc(1, sizeof(*delivery));

	delivery->config = config;
	delivery->calls = *calls;
	delivery->attempts = delivery_attempts_create();
	delivery_hosts_init(&delivery->hosts, config);
	return delivery;
}

void
delivery_adopt(struct delivery *delivery, const struct config *config)
{
	delivery->config = config;
	delivery_attempts_forget(delivery->attempts);
	delivery_hosts_clear(&delivery->hosts);
	delivery_hosts_init(&delivery->hosts, config);
}

void
delivery_free(struct delivery **delivery)
{
	struct delivery *old = *delivery;

	*delivery = NULL;
	if (old == NULL)
		return;
	delivery_hosts_clear(&old->hosts);
	delivery_attempts_free(&old->attempts);
	free(old);
}

/* -- attempts ------------------------------------------------------------- */

static void
make_room(struct delivery *delivery, uint64_t now_ms)
{
	struct delivery_attempt *oldest;

	while (
	    (oldest = delivery_attempts_oldest(delivery->attempts)) != NULL &&
	    (now_ms > oldest->touched_ms + ATTEMPT_MS ||
		delivery_attempts_are_full(delivery->attempts))) {
		delivery_notes_settle(delivery, oldest, oldest->visit);
		delivery_attempts_close(delivery->attempts, oldest);
	}
}

static bool
had_result(const struct delivery_attempt *attempt, uint64_t recipient)
{
	for (uint32_t i = 0; i < attempt->n_recipients; i++) {
		if (attempt->recipients[i] == (uint32_t)recipient)
			return true;
	}
	return false;
}

/*
 * Is the same message tried again by the same process, because nothing else was
 * waiting? Each recipient has one result in an attempt, and a list of servers
 * is walked once.
 */
static bool
is_again(const struct delivery *delivery,
    const struct delivery_attempt *attempt, const struct delivery_scene *scene)
{
	if (scene->line->kind == DELIVERY_LINE_RESULT)
		return had_result(attempt, scene->recipient);
	return attempt->closed && scene->place.host != DELIVERY_NONE &&
	       delivery_notes_know(delivery, attempt, scene->place.host);
}

/* Does the line belong to another attempt than the last one of its process? */
static bool
is_another(const struct delivery *delivery,
    const struct delivery_attempt *attempt, const struct delivery_scene *scene)
{
	const char *queue_id = scene->line->queue_id;

	if (queue_id[0] == '\0' || attempt->queue_id[0] == '\0')
		return false;
	return strcmp(queue_id, attempt->queue_id) != 0 ||
	       is_again(delivery, attempt, scene);
}

/* What was seen since the last line with a queue id may be of the new one. */
static void
begin_another(struct delivery *delivery, struct delivery_attempt *attempt)
{
	delivery_notes_settle(delivery, attempt, attempt->joined);
	attempt->resulted = attempt->closed = attempt->probed = false;
	attempt->route = ROUTE_NONE;
	attempt->n_recipients = 0;
}

/* Returns: the line's attempt; NULL when there is none and the line is not
   about a host of ours. */
static struct delivery_attempt *
find_attempt(struct delivery *delivery, const struct delivery_scene *scene,
    uint64_t now_ms)
{
	const struct delivery_line *line = scene->line;
	struct delivery_attempt *attempt =
	    delivery_attempts_find(delivery->attempts, line->pid);

	if (attempt == NULL) {
		if (scene->place.name == DELIVERY_NONE)
			return NULL;
		attempt = delivery_attempts_open(delivery->attempts, line->pid);
	} else if (is_another(delivery, attempt, scene)) {
		begin_another(delivery, attempt);
	}
	if (line->queue_id[0] != '\0')
		memcpy(attempt->queue_id, line->queue_id,
		    sizeof(attempt->queue_id));
	delivery_attempts_touch(delivery->attempts, attempt, now_ms);
	return attempt;
}

/*
 * Notices that the agent turns to another server, or to the same one anew:
 * within a visit the same trouble is told once. "connect to" lines have no
 * queue id, and behind a result they begin something else; other lines of
 * a server may follow one recipient's 5xx, which comes in mid-session.
 */
static void
turn_to(const struct delivery_scene *scene)
{
	struct delivery_attempt *attempt = scene->attempt;
	const struct delivery_line *line = scene->line;
	bool named = line->queue_id[0] != '\0';
	bool anew = line->kind == DELIVERY_LINE_EVENT &&
		    (named ? attempt->closed : attempt->resulted);

	if (attempt->name != scene->place.name || anew) {
		attempt->visit++;
		attempt->name = scene->place.name;
		attempt->resulted = attempt->closed = false;
	}
	if (line->kind == DELIVERY_LINE_RESULT) {
		attempt->resulted = true;
		attempt->closed |= line->status != DELIVERY_BOUNCED;
	}
	if (named)
		attempt->joined = attempt->visit;
}

static void
note_result(const struct delivery_scene *scene)
{
	struct delivery_attempt *attempt = scene->attempt;

	attempt->route = scene->route;
	attempt->probed |= scene->line->status == DELIVERY_PROBED;
	if (attempt->n_recipients < DELIVERY_RECIPIENTS_MAX)
		attempt->recipients[attempt->n_recipients++] =
		    (uint32_t)scene->recipient;
}

/* -- lines ---------------------------------------------------------------- */

/* Chained, not joined: any other cut of the same bytes differs. Never 0. */
static uint64_t
hash_of(const struct address *recipient)
{
	struct hash_key key = hash_key_fixed;
	uint64_t hash;

	key.k0 ^= hash_bytes(key, recipient->local, recipient->local_len);
	hash = hash_bytes(key, recipient->domain, recipient->domain_len);
	return hash != 0 ? hash : 1;
}

/* The server that a line is about: the one that failed, else the relay. A
   failure that has no port is the relay's where it has the relay's name. */
static struct delivery_server
server_of(const struct delivery_line *line)
{
	const struct delivery_failure *failure = &line->failure;
	struct delivery_server failed = { failure->name, failure->address,
		failure->port, false };
	struct delivery_server relay = { line->relay_name, line->relay_address,
		line->relay_port, line->reused };
	bool relayed = line->kind == DELIVERY_LINE_RESULT && line->relayed;

	if (relayed &&
	    (line->status == DELIVERY_SENT || !failure->there ||
		failure->name[0] == '\0' ||
		(failure->port == 0 &&
		    strcmp(failure->name, line->relay_name) == 0 &&
		    strcmp(failure->address, line->relay_address) == 0)))
		return relay;
	if (!failure->there)
		failed = (struct delivery_server){ "", "", 0, false };
	return failed;
}

static struct delivery_scene
look_at(const struct delivery *delivery, const struct delivery_line *line)
{
	struct delivery_scene scene = { .line = line, .route = ROUTE_NONE };
	struct delivery_server server = server_of(line);

	if (line->kind == DELIVERY_LINE_RESULT) {
		scene.route = route_find(delivery->config->index,
		    line->recipient.domain, line->recipient.domain_len);
		scene.recipient = hash_of(&line->recipient);
	}
	scene.place =
	    delivery_hosts_place(&delivery->hosts, &server, scene.route);
	if (line->failure.there)
		scene.told = delivery_sight_read(
		    delivery->config, &line->failure, &scene.reading);
	return scene;
}

static enum delivery_cause
cause_of(const struct delivery_scene *scene)
{
	const struct delivery_line *line = scene->line;

	if (line->waits != DELIVERY_WAITS_ATTEMPT || !line->failure.there ||
	    scene->reading.by_host)
		return CAUSE_HOST;
	return scene->told && scene->reading.sight == DELIVERY_REFUSAL
		   ? CAUSE_REFUSAL
		   : CAUSE_RECIPIENT;
}

/* Tells what becomes of the mail of a route. */
static void
tell_route(const struct delivery *delivery, const struct delivery_scene *scene)
{
	const struct delivery_line *line = scene->line;
	struct delivery_waiting waiting = { .route = scene->route,
		.recipient = &line->recipient,
		.to = line->to,
		.queue_id = line->queue_id };

	if (scene->route == ROUTE_NONE ||
	    delivery->config->routes[scene->route].set == CONFIG_NO_SET)
		return;
	switch (line->status) {
	case DELIVERY_SENT:
	case DELIVERY_BOUNCED:
		delivery->calls.gone(delivery->calls.arg, scene->route,
		    &line->recipient, line->queue_id);
		break;
	case DELIVERY_DEFERRED:
		waiting.cause = cause_of(scene);
		delivery->calls.waiting(delivery->calls.arg, &waiting);
		break;
	case DELIVERY_PROBED:
		break;
	}
}

void
delivery_feed(struct delivery *delivery, const struct delivery_line *line,
    uint64_t now_ms)
{
	struct delivery_scene scene;

	make_room(delivery, now_ms);
	if (line->kind == DELIVERY_LINE_OTHER)
		return;
	scene = look_at(delivery, line);
	if (line->kind == DELIVERY_LINE_RESULT)
		tell_route(delivery, &scene);
	if (!line->attempt)
		return;
	scene.attempt = find_attempt(delivery, &scene, now_ms);
	if (scene.attempt == NULL)
		return;
	turn_to(&scene);
	if (line->kind == DELIVERY_LINE_RESULT) {
		note_result(&scene);
		delivery_notes_result(delivery, &scene);
	} else if (scene.told && scene.place.name != DELIVERY_NONE) {
		delivery_notes_event(delivery, &scene);
	}
}
