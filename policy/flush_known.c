/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that owns the plan. */
#include "policy/flush_known.h"

#include <stdlib.h>
#include <string.h>

#include "policy/flush_plan.h"

static uint64_t
hash_in(const struct flush_known *known, uint64_t of, const char *name)
{
	struct hash_key key = known->key;

	key.k0 ^= of;
	return hash_bytes(key, name, strlen(name));
}

static uint64_t
hash_of_set(const struct flush_known *known, uint64_t key)
{
	return hash_bytes(known->key, &key, sizeof(key));
}

/* -- sets ----------------------------------------------------------------- */

struct flush_set *
flush_known_set(const struct flush_known *known, uint64_t key)
{
	struct hash_link *link =
	    hash_chains_first(&known->sets, hash_of_set(known, key));

	for (; link != NULL; link = link->next) {
		if (OWNER_OF(link, flush_set, link)->key == key)
			return OWNER_OF(link, flush_set, link);
	}
	return NULL;
}

struct flush_set *
flush_known_need_set(struct flush_known *known, uint64_t key)
{
	struct flush_set *set = flush_known_set(known, key);

	if (set != NULL || known->n_sets >= FLUSH_DOMAINS_MAX)
		return set;
	set = calloc(1, sizeof(*set));
	if (set == NULL)
		return NULL;
	set->key = key;
	set->due.kind = FLUSH_KIND_SET;
	TAILQ_INIT(&set->waiting);
	for (int cause = 0; cause < CAUSE_COUNT; cause++)
		TAILQ_INIT(&set->messages[cause]);
	hash_chains_put(&known->sets, &set->link, hash_of_set(known, key));
	known->n_sets++;
	return set;
}

void
flush_known_settle_set(struct flush_known *known, struct flush_set *set)
{
	if (set->n_domains > 0 || set->in_round || due_is_in(&set->due))
		return;
	hash_chains_take(&known->sets, &set->link);
	known->n_sets--;
	free(set);
}

/* -- domains -------------------------------------------------------------- */

struct flush_domain *
flush_known_domain(const struct flush_known *known, const struct flush_set *set,
    const char *name)
{
	struct flush_domain *domain;
	struct hash_link *link;
	uint64_t hash;

	if (set == NULL)
		return NULL;
	hash = hash_in(known, set->key, name);
	for (link = hash_chains_first(&known->domains, hash); link != NULL;
	     link = link->next) {
		domain = OWNER_OF(link, flush_domain, link);
		if (link->hash == hash && domain->set == set &&
		    strcmp(domain->name, name) == 0)
			return domain;
	}
	return NULL;
}

static void
forget_message(struct flush_known *known, struct flush_message *message)
{
	struct flush_domain *domain = message->domain;

	TAILQ_REMOVE(&domain->messages, message, of_domain);
	TAILQ_REMOVE(&domain->set->messages[message->cause], message, of_set);
	TAILQ_REMOVE(&known->all_messages, message, of_known);
	due_heap_remove(&known->due, &message->due);
	hash_chains_take(&known->messages, &message->link);
	domain->n_messages--;
	domain->n_by_host -= message->cause == CAUSE_HOST;
	known->n_messages--;
	free(message->to);
	free(message);
}

void
flush_known_drop_domain(struct flush_known *known, struct flush_domain *domain)
{
	struct flush_set *set = domain->set;

	/* The analyzer does not see that TAILQ_REMOVE changes the head. */
	while (!TAILQ_EMPTY(&domain->messages))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		forget_message(known, TAILQ_FIRST(&domain->messages));
	if (domain->waits)
		TAILQ_REMOVE(&set->waiting, domain, of_waiting);
	TAILQ_REMOVE(&known->all_domains, domain, of_known);
	due_heap_remove(&known->due, &domain->due);
	hash_chains_take(&known->domains, &domain->link);
	known->n_domains--;
	known->n_waiting -= domain->counted;
	free(domain);
	set->n_domains--;
	flush_known_settle_set(known, set);
}

void
flush_known_settle(struct flush_known *known, struct flush_domain *domain)
{
	bool waits = domain->n_by_host > 0 || domain->more;
	bool counts = waits || domain->n_messages > 0;

	if (waits && !domain->waits) {
		/* At the end: it is no part of a round under way. */
		domain->round = domain->set->round;
		TAILQ_INSERT_TAIL(&domain->set->waiting, domain, of_waiting);
	} else if (!waits && domain->waits) {
		TAILQ_REMOVE(&domain->set->waiting, domain, of_waiting);
	}
	domain->waits = waits;
	known->n_waiting += counts;
	known->n_waiting -= domain->counted;
	domain->counted = counts;
	if (!counts && !due_is_in(&domain->due))
		flush_known_drop_domain(known, domain);
}

