/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; libconfig's tree does not outlive config_load. */
#include "policy/config.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

#include "policy/config_parse.h"
#include "policy/route.h"
#include "policy/xalloc.h"

/* A text of more bytes is worth asking malloc(3) to give memory back. */
#define TRIM_BYTES ((size_t)1 << 20)

/* -- the tree becomes a configuration ------------------------------------- */

const config_setting_t *
config_written(const struct config_reader *reader, const char *name)
{
	const struct config_section *section;

	for (int i = 0; i < CONFIG_SECTION_COUNT; i++) {
		section = &reader->sections[i];
		for (unsigned j = 0; j < section->group.n; j++) {
			if (strcmp(section->group.options[j].name, name) == 0)
				return section->found.setting[j];
		}
	}
	assert(!"an option of this name");
	return NULL;
}

unsigned
config_written_line(const struct config_reader *reader, const char *name)
{
	const config_setting_t *setting = config_written(reader, name);

	return setting == NULL ? 0 : config_line(setting);
}

void
config_read_strings(struct config_reader *reader, const char *name,
    const char *expected, config_take_fn *take)
{
	const config_setting_t *list = config_written(reader, name), *item;
	char shown[CONFIG_SHOWN_MAX];
	const char *text, *wrong;
	unsigned n;

	if (list == NULL)
		return;
	if (!config_setting_is_list(list) && !config_setting_is_array(list)) {
		config_error_at(reader->report, config_line(list),
		    "%s: %s; an array of strings [ \"...\", ... ] was expected",
		    name, config_setting_shown(list, shown));
		return;
	}
	n = (unsigned)config_setting_length(list);
	for (unsigned i = 0; i < n; i++) {
		item = config_setting_get_elem(list, i);
		text = config_setting_get_string(item);
		wrong =
		    text == NULL ? "is no string" : take(reader, item, text);
		if (wrong != NULL)
			config_error_at(reader->report, config_line(item),
			    "%s: %s %s; %s was expected", name,
			    config_setting_shown(item, shown), wrong, expected);
	}
}

static void
read_section(struct config_reader *reader, enum config_section_name name,
    const config_setting_t *setting)
{
	struct config_section *section = &reader->sections[name];

	if (setting != NULL)
		config_group_read(&section->group, setting, reader->config,
		    reader->report, &section->found);
}

static void
read_sections(struct config_reader *reader, const config_setting_t *root)
{
	static const char *const prefixes[] = {
		[CONFIG_SECTION_TOP] = "",
		[CONFIG_SECTION_LOG] = "log.",
		[CONFIG_SECTION_PROBE] = "probe.",
		[CONFIG_SECTION_DEFER] = "defer.",
		[CONFIG_SECTION_DELIVERY] = "delivery.",
	};

	_Static_assert(
	    NELEM(prefixes) == CONFIG_SECTION_COUNT, "a prefix each");
	for (int i = 0; i < CONFIG_SECTION_COUNT; i++) {
		reader->sections[i].group = config_group_of(prefixes[i], false);
		config_group_defaults(
		    &reader->sections[i].group, reader->config);
	}
	read_section(reader, CONFIG_SECTION_TOP, root);
	read_section(reader, CONFIG_SECTION_LOG, config_written(reader, "log"));
	read_section(
	    reader, CONFIG_SECTION_PROBE, config_written(reader, "probe"));
	read_section(
	    reader, CONFIG_SECTION_DEFER, config_written(reader, "defer"));
	read_section(reader, CONFIG_SECTION_DELIVERY,
	    config_written(reader, "delivery"));
}

static void
prepare_lists(struct config_reader *reader)
{
	reader->pool_group = config_group_of("pools.", true);
	reader->route_group = config_group_of("routes.", true);
	reader->host_group = config_group_of("hosts.", true);
	reader->reply_group = config_group_of("delivery.replies.", true);
	config_group_defaults(&reader->route_group, &reader->route_default);
	config_group_defaults(&reader->host_group, &reader->host_default);
	/* A port in the text ("192.168.1.10:2525") must tell a port that was
	   written from the default, which host_parse knows too. */
	reader->host_default.port = 0;
	hash_index_init(&reader->host_index, 0);
	hash_index_init(&reader->set_index, 0);
	hash_index_init(&reader->pool_index, 0);
}

