/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's, the log's writer, and some that log. */
#include "milter/log.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/log_queue.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define HEAD                                                                   \
	"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"               \
	"\\.[0-9]{6}[+-][0-9]{2}:[0-9]{2} [^ .]+ nexthop-milter\\[[0-9]+\\]: "

static void
open_file_log(const char *name, enum config_log_level level)
{
	char path[SCRATCH_PATH_MAX];
	struct config_log log = { CONFIG_LOG_FILE, level, path };
	struct err err;

	(void)scratch_path(name, path);
	ck_assert_int_eq(log_open(&log, &err), 0);
}

static void
expect_match(const char *text, const char *pattern)
{
	regex_t regex;

	ck_assert_int_eq(
	    regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE),
	    0);
	if (regexec(&regex, text, 0, NULL, 0) != 0)
		ck_abort_msg("no line like \"%s\" in:\n%s", pattern, text);
	regfree(&regex);
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static const struct {
	enum config_log_level level;
	const char *pattern;
} levels[] = {
	{ CONFIG_LOG_ERROR, HEAD "error: a text$" },
	{ CONFIG_LOG_WARNING, HEAD "warning: a text$" },
	{ CONFIG_LOG_INFO, HEAD "a text$" },
	{ CONFIG_LOG_DEBUG, HEAD "debug: a text$" },
};

START_TEST(a_file_line_has_time_host_pid_and_a_word_for_its_level)
{
	char *text;

	open_file_log("log", CONFIG_LOG_DEBUG);
	log_line(levels[_i].level, "a %s", "text");
	text = scratch_read("log");
	expect_match(text, levels[_i].pattern);
	free(text);
}
END_TEST

START_TEST(lines_below_the_level_are_not_written)
{
	char *text;

	open_file_log("log", CONFIG_LOG_WARNING);
	ck_assert(!log_wants(CONFIG_LOG_INFO));
	ck_assert(log_wants(CONFIG_LOG_WARNING));
	log_info("not this");
	log_debug("nor this");
	log_error("but this");
	text = scratch_read("log");
	ck_assert_uint_eq(count_lines(text), 1);
	expect_match(text, "error: but this$");
	free(text);
}
END_TEST

START_TEST(control_characters_are_replaced)
{
	char *text;

	open_file_log("log", CONFIG_LOG_INFO);
	log_info("one\ntwo\r\x1b[31m\x7f"
		 "end");
	text = scratch_read("log");
	ck_assert_uint_eq(count_lines(text), 1);
	expect_match(text, "one\\?two\\?\\?\\[31m\\?end$");
	free(text);
}
END_TEST

START_TEST(a_long_line_is_cut_and_says_so)
{
	char big[2 * LOG_LINE_MAX], *text, *from;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	open_file_log("log", CONFIG_LOG_INFO);
	log_info("%s", big);
	text = scratch_read("log");
	from = strchr(text, 'x'); /* of nexthop */
	from = strstr(from, "xxxx");
	ck_assert_ptr_nonnull(from);
	ck_assert_uint_eq(strcspn(from, "\n"), LOG_LINE_MAX - 1);
	expect_match(text, "xxx\\.\\.\\.$");
	free(text);
}
END_TEST

