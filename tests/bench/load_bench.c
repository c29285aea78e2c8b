/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one, its own process. */

/*
 * What loading costs, and what stays of it.
 *
 *	load_bench write FILE ROUTES HOSTS pools|lists
 *	load_bench parse FILE	libconfig alone: the floor
 *	load_bench start FILE	from the file to answers, with a new table
 *	load_bench reload FILE	the same file once more, in a process that
 *serves
 *
 * A process measures once: what an earlier load has left in malloc(3)'s hands
 * would be an advantage.
 */
#include <libconfig.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/snapshot.h"
#include "tests/bench/bench_scene.h"

/* What a process has of its own: "heap" as malloc(3) counts it, "resident" as
   the kernel does (pages of files, like the table's, are not among them). */
struct memory {
	double heap;
	double resident;
};

static double
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kilobytes = -1;

	if (file == NULL)
		bench_fail("cannot read /proc/self/status");
	while (kilobytes == -1 && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "RssAnon:", 8) == 0)
			kilobytes = strtol(line + 8, NULL, 10);
	}
	(void)fclose(file);
	if (kilobytes == -1)
		bench_fail("no RssAnon in /proc/self/status");
	return (double)kilobytes * 1024;
}

static struct memory
memory_now(void)
{
	struct mallinfo2 info = mallinfo2();

	return (struct memory){ (double)(info.uordblks + info.hblkhd),
		resident_bytes() };
}

static void
measure_parse(const char *path)
{
	double start, start_cpu, parsed;
	config_t tree;

	config_init(&tree);
	start_cpu = bench_cpu_seconds();
	start = bench_seconds();
	if (config_read_file(&tree, path) == CONFIG_FALSE)
		bench_fail("libconfig does not read the file");
	parsed = bench_seconds();
	printf("parse_cpu_s %.6f\n", bench_cpu_seconds() - start_cpu);
	config_destroy(&tree);
	printf("parse_s %.6f\nfree_s %.6f\n", parsed - start,
	    bench_seconds() - parsed);
}

/* From the file to answers. */
static void
serve(const char *path)
{
	struct err err;

	if (snapshot_adopt(bench_load(path), &err) == -1)
		bench_fail(err.text);
}

/* Serves, and prints how long it took. */
static void
serve_timed(const char *path, const char *what)
{
	double start_cpu = bench_cpu_seconds(), start = bench_seconds();

	serve(path);
	printf("%s_s %.6f\n%s_cpu_s %.6f\n", what, bench_seconds() - start,
	    what, bench_cpu_seconds() - start_cpu);
}

static void
print_sizes(const struct memory *before, const struct memory *after)
{
	struct snapshot *now = snapshot_get();
	struct health_table_header_info table;

	health_table_header(now->table, &table);
	printf("routes %u\nhosts %u\nsets %u\n", now->config->n_routes,
	    now->config->n_hosts, now->config->n_sets);
	printf("heap_bytes %.0f\nresident_bytes %.0f\ntable_bytes %llu\n",
	    after->heap - before->heap, after->resident - before->resident,
	    (unsigned long long)table.bytes);
	snapshot_put(&now);
}

static void
measure_start(const char *path)
{
	struct memory before = memory_now(), after;

	serve_timed(path, "start");
	after = memory_now();
	print_sizes(&before, &after);
}

static void
measure_reload(const char *path)
{
	double start;

	serve(path);
	serve_timed(path, "reload");
	start = bench_seconds();
	snapshot_reap();
	printf("free_s %.6f\n", bench_seconds() - start);
}

static void
measure(const char *path, void (*way)(const char *path))
{
	char table[4096];

	(void)snprintf(table, sizeof(table), "%s.table", path);
	(void)unlink(table);
	way(path);
	(void)unlink(table);
}

int
main(int argc, char **argv)
{
	bench_stay_on_one_cpu();
	if (argc == 6 && strcmp(argv[1], "write") == 0)
		bench_write_config(argv[2], bench_number(argv[3], 1),
		    bench_number(argv[4], 2), bench_shape(argv[5]));
	else if (argc == 3 && strcmp(argv[1], "parse") == 0)
		measure_parse(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "start") == 0)
		measure(argv[2], measure_start);
	else if (argc == 3 && strcmp(argv[1], "reload") == 0)
		measure(argv[2], measure_reload);
	else
		bench_fail("see the head of its source");
	return EXIT_SUCCESS;
}
