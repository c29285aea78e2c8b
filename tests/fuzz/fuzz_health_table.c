/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/health_table.h"

#include <string.h>

#include "policy/ticket.h"
#include "tests/fuzz/hostile_table.h"

#define MORE_HOSTS 100 /* than the good table has room for */
/* What is forged lies in the first slots; to hash all of them takes its time.
 */
#define READ 8

/* -- what anybody reads --------------------------------------------------- */

static void
read_history(const struct health_table *table, uint32_t slot)
{
	struct health_history list[HEALTH_HISTORY_MAX];
	uint32_t n = health_table_history(table, slot, list);

	require(n <= HEALTH_HISTORY_MAX, "a history is bounded");
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t last =
		    list[i].is_override ? OVERRIDE_FORCED_UP : HEALTH_TRIAL;

		require(list[i].from <= last && list[i].to <= last &&
			    list[i].stage < STAGE_COUNT &&
			    list[i].source < SOURCE_COUNT,
		    "a change is between states that there are");
		require_printable(list[i].text, sizeof(list[i].text),
		    "a change is printable");
	}
}

static void
read_detail(const struct health_table *table, uint32_t slot)
{
	struct health_detail detail;
	const struct observation *last = &detail.last;

	health_table_read(table, slot, &detail);
	require(detail.health.state <= HEALTH_TRIAL &&
		    last->outcome < OUTCOME_COUNT &&
		    last->stage < STAGE_COUNT && last->source < SOURCE_COUNT,
	    "a detail has values that there are");
	require_printable(
	    last->text, sizeof(last->text), "a host's words are printable");
}

static void
read_override(const struct health_table *table, uint32_t slot)
{
	struct health_override_info info;

	health_table_get_override(table, slot, &info);
	require(info.kind <= OVERRIDE_FORCED_UP, "there is such an override");
	require_printable(
	    info.reason, sizeof(info.reason), "a reason is printable");
}

static void
read_slot(const struct health_table *table, uint32_t slot)
{
	struct health_view view;
	struct host host;

	if (health_table_host(table, slot, &host) == 0)
		require(host.port > 0 && host.name[0] != '\0',
		    "a host that is there can be asked");
	health_table_view(table, slot, HOSTILE_NOW_MS, &view);
	require(
	    view.state <= HEALTH_TRIAL && view.override <= OVERRIDE_FORCED_UP,
	    "a host is in a state that there is");
	read_detail(table, slot);
	read_override(table, slot);
	read_history(table, slot);
	(void)health_table_counter(table, slot, COUNTER_PICKED);
	require(
	    health_table_claim_state(table, slot, HOSTILE_NOW_MS) <= CLAIM_OVER,
	    "a claim is in a state that there is");
}

static void
read_sets(struct health_table *table)
{
	struct address address;
	uint32_t set, ticket;

	require(address_parse("one@example.com", 15, &address), "an address");
	for (unsigned i = 0; i < HOSTILE_HOSTS; i++) {
		(void)ticket_find(table, hostile_set(i), &address, &ticket);
		set = health_table_find_set(table, hostile_set(i));
		if (set == HEALTH_TABLE_NONE)
			continue;
		(void)health_table_last_drawn(
		    table, set, HOSTILE_NOW_MS, 1000, &ticket);
		ticket = health_table_draw(table, set, HOSTILE_NOW_MS);
		require(health_table_cursor(table, set) == ticket + 1,
		    "a drawn ticket is drawn once");
		ticket_leave(
		    table, hostile_set(i), &address, ticket, HOSTILE_NOW_MS);
		require(ticket_find(table, hostile_set(i), &address, &set) &&
			    set == ticket,
		    "a ticket that is left is found");
	}
}

static struct health_table_header_info
read_all(struct health_table *table)
{
	struct health_table_header_info info;

	health_table_header(table, &info);
	require(info.hosts_used <= info.hosts_max &&
		    info.sets_used <= info.sets_max,
	    "no more is used than there is");
	require(!health_table_has_room(table, info.hosts_max + 1, 0),
	    "there is no more room than there is");
	for (uint32_t slot = 0; slot < info.hosts_max && slot < READ; slot++)
		read_slot(table, slot);
	read_slot(table, info.hosts_max - 1);
	read_sets(table);
	return info;
}

