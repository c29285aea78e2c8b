/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A destination host as written by people ("192.168.1.10", "[::1]:2525",
 * "mx.example.net"), its one canonical spelling, and the key (host, port)
 * under which the health table knows it. What passes host_parse can stand in
 * an answer to Postfix: smtp(8) dies of malformed items (src/smtp/
 * smtp_connect.c: bad port, missing bracket, null destination).
 */
#ifndef NH_POLICY_HOST_H
#define NH_POLICY_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/err.h"

#define HOST_NAME_MAX_LEN 256 /* bytes with the final zero */
#define HOST_TEXT_MAX	  272 /* "[name]:65535" with the final zero */
#define HOST_PORT_DEFAULT 25

enum host_kind { HOST_IPV4 = 0, HOST_IPV6, HOST_NAME };

struct host {
	enum host_kind kind;
	uint16_t port;		      /* 1..65535 */
	char name[HOST_NAME_MAX_LEN]; /* canonical, without brackets:
					 inet_ntop(3) text or lower-case
					 name without final dot */
};

/*
 * Parses "HOST", "[HOST]", "HOST:PORT" or "[HOST]:PORT"; an unbracketed IPv6
 * address has no port; "[IPv6:...]" is taken too. A name is LDH labels (and
 * underscores) of at most 63 bytes, its last label not all digits ("1.2.3" and
 * "300.1.1.1" are no names). IPv4-mapped IPv6, zones ("fe80::1%eth0") are
 * refused. The unspecified addresses (0.0.0.0, ::) and multicast are refused.
 * default_port: used when text names none (0: HOST_PORT_DEFAULT).
 * Returns: 0, or -1 with err filled (what was expected, text shown escaped).
 */
int host_parse(const char *text, uint16_t default_port, struct host *host_r,
    struct err *err) NH_MUSTCHECK NH_NONNULL(1, 3);

/*
 * "[192.168.1.10]:25": the key in the table, the text in logs and in answers
 * (Postfix: brackets mean no MX lookup). Always fits.
 * Returns: the length.
 */
size_t host_format(
    const struct host *host, char text_r[HOST_TEXT_MAX]) NH_ALL_NONNULL;

/*
 * "192.168.1.10:25" (IPv6 stays bracketed): status output, people.
 */
size_t host_format_plain(
    const struct host *host, char text_r[HOST_TEXT_MAX]) NH_ALL_NONNULL;

bool host_equal(const struct host *a, const struct host *b) NH_ALL_NONNULL;

#endif
