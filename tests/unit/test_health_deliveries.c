/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread. */
#include "policy/health.h"

#include <check.h>

#include "tests/unit/health_story.h"
#include "tests/unit/suite.h"

static const struct health_story blind[] = {
	{ "trouble behind the last stage of a probe makes it blind",
	    STORY_SEEN(1, 2), "0e", "D", "D f1 b10000 blind" },
	{ "trouble where a probe looks does not", STORY_SEEN(1, 2), "0f", "D",
	    "D f1 b10000" },
	{ "good probes do not bring a blind host back", STORY_SEEN(1, 2),
	    "0e 10G 20G 90000G", "D...", "D G3 f1 b10000 blind" },
	{ "good probes bring back what fell where they look", STORY_SEEN(1, 2),
	    "0f 10G 20G", "D.U", "U G2 @20 r1" },
	{ "good probes from before the fall do not count", STORY_SEEN(1, 2),
	    "0G 1G 2f 3G 4G", "..D.U", "U G2 @4 r1" },
	{ "a host that probes took back wrongly is blind", STORY_SEEN(1, 2),
	    "0f 10G 20G 300019f", "D.UD", "D f1 b10000 @300019 r1 x1 blind" },
	{ "not when it was well for a while", STORY_SEEN(1, 2),
	    "0f 10G 20G 300020f", "D.UD", "D f1 b10000 @300020 r1" },
	{ "not when it was a probe that found its trouble", STORY_SEEN(1, 2),
	    "0F 10G 20G 30f", "D.UD", "D f1 b10000 @30 r1 x1" },
	{ "not when the newest probe found it failing", STORY_SEEN(2, 2),
	    "0f 1f 10G 20G 30F 40f 41f", ".D.U..D",
	    "D F1 f2 b10000 @41 r1 x1" },
	{ "not when deliveries took it back", STORY_SEEN(1, 2),
	    "0A 0f 10g 20g 30f", "D.UD", "D f1 b10000 @30 r1 x1" },
	{ "a fall that a probe sees ends the suspicion against probes",
	    STORY_SEEN(1, 2), "0f 10G 20G 30F 40G 50G 60f", "D.UD.UD",
	    "D f1 b10000 @60 r2 x2" },
	{ "a deferred host that fails where no probe looks becomes blind",
	    STORY_SEEN(1, 2), "0F 10e", "D.", "D F1 f1 b10000 blind" },
	{ "and is not blind when it fails where they look", STORY_SEEN(1, 2),
	    "0F 10f", "D.", "D F1 f1 b10000" },
	{ "a blind host stays blind when it fails where probes look",
	    STORY_SEEN(1, 2), "0e 10f", "D.", "D f2 b10000 blind" },
	{ "nobody is blind where deliveries are not observed", STORY_SEEN(1, 2),
	    "0o 0e 10e", "D.", "D f2 b10000" },
	{ "nobody is blind by suspicion where they are not observed",
	    STORY_SEEN(1, 2), "0o 0f 10G 20G 30f", "D.UD",
	    "D f1 b10000 @30 r1 x1" },
	{ "blind ends with the observation of deliveries", STORY_SEEN(1, 2),
	    "0e 0o 10G 20G", "D.U", "U G2 @20 r1" },
	{ "also by time alone", STORY_SEEN(1, 2), "0e 0o 1!", "D.",
	    "D f1 b10000" },
	{ "and good probes that were there count", STORY_SEEN(1, 2),
	    "0e 1G 2G 2o 3!", "D..U", "U G2 @3 r1" },
	{ "a trouble of our own changes nothing", STORY_SEEN(1, 2),
	    "0e 0o 1l 2L", "D..", "D f1 b10000 blind" },
};

