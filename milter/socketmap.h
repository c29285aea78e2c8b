/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The socketmap protocol of Postfix (src/util/dict_sockmap.c): netstrings
 * "<len>:<map> <key>," in, "<len>:OK <data>," | "NOTFOUND " | "TEMP <reason>"
 * out. Pure: bytes to request, request to answer. Knows nothing of sockets.
 *
 * An answer is never OK without data (Postfix 3.11 and older take it for a
 * fault of the configuration, Sendmail dies of it) and never PERM (Sendmail
 * takes that for "not found").
 */
#ifndef NH_MILTER_SOCKETMAP_H
#define NH_MILTER_SOCKETMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/host.h"
#include "policy/lookup.h"

/* Content of one request; Postfix 3.12 itself sends no more. */
#define SOCKETMAP_REQUEST_MAX 10000
/* The same with its length, colon and comma. */
#define SOCKETMAP_INPUT_MAX (SOCKETMAP_REQUEST_MAX + sizeof("10000:,") - 1)

/*
 * Content of one answer: the longest list that a set can give, with room for
 * the status word, the transport and the spelling. Postfix 3.7 carries a next
 * hop of 99,000 bytes from the map through qmgr to smtp(8) and back into the
 * queue, and its limit for a reply is 100,000, so no list has to be cut.
 */
#define SOCKETMAP_LIST_MAX   (CONFIG_SET_HOSTS_MAX * (HOST_TEXT_MAX + 2))
#define SOCKETMAP_ANSWER_MAX (SOCKETMAP_LIST_MAX + 1024)
/* The same with its length, colon and comma. */
#define SOCKETMAP_OUTPUT_MAX (SOCKETMAP_ANSWER_MAX + sizeof("10000:,") - 1)

/*
 * How many ways there are to spell one list of hosts. A prime: when all n hosts
 * of a list fall and return again and again, each time n recoveries, a spelling
 * comes back after as many rounds, whatever n is.
 */
#define SOCKETMAP_SPELLINGS    251
#define SOCKETMAP_SPELLING_MAX 9 /* bytes of an end, with the final zero */

enum socketmap_read {
	SOCKETMAP_MORE = 0, /* not all of it is there yet */
	SOCKETMAP_WHOLE,    /* request_r is filled */
	SOCKETMAP_BROKEN    /* no netstring, or too long: nothing that follows
			       can be understood */
};

/* One request inside the bytes given to socketmap_read. */
struct socketmap_request {
	const char *text; /* "<map> <key>", not terminated */
	size_t len;
	size_t used; /* bytes of input that it took */
};

/*
 * Looks for one request at the start of bytes. Keeps nothing between calls:
 * called again with more bytes it looks at the length anew, which costs the
 * same however often it happens.
 * Thread: any.
 */
enum socketmap_read socketmap_read(const char *bytes, size_t len,
    struct socketmap_request *request_r) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * Answers one request into out (at least SOCKETMAP_OUTPUT_MAX bytes), as a
 * netstring.
 * Units: now_ms is boot time.
 * Returns: the length.
 * Thread: any. No allocation, no lock, no wait.
 */
size_t socketmap_answer(const struct lookup_base *base,
    const struct socketmap_request *request, uint64_t now_ms,
    char *out) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * The answer to what is no request, before the connection is closed: "TEMP
 * malformed request", as a netstring into out (SOCKETMAP_OUTPUT_MAX bytes).
 * Returns: the length.
 */
size_t socketmap_refuse(char *out) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * The spelling of a list (order.h, spelling): what stands between its items and
 * behind the last one. Postfix splits at any run of ", \t\r\n"
 * (src/smtp/smtp_connect.c), while qmgr(8) keeps its memory of dead
 * destinations by the whole text, so all spellings mean the same hosts and are
 * different destinations. Lists of one item have only an end to vary.
 */
struct socketmap_spelling {
	const char *between;
	char behind[SOCKETMAP_SPELLING_MAX];
};
struct socketmap_spelling socketmap_spell(uint32_t spelling, uint32_t n_hosts);

#endif
