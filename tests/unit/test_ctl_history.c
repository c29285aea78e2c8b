/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
#include "milter/ctl_history.h"

#include "tests/unit/ctl_room.h"
#include "tests/unit/suite.h"

static void
note(const struct health_history *change)
{
	struct health_history noted = *change;

	noted.at_ms = ctl.now_ms - 1000;
	health_table_note(table, first, &noted);
}

static int
history_text(const char *host)
{
	FILE *file = out();
	int status = ctl_history_print(&ctl, host, file);

	ck_assert_int_eq(fclose(file), 0);
	return status;
}

static const struct health_history fell = { .from = HEALTH_UP,
	.to = HEALTH_DEFERRED,
	.blind = true,
	.backoff_ms = 10000,
	.count = 1,
	.stage = STAGE_END_OF_DATA,
	.source = SOURCE_DELIVERY,
	.code = 452,
	.text = "452 4.3.1 Full" };
static const struct health_history on_trial = { .from = HEALTH_DEFERRED,
	.to = HEALTH_TRIAL,
	.stage = STAGE_END_OF_DATA,
	.source = SOURCE_DELIVERY,
	.text = "452 4.3.1 Full" };
static const struct health_history rose = { .from = HEALTH_TRIAL,
	.to = HEALTH_UP,
	.count = 1,
	.stage = STAGE_END_OF_DATA,
	.source = SOURCE_DELIVERY,
	.text = "250 2.0.0 Ok" };
static const struct health_history drained = { .is_override = true,
	.from = OVERRIDE_NONE,
	.to = OVERRIDE_DRAIN,
	.source = SOURCE_OPERATOR,
	.text = "new disks" };

START_TEST(changes_are_told_from_the_oldest_to_the_newest)
{
	const char *at;

	note(&fell);
	note(&on_trial);
	note(&rose);
	note(&drained);
	ck_assert_int_eq(history_text("192.168.1.10"), CTL_OK);
	SAYS("up -> deferred  ");
	SAYS("  for 10 s: 452 4.3.1 Full (end-of-data, "
	     "delivery, 1 in a row), no probe sees it\n");
	at = strstr(text, "its time was up; deferred for: 452 4.3.1 Full\n");
	ck_assert_ptr_nonnull(at);
	at = strstr(at, "trial -> up");
	ck_assert_ptr_nonnull(at);
	at = strstr(at, "override none -> drain");
	ck_assert_ptr_nonnull(at);
	ck_assert_ptr_nonnull(strstr(at, "new disks (operator)\n"));
}
END_TEST

START_TEST(a_host_without_changes_says_so)
{
	ck_assert_int_eq(history_text("192.168.1.10:25"), CTL_OK);
	SAYS("192.168.1.10:25: no change of state is on record\n");
}
END_TEST

START_TEST(an_unknown_host_is_trouble)
{
	ck_assert_int_eq(history_text("192.168.1.10:26"), CTL_TROUBLE);
	ck_assert_int_eq(history_text("[192.168.1.10"), CTL_USAGE);
}
END_TEST

static Suite *
ctl_history_suite(void)
{
	Suite *suite = suite_create("test_ctl_history");
	TCase *tcase = tcase_create("history");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, changes_are_told_from_the_oldest_to_the_newest);
	tcase_add_test(tcase, a_host_without_changes_says_so);
	tcase_add_test(tcase, an_unknown_host_is_trouble);
	suite_add_tcase(suite, tcase);
	return suite;
}

int
main(void)
{
	return suite_run(ctl_history_suite());
}
