/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/config_parse.h"
#include "policy/xalloc.h"

#define TEXT_MAX 1024 /* of one problem */
#define FILE_MAX 256  /* of a file's name in it */

/* What the sort works on. */
struct entry {
	struct config_problem problem;
	unsigned line;
	size_t order;
};

static void
append(
    struct config_report *report, bool warning, unsigned line, const char *text)
{
	struct config_problems *problems = report->problems;

	if (problems->n == report->capacity) {
		report->capacity = report->capacity * 2 + 16;
		problems->list = xreallocarray(problems->list, report->capacity,
		    sizeof(problems->list[0]));
		report->lines = xreallocarray(
		    report->lines, report->capacity, sizeof(report->lines[0]));
	}
	report->lines[problems->n] = line;
	problems->list[problems->n++] =
	    (struct config_problem){ warning, xstrdup(text) };
}

static size_t
put_place(const struct config_report *report, unsigned line, char *text)
{
	char shown[FILE_MAX];
	const char *file;
	unsigned line_there;
	int n;

	config_source_find(report->source, line, &file, &line_there);
	printable(file, strlen(file), shown, sizeof(shown));
	if (line == 0)
		n = snprintf(text, TEXT_MAX, "%s: ", shown);
	else
		n = snprintf(text, TEXT_MAX, "%s:%u: ", shown, line_there);
	return (size_t)n;
}

static void NH_PRINTF(4, 0) add(struct config_report *report, bool warning,
    unsigned line, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	size_t used;

	if (!warning)
		report->problems->n_errors++;
	if (report->problems->n >= CONFIG_REPORT_MAX) {
		report->dropped++;
		return;
	}
	used = put_place(report, line, text);
	(void)vsnprintf(text + used, TEXT_MAX - used, fmt, ap);
	append(report, warning, line, text);
}

void
config_error_at(
    struct config_report *report, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(report, false, line, fmt, ap);
	va_end(ap);
}

void
config_warn_at(
    struct config_report *report, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(report, true, line, fmt, ap);
	va_end(ap);
}

void
config_report_reset(struct config_report *report)
{
	config_problems_free(report->problems);
	free(report->lines);
	report->lines = NULL;
	report->capacity = report->dropped = 0;
}

static int
by_line(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void
sort(struct config_report *report)
{
	struct config_problems *problems = report->problems;
	struct entry *entries = xcalloc(problems->n, sizeof(entries[0]));

	for (size_t i = 0; i < problems->n; i++)
		entries[i] =
		    (struct entry){ problems->list[i], report->lines[i], i };
	if (problems->n > 1)
		qsort(entries, problems->n, sizeof(entries[0]), by_line);
	for (size_t i = 0; i < problems->n; i++)
		problems->list[i] = entries[i].problem;
	free(entries);
}

void
config_report_finish(struct config_report *report)
{
	char text[TEXT_MAX];
	size_t used;

	sort(report);
	if (report->dropped > 0) {
		used = put_place(report, 0, text);
		(void)snprintf(text + used, TEXT_MAX - used,
		    "%zu more problems are not listed", report->dropped);
		append(report, report->problems->n_errors == 0, 0, text);
	}
	free(report->lines);
	report->lines = NULL;
}
