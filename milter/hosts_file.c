/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/hosts_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct entry {
	char *name;
	size_t line; /* keeps the order of the file among equal names */
	struct endpoint endpoint;
};

struct hosts_file {
	struct entry *list; /* sorted by name, then by line */
	size_t n, room;
};

static int
compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int names = strcmp(a->name, b->name);

	if (names != 0)
		return names;
	return a->line < b->line ? -1 : a->line > b->line;
}

static bool
add(struct hosts_file *file, const struct endpoint *endpoint, const char *name,
    size_t line)
{
	struct entry *list;
	size_t room = file->room > 0 ? file->room * 2 : 64;
	char *copy;

	if (file->n == file->room) {
		list = realloc(file->list, room * sizeof(*list));
		if (list == NULL)
			return false;
		file->list = list;
		file->room = room;
	}
	copy = strdup(name);
	if (copy == NULL)
		return false;
	for (char *c = copy; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	file->list[file->n++] =
	    (struct entry){ .name = copy, .line = line, .endpoint = *endpoint };
	return true;
}

static bool
take_line(struct hosts_file *file, char *text, size_t line)
{
	struct endpoint endpoint;
	char *rest, *word;

	text[strcspn(text, "#")] = '\0';
	word = strtok_r(text, BLANKS, &rest);
	if (word == NULL || endpoint_parse(word, 0, &endpoint) == -1)
		return true;
	while ((word = strtok_r(NULL, BLANKS, &rest)) != NULL &&
	       file->n < HOSTS_FILE_NAMES_MAX) {
		if (!add(file, &endpoint, word, line))
			return false;
	}
	return true;
}

struct hosts_file *
hosts_file_load(const char *path)
{
	struct hosts_file *file = calloc(1, sizeof(*file));
	FILE *stream;
	char *text = NULL;
	size_t size = 0, line = 0;
	bool ok = true;

	if (file == NULL)
		return NULL;
	stream = fopen(path, "re");
	if (stream == NULL)
		return file;
	while (ok && file->n < HOSTS_FILE_NAMES_MAX &&
	       getline(&text, &size, stream) != -1)
		ok = take_line(file, text, line++);
	free(text);
	(void)fclose(stream);
	if (!ok)
		hosts_file_free(&file);
	else if (file->n > 0)
		qsort(file->list, file->n, sizeof(*file->list), compare);
	return file;
}

void
hosts_file_free(struct hosts_file **file)
{
	struct hosts_file *old = *file;

	*file = NULL;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->n; i++)
		free(old->list[i].name);
	free(old->list);
	free(old);
}

/* The first entry that is not before name. */
static size_t
lower_bound(const struct hosts_file *file, const char *name)
{
	size_t low = 0, high = file->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(file->list[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t
hosts_file_find(const struct hosts_file *file, const char *name, int family,
    uint16_t port, struct endpoint *list_r, size_t max)
{
	size_t n = 0;

	for (size_t i = lower_bound(file, name);
	     i < file->n && n < max && strcmp(file->list[i].name, name) == 0;
	     i++) {
		const struct endpoint *endpoint = &file->list[i].endpoint;

		if (family != AF_UNSPEC && endpoint->family != family)
			continue;
		list_r[n] = *endpoint;
		list_r[n++].port = port;
	}
	return n;
}
