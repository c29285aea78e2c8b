/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread (whichever runs the event base). */
#include "milter/journal_follower.h"

#ifdef HAVE_LIBSYSTEMD

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "policy/delivery_line.h"

/* Not longer than what sd_journal_get_timeout(3) asks for where the journal
   lies on a file system that tells nothing. */
#ifndef JOURNAL_FOLLOWER_LOOK_MS
#define JOURNAL_FOLLOWER_LOOK_MS 2000
#endif
#define BREATH_MS   1
#define RECORDS_MAX 128 /* a turn: a few milliseconds */
#define TAG_MAX	    256
#define MAIL_RECORD "SYSLOG_FACILITY=2"
#define NO_PERMISSION                                                          \
	"nothing there can be read: add the group systemd-journal to the "     \
	"user, or to SupplementaryGroups= of the service"

struct journal_follower {
	struct event_base *base;
	char *directory; /* NULL: the machine's */
	journal_follower_record_fn *record;
	void *arg;
	sd_journal *journal; /* NULL: cannot be opened */
	struct event *ready; /* of journal, or NULL */
	struct event *look, *breath;
	char *cursor;	   /* of the last record; NULL: none so far */
	uint64_t since_us; /* real time when nothing could be read yet */
	bool at_record;	   /* it stands at one that was not delivered */
	bool is_open;
	bool told; /* that it is not open */
};

static void on_ready(evutil_socket_t fd, short what, void *arg);

static uint64_t
real_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void
report(struct journal_follower *follower, const char *trouble)
{
	const char *name =
	    follower->directory != NULL ? follower->directory : "the journal";

	follower->is_open = trouble == NULL;
	if (trouble != NULL && !follower->told)
		log_warning("%s cannot be followed: %s", name, trouble);
	else if (trouble == NULL && follower->told)
		log_info("%s is followed now", name);
	follower->told = trouble != NULL;
}

/* ---- opening ---- */

/* What may not be read is left out without a word. */
static bool
is_readable(sd_journal *journal)
{
	uint64_t bytes;

	return sd_journal_get_usage(journal, &bytes) >= 0 && bytes > 0;
}

/* Keeps the place, for the time when the journal must be opened anew. */
static void
remember(struct journal_follower *follower)
{
	char *cursor;

	if (sd_journal_get_cursor(follower->journal, &cursor) < 0)
		return;
	free(follower->cursor);
	follower->cursor = cursor;
}

/*
 * To where reading goes on: behind the last record that was read; at the start
 * behind the last one there is; with nothing readable at the start, at what is
 * written from then on.
 */
static int
seek(struct journal_follower *follower)
{
	sd_journal *journal = follower->journal;
	int r;

	follower->at_record = false;
	if (follower->cursor != NULL) {
		r = sd_journal_seek_cursor(journal, follower->cursor);
		if (r >= 0)
			r = sd_journal_next(journal);
		/* Gone meanwhile? Then this is the next one. */
		follower->at_record = r > 0 && sd_journal_test_cursor(journal,
						   follower->cursor) <= 0;
		return r;
	}
	if (follower->since_us != 0)
		return sd_journal_seek_realtime_usec(
		    journal, follower->since_us);
	/* The tail is no record: from there the next one is never found. */
	r = sd_journal_seek_tail(journal);
	if (r >= 0)
		r = sd_journal_previous(journal);
	if (r > 0)
		remember(follower);
	return r == 0 ? sd_journal_seek_head(journal) : r;
}

/* The system's files only: what users write goes elsewhere, where the journal
   is kept on disk. Returns: as libsystemd, negative errno. */