static const struct health_story streaks[] = {
	{ "fall failed deliveries in a row are needed", STORY_SEEN(3, 2),
	    "0e 1e 2e", "..D", "D f3 b10000 @2 blind" },
	{ "a good one between starts the row anew, and the spelling",
	    STORY_SEEN(3, 2), "0e 1e 2g 3e 4e", ".....", "U f2 r1" },
	{ "a refused recipient starts the row anew, and nothing else",
	    STORY_SEEN(3, 2), "0g 1e 2e 3p 4e 5e", "......", "U f2" },
	{ "a refused recipient is no success", STORY_SEEN(1, 2), "0g 1p", "..",
	    "U g1" },
	{ "a good probe does not break a row of deliveries", STORY_SEEN(3, 2),
	    "0e 1e 2G 3e", "...D", "D f3 b10000 @3 blind" },
	{ "a good delivery does not break a row of probes", STORY_SEEN(3, 2),
	    "0F 1F 2g 3F", "...D", "D F3 b10000 @3" },
	{ "failures of both do not add up", STORY_SEEN(3, 2), "0F 1F 2e 3e",
	    "....", "U F2 f2" },
	{ "good ones of an alone host bring it up", STORY_SEEN(1, 2),
	    "0A 0e 1g 2g", "D.U", "U g2 @2 r1" },
	{ "good ones from before its fall do not", STORY_SEEN(1, 2),
	    "0A 0g 0g 0e 1g", "..D.", "D g1 b10000 blind" },
	{ "nor from before a fall that a probe found", STORY_SEEN(1, 2),
	    "0A 0g 0g 0F 1g", "..D.", "D F1 g1 b10000" },
	{ "a failure between them starts their row anew", STORY_SEEN(1, 2),
	    "0A 0e 1g 2e 3g", "D...", "D g1 b10000 blind" },
	{ "a refused recipient says nothing then", STORY_SEEN(1, 2),
	    "0A 0e 1g 2p 3g", "D..U", "U g2 @3 r1" },
	{ "good ones of a host that is not alone only count", STORY_SEEN(1, 2),
	    "0e 1g 2g 3g", "D...", "D g3 b10000 blind" },
	{ "a recovery by probes ends the row of failed deliveries",
	    STORY_SEEN(3, 2), "0f 1f 2f 3G 4G 5f 6f", "..D.U..",
	    "U G2 f2 @4 r1" },
	{ "a recovery by deliveries ends the row of failed probes",
	    STORY_SEEN(3, 2), "0A 0F 1F 2F 3g 4g 5F 6F", "..D.U..",
	    "U F2 g2 @4 r1" },
	{ "failed deliveries before it is due count, and move no time",
	    STORY_SEEN(1, 2), "0e 9999e", "D.", "D f2 b10000 blind" },
	{ "after that each doubles the back-off", STORY_SEEN(1, 2),
	    "0e 12000e 40000e", "Ddd", "D f3 b40000 blind" },
	{ "silence is remembered", STORY_SEEN(1, 2), "0t", "D",
	    "D f1 b10000 blind silent" },
	{ "what it does now counts", STORY_SEEN(1, 2), "0t 1e", "D.",
	    "D f2 b10000 blind" },
};

