/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * What the files of the probe thread share: probe_thread.c (the loop and its
 * life), probe_thread_reload.c (taking a new configuration up),
 * probe_thread_commands.c (what the control socket can be asked for). Nobody
 * else includes this.
 * Thread: the probe thread.
 */
#ifndef NH_MILTER_PROBE_THREAD_PARTS_H
#define NH_MILTER_PROBE_THREAD_PARTS_H

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "milter/control.h"
#include "milter/probe_thread.h"
#include "policy/compiler.h"
#include "policy/err.h"

#define PROBE_THREAD_WAITING_MAX 32

/* A client that waits for a reload. */
struct probe_thread_waiting {
	uint64_t id;
	struct control_request *request; /* NULL: free */
};

struct probe_thread {
	pthread_t thread;
	struct event_base *base;
	struct event *bell; /* somebody has left word: wake_fd */
	struct event *tick; /* once a second */
	struct prober *prober;
	struct observer *observer;
	struct flusher *flusher;
	struct control *control;
	int wake_fd, ask_fd, to_fd;
	bool sockets_gone[2]; /* milter's, map's: their names */
	bool table_gone;      /* has been said */
	uint64_t last_id;
	struct probe_thread_waiting waiting[PROBE_THREAD_WAITING_MAX];
	pthread_mutex_t mutex; /* guards the two below */
	struct reload_job *jobs;
	bool stop;
};

/*
 * probe_thread_reload.c
 */
/* Takes up what was read, if it is good; says how it went, to the log and to
   whoever asked. Owns: the job, which is gone then. */
void probe_thread_finish(
    struct probe_thread *t, struct reload_job *job) NH_ALL_NONNULL;

/*
 * probe_thread_commands.c
 */
int probe_thread_open_control(struct probe_thread *t, int control_fd,
    struct err *err) NH_MUSTCHECK NH_ALL_NONNULL;
/* The client that waits for the reload with this number, and waits no more.
   Returns: NULL when nobody does. */
struct control_request *probe_thread_take_waiting(
    struct probe_thread *t, uint64_t id) NH_ALL_NONNULL;

#endif
