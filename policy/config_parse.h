/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of the configuration reader share, and nobody else includes:
 * the text with its includes, the list of problems, the generic reader of
 * groups, and the state of one reading.
 */
#ifndef NH_POLICY_CONFIG_PARSE_H
#define NH_POLICY_CONFIG_PARSE_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policy/compiler.h"
#include "policy/config.h"
#include "policy/hash_index.h"
#include "policy/host.h"
#include "policy/printable.h"

/* For arguments of printf-like calls: valid to the end of the block. */
#define CONFIG_SHOWN_MAX 80
#define CONFIG_SHOWN(text)                                                     \
	printable((text), strlen(text), (char[CONFIG_SHOWN_MAX]){ "" },        \
	    CONFIG_SHOWN_MAX)

/* -- config_source.c: a file and what it includes, as one text ------------ */

struct config_source_run {
	unsigned line;	     /* the first line of the run in the text */
	unsigned file;	     /* index into files */
	unsigned line_there; /* its number in that file */
};

/* Where the routes are cut, and what the scan of the text has seen so far. */
struct config_pieces {
	size_t *at; /* the commas before the pieces, as places in the text */
	size_t n, capacity;
	size_t end;	 /* behind the last one; 0: not seen yet */
	uint32_t routes; /* in all, those before the first comma too */
	uint32_t routes_here;
	size_t comma; /* the last one between two routes; 0: none */
	unsigned depth;
	bool named, inside;
};

struct config_source {
	char *text;
	size_t len, size;
	unsigned lines; /* finished lines of the text */
	struct config_source_run *runs;
	size_t n_runs;
	char **files; /* names as they are shown */
	unsigned n_files;
	struct config_pieces pieces;
};

struct config_report;

/*
 * Reads path and, in place, what its @include lines name (relative to the
 * folder of the file that says so; an absolute path as it is). Done here and
 * not by libconfig, because its releases differ in where they look, and one of
 * them ends the process when the included path is a folder. Numbers that are
 * too large for one of them are written so that all of them see it.
 * Owns: the caller, config_source_clear.
 * Returns: 0, or -1 after a report.
 */
int config_source_read(struct config_source *source_r, const char *path,
    struct config_report *report) NH_MUSTCHECK NH_ALL_NONNULL;
void config_source_clear(struct config_source *source) NH_ALL_NONNULL;

/* Where a line of the text comes from. Owns: the source. */
void config_source_find(const struct config_source *source, unsigned line,
    const char **file_r, unsigned *line_r) NH_ALL_NONNULL;

/* -- config_pieces.c: a long list of routes is parsed piece by piece ------ */

/*
 * libconfig's tree of a million routes takes 1.6 GB, and most of the time to
 * parse them goes into main memory. Pieces are cut between two routes, where
 * the text says the same in pieces as it does as a whole. A short list is one
 * piece with all the rest.
 */

/* The scan tells: a name, or one of "()[]{},", at a place of the text. */
void config_pieces_name(
    struct config_pieces *pieces, const char *name, size_t len) NH_ALL_NONNULL;
void config_pieces_mark(
    struct config_pieces *pieces, char mark, size_t at) NH_ALL_NONNULL;

/* The scan is over. A list without an end is left whole, for the parser to say
   where it broke. */
void config_pieces_settle(struct config_pieces *pieces) NH_ALL_NONNULL;

/* The text without the pieces, with all its lines. Owns: the caller. */
char *config_pieces_rest(const struct config_source *source) NH_ALL_NONNULL;

/* A piece as a text of its own: a list of routes. Begins zeroed. */
struct config_piece {
	char *text;	       /* the caller's to free, after the last one */
	unsigned lines_before; /* in the source */
	size_t number, size, counted; /* config_pieces.c's own */
};
/* Returns: false when there are no more. */
bool config_pieces_next(const struct config_source *source,
    struct config_piece *piece) NH_ALL_NONNULL;

void config_pieces_clear(struct config_pieces *pieces) NH_ALL_NONNULL;

/* -- config_report.c: problems in the order of the text ------------------- */

#define CONFIG_REPORT_MAX 10000 /* listed; the others are counted */

struct config_report {
	const struct config_source *source;
	struct config_problems *problems;
	unsigned *lines; /* parallel to problems->list */
	size_t capacity;
	size_t dropped;
};