static void
read_tree(const struct config_tree *tree, struct config *config,
    struct config_report *report)
{
	struct config_reader *reader = xcalloc(1, sizeof(*reader));

	reader->config = config;
	reader->report = report;
	read_sections(reader, config_root_setting(&tree->parsed));
	config_check_options(reader);
	prepare_lists(reader);
	config_read_delivery(reader);
	config_read_pools(reader);
	config_read_routes(reader);
	if (!reader->broken) {
		config_read_not_routed(reader);
		config_check_routes(reader);
		config_check_pools(reader);
	}
	config_sets_finish(reader);
	free(reader->route_lines);
	free(reader);
}

static void
read_source(const struct config_source *source, struct config *config,
    struct config_report *report)
{
	struct config_tree tree;
	char *text = config_pieces_rest(source);

	if (config_tree_parse(&tree, text, 0, report) == 0)
		read_tree(&tree, config, report);
	config_tree_clear(&tree);
	free(text);
}

/* -- what others call ----------------------------------------------------- */

int
config_load(const char *path, struct config **config_r,
    struct config_problems *problems_r)
{
	struct config_source source = { .text = NULL };
	struct config_report report = { .source = &source,
		.problems = problems_r };
	struct config *config = xcalloc(1, sizeof(*config));
	bool large;

	*problems_r = (struct config_problems){ .list = NULL };
	config->path = xstrdup(path);
	if (config_source_read(&source, path, &report) == 0)
		read_source(&source, config, &report);
	config_report_finish(&report);
	/* glibc would keep the trees' memory. */
	large = source.len > TRIM_BYTES;
	config_source_clear(&source);
	if (large)
		(void)malloc_trim(0);
	if (problems_r->n_errors > 0)
		config_free(&config);
	*config_r = config;
	return config == NULL ? -1 : 0;
}

void
config_free(struct config **config)
{
	struct config *old = *config;
	const struct config_option *option;
	char *string;

	*config = NULL;
	if (old == NULL)
		return;
	for (size_t i = 0; i < config_options_count; i++) {
		option = &config_options[i];
		/* Only options of struct config own a string by default. */
		if (option->type != CONFIG_OPTION_STRING ||
		    option->fallback == NULL)
			continue;
		memcpy(&string, (char *)old + option->offset, sizeof(string));
		free(string);
	}
	config_delivery_clear(&old->delivery);
	if (old->index != NULL)
		route_index_free(&old->index);
	free(old->hosts);
	free(old->host_domain);
	free(old->members);
	free(old->sets);
	free(old->routes);
	config_strings_free(&old->strings);
	free(old->path);
	free(old);
}

void
config_problems_free(struct config_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		free(problems->list[i].text);
	free(problems->list);
	*problems = (struct config_problems){ .list = NULL };
}

static bool
differs(const struct config_option *option, const struct config *a,
    const struct config *b)
{
	const char *in_a = (const char *)a + option->offset;
	const char *in_b = (const char *)b + option->offset;
	const char *text_a, *text_b;

	if (option->type != CONFIG_OPTION_STRING)
		return memcmp(in_a, in_b, sizeof(uint32_t)) != 0;
	memcpy(&text_a, in_a, sizeof(text_a));
	memcpy(&text_b, in_b, sizeof(text_b));
	return strcmp(text_a, text_b) != 0;
}

const char *
config_needs_restart(
    const struct config *running, const struct config *wanted, size_t *at)
{
	while (*at < config_options_count) {
		const struct config_option *option = &config_options[(*at)++];

		if (option->needs_restart && differs(option, running, wanted))
			return option->name;
	}
	return NULL;
}

void
config_keep_restart_options(const struct config *running, struct config *wanted)
{
	const struct config_option *option;
	const char *from, *text;
	char *to, *string;

	for (size_t i = 0; i < config_options_count; i++) {
		option = &config_options[i];
		if (!option->needs_restart)
			continue;
		from = (const char *)running + option->offset;
		to = (char *)wanted + option->offset;
		if (option->type != CONFIG_OPTION_STRING) {
			memcpy(to, from, sizeof(uint32_t));
			continue;
		}
		memcpy(&string, to, sizeof(string));
		free(string);
		memcpy(&text, from, sizeof(text));
		string = xstrdup(text);
		memcpy(to, &string, sizeof(string));
	}
}
