/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Scripted SMTP servers for tests: real sockets on loopback, one thread a
 * server, one connection after the other. A script says what is sent at once,
 * what is answered to each command (by its first word), and how it misbehaves.
 */
#ifndef NH_TESTS_SMTP_SCRIPT_H
#define NH_TESTS_SMTP_SCRIPT_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdint.h>

#include "milter/endpoint.h"

enum script_quirk {
	SCRIPT_NONE = 0,
	SCRIPT_CLOSE,	     /* closes after the greeting text */
	SCRIPT_RESET,	     /* the same with a reset */
	SCRIPT_HOLD,	     /* says nothing after the greeting text */
	SCRIPT_DRIP,	     /* one byte each 20 ms, for ever */
	SCRIPT_ENDLESS_LINE, /* as fast as it goes, for ever */
	SCRIPT_ENDLESS_LINES,
	SCRIPT_BANNER,	    /* ten megabytes, then a good end */
	SCRIPT_TLS,	    /* real TLS after STARTTLS */
	SCRIPT_TLS_GARBAGE, /* nonsense instead of a handshake */
	SCRIPT_TLS_CLOSE,
	SCRIPT_TLS_HOLD
};

struct script {
	const char *greeting; /* NULL: none */
	const char *ehlo;     /* NULL: silence from here on */
	const char *helo, *starttls, *mail, *rcpt;
	enum script_quirk quirk;
};

/* Answers everything well. */
extern const struct script script_healthy;

struct script_server {
	struct endpoint endpoint;
	_Atomic(const struct script *) script; /* may be exchanged meanwhile */
	_Atomic uint32_t n_connections;
	_Atomic uint32_t n_quits;
	_Atomic uint32_t n_tls;	  /* handshakes that came about */
	_Atomic uint32_t n_data;  /* DATA commands: there must be none */
	_Atomic uint32_t n_early; /* clients that spoke before the greeting */
	/* private */
	_Atomic int stop;
	int listener;
	unsigned long thread;
	SSL_CTX *tls;
};

/*
 * Starts a server on address ("127.0.0.2"), port 0 lets the system choose.
 * Fails the test when it cannot.
 */
void script_start(struct script_server *server, const char *address,
    uint16_t port, const struct script *script);
/* Ends it; the port refuses connections from then on. */
void script_stop(struct script_server *server);

/* A port of address where nobody listens. */
uint16_t script_unused_port(const char *address);

#endif
