# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Nothing is bounced or lost because a host is sick, missing or forbidden."""

import re

import pytest

from harness import (EHLO_550, GREETING_431, GREYLISTING, HEALTHY, RCPT_452,
                     Script, read_text, routes_to, spread, wait_until)


def held(postfix, count=1):
    """The messages sit in the queue, nothing was bounced."""
    wait_until(lambda: postfix.deferred() >= count, 40,
               lambda: "%d deferred\n%s" % (count, postfix.log()[-4000:]))
    postfix.wait_settled()
    assert postfix.bounced() == 0
    assert postfix.queued("deferred", "defer") >= count


def test_a_name_that_does_not_resolve_is_never_answered(room):
    daemon = room.daemon(dict(
        domain="example.test", hosts=(dict(host="nowhere.invalid"),)))
    daemon.expect_trouble(r"\[nowhere\.invalid\]:25 does not resolve")
    assert re.match(r"OK nexthop-hold:", daemon.ask("u@example.test"))
    assert [host["usable"] for host in daemon.status()["hosts"]] == [False]
    assert daemon.ctl("lookup", "u@example.test").count("not resolve") == 1
    postfix = room.postfix(daemon)
    postfix.smtp_source(3)
    held(postfix, 3)


def test_an_ipv6_host_is_left_out_while_postfix_has_ipv4_only(room):
    a = room.servers(RCPT_452)
    daemon = room.daemon(
        dict(domain="six.test", hosts=(dict(host="::1", port=2525),)),
        dict(domain="both.test", hosts=(
            a.host(), dict(host="::1", port=2525, priority=10))),
        probe=dict(level="ehlo"))
    daemon.expect_trouble(r"\[::1\]:2525 is never listed: address_family")
    assert daemon.ask("u@both.test") == "OK nexthop:" + a.hostport
    assert re.match(r"OK nexthop-hold:", daemon.ask("u@six.test"))
    postfix = room.postfix(daemon, (a,))
    postfix.smtp_source(2, to="r@six.test")
    postfix.smtp_source(2, to="r@both.test")
    held(postfix, 4)


def test_all_hosts_disabled_holds_mail_and_enabling_one_releases_it(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a, b))
    daemon.wait_probed(a, b)
    for server in (a, b):
        daemon.ctl("disable", server.key)
    assert re.match(r"OK nexthop-hold:", daemon.ask("u@example.test"))
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(5)
    held(postfix, 5)
    assert spread(a, b) == [0, 0]
    assert "4.3.2" in postfix.log()

    daemon.ctl("enable", b.key)
    postfix.flush_until_empty()
    assert spread(a, b) == [0, 5]


def test_a_host_that_goes_away_after_the_question_costs_no_message(room):
    """The interval is long: the daemon still answers with A when Postfix
    finds it gone."""
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)),
                         routes_to(a, domain="alone.test"),
                         probe=dict(interval=300.0))
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    assert daemon.ask("u@example.test").startswith("OK nexthop:" + a.hostport)
    a.refuse()
    postfix.smtp_source(20)
    postfix.wait(lambda: len(b.messages) == 20, 30, "B takes all")
    postfix.smtp_source(3, to="r@alone.test")
    held(postfix, 3)


@pytest.mark.parametrize("step,words", (
    ("mail", "999 what"), ("rcpt", "what?"), ("data", "hello there"),
    ("dot", "999 junk"), ("mail", "354 go on")))
def test_a_host_that_talks_nonsense_bounces_nothing(room, step, words):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a), probe=dict(interval=300.0))
    daemon.wait_probed(a)
    postfix = room.postfix(daemon, (a,))
    a.become(Script("nonsense", **{step: words}))
    postfix.smtp_source(3)
    held(postfix, 3)


def test_mail_to_root_stays_local_under_a_route_for_all(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a, domain="ALL"), include=True)
    daemon.expect_trouble('"ALL" takes the mail of domains that this machine')
    postfix = room.postfix(daemon, (a,), start=False)
    daemon.ctl("reload")
    wait_until(lambda: daemon.ask("root@mta.test").startswith("NOTFOUND"),
               10, lambda: "what enable wrote is read\n" + daemon.log())
    postfix.start()
    postfix.smtp_source(1, to="root@mta.test", unique=False)
    postfix.smtp_source(1, to="user@elsewhere.test", unique=False)
    postfix.wait_queue_empty()
    by_relay = {r["to"]: (r["relay"], r["status"])
                for r in postfix.results()}
    assert by_relay["root@mta.test"] == ("local", "sent")
    assert a.recipients == ["user@elsewhere.test"]
    assert "X-Original-To: root" in read_text(postfix.folder + "/mail/root")


def test_a_host_that_refuses_ehlo_for_good_is_found_before_mail_meets_it(room):
    a, b = room.servers(EHLO_550, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.wait_state(a, "deferred")
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(20)
    postfix.wait_queue_empty()
    assert spread(a, b) == [0, 20]
    assert postfix.bounced() == 0


def test_greylisting_does_not_turn_into_a_bounce_by_the_other_host(room):
    """The case that a static list loses: B asks to come back later, and A,
    next in the list, refuses for good."""
    a, b = room.servers(EHLO_550, GREYLISTING)
    daemon = room.daemon(routes_to((b, 0), (a, 10)))
    daemon.wait_state(a, "deferred")
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(50)
    held(postfix, 10)
    assert (postfix.sent(), postfix.deferred()) == (40, 10)


def test_hold_makes_no_attempt_while_all_are_deferred(room):
    a, b = room.servers(GREETING_431, GREETING_431)
    daemon = room.daemon(routes_to(a, b, when_all_deferred="hold"))
    daemon.wait_state(a, "deferred")
    daemon.wait_state(b, "deferred")
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(3)
    held(postfix, 3)
    assert a.deliveries == b.deliveries == []


def test_tempfail_refuses_new_mail_for_now_and_takes_it_after_recovery(room):
    a = room.servers(GREETING_431)
    daemon = room.daemon(routes_to(a, when_all_deferred="tempfail"),
                         dict(domain="other.test", hosts=(a.host(),)))
    daemon.wait_state(a, "deferred")
    postfix = room.postfix(daemon, (a,))
    with pytest.raises(AssertionError, match="451 4.3.1"):
        postfix.smtp_source(1)
    postfix.smtp_source(1, to="u@other.test")
    a.become(HEALTHY)
    daemon.wait_state(a, "up")
    postfix.smtp_source(1, to="later@example.test")
    wait_until(lambda: any("later" in r for r in a.recipients), 20,
               "mail is taken again")
    assert postfix.bounced() == 0


def test_without_its_milter_mail_flows_and_is_spread(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a, b))
    postfix = room.postfix(daemon, (a, b))
    postfix.set(smtpd_milters="", non_smtpd_milters="")
    postfix.reload()
    postfix.smtp_source(40)
    postfix.wait_queue_empty()
    assert sum(spread(a, b)) == 40
    assert min(spread(a, b)) >= 5, "without tickets all went one way"
    assert postfix.deferred() == postfix.bounced() == 0
