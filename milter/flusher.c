/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/flusher.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "milter/clock.h"
#include "milter/flusher_parts.h"
#include "milter/log.h"
#include "policy/route.h"

#define RECOVERY_END_MS 2000 /* nothing to do for so long: it is over */

#define ALPHANUMERIC                                                           \
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* -- the configuration ---------------------------------------------------- */

static void
free_argv(struct flusher *flusher)
{
	for (size_t i = 0; i < flusher->n_argv; i++)
		free(flusher->argv[i]);
	free(flusher->argv);
	flusher->argv = NULL;
	flusher->n_argv = flusher->message_at = 0;
}

/* Returns: -1 without memory; then there is no command. */
static int
copy_argv(struct flusher *flusher, char *const *argv)
{
	size_t n = 0;

	while (argv[n] != NULL)
		n++;
	flusher->argv = calloc(n + 2, sizeof(flusher->argv[0]));
	if (flusher->argv == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		flusher->argv[i] = strdup(argv[i]);
		if (flusher->argv[i] == NULL)
			return -1;
		flusher->n_argv++;
		if (i > 0 && strcmp(argv[i], "-s") == 0)
			flusher->message_at = i;
	}
	return 0;
}

/* The set that the domain's route has. */
static bool
find_set(const void *arg, const char *domain, uint64_t *set_r)
{
	const struct config *config = arg;
	uint32_t route = route_find(config->index, domain, strlen(domain));

	if (route == ROUTE_NONE || config->routes[route].set == CONFIG_NO_SET)
		return false;
	*set_r = config->sets[config->routes[route].set].key;
	return true;
}

void
flusher_adopt(struct flusher *flusher, const struct config *config)
{
	const struct config_delivery *delivery = &config->delivery;

	free_argv(flusher);
	if (copy_argv(flusher, delivery->flush_command) == -1) {
		log_error("no memory for delivery.flush_command");
		free_argv(flusher);
	}
	flusher->enabled = delivery->flush_on_recovery;
	flusher->flush_again_ms = delivery->flush_again_ms;
	flusher->hopeless = flusher->n_argv == 0;
	flusher->quiet_ms = 0;
	flush_plan_forget_refusals(flusher->plan);
	flush_plan_move(flusher->plan, find_set, config);
}

/* -- what is to be done --------------------------------------------------- */

static void wake(struct flusher *flusher);

static void
on_done(void *arg, const struct command_result *result)
{
	struct flusher *flusher = arg;

	flusher->command = NULL;
	flusher_report(flusher, result);
	wake(flusher);
}

/* What could be taken for an option, or is no queue id, is nobody's word. */
static bool
is_fit(const struct flusher *flusher, const struct flush_step *step)
{
	size_t len = strlen(step->what);

	if (flusher->hopeless || len == 0)
		return false;
	if (step->action == FLUSH_MESSAGE)
		return flusher->message_at > 0 && len < DELIVERY_QUEUE_MAX &&
		       strspn(step->what, ALPHANUMERIC) == len;
	return step->what[0] != '-';
}

static void
could_not_start(struct flusher *flusher, int error)
{
	if (error != ENOENT && error != EACCES && error != ENOEXEC) {
		flusher_tell_trouble(flusher, strerror(error), "");
		return;
	}
	flusher->hopeless = true;
	log_warning("delivery.flush_command: %s: %s; nothing is flushed until "
		    "a reload",
	    flusher->argv[0], strerror(error));
}

/* Returns: whether a command is under way. */
static bool
ask_mta(struct flusher *flusher, const struct flush_step *step)
{
	char option[] = "-i", *kept = NULL;
	char *argument = flusher->step.what;
	int error;

	if (!is_fit(flusher, step))
		return false;
	flusher->step = *step;
	flusher->argv[flusher->n_argv] = argument;
	if (step->action == FLUSH_MESSAGE) {
		kept = flusher->argv[flusher->message_at];
		flusher->argv[flusher->message_at] = option;
	}
	error = command_start(flusher->base, flusher->argv, FLUSHER_DEADLINE_MS,
	    on_done, flusher, &flusher->command);
	if (kept != NULL)
		flusher->argv[flusher->message_at] = kept;
	flusher->argv[flusher->n_argv] = NULL;
	if (error != 0)
		could_not_start(flusher, error);
	return error == 0;
}

static bool
next_trial(struct flusher *flusher, struct flush_step *step)
{
	uint32_t at = flusher->trials_begun % FLUSHER_TRIALS_MAX;

	if (flusher->trials_begun == flusher->trials_asked)
		return false;
	flusher->trials_begun++;
	*step = (struct flush_step){ .action = FLUSH_MESSAGE };
	memcpy(step->what, flusher->trials[at], sizeof(flusher->trials[at]));
	return true;
}

