/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "milter/ctl_status.h"

#include <stdlib.h>
#include <string.h>

#include "milter/ctl_history.h"
#include "milter/ctl_host.h"
#include "tests/fuzz/hostile_table.h"

#define OUTPUT_MAX 65536 /* of a few hosts */

/* Some of the hosts of the good table, and one that it does not have. */
static const char hosts[] =
    "milter_socket = \"unix:/run/nexthop-milter/milter\";\n"
    "map_socket = \"unix:/run/nexthop-milter/map\";\n"
    "health_table = \"/run/nexthop-milter/health\";\n"
    "transport = \"nexthop\";\n"
    "routes = (\n"
    "{ domain = \"example.com\"; hosts = ({ host = \"10.0.0.1\"; },\n"
    "  { host = \"10.0.0.2\"; }, { host = \"10.0.0.99\"; }); },\n"
    "{ domain = \"ALL\"; use_dns = true; });\n";

/* What one of the commands prints. */
struct page {
	FILE *out;
	char *text;
	size_t len;
};

static void
page_open(struct page *page)
{
	page->out = open_memstream(&page->text, &page->len);
	require(page->out != NULL, "there is memory");
}

/* A terminal is safe from it. */
static void
page_close(struct page *page)
{
	require(fclose(page->out) == 0, "it is printed");
	require(page->len < OUTPUT_MAX, "what is printed is bounded");
	for (size_t i = 0; i < page->len; i++)
		require(page->text[i] == '\n' ||
			    (page->text[i] >= ' ' && page->text[i] <= '~'),
		    "what is printed is printable");
	free(page->text);
}

static void
print_status(const struct ctl *ctl)
{
	struct page page;

	page_open(&page);
	ctl_status_text(ctl, page.out);
	page_close(&page);
}

static void
print_json(const struct ctl *ctl)
{
	json_t *root = ctl_status_json(ctl), *again;
	char *text = json_dumps(root, JSON_COMPACT);

	require(text != NULL && strlen(text) < OUTPUT_MAX,
	    "a status can be written");
	again = json_loads(text, 0, NULL);
	require(again != NULL && json_equal(root, again),
	    "who reads it has the same status");
	json_decref(again);
	json_decref(root);
	free(text);
}

static void
print_history(const struct ctl *ctl, unsigned i)
{
	struct host host = hostile_host(i);
	struct page page;

	if (health_table_find_host(ctl->table, &host) == HEALTH_TABLE_NONE)
		return;
	page_open(&page);
	(void)ctl_history_print(ctl, host.name, page.out);
	ctl_host_suggest(ctl, "10.0.0.7", page.out);
	page_close(&page);
}

/* With the configuration, and without it as on a bad night. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *config;
	struct feed input = { data, size };
	struct ctl ctl = { .now_ms = HOSTILE_NOW_MS };
	struct err why;

	if (config == NULL)
		config = config_of(hosts);
	hostile_table_put(&input);
	if (health_table_attach(hostile_table_path(), hostile_birth.boot_id,
		&ctl.table, &why) == -1)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		ctl.config = i == 0 ? config : NULL;
		print_status(&ctl);
		print_json(&ctl);
		print_history(&ctl, i);
	}
	health_table_close(&ctl.table);
	return 0;
}
