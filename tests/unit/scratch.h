/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A folder of a test's own, gone at the end, and small files in it. Each
 * failure ends the test.
 */
#ifndef NH_TESTS_UNIT_SCRATCH_H
#define NH_TESTS_UNIT_SCRATCH_H

#include <check.h>
#include <ftw.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/log.h"
#include "policy/config.h"

#define SCRATCH_PATH_MAX 100 /* fits a unix socket's address */

static char scratch_folder[64];

static inline void
scratch_begin(void)
{
	(void)snprintf(
	    scratch_folder, sizeof(scratch_folder), "/tmp/nh-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch_folder));
}

static inline int
scratch_remove_one(
    const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void
scratch_end(void)
{
	(void)nftw(scratch_folder, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of name in the folder; path has SCRATCH_PATH_MAX bytes. */
static inline const char *
scratch_path(const char *name, char *path)
{
	int n = snprintf(path, SCRATCH_PATH_MAX, "%s/%s", scratch_folder, name);

	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, SCRATCH_PATH_MAX);
	return path;
}

static inline void
scratch_write(const char *name, const char *text)
{
	char path[SCRATCH_PATH_MAX];
	FILE *file = fopen(scratch_path(name, path), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ne(fputs(text, file), EOF);
	ck_assert_int_eq(fclose(file), 0);
}

/* The whole file. Owns: the caller, free(). */
static inline char *
scratch_read(const char *name)
{
	char path[SCRATCH_PATH_MAX], *text = NULL;
	size_t len = 0;
	FILE *file = fopen(scratch_path(name, path), "r");

	ck_assert_ptr_nonnull(file);
	if (getdelim(&text, &len, '\0', file) == -1) {
		free(text);
		text = strdup("");
	}
	(void)fclose(file);
	ck_assert_ptr_nonnull(text);
	return text;
}

/* How many lines of the file match (an extended regular expression). */
static inline int
scratch_count(const char *name, const char *pattern)
{
	char *text = scratch_read(name), *rest = text, *line;
	regex_t regex;
	int n = 0;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	while ((line = strsep(&rest, "\n")) != NULL)
		n += regexec(&regex, line, 0, NULL, 0) == 0;
	regfree(&regex);
	free(text);
	return n;
}

/* From now on the milter log is the file "log" in the folder. */
static inline void
scratch_open_log(enum config_log_level level)
{
	char path[SCRATCH_PATH_MAX];
	struct config_log log = { CONFIG_LOG_FILE, level, path };
	struct err err;

	(void)scratch_path("log", path);
	ck_assert_int_eq(log_open(&log, &err), 0);
}

/*
 * A configuration whose sockets and table lie in the folder, and whose pools
 * and routes are given as they stand in a file.
 * Owns: the caller, config_free.
 */
static inline struct config *
scratch_config(const char *rest)
{
	char path[SCRATCH_PATH_MAX];
	struct config_problems problems;
	struct config *config;
	FILE *file = fopen(scratch_path("conf", path), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_gt(fprintf(file,
			     "milter_socket = \"unix:%s/milter\";\n"
			     "map_socket = \"unix:%s/map\";\n"
			     "control_socket = \"%s/control\";\n"
			     "health_table = \"%s/health\";\n"
			     "transport = \"nexthop\";\n%s",
			     scratch_folder, scratch_folder, scratch_folder,
			     scratch_folder, rest),
	    0);
	ck_assert_int_eq(fclose(file), 0);
	if (config_load(path, &config, &problems) == -1)
		ck_abort_msg("%s", problems.list[0].text);
	config_problems_free(&problems);
	return config;
}

#endif