/* An error, or a warning, at a line of the text (0: the file as a whole). */
void config_error_at(struct config_report *report, unsigned line,
    const char *fmt, ...) NH_PRINTF(3, 4);
void config_warn_at(struct config_report *report, unsigned line,
    const char *fmt, ...) NH_PRINTF(3, 4);

/* Forgets what was found so far: a syntax error stands alone. */
void config_report_reset(struct config_report *report) NH_ALL_NONNULL;

/* Puts the list in the order of the text and frees what the caller of
   config_load does not get. */
void config_report_finish(struct config_report *report) NH_ALL_NONNULL;

/* -- config_group.c: the generic reader ----------------------------------- */

#define CONFIG_GROUP_OPTIONS_MAX 32

/* The options of one group: a stretch of config_options. */
struct config_group {
	const char *prefix; /* "probe." or "" for the top level */
	const struct config_option *options;
	unsigned n;
	bool borrow; /* strings stay the tree's, else they are copied */
};

/* What was found of a group, parallel to its options; NULL: not written. */
struct config_found {
	const config_setting_t *setting[CONFIG_GROUP_OPTIONS_MAX];
};

/* prefix: "", "log.", "routes." ... */
struct config_group config_group_of(
    const char *prefix, bool borrow) NH_ALL_NONNULL;

/* Puts the defaults of group into base. */
void config_group_defaults(
    const struct config_group *group, void *base) NH_ALL_NONNULL;

/*
 * Reads setting (a group, else an error) into base: generic types at the
 * option's offset, of the others only where they are. Every unknown option,
 * wrong type and value out of range is reported.
 * found_r: NULL when nobody asks.
 */
void config_group_read(const struct config_group *group,
    const config_setting_t *setting, void *base, struct config_report *report,
    struct config_found *found_r) NH_NONNULL(1, 2, 3, 4);

/* Has text from min to max bytes, and no control character? */
bool config_text_is_good(
    const char *text, double min, double max) NH_ALL_NONNULL;

/* Value or kind of a setting, as people would write it. Returns: out. */
char *config_setting_shown(
    const config_setting_t *setting, char out[CONFIG_SHOWN_MAX]) NH_ALL_NONNULL;

/* -- config_tree.c: libconfig's tree of a stretch of the text ------------- */

struct config_tree {
	config_t parsed; /* first: its settings know it */
	unsigned lines_before;
};

/*
 * Parses text; what stands before it in the source are lines_before lines.
 * Owns: the caller, config_tree_clear, after an error too.
 * Returns: 0, or -1 after a report, which stands alone.
 */
int config_tree_parse(struct config_tree *tree_r, const char *text,
    unsigned lines_before,
    struct config_report *report) NH_MUSTCHECK NH_ALL_NONNULL;
void config_tree_clear(struct config_tree *tree) NH_ALL_NONNULL;

/* The line of a setting in the source. */
static inline unsigned
config_line(const config_setting_t *setting)
{
	const struct config_tree *tree =
	    (const struct config_tree *)setting->config;

	return tree->lines_before + setting->line;
}

/* -- one reading ---------------------------------------------------------- */

/* Members of the lists, as written; the table of options has the offsets. */
struct config_raw_host {
	const char *host;
	uint32_t port; /* 0: not written */
	uint32_t priority;
	uint32_t weight;
};

struct config_raw_pool {
	const char *name;
	const config_setting_t *hosts;
};

struct config_raw_route {
	const char *domain;
	const config_setting_t *hosts;
	const char *pool;
	bool use_dns;
	uint32_t when_all_deferred;
};

struct config_raw_reply {
	uint32_t stage; /* which word */
	const char *reply;
	const char *text;
	uint32_t concerns; /* enum smtp_trouble */
};

/* A host of the list that is being read. */
struct config_item {
	struct host host;
	unsigned line;
	uint16_t priority;
	uint16_t weight;
};

struct config_pool {
	const char *name; /* the tree's */
	const config_setting_t *hosts;
	unsigned line;
	bool good; /* its hosts could be read */
	bool used;
	uint32_t set; /* once used */
};

