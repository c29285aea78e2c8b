/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The bytes of the shared health table, and nothing else. Every change of a
 * size, an offset or a meaning needs a new LAYOUT_MAJOR; something that old
 * programs may ignore (a new section, a reserved word put to use) a new
 * LAYOUT_MINOR. Numbers are in the machine's byte order, which the header
 * names; there are no pointers, only slot numbers and offsets from the start
 * of the file. 1.1 added the history and what deliveries showed to the detail;
 * a file of 1.0 ends behind its tickets and is replaced (the worker) or read as
 * it is (tools), and programs of 1.0 read and continue a file of 1.1.
 *
 *        0  +-------------------------------------------+
 *           | magic "nexthop\n", major, minor, sizes,   |  never changes once
 *           | capacities, offsets, boot id, ticket key, |  the file has its
 *           | check (hash of all the bytes before it)   |  name
 *      192  +-------------------------------------------+
 *           | superseded, generation, writer, heartbeat |  atomics
 *      256  | reserved: several workers                 |
 *      512  +-------------------------------------------+ = hosts_at
 *           | host slots, 1408 bytes each, hosts_max    |
 *           +-------------------------------------------+ = host_index_at
 *           | host index: slot + 1 or 0, open addressing|
 *           | by the hash of "[host]:port"              |
 *           +-------------------------------------------+ = sets_at
 *           | set slots (cursors), 64 bytes, sets_max   |
 *           +-------------------------------------------+ = set_index_at
 *           | set index: slot + 1 or 0, by the key      |
 *           +-------------------------------------------+ = tickets_at
 *           | tickets, 16 bytes, 8 in a bucket          |
 *           +-------------------------------------------+ = history_at
 *           | histories of host slots, 2752 bytes each, |
 *           | hosts_max                                 |
 *           +-------------------------------------------+ = file_size
 *
 *   A host slot:
 *
 *        0  used | - | key | health | override | trial | counters
 *       64  detail_turn | override_turn | reserved
 *      128  detail copy 0 (216 bytes)
 *      344  detail copy 1
 *      560  override texts 0..3 (144 bytes each)
 *     1136  "[host]:port"
 *
 *   The first 64 bytes, one cache line, are all that a lookup touches. The two
 *   words of it that it reads:
 *
 *     health    63           16 15      8 7    4   3      2     1   0
 *              | due_ms        |recoveries| slow |silent|unusab| state |
 *     override  63           16 15                   3 2            0
 *              | until_ms      | turn of its text     | kind         |
 *
 *   Detail: the copy in force is number (detail_turn / 2) % 2. The writer makes
 *   detail_turn odd, fills the other copy and makes it even again; killed in
 *   between, it leaves the copy in force whole. Override texts: every writer
 *   takes a turn of its own, fills text turn % 4, seals it, and then stores the
 *   word that names the turn; so no writer waits for another one, dead or
 *   alive. Should five write at once, a text may be lost (its seal is broken);
 *   the word is whole always.
 *
 *   A host's history, apart from its slot because nobody looks at it often:
 *
 *        0  next turn | reserved
 *       64  changes 0..15 (168 bytes each)
 *
 *   Change number n (the turn) stands in place n % 16 until the next one needs
 *   it. The one writer fills the place, its check last in it, then stores next
 *   turn. A reader believes what has the turn that the place should have and a
 *   check that holds; so a change that is torn, old or damaged is not there.
 */
#ifndef NH_POLICY_HEALTH_LAYOUT_H
#define NH_POLICY_HEALTH_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_MAGIC	   "nexthop\n"
#define LAYOUT_MAGIC_LEN   8
#define LAYOUT_MAJOR	   1
#define LAYOUT_MINOR	   1
#define LAYOUT_BYTE_ORDER  0x01020304u
#define LAYOUT_USED	   0x64657355u /* not 1: random bytes seldom hit it */
#define LAYOUT_HOSTS_MAX   (1u << 22)
#define LAYOUT_SETS_MAX	   (1u << 22)
#define LAYOUT_TICKETS_MAX (1u << 24)
#define LAYOUT_TICKET_WAYS 8
#define LAYOUT_HOST_TEXT   272
#define LAYOUT_TEXT	   128
#define LAYOUT_TURNS	   4
#define LAYOUT_HISTORY	   16
#define LAYOUT_ALIGN	   64

/* struct layout_header: the part that never changes and what check covers. */
#define LAYOUT_FIXED_SIZE 192
#define LAYOUT_CHECK_AT	  184

