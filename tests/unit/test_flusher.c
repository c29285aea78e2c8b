/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one; it turns the loop. */

/* With scripts in place of postqueue(1), and a deadline that a test reaches. */
static unsigned deadline_ms = 20000;
#define FLUSHER_DEADLINE_MS deadline_ms
#include "milter/flusher.c"
#include "milter/flusher_report.c"

#include <check.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/prober_scene.h"
#include "tests/unit/suite.h"

#define SET 7u
#define REFUSE                                                                 \
	"echo postqueue: fatal: Flush service is not configured for "          \
	"destination '\"'$2'\"' >&2; exit 69"

static struct flusher *flusher;
static char ready_for[1024];

/* -- the scene ------------------------------------------------------------ */

/* Adopts a command: the script, which keeps its arguments in the file "ran"
   and then does this. */
static void
use(const char *arguments, const char *then, const char *options)
{
	char path[SCRATCH_PATH_MAX], text[2048];
	struct config *config;

	snprintf(text, sizeof(text),
	    "#!/bin/sh\ncd %s\necho \"$#:$*\" >>ran\n%s\n", scratch_folder,
	    then);
	scratch_write("script", text);
	ck_assert_int_eq(chmod(scratch_path("script", path), 0755), 0);
	snprintf(text, sizeof(text),
	    "delivery = { flush_command = \"%s%s\"; %s };\n"
	    "routes = ( { domain = \"a.test\"; hosts = ( \"127.0.0.1\" ); } );",
	    path, arguments, options);
	config = scratch_config(text);
	flusher_adopt(flusher, config);
	config_free(&config);
}

static void
begin_flusher(void)
{
	struct err err;

	begin(CONFIG_LOG_DEBUG);
	ck_assert_int_eq(flusher_create(base, &flusher, &err), 0);
	scratch_write("ran", "");
	ready_for[0] = '\0';
}

static void
end_flusher(void)
{
	flusher_free(&flusher);
	ck_assert_ptr_null(flusher);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	end();
}

static void
hear(uint64_t set, const char *queue_id, const char *to, bool set_is_up)
{
	struct address address;
	struct delivery_waiting waiting = { .recipient = &address,
		.to = to,
		.queue_id = queue_id,
		.cause = CAUSE_HOST };

	ck_assert(address_parse(to, strlen(to), &address));
	flusher_waiting(flusher, set, &waiting, set_is_up);
}

static void
wait_for(const char *queue_id, const char *to)
{
	hear(SET, queue_id, to, false);
}

/* Another message was put off last: qmgr(8) has no answer for these in memory.
 */
static void
hear_another(void)
{
	hear(SET + 1, "Z9", "u@another.test", false);
}

static int
count_runs(void)
{
	char *text = scratch_read("ran");
	int n = 0;

	for (const char *c = text; *c != '\0'; c++)
		n += *c == '\n';
	free(text);
	return n;
}

/* Turns the loop until so many commands have run and the last is over. */
static void
wait_runs(int n)
{
	uint64_t end_ms = clock_boot_ms() + WAIT_MS;

	while (count_runs() < n || flusher->command != NULL) {
		ck_assert_uint_lt(clock_boot_ms(), end_ms);
		turn();
	}
}

static void
check_ran(const char *expected)
{
	char *text = scratch_read("ran");

	ck_assert_str_eq(text, expected);
	free(text);
}

static void
on_ready(void *arg, const char *to)
{
	ck_assert_ptr_eq(arg, ready_for);
	strcat(ready_for, to);
	strcat(ready_for, " ");
}

static bool
try_one(void)
{
	return flusher_try_one(flusher, SET, on_ready, ready_for);
}

/* -- what is run ---------------------------------------------------------- */

START_TEST(a_recovery_flushes_the_domains_that_wait)
{
	use(" -c /etc/x -s", "", "");
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	flusher_recovered(flusher, SET + 1);
	run_for(50);
	check_ran("");
	flusher_recovered(flusher, SET);
	wait_runs(2);
	check_ran("4:-c /etc/x -s a.test\n4:-c /etc/x -s b.test\n");
	ck_assert_int_eq(
	    count_logged("flushed a\\.test: mail that waited is tried again"),
	    1);
	ck_assert_int_eq(count_logged("cannot|more domains"), 0);
}
END_TEST

