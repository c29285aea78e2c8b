/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one; the loop is turned between what is done to the file. */
#include "tests/unit/log_scene.h"
#include "tests/unit/suite.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

/* ---- where it begins ---- */

START_TEST(it_begins_at_the_end)
{
	append("old 1\nold 2\n");
	follow(log_path);
	ck_assert(log_follower_is_open(follower));
	append("new 1\nnew 2\n");
	expect("new 1\nnew 2\n");
	append("new 3\n");
	expect("new 1\nnew 2\nnew 3\n");
	ck_assert_int_eq(scratch_count("log", "."), 0);
}
END_TEST

START_TEST(the_rest_of_a_line_that_began_before_is_no_line)
{
	append("old 1\nhost said: ");
	follow(log_path);
	append("Jan 1 mx postfix/smtp[1]: forged\nnew\n");
	expect("new\n");
}
END_TEST

START_TEST(an_empty_file_is_read_from_its_beginning)
{
	append("");
	follow(log_path);
	append("one\n");
	expect("one\n");
}
END_TEST

START_TEST(a_file_that_comes_later_is_read_from_its_beginning)
{
	follow(log_path);
	ck_assert(!log_follower_is_open(follower));
	ck_assert_int_eq(
	    scratch_count("log", "warning: .*/mail.log does not exist"), 1);
	loop_for(base, 5 * look_ms);
	append("one\ntwo\n");
	expect("one\ntwo\n");
	ck_assert(log_follower_is_open(follower));
	ck_assert_int_eq(scratch_count("log", "warning: "), 1);
	ck_assert_int_eq(scratch_count("log", "/mail.log is followed now$"), 1);
}
END_TEST

START_TEST(a_folder_that_comes_later_is_found)
{
	char folder[SCRATCH_PATH_MAX];
	static const char name[] = "later/mail.log";

	(void)scratch_path(name, log_path);
	follow(log_path);
	ck_assert_int_eq(mkdir(scratch_path("later", folder), 0755), 0);
	LOOP_UNTIL(base, follower->folder_watch != -1);
	append("one\n");
	expect("one\n");
	/* The folder again, another one. */
	rename_log("later/mail.log.1");
	ck_assert_int_eq(rename(folder, scratch_path("gone",
					    (char[SCRATCH_PATH_MAX]){ "" })),
	    0);
	ck_assert_int_eq(mkdir(folder, 0755), 0);
	append("two\n");
	expect("one\ntwo\n");
}
END_TEST

START_TEST(the_folder_is_what_stands_before_the_last_slash)
{
	static const char *const paths[][2] = { { "/a/b/c", "/a/b" },
		{ "/a", "/" }, { "a/b", "a" }, { "a", "." } };

	for (size_t i = 0; i < NELEM(paths); i++) {
		char *folder = folder_of(paths[i][0]);

		ck_assert_str_eq(folder, paths[i][1]);
		free(folder);
	}
}
END_TEST

START_TEST(a_path_without_a_folder_is_one_of_this_folder)
{
	ck_assert_int_eq(chdir(scratch_folder), 0);
	look_ms = NEVER_MS;
	follow("mail.log");
	append("one\n");
	expect("one\n");
}
END_TEST

/* ---- what tells it ---- */

/* Until it waits for events again. */
static void
let_breathe(void)
{
	LOOP_UNTIL(base, !evtimer_pending(follower->breath, NULL));
	loop_for(base, 10);
}

START_TEST(events_alone_suffice)
{
	look_ms = NEVER_MS;
	still_ms = 0;
	follow(log_path);
	append("one\n");
	expect("one\n");
	let_breathe();
	append("two\n");
	expect("one\ntwo\n");
	let_breathe();
	rename_log("mail.log.1");
	append("three\n");
	expect("one\ntwo\nthree\n");
	let_breathe();
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("four\n");
	expect("one\ntwo\nthree\nfour\n");
}
END_TEST

START_TEST(looks_alone_suffice)
{
	int deaf = eventfd(0, EFD_CLOEXEC);

	still_ms = 0;
	append("old\n");
	follow(log_path);
	ck_assert_int_eq(event_del(follower->notified), 0);
	ck_assert_int_eq(
	    dup3(deaf, follower->inotify_fd, O_CLOEXEC), follower->inotify_fd);
	append("one\n");
	expect("one\n");
	rename_log("mail.log.1");
	append("two\n");
	expect("one\ntwo\n");
	ck_assert_int_eq(truncate(log_path, 0), 0);
	append("3\n");
	expect("one\ntwo\n3\n");
	(void)close(deaf);
}
END_TEST