#define LAYOUT_TIME_BITS      48
#define LAYOUT_TIME_SHIFT     16
#define LAYOUT_TIME_MAX	      ((UINT64_C(1) << LAYOUT_TIME_BITS) - 1)
#define LAYOUT_STATE_MASK     3u
#define LAYOUT_UNUSABLE	      4u
#define LAYOUT_SILENT	      8u
#define LAYOUT_SLOW_SHIFT     4
#define LAYOUT_SLOW_MASK      15u
#define LAYOUT_RECOVERY_SHIFT 8
#define LAYOUT_RECOVERY_MASK  255u
#define LAYOUT_KIND_MASK      7u
#define LAYOUT_TURN_SHIFT     3
#define LAYOUT_TURN_MASK      0x1fffu

struct layout_header {
	char magic[LAYOUT_MAGIC_LEN];
	uint16_t major;
	uint16_t minor;
	uint32_t header_size;
	uint32_t byte_order;
	uint32_t host_size;
	uint32_t set_size;
	uint32_t ticket_size;
	uint32_t hosts_max;
	uint32_t sets_max;
	uint32_t tickets_max;
	uint32_t host_index_max; /* a power of two */
	uint32_t set_index_max;	 /* a power of two */
	uint32_t pad0;
	uint64_t file_size;
	uint64_t hosts_at;
	uint64_t host_index_at;
	uint64_t sets_at;
	uint64_t set_index_at;
	uint64_t tickets_at;
	uint64_t history_at;
	uint64_t history_size;
	uint64_t reserved_sections[3];
	uint8_t boot_id[16];
	uint64_t ticket_key[2];
	uint64_t reserved0;
	uint64_t check;
	/* From here on it changes while the table is in use. */
	_Atomic uint32_t superseded;
	_Atomic uint32_t generation;
	_Atomic uint32_t writer_pid;
	_Atomic uint32_t hosts_used;
	_Atomic uint32_t sets_used;
	uint32_t pad1;
	_Atomic uint64_t heartbeat_ms;
	_Atomic uint64_t writer_start_ms;
	uint64_t reserved1[3];
	uint64_t reserved_workers[32];
};

/* What one copy of a slot's detail holds; written and read by whole words. */
struct layout_detail {
	uint64_t since_ms;
	uint64_t due_ms;
	uint64_t last_seen_ms;
	uint32_t failures;
	uint32_t successes;
	uint32_t backoff_ms;
	uint32_t latency_us;
	uint32_t last_latency_us;
	uint16_t last_code;
	uint8_t state;
	uint8_t recoveries;
	uint8_t slow_step;
	uint8_t silent;
	uint8_t usable;
	uint8_t last_outcome;
	uint8_t last_stage;
	uint8_t last_source;
	uint8_t last_silent;
	uint8_t pad0;
	uint32_t delivery_failures;
	uint32_t delivery_successes;
	uint32_t reserved_streaks[2];
	uint8_t blind;
	uint8_t overruled;
	uint8_t flaps;
	uint8_t unheard;
	uint8_t stage;
	uint8_t fell_by;
	uint8_t rose_by;
	uint8_t pad1;
	char last_text[LAYOUT_TEXT];
	uint64_t check; /* of all before it: a torn copy cannot pass */
};
#define LAYOUT_DETAIL_WORDS (sizeof(struct layout_detail) / sizeof(uint64_t))

struct layout_reason {
	_Atomic uint64_t seal; /* hash of the rest; low bits: the turn */
	_Atomic uint64_t since_ms;
	_Atomic uint64_t text[LAYOUT_TEXT / sizeof(uint64_t)];
};

struct layout_host {
	_Atomic uint32_t used; /* LAYOUT_USED or 0; the last to be set */
	uint32_t pad0;
	uint64_t key;
	_Atomic uint64_t health;
	_Atomic uint64_t override_word;
	_Atomic uint64_t trial; /* who tries it, and until when: policy/
				   health_table_claim.c; 0: nobody */
	_Atomic uint64_t counters[3];
	_Atomic uint32_t detail_turn;
	_Atomic uint32_t override_turn;
	uint64_t reserved0[7];
	_Atomic uint64_t detail[2][LAYOUT_DETAIL_WORDS];
	struct layout_reason reasons[LAYOUT_TURNS];
	char text[LAYOUT_HOST_TEXT];
};

/* One change of a host's state, or of its override (is_override); from and to
   are of the one or of the other. Written and read by whole words. */