START_TEST(a_message_put_off_later_is_asked_for_alone)
{
	use(" -s -c /etc/x -s", "", "");
	flusher_recovered(flusher, SET);
	wait_for("4bXyZ09", "u@a.test");
	wait_runs(1);
	check_ran("5:-s -c /etc/x -i 4bXyZ09\n");
	wait_logged("4bXyZ09: asked the MTA to try it again");
}
END_TEST

START_TEST(a_command_without_s_flushes_domains_only)
{
	use(" --site", "", "");
	wait_for("Q1", "u@a.test");
	ck_assert(!try_one());
	flusher_recovered(flusher, SET);
	wait_runs(1);
	wait_for("Q1", "u@a.test");
	run_for(FLUSH_SETTLE_MS + 100);
	check_ran("2:--site a.test\n");
}
END_TEST

START_TEST(what_is_gone_or_failed_is_not_flushed)
{
	struct address address;

	use(" -s", "", "");
	ck_assert(address_parse("u@a.test", 8, &address));
	wait_for("Q1", "u@a.test");
	flusher_gone(flusher, SET, &address, "Q1");
	flusher_recovered(flusher, SET);
	run_for(50);
	wait_for("Q2", "u@b.test");
	flusher_failed(flusher, SET);
	run_for(50);
	check_ran("");
}
END_TEST

START_TEST(without_flush_on_recovery_only_trials_are_run)
{
	use(" -s", "", "flush_on_recovery = false;");
	wait_for("Q1", "u@a.test");
	flusher_recovered(flusher, SET);
	run_for(50);
	check_ran("");
	ck_assert(!try_one());
	hear_another();
	ck_assert(try_one());
	wait_runs(1);
	check_ran("2:-i Q1\n");
}
END_TEST

START_TEST(a_plan_is_not_taken_up_after_it_was_switched_off)
{
	use(" -s", "", "");
	wait_for("Q1", "u@a.test");
	flusher_recovered(flusher, SET);
	use(" -s", "", "flush_on_recovery = false;");
	run_for(50);
	use(" -s", "", "");
	run_for(50);
	check_ran("");
}
END_TEST

/* Nothing of this is a domain or a queue id; a shell would make much of it. */
START_TEST(hostile_names_are_one_argument_or_none)
{
	use(" -s", "", "");
	wait_for("Q1", "u@-x.test");
	wait_for("Q1", "u@$(reboot).test");
	wait_for("Q1", "u@a;b c.test");
	flusher_recovered(flusher, SET);
	wait_runs(2);
	run_for(50);
	wait_for("Q/../1", "u@a.test");
	wait_for("-f", "u@a.test");
	wait_for("Q 1", "u@a.test");
	run_for(FLUSH_SETTLE_MS + 150);
	check_ran("2:-s $(reboot).test\n2:-s a;b c.test\n2:-i Q1\n2:-i Q1\n"
		  "2:-i Q1\n");
}
END_TEST

START_TEST(one_command_runs_at_a_time)
{
	char to[32];

	use(" -s", "mkdir lock || echo overlap >>ran\nsleep 0.03\nrmdir lock",
	    "");
	for (int i = 0; i < 5; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		wait_for("Q1", to);
	}
	run_for(FLUSH_SETTLE_MS);
	flusher_recovered(flusher, SET);
	ck_assert(try_one());
	ck_assert(try_one());
	wait_runs(7);
	check_ran("2:-i Q1\n2:-i Q1\n2:-s 0.test\n2:-s 1.test\n"
		  "2:-s 2.test\n2:-s 3.test\n2:-s 4.test\n");
}
END_TEST

/* -- trials --------------------------------------------------------------- */

