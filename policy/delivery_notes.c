/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that observes deliveries. */
#include <string.h>

#include "policy/delivery_parts.h"
#include "policy/hash.h"

_Static_assert(DELIVERY_NONE == DELIVERY_HOSTS_NONE, "nothing is nothing");

/* Says so little that of an open port it says nothing. */
static bool
is_faint(enum delivery_sight sight)
{
	return sight == DELIVERY_FINAL || sight == DELIVERY_WORD;
}

static bool
is_personal(enum delivery_sight sight)
{
	return sight == DELIVERY_REFUSAL || sight == DELIVERY_SHY;
}

/* -- notes ---------------------------------------------------------------- */

bool
delivery_notes_know(const struct delivery *delivery,
    const struct delivery_attempt *attempt, uint32_t host)
{
	const struct delivery_note *note;

	for (const uint32_t *at = &attempt->first_note;
	     (note = delivery_attempts_note_at(delivery->attempts, at)) != NULL;
	     at = &note->next) {
		if (note->host == host)
			return true;
	}
	return false;
}

/* Has the host taken the message in this attempt, for some recipient? */
static bool
has_accepted(const struct delivery *delivery,
    const struct delivery_attempt *attempt, uint32_t host)
{
	const struct delivery_note *note;

	for (const uint32_t *at = &attempt->first_note;
	     (note = delivery_attempts_note_at(delivery->attempts, at)) != NULL;
	     at = &note->next) {
		if (note->sight == DELIVERY_OK && note->host == host)
			return true;
	}
	return false;
}

/* Returns: the note of this sight in this visit, or NULL. */
static struct delivery_note *
find_note(const struct delivery *delivery, const struct delivery_scene *scene,
    const struct delivery_reading *reading)
{
	const struct delivery_attempt *attempt = scene->attempt;
	struct delivery_note *note;

	for (const uint32_t *at = &attempt->first_note;
	     (note = delivery_attempts_note_at(delivery->attempts, at)) != NULL;
	     at = &note->next) {
		if (note->name == scene->place.name &&
		    note->host == scene->place.host &&
		    note->visit == attempt->visit &&
		    note->sight == reading->sight &&
		    note->seen.stage == reading->seen.stage)
			return note;
	}
	return NULL;
}

/* Returns: that note, or a new one, with the newest words. */
static struct delivery_note *
take_note(struct delivery *delivery, const struct delivery_scene *scene,
    const struct delivery_reading *reading, bool *new_r)
{
	struct delivery_attempt *attempt = scene->attempt;
	struct delivery_note *note = find_note(delivery, scene, reading);

	*new_r = note == NULL;
	if (note == NULL && attempt->n_notes == DELIVERY_NOTES_EACH)
		delivery_notes_settle(delivery, attempt, attempt->visit);
	if (note == NULL)
		note = delivery_attempts_note(delivery->attempts, attempt);
	note->name = scene->place.name;
	note->host = scene->place.host;
	note->visit = attempt->visit;
	note->sight = reading->sight;
	note->each = reading->each;
	note->seen = reading->seen;
	return note;
}

/* Forgets what a place refused. */
static void
drop_refusals(struct delivery *delivery, struct delivery_attempt *attempt,
    const struct delivery_place *place)
{
	uint32_t *at = &attempt->first_note;
	struct delivery_note *note;

	while ((note = delivery_attempts_note_at(delivery->attempts, at)) !=
	       NULL) {
		if (is_personal(note->sight) && note->name == place->name &&
		    note->host == place->host)
			delivery_attempts_remove(
			    delivery->attempts, attempt, at);
		else
			at = &note->next;
	}
}

/* -- telling -------------------------------------------------------------- */

/* Also stands in for a recipient that was not named. Never 0. */
static uint64_t
hash_of_queue_id(const char *queue_id)
{
	uint64_t hash = hash_bytes(hash_key_fixed, queue_id, strlen(queue_id));

	return hash != 0 ? hash : 1;
}

/*
 * The hosts that a server of this name may be: those that the route reaches,
 * but for those that took the message, and for another one.
 */