struct layout_change {
	uint64_t at_ms;
	uint32_t turn;
	uint32_t backoff_ms;
	uint32_t count;
	uint16_t code;
	uint8_t is_override;
	uint8_t from;
	uint8_t to;
	uint8_t blind;
	uint8_t stage;
	uint8_t source;
	uint32_t pad0;
	char text[LAYOUT_TEXT];
	uint64_t check; /* of all before it */
};
#define LAYOUT_CHANGE_WORDS (sizeof(struct layout_change) / sizeof(uint64_t))

struct layout_history {
	_Atomic uint32_t next_turn;
	uint32_t pad0;
	uint64_t reserved0[7];
	_Atomic uint64_t changes[LAYOUT_HISTORY][LAYOUT_CHANGE_WORDS];
};

struct layout_set {
	_Atomic uint32_t used;
	_Atomic uint32_t cursor;
	uint64_t key;
	_Atomic uint64_t last; /* ticket << 32 | low bits of ms; 0: none yet */
	uint64_t reserved0[5];
};

struct ticket_slot {
	_Atomic uint64_t mixed; /* hash of (recipient, set) XOR value */
	_Atomic uint64_t value; /* ticket << 32 | seconds; 0: empty */
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics need no lock");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "32-bit atomics need no lock");
_Static_assert(sizeof(_Atomic uint64_t) == 8, "an atomic word is its value");
_Static_assert(sizeof(_Atomic uint32_t) == 4, "an atomic word is its value");

_Static_assert(sizeof(LAYOUT_MAGIC) - 1 == LAYOUT_MAGIC_LEN, "magic");
_Static_assert(sizeof(struct layout_header) == 512, "header");
_Static_assert(offsetof(struct layout_header, major) == 8, "major");
_Static_assert(offsetof(struct layout_header, header_size) == 12, "size");
_Static_assert(offsetof(struct layout_header, hosts_max) == 32, "hosts_max");
_Static_assert(offsetof(struct layout_header, file_size) == 56, "file_size");
_Static_assert(offsetof(struct layout_header, hosts_at) == 64, "hosts_at");
_Static_assert(offsetof(struct layout_header, history_at) == 104, "history");
_Static_assert(offsetof(struct layout_header, boot_id) == 144, "boot_id");
_Static_assert(offsetof(struct layout_header, ticket_key) == 160, "key");
_Static_assert(
    offsetof(struct layout_header, check) == LAYOUT_CHECK_AT, "check");
_Static_assert(
    offsetof(struct layout_header, superseded) == LAYOUT_FIXED_SIZE, "fixed");
_Static_assert(offsetof(struct layout_header, heartbeat_ms) == 216, "beat");
_Static_assert(
    offsetof(struct layout_header, reserved_workers) == 256, "workers");

_Static_assert(sizeof(struct layout_detail) == 216, "detail");
_Static_assert(
    offsetof(struct layout_detail, delivery_failures) == 56, "deliveries");
_Static_assert(offsetof(struct layout_detail, blind) == 72, "blind");
_Static_assert(offsetof(struct layout_detail, last_text) == 80, "last_text");
_Static_assert(offsetof(struct layout_detail, check) == 208, "detail check");
_Static_assert(sizeof(struct layout_reason) == 144, "reason");

_Static_assert(sizeof(struct layout_host) == 1408, "host slot");
_Static_assert(sizeof(struct layout_host) % LAYOUT_ALIGN == 0, "cache lines");
_Static_assert(offsetof(struct layout_host, key) == 8, "key");
_Static_assert(offsetof(struct layout_host, health) == 16, "health");
_Static_assert(offsetof(struct layout_host, override_word) == 24, "override");
_Static_assert(offsetof(struct layout_host, counters) == 40, "counters");
_Static_assert(offsetof(struct layout_host, detail_turn) == 64, "turns");
_Static_assert(offsetof(struct layout_host, detail) == 128, "detail");
_Static_assert(offsetof(struct layout_host, reasons) == 560, "reasons");
_Static_assert(offsetof(struct layout_host, text) == 1136, "text");

_Static_assert(sizeof(struct layout_change) == 168, "change");
_Static_assert(offsetof(struct layout_change, text) == 32, "change text");
_Static_assert(offsetof(struct layout_change, check) == 160, "change check");
_Static_assert(sizeof(struct layout_history) == 2752, "history");
_Static_assert(sizeof(struct layout_history) % LAYOUT_ALIGN == 0, "lines");
_Static_assert(offsetof(struct layout_history, changes) == 64, "changes");

_Static_assert(sizeof(struct layout_set) == 64, "set slot");
_Static_assert(offsetof(struct layout_set, cursor) == 4, "cursor");
_Static_assert(offsetof(struct layout_set, last) == 16, "last");
_Static_assert(sizeof(struct ticket_slot) == 16, "ticket slot");

#endif
