/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one; the loop is turned between what another process writes. */
#include "tests/unit/journal_scene.h"
#include "tests/unit/suite.h"

/* ---- where it begins ---- */

START_TEST(it_begins_at_the_end)
{
	add("old");
	add("older");
	follow();
	ck_assert(journal_follower_is_open(follower));
	loop_for(base, 3 * look_ms);
	add("one");
	expect("one");
	add("two");
	expect("one two");
	ck_assert_int_eq(scratch_count("log", "."), 0);
}
END_TEST

START_TEST(a_journal_without_mail_is_read_from_its_first_mail)
{
	add_other();
	follow();
	ck_assert(journal_follower_is_open(follower));
	loop_for(base, 3 * look_ms);
	add_other();
	add("one");
	add_other();
	add("two");
	expect("one two");
}
END_TEST

START_TEST(an_empty_folder_is_told_once_and_followed_from_its_first_record)
{
	follow();
	ck_assert(!journal_follower_is_open(follower));
	if (_i == 1)
		look_ms = 1000000; /* events alone suffice */
	loop_for(base, _i == 1 ? 10 : 5 * look_ms);
	ck_assert_int_eq(
	    scratch_count("log", "warning: .*/j cannot be followed: .*"
				 "group systemd-journal.*SupplementaryGroups="),
	    1);
	add("one");
	expect("one");
	add("two");
	expect("one two");
	LOOP_UNTIL(base, journal_follower_is_open(follower));
	ck_assert_int_eq(scratch_count("log", "/j is followed now$"), 1);
	ck_assert_int_eq(scratch_count("log", "."), 2);
}
END_TEST

START_TEST(a_folder_that_comes_later_is_found)
{
	char path[SCRATCH_PATH_MAX];

	erase("j");
	follow();
	ck_assert(!journal_follower_is_open(follower));
	ck_assert_int_eq(scratch_count("log", "warning: .*No such file"), 1);
	loop_for(base, 3 * look_ms);
	ck_assert_int_eq(mkdir(scratch_path("j", path), 0755), 0);
	LOOP_UNTIL(base, follower->journal != NULL);
	add("one");
	expect("one");
	ck_assert(journal_follower_is_open(follower));
}
END_TEST

/* ---- records ---- */

#define MAIL "SYSLOG_FACILITY=2\n"

static const struct {
	const char *fields, *record;
} records[] = {
	{ MAIL "SYSLOG_IDENTIFIER=postfix/relay/smtp\nSYSLOG_PID=123\n_PID=9\n"
	       "MESSAGE=a text\n",
	    "postfix/relay/smtp[123] a text\n" },
	{ MAIL "SYSLOG_IDENTIFIER=t\n_PID=4294967\nMESSAGE=x\n",
	    "t[4294967] x\n" },
	{ MAIL "SYSLOG_IDENTIFIER=t\nMESSAGE=x\n", "t[0] x\n" },
	{ MAIL "SYSLOG_IDENTIFIER=t\nSYSLOG_PID=-1\nMESSAGE=x\n", "t[0] x\n" },
	{ MAIL "SYSLOG_IDENTIFIER=t\nSYSLOG_PID=12x\nMESSAGE=x\n", "t[0] x\n" },
	{ MAIL "SYSLOG_IDENTIFIER=t\nSYSLOG_PID=12345678901\nMESSAGE=x\n",
	    "t[0] x\n" },
	{ MAIL "SYSLOG_IDENTIFIER=t\nMESSAGE=\n", "t[0] \n" },
	{ MAIL "SYSLOG_IDENTIFIER=\nMESSAGE=x\n", "[0] x\n" },
	{ MAIL "MESSAGE=no tag\n", "" },
	{ MAIL "SYSLOG_IDENTIFIER=t\n", "" },
	{ "SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=t\nMESSAGE=not mail\n", "" },
	{ "SYSLOG_FACILITY=21\nSYSLOG_IDENTIFIER=t\nMESSAGE=not mail\n", "" },
	{ "SYSLOG_IDENTIFIER=t\nMESSAGE=no facility\n", "" },
};

START_TEST(a_record_gives_its_tag_process_and_text)
{
	FILE *to;
	char want[256];

	add("old");
	follow();
	to = open_writer("j/a.journal");
	write_record(to, records[_i].fields);
	write_line(to, "end");
	close_writer(to);
	(void)snprintf(
	    want, sizeof(want), "%spostfix/smtp[7] end\n", records[_i].record);
	LOOP_UNTIL(base, strstr(seen, "] end\n") != NULL);
	ck_assert_str_eq(seen, want);
}
END_TEST