/* ---- lines ---- */

START_TEST(a_line_without_an_end_waits_for_it_and_comes_once)
{
	static const char line[] = "a line in pieces\n";

	follow(log_path);
	for (size_t i = 0; line[i] != '\0'; i++) {
		append_bytes(log_path, &line[i], 1);
		loop_for(base, 3);
		ck_assert_uint_eq(n_seen, line[i] == '\n');
	}
	loop_for(base, 3 * look_ms);
	ck_assert_str_eq(seen, line);
}
END_TEST

static const size_t lengths[] = { DELIVERY_LINE_MAX, DELIVERY_LINE_MAX + 1,
	TAIL_PIECE - 1, TAIL_PIECE, TAIL_PIECE + 1, 3 * TAIL_PIECE };

START_TEST(a_long_line_comes_cut_off_once)
{
	static char line[3 * TAIL_PIECE + 2];
	size_t len = lengths[_i];

	memset(line, 'x', len);
	line[len] = '\n';
	follow(log_path);
	append(line);
	append("next\n");
	LOOP_UNTIL(base, n_seen == 2);
	ck_assert_uint_eq(strspn(seen, "x"), DELIVERY_LINE_MAX);
	ck_assert_str_eq(seen + DELIVERY_LINE_MAX, "\nnext\n");
}
END_TEST

START_TEST(zero_bytes_pass)
{
	append_bytes(log_path, "\0old", 4);
	follow(log_path);
	append_bytes(log_path, "\n\0a\0\n", 5);
	LOOP_UNTIL(base, n_seen == 1);
	ck_assert_uint_eq(seen_len, 4);
	ck_assert_int_eq(memcmp(seen, "\0a\0\n", 4), 0);
}
END_TEST

/* ---- what it does not read ---- */

START_TEST(anything_but_a_regular_file_is_refused_with_one_warning)
{
	int opened = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char event[512];

	if (_i == 0)
		ck_assert_int_eq(mkfifo(log_path, 0644), 0);
	else
		ck_assert_int_eq(mkdir(log_path, 0755), 0);
	ck_assert_int_ne(inotify_add_watch(opened, log_path, IN_OPEN), -1);
	follow(log_path);
	loop_for(base, 10 * look_ms);
	ck_assert(!log_follower_is_open(follower));
	ck_assert_int_eq(
	    scratch_count("log", "/mail.log is not followed: it is no regular"),
	    1);
	ck_assert_int_eq(scratch_count("log", "."), 1);
	/* Not even opened: that would wake a writer of a FIFO. */
	ck_assert_int_eq(read(opened, event, sizeof(event)), -1);
	(void)close(opened);
	ck_assert_int_eq(remove(log_path), 0);
	LOOP_UNTIL(base, follower->told == ENOENT);
	append("one\n");
	expect("one\n");
	ck_assert(log_follower_is_open(follower));
}
END_TEST

START_TEST(without_permission_one_warning_names_the_group)
{
	append("old\n");
	ck_assert_int_eq(chmod(log_path, 0), 0);
	ck_assert_int_eq(chmod(scratch_folder, 0777), 0);
	look_ms = NEVER_MS; /* a change of the mode is told by no event */
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	follow(log_path);
	for (int i = 0; i < 3; i++)
		on_look(-1, 0, follower);
	ck_assert(!log_follower_is_open(follower));
	ck_assert_int_eq(
	    scratch_count("log", "no permission: .*[(]adm on Debian"), 1);
	ck_assert_int_eq(scratch_count("log", "SupplementaryGroups="), 1);
	ck_assert_int_eq(scratch_count("log", "."), 1);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(log_path, 0644), 0);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	loop_for(base, 5);
	on_look(-1, 0, follower);
	ck_assert(log_follower_is_open(follower));
	/* Its own watch works without root's rights, too. */
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	append("new\n");
	expect("new\n");
}
END_TEST

