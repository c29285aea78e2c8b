/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread (whichever runs the event base). */
#include "milter/log_follower.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/line_splitter.h"
#include "milter/log.h"
#include "milter/log_copy.h"
#include "milter/tail_file.h"

#ifndef LOG_FOLLOWER_LOOK_MS
#define LOG_FOLLOWER_LOOK_MS	 1000
#define LOG_FOLLOWER_STILL_MS	 3000
#define LOG_FOLLOWER_LINGER_MS	 30000
#define LOG_FOLLOWER_PATIENCE_MS 2000
#endif
#define BREATH_MS 1
#define FILES_MAX 8 /* rotated again and again before the first was still */

#define FOLDER_EVENTS                                                          \
	(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)
#define FILE_EVENTS (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)

struct followed {
	struct tail_file file;
	int watch;  /* -1: none */
	bool whole; /* a copy: nobody writes to it any more */
};

/*
 * The first file is the one that is read; the last one is, or was, what the
 * path names. Those between have the lines between.
 */
struct log_follower {
	struct event_base *base;
	char *path, *folder;
	const char *name; /* in path, behind the folder */
	log_follower_line_fn *line;
	void *arg;
	int inotify_fd, folder_watch;
	struct event *notified, *look, *breath;
	struct followed files[FILES_MAX];
	size_t n_files;
	uint64_t still_since_ms; /* the first one has given nothing, or none of
				    the later ones has lines */
	uint64_t grown_since_ms; /* a later one has; 0: none has */
	bool from_end;		 /* nothing was opened, the path never free */
	bool is_open;
	int trouble; /* with the path now; 0, errno, TAIL_NOT_REGULAR */
	int told;    /* the trouble that was logged last; 0: none */
	uint64_t trouble_since_ms;
	struct line_splitter lines;
	struct tail_buffer buffer;
};

/* ---- files ---- */

/* By the descriptor, so that it is this file's, whatever the path names now.
   Without /proc the look once a second has to do. */
static int
watch_file(struct log_follower *follower, int fd)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return inotify_add_watch(follower->inotify_fd, path, FILE_EVENTS);
}

/* Returns: 0, errno, TAIL_NOT_REGULAR. */
static int
open_next(struct log_follower *follower)
{
	struct followed *next = &follower->files[follower->n_files];
	bool in_line = false;
	int error = tail_file_open(follower->path, &next->file);

	if (error != 0)
		return error;
	next->watch = watch_file(follower, next->file.fd);
	next->whole = false;
	if (follower->from_end)
		in_line = tail_file_to_end(&next->file);
	follower->from_end = false;
	if (follower->n_files++ == 0) {
		follower->still_since_ms = clock_boot_ms();
		line_splitter_reset(&follower->lines, in_line);
	}
	return 0;
}

static void
close_first(struct log_follower *follower)
{
	struct followed *first = &follower->files[0];

	if (first->watch != -1)
		(void)inotify_rm_watch(follower->inotify_fd, first->watch);
	tail_file_close(&first->file);
	follower->n_files--;
	memmove(first, first + 1, follower->n_files * sizeof(*first));
}

static bool
is_followed(const struct log_follower *follower, const struct stat *info)
{
	for (size_t i = 0; i < follower->n_files; i++)
		if (tail_file_is(&follower->files[i].file, info))
			return true;
	return false;
}

/*
 * What does the path name now?
 * Returns: 0: a file that is followed; else what is in the way.
 */
static int
look_at_path(struct log_follower *follower)
{
	struct stat info;
	int error = 0;

	if (stat(follower->path, &info) == -1)
		error = errno;
	else if (is_followed(follower, &info) || follower->n_files == FILES_MAX)
		return 0;
	else
		error = open_next(follower);
	if (error == ENOENT || error == ENOTDIR)
		follower->from_end = false;
	return error;
}

/* ---- what is said of it ---- */

static void
warn(const struct log_follower *follower, int error)
{
	const char *path = follower->path;

	if (error == TAIL_NOT_REGULAR)
		log_warning("%s is not followed: it is no regular file", path);
	else if (error == ENOENT)
		log_warning(
		    "%s does not exist: it is followed once it does", path);
	else if (error == EACCES || error == EPERM)
		log_warning("%s cannot be followed: no permission: add the "
			    "file's group (adm on Debian) to the user, or to "
			    "SupplementaryGroups= of the service",
		    path);
	else
		log_warning("%s cannot be followed: %s", path, strerror(error));
}

