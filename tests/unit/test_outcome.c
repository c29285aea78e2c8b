/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/outcome.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	enum outcome outcome;
	enum outcome_verdict verdict;
} verdicts[] = {
	{ OUTCOME_OK, VERDICT_OK },
	{ OUTCOME_POLICY, VERDICT_OK },
	{ OUTCOME_REFUSED, VERDICT_FAIL },
	{ OUTCOME_UNREACHABLE, VERDICT_FAIL },
	{ OUTCOME_TIMEOUT, VERDICT_FAIL },
	{ OUTCOME_TEMPORARY, VERDICT_FAIL },
	{ OUTCOME_PERMANENT, VERDICT_FAIL },
	{ OUTCOME_LOST, VERDICT_FAIL },
	{ OUTCOME_NOT_SMTP, VERDICT_FAIL },
	{ OUTCOME_TLS, VERDICT_FAIL },
	{ OUTCOME_NO_STARTTLS, VERDICT_FAIL },
	{ OUTCOME_LOCAL, VERDICT_NEUTRAL },
};
_Static_assert(NELEM(verdicts) == OUTCOME_COUNT, "every outcome is judged");

START_TEST(each_outcome_has_its_verdict)
{
	ck_assert_int_eq(
	    outcome_info(verdicts[_i].outcome)->verdict, verdicts[_i].verdict);
}
END_TEST

/* Tokens are searched for by scripts: capitals and underscores, no two equal.
 */
START_TEST(each_outcome_has_a_token_of_its_own_and_words)
{
	const struct outcome_info *info = outcome_info((enum outcome)_i);

	ck_assert_uint_gt(strlen(info->token), 1);
	for (const char *c = info->token; *c != '\0'; c++)
		ck_assert_msg(
		    isupper((unsigned char)*c) || *c == '_', "%s", info->token);
	ck_assert_uint_gt(strlen(info->text), 0);
	ck_assert_uint_lt(strlen(info->text), OUTCOME_TEXT_MAX);
	ck_assert_uint_gt(strlen(info->reason), 0);
	for (int other = 0; other < _i; other++)
		ck_assert_str_ne(
		    info->token, outcome_info((enum outcome)other)->token);
}
END_TEST

START_TEST(unexpected_replies_are_called_so_in_the_log)
{
	ck_assert_str_eq(outcome_info(OUTCOME_TEMPORARY)->reason,
	    "unexpected SMTP response");
	ck_assert_str_eq(outcome_info(OUTCOME_PERMANENT)->reason,
	    "unexpected SMTP response");
	ck_assert_str_eq(
	    outcome_info(OUTCOME_NOT_SMTP)->reason, "unexpected SMTP response");
}
END_TEST

START_TEST(stages_and_sources_have_names)
{
	for (int i = 0; i < STAGE_COUNT; i++)
		ck_assert_uint_gt(
		    strlen(outcome_stage_name((enum outcome_stage)i)), 0);
	for (int i = 0; i < SOURCE_COUNT; i++)
		ck_assert_uint_gt(
		    strlen(outcome_source_name((enum outcome_source)i)), 0);
	ck_assert_str_eq(outcome_stage_name(STAGE_GREETING), "greeting");
	ck_assert_str_eq(outcome_source_name(SOURCE_PROBE), "probe");
}
END_TEST

static Suite *
outcome_suite(void)
{
	Suite *suite = suite_create("test_outcome");
	TCase *all = tcase_create("outcome");

	tcase_add_loop_test(
	    all, each_outcome_has_its_verdict, 0, (int)NELEM(verdicts));
	tcase_add_loop_test(all, each_outcome_has_a_token_of_its_own_and_words,
	    0, OUTCOME_COUNT);
	tcase_add_test(all, unexpected_replies_are_called_so_in_the_log);
	tcase_add_test(all, stages_and_sources_have_names);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(outcome_suite());
}
