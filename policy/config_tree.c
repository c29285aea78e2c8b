/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include "policy/config_parse.h"

static const struct {
	const char *error;
	const char *expected;
} syntax_errors[] = {
	{ "syntax error",
	    "NAME = VALUE; was expected, look for a missing semicolon, comma, "
	    "quote or bracket here or before" },
	{ "duplicate setting name", "each option once was expected" },
	{ "mismatched element type in array",
	    "an array of one type was expected" },
	{ "memory exhausted", "fewer levels of brackets were expected" },
};

static void
report_syntax(const struct config_tree *tree, struct config_report *report)
{
	const char *error = config_error_text(&tree->parsed);
	const char *expected = "a file in the syntax of libconfig was expected";
	unsigned place =
	    tree->lines_before + (unsigned)config_error_line(&tree->parsed);

	/* The end of the text is shown as its last line. */
	if (place > report->source->lines)
		place = report->source->lines;
	if (error == NULL)
		error = "unreadable";
	for (size_t i = 0; i < NELEM(syntax_errors); i++) {
		if (strcmp(error, syntax_errors[i].error) == 0)
			expected = syntax_errors[i].expected;
	}
	config_report_reset(report);
	config_error_at(report, place, "%s; %s", error, expected);
}

int
config_tree_parse(struct config_tree *tree_r, const char *text,
    unsigned lines_before, struct config_report *report)
{
	config_init(&tree_r->parsed);
	tree_r->lines_before = lines_before;
	if (config_read_string(&tree_r->parsed, text) == CONFIG_TRUE)
		return 0;
	report_syntax(tree_r, report);
	return -1;
}

void
config_tree_clear(struct config_tree *tree)
{
	config_destroy(&tree->parsed);
}