/*
 * A file that is open is worth a moment's patience: between the two steps of a
 * rotation the path names nothing, or nothing that may be read yet.
 */
static void
report(struct log_follower *follower, int error)
{
	uint64_t now_ms = clock_boot_ms();

	if (error == 0) {
		if (follower->told != 0)
			log_info("%s is followed now", follower->path);
		follower->trouble = follower->told = 0;
		follower->is_open = true;
		return;
	}
	if (follower->trouble == 0)
		follower->trouble_since_ms = now_ms;
	follower->trouble = error;
	if (follower->n_files > 0 &&
	    now_ms - follower->trouble_since_ms < LOG_FOLLOWER_PATIENCE_MS)
		return;
	follower->is_open = false;
	if (follower->told != error)
		warn(follower, error);
	follower->told = error;
}

/* ---- reading ---- */

static void
deliver(struct log_follower *follower, const char *bytes, size_t len)
{
	const char *line;
	size_t n, line_len;

	for (; len > 0; bytes += n, len -= n) {
		n = line_splitter_take(
		    &follower->lines, bytes, len, &line, &line_len);
		if (line != NULL)
			follower->line(follower->arg, line, line_len);
	}
}

/*
 * The first file was truncated. What had not been read by then comes first,
 * from the copy that was made of it. Without a copy what waited has lost its
 * end: put together with what comes now it might become a line that nobody has
 * written.
 */
static void
restart_first(struct log_follower *follower)
{
	struct followed copy = { .watch = -1, .whole = true };
	struct followed *first = &follower->files[0];
	bool found = follower->n_files < FILES_MAX &&
		     log_copy_open(follower->folder, follower->name,
			 &first->file, &copy.file);

	tail_file_restart(&first->file);
	if (!found) {
		line_splitter_reset(&follower->lines, false);
		return;
	}
	memmove(first + 1, first, follower->n_files * sizeof(*first));
	*first = copy;
	follower->n_files++;
}

enum piece {
	PIECE_NONE = 0, /* at the end */
	PIECE_LAST,	/* just come to the end */
	PIECE_FULL	/* there is more */
};

/* Reads from the first file. *error_r is set when that cannot be done. */
static enum piece
read_piece(struct log_follower *follower, int *error_r)
{
	const char *bytes;
	size_t len;

	if (follower->n_files == 0)
		return PIECE_NONE;
	switch (tail_file_read(
	    &follower->files[0].file, &follower->buffer, &bytes, &len)) {
	case TAIL_END:
		return PIECE_NONE;
	case TAIL_ERROR:
		*error_r = errno;
		return PIECE_NONE;
	case TAIL_TRUNCATED:
		if (follower->files[0].whole)
			return PIECE_NONE;
		restart_first(follower);
		return PIECE_FULL;
	case TAIL_DATA:
		break;
	}
	follower->still_since_ms = clock_boot_ms();
	deliver(follower, bytes, len);
	return len == TAIL_PIECE ? PIECE_FULL : PIECE_LAST;
}

static bool
has_grown(const struct log_follower *follower)
{
	struct stat info;

	for (size_t i = 1; i < follower->n_files; i++)
		if (fstat(follower->files[i].file.fd, &info) == 0 &&
		    info.st_size > 0)
			return true;
	return false;
}

/*
 * The first file has been read to its end. It is done with when the path names
 * another one that has lines (its writer has gone there), and it has been still
 * for a while (so have all writers), or the other one has waited for long.
 */
static bool
is_done(struct log_follower *follower)
{
	uint64_t now_ms = clock_boot_ms();

	if (follower->files[0].whole)
		return true;
	if (!has_grown(follower)) {
		follower->grown_since_ms = 0;
		return false;
	}
	if (follower->grown_since_ms == 0)
		follower->grown_since_ms = now_ms;
	if (follower->still_since_ms < follower->grown_since_ms)
		follower->still_since_ms = follower->grown_since_ms;
	return follower->n_files == FILES_MAX ||
	       now_ms - follower->still_since_ms >= LOG_FOLLOWER_STILL_MS ||
	       now_ms - follower->grown_since_ms >= LOG_FOLLOWER_LINGER_MS;
}