START_TEST(a_trial_is_told_before_its_message_is_asked_for)
{
	use(" -s", "", "");
	ck_assert(!try_one());
	wait_for("Q1", "U+x@a.test");
	hear_another();
	ck_assert(try_one());
	ck_assert_str_eq(ready_for, "U+x@a.test ");
	check_ran("");
	wait_runs(1);
	check_ran("2:-i Q1\n");
	ck_assert(!try_one());
	ck_assert_str_eq(ready_for, "U+x@a.test ");
}
END_TEST

START_TEST(a_trial_waits_for_the_command_under_way)
{
	use(" -s", "sleep 0.1", "");
	wait_for("Q1", "u@a.test");
	flusher_recovered(flusher, SET);
	while (flusher->command == NULL)
		turn();
	hear_another();
	ck_assert(try_one());
	wait_runs(2);
	check_ran("2:-s a.test\n2:-i Q1\n");
}
END_TEST

START_TEST(there_are_not_too_many_trials_at_once)
{
	char queue_id[16];

	use(" -s", "", "");
	for (int i = 0; i <= FLUSHER_TRIALS_MAX; i++) {
		snprintf(queue_id, sizeof(queue_id), "Q%d", i);
		wait_for(queue_id, "u@a.test");
	}
	hear_another();
	for (int i = 0; i < FLUSHER_TRIALS_MAX; i++)
		ck_assert(try_one());
	ck_assert(!try_one());
	wait_runs(1);
	ck_assert(try_one());
	wait_runs(FLUSHER_TRIALS_MAX + 1);
}
END_TEST

/* -- what is logged ------------------------------------------------------- */

START_TEST(many_domains_are_some_names_and_a_number)
{
	char to[32];

	use(" -s", "case $2 in r*) " REFUSE ";; esac", "");
	for (int i = 0; i < 9; i++) {
		snprintf(to, sizeof(to), "u@%d.test", i);
		wait_for("Q1", to);
		snprintf(to, sizeof(to), "u@r%d.test", i);
		wait_for("Q1", to);
	}
	flusher_recovered(flusher, SET);
	wait_logged(": flushed 4 more domains");
	wait_logged(": warning: cannot flush 4 more domains that fast_flush_d");
	ck_assert_int_eq(count_logged("debug: flushed .\\.test"), 4);
	ck_assert_int_eq(count_logged("warning: cannot flush r.\\.test"), 5);
	ck_assert_int_eq(count_logged(" flushed .\\.test"), 9);
	/* The next recovery begins anew. */
	wait_for("Q1", "u@next.test");
	flusher_recovered(flusher, SET);
	wait_logged(": flushed next\\.test");
	ck_assert_int_eq(count_logged("debug: flushed next"), 0);
}
END_TEST

START_TEST(a_refused_domain_is_warned_of_once_until_a_reload)
{
	use(" -s", REFUSE, "");
	wait_for("Q1", "u@a.test");
	flusher_recovered(flusher, SET);
	wait_runs(1);
	wait_for("Q1", "u@a.test");
	flusher_recovered(flusher, SET);
	run_for(100);
	check_ran("2:-s a.test\n");
	wait_logged("warning: cannot flush a\\.test: .*needs "
		    "fast_flush_domains = \\$relay_domains, a\\.test");
	ck_assert_int_eq(count_logged("warning"), 1);
	use(" -s", "", "");
	wait_for("Q1", "u@a.test");
	wait_runs(2);
	check_ran("2:-s a.test\n2:-i Q1\n");
}
END_TEST

static const struct {
	const char *then;
	const char *logged;
} troubles[] = {
	{ "echo 'postqueue: warning: connect to public/flush: Permission "
	  "denied'; echo 'postqueue: fatal: mail system is down'; exit 69",
	    "cannot flush a\\.test: .*/script: exit status 69: postqueue: "
	    "warning: connect to public/flush: Permission denied postqueue: "
	    "fatal: mail system is down; .*SupplementaryGroups=postdrop" },
	{ "echo User nobody is not allowed to flush the mail queue; exit 69",
	    "the mail queue; authorized_flush_users of main.cf" },
	{ "exit 1", "cannot flush a\\.test: .*/script: exit status 1$" },
	{ "printf 'a\\033\\nb'; exit 2", "exit status 2: a\\\\x1b b$" },
	{ "kill -9 $$", "/script: was killed by signal 9$" },
	{ "exec sleep 60", "/script: was ended after 0\\.3 s$" },
};