static struct flush_domain *
add_domain(struct flush_known *known, struct flush_set *set, const char *name)
{
	size_t size = strlen(name) + 1;
	struct flush_domain *domain = calloc(1, sizeof(*domain) + size);

	if (domain == NULL)
		return NULL;
	memcpy(domain->name, name, size);
	domain->set = set;
	domain->due.kind = FLUSH_KIND_DOMAIN;
	TAILQ_INIT(&domain->messages);
	hash_chains_put(
	    &known->domains, &domain->link, hash_in(known, set->key, name));
	TAILQ_INSERT_TAIL(&known->all_domains, domain, of_known);
	known->n_domains++;
	set->n_domains++;
	return domain;
}

struct flush_domain *
flush_known_need_domain(
    struct flush_known *known, uint64_t key, const char *name)
{
	struct flush_set *set = flush_known_set(known, key);
	struct flush_domain *domain = flush_known_domain(known, set, name);

	if (domain != NULL) {
		TAILQ_REMOVE(&known->all_domains, domain, of_known);
		TAILQ_INSERT_TAIL(&known->all_domains, domain, of_known);
		return domain;
	}
	if (known->n_domains >= FLUSH_DOMAINS_MAX)
		flush_known_drop_domain(
		    known, TAILQ_FIRST(&known->all_domains));
	/* That may have been the last domain of the set. */
	set = flush_known_need_set(known, key);
	if (set == NULL)
		return NULL;
	domain = add_domain(known, set, name);
	if (domain == NULL)
		flush_known_settle_set(known, set);
	return domain;
}

/* -- messages ------------------------------------------------------------- */

struct flush_message *
flush_known_message(const struct flush_known *known,
    const struct flush_domain *domain, const char *queue_id)
{
	struct flush_message *message;
	struct hash_link *link;
	uint64_t hash;

	if (domain == NULL)
		return NULL;
	hash = hash_in(known, domain->link.hash, queue_id);
	for (link = hash_chains_first(&known->messages, hash); link != NULL;
	     link = link->next) {
		message = OWNER_OF(link, flush_message, link);
		if (link->hash == hash && message->domain == domain &&
		    strcmp(message->queue_id, queue_id) == 0)
			return message;
	}
	return NULL;
}

/* Every domain gets a place, so that each set has a message for a trial. */
static bool
has_room(const struct flush_known *known, const struct flush_domain *domain)
{
	uint32_t max = known->n_messages < FLUSH_ALL_MAX / 2
			   ? FLUSH_MESSAGES_MAX
			   : FLUSH_MESSAGES_FEW;

	return known->n_messages < FLUSH_ALL_MAX && domain->n_messages < max;
}

struct flush_message *
flush_known_need_message(struct flush_known *known, struct flush_domain *domain,
    const char *queue_id)
{
	struct flush_message *message =
	    flush_known_message(known, domain, queue_id);

	if (message != NULL || !has_room(known, domain))
		return message;
	message = calloc(1, sizeof(*message));
	if (message == NULL)
		return NULL;
	memcpy(message->queue_id, queue_id, strlen(queue_id) + 1);
	message->domain = domain;
	message->due.kind = FLUSH_KIND_MESSAGE;
	hash_chains_put(&known->messages, &message->link,
	    hash_in(known, domain->link.hash, queue_id));
	TAILQ_INSERT_TAIL(&domain->messages, message, of_domain);
	TAILQ_INSERT_TAIL(
	    &domain->set->messages[message->cause], message, of_set);
	TAILQ_INSERT_TAIL(&known->all_messages, message, of_known);
	domain->n_messages++;
	known->n_messages++;
	return message;
}

uint64_t
flush_known_recipient(
    const struct flush_known *known, const struct address *recipient)
{
	return hash_bytes(known->key, recipient->local, recipient->local_len);
}

void
flush_known_blame(struct flush_message *message, enum delivery_cause cause)
{
	struct flush_domain *domain = message->domain;

	TAILQ_REMOVE(&domain->set->messages[message->cause], message, of_set);
	TAILQ_INSERT_TAIL(&domain->set->messages[cause], message, of_set);
	domain->n_by_host += cause == CAUSE_HOST;
	domain->n_by_host -= message->cause == CAUSE_HOST;
	message->cause = cause;
}