/* A field that is no plain line has its length before it. */
static void
write_binary(FILE *to, const char *field, const char *bytes, size_t len)
{
	write_head(to);
	fprintf(to, MAIL "%s%s\n",
	    strcmp(field, "MESSAGE") == 0 ? "SYSLOG_IDENTIFIER=t\n"
					  : "MESSAGE=x\n",
	    field);
	for (int i = 0; i < 64; i += 8)
		(void)putc((int)(len >> i & 0xff), to);
	(void)fwrite(bytes, 1, len, to);
	fprintf(to, "\n\n");
}

START_TEST(what_is_long_is_cut_off_and_what_no_mta_writes_is_left_out)
{
	static char big[100000];
	FILE *to;

	add("old");
	follow();
	to = open_writer("j/a.journal");
	write_binary(to, "MESSAGE", "two\nlines", 9);
	write_binary(to, "SYSLOG_IDENTIFIER", big, TAG_MAX + 1);
	write_binary(to, "MESSAGE", "a\0b", 3);
	memset(big, 'x', sizeof(big));
	write_binary(to, "MESSAGE", big, DELIVERY_LINE_MAX + 1);
	write_binary(to, "MESSAGE", big, sizeof(big));
	close_writer(to);
	LOOP_UNTIL(base, n_seen == 3);
	ck_assert_int_eq(memcmp(seen, "t[0] a\0b\n", 9), 0);
	ck_assert_uint_eq(seen_len, 9 + 2 * (5 + DELIVERY_LINE_MAX + 1));
	ck_assert_uint_eq(strspn(seen + 9 + 5, "x"), DELIVERY_LINE_MAX);
}
END_TEST

/* ---- files that come and go ---- */

START_TEST(rotation_and_removal_of_old_files_miss_and_double_nothing)
{
	add("old");
	follow();
	add("one");
	expect("one");
	move("j/a.journal", "j/a@1.journal");
	add("two");
	expect("one two");
	move("j/a.journal", "j/a@2.journal");
	erase("j/a@1.journal");
	loop_for(base, 3 * look_ms);
	add("three");
	/* Rotated before it was read. */
	move("j/a.journal", "j/a@3.journal");
	add("four");
	expect("one two three four");
	erase("j/a@2.journal");
	erase("j/a@3.journal");
	add("five");
	expect("one two three four five");
	ck_assert_int_eq(scratch_count("log", "."), 0);
}
END_TEST

START_TEST(opened_anew_it_goes_on_where_it_was)
{
	add("old");
	follow();
	if (_i >= 1) {
		add("one");
		expect("one");
	}
	give_up(follower, EIO);
	ck_assert(!journal_follower_is_open(follower));
	ck_assert_int_eq(scratch_count("log", "followed: Input/output"), 1);
	/* The record itself may be gone. */
	if (_i == 2)
		erase("j/a.journal");
	add("two");
	add("three");
	expect(_i == 0 ? "two three" : "one two three");
	ck_assert(journal_follower_is_open(follower));
	ck_assert_int_eq(scratch_count("log", "is followed now$"), 1);
}
END_TEST

START_TEST(all_files_gone_is_told_and_new_ones_are_found)
{
	char path[SCRATCH_PATH_MAX];

	add("old");
	follow();
	add("one");
	expect("one");
	erase("j/a.journal");
	LOOP_UNTIL(base, !journal_follower_is_open(follower));
	if (_i == 1) {
		erase("j");
		loop_for(base, look_ms);
		ck_assert_int_eq(mkdir(scratch_path("j", path), 0755), 0);
	}
	add("two");
	expect("one two");
	LOOP_UNTIL(base, journal_follower_is_open(follower));
}
END_TEST

/* Works for root, too: as somebody else. */
static void
become(uid_t user)
{
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(user), 0);
}

START_TEST(without_permission_one_warning_names_the_group)
{
	char path[SCRATCH_PATH_MAX];
	mode_t secret = _i == 0 ? 0 : 0755;

	add("old");
	ck_assert_int_eq(chmod(scratch_folder, 0777), 0);
	ck_assert_int_eq(chmod(scratch_path("j/a.journal", path), 0), 0);
	ck_assert_int_eq(chmod(scratch_path("j", path), secret), 0);
	become(65534);
	follow();
	loop_for(base, 3 * look_ms);
	ck_assert(!journal_follower_is_open(follower));
	become(0);
	ck_assert_int_eq(scratch_count("log", "systemd-journal"), 1);
	ck_assert_int_eq(scratch_count("log", "."), 1);
	/* What was written before it could be read is not read. */
	ck_assert_int_eq(chmod(scratch_path("j", path), 0755), 0);
	ck_assert_int_eq(chmod(scratch_path("j/a.journal", path), 0644), 0);
	LOOP_UNTIL(base, journal_follower_is_open(follower));
	add("one");
	expect("one");
}
END_TEST

