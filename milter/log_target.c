/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the log's writer, or whoever logs where there is none. */
#include "milter/log_target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "milter/log.h"

#define PROGRAM	    "nexthop-milter"
#define HEAD_MAX    192 /* time, host, program, pid, word */
#define WRITE_TRIES 16

struct log_target {
	enum config_log_target kind;
	int fd;	       /* of a file, of syslog's socket, else -1 */
	bool stream;   /* syslog's is one of the rare kind */
	char host[64]; /* this machine, without its domain */
};

static const struct {
	int priority;
	const char *word; /* before the text, as Postfix does it */
} levels[] = {
	[CONFIG_LOG_ERROR] = { LOG_ERR, "error: " },
	[CONFIG_LOG_WARNING] = { LOG_WARNING, "warning: " },
	[CONFIG_LOG_INFO] = { LOG_INFO, "" },
	[CONFIG_LOG_DEBUG] = { LOG_DEBUG, "debug: " },
};
_Static_assert(NELEM(levels) == CONFIG_LOG_DEBUG + 1, "a row for each level");

/*
 * A file never holds us up by its kind: O_NONBLOCK makes a pipe without a
 * reader an error, and a full one a lost line.
 */
static int
open_file(const char *path, struct err *err)
{
	int fd = open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    0640);

	if (fd == -1)
		err_set(err, "log file %s: %s", path, strerror(errno));
	return fd;
}

/*
 * syslog(3) is not used: it blocks without an end when the syslog daemon hangs,
 * with a lock held that openlog(3) wants too, and it never says that a line was
 * lost. Leaves target->fd at -1 when nobody listens.
 */
static void
connect_syslog(struct log_target *target)
{
	static const struct sockaddr_un to = { AF_UNIX, _PATH_LOG };
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };

	for (size_t i = 0; i < NELEM(types); i++) {
		int fd =
		    socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd == -1)
			return;
		if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) ==
		    0) {
			target->fd = fd;
			target->stream = types[i] == SOCK_STREAM;
			return;
		}
		(void)close(fd);
	}
}

static void
open_syslog(struct log_target *target)
{
	connect_syslog(target);
	if (target->fd == -1)
		(void)fprintf(stderr,
		    PROGRAM ": %s: %s: nothing is logged until a syslog "
			    "daemon runs\n",
		    _PATH_LOG, strerror(errno));
}

int
log_target_open(
    const struct config_log *log, struct log_target **target_r, struct err *err)
{
	struct log_target *target = calloc(1, sizeof(*target));

	*target_r = NULL;
	if (target == NULL) {
		err_set(err, "log: out of memory");
		return -1;
	}
	target->kind = log->target;
	target->fd = -1;
	if (gethostname(target->host, sizeof(target->host) - 1) == -1)
		(void)snprintf(target->host, sizeof(target->host), "localhost");
	target->host[strcspn(target->host, ".")] = '\0';
	if (log->target == CONFIG_LOG_SYSLOG)
		open_syslog(target);
	if (log->target == CONFIG_LOG_FILE) {
		target->fd = open_file(log->path, err);
		if (target->fd == -1) {
			free(target);
			return -1;
		}
	}
	*target_r = target;
	return 0;
}

void
log_target_close(struct log_target **target)
{
	if (*target == NULL)
		return;
	if ((*target)->fd != -1)
		(void)close((*target)->fd);
	free(*target);
	*target = NULL;
}

/* "2026-01-31T12:00:00.123456+00:00 ", the way syslog files show it. */
static size_t
put_time(const struct timespec *when, char *out, size_t size)
{
	struct tm tm;
	size_t used;
	long offset;

	if (localtime_r(&when->tv_sec, &tm) == NULL)
		return 0;
	used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	offset = tm.tm_gmtoff / 60;
	used += (size_t)snprintf(out + used, size - used,
	    ".%06ld%c%02ld:%02ld ", when->tv_nsec / 1000,
	    offset < 0 ? '-' : '+', labs(offset) / 60, labs(offset) % 60);
	return used;
}

static size_t
put_file_head(const struct log_target *target, const struct log_entry *entry,
    char *out, size_t size)
{
	size_t used = put_time(&entry->when, out, size);

	used +=
	    (size_t)snprintf(out + used, size - used, "%s " PROGRAM "[%ld]: %s",
		target->host, (long)getpid(), levels[entry->level].word);
	return used;
}

