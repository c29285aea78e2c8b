/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A plan with a clock of the test's own, and what the plan does as text. Each
 * failure ends the test.
 */
#ifndef NH_TESTS_UNIT_FLUSH_SCENE_H
#define NH_TESTS_UNIT_FLUSH_SCENE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/flush_plan.h"

#define T0     1000000u
#define SET    7u
#define AGAIN  600000u
#define TO_MAX (ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX)

static struct flush_plan *plan;
static uint64_t now_ms;
static char done[65536]; /* "0 D a.test|20 M Q1|": since T0 */

static inline void
begin(void)
{
	plan = flush_plan_create((struct hash_key){ 1, 2 });
	now_ms = T0 - FLUSH_SETTLE_MS;
	done[0] = '\0';
}

static inline void
end(void)
{
	flush_plan_free(&plan);
	ck_assert_ptr_null(plan);
}

static inline struct address
address_of(const char *text)
{
	struct address address;

	ck_assert(address_parse(text, strlen(text), &address));
	return address;
}

static inline void
hear_cause(uint64_t set, const char *to, const char *queue_id,
    enum delivery_cause cause, bool set_is_up)
{
	struct address address = address_of(to);
	struct delivery_waiting waiting = { .recipient = &address,
		.to = to,
		.queue_id = queue_id,
		.cause = cause };

	flush_plan_waiting(plan, set, &waiting, set_is_up, now_ms);
}

static inline void
hear(uint64_t set, const char *to, const char *queue_id, bool by_host)
{
	hear_cause(
	    set, to, queue_id, by_host ? CAUSE_HOST : CAUSE_RECIPIENT, false);
}

/* A message waits for the hosts of SET. */
static inline void
wait_for(const char *queue_id, const char *to)
{
	hear(SET, to, queue_id, true);
}

/* Messages for this domain, Qn to un each. */
static inline void
wait_many(const char *domain, unsigned first, unsigned n)
{
	char to[64], queue_id[16];

	for (unsigned i = first; i < first + n; i++) {
		snprintf(to, sizeof(to), "u%u@%s", i, domain);
		snprintf(queue_id, sizeof(queue_id), "Q%u", i);
		wait_for(queue_id, to);
	}
}

static inline void
gone(const char *queue_id, const char *to)
{
	struct address address = address_of(to);

	flush_plan_gone(plan, SET, &address, queue_id);
}

/* At T0 or later: what was told before it has settled. */
static inline void
recover(void)
{
	if (now_ms < T0)
		now_ms = T0;
	flush_plan_recovered(plan, SET, now_ms, AGAIN);
}

/* Does what there is to do up to this many ms after T0. */
static inline const char *
run(uint64_t to_ms)
{
	struct flush_step step;
	uint32_t wait;
	size_t used = 0;

	done[0] = '\0';
	while (now_ms <= T0 + to_ms) {
		if (flush_plan_next(plan, now_ms, &step, &wait) !=
		    FLUSH_NOTHING)
			used += (size_t)snprintf(done + used,
			    sizeof(done) - used, "%u %c %s|",
			    (unsigned)(now_ms - T0),
			    step.action == FLUSH_DOMAIN ? 'D' : 'M', step.what);
		ck_assert_uint_lt(used, sizeof(done));
		ck_assert_uint_gt(wait, 0);
		now_ms += wait;
	}
	now_ms = T0 + to_ms;
	return done;
}

static inline void
check_counts(uint32_t domains, uint32_t messages)
{
	uint32_t d, m;

	flush_plan_count(plan, &d, &m);
	ck_assert_uint_eq(d, domains);
	ck_assert_uint_eq(m, messages);
}

static inline const char *
take_one(uint64_t set)
{
	static char text[TO_MAX + DELIVERY_QUEUE_MAX];
	char to[TO_MAX], queue_id[DELIVERY_QUEUE_MAX];

	if (!flush_plan_take_one(plan, set, now_ms, to, queue_id))
		return "none";
	snprintf(text, sizeof(text), "%s %s", queue_id, to);
	return text;
}

#endif