static uint32_t
candidates(const struct delivery *delivery,
    const struct delivery_attempt *attempt, uint32_t name, uint32_t another,
    uint32_t list_r[CONFIG_SET_HOSTS_MAX])
{
	uint32_t n = delivery_hosts_ports(
	    &delivery->hosts, name, attempt->route, list_r);
	uint32_t left[CONFIG_SET_HOSTS_MAX], n_left = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (list_r[i] != another &&
		    !has_accepted(delivery, attempt, list_r[i]))
			left[n_left++] = list_r[i];
	}
	/* None: one of them did both. */
	if (n_left == 0)
		return n;
	memcpy(list_r, left, n_left * sizeof(left[0]));
	return n_left;
}

/*
 * Tells what was seen of a host; where its port is open, of all that it may be.
 * another: one that it is not; n_servers: how many there were.
 */
static void
tell(const struct delivery *delivery, const struct delivery_attempt *attempt,
    const struct delivery_note *note, uint32_t another, uint32_t n_servers,
    uint64_t recipient)
{
	struct delivery_seen seen = { .host = note->host,
		.sight = note->sight,
		.message = hash_of_queue_id(attempt->queue_id),
		.recipient = is_personal(note->sight) ? recipient : 0,
		.seen = note->seen };
	uint32_t list[CONFIG_SET_HOSTS_MAX], n;

	if (note->host != DELIVERY_NONE) {
		delivery->calls.seen(delivery->calls.arg, &seen);
		return;
	}
	n = candidates(delivery, attempt, note->name, another, list);
	seen.doubt = n > n_servers;
	for (uint32_t i = 0; i < n; i++) {
		seen.host = list[i];
		delivery->calls.seen(delivery->calls.arg, &seen);
	}
}

/* A line to each recipient may come from one server; any other failure is the
   end of a session. */
static uint32_t
servers_of(const struct delivery_note *note)
{
	return note->each || note->n_open == 0 ? 1 : note->n_open;
}

/* -- the end of an attempt ------------------------------------------------ */

static void
settle_note(const struct delivery *delivery,
    const struct delivery_attempt *attempt, const struct delivery_note *note)
{
	if (is_personal(note->sight) && attempt->probed)
		return;
	if (note->n_open > 0)
		tell(delivery, attempt, note, DELIVERY_NONE, servers_of(note),
		    hash_of_queue_id(attempt->queue_id));
	/* The first one was told at once. */
	for (uint32_t i = 1; i < note->n_held; i++)
		tell(delivery, attempt, note, DELIVERY_NONE, 1, note->held[i]);
}

void
delivery_notes_settle(
    struct delivery *delivery, struct delivery_attempt *attempt, uint32_t last)
{
	uint32_t *at = &attempt->first_note;
	struct delivery_note *note;

	/* First told, then forgotten: who took the message is no candidate. */
	for (;
	     (note = delivery_attempts_note_at(delivery->attempts, at)) != NULL;
	     at = &note->next) {
		if (note->visit <= last)
			settle_note(delivery, attempt, note);
	}
	at = &attempt->first_note;
	while ((note = delivery_attempts_note_at(delivery->attempts, at)) !=
	       NULL) {
		if (note->visit <= last)
			delivery_attempts_remove(
			    delivery->attempts, attempt, at);
		else
			at = &note->next;
	}
}

/* -- events --------------------------------------------------------------- */

void
delivery_notes_event(
    struct delivery *delivery, const struct delivery_scene *scene)
{
	bool sure = scene->place.host != DELIVERY_NONE, is_new;
	bool personal = is_personal(scene->reading.sight);
	struct delivery_note *note;

	/* A 5xx of some port is good news of none. */
	if (!sure && is_faint(scene->reading.sight))
		return;
	note = take_note(delivery, scene, &scene->reading, &is_new);
	if (sure && !personal) {
		if (is_new)
			tell(delivery, scene->attempt, note, DELIVERY_NONE, 1,
			    0);
	} else if (note->each || !sure) {
		note->n_open++;
	} else {
		note->n_open = 1;
	}
}

/* -- results -------------------------------------------------------------- */

