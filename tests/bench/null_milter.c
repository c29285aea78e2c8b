/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: libmilter's; main only waits. */
/*
 * The floor that the milter is measured against: one that asks the MTA for the
 * same steps, macros and answers as ours (milter/milter.c, on_negotiate) and
 * does nothing with them.
 *
 *	null_milter SOCKET
 *
 * SOCKET as smfi_setconn takes it; ends with its standard input.
 */
#include <libmilter/mfapi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/compiler.h"

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

	(void)unused2;
	(void)unused3;
	*actions_r = offered_actions & SMFIF_SETSYMLIST;
	*steps_r = offered_steps & (skipped | SMFIP_NR_MAIL | SMFIP_NR_RCPT);
	*zero2_r = 0;
	*zero3_r = 0;
	want_few_macros(ctx);
	return SMFIS_CONTINUE;
}

static sfsistat
on_envelope(SMFICTX *ctx, char **argv)
{
	(void)ctx;
	(void)argv;
	return SMFIS_NOREPLY;
}

static sfsistat
on_event(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_CONTINUE;
}

static void *
run(void *arg)
{
	(void)arg;
	if (smfi_main() != MI_SUCCESS)
		exit(EXIT_FAILURE);
	return NULL;
}

int
main(int argc, char **argv)
{
	static char name[] = "null_milter";
	struct smfiDesc callbacks = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_SETSYMLIST,
		.xxfi_envfrom = on_envelope,
		.xxfi_envrcpt = on_envelope,
		.xxfi_eom = on_event,
		.xxfi_abort = on_event,
		.xxfi_close = on_event,
		.xxfi_negotiate = on_negotiate,
	};
	char bytes[64];
	pthread_t thread;

	if (argc != 2 || smfi_setconn(argv[1]) != MI_SUCCESS ||
	    smfi_register(callbacks) != MI_SUCCESS ||
	    smfi_opensocket(1) != MI_SUCCESS ||
	    pthread_create(&thread, NULL, run, NULL) != 0) {
		fprintf(stderr, "usage: null_milter SOCKET\n");
		return 2;
	}
	while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
		continue;
	return EXIT_SUCCESS;
}
