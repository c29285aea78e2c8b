/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/observer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "milter/clock.h"
#include "milter/journal_follower.h"
#include "milter/log.h"
#include "milter/log_follower.h"
#include "policy/delivery_line.h"
#include "policy/xalloc.h"

/* One followed log; kept over a reload that still names it. */
struct followed {
	LIST_ENTRY(followed) others;
	char *path;
	struct log_follower *follower;
	bool wanted;
};

LIST_HEAD(followed_list, followed);

struct observer {
	struct event_base *base;
	struct delivery_calls calls; /* whoever learns from it */
	struct delivery *delivery;   /* NULL before the first adoption */
	struct followed_list logs;
	struct journal_follower *journal; /* NULL: not followed */
	uint32_t n_senders;		  /* nexthopctl observe */
	uint64_t heard;
};

/* ---- what the lines say ---- */

static void
on_seen(void *arg, const struct delivery_seen *seen)
{
	struct observer *observer = arg;

	observer->heard++;
	observer->calls.seen(observer->calls.arg, seen);
}

static void
on_waiting(void *arg, const struct delivery_waiting *waiting)
{
	const struct observer *observer = arg;

	observer->calls.waiting(observer->calls.arg, waiting);
}

static void
on_gone(void *arg, uint32_t route, const struct address *recipient,
    const char *queue_id)
{
	const struct observer *observer = arg;

	observer->calls.gone(observer->calls.arg, route, recipient, queue_id);
}

void
observer_line(struct observer *observer, const char *text, size_t len)
{
	struct delivery_line line;

	if (observer->delivery != NULL &&
	    delivery_line_parse(text, len, &line) != DELIVERY_LINE_OTHER)
		delivery_feed(observer->delivery, &line, clock_boot_ms());
}

static void
on_line(void *arg, const char *text, size_t len)
{
	observer_line(arg, text, len);
}

static void
on_record(void *arg, const char *tag, size_t tag_len, uint32_t pid,
    const char *text, size_t len)
{
	struct observer *observer = arg;
	struct delivery_line line;

	if (delivery_line_parse_record(tag, tag_len, pid, text, len, &line) !=
	    DELIVERY_LINE_OTHER)
		delivery_feed(observer->delivery, &line, clock_boot_ms());
}

/* ---- where they come from ---- */

static void
drop(struct followed *log)
{
	LIST_REMOVE(log, others);
	if (log->follower != NULL)
		log_follower_free(&log->follower);
	free(log->path);
	free(log);
}

static struct followed *
find(const struct observer *observer, const char *path)
{
	struct followed *log;

	LIST_FOREACH(log, &observer->logs, others)
	{
		if (strcmp(log->path, path) == 0)
			return log;
	}
	return NULL;
}

static void
want(struct observer *observer, const char *path)
{
	struct followed *log = find(observer, path);
	struct err err;

	if (log == NULL) {
		log = xcalloc(1, sizeof(*log));
		log->path = xstrdup(path);
		LIST_INSERT_HEAD(&observer->logs, log, others);
	}
	log->wanted = true;
	/* What failed at the last adoption is worth another try. */
	if (log->follower == NULL &&
	    log_follower_create(observer->base, path, on_line, observer,
		&log->follower, &err) == -1)
		log_error("%s; probes decide until a reload finds it better",
		    err.text);
}

static void
adopt_logs(struct observer *observer, const struct config_delivery *config)
{
	struct followed *log, *next;

	LIST_FOREACH(log, &observer->logs, others)
	log->wanted = false;
	for (uint32_t i = 0; i < config->n_logs; i++)
		want(observer, config->logs[i]);
	for (log = LIST_FIRST(&observer->logs); log != NULL; log = next) {
		next = LIST_NEXT(log, others);
		if (!log->wanted)
			drop(log);
	}
}

static void
adopt_journal(struct observer *observer, bool wanted)
{
	struct err err;

	if (!wanted && observer->journal != NULL)
		journal_follower_free(&observer->journal);
	if (!wanted || observer->journal != NULL)
		return;
	if (journal_follower_create(observer->base, NULL, on_record, observer,
		&observer->journal, &err) == -1)
		log_error("%s; probes decide until a reload finds it better",
		    err.text);
}

void
observer_adopt(struct observer *observer, const struct config *config)
{
	struct delivery_calls calls = { .seen = on_seen,
		.waiting = on_waiting,
		.gone = on_gone,
		.arg = observer };

	if (observer->delivery == NULL)
		observer->delivery = delivery_create(config, &calls);
	else
		delivery_adopt(observer->delivery, config);
	adopt_logs(observer, &config->delivery);
	adopt_journal(observer, config->delivery.journal);
}

void
observer_joined(struct observer *observer)
{
	observer->n_senders++;
}

void
observer_left(struct observer *observer)
{
	observer->n_senders--;
}

bool
observer_is_alive(const struct observer *observer)
{
	const struct followed *log;

	if (observer->n_senders > 0 ||
	    (observer->journal != NULL &&
		journal_follower_is_open(observer->journal)))
		return true;
	LIST_FOREACH(log, &observer->logs, others)
	{
		if (log->follower != NULL &&
		    log_follower_is_open(log->follower))
			return true;
	}
	return false;
}

uint64_t
observer_heard(const struct observer *observer)
{
	return observer->heard;
}

/* ---- beginning and end ---- */

int
observer_create(struct event_base *base, const struct delivery_calls *calls,
    struct observer **observer_r, struct err *err)
{
	struct observer *observer = calloc(1, sizeof(*observer));

	if (observer == NULL) {
		err_set(err, "no memory for the observer of deliveries");
		return -1;
	}
	observer->base = base;
	observer->calls = *calls;
	LIST_INIT(&observer->logs);
	*observer_r = observer;
	return 0;
}

void
observer_free(struct observer **observer)
{
	struct observer *old = *observer;

	*observer = NULL;
	/* The analyzer does not see that LIST_REMOVE changes the head. */
	while (!LIST_EMPTY(&old->logs))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		drop(LIST_FIRST(&old->logs));
	if (old->journal != NULL)
		journal_follower_free(&old->journal);
	if (old->delivery != NULL)
		delivery_free(&old->delivery);
	free(old);
}