/* -- a tool's deeds ------------------------------------------------------- */

static void
override_host(struct health_table *table, uint32_t slot)
{
	struct health_override_info word = { .kind = OVERRIDE_DISABLED,
		.until_ms = HOSTILE_NOW_MS + 1,
		.since_ms = HOSTILE_NOW_MS,
		.reason = "moved" };
	struct health_override_info read;

	health_table_set_override(table, slot, &word);
	health_table_get_override(table, slot, &read);
	require(read.kind == word.kind && read.until_ms == word.until_ms &&
		    read.since_ms == word.since_ms &&
		    strcmp(read.reason, word.reason) == 0,
	    "an override is as it was told");
}

static void
use_as_tool(void)
{
	struct health_table *table;
	struct host host;
	struct err why;
	uint32_t slot;

	if (health_table_attach(hostile_table_path(), hostile_birth.boot_id,
		&table, &why) == -1) {
		require(
		    table == NULL && why.text[0] != '\0', "a refusal says why");
		return;
	}
	(void)read_all(table);
	for (unsigned i = 0; i < HOSTILE_HOSTS; i++) {
		host = hostile_host(i);
		slot = health_table_find_host(table, &host);
		if (slot != HEALTH_TABLE_NONE)
			override_host(table, slot);
	}
	health_table_close(&table);
}

/* -- the worker's --------------------------------------------------------- */

static struct health_table *
open_table(const struct health_table_size *size,
    const struct health_table_birth *birth, enum health_table_opened *how_r)
{
	struct health_table *table;
	struct err why;

	require(health_table_open(hostile_table_path(), size, birth, &table,
		    how_r, &why) == 0,
	    why.text);
	require((*how_r == HEALTH_TABLE_REPAIRED ||
		    *how_r == HEALTH_TABLE_REBUILT) == (why.text[0] != '\0'),
	    "what is mended is said");
	return table;
}

/* Whatever was there, what the worker has now is a good table. */
static void
use_as_worker(struct health_table *table)
{
	struct health_table_header_info info = read_all(table);
	struct host host;
	uint32_t slot;

	for (slot = 0; slot < info.hosts_used; slot++)
		require(health_table_host(table, slot, &host) == -1 ||
			    health_table_find_host(table, &host) == slot,
		    "a host that is kept is found");
	for (unsigned i = 0; i < HOSTILE_HOSTS; i++) {
		host = hostile_host(i);
		slot = health_table_add_host(table, &host);
		require(slot != HEALTH_TABLE_NONE &&
			    health_table_find_host(table, &host) == slot,
		    "a host that is added is found");
		override_host(table, slot);
		health_table_release(table, slot);
		require(
		    health_table_add_set(table, hostile_set(i)) < info.sets_max,
		    "there is room for a set");
	}
	health_table_heartbeat(table, HOSTILE_NOW_MS);
}

/* Each life finds what the one before it left: nothing to complain of. */
static void
live_on(void)
{
	const struct health_table_size more = { MORE_HOSTS, MORE_HOSTS, 64 };
	struct health_table_birth again = hostile_birth;
	enum health_table_opened how;
	struct health_table *table = open_table(&hostile_size, &again, &how);

	require(how == HEALTH_TABLE_ATTACHED, "a good table is taken over");
	health_table_close(&table);
	table = open_table(&more, &again, &how);
	require(how == HEALTH_TABLE_ATTACHED || how == HEALTH_TABLE_GROWN,
	    "a good table grows");
	use_as_worker(table);
	health_table_close(&table);
	again.boot_id[0]++;
	table = open_table(&hostile_size, &again, &how);
	require(how == HEALTH_TABLE_REBOOTED, "a reboot is noticed");
	use_as_worker(table);
	health_table_close(&table);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed input = { data, size };
	enum health_table_opened how;
	struct health_table *table;

	hostile_table_put(&input);
	use_as_tool();
	table = open_table(&hostile_size, &hostile_birth, &how);
	require(how != HEALTH_TABLE_CREATED, "what is there is noticed");
	use_as_worker(table);
	health_table_close(&table);
	live_on();
	return 0;
}