static const struct health_story trials[] = {
	{ "when its time is up a blind host goes on trial", STORY_SEEN(1, 2),
	    "0e 9999! 12000!", "D.T", "T f1 b10000 @12000 blind" },
	{ "a host that probes bring back does not", STORY_SEEN(1, 2),
	    "0f 12000!", "D.", "D f1 b10000" },
	{ "a success in trial brings it up", STORY_SEEN(1, 2),
	    "0e 12000! 13000g", "DTU", "U g1 @13000 r1" },
	{ "a failure in trial defers it twice as long", STORY_SEEN(1, 2),
	    "0e 12000! 13000e", "DTd", "D f2 b20000 @13000 blind" },
	{ "whatever fall is", STORY_SEEN(2, 2), "0e 1e 12000! 13000e", ".DTd",
	    "D f3 b20000 @13000 blind" },
	{ "also a failure where probes look", STORY_SEEN(1, 2),
	    "0e 12000! 13000f", "DTd", "D f2 b20000 @13000 blind" },
	{ "trials come once a back-off", STORY_SEEN(1, 2),
	    "0e 12000! 13000e 32000! 36000! 37000e", "DTd.Td",
	    "D f3 b40000 @37000 blind" },
	{ "a refused recipient does not end a trial", STORY_SEEN(1, 2),
	    "0e 12000! 13000p", "DT.", "T f1 b10000 @12000 blind" },
	{ "a failed probe ends a trial", STORY_SEEN(1, 2), "0e 12000! 13000F",
	    "DTd", "D F1 f1 b20000 @13000 blind" },
	{ "and the next one waits for a good probe", STORY_SEEN(1, 2),
	    "0e 12000! 13000F 40000! 41000G 41001!", "DTd..T",
	    "T G1 f1 b20000 @41001 blind" },
	{ "a probe that timed out makes it wait for rise of them",
	    STORY_SEEN(1, 2),
	    "0e 12000! 13000T 40000! 41000G 41001! 42000G 42001!", "DTd....T",
	    "T G2 f1 b20000 @42001 blind silent" },
	{ "good probes do not end a trial", STORY_SEEN(1, 2),
	    "0e 12000! 13000G 14000G 15000G", "DT...",
	    "T G3 f1 b10000 @12000 blind" },
	{ "a silent host is tried after rise good probes", STORY_SEEN(1, 2),
	    "0t 12000! 12001G 12002! 12003G 12004!", "D....T",
	    "T G2 f1 b10000 @12004 blind silent" },
	{ "good probes from before its fall do not vouch for it",
	    STORY_SEEN(1, 2), "0G 1G 2t 12010!", "..D.",
	    "D f1 b10000 @2 blind silent" },
	{ "nor those from before it fell silent", STORY_SEEN(1, 2),
	    "0e 1G 2G 3t 12000!", "D....", "D f2 b10000 blind silent" },
	{ "nor those from before a silent trial", STORY_SEEN(1, 2),
	    "0t 1G 2G 12000! 13000t 40000!", "D..Td.",
	    "D f2 b20000 @13000 blind silent" },
	{ "what was under way when it fell silent asks for no more",
	    STORY_SEEN(1, 2), "0t 1G 2t 3G 12000!", "D...T",
	    "T G2 f2 b10000 @12000 blind silent" },
	{ "an alone host in trial needs one success", STORY_SEEN(1, 2),
	    "0A 0e 12000! 13000g", "DTU", "U g1 @13000 r1" },
	{ "an alone host waits for its trial as others do", STORY_SEEN(1, 2),
	    "0A 0e 1! 2G 3G 4!", "D....", "D G2 f1 b10000 blind" },
	{ "without observation a trial ends and the probe decides",
	    STORY_SEEN(1, 2), "0e 12000! 12000o 13000!", "DT.",
	    "D f1 b10000 @13000" },
	{ "at once if good ones were there", STORY_SEEN(1, 2),
	    "0e 1G 2G 12000! 12000o 13000!", "D..TU", "U G2 @13000 r1" },
	{ "or by probes before any tick", STORY_SEEN(1, 2),
	    "0e 12000! 12000o 13000G 14000G", "DT.U", "U G2 @14000 r1" },
	{ "a trial that hangs is a silent failure", STORY_SEEN(1, 2),
	    "0e 1G 2G 12000! 43000s", "D..Td",
	    "D f2 b20000 @43000 blind silent" },
	{ "a trial of which nothing is heard stays", STORY_SEEN(1, 2),
	    "0e 12000! 43000n 74000n", "DT..", "T f1 b10000 @12000 ?2 blind" },
	{ "until the log must be the wrong one", STORY_SEEN(1, 2),
	    "0e 12000! 43000n 74000n 105000n", "DT..d", "D f1 b10000 @105000" },
	{ "then the probe decides", STORY_SEEN(1, 2),
	    "0e 12000! 43000n 74000n 105000n 105001! 106000G 107000G",
	    "DT..d..U", "U G2 @107000 r1" },
	{ "a word between starts their row anew", STORY_SEEN(1, 2),
	    "0e 12000! 1n 2n 3p 4n", "DT....", "T f1 b10000 @12000 ?1 blind" },
	{ "so does a failure", STORY_SEEN(1, 2),
	    "0e 12000! 13000n 14000n 15000e 40000! 41000n", "DT..dT.",
	    "T f2 b20000 @40000 ?1 blind" },
	{ "a recovery as well", STORY_SEEN(1, 2),
	    "0A 0e 12000! 13000n 14000n 15000g", "DT..U", "U g1 @15000 r1" },
	{ "nothing is unheard of a host that is not in trial", STORY_SEEN(1, 2),
	    "0e 1n 2s", "D..", "D f1 b10000 blind" },
	{ "nor of one that is up", STORY_SEEN(1, 2), "0n 1s", "..", "U" },
	{ "good probes stay when a delivery is refused in words",
	    STORY_SEEN(1, 2), "0e 1G 2G 3e 12000! 13000e", "D...Td",
	    "D G2 f3 b20000 @13000 blind" },
	{ "a good word counts also when the trial is over", STORY_SEEN(1, 2),
	    "0e 12000! 13000n 14000F 15000g", "DT.d.",
	    "D F1 g1 b20000 @14000 blind" },
};

