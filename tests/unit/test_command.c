/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one; it turns the loop. */
#include "milter/command.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/clock.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define LONG_MS 20000 /* a deadline that no test reaches */

static struct event_base *base;
static struct command *command;
static struct command_result result;
static int n_done, n_files;

static int
count_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(folder);
	while (readdir(folder) != NULL)
		n++;
	closedir(folder);
	return n;
}

static void
begin(void)
{
	scratch_begin();
	base = event_base_new();
	n_done = 0;
	n_files = count_files();
}

/* Nothing is left: no event, no descriptor, no process. */
static void
end(void)
{
	ck_assert_int_eq(event_base_get_num_events(base,
			     EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE),
	    0);
	ck_assert_int_eq(count_files(), n_files);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	event_base_free(base);
	scratch_end();
}

static void
on_end(void *arg, const struct command_result *got)
{
	ck_assert_ptr_eq(arg, &n_done);
	result = *got;
	n_done++;
}

static int
start(char *const *argv, uint32_t deadline_ms)
{
	return command_start(
	    base, argv, deadline_ms, on_end, &n_done, &command);
}

/* Runs it to its end; the loop ends when no event is left. */
static void
run(char *const *argv, uint32_t deadline_ms)
{
	ck_assert_int_eq(start(argv, deadline_ms), 0);
	ck_assert_ptr_nonnull(command);
	ck_assert_int_eq(n_done, 0);
	(void)event_base_dispatch(base);
	ck_assert_int_eq(n_done, 1);
}

/* The path of a script of this text. */
static char *
script(const char *text)
{
	static char path[SCRATCH_PATH_MAX];
	char whole[2048];

	snprintf(whole, sizeof(whole), "#!/bin/sh\ncd %s\n%s\n", scratch_folder,
	    text);
	scratch_write("script", whole);
	ck_assert_int_eq(chmod(scratch_path("script", path), 0755), 0);
	return path;
}

static void
run_script(const char *text, uint32_t deadline_ms)
{
	char *argv[] = { script(text), NULL };

	run(argv, deadline_ms);
}

static void
check_ended(enum command_end how, int status, const char *output)
{
	ck_assert_int_eq(result.end, how);
	ck_assert_int_eq(result.status, status);
	ck_assert_str_eq(result.output, output);
}

/* -- what the program gets ------------------------------------------------ */

START_TEST(a_program_gets_its_arguments_as_they_are)
{
	char *argv[] = { script("for a; do echo \"<$a>\"; done"), "a b", "",
		"$HOME;*", NULL };

	run(argv, LONG_MS);
	check_ended(COMMAND_EXITED, 0, "<a b> <> <$HOME;*>");
}
END_TEST

START_TEST(its_environment_is_small)
{
	char *argv[] = { "env", NULL };

	ck_assert_int_eq(setenv("MAIL_CONFIG", "/etc/postfix-out", 1), 0);
	ck_assert_int_eq(setenv("LD_PRELOAD", "", 1), 0);
	ck_assert_int_eq(setenv("PATH", "/nowhere", 1), 0);
	ck_assert_int_eq(unsetenv("TZ"), 0);
	run(argv, LONG_MS);
	check_ended(COMMAND_EXITED, 0,
	    "PATH=/usr/sbin:/usr/bin:/sbin:/bin MAIL_CONFIG=/etc/postfix-out");
}
END_TEST

START_TEST(its_input_is_empty_and_nothing_of_ours_is_open_in_it)
{
	char *input[] = { "readlink", "/proc/self/fd/0", NULL };
	char *files[] = { "ls", "/proc/self/fd", NULL };
	int sockets[2];

	run(input, LONG_MS);
	check_ended(COMMAND_EXITED, 0, "/dev/null");
	n_done = 0;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	run(files, LONG_MS);
	/* The last one is the folder that is listed. */
	check_ended(COMMAND_EXITED, 0, "0 1 2 3");
	close(sockets[0]);
	close(sockets[1]);
}
END_TEST

static const int signals[] = { SIGHUP, SIGTERM, SIGINT, SIGPIPE, SIGUSR1 };

START_TEST(signals_are_for_it_as_for_any_program)
{
	char text[32];
	sigset_t all;

	sigfillset(&all);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &all, NULL), 0);
	ck_assert(signal(signals[_i], SIG_IGN) != SIG_ERR);
	snprintf(text, sizeof(text), "kill -%d $$", signals[_i]);
	run_script(text, LONG_MS);
	check_ended(COMMAND_KILLED, signals[_i], "");
}
END_TEST

/* -- how it ends ---------------------------------------------------------- */

static const struct {
	const char *text;
	enum command_end end;
	int status;
	const char *output;
} endings[] = {
	{ "exit 0", COMMAND_EXITED, 0, "" },
	{ "echo out; echo err >&2; exit 69", COMMAND_EXITED, 69, "out err" },
	{ "printf 'a\\n\\nb\\n\\n'", COMMAND_EXITED, 0, "a  b" },
	{ "printf '\\033[2J\\\\\\0\\377'", COMMAND_EXITED, 0,
	    "\\x1b[2J\\\\\\x00\\xff" },
	{ "kill -KILL $$", COMMAND_KILLED, SIGKILL, "" },
	{ "kill -TERM $$", COMMAND_KILLED, SIGTERM, "" },
	{ "exec >&- 2>&-; sleep 0.1; exit 7", COMMAND_EXITED, 7, "" },
	/* Somebody else has its output for longer. */
	{ "sleep 20 & echo x; exit 3", COMMAND_EXITED, 3, "x" },
};

