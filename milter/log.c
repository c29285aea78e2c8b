/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any; writer_main is a thread of its own. */
#include "milter/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "milter/log_queue.h"
#include "milter/log_target.h"

/* How long log_stop waits for a target that does not take lines. */
#define STOP_WAIT_S 3
/* How long a line may hold up a process that has no writer: the supervisor,
   whom a stuck log must not keep from starting a worker. */
#define DIRECT_WAIT_MS 500
/* How long the writer lets lines gather when it has written all there were: to
   wake it for each costs whoever logs more than the line itself. */
#define GATHER_TURNS   5
#define GATHER_TURN_MS 2

/*
 * The queue and all below it are guarded by queue_lock, which is never held
 * while a line is written. The target belongs to whoever holds target_lock;
 * while the writer runs only the writer takes that.
 */
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static bool running;  /* there is a writer */
static bool stopping; /* it is to end when the queue is empty */
static bool urgent;   /* what came since it was empty is not to wait */
static uint64_t lost; /* lines that could not be queued or written */
static struct log_target *pending; /* opened anew, not taken up yet */
static bool has_pending;

static pthread_mutex_t target_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_target *target; /* NULL: standard error */

static pthread_t writer;
static _Atomic int threshold = CONFIG_LOG_INFO;

/* Takes up a target that log_open left. Needs target_lock. */
static void
take_pending(void)
{
	struct log_target *old = NULL;

	(void)pthread_mutex_lock(&queue_lock);
	if (has_pending) {
		old = target;
		target = pending;
		pending = NULL;
		has_pending = false;
	}
	(void)pthread_mutex_unlock(&queue_lock);
	log_target_close(&old);
}

static void
count_lost(uint64_t n)
{
	(void)pthread_mutex_lock(&queue_lock);
	lost += n;
	(void)pthread_mutex_unlock(&queue_lock);
}

/* Says how many lines are missing, once one can be written again. */
static void
say_lost(int wait_ms)
{
	char text[64];
	struct log_entry entry = { .level = CONFIG_LOG_WARNING, .text = text };
	uint64_t n;

	(void)pthread_mutex_lock(&queue_lock);
	n = lost;
	lost = 0;
	(void)pthread_mutex_unlock(&queue_lock);
	if (n == 0)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &entry.when);
	entry.len = (size_t)snprintf(text, sizeof(text),
	    "%llu log lines were dropped", (unsigned long long)n);
	if (log_target_write(target, &entry, wait_ms) == -1)
		count_lost(n);
}

static void
write_now(const struct log_entry *entry, int wait_ms)
{
	(void)pthread_mutex_lock(&target_lock);
	take_pending();
	if (log_target_write(target, entry, wait_ms) == -1)
		count_lost(1);
	else
		say_lost(wait_ms);
	(void)pthread_mutex_unlock(&target_lock);
}

/* Needs queue_lock, and gives it up meanwhile. */
static void
let_gather(void)
{
	const struct timespec pause = { 0, GATHER_TURN_MS * 1000000L };

	urgent = false;
	for (int i = 0; i < GATHER_TURNS && !urgent && !stopping; i++) {
		(void)pthread_mutex_unlock(&queue_lock);
		(void)nanosleep(&pause, NULL);
		(void)pthread_mutex_lock(&queue_lock);
	}
}

/* Waits for the next line. Returns: false when all is written and it is time
   to end. */
static bool
wait_for_entry(struct log_entry *entry_r, char *text, size_t size)
{
	bool taken;

	(void)pthread_mutex_lock(&queue_lock);
	if (log_queue_is_empty() && !stopping)
		let_gather();
	while (log_queue_is_empty() && !stopping)
		(void)pthread_cond_wait(&queue_filled, &queue_lock);
	taken = log_queue_take(entry_r, text, size);
	if (!taken)
		running = false;
	(void)pthread_mutex_unlock(&queue_lock);
	return taken;
}

static void *
writer_main(void *arg)
{
	struct log_entry entry;
	char text[LOG_LINE_MAX];

	(void)pthread_setname_np(pthread_self(), "log");
	while (wait_for_entry(&entry, text, sizeof(text)))
		write_now(&entry, -1);
	return arg;
}

int
log_open(const struct config_log *log, struct err *err)
{
	struct log_target *fresh, *unused = NULL;
	bool direct;

	if (log_target_open(log, &fresh, err) == -1)
		return -1;
	(void)pthread_mutex_lock(&queue_lock);
	if (has_pending)
		unused = pending;
	pending = fresh;
	has_pending = true;
	direct = !running;
	(void)pthread_mutex_unlock(&queue_lock);
	log_target_close(&unused);
	atomic_store_explicit(
	    &threshold, (int)log->level, memory_order_relaxed);
	if (direct) {
		(void)pthread_mutex_lock(&target_lock);
		take_pending();
		(void)pthread_mutex_unlock(&target_lock);
	}
	return 0;
}

int
log_start(void)
{
	sigset_t all, old;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	(void)pthread_mutex_lock(&queue_lock);
	stopping = false;
	running = true;
	rc = pthread_create(&writer, NULL, writer_main, NULL);
	if (rc != 0)
		running = false;
	(void)pthread_mutex_unlock(&queue_lock);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? 0 : -1;
}

void
log_stop(void)
{
	struct timespec until;
	bool had_writer;

	(void)pthread_mutex_lock(&queue_lock);
	had_writer = running && !stopping;
	stopping = true;
	(void)pthread_cond_signal(&queue_filled);
	(void)pthread_mutex_unlock(&queue_lock);
	if (!had_writer)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_S;
	/* A writer that is stuck in its target is left behind: what is logged
	   from here on is queued and lost, but the process can end. */
	if (pthread_timedjoin_np(writer, NULL, &until) != 0)
		(void)pthread_detach(writer);
}

bool
log_wants(enum config_log_level level)
{
	return (int)level <=
	       atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* Returns: true when the line is the writer's business (queued or dropped). */
static bool
hand_over(const struct log_entry *entry)
{
	bool mine;

	(void)pthread_mutex_lock(&queue_lock);
	mine = running;
	if (mine) {
		if (!log_queue_put(entry))
			lost++;
		urgent = urgent || entry->level <= CONFIG_LOG_WARNING ||
			 log_queue_is_filling();
		(void)pthread_cond_signal(&queue_filled);
	}
	(void)pthread_mutex_unlock(&queue_lock);
	return mine;
}

static size_t NH_PRINTF(2, 0)
    format_line(char text[LOG_LINE_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(text, LOG_LINE_MAX, fmt, ap);
	size_t len = n < 0 ? 0 : (size_t)n;

	if (len >= LOG_LINE_MAX) {
		len = LOG_LINE_MAX - 1;
		memcpy(text + len - 3, "...", 3);
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	return len;
}

static void NH_PRINTF(2, 0)
    log_va(enum config_log_level level, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX];
	struct log_entry entry = { .level = level, .text = text };
	int saved = errno;

	if (!log_wants(level))
		return;
	entry.len = format_line(text, fmt, ap);
	(void)clock_gettime(CLOCK_REALTIME, &entry.when);
	if (!hand_over(&entry))
		write_now(&entry, DIRECT_WAIT_MS);
	errno = saved;
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(CONFIG_LOG_ERROR, fmt, ap);
	va_end(ap);
}

void
log_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(CONFIG_LOG_WARNING, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(CONFIG_LOG_INFO, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(CONFIG_LOG_DEBUG, fmt, ap);
	va_end(ap);
}

void
log_line(enum config_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(level, fmt, ap);
	va_end(ap);
}