static const struct health_story overruled[] = {
	{ "deliveries overrule a probe that fails at MAIL", STORY_SEEN(1, 2),
	    "0A 0M 10g 20g 30M 40M", "D.U..", "U G2 g2 @20 r1 overruled" },
	{ "not one that fails before it", STORY_SEEN(1, 2), "0A 0F 10g 20g",
	    "D.U", "U g2 @20 r1" },
	{ "not one that has become good", STORY_SEEN(1, 2), "0A 0M 10G 20g 30g",
	    "D..U", "U G1 g2 @30 r1" },
	{ "a probe that fails earlier counts still", STORY_SEEN(1, 2),
	    "0A 0M 10g 20g 30F", "D.UD", "D F1 b10000 @30 r1 x1 overruled" },
	{ "and the way back is where the probe was overruled", STORY_SEEN(1, 2),
	    "0A 0M 10g 20g 20a 30F 40M 50M", "D.UD.U",
	    "U G2 @50 r2 x1 overruled" },
	{ "also for deliveries", STORY_SEEN(1, 2),
	    "0A 0M 10g 20g 30F 40M 50g 60g", "D.UD..U",
	    "U G1 g2 @60 r2 x1 overruled" },
	{ "a good probe ends it", STORY_SEEN(1, 2), "0A 0M 10g 20g 30G 40M",
	    "D.U.D", "D F1 b10000 @40 r1 x1" },
	{ "a failed delivery ends it", STORY_SEEN(1, 2), "0A 0M 10g 20g 30f",
	    "D.UD", "D f1 b10000 @30 r1 x1" },
	{ "also one below fall", STORY_SEEN(2, 2), "0A 0M 1M 10g 20g 30f",
	    ".D.U.", "U f1 @20 r1" },
	{ "a refused recipient does not", STORY_SEEN(1, 2), "0A 0M 10g 20g 30p",
	    "D.U.", "U g2 @20 r1 overruled" },
	{ "probes count where deliveries are observed no more",
	    STORY_SEEN(1, 2), "0A 0M 10g 20g 20o 30M", "D.UD",
	    "D F1 b10000 @30 r1 x1" },
	{ "also by time alone", STORY_SEEN(1, 2), "0A 0M 10g 20g 20o 30!",
	    "D.U.", "U g2 @20 r1" },
	{ "nothing is overruled where they were not observed", STORY_SEEN(1, 2),
	    "0A 0o 0M 10g 20g", "D.U", "U g2 @20 r1" },
};