START_TEST(general_trouble_is_warned_of_once_a_minute)
{
	deadline_ms = 300;
	use(" -s", troubles[_i].then, "");
	wait_for("Q1", "u@a.test");
	wait_for("Q2", "u@b.test");
	flusher_recovered(flusher, SET);
	wait_runs(2);
	wait_logged(troubles[_i].logged);
	ck_assert_int_eq(count_logged("warning: cannot flush"), 1);
	ck_assert_int_eq(count_logged("cannot flush b\\.test"), 1);
	ck_assert_int_eq(count_logged(": flushed"), 0);
}
END_TEST

START_TEST(a_program_that_does_not_exist_is_warned_of_until_a_reload)
{
	char path[SCRATCH_PATH_MAX];

	for (int i = 1; i <= 2; i++) {
		use("-gone -s", "", "");
		wait_for("Q1", "u@a.test");
		wait_for("Q2", "u@b.test");
		flusher_recovered(flusher, SET);
		wait_logged("delivery\\.flush_command: .*/script-gone: No "
			    "such file or directory; nothing is flushed until");
		run_for(100);
		ck_assert(!try_one());
		ck_assert_int_eq(count_logged("warning"), i);
		flusher_failed(flusher, SET);
		ck_assert_int_eq(unlink(scratch_path("script", path)), 0);
		flusher_free(&flusher);
		ck_assert_int_eq(
		    flusher_create(base, &flusher, &(struct err){ "" }), 0);
	}
}
END_TEST

/* -- its end -------------------------------------------------------------- */

START_TEST(a_command_under_way_ends_with_the_flusher)
{
	use(" -s", "exec sleep 60", "");
	wait_for("Q1", "u@a.test");
	flusher_recovered(flusher, SET);
	while (flusher->command == NULL)
		turn();
}
END_TEST

START_TEST(before_a_configuration_nothing_is_done)
{
	wait_for("Q1", "u@a.test");
	ck_assert(!try_one());
	flusher_recovered(flusher, SET);
	run_for(30);
	check_ran("");
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_recovery_flushes_the_domains_that_wait);
	tcase_add_test(tcase, a_message_put_off_later_is_asked_for_alone);
	tcase_add_test(tcase, a_command_without_s_flushes_domains_only);
	tcase_add_test(tcase, what_is_gone_or_failed_is_not_flushed);
	tcase_add_test(tcase, without_flush_on_recovery_only_trials_are_run);
	tcase_add_test(tcase, a_plan_is_not_taken_up_after_it_was_switched_off);
	tcase_add_test(tcase, hostile_names_are_one_argument_or_none);
	tcase_add_test(tcase, one_command_runs_at_a_time);
	tcase_add_test(tcase, a_trial_is_told_before_its_message_is_asked_for);
	tcase_add_test(tcase, a_trial_waits_for_the_command_under_way);
	tcase_add_test(tcase, there_are_not_too_many_trials_at_once);
	tcase_add_test(tcase, many_domains_are_some_names_and_a_number);
	tcase_add_test(
	    tcase, a_refused_domain_is_warned_of_once_until_a_reload);
	tcase_add_loop_test(tcase, general_trouble_is_warned_of_once_a_minute,
	    0, (int)NELEM(troubles));
	tcase_add_test(
	    tcase, a_program_that_does_not_exist_is_warned_of_until_a_reload);
	tcase_add_test(tcase, a_command_under_way_ends_with_the_flusher);
	tcase_add_test(tcase, before_a_configuration_nothing_is_done);
}

int
main(void)
{
	Suite *suite = suite_create("test_flusher");
	TCase *tcase = tcase_create("flusher");

	tcase_add_checked_fixture(tcase, begin_flusher, end_flusher);
	tcase_set_timeout(tcase, 20);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
