/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's only one. */
#include "policy/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define NOBODY 65534
#define ROUTE                                                                  \
	"routes = ( { domain = \"a.test\"; hosts = ( \"10.0.0.1\" ); } );\n"

/* A route, or the list of hosts of one, that begins on line 1. */
#define ONE_ROUTE(members) "routes = ( { " members " } );\n"
#define HOSTS(list)	   ONE_ROUTE("domain = \"a.test\"; hosts = " list ";")
#define HOST(text)	   HOSTS("( { host = \"" text "\"; } )")
#define DOMAIN(text)                                                           \
	ONE_ROUTE("domain = \"" text "\"; hosts = ( \"10.0.0.1\" );")

#define FIVE(x)	 x x x x x
#define LONG_110 FIVE("0123456789") FIVE("0123456789") "0123456789"
#define LABEL_64 FIVE("aaaaaaaaaaaa") "aaaa"

struct expected {
	unsigned line; /* 0: the file as a whole */
	const char *piece;
};

static const struct {
	const char *text;
	struct expected errors[5];
} cases[] = {
	/* syntax: stands alone */
	{ "user = ;\n" ROUTE, { { 1, "syntax error; " } } },
	{ ROUTE "user = \"a\"\nport 25;\n", { { 3, "syntax error; " } } },
	{ "colour = 1;\n" ROUTE "log = { level = \"info\"; ;\n",
	    { { 3, "syntax error; " } } },
	{ ROUTE "user = \"abc;\n",
	    { { 2, "a string that begins here never" } } },
	{ ROUTE "log = { /* level\n", { { 2, "a comment that begins here" } } },
	{ ROUTE "log = {\n\n", { { 3, "syntax error; " } } },
	{ "user = \"a\";\nuser = \"b\";\n" ROUTE,
	    { { 2, "duplicate setting name; each option once" } } },
	{ ROUTE "probe = { level = \"mail\";\n level = \"ehlo\"; };\n",
	    { { 3, "duplicate setting name" } } },
	{ "not_routed = [ \"a.test\", 1 ];\n" ROUTE,
	    { { 1, "an array of one type" } } },
	{ "\xff\xfe\n" ROUTE, { { 1, "syntax error" } } },
	/* unknown keys, top level and in each group */
	{ "colour = \"blue\";\n" ROUTE,
	    { { 1,
		"colour is no option; one of milter_socket, map_socket" } } },
	{ ROUTE "log = { levle = \"info\"; };\n",
	    { { 2, "log.levle is no option; one of target, level was" } } },
	{ ROUTE "probe = {\n\n intervall = 3; };\n",
	    { { 4, "probe.intervall is no option; one of level, interval" } } },
	{ ROUTE "defer = { up = 1; };\n", { { 2, "defer.up is no option" } } },
	{ ONE_ROUTE("domain = \"a.test\"; hosts = ( \"10.0.0.1\" );\n"
		    "priority = 1;"),
	    { { 2, "routes.priority is no option; one of domain, hosts" } } },
	{ HOSTS("( { host = \"10.0.0.1\";\n prio = 1; } )"),
	    { { 2, "hosts.prio is no option; one of host, port, priority" } } },
	{ ROUTE "pools = ( { name = \"p\"; host = ( \"10.0.0.1\" ); } );\n",
	    { { 2, "pools.host is no option; one of name, hosts" } } },
	/* wrong types */
	{ "tickets = \"many\";\n" ROUTE,
	    { { 1, "tickets: \"many\"; a whole number from 1024 to" } } },
	{ "tickets = 4096.0;\n" ROUTE, { { 1, "tickets: 4096; a whole" } } },
	{ "user = 1;\n" ROUTE, { { 1, "user: 1; a string of 0 to 64" } } },
	{ "user = true;\n" ROUTE, { { 1, "user: true; a string" } } },
	{ "user = { };\n" ROUTE, { { 1, "user: a group { ... }; a str" } } },
	{ "user = ( );\n" ROUTE, { { 1, "user: a list ( ... ); a str" } } },
	{ "log = \"syslog\";\n" ROUTE,
	    { { 1, "log: \"syslog\"; a group { name = value; ... }" } } },
	{ "routes = { domain = \"a.test\"; };\n",
	    { { 1, "there are no routes; routes = (" } } },
	{ "routes = ( \"a.test\" );\n", { { 1, "routes: \"a.test\"; a gr" } } },
	{ ROUTE "pools = { };\n", { { 2, "pools: a group { ... }; a list" } } },
	{ ROUTE "pools = ( 1 );\n", { { 2, "pools: 1; a group" } } },
	{ HOSTS("\"10.0.0.1\""),
	    { { 1, "routes.hosts: \"10.0.0.1\"; a list ( {" } } },
	{ HOSTS("{ host = \"10.0.0.1\"; }"), { { 1, "a list ( {" } } },
	{ HOSTS("( 1 )"), { { 1, "hosts: 1; a group" } } },
	{ HOSTS("[ 1 ]"), { { 1, "hosts: 1; a group" } } },
	{ HOSTS("( { host = 1; } )"), { { 1, "hosts.host: 1; a string" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; port = \"25\"; } )"),
	    { { 1, "hosts.port: \"25\"; a whole number from 1 to 65535" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; port = 25.0; } )"),
	    { { 1, "hosts.port: 25; a whole number from 1 to 65535" } } },
	{ ONE_ROUTE("domain = \"a.test\"; use_dns = 1;"),
	    { { 1, "routes.use_dns: 1; true or false" },
		{ 1, "has no hosts" } } },
	{ "not_routed = \"a.test\";\n" ROUTE,
	    { { 1, "not_routed: \"a.test\"; an array of strings" } } },
	{ "not_routed = ( 1 );\n" ROUTE,
	    { { 1, "not_routed: 1 is no string; \"example.com\"" } } },
	/* ranges */
	{ "tickets = 0;\n" ROUTE, { { 1, "tickets: 0; a whole number" } } },
	{ "tickets = 99999999999L;\n" ROUTE,
	    { { 1, "tickets: 99999999999; a whole number from 1024" } } },
	{ HOSTS("( { host = \"10.0.0.1\";\n port = 4294967321; } )"),
	    { { 2, "hosts.port: 4294967321; a whole number from 1 to" } } },
	{ HOSTS("( { host = \"10.0.0.1\";\n port = 0x100000019; } )"),
	    { { 2, "hosts.port: 4294967321; a whole number from 1 to" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; port = 0x10000000000000019; } )"),
	    { { 1, "hosts.port: 9223372036854775807; a whole number" } } },
	{ "tickets = 18446744073709555712;\n" ROUTE,
	    { { 1, "tickets: 9223372036854775807; a whole number" } } },
	{ "tickets = -4294963200;\n" ROUTE,
	    { { 1, "tickets: -4294963200; a whole number from 1024" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; port = 99999; } )"),
	    { { 1, "hosts.port: 99999; a whole number from 1 to 65535" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; port = 0; } )"),
	    { { 1, "hosts.port: 0; a whole number from 1 to 65535" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; port = -1; } )"),
	    { { 1, "hosts.port: -1; a whole number from 1 to 65535" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; weight = 0; } )"),
	    { { 1, "hosts.weight: 0; a whole number from 1 to 1000" } } },
	{ HOSTS("( { host = \"10.0.0.1\"; priority = 65536; } )"),
	    { { 1, "hosts.priority: 65536; a whole number from 0" } } },
	{ "probe = { interval = -1.5; };\n" ROUTE,
	    { { 1, "probe.interval: -1.5; a number of seconds from 0.1" } } },
	{ "probe = { timeout = 0.05; };\n" ROUTE,
	    { { 1, "probe.timeout: 0.05; a number of seconds from 0.1" } } },
	{ "probe = { interval = 1e400; };\n" ROUTE,
	    { { 1, "probe.interval: inf; a number of seconds" } } },
	{ "probe = { interval = \"30\"; };\n" ROUTE,
	    { { 1, "probe.interval: \"30\"; a number of seconds" } } },
	{ "probe = { max_parallel = 0; };\n" ROUTE,
	    { { 1, "probe.max_parallel: 0; a whole number from 1" } } },
	{ "defer = { fall = 0; rise = 101; };\n" ROUTE,
	    { { 1, "defer.fall: 0; a whole number from 1 to 100" },
		{ 1, "defer.rise: 101; a whole number from 1 to 100" } } },
	{ "defer = { max = 5.5;\n first = 6; };\n" ROUTE,
	    { { 2, "defer.first: 6 s is longer than defer.max, 5.5 s" } } },
	{ "defer = { max = 5; };\n" ROUTE,
	    { { 1, "defer.first: 10 s is longer than defer.max, 5 s" } } },
	/* words and modes */
	{ "log = { level = \"loud\"; };\n" ROUTE,
	    { { 1,
		"log.level: \"loud\"; one of \"error\", \"warning\", \"info\", "
		"\"debug\" was" } } },
	{ "probe = { level = 3; };\n" ROUTE,
	    { { 1, "probe.level: 3; one of \"connect\"" } } },
	{ "address_family = \"ipv5\";\n" ROUTE,
	    { { 1, "address_family: \"ipv5\"; one of \"any\", \"ipv4\"" } } },
	{ ONE_ROUTE("domain = \"a.test\"; use_dns = true;\n"
		    "when_all_deferred = \"bounce\";"),
	    { { 2,
		"when_all_deferred: \"bounce\"; one of \"try\", \"hold\"" } } },
	{ "socket_mode = \"999\";\n" ROUTE,
	    { { 1, "socket_mode: \"999\"; a string of 3 or 4 octal" } } },
	{ "socket_mode = \"1777\";\n" ROUTE,
	    { { 1, "socket_mode: \"1777\"" } } },
	{ "socket_mode = 660;\n" ROUTE, { { 1, "socket_mode: 660; a str" } } },
	/* domains */
	{ "routes = ( { domain = \"a.test\"; hosts = ( \"10.0.0.1\" ); },\n"
	  "{ domain = \"A.Test.\"; hosts = ( \"10.0.0.1\" ); } );\n",
	    { { 2, "\"a.test\" has a route already (" } } },
	{ "routes = ( { domain = \"ALL\"; use_dns = true; },\n"
	  "{ domain = \"ALL\"; hosts = ( \"10.0.0.1\" ); } );\n",
	    { { 2, "\"ALL\" has a route already (" } } },
	{ DOMAIN(""), { { 1, "routes.domain: \"\"; a string of 1 to 255" } } },
	{ DOMAIN("."), { { 1, "routes.domain: \".\" is empty" } } },
	{ DOMAIN("a..test"),
	    { { 1, "routes.domain: \"a..test\" is no dom" } } },
	{ DOMAIN("a b"), { { 1, "\"a b\" is no domain; \"example.com\", " } } },
	{ DOMAIN("user@a.test"), { { 1, "\"user@a.test\" is no domain" } } },
	{ DOMAIN("*.a.test"), { { 1, "has a star; all below a domain is" } } },
	{ DOMAIN("all"), { { 1, "every domain is \"ALL\"; " } } },
	{ DOMAIN("[a.test]"), { { 1, "is no address literal" } } },
	{ DOMAIN("[10.0.0.1"), { { 1, "no closing bracket" } } },
	{ DOMAIN("[10.0.0.1]x"), { { 1, "no closing bracket" } } },
	{ DOMAIN("[10.0.0.]"), { { 1, "is no address literal" } } },
	{ DOMAIN(LABEL_64 ".test"), { { 1, "is no domain; \"example" } } },
	{ ONE_ROUTE("hosts = ( \"10.0.0.1\" );"),
	    { { 1, "a route without a domain; domain = " } } },
	{ "not_routed = [ \"a.test\",\n\"a,b\", \"ALL\" ];\n" ROUTE,
	    { { 2, "not_routed: \"a,b\" is no domain" },
		{ 2, "not_routed: \"ALL\" is no domain" } } },
	/* where mail goes */
	{ "routes = ( );\n", { { 1, "there are no routes; routes = (" } } },
	{ "user = \"a\";\n", { { 0, "there are no routes; routes = (" } } },
	{ "", { { 0, "there are no routes; routes = (" } } },
	{ ONE_ROUTE("domain = \"a.test\";"),
	    { { 1, "the route of \"a.test\" has no hosts; exactly one" } } },
	{ ONE_ROUTE("domain = \"a.test\"; use_dns = false;"),
	    { { 1, "has no hosts; exactly one of hosts, pool and use_dns" } } },
	{ ONE_ROUTE("domain = \"a.test\"; use_dns = true; hosts = ( \"h\" );"),
	    { { 1, "has hosts and use_dns; exactly one of" } } },
	{ ONE_ROUTE("domain = \"a.test\"; use_dns = true; pool = \"p\";"),
	    { { 1, "has a pool and use_dns; exactly one of" } } },
	{ ONE_ROUTE("domain = \"a.test\"; pool = \"p\"; hosts = ( \"h\" );"),
	    { { 1, "has hosts and a pool; exactly one of" } } },
	{ ONE_ROUTE("domain = \"a.test\"; pool = \"p\";"),
	    { { 1, "routes.pool: there is no pool \"p\"; the name" } } },
	{ "pools = ( { name = \"p\"; hosts = ( \"10.0.0.1\" ); },\n"
	  "{ name = \"p\"; hosts = ( \"10.0.0.2\" ); } );\n" ROUTE,
	    { { 2, "pools.name: \"p\" is the name of a pool already (" } } },
	{ "pools = ( { hosts = ( \"10.0.0.1\" ); } );\n" ROUTE,
	    { { 1, "pools: a pool without a name; name = " } } },
	{ "pools = ( { name = \"p\"; } );\n" ROUTE,
	    { { 1, "pools: a pool without hosts; name = " } } },
	{ "pools = ( { name = \"p\"; hosts = ( \"10.0.0.1:0\" ); } );\n"
	  "routes = ( { domain = \"a.test\"; pool = \"p\"; } );\n",
	    { { 1, "hosts.host: \"10.0.0.1:0\" has a port that is not" } } },
	/* hosts */
	{ HOSTS("( )"), { { 1, "routes.hosts: 0 hosts; a list of 1 to 64" } } },
	{ HOSTS("( { port = 25; } )"), { { 1, "an item without a host" } } },
	{ HOST("[1.2.3.4"), { { 1, "\"[1.2.3.4\" has no closing bracket" } } },
	{ HOST(","), { { 1, "\",\" is neither an IP address nor a host" } } },
	{ HOST(""), { { 1, "hosts.host: \"\" names no host; HOST, [HOST]" } } },
	{ HOST("a b"), { { 1, "\"a b\" is neither an IP address nor" } } },
	{ HOST("1.2.3.4,5.6.7.8"), { { 1, "\"1.2.3.4,5.6.7.8\" is neith" } } },
	{ HOST("a\\x0d\\x0ab"),
	    { { 1, "hosts.host: \"a\\x0d\\x0ab\"; a st" } } },
	{ HOSTS("( { host = \"1.2.3.4:99\"; port = 25; } )"),
	    { { 1, "\"1.2.3.4:99\" and port = 25 name two ports" } } },
	{ HOSTS("( { host = \"::1\"; },\n \"10.0.0.1\",\n\"[0:0::1]:25\" )"),
	    { { 3, "hosts: [::1]:25 stands in this list already (" } } },
	/* names that go to others */
	{ "transport = \"a b\";\n" ROUTE,
	    { { 1, "transport: \"a b\"; a s" } } },
	{ "transport = \"a:b\";\n" ROUTE,
	    { { 1, "transport: \"a:b\"; a s" } } },
	{ "transport = \"a,b\";\n" ROUTE,
	    { { 1, "transport: \"a,b\"; a s" } } },
	{ "transport = \"a/b\";\n" ROUTE,
	    { { 1, "transport: \"a/b\"; a s" } } },
	{ "transport = \"\";\n" ROUTE, { { 1, "transport: \"\"; a string" } } },
	{ "transport = \"discard\";\n" ROUTE,
	    { { 1, "transport: \"discard\"; a service of master.cf that" } } },
	{ "user = \"a b\";\n" ROUTE, { { 1, "user: \"a b\"; a name of" } } },
	{ "user = \"-a\";\n" ROUTE, { { 1, "user: \"-a\"; a name of" } } },
	{ "socket_group = \"a:b\";\n" ROUTE,
	    { { 1, "socket_group: \"a:b\"; a name of letters" } } },
	{ "probe = { helo = \"a b\"; };\n" ROUTE,
	    { { 1, "probe.helo: \"a b\"; a host name or an address" } } },
	{ "probe = { helo = \"a\\r\\nQUIT\"; };\n" ROUTE,
	    { { 1, "probe.helo: \"a\\x0d\\x0aQUIT\"; a string" } } },
	{ "probe = { helo = \"[1.2.3.4\"; };\n" ROUTE,
	    { { 1, "probe.helo: \"[1.2.3.4\"; a host name or" } } },
	{ "probe = { helo = \"[1.2 3.4]\"; };\n" ROUTE,
	    { { 1, "probe.helo: \"[1.2 3.4]\"; a host name or" } } },
	{ "probe = { sender = \"a@b c\"; };\n" ROUTE,
	    { { 1, "probe.sender: \"a@b c\"; user@domain in ASCII" } } },
	{ "probe = { sender = \"<a@b>\"; };\n" ROUTE,
	    { { 1, "probe.sender: \"<a@b>\"; user@domain in ASCII" } } },
	{ "probe = { sender = \"a@b>\"; };\n" ROUTE,
	    { { 1, "probe.sender: \"a@b>\"; user@domain in ASCII" } } },
	{ "probe = { sender = \"\xc3\xa9@b\"; };\n" ROUTE,
	    { { 1, "@b\"; user@domain in ASCII" } } },
	{ "probe = { sender = \"@b\"; };\n" ROUTE,
	    { { 1, "probe.sender: \"@b\"; user@domain was" } } },
	{ "probe = { sender = \"a@b\\n\"; };\n" ROUTE,
	    { { 1, "probe.sender: \"a@b\\x0a\"; a string of 0 to 254" } } },
	{ "probe = { recipient = \"postmaster\"; };\n" ROUTE,
	    { { 1, "probe.recipient: \"postmaster\"; user@domain was" } } },
	{ "probe = { level = \"rcpt\"; };\n" ROUTE,
	    { { 1, "\"rcpt\" without probe.recipient; recipient =" } } },
	{ "probe = { bind_address = \"10.0.0.1:25\"; };\n" ROUTE,
	    { { 1, "probe.bind_address: \"10.0.0.1:25\"; an IP address" } } },
	{ "log = { target = \"file\"; };\n" ROUTE,
	    { { 1, "log.target: \"file\"; \"syslog\", \"stderr\" or an" } } },
	/* sockets and files */
	{ "map_socket = \"inet:8890@192.0.2.1\";\n" ROUTE,
	    { { 1, "map_socket: \"inet:8890@192.0.2.1\"; unix:PATH" } } },
	{ "map_socket = \"inet:0@127.0.0.1\";\n" ROUTE,
	    { { 1, "map_socket: \"inet:0@127.0.0.1\"; unix:PATH" } } },
	{ "map_socket = \"inet:8890@[2001:db8::1]\";\n" ROUTE,
	    { { 1, "map_socket: \"inet:8890@[2001:db8::1]\"; unix:PATH" } } },
	{ "map_socket = \"inet:8890@" LONG_110 "\";\n" ROUTE,
	    { { 1, "map_socket: \"inet:8890@0123" } } },
	{ "milter_socket = \"/run/milter\";\n" ROUTE,
	    { { 1, "milter_socket: \"/run/milter\"; unix:PATH" } } },
	{ "milter_socket = \"unix:run/milter\";\n" ROUTE,
	    { { 1, "milter_socket: \"unix:run/milter\"; unix:PATH (abs" } } },
	{ "map_socket = \"unix:/" LONG_110 "\";\n" ROUTE,
	    { { 1, "map_socket: \"unix:/0123" } } },
	{ "control_socket = \"unix:/run/control\";\n" ROUTE,
	    { { 1, "control_socket: \"unix:/run/control\"; an absolute" } } },
	{ "control_socket = \"/" LONG_110 "\";\n" ROUTE,
	    { { 1, "control_socket: \"/0123" } } },
	{ "health_table = \"health\";\n" ROUTE,
	    { { 1, "health_table: \"health\"; an absolute path" } } },
	{ "health_table = \"/run/\";\n" ROUTE,
	    { { 1, "health_table: \"/run/\"; an absolute path" } } },
	{ "milter_socket = \"unix:/run/a\";\nmap_socket = "
	  "\"local:/run/a\";\n" ROUTE,
	    { { 2, "map_socket: \"/run/a\" is the place of milter_socket" } } },
	{ "milter_socket = \"inet:9@[::1]\";\nmap_socket = "
	  "\"inet:9@::1\";\n" ROUTE,
	    { { 2,
		"map_socket: \"[::1]:9\" is the place of milter_socket" } } },
	{ "control_socket = \"/run/a\";\nhealth_table = \"/run/a\";\n" ROUTE,
	    { { 2, "health_table: \"/run/a\" is the place of control_" } } },
	/* all of them, in the order of the file */
	{ "colour = 1;\n" HOST(",") "probe = { interval = 0;\n"
				    "helo = \",\"; };\nuser = 1;\n",
	    { { 1, "colour is no option" }, { 2, "\",\" is neither" },
		{ 3, "probe.interval: 0; a number" },
		{ 4, "probe.helo: \",\"; a host" }, { 5, "user: 1; a" } } },
	/* includes */
	{ "/* */\n@include \"none.conf\"\n" ROUTE,
	    { { 2, "none.conf\": No such file or directory; a readable" } } },
	{ "@include \".\"\n" ROUTE, { { 1, ".\": not a regular file" } } },
	{ "@include \"conf\"\n" ROUTE,
	    { { 1, "conf\": too many files include each other" } } },
	{ "@include \"conf\n" ROUTE, { { 1, "without a closing quote" } } },
};

/* -- */

static struct config_problems problems;

static void
begin(void)
{
	scratch_begin();
}

static void
end(void)
{
	config_problems_free(&problems);
	scratch_end();
}

static int
load(const char *name, struct config **config_r)
{
	char path[SCRATCH_PATH_MAX];

	config_problems_free(&problems);
	return config_load(scratch_path(name, path), config_r, &problems);
}

static const char *
next_error(size_t *at)
{
	while (*at < problems.n && problems.list[*at].warning)
		(*at)++;
	return *at < problems.n ? problems.list[(*at)++].text : NULL;
}

static void
check_error(const char *text, const char *name, struct expected expected)
{
	char path[SCRATCH_PATH_MAX], place[SCRATCH_PATH_MAX + 32];

	scratch_path(name, path);
	if (expected.line == 0)
		snprintf(place, sizeof(place), "%s: ", path);
	else
		snprintf(place, sizeof(place), "%s:%u: ", path, expected.line);
	ck_assert_ptr_nonnull(text);
	ck_assert_msg(strncmp(text, place, strlen(place)) == 0,
	    "\"%s\" does not begin with \"%s\"", text, place);
	ck_assert_msg(strstr(text, expected.piece) != NULL,
	    "\"%s\" is not in \"%s\"", expected.piece, text);
}

static void
refuse(const char *name)
{
	struct config *config;

	ck_assert_int_eq(load(name, &config), -1);
	ck_assert_ptr_null(config);
	ck_assert_uint_gt(problems.n_errors, 0);
}

START_TEST(a_bad_file_is_refused_with_line_and_reason)
{
	const struct expected *errors = cases[_i].errors;
	const char *text;
	size_t at = 0, n;

	scratch_write("conf", cases[_i].text);
	refuse("conf");
	for (n = 0; n < NELEM(cases[_i].errors) && errors[n].piece; n++) {
		text = next_error(&at);
		check_error(text, "conf", errors[n]);
		for (const char *c = text; *c != '\0'; c++)
			ck_assert(*c >= ' ' && *c < 0x7f);
	}
	text = next_error(&at);
	ck_assert_msg(text == NULL, "one more: %s", text);
	ck_assert_uint_eq(problems.n_errors, n);
}
END_TEST

START_TEST(a_missing_file_is_refused)
{
	size_t at = 0;

	refuse("conf");
	check_error(next_error(&at), "conf",
	    (struct expected){ 0, "No such file or directory" });
}
END_TEST

START_TEST(a_folder_is_refused)
{
	size_t at = 0;

	refuse(".");
	check_error(
	    next_error(&at), ".", (struct expected){ 0, "not a regular file" });
}
END_TEST

START_TEST(a_pipe_that_nobody_writes_is_refused_and_not_waited_for)
{
	char path[SCRATCH_PATH_MAX];
	size_t at = 0;

	ck_assert_int_eq(mkfifo(scratch_path("conf", path), 0600), 0);
	refuse("conf");
	check_error(next_error(&at), "conf",
	    (struct expected){ 0, "not a regular file" });
}
END_TEST

START_TEST(an_unreadable_file_is_refused)
{
	char path[SCRATCH_PATH_MAX];
	size_t at = 0;
	bool root = geteuid() == 0;

	scratch_write("conf", ROUTE);
	ck_assert_int_eq(chmod(scratch_path("conf", path), 0), 0);
	ck_assert_int_eq(chmod(scratch_folder, 0755), 0);
	if (root)
		ck_assert_int_eq(seteuid(NOBODY), 0);
	refuse("conf");
	if (root)
		ck_assert_int_eq(seteuid(0), 0);
	check_error(next_error(&at), "conf",
	    (struct expected){ 0, "Permission denied" });
}
END_TEST

START_TEST(a_file_with_a_zero_byte_is_refused)
{
	char path[SCRATCH_PATH_MAX];
	size_t at = 0;
	FILE *file = fopen(scratch_path("conf", path), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite("a = \"\0\";\n", 1, 9, file), 9);
	ck_assert_int_eq(fclose(file), 0);
	refuse("conf");
	check_error(
	    next_error(&at), "conf", (struct expected){ 0, "has a zero byte" });
}
END_TEST

START_TEST(errors_of_an_included_file_name_that_file_and_its_lines)
{
	size_t at = 0;

	scratch_write("conf",
	    "colour = 1; # @include \"none\"\n/*\n@include \"none\"\n*/\n"
	    "user = \"\n@include \\\"none\\\"\n\";\n"
	    "@include \"probe.conf\"\nlog = 1;\n\n" ROUTE);
	scratch_write("probe.conf", "# no option\nprobe = {\n shape = 1;\n};");
	refuse("conf");
	check_error(next_error(&at), "conf",
	    (struct expected){ 1, "colour is no option" });
	check_error(next_error(&at), "conf",
	    (struct expected){ 5, "user: \"\\x0a@include" });
	check_error(next_error(&at), "probe.conf",
	    (struct expected){ 3, "probe.shape is no option" });
	check_error(
	    next_error(&at), "conf", (struct expected){ 9, "log: 1; a group" });
	ck_assert_ptr_null(next_error(&at));
	scratch_write("probe.conf", "\nprobe = };");
	refuse("conf");
	at = 0;
	check_error(next_error(&at), "probe.conf",
	    (struct expected){ 2, "syntax error" });
	ck_assert_ptr_null(next_error(&at));
}
END_TEST

START_TEST(a_list_of_65_hosts_is_refused_and_one_of_64_is_not)
{
	struct config *config;
	char text[8192];
	size_t used, at;

	for (int n = 64; n <= 65; n++) {
		used = (size_t)snprintf(text, sizeof(text),
		    "routes = ( { domain = \"a.test\";\nhosts = ( \"h0\"");
		for (int i = 1; i < n; i++)
			used += (size_t)snprintf(
			    text + used, sizeof(text) - used, ", \"h%d\"", i);
		snprintf(text + used, sizeof(text) - used, " ); } );\n");
		scratch_write("conf", text);
		if (n == 64) {
			ck_assert_int_eq(load("conf", &config), 0);
			ck_assert_uint_eq(config->sets[0].n_members, 64);
			config_free(&config);
		}
	}
	refuse("conf");
	at = 0;
	check_error(next_error(&at), "conf",
	    (struct expected){ 2, "65 hosts; a list of 1 to 64" });
}
END_TEST

START_TEST(more_errors_than_anybody_reads_are_counted)
{
	char path[SCRATCH_PATH_MAX];
	FILE *file = fopen(scratch_path("conf", path), "w");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "routes = (\n");
	for (int i = 0; i < 12000; i++)
		fprintf(file, "%s1\n", i == 0 ? "" : ",");
	fprintf(file, ");\n");
	ck_assert_int_eq(fclose(file), 0);
	refuse("conf");
	ck_assert_uint_ge(problems.n_errors, 12000);
	ck_assert_uint_lt(problems.n, 10100);
	ck_assert_ptr_nonnull(strstr(problems.list[problems.n - 1].text,
	    "more problems are not listed"));
}
END_TEST