/* ---- much to read ---- */

#define BACKLOG 20000

static void
count_record(void *arg, const char *tag, size_t tag_len, uint32_t pid,
    const char *text, size_t len)
{
	char word[16];

	(void)arg;
	(void)tag;
	ck_assert_uint_eq(tag_len, 12);
	ck_assert_uint_eq(pid, 7);
	(void)snprintf(word, sizeof(word), "%u", n_seen);
	ck_assert_uint_eq(len, strlen(word));
	ck_assert_int_eq(memcmp(text, word, len), 0);
	n_seen++;
}

START_TEST(a_backlog_is_read_whole_and_holds_nobody_up)
{
	uint64_t end_ms;
	unsigned before;
	char word[16];
	FILE *to;

	add("old");
	follow();
	follower->record = count_record;
	to = open_writer("j/a.journal");
	for (int i = 0; i < BACKLOG; i++) {
		(void)snprintf(word, sizeof(word), "%d", i);
		write_line(to, word);
	}
	close_writer(to);
	end_ms = clock_boot_ms() + LOOP_PATIENCE_MS;
	while (n_seen < BACKLOG) {
		ck_assert_uint_lt(clock_boot_ms(), end_ms);
		before = n_seen;
		(void)event_base_loop(base, EVLOOP_ONCE);
		/* By an event, and by a look at the same time. */
		ck_assert_uint_le(n_seen - before, 2 * RECORDS_MAX);
	}
}
END_TEST

START_TEST(nothing_is_left_open)
{
	unsigned before;

	add("old");
	before = loop_count_descriptors();
	follow();
	for (int i = 0; i < 3; i++) {
		move("j/a.journal", "j/a@1.journal");
		add("one");
		LOOP_UNTIL(base, n_seen == (unsigned)i + 1);
	}
	give_up(follower, EIO);
	LOOP_UNTIL(base, journal_follower_is_open(follower));
	ck_assert_uint_gt(loop_count_descriptors(), before);
	journal_follower_free(&follower);
	ck_assert_uint_eq(loop_count_descriptors(), before);
}
END_TEST

START_TEST(the_journal_of_the_machine_can_be_asked_for)
{
	struct err err = { "" };

	/* There may be none here: then that is told, and no more. */
	ck_assert_int_eq(journal_follower_create(
			     base, NULL, note_record, &seen, &follower, &err),
	    0);
	loop_for(base, 3 * look_ms);
	ck_assert_int_eq(scratch_count("log", "the journal cannot be followed"),
	    !journal_follower_is_open(follower));
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("journal_follower");
	TCase *start = tcase_create("where it begins");
	TCase *what = tcase_create("records");
	TCase *files = tcase_create("files that come and go");
	TCase *much = tcase_create("much to read");

	tcase_add_checked_fixture(start, begin, end);
	tcase_set_timeout(start, 30);
	tcase_add_test(start, it_begins_at_the_end);
	tcase_add_test(
	    start, a_journal_without_mail_is_read_from_its_first_mail);
	tcase_add_loop_test(start,
	    an_empty_folder_is_told_once_and_followed_from_its_first_record, 0,
	    2);
	tcase_add_test(start, a_folder_that_comes_later_is_found);
	tcase_add_test(start, the_journal_of_the_machine_can_be_asked_for);
	suite_add_tcase(s, start);
	tcase_add_checked_fixture(what, begin, end);
	tcase_set_timeout(what, 30);
	tcase_add_loop_test(what, a_record_gives_its_tag_process_and_text, 0,
	    (int)NELEM(records));
	tcase_add_test(
	    what, what_is_long_is_cut_off_and_what_no_mta_writes_is_left_out);
	suite_add_tcase(s, what);
	tcase_add_checked_fixture(files, begin, end);
	tcase_set_timeout(files, 30);
	tcase_add_test(
	    files, rotation_and_removal_of_old_files_miss_and_double_nothing);
	tcase_add_loop_test(files, opened_anew_it_goes_on_where_it_was, 0, 3);
	tcase_add_loop_test(
	    files, all_files_gone_is_told_and_new_ones_are_found, 0, 2);
	tcase_add_loop_test(
	    files, without_permission_one_warning_names_the_group, 0, 2);
	suite_add_tcase(s, files);
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
