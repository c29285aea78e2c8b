/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "tests/fuzz/hostile_table.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/compiler.h"
#include "policy/hash.h"
#include "policy/health_layout.h"
#include "policy/ticket.h"

#define LONGER_MAX 4096

const struct health_table_birth hostile_birth = {
	.boot_id = "a boot like this",
	.ticket_key = { 0x0123456789abcdef, 0xfedcba9876543210 },
	.pid = 4711,
	.now_ms = HOSTILE_NOW_MS,
};
const struct health_table_size hostile_size = { HOSTILE_HOSTS, HOSTILE_HOSTS,
	16 };

static char folder[32];
static char path[48];

static void
remove_folder(void)
{
	char new_path[64];

	(void)snprintf(new_path, sizeof(new_path), "%s.new", path);
	(void)unlink(new_path);
	(void)unlink(path);
	(void)rmdir(folder);
}

/* In memory, as /run is. */
const char *
hostile_table_path(void)
{
	if (folder[0] != '\0')
		return path;
	strcpy(folder, "/dev/shm/nh-fuzz-XXXXXX");
	require(mkdtemp(folder) != NULL, "there is a folder");
	(void)snprintf(path, sizeof(path), "%s/health", folder);
	require(atexit(remove_folder) == 0, "it is removed at the end");
	return path;
}

struct host
hostile_host(unsigned i)
{
	char text[HOST_TEXT_MAX];
	struct host host;

	(void)snprintf(text, sizeof(text), "10.0.0.%u", i + 1);
	require(host_parse(text, 25, &host, NULL) == 0, "it is a host");
	return host;
}

uint64_t
hostile_set(unsigned i)
{
	return hash_mix(i + 1);
}

/* -- the good table ------------------------------------------------------- */

static void
fill_host(struct health_table *table, unsigned i)
{
	struct health_detail detail = {
		.health = { .state = (enum health_state)(i % 3),
		    .failures = i,
		    .backoff_ms = 20000,
		    .since_ms = HOSTILE_NOW_MS - 5000,
		    .due_ms = HOSTILE_NOW_MS + 15000 },
		.usable = true,
		.last = { .outcome = OUTCOME_TEMPORARY,
		    .stage = STAGE_GREETING,
		    .source = SOURCE_PROBE,
		    .code = 431,
		    .text = "431 Mail system full" },
		.last_seen_ms = HOSTILE_NOW_MS,
	};
	struct health_override_info word = { .kind = OVERRIDE_DRAIN,
		.since_ms = HOSTILE_NOW_MS,
		.reason = "new disks" };
	struct health_history change = { .at_ms = HOSTILE_NOW_MS,
		.to = HEALTH_DEFERRED,
		.count = 3,
		.stage = STAGE_GREETING,
		.source = SOURCE_PROBE,
		.text = "431 Mail system full" };
	struct host host = hostile_host(i);
	uint32_t slot = health_table_add_host(table, &host);

	health_table_write(table, slot, &detail);
	health_table_note(table, slot, &change);
	if (i % 2 == 0)
		health_table_set_override(table, slot, &word);
	require(health_table_claim(table, slot, hostile_set(i), i,
		    HOSTILE_NOW_MS, HOSTILE_NOW_MS + 1000),
	    "what is free can be claimed");
}

static void
fill(struct health_table *table)
{
	struct address address;
	uint32_t set, ticket;

	require(address_parse("one@example.com", 15, &address), "an address");
	for (unsigned i = 0; i < HOSTILE_HOSTS; i++) {
		fill_host(table, i);
		set = health_table_add_set(table, hostile_set(i));
		ticket = health_table_draw(table, set, HOSTILE_NOW_MS);
		ticket_leave(
		    table, hostile_set(i), &address, ticket, HOSTILE_NOW_MS);
	}
}

/* Owns: nobody; it stays. */
static uint8_t *
good_table(size_t *size_r)
{
	enum health_table_opened how;
	struct health_table *table;
	struct stat status;
	struct err why;
	uint8_t *bytes;
	int fd;

	(void)unlink(hostile_table_path());
	require(health_table_open(path, &hostile_size, &hostile_birth, &table,
		    &how, &why) == 0,
	    why.text);
	fill(table);
	health_table_close(&table);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	require(fd != -1 && fstat(fd, &status) == 0, "it can be read");
	*size_r = (size_t)status.st_size;
	bytes = malloc(*size_r);
	require(bytes != NULL &&
		    read(fd, bytes, *size_r) == (ssize_t)status.st_size,
	    "it is read");
	(void)close(fd);
	return bytes;
}