START_TEST(deep_nesting_is_an_error_and_no_crash)
{
	char path[SCRATCH_PATH_MAX];
	FILE *file = fopen(scratch_path("conf", path), "w");

	ck_assert_ptr_nonnull(file);
	fprintf(file, "routes = ");
	for (int i = 0; i < 100000; i++)
		fputc('(', file);
	ck_assert_int_eq(fclose(file), 0);
	refuse("conf");
	ck_assert_uint_eq(problems.n, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("test_config_errors");
	TCase *tcase = tcase_create("errors");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_loop_test(tcase, a_bad_file_is_refused_with_line_and_reason,
	    0, (int)NELEM(cases));
	tcase_add_test(tcase, a_missing_file_is_refused);
	tcase_add_test(tcase, a_folder_is_refused);
	tcase_add_test(
	    tcase, a_pipe_that_nobody_writes_is_refused_and_not_waited_for);
	tcase_add_test(tcase, an_unreadable_file_is_refused);
	tcase_add_test(tcase, a_file_with_a_zero_byte_is_refused);
	tcase_add_test(
	    tcase, errors_of_an_included_file_name_that_file_and_its_lines);
	tcase_add_test(
	    tcase, a_list_of_65_hosts_is_refused_and_one_of_64_is_not);
	tcase_add_test(tcase, more_errors_than_anybody_reads_are_counted);
	tcase_add_test(tcase, deep_nesting_is_an_error_and_no_crash);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
