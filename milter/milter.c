/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: libmilter's pool; callbacks of one session run on different threads,
   one at a time, so that all state is in the session (smfi_setpriv). */
#include "milter/milter.h"

#include <assert.h>
#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "milter/clock.h"
#include "milter/log.h"
#include "milter/snapshot.h"
#include "milter/transaction.h"
#include "policy/printable.h"

#define SESSION_MAGIC 0x6e685353u

/* An end-of-message waits 20 ms at most for others' questions (more where the
   machine is busy, and they take longer as well). First in short pauses: a RCPT
   that explains a question comes soon. */
#define SHORT_PAUSE_NS 250000
#define SHORT_PAUSES   4
#define LONG_PAUSE_NS  1000000
#define RESOLVE_PAUSES (SHORT_PAUSES + 19)

/* Milliseconds that the start waits at most for libmilter to begin. */
#define BEGIN_PAUSES_MAX 200

struct session {
	unsigned magic;	 /* it passes through libmilter's void * */
	bool reply_rcpt; /* negotiated: the MTA waits at RCPT */
	struct transaction transaction;
};

static _Atomic unsigned open_transactions;

static struct session *
session_of(SMFICTX *ctx)
{
	struct session *session = smfi_getpriv(ctx);

	assert(session == NULL || session->magic == SESSION_MAGIC);
	return session;
}

static void
transaction_begin(struct session *session)
{
	transaction_reset(&session->transaction);
	session->transaction.open = true;
	atomic_fetch_add(&open_transactions, 1);
}

static void
transaction_end(struct session *session)
{
	bool was_open = session->transaction.open;

	transaction_reset(&session->transaction);
	if (was_open)
		atomic_fetch_sub(&open_transactions, 1);
}

/* Only queue ids are wanted. Without this Postfix would evaluate {mail_host}
   and {rcpt_host}, a question to the map each (src/smtpd/smtpd_milter.c). */
static void
want_few_macros(SMFICTX *ctx)
{
	static const int classes[] = { SMFIM_CONNECT, SMFIM_HELO, SMFIM_ENVFROM,
		SMFIM_ENVRCPT, SMFIM_EOM };
	char queue_id[] = "i";

	for (size_t i = 0; i < NELEM(classes); i++)
		(void)smfi_setsymlist(ctx, classes[i], queue_id);
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long offered_actions,
    unsigned long offered_steps, unsigned long unused2, unsigned long unused3,
    unsigned long *actions_r, unsigned long *steps_r, unsigned long *zero2_r,
    unsigned long *zero3_r)
{
	const unsigned long skipped =
	    SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOBODY | SMFIP_NOHDRS |
	    SMFIP_NOEOH | SMFIP_NOUNKNOWN | SMFIP_NODATA;
	struct session *session = calloc(1, sizeof(*session));
	struct snapshot *snapshot;

	(void)unused2;
	(void)unused3;
	if (session == NULL || smfi_setpriv(ctx, session) != MI_SUCCESS) {
		free(session);
		return SMFIS_REJECT;
	}
	session->magic = SESSION_MAGIC;
	snapshot = snapshot_get();
	session->reply_rcpt = snapshot->config->any_tempfail ||
			      (offered_steps & SMFIP_NR_RCPT) == 0;
	snapshot_put(&snapshot);
	*actions_r = offered_actions & SMFIF_SETSYMLIST;
	*steps_r = offered_steps & (skipped | SMFIP_NR_MAIL);
	if (!session->reply_rcpt)
		*steps_r |= SMFIP_NR_RCPT;
	*zero2_r = 0;
	*zero3_r = 0;
	if (*actions_r != 0)
		want_few_macros(ctx);
	return SMFIS_CONTINUE;
}

static sfsistat
on_mail(SMFICTX *ctx, char **argv)
{
	struct session *session = session_of(ctx);

	(void)argv;
	if (session != NULL) {
		transaction_end(session);
		transaction_begin(session);
	}
	/* libmilter answers for us where NR_MAIL was not granted. */
	return SMFIS_NOREPLY;
}

static sfsistat
refuse(SMFICTX *ctx)
{
	char code[] = "451", status[] = "4.3.1";
	char text[] = "No destination host can take mail for this domain "
		      "now, please try again later";

	(void)smfi_setreply(ctx, code, status, text);
	return SMFIS_TEMPFAIL;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **argv)
{
	struct session *session = session_of(ctx);
	enum transaction_rcpt taken = TRANSACTION_TAKEN;
	struct snapshot *snapshot;

	if (session == NULL)
		return SMFIS_CONTINUE;
	if (argv[0] != NULL) {
		snapshot = snapshot_get();
		taken = transaction_rcpt(&session->transaction, snapshot->base,
		    argv[0], clock_boot_ms());
		snapshot_put(&snapshot);
	}
	if (!session->reply_rcpt)
		return SMFIS_NOREPLY;
	return taken == TRANSACTION_TEMPFAIL ? refuse(ctx) : SMFIS_CONTINUE;
}

