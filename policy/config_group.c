/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/config_parse.h"
#include "policy/xalloc.h"

#define TEXT_MAX 512 /* of what was expected */

/* -- groups --------------------------------------------------------------- */

static bool
belongs_to(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 &&
	       strchr(name + len, '.') == NULL;
}

struct config_group
config_group_of(const char *prefix, bool borrow)
{
	struct config_group group = { prefix, NULL, 0, borrow };

	for (size_t i = 0; i < config_options_count; i++) {
		if (!belongs_to(config_options[i].name, prefix))
			continue;
		if (group.options == NULL)
			group.options = &config_options[i];
		assert(&config_options[i] == group.options + group.n);
		group.n++;
	}
	assert(group.n > 0 && group.n <= CONFIG_GROUP_OPTIONS_MAX);
	return group;
}

/* -- values --------------------------------------------------------------- */

static void
put_string(const struct config_group *group, void *field, const char *value)
{
	char *old, *copy;

	if (group->borrow) {
		memcpy(field, &value, sizeof(value));
		return;
	}
	copy = xstrdup(value);
	memcpy(&old, field, sizeof(old));
	free(old);
	memcpy(field, &copy, sizeof(copy));
}

static bool
put_number(const struct config_option *option, void *field, double value)
{
	uint32_t stored;

	/* Written so that a NaN is out of range too. */
	if (!(value >= option->min && value <= option->max))
		return false;
	if (option->type == CONFIG_OPTION_SECONDS)
		value = value * 1000 + 0.5;
	stored = (uint32_t)value;
	memcpy(field, &stored, sizeof(stored));
	return true;
}

static bool
put_word(const struct config_option *option, void *field, const char *word)
{
	for (uint32_t i = 0; option->words[i] != NULL; i++) {
		if (strcmp(option->words[i], word) == 0) {
			memcpy(field, &i, sizeof(i));
			return true;
		}
	}
	return false;
}

static bool
put_mode(const struct config_option *option, void *field, const char *text)
{
	size_t len = strlen(text);

	if (len < 3 || len > 4 || strspn(text, "01234567") != len)
		return false;
	return put_number(option, field, (double)strtoul(text, NULL, 8));
}

bool
config_text_is_good(const char *text, double min, double max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return (double)len >= min && (double)len <= max;
}

static bool
put_default(const struct config_group *group,
    const struct config_option *option, void *field)
{
	const char *text = option->fallback;
	bool truth;

	switch (option->type) {
	case CONFIG_OPTION_STRING:
		put_string(group, field, text);
		return true;
	case CONFIG_OPTION_SECONDS:
	case CONFIG_OPTION_INT:
		return put_number(option, field, strtod(text, NULL));
	case CONFIG_OPTION_BOOL:
		truth = strcmp(text, "true") == 0;
		memcpy(field, &truth, sizeof(truth));
		return true;
	case CONFIG_OPTION_WORD:
		return put_word(option, field, text);
	case CONFIG_OPTION_MODE:
		return put_mode(option, field, text);
	case CONFIG_OPTION_STRINGS:
	case CONFIG_OPTION_GROUP:
		break;
	}
	return false;
}

void
config_group_defaults(const struct config_group *group, void *base)
{
	const struct config_option *option;
	bool good;

	for (unsigned i = 0; i < group->n; i++) {
		option = &group->options[i];
		if (option->fallback == NULL)
			continue;
		good =
		    put_default(group, option, (char *)base + option->offset);
		assert(good);
		(void)good;
	}
}

/* -- settings ------------------------------------------------------------- */

static double
number_of(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
		return config_setting_get_int(setting);
	case CONFIG_TYPE_INT64:
		return (double)config_setting_get_int64(setting);
	case CONFIG_TYPE_FLOAT:
		return config_setting_get_float(setting);
	default:
		return NAN;
	}
}

/* Returns: false when the type or the value is wrong. */
static bool
put_setting(const struct config_group *group,
    const struct config_option *option, const config_setting_t *setting,
    void *field)
{
	int type = config_setting_type(setting);
	const char *text = config_setting_get_string(setting);
	bool truth;

	switch (option->type) {
	case CONFIG_OPTION_STRING:
		if (text == NULL ||
		    !config_text_is_good(text, option->min, option->max))
			return false;
		put_string(group, field, text);
		return true;
	case CONFIG_OPTION_SECONDS:
		return put_number(option, field, number_of(setting));
	case CONFIG_OPTION_INT:
		return type != CONFIG_TYPE_FLOAT &&
		       put_number(option, field, number_of(setting));
	case CONFIG_OPTION_BOOL:
		if (type != CONFIG_TYPE_BOOL)
			return false;
		truth = config_setting_get_bool(setting) != 0;
		memcpy(field, &truth, sizeof(truth));
		return true;
	case CONFIG_OPTION_WORD:
		return text != NULL && put_word(option, field, text);
	case CONFIG_OPTION_MODE:
		return text != NULL && put_mode(option, field, text);
	case CONFIG_OPTION_STRINGS:
	case CONFIG_OPTION_GROUP:
		if (group->borrow)
			memcpy(field, &setting, sizeof(setting));
		return true;
	}
	return false;
}