static const struct health_story flaps[] = {
	{ "the third fall after a young recovery is damped", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 6F 7G", "DUDUDUD.", "D G1 b20000 @6 r3 x3" },
	{ "the second is not", STORY_SEEN(1, 1), "0F 1G 2F 3G 4F 5G", "DUDUDU",
	    "U G1 @5 r3 x2" },
	{ "at its time good probes that were there bring it up",
	    STORY_SEEN(1, 1), "0F 1G 2F 3G 4F 5G 6F 7G 20000! 22006!",
	    "DUDUDUD..U", "U G1 @22006 r4 x3" },
	{ "or the next one", STORY_SEEN(1, 1), "0F 1G 2F 3G 4F 5G 6F 7G 22006G",
	    "DUDUDUD.U", "U G2 @22006 r4 x3" },
	{ "not without them", STORY_SEEN(1, 1), "0F 1G 2F 3G 4F 5G 6F 22006!",
	    "DUDUDUD.", "D F1 b20000 @6 r3 x3" },
	{ "rise of them are needed", STORY_SEEN(1, 2),
	    "0F 1G 1G 2F 3G 3G 4F 5G 5G 6F 7G 22006! 22007G", "D.UD.UD.UD..U",
	    "U G2 @22007 r4 x3" },
	{ "each further fall doubles", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 6F 22006G 22007F", "DUDUDUDUD",
	    "D F1 b40000 @22007 r4 x4" },
	{ "a failure at its time renews it", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 6F 22006F", "DUDUDUDd", "D F2 b40000 @6 r3 x3" },
	{ "an alone host is not kept out", STORY_SEEN(1, 1),
	    "0A 0F 1G 2F 3G 4F 5G 6F 7G", "DUDUDUDU", "U G1 @7 r4 x3" },
	{ "nor one that is alone at last", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 6F 7G 7A 8!", "DUDUDUD.U", "U G1 @8 r4 x3" },
	{ "staying up ends it", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 300004! 300005! 300006F 300007G", "DUDUDU..DU",
	    "U G1 @300007 r4" },
	{ "but not yet", STORY_SEEN(1, 1), "0F 1G 2F 3G 300002!", "DUDU.",
	    "U G1 @3 r2 x1" },
	{ "it is over in time", STORY_SEEN(1, 1), "0F 1G 2F 3G 300003!",
	    "DUDU.", "U G1 @3 r2" },
	{ "also when nobody looked", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 300005F 300006G", "DUDUDUDU",
	    "U G1 @300006 r4" },
	{ "it flaps still a moment before", STORY_SEEN(1, 1),
	    "0F 1G 2F 3G 4F 5G 300004! 300004F", "DUDUDU.D",
	    "D F1 b20000 @300004 r3 x3" },
	{ "damped where deliveries are not observed as well", STORY_SEEN(1, 1),
	    "0o 0F 1G 2F 3G 4F 5G 6F 7G 22006!", "DUDUDUD.U",
	    "U G1 @22006 r4 x3" },
	{ "falls by deliveries flap as well", STORY_SEEN(1, 1),
	    "0A 0e 1g 2e 3g 4e 5g 6e", "DUDUDUD",
	    "D f1 b20000 @6 r3 x3 blind" },
	{ "a success in trial does not wait", STORY_SEEN(1, 1),
	    "0A 0e 1g 2e 3g 4e 5g 6e 6a 22006! 22007g", "DUDUDUDTU",
	    "U g1 @22007 r4 x3" },
	{ "a blind one that is alone is tried as after any fall",
	    STORY_SEEN(1, 1), "0A 0e 1g 2e 3g 4e 5g 6e 10005! 10006!",
	    "DUDUDUD.T", "T f1 b10000 @10006 r3 x2 blind" },
	{ "also one that is alone at last", STORY_SEEN(1, 1),
	    "0A 0e 1g 2e 3g 4e 5g 6e 6a 15000! 15000A 15001!", "DUDUDUD.T",
	    "T f1 b10000 @15001 r3 x2 blind" },
	{ "and spared once: failed trials count as they do", STORY_SEEN(1, 1),
	    "0A 0e 1g 2e 3g 4e 5g 6e 10006! 10007e 20008! 32007!",
	    "DUDUDUDTd.T", "T f2 b20000 @32007 r3 x2 blind" },
	{ "what it failed before it was alone is forgotten", STORY_SEEN(1, 1),
	    "0A 0e 1g 2e 3g 4e 5g 6e 6a 22006! 22007e 22007A 22008!",
	    "DUDUDUDTd.", "D f2 b10000 @22007 r3 x2 blind" },
	{ "probes spare it no flap", STORY_SEEN(1, 1),
	    "0A 0F 1G 2F 3G 4F 5G 6F 7! 8G", "DUDUDUD.U", "U G1 @8 r4 x3" },
	{ "not longer than max",
	    { .fall = 1,
		.rise = 1,
		.first_ms = 10000,
		.max_ms = 15000,
		.observed = true,
		.probe_stage = STAGE_MAIL },
	    "0F 1G 2F 3G 4F 5G 6F 7G", "DUDUDUD.", "D G1 b15000 @6 r3 x3" },
	{ "not longer while our network is suspect",
	    { .fall = 1,
		.rise = 1,
		.first_ms = 10000,
		.max_ms = 600000,
		.hold_backoff = true },
	    "0F 1G 2F 3G 4F 5G 6F 7G", "DUDUDUD.", "D G1 b10000 @6 r3 x3" },
};

START_TEST(a_blind_host_is_as_its_row_says)
{
	story_play(&blind[_i]);
}
END_TEST

START_TEST(streaks_are_per_source_as_the_row_says)
{
	story_play(&streaks[_i]);
}
END_TEST

START_TEST(a_trial_goes_as_its_row_says)
{
	story_play(&trials[_i]);
}
END_TEST

START_TEST(deliveries_overrule_probes_as_the_row_says)
{
	story_play(&overruled[_i]);
}
END_TEST

START_TEST(flaps_are_damped_as_the_row_says)
{
	story_play(&flaps[_i]);
}
END_TEST

static const struct {
	enum outcome_stage level, failed;
	bool blind;
} levels[] = {
	{ STAGE_CONNECT, STAGE_CONNECT, false },
	{ STAGE_CONNECT, STAGE_GREETING, true },
	{ STAGE_EHLO, STAGE_EHLO, false },
	{ STAGE_EHLO, STAGE_MAIL, true },
	{ STAGE_RCPT, STAGE_RCPT, false },
	{ STAGE_RCPT, STAGE_DATA, true },
};

START_TEST(what_is_blind_depends_on_how_far_probes_go)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health up = { .since_ms = STORY_START_MS }, next;
	struct observation failed = { .outcome = OUTCOME_LOST,
		.stage = levels[_i].failed,
		.source = SOURCE_DELIVERY };

	policy.probe_stage = levels[_i].level;
	(void)health_observe(&policy, &up, &failed, STORY_START_MS, 1, &next);
	ck_assert_int_eq(next.state, HEALTH_DEFERRED);
	ck_assert_int_eq(next.blind, levels[_i].blind);
}
END_TEST

START_TEST(who_and_where_is_remembered)
{
	struct health_policy policy = STORY_SEEN(1, 1);
	struct health health = { .since_ms = STORY_START_MS };

	policy.alone = true;
	(void)story_step(&policy, 'M', STORY_START_MS, &health);
	ck_assert_int_eq(health.stage, STAGE_MAIL);
	ck_assert_int_eq(health.fell_by, SOURCE_PROBE);
	ck_assert_int_eq(health.rose_by, SOURCE_NONE);
	(void)story_step(&policy, 'g', STORY_START_MS, &health);
	ck_assert_int_eq(health.rose_by, SOURCE_DELIVERY);
	(void)story_step(&policy, 'e', STORY_START_MS, &health);
	ck_assert_int_eq(health.fell_by, SOURCE_DELIVERY);
	ck_assert_int_eq(health.stage, STAGE_MAIL);
	policy.observed = false;
	(void)story_step(&policy, 'F', STORY_START_MS, &health);
	ck_assert_int_eq(health.stage, STAGE_GREETING);
	ck_assert_int_eq(health.fell_by, SOURCE_DELIVERY);
	(void)story_step(&policy, 'G', STORY_START_MS, &health);
	ck_assert_int_eq(health.rose_by, SOURCE_PROBE);
}
END_TEST

static Suite *
health_deliveries_suite(void)
{
	Suite *suite = suite_create("health_deliveries");
	TCase *told = tcase_create("stories");

	tcase_add_loop_test(
	    told, a_blind_host_is_as_its_row_says, 0, (int)NELEM(blind));
	tcase_add_loop_test(told, streaks_are_per_source_as_the_row_says, 0,
	    (int)NELEM(streaks));
	tcase_add_loop_test(
	    told, a_trial_goes_as_its_row_says, 0, (int)NELEM(trials));
	tcase_add_loop_test(told, deliveries_overrule_probes_as_the_row_says, 0,
	    (int)NELEM(overruled));
	tcase_add_loop_test(
	    told, flaps_are_damped_as_the_row_says, 0, (int)NELEM(flaps));
	tcase_add_loop_test(told, what_is_blind_depends_on_how_far_probes_go, 0,
	    (int)NELEM(levels));
	tcase_add_test(told, who_and_where_is_remembered);
	suite_add_tcase(suite, told);
	return suite;
}

int
main(void)
{
	return suite_run(health_deliveries_suite());
}
