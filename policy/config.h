/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * The configuration: one libconfig file becomes one immutable object that
 * owns all it points to. Knows syntax, ranges and references (config_options.c
 * holds the one table of options); knows nothing of health or sockets.
 * The only user of libconfig; its tree is freed before config_load returns.
 */
#ifndef NH_POLICY_CONFIG_H
#define NH_POLICY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/compiler.h"
#include "policy/host.h"

#define CONFIG_SET_HOSTS_MAX 64	     /* hosts of one set */
#define CONFIG_HOSTS_MAX     1000000 /* hosts in all */
#define CONFIG_NO_SET	     UINT32_MAX
#define CONFIG_LOGS_MAX	     16	 /* delivery.logs */
#define CONFIG_REPLIES_MAX   256 /* delivery.replies */

enum config_when_all_deferred { CONFIG_TRY = 0, CONFIG_HOLD, CONFIG_TEMPFAIL };

/* Which address families the MTA can use (Postfix: inet_protocols). */
enum config_address_family { CONFIG_ANY = 0, CONFIG_IPV4, CONFIG_IPV6 };

enum config_log_target {
	CONFIG_LOG_SYSLOG = 0,
	CONFIG_LOG_STDERR,
	CONFIG_LOG_FILE
};

enum config_log_level {
	CONFIG_LOG_ERROR = 0,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG
};

enum config_probe_level {
	CONFIG_PROBE_CONNECT = 0,
	CONFIG_PROBE_GREETING,
	CONFIG_PROBE_EHLO,
	CONFIG_PROBE_STARTTLS,
	CONFIG_PROBE_MAIL,
	CONFIG_PROBE_RCPT
};

struct config_log {
	enum config_log_target target;
	enum config_log_level level;
	char *path; /* of CONFIG_LOG_FILE, else NULL */
};

struct config_probe {
	enum config_probe_level level;
	uint32_t interval_ms;  /* default 30000 */
	uint32_t timeout_ms;   /* default 10000 */
	uint32_t max_parallel; /* default 64 */
	char *helo;	       /* never NULL; "" means the machine's name */
	char *sender;	       /* never NULL; "" is the null sender */
	char *recipient;       /* never NULL; not "" when level is rcpt */
	char *bind_address;    /* never NULL; "" lets the system choose */
};

struct config_defer {
	uint32_t fall;		/* default 1 */
	uint32_t rise;		/* default 2 */
	uint32_t first_ms;	/* default 10000 */
	uint32_t max_ms;	/* default 600000 */
	uint32_t slow_start_ms; /* default 0: a host that returns has its whole
				   share at once */
};

struct reply_rule;

/* How deliveries are observed, and what follows from them. */
struct config_delivery {
	char **logs; /* absolute paths; NULL when n_logs is 0 */
	uint32_t n_logs;
	bool journal;		 /* default false */
	bool flush_on_recovery;	 /* default true */
	uint32_t flush_again_ms; /* default 600000: the last flush after a
				    recovery, when the longest attempt that was
				    under way has ended */
	char *flush_text;	 /* the bytes of the words of: */
	char **flush_command;	 /* argv, NULL-terminated, never NULL; default
				    { "postqueue", "-s" }; the domain follows */
	struct reply_rule *replies; /* policy/reply_rule.h; asked before the
				       built-in table */
	uint32_t n_replies;
};

/* One host of a set. Members stand in ascending priority, and in the order
   of the file within a priority. */
struct config_member {
	uint32_t host;	   /* index into config.hosts */
	uint16_t priority; /* 0..65535, lower is asked first */
	uint16_t weight;   /* 1..1000; divided by the tier's common
			      divisor */
};

/* A host set: a pool, or an identical list of hosts. Sets of equal content
   are one set whatever they were called. */
struct config_set {
	uint64_t key;	       /* hash of the content (canonical hosts,
				  ports, priorities, weights); the name of
				  its cursor in the table */
	uint32_t first_member; /* index into config.members */
	uint32_t n_members;    /* 1..CONFIG_SET_HOSTS_MAX; distinct hosts */
};

struct config_route {
	const char *domain;	   /* "example.com", ".example.org", "ALL";
				      canonical; owned by the config */
	uint32_t set;		   /* index into config.sets; CONFIG_NO_SET for
				      use_dns */
	uint8_t when_all_deferred; /* enum config_when_all_deferred */
	bool use_dns;
};

struct route_index;

