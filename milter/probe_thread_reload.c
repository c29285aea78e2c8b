/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/probe_thread_parts.h"

#include <stdlib.h>
#include <unistd.h>

#include "milter/log.h"
#include "milter/prober.h"
#include "milter/snapshot.h"
#include "milter/supervisor.h"

static void
tell_problems(
    const struct config_problems *problems, struct control_request *request)
{
	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *one = &problems->list[i];

		log_line(one->warning ? CONFIG_LOG_WARNING : CONFIG_LOG_ERROR,
		    "%s", one->text);
		if (request != NULL)
			control_say(request, "%s%s",
			    one->warning ? "warning: " : "", one->text);
	}
}

static void
tell_kept(const char *options, struct control_request *request)
{
	static const char text[] = "needs a restart to change: the old "
				   "value stays, the rest is applied";

	if (options[0] == '\0')
		return;
	log_warning("%s %s", options, text);
	if (request != NULL)
		control_say(request, "warning: %s %s", options, text);
}

/* Also when the new configuration is bad: the log may have been rotated. */
static void
reopen_log(const struct reload_job *job)
{
	struct snapshot *now = snapshot_get();
	const struct config *config =
	    job->config != NULL ? job->config : now->config;
	struct err err;

	if (log_open(&config->log, &err) == -1)
		log_warning("%s; lines go where they went before", err.text);
	snapshot_put(&now);
}

/* Takes the new configuration up. Returns: 0, or -1 with why; empty: what is
   wrong has been told. */
static int
take_up(struct probe_thread *t, struct reload_job *job, struct err *why)
{
	char said = WORKER_SAYS_RELOADED;

	why->text[0] = '\0';
	if (job->config == NULL || snapshot_adopt(job->config, why) == -1)
		return -1;
	job->config = NULL;
	prober_adopt(t->prober);
	if (write(t->to_fd, &said, 1) != 1)
		log_warning("cannot tell the supervisor of the reload: the "
			    "next worker begins with the old configuration");
	return 0;
}

static void
tell_refused(const struct err *why, struct control_request *request)
{
	struct err text;

	err_set(&text, "configuration not reloaded, the old one stays%s%s",
	    why->text[0] == '\0' ? "" : ": ", why->text);
	log_error("%s", text.text);
	if (request != NULL)
		control_done(request, text.text);
}

static void
tell_reloaded(struct control_request *request)
{
	struct snapshot *snapshot = snapshot_get();

	log_info("configuration reloaded: %u routes, %u hosts, generation %u",
	    (unsigned)snapshot->config->n_routes,
	    (unsigned)snapshot->config->n_hosts,
	    (unsigned)snapshot->generation);
	snapshot_put(&snapshot);
	if (request != NULL)
		control_done(request, NULL);
}

void
probe_thread_finish(struct probe_thread *t, struct reload_job *job)
{
	struct control_request *request =
	    probe_thread_take_waiting(t, job->request);
	struct err why;

	reopen_log(job);
	tell_problems(&job->problems, request);
	tell_kept(job->kept, request);
	if (take_up(t, job, &why) == 0)
		tell_reloaded(request);
	else
		tell_refused(&why, request);
	config_problems_free(&job->problems);
	if (job->config != NULL)
		config_free(&job->config);
	free(job);
}