/* -- what is done to it --------------------------------------------------- */

struct forgery {
	uint8_t *bytes;
	size_t size; /* of the good table; there is more room behind it */
	size_t end;
};

/* Where damage is worth the while: parts of the file, and within them first
   what stands at their beginning. */
static size_t
place(const struct layout_header *good, struct feed *input)
{
	const uint64_t parts[] = { 0, LAYOUT_FIXED_SIZE, good->hosts_at,
		good->hosts_at + good->host_size, good->host_index_at,
		good->sets_at, good->set_index_at, good->tickets_at,
		good->history_at, good->file_size };
	size_t part = feed_byte(input) % NELEM(parts);

	return parts[part] + feed_number(input, 2) % 2048;
}

static void
change(struct forgery *forgery, size_t at, struct feed value)
{
	const size_t room = forgery->size + LONGER_MAX - at;

	memcpy(forgery->bytes + at, value.at,
	    value.left < room ? value.left : room);
}

/* Slots and all the rest become equal to others. */
static void
repeat(struct forgery *forgery, size_t to, size_t from, size_t len)
{
	const size_t end = forgery->size + LONGER_MAX;

	if (to + len <= end && from + len <= end)
		memmove(forgery->bytes + to, forgery->bytes + from, len);
}

static void
forge(struct forgery *forgery, const struct layout_header *good,
    struct feed *input)
{
	size_t at, len;

	while (input->left > 0) {
		len = feed_byte(input);
		at = place(good, input);
		if (at > forgery->size + LONGER_MAX)
			at = forgery->size;
		if (len < 128)
			change(forgery, at, feed_piece(input, 1 + len % 32));
		else if (len < 192)
			repeat(forgery, at, place(good, input), 1u << len % 12);
		else
			forgery->end = len % 2 == 0 ? at : forgery->size;
	}
}

/* -- checks that hold all the same ---------------------------------------- */

static void
seal(void *whole, size_t check_at)
{
	uint64_t check = hash_bytes(hash_key_fixed, whole, check_at);

	memcpy((uint8_t *)whole + check_at, &check, sizeof(check));
}

static void
seal_details(struct forgery *forgery, const struct layout_header *good)
{
	struct layout_host *hosts = (void *)(forgery->bytes + good->hosts_at);
	struct layout_history *histories =
	    (void *)(forgery->bytes + good->history_at);

	for (unsigned i = 0; i < HOSTILE_HOSTS; i++) {
		for (unsigned k = 0; k < 2; k++)
			seal(hosts[i].detail[k],
			    offsetof(struct layout_detail, check));
		for (unsigned k = 0; k < LAYOUT_HISTORY; k++)
			seal(histories[i].changes[k],
			    offsetof(struct layout_change, check));
		hosts[i].key = hash_bytes(hash_key_fixed, hosts[i].text,
		    strnlen(hosts[i].text, sizeof(hosts[i].text)));
	}
}

static void
put(const uint8_t *bytes, size_t size)
{
	int fd;

	(void)unlink(hostile_table_path());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	require(fd != -1 && write(fd, bytes, size) == (ssize_t)size,
	    "the file is written");
	(void)close(fd);
}

#define RAW	     1 /* the rest of the input is the file */
#define SEAL_HEADER  2
#define SEAL_DETAILS 4

void
hostile_table_put(struct feed *input)
{
	static uint8_t *good, *copy;
	static size_t size;
	const uint8_t how = feed_byte(input);
	struct forgery forgery;

	if (good == NULL) {
		good = good_table(&size);
		copy = malloc(size + LONGER_MAX);
		require(copy != NULL, "there is memory");
	}
	if ((how & RAW) != 0) {
		put(input->at, input->left);
		return;
	}
	memcpy(copy, good, size);
	memset(copy + size, 0, LONGER_MAX);
	forgery = (struct forgery){ copy, size, size };
	forge(&forgery, (const void *)good, input);
	if ((how & SEAL_DETAILS) != 0)
		seal_details(&forgery, (const void *)good);
	if ((how & SEAL_HEADER) != 0)
		seal(copy, LAYOUT_CHECK_AT);
	put(copy, forgery.end);
}
