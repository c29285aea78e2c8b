/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that reads the configuration. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config_parse.h"
#include "policy/xalloc.h"

#define DEPTH_MAX 10
#define FILES_MAX 10000
#define BYTES_MAX ((size_t)1 << 30)

/* One file on its way into the text. */
struct reading {
	struct config_source *source;
	struct config_report *report;
	unsigned file; /* index into source->files */
	unsigned line; /* the line of `from` in this file */
	unsigned depth;
	const char *from; /* not copied yet */
	const char *at;	  /* not looked at yet */
	const char *end;
};

static int read_into(struct config_source *source, char *name, unsigned depth,
    unsigned asked_at, struct config_report *report);

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* -- the text that grows -------------------------------------------------- */

static void
append(struct config_source *source, const char *bytes, size_t n)
{
	if (source->len + n + 1 > source->size) {
		source->size = (source->len + n + 1) * 2;
		source->text = xreallocarray(source->text, source->size, 1);
	}
	memcpy(source->text + source->len, bytes, n);
	source->len += n;
	source->text[source->len] = '\0';
}

static void
begin_run(struct config_source *source, unsigned file, unsigned line_there)
{
	source->runs = xreallocarray(
	    source->runs, source->n_runs + 1, sizeof(source->runs[0]));
	source->runs[source->n_runs++] =
	    (struct config_source_run){ source->lines + 1, file, line_there };
}

static void
copy_until_here(struct reading *reading)
{
	unsigned lines = 0;
	const char *at = reading->from;

	while ((at = memchr(at, '\n', (size_t)(reading->at - at))) != NULL) {
		lines++;
		at++;
	}
	append(reading->source, reading->from,
	    (size_t)(reading->at - reading->from));
	reading->source->lines += lines;
	reading->line += lines;
	reading->from = reading->at;
}

/* -- what is stepped over ------------------------------------------------- */

/* Returns: false when the string never ends. */
static bool
skip_string(struct reading *reading)
{
	for (reading->at++; reading->at < reading->end; reading->at++) {
		if (*reading->at == '"') {
			reading->at++;
			return true;
		}
		if (*reading->at == '\\' && reading->at + 1 < reading->end)
			reading->at++;
	}
	return false;
}

/* A line end stays: what follows may be an @include. */
static void
skip_blanks(struct reading *reading)
{
	while (reading->at < reading->end &&
	       (*reading->at == ' ' || *reading->at == '\t'))
		reading->at++;
}

static void
skip_line(struct reading *reading)
{
	const char *end =
	    memchr(reading->at, '\n', (size_t)(reading->end - reading->at));

	reading->at = end == NULL ? reading->end : end;
}

/* Returns: false when the comment never ends. */
static bool
skip_comment(struct reading *reading)
{
	const char *end;

	reading->at += 2;
	end =
	    memmem(reading->at, (size_t)(reading->end - reading->at), "*/", 2);
	reading->at = end == NULL ? reading->end : end + 2;
	return end != NULL;
}

static void
step_name(struct reading *reading)
{
	const char *name = reading->at;

	while (reading->at < reading->end &&
	       (is_letter(*reading->at) || is_digit(*reading->at) ||
		   strchr("-_*", *reading->at) != NULL))
		reading->at++;
	config_pieces_name(
	    &reading->source->pieces, name, (size_t)(reading->at - name));
}

/* Whatever else it is. */
static void
step_mark(struct reading *reading)
{
	struct config_source *source = reading->source;

	config_pieces_mark(&source->pieces, *reading->at,
	    source->len + (size_t)(reading->at - reading->from));
	reading->at++;
}

/*
 * libconfig 1.5 keeps the low 32 bits of a number that is too large for it, and
 * says nothing ("port = 4294967321;" became port 25). With an L behind it,
 * every release keeps its value, for the checks of ranges to refuse.
 */
