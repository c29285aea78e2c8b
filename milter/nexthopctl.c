/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_client.h"
#include "milter/ctl_history.h"
#include "milter/ctl_lookup.h"
#include "milter/ctl_observe.h"
#include "milter/ctl_open.h"
#include "milter/ctl_override.h"
#include "milter/ctl_status.h"
#include "policy/config.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What must be there before a command runs. */
enum need {
	NEED_PATHS = 0, /* where table and socket are; a broken file will do */
	NEED_SOCKET,	/* the same, and the daemon tells what is broken */
	NEED_CONFIG,	/* a configuration that can be used */
	NEED_NOTHING
};

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	enum need need;
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

static int check_run(struct ctl *ctl, int argc, char **argv);

#define HOST_WORDS "HOST[:PORT] [--for DURATION] [--reason TEXT]"

static const struct command commands[] = {
	{ "status", "[--json]", "hosts and routes as the daemon sees them",
	    NEED_PATHS, ctl_status_run },
	{ "lookup", "ADDRESS [--count N]",
	    "the route and the order of an address, and why", NEED_CONFIG,
	    ctl_lookup_run },
	{ "history", "HOST[:PORT]", "the last changes of a host's state",
	    NEED_PATHS, ctl_history_run },
	{ "check", "", "test the configuration, list all that is wrong",
	    NEED_NOTHING, check_run },
	{ "drain", HOST_WORDS, "leave a host out, and go on probing it",
	    NEED_PATHS, ctl_override_run },
	{ "disable", HOST_WORDS, "leave a host out, and do not probe it",
	    NEED_PATHS, ctl_override_run },
	{ "force-up", HOST_WORDS, "use a host whatever is measured", NEED_PATHS,
	    ctl_override_run },
	{ "enable", "HOST[:PORT]", "end drain, disable and force-up",
	    NEED_PATHS, ctl_override_run },
	{ "probe", "HOST[:PORT]", "probe a host now and show the dialogue",
	    NEED_PATHS, ctl_client_probe },
	{ "observe", "", "send the lines of standard input, a delivery log",
	    NEED_SOCKET, ctl_observe_run },
	{ "reload", "", "make the daemon read its configuration again",
	    NEED_SOCKET, ctl_client_reload },
};

static void
usage(FILE *out)
{
	fprintf(out, "usage: nexthopctl [-c FILE] COMMAND [ARGUMENT ...]\n"
		     "       nexthopctl -V | --help\n"
		     "  -c FILE  configuration, default " NH_CONFIG_FILE "\n"
		     "commands:\n");
	for (size_t i = 0; i < NELEM(commands); i++)
		fprintf(out, "  %s%s%s\n        %s\n", commands[i].name,
		    commands[i].arguments[0] != '\0' ? " " : "",
		    commands[i].arguments, commands[i].help);
}

/* The configuration, all of what is wrong with it; as nexthop-milter -t. */
static int
check_run(struct ctl *ctl, int argc, char **argv)
{
	struct config_problems problems;
	struct config *config = NULL;
	int loaded;

	(void)argv;
	if (argc != 1) {
		fprintf(stderr, "usage: nexthopctl check\n");
		return CTL_USAGE;
	}
	loaded = config_load(ctl->path, &config, &problems);
	for (size_t i = 0; i < problems.n; i++)
		fprintf(stderr, "%s%s\n",
		    problems.list[i].warning ? "warning: " : "",
		    problems.list[i].text);
	if (loaded == 0) {
		printf("%s: good: %u routes, %u host sets, %u hosts\n",
		    ctl->path, (unsigned)config->n_routes,
		    (unsigned)config->n_sets, (unsigned)config->n_hosts);
		config_free(&config);
	} else {
		fprintf(stderr, "%s: %zu error%s\n", ctl->path,
		    problems.n_errors, problems.n_errors == 1 ? "" : "s");
	}
	config_problems_free(&problems);
	return loaded == 0 ? CTL_OK : CTL_TROUBLE;
}

/* The file under the mapping was cut short by somebody. */
static void
on_sigbus(int signal)
{
	static const char text[] =
	    "nexthopctl: the health table was truncated while it was read; "
	    "a restart of nexthop-milter makes a new one\n";

	(void)signal;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) == -1)
		_exit(CTL_TROUBLE);
	_exit(CTL_TROUBLE);
}

static void
catch_sigbus(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_sigbus;
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGBUS, &action, NULL);
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < NELEM(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	fprintf(stderr, "nexthopctl: unknown command: %s\n", name);
	return NULL;
}

static int
prepare(enum need need, const char *path, struct ctl *ctl)
{
	switch (need) {
	case NEED_PATHS:
		return ctl_open(ctl, path, false);
	case NEED_SOCKET:
		return ctl_open_quietly(ctl, path);
	case NEED_CONFIG:
		return ctl_open(ctl, path, true);
	case NEED_NOTHING:
		break;
	}
	return 0;
}

static int
run(const struct command *command, const char *path, int argc, char **argv)
{
	struct ctl ctl = { .path = path };
	int status;

	catch_sigbus();
	if (prepare(command->need, path, &ctl) == -1)
		return CTL_TROUBLE;
	status = command->run(&ctl, argc, argv);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		perror("nexthopctl: cannot write");
		status = CTL_TROUBLE;
	}
	ctl_close(&ctl);
	return status;
}

/*
 * The options before the command.
 * Returns: -1 to go on with argv[*at_r], else the exit code.
 */
static int
parse_options(int argc, char **argv, const char **path_r, int *at_r)
{
	int at = 1;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "-c") == 0 && at + 1 < argc) {
			*path_r = argv[++at];
		} else if (strcmp(argv[at], "-V") == 0) {
			printf("nexthopctl %s\n", NH_VERSION);
			return CTL_OK;
		} else if (strcmp(argv[at], "--help") == 0 ||
			   strcmp(argv[at], "-h") == 0) {
			usage(stdout);
			return CTL_OK;
		} else {
			usage(stderr);
			return CTL_USAGE;
		}
	}
	*at_r = at;
	return -1;
}

int
main(int argc, char **argv)
{
	const char *path = NH_CONFIG_FILE;
	const struct command *command;
	int at = argc, status;

	status = parse_options(argc, argv, &path, &at);
	if (status != -1)
		return status;
	command = at < argc ? find_command(argv[at]) : NULL;
	if (command == NULL) {
		usage(stderr);
		return CTL_USAGE;
	}
	return run(command, path, argc - at, argv + at);
}