/* Does standard error lead to the journal? (sd-daemon(3), JOURNAL_STREAM) */
static bool
is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;
	char *end;

	if (stream == NULL)
		return false;
	device = strtoumax(stream, &end, 10);
	if (end == stream || *end != ':')
		return false;
	stream = end + 1;
	inode = strtoumax(stream, &end, 10);
	return end > stream && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

static size_t
put_stderr_head(const struct log_entry *entry, char *out, size_t size)
{
	if (is_journal())
		return (size_t)snprintf(out, size, "<%d>%s",
		    levels[entry->level].priority, levels[entry->level].word);
	return (size_t)snprintf(out, size, PROGRAM "[%ld]: %s", (long)getpid(),
	    levels[entry->level].word);
}

/* A pipe or a socket that has room takes a line whole. */
static int
wait_for_room(int fd, int wait_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int n;

	do
		n = poll(&pfd, 1, wait_ms);
	while (n == -1 && errno == EINTR);
	return n == 1 ? 0 : -1;
}

/* "<22>Jan 31 12:00:00 program[pid]: word", what syslog(3) would send. */
static size_t
put_syslog_head(const struct log_entry *entry, char *out, size_t size)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;

	if (localtime_r(&entry->when.tv_sec, &tm) == NULL)
		return 0;
	return (size_t)snprintf(out, size,
	    "<%d>%s %2d %02d:%02d:%02d " PROGRAM "[%ld]: %s",
	    LOG_MAIL | levels[entry->level].priority, months[tm.tm_mon],
	    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)getpid(),
	    levels[entry->level].word);
}

static int
send_syslog(
    struct log_target *target, const char *line, size_t len, int wait_ms)
{
	if (target->fd == -1)
		connect_syslog(target);
	if (target->fd == -1 || wait_for_room(target->fd, wait_ms) == -1)
		return -1;
	if (send(target->fd, line, len, MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	/* Somebody came in between, or the daemon has gone. */
	if (errno != EAGAIN) {
		(void)close(target->fd);
		target->fd = -1;
	}
	return -1;
}

static int
write_syslog(
    struct log_target *target, const struct log_entry *entry, int wait_ms)
{
	char line[HEAD_MAX + LOG_LINE_MAX + 1];
	size_t used = put_syslog_head(entry, line, HEAD_MAX);

	memcpy(line + used, entry->text, entry->len);
	used += entry->len;
	line[used] = '\0';
	if (target->stream)
		used++; /* where it ends a line */
	/* Twice: a syslog daemon that was restarted has another socket. */
	if (send_syslog(target, line, used, wait_ms) == 0)
		return 0;
	return send_syslog(target, line, used, wait_ms);
}

/* One writev for the whole line, so that lines of two processes do not mix; the
   rest of a line that was written in part is tried a few times. */
static int
write_line(
    int fd, const char *head, size_t head_len, const struct log_entry *entry)
{
	static char newline[] = "\n";
	union {
		const char *in;
		char *out;
	} text = { .in = entry->text }, start = { .in = head };
	struct iovec parts[3] = { { start.out, head_len },
		{ text.out, entry->len }, { newline, 1 } };
	size_t at = 0;

	for (int tries = 0; tries < WRITE_TRIES; tries++) {
		ssize_t n = writev(fd, parts + at, (int)(3 - at));

		if (n == -1 && errno != EINTR)
			return -1;
		for (size_t left = n == -1 ? 0 : (size_t)n; at < 3; at++) {
			if (left < parts[at].iov_len) {
				parts[at].iov_base =
				    (char *)parts[at].iov_base + left;
				parts[at].iov_len -= left;
				break;
			}
			left -= parts[at].iov_len;
		}
		if (at == 3)
			return 0;
	}
	return -1;
}

int
log_target_write(
    struct log_target *target, const struct log_entry *entry, int wait_ms)
{
	char head[HEAD_MAX];
	size_t len;

	if (target == NULL || target->kind == CONFIG_LOG_STDERR) {
		len = put_stderr_head(entry, head, sizeof(head));
		if (wait_for_room(STDERR_FILENO, wait_ms) == -1)
			return -1;
		return write_line(STDERR_FILENO, head, len, entry);
	}
	if (target->kind == CONFIG_LOG_SYSLOG)
		return write_syslog(target, entry, wait_ms);
	len = put_file_head(target, entry, head, sizeof(head));
	return write_line(target->fd, head, len, entry);
}
