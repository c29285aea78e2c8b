/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/probe_tls.h"

#include <openssl/err.h>
#include <stdio.h>

#include "policy/host.h"

/* No finite-field Diffie-Hellman (dear), no anonymous or empty ciphers. Level
   0: old and short keys say nothing about a host's health. */
#define CIPHERS "DEFAULT:!kDHE:!aNULL:!eNULL:@SECLEVEL=0"
#define GROUPS	"X25519:P-256:P-384"

static int
configure(SSL_CTX *context)
{
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(context, CIPHERS) != 1 ||
	    SSL_CTX_set1_groups_list(context, GROUPS) != 1)
		return -1;
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_options(context,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	return 0;
}

int
probe_tls_create(SSL_CTX **context_r, struct err *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	*context_r = NULL;
	if (context == NULL || configure(context) == -1) {
		err_set(err, "cannot set up TLS: %s",
		    probe_tls_error_text(ERR_get_error()));
		SSL_CTX_free(context);
		return -1;
	}
	*context_r = context;
	return 0;
}

SSL *
probe_tls_new(SSL_CTX *context, const char *name)
{
	SSL *ssl = SSL_new(context);
	char copy[HOST_NAME_MAX_LEN]; /* the macro wants it writable */

	(void)snprintf(copy, sizeof(copy), "%s", name != NULL ? name : "");
	if (ssl != NULL && name != NULL &&
	    SSL_set_tlsext_host_name(ssl, copy) != 1) {
		SSL_free(ssl);
		ssl = NULL;
	}
	return ssl;
}

const char *
probe_tls_error_text(unsigned long code)
{
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

	return text != NULL ? text : "TLS handshake failed";
}