static void
step_number(struct reading *reading)
{
	char text[CONFIG_SHOWN_MAX], *end;
	size_t len = 0;
	bool hex;

	while (reading->at + len < reading->end && len < sizeof(text) - 1 &&
	       (is_digit(reading->at[len]) || is_letter(reading->at[len]) ||
		   reading->at[len] == '.')) {
		text[len] = reading->at[len];
		len++;
	}
	text[len] = '\0';
	hex = strncasecmp(text, "0x", 2) == 0;
	errno = 0;
	if (strtoull(text, &end, hex ? 16 : 10) > INT32_MAX &&
	    (*end == '\0' || errno == ERANGE)) {
		copy_until_here(reading);
		if (errno == ERANGE)
			append(reading->source, "9223372036854775807L", 20);
		else
			append(reading->source, reading->at, len);
		if (errno != ERANGE)
			append(reading->source, "L", 1);
		reading->from = reading->at + len;
	}
	reading->at += len;
}

/* -- @include ------------------------------------------------------------- */

/* The name of the file that says so gives the folder. */
static char *
join(const char *asker, const char *name, size_t len)
{
	const char *slash = strrchr(asker, '/');
	size_t folder = 0;
	char *path;

	if (slash != NULL && name[0] != '/')
		folder = (size_t)(slash - asker) + 1;
	path = xcalloc(folder + len + 1, 1);
	memcpy(path, asker, folder);
	for (size_t i = 0, to = folder; i < len; i++) {
		if (name[i] == '\\' && i + 1 < len)
			i++;
		path[to++] = name[i];
	}
	return path;
}

/*
 * Where the name of an @include line begins, behind its quote; NULL when at
 * (the beginning of a line) is no such line.
 */
static const char *
include_name(const struct reading *reading)
{
	static const char word[] = "@include";
	const char *at = reading->at, *end = reading->end, *blank;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if ((size_t)(end - at) < sizeof(word) ||
	    memcmp(at, word, sizeof(word) - 1) != 0)
		return NULL;
	blank = at += sizeof(word) - 1;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at > blank && at < end && *at == '"' ? at + 1 : NULL;
}

static int
include(struct reading *reading, const char *name)
{
	struct config_source *source = reading->source;
	const char *end = name;
	unsigned here;

	copy_until_here(reading);
	here = source->lines + 1;
	while (end < reading->end && *end != '"' && *end != '\n')
		end += *end == '\\' && end + 1 < reading->end ? 2 : 1;
	if (end >= reading->end || *end != '"') {
		config_error_at(reading->report, here,
		    "@include without a closing quote; @include \"FILE\" was "
		    "expected");
		return -1;
	}
	reading->from = reading->at = end + 1;
	if (read_into(source,
		join(source->files[reading->file], name, (size_t)(end - name)),
		reading->depth + 1, here, reading->report) == -1)
		return -1;
	begin_run(source, reading->file, reading->line);
	return 0;
}

/* -- a file --------------------------------------------------------------- */

/* Returns: 0, or -1 after a report. */
static int
step(struct reading *reading)
{
	const char *at = reading->at;
	char next = at + 1 < reading->end ? at[1] : '\0';
	bool ends = true;

	if (*at == ' ' || *at == '\t')
		skip_blanks(reading);
	else if (*at == '"')
		ends = skip_string(reading);
	else if (*at == '#' || (*at == '/' && next == '/'))
		skip_line(reading);
	else if (*at == '/' && next == '*')
		ends = skip_comment(reading);
	else if (is_digit(*at))
		step_number(reading);
	else if (is_letter(*at) || *at == '*')
		step_name(reading);
	else
		step_mark(reading);
	if (ends)
		return 0;
	reading->at = at;
	copy_until_here(reading);
	config_report_reset(reading->report);
	config_error_at(reading->report, reading->source->lines + 1,
	    "a %s that begins here never ends; %s was expected",
	    *at == '"' ? "string" : "comment",
	    *at == '"' ? "a closing quote" : "*/");
	return -1;
}