struct config {
	char *path;					   /* the file */
	char *milter_socket, *map_socket, *control_socket; /* as written */
	char *socket_group;   /* never NULL, "" for none */
	uint32_t socket_mode; /* permission bits, default 0660 */
	char *health_table;   /* absolute path */
	char *user;	      /* never NULL, "" when not set */
	char *transport;      /* the service in answers */
	bool transport_set;   /* false: default smtp, worth a warning */
	enum config_address_family address_family;
	uint32_t tickets; /* default 65536 */
	struct config_log log;
	struct config_probe probe;
	struct config_defer defer;
	struct config_delivery delivery;
	struct host *hosts; /* distinct (host, port) */
	uint32_t n_hosts;
	uint32_t *host_domain; /* per host: index of the first route that
				  uses it (for "domain:" in the log) */
	struct config_member *members;
	uint32_t n_members;
	struct config_set *sets;
	uint32_t n_sets;
	struct config_route *routes; /* in the order of the file */
	uint32_t n_routes;
	struct route_index *index; /* policy/route.h; holds not_routed too */
	bool any_tempfail;	   /* some route says tempfail */
	bool any_names;		   /* some host is a name */
	struct config_strings *strings; /* of the routes */
};

/* What was wrong, or questionable, with a file: all of it, not just the
   first. A syntax error stands alone. */
struct config_problem {
	bool warning; /* else an error */
	char *text;   /* "FILE:LINE: what; what was expected" */
};

struct config_problems {
	struct config_problem *list;
	size_t n;
	size_t n_errors;
};

/*
 * Reads and checks path. Warnings are reported on success too (ALL without
 * not_routed, transport left at its default, ...).
 * Owns: *config_r is the caller's, config_free. problems_r always has to be
 * freed with config_problems_free.
 * Returns: 0, or -1 with *config_r NULL and n_errors > 0.
 * Thread: any, one at a time per object; needs no particular thread.
 */
int config_load(const char *path, struct config **config_r,
    struct config_problems *problems_r) NH_MUSTCHECK NH_ALL_NONNULL;
void config_free(struct config **config) NH_ALL_NONNULL;
void config_problems_free(struct config_problems *problems) NH_ALL_NONNULL;

/*
 * Names the options that cannot change while running and differ (sockets,
 * socket_group, socket_mode, user, health_table, tickets), one a call.
 * at: 0 at the first call; where to go on at the next.
 * Returns: an option's name (static), or NULL when there are no more.
 */
const char *config_needs_restart(const struct config *running,
    const struct config *wanted, size_t *at) NH_ALL_NONNULL;

/*
 * A daemon that is running keeps the values of the options that need a
 * restart: moves them from wanted's file back to running's, so that the rest of
 * wanted can be applied.
 */
void config_keep_restart_options(
    const struct config *running, struct config *wanted) NH_ALL_NONNULL;

/*
 * A socket address of the configuration taken apart: "unix:PATH" (or
 * "local:PATH") or "inet:PORT@HOST" with a loopback HOST (127.0.0.0/8, ::1 in
 * brackets or bare, localhost).
 */
struct config_socket {
	bool is_unix;
	char path[108];	  /* of a unix socket, absolute */
	struct host host; /* of an inet socket */
};
int config_socket_parse(const char *text, struct config_socket *socket_r,
    struct err *err) NH_MUSTCHECK NH_NONNULL(1, 2);

/*
 * The table of options, for the manual's lint test and for `-t`.
 */
enum config_option_type {
	CONFIG_OPTION_STRING = 0,
	CONFIG_OPTION_SECONDS, /* number, fractions allowed -> _ms */
	CONFIG_OPTION_INT,
	CONFIG_OPTION_BOOL,
	CONFIG_OPTION_WORD,    /* one of a list of words */
	CONFIG_OPTION_MODE,    /* an octal string, "0660" */
	CONFIG_OPTION_STRINGS, /* array or list of strings */
	CONFIG_OPTION_GROUP    /* handled by code: pools, routes, log ... */
};
struct config_option {
	const char *name; /* "probe.interval" */
	enum config_option_type type;
	double min, max;	  /* of SECONDS and INT; lengths of STRING */
	const char *fallback;	  /* the default, as it would be written */
	const char *const *words; /* of WORD: NULL-terminated, in enum order */
	size_t offset; /* into struct config, where code is generic */
	bool needs_restart;
	const char *help; /* one line */
};
extern const struct config_option config_options[];
extern const size_t config_options_count;

#endif