static void
log_ticket(void *arg, const char *text)
{
	log_info("%s: %s", (const char *)arg, text);
}

/* Bounded, and only while the MTA resolves recipients that we never saw. */
static void
let_resolve(
    const struct transaction *transaction, const struct lookup_base *base)
{
	struct timespec pause = { 0, SHORT_PAUSE_NS };
	uint64_t first_ms = clock_boot_ms();

	for (int i = 0; i < RESOLVE_PAUSES; i++) {
		if (!transaction_should_wait(
			transaction, base, first_ms, clock_boot_ms()))
			return;
		if (i == SHORT_PAUSES)
			pause.tv_nsec = LONG_PAUSE_NS;
		(void)nanosleep(&pause, NULL);
	}
}

static sfsistat
on_end_of_message(SMFICTX *ctx)
{
	struct session *session = session_of(ctx);
	char macro[] = "i", queue_id[80];
	const char *id = smfi_getsymval(ctx, macro);
	struct snapshot *snapshot;

	if (session == NULL)
		return SMFIS_CONTINUE;
	if (id == NULL)
		id = "NOQUEUE";
	(void)printable(id, strlen(id), queue_id, sizeof(queue_id));
	snapshot = snapshot_get();
	let_resolve(&session->transaction, snapshot->base);
	transaction_decide(&session->transaction, snapshot->base,
	    clock_boot_ms(), log_ticket, queue_id);
	snapshot_put(&snapshot);
	transaction_end(session);
	return SMFIS_CONTINUE;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	struct session *session = session_of(ctx);

	if (session != NULL)
		transaction_end(session);
	return SMFIS_CONTINUE;
}

/* May come without abort or end-of-message, and with libmilter's lock held:
   nothing slow here. */
static sfsistat
on_close(SMFICTX *ctx)
{
	struct session *session = session_of(ctx);

	if (session == NULL)
		return SMFIS_CONTINUE;
	transaction_end(session);
	(void)smfi_setpriv(ctx, NULL);
	session->magic = 0;
	free(session);
	return SMFIS_CONTINUE;
}

static int
register_callbacks(void)
{
	static char name[] = "nexthop-milter";
	struct smfiDesc callbacks = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_SETSYMLIST,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_eom = on_end_of_message,
		.xxfi_abort = on_abort,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};

	return smfi_register(callbacks) == MI_SUCCESS ? 0 : -1;
}

static void *
run(void *arg)
{
	int rc;

	(void)arg;
	/* The threads of libmilter's pool inherit it. */
	(void)pthread_setname_np(pthread_self(), "milter");
	rc = smfi_main();
	/* Nobody here asks it to end: it does when it cannot accept, or when a
	   signal found its way to it. It cannot be started twice, but the
	   supervisor can start another worker. */
	log_error("libmilter has ended with status %d, so does the worker; "
		  "another one follows",
	    rc);
	log_stop();
	_exit(EXIT_FAILURE);
}

/* "fd:N" is Debian's and Ubuntu's addition to libmilter; elsewhere libmilter
   has to open the socket itself. */
static int
open_socket(int listen_fd, const char *path)
{
	char inherited[32], own[512];

	(void)snprintf(inherited, sizeof(inherited), "fd:%d", listen_fd);
	if (smfi_setconn(inherited) == MI_SUCCESS &&
	    smfi_opensocket(0) == MI_SUCCESS)
		return 0;
	(void)snprintf(own, sizeof(own), "%s", path);
	if (smfi_setconn(own) == MI_SUCCESS && smfi_opensocket(1) == MI_SUCCESS)
		return 0;
	return -1;
}

/* The descriptor that whatever is opened next will get. */
static int
next_descriptor(int any_fd)
{
	int fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0);

	if (fd != -1)
		(void)close(fd);
	return fd;
}

/*
 * libmilter opens a pipe to begin with, and ends if it cannot: clients of the
 * map that wait already must not take the last descriptors first. One that does
 * without a pipe is not waited for long.
 */
static void
let_begin(int next_fd)
{
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < BEGIN_PAUSES_MAX; i++) {
		if (next_fd == -1 || fcntl(next_fd, F_GETFD) != -1)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

int
milter_start(int listen_fd, const char *path, struct err *err)
{
	pthread_t thread;
	int next_fd;

	if (register_callbacks() == -1 || open_socket(listen_fd, path) == -1) {
		err_set(err, "libmilter cannot serve %s", path);
		return -1;
	}
	next_fd = next_descriptor(listen_fd);
	if (pthread_create(&thread, NULL, run, NULL) != 0) {
		err_set(err, "cannot start the milter's thread");
		return -1;
	}
	(void)pthread_detach(thread);
	let_begin(next_fd);
	return 0;
}

unsigned
milter_open_transactions(void)
{
	return atomic_load(&open_transactions);
}