START_TEST(without_inotify_it_cannot_be_made)
{
	struct rlimit old, none;
	struct err err = { "" };

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(log_follower_create(
			     base, log_path, note_line, &seen, &follower, &err),
	    -1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_ptr_null(follower);
	ck_assert_ptr_nonnull(strstr(err.text, "inotify: "));
}
END_TEST

/* ---- much to read ---- */

#define BACKLOG 100000

static unsigned n_ticks;

/* What else the loop has to do. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	n_ticks++;
}

static void
write_backlog(void)
{
	FILE *file = fopen(log_path, "a");

	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < BACKLOG; i++)
		ck_assert_int_gt(
		    fprintf(file, "%06d %0100d\n", i, i * 7919), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void
count_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	ck_assert_uint_eq(len, 107);
	ck_assert_uint_eq(strtoul(line, NULL, 10), n_seen);
	n_seen++;
}

START_TEST(a_backlog_is_read_whole_and_holds_nobody_up)
{
	const struct timeval tick = { 0, 1000 };
	struct event *timer = event_new(base, -1, EV_PERSIST, on_tick, NULL);

	look_ms = NEVER_MS;
	follow(log_path);
	follower->line = count_line;
	write_backlog();
	ck_assert_int_eq(event_add(timer, &tick), 0);
	LOOP_UNTIL(base, n_seen == BACKLOG);
	/* One turn between any two pieces. */
	ck_assert_uint_ge(n_ticks, BACKLOG * 108 / TAIL_PIECE);
	event_free(timer);
}
END_TEST

/* How many files and folders the follower is told of. */
static int
count_watches(void)
{
	char path[64], line[256];
	FILE *file;
	int n = 0;

	(void)snprintf(
	    path, sizeof(path), "/proc/self/fdinfo/%d", follower->inotify_fd);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL)
		n += strncmp(line, "inotify wd:", 11) == 0;
	(void)fclose(file);
	return n;
}

static bool
closes_on_exec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

START_TEST(nothing_is_left_open)
{
	unsigned before;

	append("old\n");
	before = loop_count_descriptors();
	follow(log_path);
	for (int i = 0; i < 3; i++) {
		append("one\n");
		rename_log("mail.log.1");
		append("two\n");
		LOOP_UNTIL(base, n_seen == 2 + 2 * (unsigned)i);
	}
	ck_assert_uint_eq(follower->n_files, 1);
	ck_assert_int_eq(count_watches(), 2);
	ck_assert(closes_on_exec(follower->inotify_fd));
	ck_assert(closes_on_exec(follower->files[0].file.fd));
	ck_assert_uint_gt(loop_count_descriptors(), before);
	log_follower_free(&follower);
	ck_assert_uint_eq(loop_count_descriptors(), before);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("log_follower");
	TCase *start = tcase_create("where it begins");
	TCase *told = tcase_create("what tells it");
	TCase *lines = tcase_create("lines");
	TCase *refused = tcase_create("what it does not read");
	TCase *much = tcase_create("much to read");

	tcase_add_checked_fixture(start, begin, end);
	tcase_add_test(start, it_begins_at_the_end);
	tcase_add_test(start, the_rest_of_a_line_that_began_before_is_no_line);
	tcase_add_test(start, an_empty_file_is_read_from_its_beginning);
	tcase_add_test(
	    start, a_file_that_comes_later_is_read_from_its_beginning);
	tcase_add_test(start, a_folder_that_comes_later_is_found);
	tcase_add_test(start, the_folder_is_what_stands_before_the_last_slash);
	tcase_add_test(start, a_path_without_a_folder_is_one_of_this_folder);
	suite_add_tcase(s, start);
	tcase_add_checked_fixture(told, begin, end);
	tcase_add_test(told, events_alone_suffice);
	tcase_add_test(told, looks_alone_suffice);
	suite_add_tcase(s, told);
	tcase_add_checked_fixture(lines, begin, end);
	tcase_add_test(
	    lines, a_line_without_an_end_waits_for_it_and_comes_once);
	tcase_add_loop_test(
	    lines, a_long_line_comes_cut_off_once, 0, (int)NELEM(lengths));
	tcase_add_test(lines, zero_bytes_pass);
	suite_add_tcase(s, lines);
	tcase_add_checked_fixture(refused, begin, end);
	tcase_add_loop_test(refused,
	    anything_but_a_regular_file_is_refused_with_one_warning, 0, 2);
	tcase_add_test(refused, without_permission_one_warning_names_the_group);
	tcase_add_test(refused, without_inotify_it_cannot_be_made);
	suite_add_tcase(s, refused);
	tcase_add_checked_fixture(much, begin, end);
	tcase_set_timeout(much, 60);
	tcase_add_test(much, a_backlog_is_read_whole_and_holds_nobody_up);
	tcase_add_test(much, nothing_is_left_open);
	suite_add_tcase(s, much);
	return s;
}

int
main(void)
{
	return suite_run(suite());
}
