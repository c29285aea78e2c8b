/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the only one of nexthopctl. */
#include "milter/ctl_open.h"

#include "milter/clock.h"
#include "policy/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERRORS_SHOWN 5
#define SCAN_LINE    4096
#define SCAN_LINES   10000000 /* a file of more is no configuration */

/* Returns: the value when line says NAME = "VALUE", else NULL. */
static char *
value_in(char *line, const char *name)
{
	size_t len = strlen(name);
	char *end;

	line += strspn(line, " \t");
	if (strncmp(line, name, len) != 0)
		return NULL;
	line += len;
	line += strspn(line, " \t");
	if (*line != '=' && *line != ':')
		return NULL;
	line++;
	line += strspn(line, " \t");
	if (*line++ != '"')
		return NULL;
	end = strchr(line, '"');
	if (end == NULL || end == line)
		return NULL;
	*end = '\0';
	return line;
}

char *
ctl_scan(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[SCAN_LINE], *value, *found = NULL;

	if (file == NULL)
		return NULL;
	for (int i = 0; i < SCAN_LINES && found == NULL &&
			fgets(line, sizeof(line), file) != NULL;
	     i++) {
		value = value_in(line, name);
		if (value != NULL)
			found = xstrdup(value);
	}
	(void)fclose(file);
	return found;
}

/* What the file says, or what holds when it says nothing. */
static char *
scan_or_default(const char *path, const char *name)
{
	char *value = ctl_scan(path, name);

	for (size_t i = 0; value == NULL && i < config_options_count; i++) {
		const struct config_option *option = &config_options[i];

		if (strcmp(option->name, name) == 0 &&
		    option->fallback != NULL && option->fallback[0] != '\0')
			value = xstrdup(option->fallback);
	}
	return value;
}

static void
say_errors(const char *path, const struct config_problems *problems)
{
	size_t shown = 0;

	fprintf(stderr, "nexthopctl: %s cannot be used as it is now:\n", path);
	for (size_t i = 0; i < problems->n && shown < ERRORS_SHOWN; i++) {
		if (problems->list[i].warning)
			continue;
		fprintf(stderr, "  %s\n", problems->list[i].text);
		shown++;
	}
	if (problems->n_errors > shown)
		fprintf(stderr,
		    "  ... and %zu more (nexthopctl check lists all)\n",
		    problems->n_errors - shown);
}

/* An unreadable file names no table, and the default one may belong to another
   daemon. */
static bool
has_text(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, R_OK) == 0;
}

static int
open_paths(struct ctl *ctl, const char *path, bool need_config, bool quiet)
{
	struct config_problems problems;
	bool broken;

	memset(ctl, 0, sizeof(*ctl));
	ctl->path = path;
	ctl->now_ms = clock_boot_ms();
	broken = config_load(path, &ctl->config, &problems) == -1;
	if (broken && (!quiet || !has_text(path)))
		say_errors(path, &problems);
	config_problems_free(&problems);
	if (!broken) {
		ctl->table_path = xstrdup(ctl->config->health_table);
		ctl->control_socket = xstrdup(ctl->config->control_socket);
		return 0;
	}
	if (need_config || !has_text(path))
		return -1;
	ctl->table_path = scan_or_default(path, "health_table");
	ctl->control_socket = scan_or_default(path, "control_socket");
	if (ctl->table_path == NULL || ctl->control_socket == NULL) {
		fprintf(stderr,
		    "nexthopctl: %s does not say where the health "
		    "table and the control socket are\n",
		    path);
		return -1;
	}
	return 0;
}

int
ctl_open(struct ctl *ctl, const char *path, bool need_config)
{
	return open_paths(ctl, path, need_config, false);
}

int
ctl_open_quietly(struct ctl *ctl, const char *path)
{
	return open_paths(ctl, path, false, true);
}

/* Does something stand there that no start of the daemon replaces? */
static bool
is_in_the_way(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* What keeps us from the table, and what to do about it. */
static void
explain(const char *path, const struct err *why, struct err *err)
{
	int error = 0;

	if (is_in_the_way(path))
		error = EEXIST;
	else if (access(path, R_OK | W_OK) == -1)
		error = errno;
	if (error == 0)
		err_set(err,
		    "no health table that can be used: %.200s; "
		    "a restart of nexthop-milter makes a new one",
		    why->text);
	else if (error == EACCES)
		err_set(err,
		    "no permission for %.200s: only root and the "
		    "daemon's user have it",
		    path);
	else if (error == ENOENT)
		err_set(err,
		    "no health table %.200s: nexthop-milter makes it when "
		    "it starts",
		    path);
	else
		err_set(err, "no health table: %.200s", why->text);
}

int
ctl_attach(struct ctl *ctl, struct err *err)
{
	uint8_t boot_id[16];
	struct err why;

	clock_boot_id(boot_id);
	for (int tries = 0; tries < 2; tries++) {
		if (ctl->table != NULL)
			health_table_close(&ctl->table);
		if (health_table_attach(
			ctl->table_path, boot_id, &ctl->table, &why) == -1) {
			ctl->table = NULL;
			explain(ctl->table_path, &why, err);
			return -1;
		}
		if (!health_table_superseded(ctl->table))
			return 0;
	}
	/* Replaced twice in a moment: what is here is whole all the same. */
	return 0;
}

void
ctl_close(struct ctl *ctl)
{
	if (ctl->table != NULL)
		health_table_close(&ctl->table);
	if (ctl->config != NULL)
		config_free(&ctl->config);
	free(ctl->table_path);
	free(ctl->control_socket);
	memset(ctl, 0, sizeof(*ctl));
}