/*
 * Is the server of the note done with, so that this recipient is one that it
 * did not take? Another name's result says so. With an open port the same name
 * may be another server, but one recipient's 5xx comes in the middle of the
 * session that refused others.
 */
static bool
is_done_with(
    const struct delivery_note *note, const struct delivery_scene *scene)
{
	if (scene->place.name != note->name)
		return true;
	return note->host == DELIVERY_NONE &&
	       (!note->each || scene->line->status != DELIVERY_BOUNCED);
}

/* Tells what a result reveals of an earlier server. */
static void
reveal(const struct delivery *delivery, const struct delivery_scene *scene,
    struct delivery_note *note)
{
	bool personal = is_personal(note->sight);
	uint32_t another =
	    note->name == scene->place.name ? scene->place.host : DELIVERY_NONE;

	if (note->n_open == 0 || !is_done_with(note, scene) ||
	    (personal && scene->attempt->probed))
		return;
	tell(delivery, scene->attempt, note, another,
	    personal ? 1 : servers_of(note), scene->recipient);
	note->n_open = personal ? note->n_open - 1 : 0;
}

static void
reveal_all(const struct delivery *delivery, const struct delivery_scene *scene)
{
	const uint32_t *at = &scene->attempt->first_note;
	struct delivery_note *note;

	for (;
	     (note = delivery_attempts_note_at(delivery->attempts, at)) != NULL;
	     at = &note->next)
		reveal(delivery, scene, note);
}

/* The host took the message: what it said to others was about them. */
static void
take_success(struct delivery *delivery, const struct delivery_scene *scene)
{
	struct delivery_reading ok = { .sight = DELIVERY_OK };
	struct delivery_note *note = NULL;
	bool is_new;

	if (scene->place.name != DELIVERY_NONE)
		drop_refusals(delivery, scene->attempt, &scene->place);
	if (scene->place.host != DELIVERY_NONE &&
	    !has_accepted(delivery, scene->attempt, scene->place.host)) {
		ok.seen = delivery_sight_ok();
		note = take_note(delivery, scene, &ok, &is_new);
	}
	reveal_all(delivery, scene);
	if (note != NULL)
		tell(delivery, scene->attempt, note, DELIVERY_NONE, 1, 0);
}

/*
 * A refusal in a result. The first one is told at once; those of further
 * recipients wait for the end, because the server may still take the message
 * for others. What answers the message is one refusal, however many share it.
 */
static void
take_refusal(struct delivery_note *note, const struct delivery *delivery,
    const struct delivery_scene *scene)
{
	/* An address of the same host refused it before. */
	if (note->n_open > 0)
		note->n_open--;
	if (note->n_held == 0)
		tell(delivery, scene->attempt, note, DELIVERY_NONE, 1,
		    scene->recipient);
	else if (!note->each || note->n_held == DELIVERY_ROW)
		return;
	note->held[note->n_held++] = scene->recipient;
}

static void
take_failure(struct delivery *delivery, const struct delivery_scene *scene)
{
	const struct delivery_reading *reading = &scene->reading;
	struct delivery_attempt *attempt = scene->attempt;
	struct delivery_note *note;
	bool is_new;

	if (!scene->told || scene->place.name == DELIVERY_NONE)
		return;
	if (reading->sight != DELIVERY_TROUBLE &&
	    (attempt->probed || (scene->place.host == DELIVERY_NONE &&
				    is_faint(reading->sight))))
		return;
	if (is_personal(reading->sight) &&
	    has_accepted(delivery, attempt, scene->place.host))
		return;
	note = take_note(delivery, scene, reading, &is_new);
	if (is_personal(reading->sight))
		take_refusal(note, delivery, scene);
	else if (is_new)
		tell(delivery, attempt, note, DELIVERY_NONE, 1, 0);
}

void
delivery_notes_result(
    struct delivery *delivery, const struct delivery_scene *scene)
{
	if (scene->line->status == DELIVERY_SENT) {
		take_success(delivery, scene);
		return;
	}
	reveal_all(delivery, scene);
	take_failure(delivery, scene);
}