static void
sleep_for(struct flusher *flusher, uint32_t ms)
{
	const struct timeval tv = clock_timeval(ms);

	flusher->awake = false;
	(void)event_add(flusher->timer, &tv);
}

static void
wake(struct flusher *flusher)
{
	if (flusher->awake || flusher->command != NULL)
		return;
	sleep_for(flusher, 0);
	flusher->awake = true;
}

/*
 * One thing at a time. Without flush_on_recovery what is left of a plan is
 * passed over, so that nothing of it is left when that is changed.
 */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct flusher *flusher = arg;
	struct flush_step step;
	uint32_t wait_ms = 0;

	(void)fd;
	(void)what;
	flusher->awake = false;
	assert(flusher->command == NULL);
	if (next_trial(flusher, &step) && ask_mta(flusher, &step))
		return;
	if (flush_plan_next(flusher->plan, clock_boot_ms(), &step, &wait_ms) !=
		FLUSH_NOTHING &&
	    flusher->enabled && ask_mta(flusher, &step))
		return;
	if (wait_ms > RECOVERY_END_MS)
		flusher_end_tally(flusher);
	if (flusher->trials_begun != flusher->trials_asked)
		wake(flusher);
	else if (wait_ms != UINT32_MAX)
		sleep_for(flusher, wait_ms);
}

/* -- what others call ----------------------------------------------------- */

int
flusher_create(
    struct event_base *base, struct flusher **flusher_r, struct err *err)
{
	struct flusher *flusher = calloc(1, sizeof(*flusher));
	struct hash_key key;

	*flusher_r = NULL;
	if (flusher == NULL) {
		err_set(err, "no memory to flush queues");
		return -1;
	}
	clock_random(&key, sizeof(key));
	flusher->base = base;
	flusher->hopeless = true; /* before the first adoption */
	flusher->plan = flush_plan_create(key);
	flusher->timer = evtimer_new(base, on_timer, flusher);
	if (flusher->timer == NULL) {
		err_set(err, "no timer to flush queues");
		flusher_free(&flusher);
		return -1;
	}
	*flusher_r = flusher;
	return 0;
}

void
flusher_free(struct flusher **flusher)
{
	struct flusher *old = *flusher;

	*flusher = NULL;
	if (old == NULL)
		return;
	command_free(&old->command);
	if (old->timer != NULL)
		event_free(old->timer);
	flush_plan_free(&old->plan);
	free_argv(old);
	free(old);
}

void
flusher_waiting(struct flusher *flusher, uint64_t set,
    const struct delivery_waiting *waiting, bool set_is_up)
{
	flush_plan_waiting(flusher->plan, set, waiting,
	    set_is_up && flusher->enabled, clock_boot_ms());
	wake(flusher);
}

void
flusher_blame(struct flusher *flusher, uint64_t set, bool set_is_up)
{
	flush_plan_blame(
	    flusher->plan, set, set_is_up && flusher->enabled, clock_boot_ms());
	wake(flusher);
}

void
flusher_gone(struct flusher *flusher, uint64_t set,
    const struct address *recipient, const char *queue_id)
{
	flush_plan_gone(flusher->plan, set, recipient, queue_id);
}

void
flusher_recovered(struct flusher *flusher, uint64_t set)
{
	if (!flusher->enabled)
		return;
	flush_plan_recovered(
	    flusher->plan, set, clock_boot_ms(), flusher->flush_again_ms);
	wake(flusher);
}

bool
flusher_has_moved(const struct flusher *flusher, uint64_t set)
{
	return flush_plan_has_moved(flusher->plan, set);
}

void
flusher_failed(struct flusher *flusher, uint64_t set)
{
	flush_plan_failed(flusher->plan, set);
}

bool
flusher_try_one(
    struct flusher *flusher, uint64_t set, flusher_ready_fn *ready, void *arg)
{
	char to[ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX];
	struct flush_step step = { .action = FLUSH_MESSAGE };
	char *place =
	    flusher->trials[flusher->trials_asked % FLUSHER_TRIALS_MAX];

	if (flusher->hopeless || flusher->message_at == 0 ||
	    flusher->trials_asked - flusher->trials_begun == FLUSHER_TRIALS_MAX)
		return false;
	if (!flush_plan_take_one(
		flusher->plan, set, clock_boot_ms(), to, step.what))
		return false;
	if (!is_fit(flusher, &step))
		return false;
	memcpy(place, step.what, DELIVERY_QUEUE_MAX);
	flusher->trials_asked++;
	ready(arg, to);
	wake(flusher);
	return true;
}