START_TEST(how_a_program_ends_is_told)
{
	uint64_t begun_ms = clock_boot_ms();

	run_script(endings[_i].text, LONG_MS);
	check_ended(endings[_i].end, endings[_i].status, endings[_i].output);
	ck_assert_uint_lt(clock_boot_ms() - begun_ms, 15000);
}
END_TEST

/* Postfix's postqueue takes 6 ms, and many of them follow each other. */
START_TEST(the_end_of_a_short_program_is_seen_at_once)
{
	uint64_t begun_ms = clock_boot_ms();
	char *argv[] = { "true", NULL };

	for (int i = 0; i < 20; i++) {
		n_done = 0;
		run(argv, LONG_MS);
	}
	ck_assert_uint_lt(clock_boot_ms() - begun_ms, 20 * 200);
}
END_TEST

START_TEST(of_much_output_the_beginning_is_kept)
{
	run_script("yes 0123456789abcde | head -c 1048576; exit 1", LONG_MS);
	ck_assert_int_eq(result.end, COMMAND_EXITED);
	ck_assert_int_eq(result.status, 1);
	ck_assert_uint_gt(strlen(result.output), COMMAND_OUTPUT_MAX - 10);
	ck_assert_uint_lt(strlen(result.output), COMMAND_OUTPUT_MAX);
	ck_assert(strncmp(result.output, "0123456789abcde 0123", 20) == 0);
}
END_TEST

static const char *const endless[] = { "echo begun; exec sleep 60",
	"echo begun; exec yes", "echo begun; exec >&- 2>&-; exec sleep 60",
	"trap '' TERM INT HUP; echo begun; sleep 60; sleep 60" };

START_TEST(at_the_deadline_it_is_killed)
{
	uint64_t begun_ms = clock_boot_ms();

	run_script(endless[_i], 300);
	ck_assert_int_eq(result.end, COMMAND_TIMED_OUT);
	ck_assert_int_eq(result.status, SIGKILL);
	ck_assert(strncmp(result.output, "begun", 5) == 0);
	ck_assert_uint_ge(clock_boot_ms() - begun_ms, 300);
	ck_assert_uint_lt(clock_boot_ms() - begun_ms, 50000);
}
END_TEST

static bool
is_gone(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL)
		return true;
	(void)fscanf(file, "%*d (%*[^)]) %c", &state);
	fclose(file);
	return state == 'Z'; /* init will wait for it */
}

START_TEST(its_own_children_are_killed_with_it)
{
	uint64_t end_ms;
	char *text;
	pid_t pid;

	run_script("sleep 60 & echo $! >child; wait", 300);
	ck_assert_int_eq(result.end, COMMAND_TIMED_OUT);
	text = scratch_read("child");
	pid = atoi(text);
	free(text);
	ck_assert_int_gt(pid, 0);
	end_ms = clock_boot_ms() + 30000;
	while (!is_gone(pid))
		ck_assert_uint_lt(clock_boot_ms(), end_ms);
}
END_TEST

START_TEST(a_program_that_somebody_else_waited_for_is_lost)
{
	ck_assert(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	run_script("exit 5", LONG_MS);
	ck_assert(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
	check_ended(COMMAND_LOST, 0, "");
}
END_TEST

START_TEST(what_cannot_be_started_is_told_at_once)
{
	char *nowhere[] = { "no-such-program-here", NULL };
	char *no_path[] = { "/no/such/program", NULL };
	char *no_program[] = { scratch_folder, NULL };
	char path[SCRATCH_PATH_MAX];
	char *no_permission[] = { path, NULL };

	scratch_write("text", "");
	(void)scratch_path("text", path);
	ck_assert_int_eq(start(nowhere, LONG_MS), ENOENT);
	ck_assert_int_eq(start(no_path, LONG_MS), ENOENT);
	ck_assert_int_eq(start(no_program, LONG_MS), EACCES);
	ck_assert_int_eq(start(no_permission, LONG_MS), EACCES);
	ck_assert_ptr_null(command);
	ck_assert_int_eq(n_done, 0);
}
END_TEST

START_TEST(freed_it_is_killed_and_waited_for)
{
	char *argv[] = { script("echo $$; exec sleep 60"), NULL };

	ck_assert_int_eq(start(argv, LONG_MS), 0);
	command_free(&command);
	ck_assert_ptr_null(command);
	command_free(&command);
	ck_assert_int_eq(n_done, 0);
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_program_gets_its_arguments_as_they_are);
	tcase_add_test(tcase, its_environment_is_small);
	tcase_add_test(
	    tcase, its_input_is_empty_and_nothing_of_ours_is_open_in_it);
	tcase_add_loop_test(tcase, signals_are_for_it_as_for_any_program, 0,
	    (int)NELEM(signals));
	tcase_add_loop_test(
	    tcase, how_a_program_ends_is_told, 0, (int)NELEM(endings));
	tcase_add_test(tcase, the_end_of_a_short_program_is_seen_at_once);
	tcase_add_test(tcase, of_much_output_the_beginning_is_kept);
	tcase_add_loop_test(
	    tcase, at_the_deadline_it_is_killed, 0, (int)NELEM(endless));
	tcase_add_test(tcase, its_own_children_are_killed_with_it);
	tcase_add_test(tcase, a_program_that_somebody_else_waited_for_is_lost);
	tcase_add_test(tcase, what_cannot_be_started_is_told_at_once);
	tcase_add_test(tcase, freed_it_is_killed_and_waited_for);
}

int
main(void)
{
	Suite *suite = suite_create("test_command");
	TCase *tcase = tcase_create("command");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_set_timeout(tcase, 20);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