/* A group that is written at most once. */
enum config_section_name {
	CONFIG_SECTION_TOP = 0,
	CONFIG_SECTION_LOG,
	CONFIG_SECTION_PROBE,
	CONFIG_SECTION_DEFER,
	CONFIG_SECTION_DELIVERY,
	CONFIG_SECTION_COUNT
};

struct config_section {
	struct config_group group;
	struct config_found found;
};

struct config_reader {
	struct config *config;
	struct config_report *report;
	struct config_section sections[CONFIG_SECTION_COUNT];

	struct config_group pool_group, route_group, host_group, reply_group;
	struct config_raw_route route_default;
	struct config_raw_host host_default;

	struct config_item items[CONFIG_SET_HOSTS_MAX];
	uint32_t hosts_capacity, members_capacity, sets_capacity;
	struct hash_index host_index, set_index, pool_index;
	struct config_pool *pools;
	uint32_t n_pools;
	unsigned *route_lines; /* parallel to config->routes */
	uint32_t routes_capacity;
	bool broken; /* a piece is no syntax: nothing else is worth a word */
	bool too_many_hosts;
};

/* -- config.c ------------------------------------------------------------- */

/* The setting of an option ("probe.helo"); NULL: not written. */
const config_setting_t *config_written(
    const struct config_reader *reader, const char *name) NH_ALL_NONNULL;
/* Its line; 0: not written. */
unsigned config_written_line(
    const struct config_reader *reader, const char *name) NH_ALL_NONNULL;

/*
 * Reads an option that is an array or a list of strings.
 * take: gets each of them; returns NULL, or what is wrong with it, which is
 * reported together with what was expected.
 */
typedef const char *config_take_fn(struct config_reader *reader,
    const config_setting_t *setting, const char *text);
void config_read_strings(struct config_reader *reader, const char *name,
    const char *expected, config_take_fn *take) NH_ALL_NONNULL;

/* -- config_hosts.c: lists of hosts --------------------------------------- */

/*
 * Reads a list of hosts into reader->items. where: the option's name.
 * Returns: the number of hosts, or 0 after a report.
 */
unsigned config_read_items(struct config_reader *reader,
    const config_setting_t *list, const char *where) NH_ALL_NONNULL;

/*
 * Returns: the number of the item's host in config->hosts; a new one belongs
 * to the route that is being read.
 */
uint32_t config_host_number(struct config_reader *reader,
    const struct config_item *item) NH_ALL_NONNULL;

/* -- config_sets.c: pools and sets ---------------------------------------- */

/* Reads the pools; each is checked, none becomes a set before it is used. */
void config_read_pools(struct config_reader *reader) NH_ALL_NONNULL;

/*
 * The set of a list of hosts or of a named pool, for the route that is being
 * read. Returns: its index, or CONFIG_NO_SET after a report.
 */
uint32_t config_set_of_hosts(struct config_reader *reader,
    const config_setting_t *hosts, const char *where) NH_ALL_NONNULL;
uint32_t config_set_of_pool(struct config_reader *reader, const char *name,
    unsigned line) NH_ALL_NONNULL;

/* Warns of pools that no route uses. */
void config_check_pools(struct config_reader *reader) NH_ALL_NONNULL;

/* Frees what only the reading needed, gives back unused room. */
void config_sets_finish(struct config_reader *reader) NH_ALL_NONNULL;

/* -- config_routes.c ------------------------------------------------------ */

/* A block of strings, newest first in config->strings. */
struct config_strings {
	struct config_strings *before;
	uint32_t used;
	char text[65536 - 32]; /* with malloc's words about 64 kB */
};

void config_read_routes(struct config_reader *reader) NH_ALL_NONNULL;
void config_strings_free(struct config_strings **strings) NH_ALL_NONNULL;
void config_read_not_routed(struct config_reader *reader) NH_ALL_NONNULL;

/* -- config_delivery.c: what the generic reader leaves of this group ------ */

void config_read_delivery(struct config_reader *reader) NH_ALL_NONNULL;
void config_delivery_clear(struct config_delivery *delivery) NH_ALL_NONNULL;

/* -- config_check.c: what one option alone cannot say --------------------- */

void config_check_options(struct config_reader *reader) NH_ALL_NONNULL;
void config_check_routes(struct config_reader *reader) NH_ALL_NONNULL;
bool config_path_is_absolute(const char *path) NH_ALL_NONNULL;

#endif
