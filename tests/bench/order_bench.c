/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one, its own process. */

/*
 * What it costs to choose among hosts.
 *
 *	order_bench HOSTS equal|weighted healthy|deferred
 *
 * Prints order_ns: the order alone, from what is known of the hosts; and
 * selection_ns: with the reading of that from the table, as for each answer.
 * "deferred": every second host is. The least of several rounds, because
 * whatever disturbs a round makes it longer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/order.h"
#include "tests/bench/bench_scene.h"

#define ROUNDS	    401
#define TICKETS	    2000 /* of a round: shorter than a time slice */
#define DEFERRED_MS 60000

static void
write_one_route(const char *path, uint32_t hosts, bool weighted)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		bench_fail("cannot write the configuration");
	fprintf(file, "transport = \"nexthop\";\nroutes = ({ domain = "
		      "\"d.example\"; hosts = (");
	for (uint32_t i = 0; i < hosts; i++)
		fprintf(file, "%s\n { host = \"127.1.1.%u\"; weight = %u; }",
		    i > 0 ? "," : "", 1 + i, weighted ? 1 + i % 5 : 1);
	fprintf(file, "); });\n");
	if (fclose(file) != 0)
		bench_fail("cannot write the configuration");
}

static void
make_scene(uint32_t hosts, bool weighted, struct bench_bound *bound_r)
{
	char path[BENCH_PATH_MAX];

	bench_begin_folder();
	write_one_route(bench_path("conf", path), hosts, weighted);
	bench_bind(bench_load(path), bound_r);
	(void)unlink(path);
	bench_end_folder();
}

static void
defer_every_second(const struct bench_bound *bound)
{
	for (uint32_t i = 1; i < bound->config->n_hosts; i += 2) {
		uint32_t slot = bound->base->host_slot[i];
		struct health_detail detail;

		health_table_read(bound->table, slot, &detail);
		detail.health.state = HEALTH_DEFERRED;
		detail.health.due_ms = BENCH_START_MS + DEFERRED_MS;
		health_table_write(bound->table, slot, &detail);
	}
}

/* Each way to choose. Returns: the first host, so that nothing is left out. */
typedef uint32_t choose_way(const struct bench_bound *bound,
    const struct order_input *input, uint32_t ticket);

static uint32_t
order_alone(const struct bench_bound *bound, const struct order_input *input,
    uint32_t ticket)
{
	struct order order;

	order_compute(bound->config->members, input, bound->config->n_members,
	    ticket, &order);
	return order.member[0];
}

static uint32_t
whole_selection(const struct bench_bound *bound,
    const struct order_input *input, uint32_t ticket)
{
	struct lookup_answer answer;

	(void)input;
	if (lookup_with_ticket(bound->base, 0, ticket, BENCH_START_MS,
		&answer) != LOOKUP_HOSTS)
		bench_fail("an answer without hosts");
	return answer.order.member[0];
}

static double
least_ns(const struct bench_bound *bound, const struct order_input *input,
    choose_way *choose)
{
	volatile uint32_t chosen;
	double least = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = bench_seconds(), ns;

		for (uint32_t ticket = 0; ticket < TICKETS; ticket++)
			chosen = choose(bound, input, ticket);
		ns = (bench_seconds() - start) * 1e9 / TICKETS;
		if (round == 0 || ns < least)
			least = ns;
	}
	(void)chosen;
	return least;
}

static void
measure(const struct bench_bound *bound)
{
	struct order_input input[CONFIG_SET_HOSTS_MAX];

	memset(input, 0, sizeof(input));
	for (uint32_t i = 0; i < bound->config->n_members; i++)
		health_table_view(bound->table,
		    bound->base->host_slot[bound->config->members[i].host],
		    BENCH_START_MS, &input[i].view);
	printf("order_ns %.2f\n", least_ns(bound, input, order_alone));
	printf("selection_ns %.2f\n", least_ns(bound, input, whole_selection));
}

int
main(int argc, char **argv)
{
	struct bench_bound bound;

	if (argc != 4)
		bench_fail("HOSTS equal|weighted healthy|deferred");
	bench_stay_on_one_cpu();
	make_scene(
	    bench_number(argv[1], 1), strcmp(argv[2], "weighted") == 0, &bound);
	if (strcmp(argv[3], "deferred") == 0)
		defer_every_second(&bound);
	measure(&bound);
	bench_unbind(&bound);
	return EXIT_SUCCESS;
}