START_TEST(errno_is_kept)
{
	open_file_log("log", CONFIG_LOG_INFO);
	errno = EXDEV;
	log_info("a line");
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(opened_anew_it_writes_to_the_new_file)
{
	char from[SCRATCH_PATH_MAX], to[SCRATCH_PATH_MAX], *text;

	open_file_log("log", CONFIG_LOG_INFO);
	if (_i == 1)
		ck_assert_int_eq(log_start(), 0);
	log_info("first");
	if (_i == 1) { /* queued lines may go to either file: let it be out */
		log_stop();
		ck_assert_int_eq(log_start(), 0);
	}
	ck_assert_int_eq(
	    rename(scratch_path("log", from), scratch_path("log.1", to)), 0);
	open_file_log("log", CONFIG_LOG_INFO);
	log_info("second");
	if (_i == 1)
		log_stop();
	text = scratch_read("log.1");
	expect_match(text, "first$");
	ck_assert_uint_eq(count_lines(text), 1);
	free(text);
	text = scratch_read("log");
	expect_match(text, "second$");
	ck_assert_uint_eq(count_lines(text), 1);
	free(text);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_leaves_the_target_in_use)
{
	char path[SCRATCH_PATH_MAX], *text;
	struct config_log log = { CONFIG_LOG_FILE, CONFIG_LOG_DEBUG, path };
	struct err err;

	open_file_log("log", CONFIG_LOG_INFO);
	(void)scratch_path("no/such/folder", path);
	ck_assert_int_eq(log_open(&log, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
	ck_assert(!log_wants(CONFIG_LOG_DEBUG));
	log_info("still here");
	text = scratch_read("log");
	expect_match(text, "still here$");
	free(text);
}
END_TEST

START_TEST(the_writer_writes_all_lines_in_their_order)
{
	char *text, *at;

	open_file_log("log", CONFIG_LOG_INFO);
	ck_assert_int_eq(log_start(), 0);
	for (int i = 0; i < 1000; i++)
		log_info("line %d.", i);
	log_stop();
	log_info("line 1000."); /* directly */
	text = scratch_read("log");
	ck_assert_uint_eq(count_lines(text), 1001);
	at = text;
	for (int i = 0; i <= 1000; i++) {
		char want[32];

		(void)snprintf(want, sizeof(want), ": line %d.\n", i);
		at = strstr(at, want);
		ck_assert_msg(at != NULL, "line %d", i);
	}
	free(text);
}
END_TEST

#define THREADS 4
#define EACH	200

static void *
log_many(void *arg)
{
	for (int i = 0; i < EACH; i++)
		log_info("thread %s line %d end", (const char *)arg, i);
	return NULL;
}

START_TEST(lines_of_many_threads_stay_whole)
{
	static char names[THREADS][2] = { "a", "b", "c", "d" };
	pthread_t threads[THREADS];
	char *text;

	open_file_log("log", CONFIG_LOG_INFO);
	if (_i == 1)
		ck_assert_int_eq(log_start(), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, log_many, names[i]), 0);
	/* A reload in the midst of it. */
	open_file_log("log", CONFIG_LOG_INFO);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	log_stop();
	text = scratch_read("log");
	ck_assert_uint_eq(count_lines(text), THREADS * EACH);
	for (char *line = strtok(text, "\n"); line != NULL;
	     line = strtok(NULL, "\n"))
		expect_match(line, HEAD "thread [a-d] line [0-9]+ end$");
	free(text);
}
END_TEST

/* Standard error becomes a pipe; returns the end to read. */
static int
pipe_as_stderr(void)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_ne(dup2(ends[1], STDERR_FILENO), -1);
	(void)close(ends[1]);
	return ends[0];
}

static void *
read_to_end(void *arg)
{
	static char text[4 * 1024 * 1024];
	int fd = *(int *)arg;
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 &&
	       (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

START_TEST(a_stuck_target_stops_nobody_and_the_lost_lines_are_counted)
{
	char filler[1000];
	struct config_log log = { CONFIG_LOG_STDERR, CONFIG_LOG_DEBUG, NULL };
	int fd, said = 0, errors = 0;
	pthread_t reader;
	struct err err;
	void *result;
	char *at;
	unsigned long dropped = 0;

	fd = pipe_as_stderr();
	ck_assert_int_eq(log_open(&log, &err), 0);
	ck_assert_int_eq(log_start(), 0);
	memset(filler, 'y', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	/* Far more than pipe and queue hold; nobody reads. */
	for (int i = 0; i < 2000; i++)
		log_debug("%s", filler);
	/* What matters still has room. */
	for (int i = 0; i < 20; i++)
		log_error("in the midst of it");
	ck_assert_int_eq(pthread_create(&reader, NULL, read_to_end, &fd), 0);
	log_stop();
	(void)close(STDERR_FILENO);
	ck_assert_int_eq(pthread_join(reader, &result), 0);
	for (at = result;
	     (at = strstr(at, "error: in the midst of it\n")) != NULL; at++)
		errors++;
	ck_assert_int_eq(errors, 20);
	for (at = result; (at = strstr(at, "yyy\n")) != NULL; at++)
		said++;
	at = result;
	while ((at = strstr(at, " log lines were dropped")) != NULL) {
		char *number = at++;

		while (number[-1] >= '0' && number[-1] <= '9')
			number--;
		dropped += strtoul(number, NULL, 10);
	}
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_eq(dropped + (unsigned)said, 2000);
}
END_TEST

START_TEST(a_queued_line_is_written_without_waiting_for_more)
{
	struct config_log log = { CONFIG_LOG_STDERR, CONFIG_LOG_INFO, NULL };
	int fd = pipe_as_stderr();
	struct err err;
	char text[128];
	ssize_t n;

	ck_assert_int_eq(log_open(&log, &err), 0);
	ck_assert_int_eq(log_start(), 0);
	log_info("a text");
	n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	expect_match(text, "]: a text$");
	log_stop();
}
END_TEST

START_TEST(the_queue_gives_back_what_was_put_in_all_the_way_round)
{
	static char in[LOG_LINE_MAX], out[LOG_LINE_MAX];
	struct log_entry entry = { .level = CONFIG_LOG_INFO, .text = in };
	struct log_entry taken;

	/* Two at a time, several times the queue's size. */
	for (unsigned i = 0; i < 2 * LOG_QUEUE_BYTES / LOG_LINE_MAX * 2; i++) {
		memset(in, 'a' + (int)(i % 26), sizeof(in));
		entry.len = sizeof(in) - i % 7;
		entry.when.tv_sec = i;
		ck_assert(log_queue_put(&entry));
		if (i == 0)
			continue;
		ck_assert(log_queue_take(&taken, out, sizeof(out)));
		ck_assert_uint_eq((unsigned)taken.when.tv_sec, i - 1);
		ck_assert_uint_eq(taken.len, sizeof(in) - (i - 1) % 7);
		for (size_t k = 0; k < taken.len; k++)
			ck_assert_int_eq(out[k], 'a' + (int)((i - 1) % 26));
	}
}
END_TEST

START_TEST(a_line_that_the_file_did_not_take_is_counted)
{
	char path[SCRATCH_PATH_MAX], *text;
	struct config_log log = { CONFIG_LOG_FILE, CONFIG_LOG_INFO, path };
	struct err err;

	/* /dev/full says "no space left" to every write. */
	(void)snprintf(path, sizeof(path), "/dev/full");
	ck_assert_int_eq(log_open(&log, &err), 0);
	log_info("lost");
	log_info("lost too");
	open_file_log("log", CONFIG_LOG_INFO);
	log_info("taken");
	text = scratch_read("log");
	expect_match(text, HEAD "taken$");
	expect_match(text, HEAD "warning: 2 log lines were dropped$");
	ck_assert_uint_eq(count_lines(text), 2);
	free(text);
}
END_TEST

START_TEST(a_pipe_without_a_reader_is_an_error_and_no_wait)
{
	char path[SCRATCH_PATH_MAX];
	struct config_log log = { CONFIG_LOG_FILE, CONFIG_LOG_INFO, path };
	struct err err;

	ck_assert_int_eq(mkfifo(scratch_path("fifo", path), 0600), 0);
	ck_assert_int_eq(log_open(&log, &err), -1);
}
END_TEST

START_TEST(the_journal_gets_priorities)
{
	static const char *const want[] = { "<4>warning: a text\n",
		"nexthop-milter[" };
	struct config_log log = { CONFIG_LOG_STDERR, CONFIG_LOG_INFO, NULL };
	int fd = pipe_as_stderr();
	char text[128];
	struct stat st;
	struct err err;
	ssize_t n;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino + (_i == 1 ? 1u : 0u));
	ck_assert_int_eq(setenv("JOURNAL_STREAM", text, 1), 0);
	ck_assert_int_eq(log_open(&log, &err), 0);
	log_warning("a text");
	n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_int_eq(strncmp(text, want[_i], strlen(want[_i])), 0);
}
END_TEST

START_TEST(after_a_fork_parent_and_child_log_each_in_its_way)
{
	char *text;
	int status;
	pid_t pid;

	open_file_log("log", CONFIG_LOG_INFO);
	log_info("parent before");
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (log_start() == -1)
			_exit(1);
		log_info("child queued");
		log_stop();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	log_info("parent after");
	text = scratch_read("log");
	ck_assert_uint_eq(count_lines(text), 3);
	expect_match(text, "parent before$");
	expect_match(text, "child queued$");
	expect_match(text, "parent after$");
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_checked_fixture(tcase, scratch_begin, scratch_end);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase,
	    a_file_line_has_time_host_pid_and_a_word_for_its_level, 0,
	    (int)NELEM(levels));
	tcase_add_test(tcase, lines_below_the_level_are_not_written);
	tcase_add_test(tcase, control_characters_are_replaced);
	tcase_add_test(tcase, a_long_line_is_cut_and_says_so);
	tcase_add_test(tcase, errno_is_kept);
	tcase_add_loop_test(tcase, opened_anew_it_writes_to_the_new_file, 0, 2);
	tcase_add_test(
	    tcase, a_file_that_cannot_be_opened_leaves_the_target_in_use);
	tcase_add_test(tcase, the_writer_writes_all_lines_in_their_order);
	tcase_add_loop_test(tcase, lines_of_many_threads_stay_whole, 0, 2);
	tcase_add_test(
	    tcase, a_stuck_target_stops_nobody_and_the_lost_lines_are_counted);
	tcase_add_test(
	    tcase, a_queued_line_is_written_without_waiting_for_more);
	tcase_add_test(
	    tcase, the_queue_gives_back_what_was_put_in_all_the_way_round);
	tcase_add_test(tcase, a_line_that_the_file_did_not_take_is_counted);
	tcase_add_test(tcase, a_pipe_without_a_reader_is_an_error_and_no_wait);
	tcase_add_loop_test(tcase, the_journal_gets_priorities, 0, 2);
	tcase_add_test(
	    tcase, after_a_fork_parent_and_child_log_each_in_its_way);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