int
flush_known_hear(struct flush_known *known, struct flush_message *message,
    const struct delivery_waiting *waiting, uint64_t now_ms)
{
	char *copy;

	if (message->to == NULL || strcmp(message->to, waiting->to) != 0) {
		copy = strdup(waiting->to);
		if (copy == NULL)
			return -1;
		free(message->to);
		message->to = copy;
	}
	flush_known_blame(message, waiting->cause);
	TAILQ_REMOVE(&known->all_messages, message, of_known);
	TAILQ_INSERT_TAIL(&known->all_messages, message, of_known);
	message->recipient = flush_known_recipient(known, waiting->recipient);
	message->n_flushes = message->domain->n_flushes;
	message->line_ms = now_ms;
	return 0;
}

void
flush_known_touch(struct flush_message *message)
{
	struct flush_set *set = message->domain->set;

	TAILQ_REMOVE(&set->messages[message->cause], message, of_set);
	TAILQ_INSERT_TAIL(&set->messages[message->cause], message, of_set);
}

void
flush_known_drop_message(
    struct flush_known *known, struct flush_message *message)
{
	struct flush_domain *domain = message->domain;

	forget_message(known, message);
	flush_known_settle(known, domain);
}

/* -- to another set ------------------------------------------------------- */

static void
leave_set(struct flush_known *known, struct flush_domain *domain)
{
	struct flush_set *set = domain->set;
	struct flush_message *message;

	TAILQ_FOREACH(message, &domain->messages, of_domain)
	{
		TAILQ_REMOVE(&set->messages[message->cause], message, of_set);
		due_heap_remove(&known->due, &message->due);
		hash_chains_take(&known->messages, &message->link);
		message->homeless = true;
	}
	if (domain->waits)
		TAILQ_REMOVE(&set->waiting, domain, of_waiting);
	hash_chains_take(&known->domains, &domain->link);
	domain->waits = domain->planned = false;
	set->n_domains--;
	flush_known_settle_set(known, set);
}

static void
enter_set(struct flush_known *known, struct flush_domain *domain,
    struct flush_set *set)
{
	struct flush_message *message;

	domain->set = set;
	set->n_domains++;
	hash_chains_put(&known->domains, &domain->link,
	    hash_in(known, set->key, domain->name));
	TAILQ_FOREACH(message, &domain->messages, of_domain)
	{
		hash_chains_put(&known->messages, &message->link,
		    hash_in(known, domain->link.hash, message->queue_id));
	}
	flush_known_settle(known, domain);
}

void
flush_known_move(
    struct flush_known *known, struct flush_domain *domain, uint64_t key)
{
	struct flush_set *set = flush_known_need_set(known, key);
	struct flush_domain *there =
	    flush_known_domain(known, set, domain->name);

	if (set != NULL)
		set->moved |= domain->waits;
	if (set != NULL && there == NULL) {
		leave_set(known, domain);
		enter_set(known, domain, set);
		return;
	}
	if (there != NULL) {
		there->more |= domain->waits;
		flush_known_settle(known, there);
	}
	flush_known_drop_domain(known, domain);
}

/* In the order of their last lines, whichever set they come from. */
void
flush_known_end_moves(struct flush_known *known)
{
	struct flush_message *message;

	TAILQ_FOREACH(message, &known->all_messages, of_known)
	{
		if (message->homeless)
			TAILQ_INSERT_TAIL(
			    &message->domain->set->messages[message->cause],
			    message, of_set);
		message->homeless = false;
	}
}

/* -- all of it ------------------------------------------------------------ */

void
flush_known_init(struct flush_known *known, struct hash_key key)
{
	known->key = key;
	TAILQ_INIT(&known->all_domains);
	TAILQ_INIT(&known->all_messages);
	TAILQ_INIT(&known->rounds);
}

/* Only for the end: the sets are not settled. */
static void
drop_set(struct hash_link *link)
{
	free(OWNER_OF(link, flush_set, link));
}

void
flush_known_clear(struct flush_known *known)
{
	while (!TAILQ_EMPTY(&known->all_domains))
		flush_known_drop_domain(
		    known, TAILQ_FIRST(&known->all_domains));
	hash_chains_clear(&known->sets, drop_set);
	due_heap_clear(&known->due);
}
