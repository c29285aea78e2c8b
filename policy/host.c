/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; touches only what it is given. */
#include "policy/host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "policy/printable.h"

#define LABEL_MAX 63  /* RFC 1035 section 2.3.4 */
#define NAME_MAX_ 253 /* without the final dot */
#define SHOWN_MAX 80  /* of a text that is refused */

/* What host_parse works on: the text without brackets and port. */
struct parts {
	char name[HOST_NAME_MAX_LEN];
	bool bracketed;
	bool tagged;   /* "[IPv6:" */
	uint16_t port; /* 0: none was given */
};

/*
 * The functions below return NULL, or what is wrong: the second half of a
 * sentence that begins with the text.
 */

static const char *
parse_port(const char *text, uint16_t *port_r)
{
	unsigned long port = 0;
	size_t i;

	for (i = 0; i < 5 && text[i] >= '0' && text[i] <= '9'; i++)
		port = port * 10 + (unsigned long)(text[i] - '0');
	if (i == 0 || text[i] != '\0' || text[0] == '0' || port > UINT16_MAX)
		return "has a port that is not a number from 1 to 65535";
	*port_r = (uint16_t)port;
	return NULL;
}

static const char *
copy_name(const char *text, size_t len, struct parts *parts)
{
	if (len == 0)
		return "names no host";
	if (len >= sizeof(parts->name))
		return "is too long";
	memcpy(parts->name, text, len);
	parts->name[len] = '\0';
	return NULL;
}

static const char *
split_bracketed(const char *text, struct parts *parts)
{
	const char *end = strchr(text, ']'), *wrong;

	if (end == NULL)
		return "has no closing bracket";
	parts->bracketed = true;
	text++;
	if (strncasecmp(text, "IPv6:", 5) == 0) {
		parts->tagged = true;
		text += 5;
	}
	wrong = copy_name(text, (size_t)(end - text), parts);
	if (wrong != NULL || end[1] == '\0')
		return wrong;
	if (end[1] != ':')
		return "has more than a port after the bracket";
	return parse_port(end + 2, &parts->port);
}

/* More than one colon without brackets can only be an IPv6 address. */
static const char *
split(const char *text, struct parts *parts)
{
	const char *colon = strchr(text, ':'), *wrong;

	if (text[0] == '[')
		return split_bracketed(text, parts);
	if (colon == NULL || strchr(colon + 1, ':') != NULL)
		return copy_name(text, strlen(text), parts);
	wrong = copy_name(text, (size_t)(colon - text), parts);
	return wrong != NULL ? wrong : parse_port(colon + 1, &parts->port);
}

static const char *
check_ipv4(const struct in_addr *address)
{
	uint32_t bits = ntohl(address->s_addr);

	if (bits >> 24 == 0)
		return "is an unspecified address";
	if (IN_MULTICAST(bits) || bits == INADDR_BROADCAST)
		return "is a multicast or broadcast address";
	return NULL;
}

static const char *
check_ipv6(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_UNSPECIFIED(address))
		return "is the unspecified address";
	if (IN6_IS_ADDR_MULTICAST(address))
		return "is a multicast address";
	if (IN6_IS_ADDR_V4MAPPED(address))
		return "is an IPv4 address in IPv6 clothes";
	if (IN6_IS_ADDR_LINKLOCAL(address))
		return "is a link-local address, which needs a zone";
	return NULL;
}

/*
 * A last label that is a number is read as an address by some resolvers
 * ("1.2.3", "300.1.1.1", "0x7f000001"), so no name ends in one.
 */
static bool
ends_in_number(const char *name)
{
	const char *last = strrchr(name, '.');

	last = last == NULL ? name : last + 1;
	if (strncmp(last, "0x", 2) == 0)
		return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
	return last[strspn(last, "0123456789")] == '\0';
}

static bool
label_is_good(const char *label, size_t len)
{
	if (len == 0 || len > LABEL_MAX || label[0] == '-' ||
	    label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!(label[i] >= 'a' && label[i] <= 'z') &&
		    !(label[i] >= '0' && label[i] <= '9') && label[i] != '-' &&
		    label[i] != '_')
			return false;
	}
	return true;
}

static const char *
check_name(char *name)
{
	size_t len = strlen(name), label_len;

	if (len > 1 && name[len - 1] == '.')
		name[--len] = '\0';
	for (char *c = name; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	if (len > NAME_MAX_)
		return "is too long for a host name";
	for (const char *label = name;; label += label_len + 1) {
		label_len = strcspn(label, ".");
		if (!label_is_good(label, label_len))
			return "is neither an IP address nor a host name";
		if (label[label_len] == '\0')
			break;
	}
	if (ends_in_number(name))
		return "ends in a number, but is no IP address";
	return NULL;
}

static const char *
recognise(struct parts *parts, struct host *host_r)
{
	struct in6_addr six;
	struct in_addr four;

	/* inet_pton(3) takes one spelling of an IPv4 address only. */
	if (!parts->tagged && inet_pton(AF_INET, parts->name, &four) == 1) {
		host_r->kind = HOST_IPV4;
		memcpy(host_r->name, parts->name, INET_ADDRSTRLEN);
		return check_ipv4(&four);
	}
	if (strchr(parts->name, '%') != NULL)
		return "has a zone";
	if (inet_pton(AF_INET6, parts->name, &six) == 1) {
		host_r->kind = HOST_IPV6;
		inet_ntop(AF_INET6, &six, host_r->name, sizeof(host_r->name));
		return check_ipv6(&six);
	}
	if (parts->tagged)
		return "is no IPv6 address";
	host_r->kind = HOST_NAME;
	memcpy(host_r->name, parts->name, sizeof(host_r->name));
	return check_name(host_r->name);
}

int
host_parse(const char *text, uint16_t default_port, struct host *host_r,
    struct err *err)
{
	struct parts parts = { .port = 0 };
	char shown[SHOWN_MAX];
	const char *wrong = split(text, &parts);

	memset(host_r, 0, sizeof(*host_r));
	if (wrong == NULL)
		wrong = recognise(&parts, host_r);
	if (wrong != NULL) {
		err_set(err,
		    "\"%s\" %s; HOST, [HOST], HOST:PORT or [HOST]:PORT was "
		    "expected",
		    printable(text, strlen(text), shown, sizeof(shown)), wrong);
		return -1;
	}
	if (default_port == 0)
		default_port = HOST_PORT_DEFAULT;
	host_r->port = parts.port != 0 ? parts.port : default_port;
	return 0;
}

/* Not snprintf(3): a million host sets are named by it, and each answer. */
static size_t
append_port(char *text, size_t used, uint16_t port)
{
	char digits[5];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + port % 10);
		port /= 10;
	} while (port != 0);
	text[used++] = ':';
	while (n > 0)
		text[used++] = digits[--n];
	text[used] = '\0';
	return used;
}

size_t
host_format(const struct host *host, char text_r[HOST_TEXT_MAX])
{
	size_t len = strlen(host->name);

	text_r[0] = '[';
	memcpy(text_r + 1, host->name, len);
	text_r[len + 1] = ']';
	return append_port(text_r, len + 2, host->port);
}

size_t
host_format_plain(const struct host *host, char text_r[HOST_TEXT_MAX])
{
	size_t len = strlen(host->name);

	if (host->kind == HOST_IPV6)
		return host_format(host, text_r);
	memcpy(text_r, host->name, len);
	return append_port(text_r, len, host->port);
}

bool
host_equal(const struct host *a, const struct host *b)
{
	return a->kind == b->kind && a->port == b->port &&
	       strcmp(a->name, b->name) == 0;
}
