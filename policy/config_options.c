/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; constants. */
#include "policy/config_parse.h"
#include "policy/outcome.h"

#define WORDS(...)	 ((const char *const[]){ __VA_ARGS__, NULL })
#define AT(field)	 offsetof(struct config, field)
#define RAW(kind, field) offsetof(struct config_raw_##kind, field)

/* Words are stored by their place. */
_Static_assert(sizeof(enum config_log_level) == sizeof(uint32_t) &&
		   sizeof(enum config_probe_level) == sizeof(uint32_t) &&
		   sizeof(enum config_address_family) == sizeof(uint32_t),
    "an enum of a word option is written as uint32_t");

/* clang-format off */
const struct config_option config_options[] = {
	/* name, type, min, max, default, words, offset, needs a restart, help */
	{ "milter_socket", CONFIG_OPTION_STRING, 1, 128,
	  "unix:/var/spool/postfix/nexthop/milter", NULL, AT(milter_socket),
	  true, "where the MTA speaks to the milter" },
	{ "map_socket", CONFIG_OPTION_STRING, 1, 128,
	  "unix:/var/spool/postfix/nexthop/map", NULL, AT(map_socket),
	  true, "where the MTA asks the transport map" },
	{ "control_socket", CONFIG_OPTION_STRING, 1, 107,
	  "/run/nexthop-milter/control", NULL, AT(control_socket),
	  true, "path of the socket for nexthopctl" },
	{ "socket_group", CONFIG_OPTION_STRING, 0, 64, "", NULL,
	  AT(socket_group), true, "group of the unix sockets" },
	{ "socket_mode", CONFIG_OPTION_MODE, 0, 0777, "0660", NULL,
	  AT(socket_mode), true, "permission bits of the unix sockets" },
	{ "health_table", CONFIG_OPTION_STRING, 1, 1023,
	  "/run/nexthop-milter/health", NULL, AT(health_table),
	  true, "path of the shared table" },
	{ "user", CONFIG_OPTION_STRING, 0, 64, "", NULL, AT(user),
	  true, "the user that a daemon started as root becomes" },
	{ "transport", CONFIG_OPTION_STRING, 1, 64, "smtp", NULL,
	  AT(transport), false, "the master.cf service in answers" },
	{ "address_family", CONFIG_OPTION_WORD, 0, 0, "any",
	  WORDS("any", "ipv4", "ipv6"), AT(address_family), false,
	  "the addresses that the MTA can use" },
	{ "tickets", CONFIG_OPTION_INT, 1024, 16777216, "65536", NULL,
	  AT(tickets), true, "places for recipients in flight" },
	{ "not_routed", CONFIG_OPTION_STRINGS, 0, 0, NULL, NULL, 0, false,
	  "domains that .parent and ALL routes do not cover" },
	{ "log", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "the log" },
	{ "probe", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "how destination hosts are probed" },
	{ "defer", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "when a host is left out, and for how long" },
	{ "delivery", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "what is learned from deliveries" },
	{ "pools", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "named lists of hosts" },
	{ "routes", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "receiving domains" },

	{ "log.target", CONFIG_OPTION_STRING, 1, 1023, "syslog", NULL,
	  AT(log.path), false, "syslog, stderr, or the path of a file" },
	{ "log.level", CONFIG_OPTION_WORD, 0, 0, "info",
	  WORDS("error", "warning", "info", "debug"), AT(log.level), false,
	  "the least important lines that are logged" },

	{ "probe.level", CONFIG_OPTION_WORD, 0, 0, "mail",
	  WORDS("connect", "greeting", "ehlo", "starttls", "mail", "rcpt"),
	  AT(probe.level), false, "how far a probe goes" },
	{ "probe.interval", CONFIG_OPTION_SECONDS, 0.1, 86400, "30", NULL,
	  AT(probe.interval_ms), false, "time between two probes of a host" },
	{ "probe.timeout", CONFIG_OPTION_SECONDS, 0.1, 600, "10", NULL,
	  AT(probe.timeout_ms), false, "time for a whole probe" },
	{ "probe.helo", CONFIG_OPTION_STRING, 0, 255, "", NULL,
	  AT(probe.helo), false, "the name in EHLO" },
	{ "probe.sender", CONFIG_OPTION_STRING, 0, 254, "", NULL,
	  AT(probe.sender), false, "the address in MAIL FROM" },
	{ "probe.recipient", CONFIG_OPTION_STRING, 0, 254, "", NULL,
	  AT(probe.recipient), false, "the address in RCPT TO" },
	{ "probe.bind_address", CONFIG_OPTION_STRING, 0, 64, "", NULL,
	  AT(probe.bind_address), false, "the local address of probes" },
	{ "probe.max_parallel", CONFIG_OPTION_INT, 1, 10000, "64", NULL,
	  AT(probe.max_parallel), false, "probes at the same time" },

	{ "defer.fall", CONFIG_OPTION_INT, 1, 100, "1", NULL,
	  AT(defer.fall), false, "failures in a row that defer a host" },
	{ "defer.rise", CONFIG_OPTION_INT, 1, 100, "2", NULL,
	  AT(defer.rise), false, "good probes in a row that end it" },
	{ "defer.first", CONFIG_OPTION_SECONDS, 0.1, 86400, "10", NULL,
	  AT(defer.first_ms), false, "the first back-off" },
	{ "defer.max", CONFIG_OPTION_SECONDS, 0.1, 604800, "600", NULL,
	  AT(defer.max_ms), false, "the longest back-off" },
	{ "defer.slow_start", CONFIG_OPTION_SECONDS, 0, 86400, "0", NULL,
	  AT(defer.slow_start_ms), false,
	  "time in which a host that returns gets its share back" },

	{ "delivery.logs", CONFIG_OPTION_STRINGS, 0, 0, NULL, NULL, 0, false,
	  "logs of the MTA that are followed" },
	{ "delivery.journal", CONFIG_OPTION_BOOL, 0, 0, "false", NULL,
	  AT(delivery.journal), false, "the systemd journal is followed" },
	{ "delivery.flush_on_recovery", CONFIG_OPTION_BOOL, 0, 0, "true", NULL,
	  AT(delivery.flush_on_recovery), false,
	  "mail that waited is tried again when hosts are well" },
	{ "delivery.flush_command", CONFIG_OPTION_STRING, 1, 1023,
	  "postqueue -s", NULL, AT(delivery.flush_text), false,
	  "the program that asks the MTA to try a domain again" },
	{ "delivery.flush_again", CONFIG_OPTION_SECONDS, 10, 86400, "600",
	  NULL, AT(delivery.flush_again_ms), false,
	  "time from a recovery to its last flush" },
	{ "delivery.replies", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL, 0, false,
	  "replies that mean something of their own here" },

	{ "delivery.replies.stage", CONFIG_OPTION_WORD, 0, 0, "any",
	  WORDS("any", "greeting", "ehlo", "mail", "rcpt", "data",
		"end-of-data"), RAW(reply, stage), false,
	  "what the reply answers" },
	{ "delivery.replies.reply", CONFIG_OPTION_STRING, 1, 16, NULL, NULL,
	  RAW(reply, reply), false, "code and enhanced code of the reply" },
	{ "delivery.replies.text", CONFIG_OPTION_STRING, 1,
	  OUTCOME_TEXT_MAX - 1, NULL, NULL, RAW(reply, text), false,
	  "what its text contains" },
	{ "delivery.replies.concerns", CONFIG_OPTION_WORD, 0, 0, NULL,
	  WORDS("nobody", "host", "message", "recipient", "policy"),
	  RAW(reply, concerns), false, "whom the reply concerns" },

	{ "pools.name", CONFIG_OPTION_STRING, 1, 64, NULL, NULL,
	  RAW(pool, name), false, "what routes call the pool" },
	{ "pools.hosts", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL,
	  RAW(pool, hosts), false, "the hosts of the pool" },

	{ "routes.domain", CONFIG_OPTION_STRING, 1, 255, NULL, NULL,
	  RAW(route, domain), false, "the receiving domain" },
	{ "routes.hosts", CONFIG_OPTION_GROUP, 0, 0, NULL, NULL,
	  RAW(route, hosts), false, "the hosts of the route" },
	{ "routes.pool", CONFIG_OPTION_STRING, 1, 64, NULL, NULL,
	  RAW(route, pool), false, "the pool with the hosts" },
	{ "routes.use_dns", CONFIG_OPTION_BOOL, 0, 0, "false", NULL,
	  RAW(route, use_dns), false, "deliver by the domain's MX records" },
	{ "routes.when_all_deferred", CONFIG_OPTION_WORD, 0, 0, "try",
	  WORDS("try", "hold", "tempfail"), RAW(route, when_all_deferred),
	  false, "what happens while no host is up" },

	{ "hosts.host", CONFIG_OPTION_STRING, 0, 300, NULL, NULL,
	  RAW(host, host), false, "an address or a name" },
	{ "hosts.port", CONFIG_OPTION_INT, 1, 65535, "25", NULL,
	  RAW(host, port), false, "the TCP port" },
	{ "hosts.priority", CONFIG_OPTION_INT, 0, 65535, "0", NULL,
	  RAW(host, priority), false, "lower is asked first" },
	{ "hosts.weight", CONFIG_OPTION_INT, 1, 1000, "1", NULL,
	  RAW(host, weight), false, "share among hosts of one priority" },
};
/* clang-format on */

const size_t config_options_count = NELEM(config_options);
