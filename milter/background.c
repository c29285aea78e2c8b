/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: any. */
#include "milter/background.h"

#include <pthread.h>
#include <sys/resource.h>

/* A tenth of the share of others, so that on a machine without a free moment
   loading takes ten times as long, not for ever. */
#define NICE 10

struct job {
	void (*work)(void *arg);
	void *arg;
};

static void *
background_main(void *arg)
{
	const struct job *job = arg;

	/* Linux: 0 is the calling thread, not its process. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	job->work(job->arg);
	return NULL;
}

void
background_run(void (*work)(void *arg), void *arg)
{
	struct job job = { work, arg };
	pthread_t thread;

	if (pthread_create(&thread, NULL, background_main, &job) != 0) {
		work(arg);
		return;
	}
	(void)pthread_join(thread, NULL);
}
