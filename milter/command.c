/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the one that runs the loop. */
#include "milter/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "milter/clock.h"
#include "policy/printable.h"

/* How often it is asked for its end: after its output has ended that comes at
   once, before it may never come. */
#define ASK_FIRST_MS 1
#define ASK_MAX_MS   256
#define KILL_WAIT_MS                                                           \
	1000 /* a killed process that does not go is left to init */

#define ENVIRONMENT_MAX 4
#define VARIABLE_MAX	(PATH_MAX + 16)

static const char *const folders[] = { "/usr/sbin", "/usr/bin", "/sbin",
	"/bin" };
static char path_variable[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
/* What postqueue(1) takes from its caller (Postfix: import_environment). */
static const char *const passed_on[] = { "MAIL_CONFIG", "TZ" };

struct command {
	command_done_fn *done;
	void *arg;
	pid_t pid; /* 0: waited for */
	int output_fd;
	struct event *output; /* NULL: it has ended */
	struct event *ask;    /* timer */
	uint32_t ask_ms;
	uint64_t deadline_ms;
	bool killed;
	size_t len;
	char bytes[COMMAND_OUTPUT_MAX];
};

/* -- starting ------------------------------------------------------------- */

/* Returns: path, name itself when it has a slash, or NULL: not found. */
static const char *
find_program(const char *name, char path[PATH_MAX])
{
	int n;

	if (strchr(name, '/') != NULL)
		return name;
	for (size_t i = 0; i < NELEM(folders); i++) {
		n = snprintf(path, PATH_MAX, "%s/%s", folders[i], name);
		if (n > 0 && n < PATH_MAX && access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

struct environment {
	char text[NELEM(passed_on)][VARIABLE_MAX];
	char *list[ENVIRONMENT_MAX];
};

static void
make_environment(struct environment *environment)
{
	const char *value;
	char *text;
	size_t n = 0;
	int len;

	_Static_assert(NELEM(passed_on) + 2 <= ENVIRONMENT_MAX, "room for all");
	environment->list[n++] = path_variable;
	for (size_t i = 0; i < NELEM(passed_on); i++) {
		value = getenv(passed_on[i]);
		text = environment->text[i];
		if (value == NULL)
			continue;
		len =
		    snprintf(text, VARIABLE_MAX, "%s=%s", passed_on[i], value);
		if (len > 0 && len < VARIABLE_MAX)
			environment->list[n++] = text;
	}
	environment->list[n] = NULL;
}

/* Signals as a program expects them, whatever the threads here made of them. */
static int
set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;
	int status;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	status = posix_spawnattr_setsigdefault(attributes, &all);
	if (status == 0)
		status = posix_spawnattr_setsigmask(attributes, &none);
	if (status == 0)
		status = posix_spawnattr_setpgroup(attributes, 0);
	if (status == 0)
		status = posix_spawnattr_setflags(
		    attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
				    POSIX_SPAWN_SETPGROUP);
	return status;
}

/* Ours close by themselves; libmilter has a pipe that does not, and connections
   that do not at first. */
static int
set_files(posix_spawn_file_actions_t *files, int output_fd)
{
	int status;

	status = posix_spawn_file_actions_addopen(
	    files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (status == 0)
		status = posix_spawn_file_actions_adddup2(
		    files, output_fd, STDOUT_FILENO);
	if (status == 0)
		status = posix_spawn_file_actions_adddup2(
		    files, output_fd, STDERR_FILENO);
	if (status == 0)
		status = posix_spawn_file_actions_addclosefrom_np(
		    files, STDERR_FILENO + 1);
	return status;
}

static int
spawn(const char *program, char *const *argv, int output_fd, pid_t *pid_r)
{
	struct environment environment;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int status;

	make_environment(&environment);
	status = posix_spawn_file_actions_init(&files);
	if (status != 0)
		return status;
	status = posix_spawnattr_init(&attributes);
	if (status == 0) {
		status = set_files(&files, output_fd);
		if (status == 0)
			status = set_attributes(&attributes);
		if (status == 0)
			status = posix_spawn(pid_r, program, &files,
			    &attributes, argv, environment.list);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return status;
}

/* -- its end -------------------------------------------------------------- */

static void
destroy(struct command *command)
{
	if (command->output != NULL)
		event_free(command->output);
	if (command->ask != NULL)
		event_free(command->ask);
	if (command->output_fd != -1)
		(void)close(command->output_fd);
	free(command);
}

/* The group cannot be anybody else's as long as nobody has waited for its
   leader. */
static void
kill_group(struct command *command)
{
	(void)kill(-command->pid, SIGKILL);
	/* Before it has become a leader, should that ever be seen. */
	(void)kill(command->pid, SIGKILL);
	command->killed = true;
}

/* What it said is shown in one line. */
static void
join_lines(struct command *command)
{
	while (command->len > 0 && command->bytes[command->len - 1] == '\n')
		command->len--;
	for (size_t i = 0; i < command->len; i++) {
		if (command->bytes[i] == '\n')
			command->bytes[i] = ' ';
	}
}

static void
finish(struct command *command, bool lost, int status)
{
	struct command_result result = { .end = COMMAND_LOST };

	command->pid = 0;
	if (lost) {
		result.end = COMMAND_LOST;
	} else if (WIFEXITED(status)) {
		result.end = COMMAND_EXITED;
		result.status = WEXITSTATUS(status);
	} else {
		result.end =
		    command->killed ? COMMAND_TIMED_OUT : COMMAND_KILLED;
		result.status = WTERMSIG(status);
	}
	join_lines(command);
	printable(
	    command->bytes, command->len, result.output, sizeof(result.output));
	command->done(command->arg, &result);
	destroy(command);
}

static void
ask_in(struct command *command, uint32_t ms)
{
	const struct timeval tv = clock_timeval(ms);

	(void)event_add(command->ask, &tv);
}

static void
on_ask(evutil_socket_t fd, short what, void *arg)
{
	struct command *command = arg;
	pid_t pid;
	int status;

	(void)fd;
	(void)what;
	pid = waitpid(command->pid, &status, WNOHANG);
	if (pid != 0) {
		finish(command, pid == -1, status);
		return;
	}
	if (!command->killed && clock_boot_ms() >= command->deadline_ms)
		kill_group(command);
	if (command->ask_ms < ASK_MAX_MS)
		command->ask_ms *= 2;
	ask_in(command, command->ask_ms);
}

/* -- its output ----------------------------------------------------------- */

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	struct command *command = arg;
	char bytes[4096];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	size_t room = sizeof(command->bytes) - command->len;

	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		if ((size_t)n < room)
			room = (size_t)n;
		memcpy(command->bytes + command->len, bytes, room);
		command->len += room;
		return;
	}
	event_free(command->output);
	command->output = NULL;
	command->ask_ms = ASK_FIRST_MS;
	ask_in(command, 0);
}

/* -- what others call ----------------------------------------------------- */

static int
watch(struct command *command, struct event_base *base)
{
	command->output = event_new(
	    base, command->output_fd, EV_READ | EV_PERSIST, on_output, command);
	command->ask = evtimer_new(base, on_ask, command);
	if (command->output == NULL || command->ask == NULL ||
	    event_add(command->output, NULL) == -1)
		return ENOMEM;
	command->ask_ms = ASK_MAX_MS;
	ask_in(command, ASK_MAX_MS);
	return 0;
}

static int
start(struct command *command, struct event_base *base, char *const *argv)
{
	char path[PATH_MAX];
	const char *program = find_program(argv[0], path);
	int ends[2], status;

	if (program == NULL)
		return ENOENT;
	if (pipe2(ends, O_CLOEXEC) == -1)
		return errno;
	command->output_fd = ends[0];
	status = fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1
		     ? errno
		     : watch(command, base);
	if (status == 0)
		status = spawn(program, argv, ends[1], &command->pid);
	(void)close(ends[1]);
	return status;
}

int
command_start(struct event_base *base, char *const *argv, uint32_t deadline_ms,
    command_done_fn *done, void *arg, struct command **command_r)
{
	struct command *command = calloc(1, sizeof(*command));
	int status;

	*command_r = NULL;
	if (command == NULL)
		return ENOMEM;
	command->output_fd = -1;
	command->done = done;
	command->arg = arg;
	command->deadline_ms = clock_boot_ms() + deadline_ms;
	status = start(command, base, argv);
	if (status == 0)
		*command_r = command;
	else
		destroy(command);
	return status;
}

void
command_free(struct command **command)
{
	const struct timespec pause = { 0, 1000000 };
	struct command *old = *command;
	uint64_t end_ms = clock_boot_ms() + KILL_WAIT_MS;

	*command = NULL;
	if (old == NULL)
		return;
	kill_group(old);
	while (
	    waitpid(old->pid, NULL, WNOHANG) == 0 && clock_boot_ms() < end_ms)
		(void)nanosleep(&pause, NULL);
	destroy(old);
}