static int
open_files(struct journal_follower *follower)
{
	int r;

	if (follower->directory != NULL)
		r = sd_journal_open_directory(
		    &follower->journal, follower->directory, 0);
	else
		r = sd_journal_open(&follower->journal,
		    SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
	if (r < 0) {
		follower->journal = NULL;
		return r;
	}
	r = sd_journal_set_data_threshold(
	    follower->journal, sizeof("MESSAGE=") + DELIVERY_LINE_MAX);
	if (r >= 0)
		r = sd_journal_add_match(
		    follower->journal, MAIL_RECORD, sizeof(MAIL_RECORD) - 1);
	return r;
}

/* sd_journal_get_events(3) never wants more than to read. */
static int
watch_files(struct journal_follower *follower)
{
	int fd = sd_journal_get_fd(follower->journal);

	if (fd < 0)
		return fd;
	follower->ready = event_new(
	    follower->base, fd, EV_READ | EV_PERSIST, on_ready, follower);
	if (follower->ready == NULL || event_add(follower->ready, NULL) == -1)
		return -ENOMEM;
	return 0;
}

static void
close_journal(struct journal_follower *follower)
{
	if (follower->ready != NULL)
		event_free(follower->ready);
	follower->ready = NULL;
	sd_journal_close(follower->journal);
	follower->journal = NULL;
}

/* Is told, and tried again at the next look. */
static void
give_up(struct journal_follower *follower, int error)
{
	close_journal(follower);
	report(follower, error == EACCES || error == EPERM ? NO_PERMISSION
							   : strerror(error));
}

static void
report_readable(struct journal_follower *follower)
{
	report(follower, is_readable(follower->journal) ? NULL : NO_PERMISSION);
}

static void
open_journal(struct journal_follower *follower)
{
	int r = open_files(follower);

	if (r >= 0)
		r = watch_files(follower);
	if (r >= 0 && follower->cursor == NULL &&
	    !is_readable(follower->journal))
		follower->since_us = real_us();
	if (r >= 0)
		r = seek(follower);
	if (r < 0)
		give_up(follower, -r);
	else
		report_readable(follower);
}

/* ---- records ---- */

/* The value is valid until the next one is asked for. */
static bool
get_field(struct journal_follower *follower, const char *field,
    const char **value_r, size_t *len_r)
{
	size_t head = strlen(field) + 1, len;
	const void *data;

	if (sd_journal_get_data(follower->journal, field, &data, &len) < 0 ||
	    len < head)
		return false;
	*value_r = (const char *)data + head;
	*len_r = len - head;
	return true;
}

static uint32_t
get_pid(struct journal_follower *follower)
{
	const char *value;
	size_t len;
	uint32_t pid = 0;

	if (!get_field(follower, "SYSLOG_PID", &value, &len) &&
	    !get_field(follower, "_PID", &value, &len))
		return 0;
	if (len > 9)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return 0;
		pid = pid * 10 + (uint32_t)(value[i] - '0');
	}
	return pid;
}

static void
deliver(struct journal_follower *follower)
{
	char tag[TAG_MAX];
	const char *value;
	size_t tag_len, len;
	uint32_t pid;

	if (!get_field(follower, "SYSLOG_IDENTIFIER", &value, &tag_len) ||
	    tag_len > sizeof(tag))
		return;
	memcpy(tag, value, tag_len);
	pid = get_pid(follower);
	if (!get_field(follower, "MESSAGE", &value, &len))
		return;
	if (len > DELIVERY_LINE_MAX)
		len = DELIVERY_LINE_MAX;
	/* No MTA logs more than one line at once. */
	if (memchr(value, '\n', len) == NULL)
		follower->record(follower->arg, tag, tag_len, pid, value, len);
}

static int
next_record(struct journal_follower *follower)
{
	if (!follower->at_record)
		return sd_journal_next(follower->journal);
	follower->at_record = false;
	return 1;
}

/* One turn. Returns: true when there may be more to read at once. */
static bool
turn(struct journal_follower *follower)
{
	int r = 0, n = 0;

	if (follower->journal == NULL)
		return false;
	while (n < RECORDS_MAX && (r = next_record(follower)) > 0) {
		deliver(follower);
		n++;
	}
	if (n > 0)
		remember(follower);
	if (r < 0)
		give_up(follower, -r);
	return r > 0;
}

