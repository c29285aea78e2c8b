/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A folder for configuration files, and what the last load of one left.
 * Thread: the test's only one.
 */
#ifndef NH_TESTS_UNIT_CONFIG_SCENE_H
#define NH_TESTS_UNIT_CONFIG_SCENE_H

#include "policy/config.h"
#include "tests/unit/scratch.h"

/* The least that a configuration needs. */
#define ROUTE                                                                  \
	"routes = ( { domain = \"a.test\"; hosts = ( \"10.0.0.1\" ); } );\n"

static struct config_problems problems;
static struct config *config;

static inline void
begin(void)
{
	scratch_begin();
}

static inline void
end(void)
{
	config_free(&config);
	config_problems_free(&problems);
	scratch_end();
}

#endif