/* One turn. Returns: true when there may be more to read at once. */
static bool
turn(struct log_follower *follower)
{
	int error = look_at_path(follower);
	enum piece piece = read_piece(follower, &error);

	report(follower, error);
	if (piece == PIECE_FULL || follower->n_files < 2 || !is_done(follower))
		return piece != PIECE_NONE;
	close_first(follower);
	/* A last line without an end stays without. */
	line_splitter_reset(&follower->lines, false);
	follower->grown_since_ms = 0;
	return true;
}

/* ---- events ---- */

/* Events wait meanwhile: a busy log wakes this thread a thousand times a
   second at most. */
static void
breathe(struct log_follower *follower)
{
	struct timeval tv = clock_timeval(BREATH_MS);

	if (event_add(follower->breath, &tv) == 0)
		(void)event_del(follower->notified);
}

static void
on_breath(evutil_socket_t fd, short what, void *arg)
{
	struct log_follower *follower = arg;

	(void)fd;
	(void)what;
	if (turn(follower))
		breathe(follower);
	else
		(void)event_add(follower->notified, NULL);
}

/* An event tells only that it is time to look. */
static void
on_notified(evutil_socket_t fd, short what, void *arg)
{
	struct log_follower *follower = arg;
	char events[4096];

	(void)what;
	(void)!read(fd, events, sizeof(events));
	(void)turn(follower);
	breathe(follower);
}

/* The folder may not have been there, or be another one now. Adding a watch
   that is there already gives the same number. */
static void
watch_folder(struct log_follower *follower)
{
	int watch = inotify_add_watch(
	    follower->inotify_fd, follower->folder, FOLDER_EVENTS);

	if (watch != follower->folder_watch && follower->folder_watch != -1)
		(void)inotify_rm_watch(
		    follower->inotify_fd, follower->folder_watch);
	follower->folder_watch = watch;
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct log_follower *follower = arg;

	(void)fd;
	(void)what;
	watch_folder(follower);
	if (evtimer_pending(follower->breath, NULL))
		return;
	(void)turn(follower);
	breathe(follower);
}

/* ---- life ---- */

static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return slash == path ? strdup("/")
			     : strndup(path, (size_t)(slash - path));
}

static const char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static bool
set_up(struct log_follower *follower, const char *path)
{
	struct timeval tv = clock_timeval(LOG_FOLLOWER_LOOK_MS);

	follower->path = strdup(path);
	follower->folder = folder_of(path);
	if (follower->path != NULL)
		follower->name = name_of(follower->path);
	follower->notified = event_new(follower->base, follower->inotify_fd,
	    EV_READ | EV_PERSIST, on_notified, follower);
	follower->look =
	    event_new(follower->base, -1, EV_PERSIST, on_look, follower);
	follower->breath = evtimer_new(follower->base, on_breath, follower);
	return follower->path != NULL && follower->folder != NULL &&
	       follower->notified != NULL && follower->look != NULL &&
	       follower->breath != NULL &&
	       event_add(follower->notified, NULL) == 0 &&
	       event_add(follower->look, &tv) == 0;
}

int
log_follower_create(struct event_base *base, const char *path,
    log_follower_line_fn *line, void *arg, struct log_follower **follower_r,
    struct err *err)
{
	struct log_follower *follower = calloc(1, sizeof(*follower));

	*follower_r = NULL;
	if (follower == NULL) {
		err_set(err, "%s cannot be followed: out of memory", path);
		return -1;
	}
	follower->base = base;
	follower->line = line;
	follower->arg = arg;
	follower->folder_watch = -1;
	follower->from_end = true;
	follower->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (follower->inotify_fd == -1 || !set_up(follower, path)) {
		err_set(err, "%s cannot be followed: inotify: %s", path,
		    strerror(errno));
		log_follower_free(&follower);
		return -1;
	}
	watch_folder(follower);
	report(follower, look_at_path(follower));
	*follower_r = follower;
	return 0;
}

void
log_follower_free(struct log_follower **follower)
{
	struct log_follower *it = *follower;

	*follower = NULL;
	if (it == NULL)
		return;
	while (it->n_files > 0)
		close_first(it);
	if (it->notified != NULL)
		event_free(it->notified);
	if (it->look != NULL)
		event_free(it->look);
	if (it->breath != NULL)
		event_free(it->breath);
	if (it->inotify_fd != -1)
		(void)close(it->inotify_fd);
	free(it->folder);
	free(it->path);
	free(it);
}

bool
log_follower_is_open(const struct log_follower *follower)
{
	return follower->is_open;
}
