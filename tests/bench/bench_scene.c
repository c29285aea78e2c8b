/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one, its own process. */
#include "tests/bench/bench_scene.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
seconds_of(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double
bench_seconds(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

double
bench_cpu_seconds(void)
{
	return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

_Noreturn void
bench_fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(EXIT_FAILURE);
}

uint32_t
bench_number(const char *text, uint32_t least)
{
	char *rest;
	unsigned long number = strtoul(text, &rest, 10);

	if (rest == text || *rest != '\0' || number < least ||
	    number > UINT32_MAX)
		bench_fail("a number is out of range");
	return (uint32_t)number;
}

enum bench_shape
bench_shape(const char *text)
{
	if (strcmp(text, "pools") == 0)
		return BENCH_POOLS;
	if (strcmp(text, "lists") == 0)
		return BENCH_LISTS;
	bench_fail("pools or lists were expected");
}

void
bench_stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set) == -1)
		bench_fail("cannot stay on one CPU");
}

/* -- a place for files ---------------------------------------------------- */

static char folder[] = "/tmp/nexthop-bench.XXXXXX";

void
bench_begin_folder(void)
{
	if (mkdtemp(folder) == NULL)
		bench_fail("cannot make a folder under /tmp");
}

const char *
bench_path(const char *name, char path_r[BENCH_PATH_MAX])
{
	(void)snprintf(path_r, BENCH_PATH_MAX, "%s/%s", folder, name);
	return path_r;
}

void
bench_end_folder(void)
{
	if (rmdir(folder) == -1)
		bench_fail("something is left in the folder");
}

/* -- configurations ------------------------------------------------------- */

static void
write_host(FILE *file, uint32_t host)
{
	fprintf(file, "{ host = \"127.%u.%u.%u\"; }", 1 + host / 62500,
	    host / 250 % 250, 1 + host % 250);
}

/* Any two different hosts, the same ones for the same n. */
static void
write_pair(FILE *file, uint32_t n, uint32_t hosts)
{
	uint32_t first = n % hosts;

	write_host(file, first);
	fprintf(file, ", ");
	write_host(file, (first + 1 + n / hosts % (hosts - 1)) % hosts);
}

static void
write_pools(FILE *file, uint32_t pools)
{
	fprintf(file, "pools = (");
	for (uint32_t i = 0; i < pools; i++) {
		fprintf(file, "%s\n { name = \"p%u\"; hosts = (",
		    i > 0 ? "," : "", i);
		write_host(file, 2 * i);
		fprintf(file, ", ");
		write_host(file, 2 * i + 1);
		fprintf(file, "); }");
	}
	fprintf(file, ");\n");
}

static void
write_routes(
    FILE *file, uint32_t routes, uint32_t hosts, enum bench_shape shape)
{
	uint32_t pools = hosts / 2;

	assert(pools > 0);
	fprintf(file, "routes = (");
	for (uint32_t i = 0; i < routes; i++) {
		fprintf(file, "%s\n { domain = \"d%07u.example\"; ",
		    i > 0 ? "," : "", i);
		if (shape == BENCH_POOLS) {
			fprintf(file, "pool = \"p%u\"; }", i % pools);
			continue;
		}
		fprintf(file, "hosts = (");
		write_pair(file, i, hosts);
		fprintf(file, "); }");
	}
	fprintf(file, ");\n");
}

void
bench_write_config(
    const char *path, uint32_t routes, uint32_t hosts, enum bench_shape shape)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		bench_fail("cannot write the configuration");
	fprintf(file,
	    "transport = \"nexthop\";\nhealth_table = \"%s.table\";\n", path);
	if (shape == BENCH_POOLS)
		write_pools(file, hosts / 2);
	write_routes(file, routes, hosts, shape);
	if (fclose(file) != 0)
		bench_fail("cannot write the configuration");
}

struct config *
bench_load(const char *path)
{
	struct config_problems problems;
	struct config *config;

	if (config_load(path, &config, &problems) == -1)
		bench_fail(problems.list[0].text);
	config_problems_free(&problems);
	return config;
}

/* -- a configuration that answers ----------------------------------------- */

void
bench_bind(struct config *config, struct bench_bound *bound_r)
{
	struct health_table_size size = { config->n_hosts, config->n_sets,
		config->tickets };
	struct health_table_birth birth = {
		.ticket_key = { 3, 5 }, .pid = 1, .now_ms = BENCH_START_MS
	};
	enum health_table_opened how;
	char path[BENCH_PATH_MAX];
	struct err err;

	bound_r->config = config;
	(void)bench_path("table", path);
	if (health_table_open(
		path, &size, &birth, &bound_r->table, &how, &err) == -1 ||
	    lookup_bind(config, bound_r->table, true, &bound_r->base, &err) ==
		-1)
		bench_fail(err.text);
	(void)unlink(path);
}

void
bench_unbind(struct bench_bound *bound)
{
	lookup_base_free(&bound->base);
	health_table_close(&bound->table);
	config_free(&bound->config);
}
