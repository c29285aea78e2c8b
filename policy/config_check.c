/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration; config_socket_parse: any. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/address.h"
#include "policy/config_parse.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

#define SOCKET_EXPECTED                                                        \
	"unix:PATH (absolute, at most 107 bytes) or inet:PORT@HOST with a "    \
	"loopback HOST"

/* -- sockets -------------------------------------------------------------- */

bool
config_path_is_absolute(const char *path)
{
	return path[0] == '/' && path[strlen(path) - 1] != '/';
}

static bool
parse_unix(const char *path, struct config_socket *socket_r)
{
	if (!config_path_is_absolute(path) ||
	    strlen(path) >= sizeof(socket_r->path))
		return false;
	socket_r->is_unix = true;
	memcpy(socket_r->path, path, strlen(path) + 1);
	return true;
}

/* "localhost" is read as 127.0.0.1: nothing here may depend on a resolver. */
static bool
parse_loopback(const char *text, uint16_t port, struct host *host_r)
{
	char name[INET6_ADDRSTRLEN] = "127.0.0.1";
	size_t len = strlen(text);
	struct in6_addr six;
	struct in_addr four;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (strncmp(text, "localhost", len) != 0 || len != 9) {
		if (len >= sizeof(name))
			return false;
		memcpy(name, text, len);
		name[len] = '\0';
	}
	if (inet_pton(AF_INET, name, &four) == 1) {
		if (ntohl(four.s_addr) >> 24 != 127)
			return false;
	} else if (inet_pton(AF_INET6, name, &six) != 1 ||
		   !IN6_IS_ADDR_LOOPBACK(&six)) {
		return false;
	}
	return host_parse(name, port, host_r, NULL) == 0;
}

static bool
parse_inet(const char *text, struct config_socket *socket_r)
{
	size_t digits = strspn(text, DIGITS);
	unsigned long port;

	if (digits == 0 || digits > 5 || text[digits] != '@')
		return false;
	port = strtoul(text, NULL, 10);
	return port >= 1 && port <= UINT16_MAX &&
	       parse_loopback(
		   text + digits + 1, (uint16_t)port, &socket_r->host);
}

int
config_socket_parse(
    const char *text, struct config_socket *socket_r, struct err *err)
{
	const char *rest = strchr(text, ':');
	size_t len = rest == NULL ? 0 : (size_t)(rest - text);
	bool good = false;

	memset(socket_r, 0, sizeof(*socket_r));
	if ((len == 4 && strncmp(text, "unix", 4) == 0) ||
	    (len == 5 && strncmp(text, "local", 5) == 0))
		good = parse_unix(rest + 1, socket_r);
	else if (len == 4 && strncmp(text, "inet", 4) == 0)
		good = parse_inet(rest + 1, socket_r);
	if (good)
		return 0;
	err_set(err, "\"%s\"; " SOCKET_EXPECTED " was expected",
	    CONFIG_SHOWN(text));
	return -1;
}

static void
check_socket(struct config_reader *reader, const char *option, const char *text,
    char place_r[HOST_TEXT_MAX])
{
	struct config_socket socket;
	struct err err;

	place_r[0] = '\0';
	if (config_socket_parse(text, &socket, &err) == -1)
		config_error_at(reader->report,
		    config_written_line(reader, option), "%s: %s", option,
		    err.text);
	else if (socket.is_unix)
		memcpy(place_r, socket.path, sizeof(socket.path));
	else
		host_format(&socket.host, place_r);
}

/* Two of them at one place would take it away from each other. */
static void
check_places(struct config_reader *reader)
{
	static const char *const names[] = { "milter_socket", "map_socket",
		"control_socket", "health_table" };
	const struct config *config = reader->config;
	char milter[HOST_TEXT_MAX], map[HOST_TEXT_MAX];
	const char *const places[] = { milter, map, config->control_socket,
		config->health_table };

	check_socket(reader, names[0], config->milter_socket, milter);
	check_socket(reader, names[1], config->map_socket, map);
	for (size_t i = 1; i < NELEM(places); i++) {
		for (size_t j = 0; j < i; j++) {
			if (places[i][0] == '\0' ||
			    strcmp(places[i], places[j]) != 0)
				continue;
			config_error_at(reader->report,
			    config_written_line(reader, names[i]),
			    "%s: \"%s\" is the place of %s too; a place of "
			    "its own was expected",
			    names[i], CONFIG_SHOWN(places[i]), names[j]);
		}
	}
}

/* -- strings: each returns NULL, or what was expected --------------------- */

static const char *
check_path(const char *text)
{
	return config_path_is_absolute(text) ? NULL : "an absolute path";
}

static const char *
check_account(const char *text)
{
	if (text[0] != '-' && text[strspn(text, LETTERS DIGITS "._-")] == '\0')
		return NULL;
	return "a name of letters, digits, \".\", \"_\" and \"-\"";
}

/* Through these mail would be bounced, lost, or never leave. */
static const char *
check_transport(const char *text)
{
	static const char *const wrong[] = { "bounce", "defer", "discard",
		"error", "local", "retry", "trace", "verify", "virtual" };

	for (size_t i = 0; i < NELEM(wrong); i++) {
		if (strcmp(text, wrong[i]) == 0)
			return "a service of master.cf that runs smtp(8)";
	}
	if (text[strspn(text, LETTERS DIGITS "._-")] == '\0')
		return NULL;
	return "a service of master.cf (letters, digits, \".\", \"_\", \"-\")";
}

static const char *
check_helo(const char *text)
{
	static const char expected[] =
	    "a host name or an address literal \"[192.0.2.1]\"";
	size_t len = strlen(text);

	if (len > 0 && text[0] == '[' &&
	    (text[len - 1] != ']' ||
		strspn(text + 1, LETTERS DIGITS ".:") != len - 2))
		return expected;
	if (len > 0 && text[0] != '[' &&
	    strspn(text, LETTERS DIGITS "._-") != len)
		return expected;
	return NULL;
}

