/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * TLS as the probe speaks it: 1.2 or later, certificates are not judged, and
 * only key exchanges that are cheap for the client (a server that asks
 * for ffdhe8192 would cost the probe thread a tenth of a second each time).
 */
#ifndef NH_MILTER_PROBE_TLS_H
#define NH_MILTER_PROBE_TLS_H

#include <openssl/ssl.h>

#include "policy/compiler.h"
#include "policy/err.h"

/* Owns: the caller, SSL_CTX_free. Returns: 0, -1 with err. */
int probe_tls_create(
    SSL_CTX **context_r, struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;

/*
 * A client's end of one connection.
 * NULL: name, for hosts that have none (no SNI then).
 * Owns: the caller. Returns: NULL when there is no memory.
 */
SSL *probe_tls_new(SSL_CTX *context, const char *name) NH_NONNULL(1);

/* The library's words for an error code of its own; never NULL. */
const char *probe_tls_error_text(unsigned long code);

#endif
