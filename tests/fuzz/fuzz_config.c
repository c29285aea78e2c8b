/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "policy/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl_open.h"
#include "policy/route.h"
#include "tests/fuzz/frame.h"

static void
check_set(const struct config *config, const struct config_set *set)
{
	const struct config_member *member =
	    &config->members[set->first_member];

	require(set->n_members > 0 && set->n_members <= CONFIG_SET_HOSTS_MAX,
	    "a set has hosts");
	require(set->first_member + set->n_members <= config->n_members,
	    "a set's members are there");
	for (uint32_t i = 0; i < set->n_members; i++) {
		require(member[i].host < config->n_hosts, "a host is there");
		require(member[i].weight > 0, "a weight is not 0");
		require(i == 0 || member[i - 1].priority <= member[i].priority,
		    "members stand in ascending priority");
	}
}

static void
check_config(const struct config *config)
{
	size_t at = 0;

	for (uint32_t i = 0; i < config->n_sets; i++)
		check_set(config, &config->sets[i]);
	for (uint32_t i = 0; i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];

		require(route->use_dns ? route->set == CONFIG_NO_SET
				       : route->set < config->n_sets,
		    "a route has a set, or asks DNS");
	}
	(void)route_find(config->index, "example.com", 11);
	require(config_needs_restart(config, config, &at) == NULL,
	    "nothing differs from itself");
}

/* What nexthopctl finds in a file that does not parse. */
static void
scan(const char *path)
{
	char *value = ctl_scan(path, "health_table");

	require(value == NULL || strpbrk(value, "\"\n") == NULL,
	    "a value is what stands between the quotes");
	free(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_problems problems;
	struct config *config;
	char path[FD_PATH_MAX];
	int fd = memory_file(data, size);

	fd_path(fd, path);
	if (config_load(path, &config, &problems) == 0) {
		check_config(config);
		config_free(&config);
	} else {
		require(config == NULL && problems.n_errors > 0,
		    "a refusal says why");
	}
	config_problems_free(&problems);
	scan(path);
	(void)close(fd);
	return 0;
}
