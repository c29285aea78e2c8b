/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the supervisor's only one. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "milter/log.h"
#include "milter/privileges.h"
#include "milter/supervisor.h"
#include "policy/config.h"

#define EXIT_USAGE 2

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: nexthop-milter [-c FILE] [-t | -V]\n"
	    "  -c FILE  configuration, default " NH_CONFIG_FILE "\n"
	    "  -t       test the configuration and exit\n"
	    "  -V       print the version and exit\n"
	    "Runs in the foreground; SIGHUP reloads, SIGTERM stops.\n");
}

/* Returns: the configuration, NULL when it is bad; the problems are told. */
static struct config *
load(const char *path)
{
	struct config_problems problems;
	struct config *config = NULL;

	if (config_load(path, &config, &problems) == -1)
		config = NULL;
	for (size_t i = 0; i < problems.n; i++)
		(void)fprintf(stderr, "%s%s\n",
		    problems.list[i].warning ? "warning: " : "",
		    problems.list[i].text);
	config_problems_free(&problems);
	return config;
}

static int
test(const char *path)
{
	struct config *config = load(path);

	if (config == NULL)
		return EXIT_FAILURE;
	(void)printf("%s: good: %u routes, %u host sets, %u hosts\n", path,
	    (unsigned)config->n_routes, (unsigned)config->n_sets,
	    (unsigned)config->n_hosts);
	config_free(&config);
	return EXIT_SUCCESS;
}

/* A SIGHUP that comes before the supervisor listens would end the program. */
static void
wait_with_reloads(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
serve(const char *path)
{
	struct config *config;
	struct err err;

	wait_with_reloads();
	config = load(path);
	if (config == NULL)
		return EXIT_FAILURE;
	if (config->log.target == CONFIG_LOG_FILE)
		privileges_create_file(config->user, config->log.path);
	if (log_open(&config->log, &err) == -1) {
		(void)fprintf(stderr, "%s\n", err.text);
		config_free(&config);
		return EXIT_FAILURE;
	}
	return supervisor_run(&config);
}

int
main(int argc, char **argv)
{
	const char *path = NH_CONFIG_FILE;
	bool only_test = false;
	int option;

	while ((option = getopt(argc, argv, "c:htV")) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			only_test = true;
			break;
		case 'V':
			(void)printf("nexthop-milter %s\n", NH_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return only_test ? test(path) : serve(path);
}