static int
scan(struct reading *reading)
{
	bool line_begins = true;
	const char *name;

	while (reading->at < reading->end) {
		name = line_begins ? include_name(reading) : NULL;
		if (name != NULL) {
			if (include(reading, name) == -1)
				return -1;
			continue;
		}
		line_begins = *reading->at == '\n';
		if (step(reading) == -1)
			return -1;
	}
	copy_until_here(reading);
	/* libconfig 1.5 takes a comment without a line end for an error, and
	   the next line of the including file must begin a line. */
	if (reading->end[-1] != '\n') {
		append(reading->source, "\n", 1);
		reading->source->lines++;
	}
	return 0;
}

/*
 * The bytes of a regular file (anything else could block, or never end).
 * Returns: NULL or what is wrong.
 */
static const char *
read_bytes(int fd, size_t room, char **bytes_r, size_t *len_r)
{
	struct stat status;
	size_t size, len = 0;
	ssize_t n;

	if (fstat(fd, &status) == -1)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "not a regular file";
	size = (size_t)status.st_size;
	if (size > room)
		return "too large";
	*bytes_r = xcalloc(size + 1, 1);
	while (len < size) {
		n = read(fd, *bytes_r + len, size - len);
		if (n == -1)
			return strerror(errno);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*len_r = len;
	return memchr(*bytes_r, '\0', len) != NULL ? "has a zero byte" : NULL;
}

static const char *
load_file(const char *name, size_t room, char **bytes_r, size_t *len_r)
{
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	const char *wrong;

	if (fd == -1)
		return strerror(errno);
	wrong = read_bytes(fd, room, bytes_r, len_r);
	close(fd);
	return wrong;
}

/*
 * Takes name over.
 * asked_at: the line of the text that includes it, 0 for the first file.
 */
static int
read_into(struct config_source *source, char *name, unsigned depth,
    unsigned asked_at, struct config_report *report)
{
	struct reading reading = { source, report, source->n_files, 1, depth,
		NULL, NULL, NULL };
	char *bytes = NULL;
	const char *wrong = NULL;
	size_t len = 0;
	int result = -1;

	source->files = xreallocarray(
	    source->files, source->n_files + 1, sizeof(source->files[0]));
	source->files[source->n_files++] = name;
	if (depth > DEPTH_MAX || source->n_files > FILES_MAX)
		wrong = "too many files include each other";
	if (wrong == NULL)
		wrong = load_file(name, BYTES_MAX - source->len, &bytes, &len);
	if (wrong != NULL) {
		config_error_at(report, asked_at,
		    "cannot read \"%s\": %s; a readable configuration file "
		    "was expected",
		    CONFIG_SHOWN(name), wrong);
	} else if (len == 0) {
		result = 0;
	} else {
		reading.from = reading.at = bytes;
		reading.end = bytes + len;
		begin_run(source, reading.file, 1);
		result = scan(&reading);
	}
	free(bytes);
	return result;
}

int
config_source_read(struct config_source *source_r, const char *path,
    struct config_report *report)
{
	if (read_into(source_r, xstrdup(path), 0, 0, report) == -1)
		return -1;
	/* An empty file is a text too. */
	append(source_r, "", 0);
	config_pieces_settle(&source_r->pieces);
	return 0;
}

void
config_source_clear(struct config_source *source)
{
	for (unsigned i = 0; i < source->n_files; i++)
		free(source->files[i]);
	free(source->files);
	free(source->runs);
	free(source->text);
	config_pieces_clear(&source->pieces);
	*source = (struct config_source){ .text = NULL };
}

void
config_source_find(const struct config_source *source, unsigned line,
    const char **file_r, unsigned *line_r)
{
	const struct config_source_run *run = NULL;

	for (size_t i = source->n_runs; i-- > 0 && run == NULL;) {
		if (source->runs[i].line <= line)
			run = &source->runs[i];
	}
	*file_r = source->files[run == NULL ? 0 : run->file];
	*line_r = run == NULL ? line : line - run->line + run->line_there;
}