/* ---- events ---- */

/* Events wait meanwhile: others write to the journal, too. */
static void
breathe(struct journal_follower *follower)
{
	struct timeval tv = clock_timeval(BREATH_MS);

	if (event_add(follower->breath, &tv) == 0 && follower->ready != NULL)
		(void)event_del(follower->ready);
}

static void
on_breath(evutil_socket_t fd, short what, void *arg)
{
	struct journal_follower *follower = arg;

	(void)fd;
	(void)what;
	if (turn(follower))
		breathe(follower);
	else if (follower->ready != NULL)
		(void)event_add(follower->ready, NULL);
}

/* Takes up what has changed: more records; files that came or went. */
static void
process(struct journal_follower *follower)
{
	int r = sd_journal_process(follower->journal);

	if (r < 0)
		give_up(follower, -r);
	else if (r == SD_JOURNAL_INVALIDATE)
		report_readable(follower);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct journal_follower *follower = arg;

	(void)fd;
	(void)what;
	process(follower);
	(void)turn(follower);
	breathe(follower);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct journal_follower *follower = arg;

	(void)fd;
	(void)what;
	if (evtimer_pending(follower->breath, NULL))
		return;
	if (follower->journal != NULL && !is_readable(follower->journal))
		close_journal(follower);
	if (follower->journal == NULL)
		open_journal(follower);
	else
		process(follower);
	(void)turn(follower);
	breathe(follower);
}

/* ---- life ---- */

static bool
set_up(struct journal_follower *follower, const char *directory)
{
	struct timeval tv = clock_timeval(JOURNAL_FOLLOWER_LOOK_MS);

	if (directory != NULL) {
		follower->directory = strdup(directory);
		if (follower->directory == NULL)
			return false;
	}
	follower->look =
	    event_new(follower->base, -1, EV_PERSIST, on_look, follower);
	follower->breath = evtimer_new(follower->base, on_breath, follower);
	return follower->look != NULL && follower->breath != NULL &&
	       event_add(follower->look, &tv) == 0;
}

int
journal_follower_create(struct event_base *base, const char *directory,
    journal_follower_record_fn *record, void *arg,
    struct journal_follower **follower_r, struct err *err)
{
	struct journal_follower *follower = calloc(1, sizeof(*follower));

	*follower_r = NULL;
	if (follower != NULL) {
		follower->base = base;
		follower->record = record;
		follower->arg = arg;
	}
	if (follower == NULL || !set_up(follower, directory)) {
		err_set(err, "the journal cannot be followed: out of memory");
		journal_follower_free(&follower);
		return -1;
	}
	open_journal(follower);
	*follower_r = follower;
	return 0;
}

void
journal_follower_free(struct journal_follower **follower)
{
	struct journal_follower *it = *follower;

	*follower = NULL;
	if (it == NULL)
		return;
	close_journal(it);
	if (it->look != NULL)
		event_free(it->look);
	if (it->breath != NULL)
		event_free(it->breath);
	free(it->cursor);
	free(it->directory);
	free(it);
}

bool
journal_follower_is_open(const struct journal_follower *follower)
{
	return follower->is_open;
}

#else

int
journal_follower_create(struct event_base *base, const char *directory,
    journal_follower_record_fn *record, void *arg,
    struct journal_follower **follower_r, struct err *err)
{
	(void)base;
	(void)directory;
	(void)record;
	(void)arg;
	*follower_r = NULL;
	err_set(err, "the journal cannot be followed: this program was built "
		     "without libsystemd");
	return -1;
}

void
journal_follower_free(struct journal_follower **follower)
{
	*follower = NULL;
}

bool
journal_follower_is_open(const struct journal_follower *follower)
{
	(void)follower;
	return false;
}

#endif