char *
config_setting_shown(
    const config_setting_t *setting, char out[CONFIG_SHOWN_MAX])
{
	const char *text = config_setting_get_string(setting);

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		(void)snprintf(out, CONFIG_SHOWN_MAX, "%lld",
		    config_setting_get_int64(setting));
		return out;
	case CONFIG_TYPE_FLOAT:
		(void)snprintf(
		    out, CONFIG_SHOWN_MAX, "%.10g", number_of(setting));
		return out;
	case CONFIG_TYPE_BOOL:
		return strcpy(
		    out, config_setting_get_bool(setting) ? "true" : "false");
	case CONFIG_TYPE_GROUP:
		return strcpy(out, "a group { ... }");
	case CONFIG_TYPE_ARRAY:
		return strcpy(out, "an array [ ... ]");
	case CONFIG_TYPE_LIST:
		return strcpy(out, "a list ( ... )");
	default:
		break;
	}
	out[0] = '"';
	printable(text, strlen(text), out + 1, CONFIG_SHOWN_MAX - 2);
	return strcat(out, "\"");
}

static void
describe_words(const char *const *words, char *out)
{
	size_t used = 0;

	for (size_t i = 0; words[i] != NULL && used < TEXT_MAX; i++)
		used += (size_t)snprintf(out + used, TEXT_MAX - used,
		    "%s\"%s\"", i == 0 ? "one of " : ", ", words[i]);
}

static void
describe(const struct config_option *option, char out[TEXT_MAX])
{
	double min = option->min, max = option->max;

	switch (option->type) {
	case CONFIG_OPTION_STRING:
		(void)snprintf(out, TEXT_MAX,
		    "a string of %.10g to %.10g bytes without control "
		    "characters",
		    min, max);
		return;
	case CONFIG_OPTION_SECONDS:
		(void)snprintf(out, TEXT_MAX,
		    "a number of seconds from %.10g to %.10g", min, max);
		return;
	case CONFIG_OPTION_INT:
		(void)snprintf(out, TEXT_MAX,
		    "a whole number from %.10g to %.10g", min, max);
		return;
	case CONFIG_OPTION_BOOL:
		(void)snprintf(out, TEXT_MAX, "true or false");
		return;
	case CONFIG_OPTION_WORD:
		describe_words(option->words, out);
		return;
	case CONFIG_OPTION_MODE:
		(void)snprintf(out, TEXT_MAX,
		    "a string of 3 or 4 octal digits up to \"0777\"");
		return;
	case CONFIG_OPTION_STRINGS:
	case CONFIG_OPTION_GROUP:
		break;
	}
	out[0] = '\0';
}

static void
report_unknown(const struct config_group *group,
    const config_setting_t *setting, struct config_report *report)
{
	char names[TEXT_MAX] = "";
	size_t used = 0, skip = strlen(group->prefix);

	for (unsigned i = 0; i < group->n && used < TEXT_MAX; i++)
		used += (size_t)snprintf(names + used, TEXT_MAX - used, "%s%s",
		    i == 0 ? "" : ", ", group->options[i].name + skip);
	config_error_at(report, config_line(setting),
	    "%s%s is no option; one of %s was expected", group->prefix,
	    CONFIG_SHOWN(config_setting_name(setting)), names);
}

/* Options mostly stand as in the table: begins behind the one found last. */
static const struct config_option *
find_option(const struct config_group *group, const char *name, unsigned *at)
{
	size_t skip = strlen(group->prefix);

	for (unsigned i = 0; i < group->n; i++) {
		const struct config_option *option = &group->options[*at];

		*at = *at + 1 == group->n ? 0 : *at + 1;
		if (strcmp(option->name + skip, name) == 0)
			return option;
	}
	return NULL;
}

static void
read_member(const struct config_group *group, const config_setting_t *member,
    const struct config_option *option, void *base,
    struct config_report *report)
{
	char expected[TEXT_MAX], shown[CONFIG_SHOWN_MAX];

	if (option == NULL) {
		report_unknown(group, member, report);
		return;
	}
	if (put_setting(group, option, member, (char *)base + option->offset))
		return;
	describe(option, expected);
	config_error_at(report, config_line(member), "%s: %s; %s was expected",
	    option->name, config_setting_shown(member, shown), expected);
}

void
config_group_read(const struct config_group *group,
    const config_setting_t *setting, void *base, struct config_report *report,
    struct config_found *found_r)
{
	const struct config_option *option;
	const config_setting_t *member;
	char shown[CONFIG_SHOWN_MAX];
	unsigned at = 0;
	int n;

	if (found_r != NULL)
		memset(found_r, 0, sizeof(*found_r));
	if (!config_setting_is_group(setting)) {
		config_error_at(report, config_line(setting),
		    "%.*s: %s; a group { name = value; ... } was expected",
		    (int)strlen(group->prefix) - 1, group->prefix,
		    config_setting_shown(setting, shown));
		return;
	}
	n = config_setting_length(setting);
	for (int i = 0; i < n; i++) {
		member = config_setting_get_elem(setting, (unsigned)i);
		option = find_option(group, config_setting_name(member), &at);
		if (found_r != NULL && option != NULL)
			found_r->setting[option - group->options] = member;
		read_member(group, member, option, base, report);
	}
}