/* It stands between "<" and ">" in a command line. */
static const char *
check_mailbox(const char *text)
{
	struct address address;
	size_t len = strlen(text);

	if (len == 0)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte <= ' ' || byte >= 0x7f || byte == '<' || byte == '>')
			return "user@domain in ASCII, without blanks and <>";
	}
	if (text[0] == '@' || !address_parse(text, len, &address))
		return "user@domain";
	return NULL;
}

static const char *
check_bind(const char *text)
{
	struct in6_addr address;

	if (text[0] == '\0' || inet_pton(AF_INET, text, &address) == 1 ||
	    inet_pton(AF_INET6, text, &address) == 1)
		return NULL;
	return "an IP address of this machine, without brackets and port";
}

static const char *
check_log_target(const char *text)
{
	if (strcmp(text, "syslog") == 0 || strcmp(text, "stderr") == 0 ||
	    config_path_is_absolute(text))
		return NULL;
	return "\"syslog\", \"stderr\" or an absolute path";
}

/* The words are passed as they are: what a shell would do with these must not
   be expected. */
static const char *
check_command(const char *text)
{
	if (text[strspn(text, " ")] != '\0' && strpbrk(text, "\"'\\") == NULL)
		return NULL;
	return "a program and its arguments, with blanks between them and "
	       "without quotes";
}

static const struct {
	const char *option;
	size_t offset;
	const char *(*check)(const char *text);
} string_checks[] = {
	{ "control_socket", offsetof(struct config, control_socket),
	    check_path },
	{ "health_table", offsetof(struct config, health_table), check_path },
	{ "socket_group", offsetof(struct config, socket_group),
	    check_account },
	{ "user", offsetof(struct config, user), check_account },
	{ "transport", offsetof(struct config, transport), check_transport },
	{ "log.target", offsetof(struct config, log.path), check_log_target },
	{ "probe.helo", offsetof(struct config, probe.helo), check_helo },
	{ "probe.sender", offsetof(struct config, probe.sender),
	    check_mailbox },
	{ "probe.recipient", offsetof(struct config, probe.recipient),
	    check_mailbox },
	{ "probe.bind_address", offsetof(struct config, probe.bind_address),
	    check_bind },
	{ "delivery.flush_command",
	    offsetof(struct config, delivery.flush_text), check_command },
};

static void
check_strings(struct config_reader *reader)
{
	const char *expected, *text, *option;

	for (size_t i = 0; i < NELEM(string_checks); i++) {
		option = string_checks[i].option;
		memcpy(&text,
		    (const char *)reader->config + string_checks[i].offset,
		    sizeof(text));
		expected = string_checks[i].check(text);
		if (expected != NULL)
			config_error_at(reader->report,
			    config_written_line(reader, option),
			    "%s: \"%s\"; %s was expected", option,
			    CONFIG_SHOWN(text), expected);
	}
}

/* -- several together ----------------------------------------------------- */

static unsigned
first_written(const struct config_reader *reader, const char *a, const char *b)
{
	unsigned line = config_written_line(reader, a);

	return line != 0 ? line : config_written_line(reader, b);
}

/* log.target was read into log.path. */
static void
settle_log_target(struct config_log *log)
{
	if (strcmp(log->path, "syslog") == 0)
		log->target = CONFIG_LOG_SYSLOG;
	else if (strcmp(log->path, "stderr") == 0)
		log->target = CONFIG_LOG_STDERR;
	else
		log->target = CONFIG_LOG_FILE;
	if (log->target != CONFIG_LOG_FILE) {
		free(log->path);
		log->path = NULL;
	}
}

void
config_check_options(struct config_reader *reader)
{
	struct config *config = reader->config;

	check_strings(reader);
	check_places(reader);
	settle_log_target(&config->log);
	if (config->defer.first_ms > config->defer.max_ms)
		config_error_at(reader->report,
		    first_written(reader, "defer.first", "defer.max"),
		    "defer.first: %g s is longer than defer.max, %g s; at most "
		    "that was expected",
		    config->defer.first_ms / 1e3, config->defer.max_ms / 1e3);
	if (config->probe.level == CONFIG_PROBE_RCPT &&
	    config->probe.recipient[0] == '\0')
		config_error_at(reader->report,
		    config_written_line(reader, "probe.level"),
		    "probe.level: \"rcpt\" without probe.recipient; recipient "
		    "= \"user@domain\" was expected");
	config->transport_set = config_written(reader, "transport") != NULL;
	if (!config->transport_set)
		config_warn_at(reader->report, 0,
		    "transport is not set, so answers name \"%s\"; a service "
		    "of its own, as in transport = \"nexthop\", was expected",
		    config->transport);
}

/* "ALL" or ".com": wide enough to take mail for this machine. */
static bool
is_wide(const char *domain)
{
	return strcmp(domain, "ALL") == 0 ||
	       (domain[0] == '.' && strchr(domain + 1, '.') == NULL);
}

void
config_check_routes(struct config_reader *reader)
{
	const struct config *config = reader->config;

	if (config_written(reader, "not_routed") != NULL)
		return;
	for (uint32_t i = 0; i < config->n_routes; i++) {
		if (is_wide(config->routes[i].domain))
			config_warn_at(reader->report, reader->route_lines[i],
			    "routes.domain: \"%s\" takes the mail of domains "
			    "that this machine delivers itself; not_routed = "
			    "[ \"DOMAIN\", ... ]; was expected",
			    CONFIG_SHOWN(config->routes[i].domain));
	}
}
