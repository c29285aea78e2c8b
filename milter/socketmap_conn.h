/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * One connection of the map thread: bytes in, answers out, bounded in memory,
 * in work per turn and in time. Private to the server; knows no other
 * connection.
 */
#ifndef NH_MILTER_SOCKETMAP_CONN_H
#define NH_MILTER_SOCKETMAP_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "milter/socketmap.h"
#include "policy/compiler.h"
#include "policy/lookup.h"

/* Two of the longest answers: one waits while the next is made. */
#define SOCKETMAP_CONN_OUT (2 * SOCKETMAP_OUTPUT_MAX)
/* Requests answered before others have their turn. */
#define SOCKETMAP_TURN_MAX 64

struct socketmap_conn;

/* What a connection wants of its server. */
struct socketmap_conn_owner {
	struct event_base *event_base;
	/* The current lookup base; valid until the next call. */
	const struct lookup_base *(*lookup)(struct socketmap_conn_owner *owner);
	/* Take it out and end it with socketmap_conn_free. */
	void (*gone)(struct socketmap_conn_owner *owner,
	    struct socketmap_conn *conn, const char *why);
};

/*
 * What the connection waits for. To come again after others had their turn is a
 * timer that is due at once: libevent polls before it runs timers.
 */
enum socketmap_conn_wait { WAIT_READ = 0, WAIT_WRITE, WAIT_AGAIN };

struct socketmap_conn {
	uint32_t magic;
	TAILQ_ENTRY(socketmap_conn) link; /* the owner's, oldest first */
	struct socketmap_conn_owner *owner;
	struct event event;
	enum socketmap_conn_wait wait;
	int fd;
	bool ending;	    /* closed once the answers are out */
	uint64_t number;    /* for the log */
	uint64_t served;    /* requests answered */
	uint64_t active_ms; /* when made, or the last answer */
	uint64_t since_ms;  /* since when a request is unfinished or an answer
			       not taken; 0: neither */
	size_t in_len;
	size_t out_len;
	char in[SOCKETMAP_INPUT_MAX];
	char out[SOCKETMAP_CONN_OUT];
};

/*
 * Begins to serve fd (non-blocking).
 * Returns: NULL when there is no memory (fd stays the caller's).
 * Owns: the caller, socketmap_conn_free; fd is the connection's then.
 */
struct socketmap_conn *socketmap_conn_create(struct socketmap_conn_owner *owner,
    int fd, uint64_t number) NH_MUSTCHECK NH_ALL_NONNULL;
void socketmap_conn_free(struct socketmap_conn **conn) NH_ALL_NONNULL;

#endif
