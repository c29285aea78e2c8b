# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What is run to let waiting mail go: how often, one after another, with whose
powers, and what is said when it does not work."""

import os
import re
import shutil
import time

from harness import HEALTHY, Postfix, read_text, routes_to, wait_until
from waiting_mail import (BRISK, Recorder, arrivals, make_well, put_off,
                          recording, rest_from_questions, wait_arrivals,
                          wait_log_moment)

UNIT = ("setpriv", "--no-new-privs", "--reuid", "nobody", "--regid",
        "nogroup")
GROUPS = "adm,postdrop,postfix"     # SupplementaryGroups of the unit


def outage(daemon, postfix, server, count, to):
    """Refuse, and let so many messages find that out."""
    server.refuse()
    daemon.wait_state(server, "deferred")
    put_off(postfix, count, to)
    postfix.wait_settled()


def recovery(daemon, server):
    daemon.mark()
    make_well(server, HEALTHY)
    return wait_log_moment(daemon, "-> up")


def test_a_domain_that_is_not_served_is_told_of_once_and_left_alone(room):
    a, well = room.servers(HEALTHY, HEALTHY)
    daemon, postfix, recorder = recording(
        room, (a, well), routes_to(a), routes_to(well, domain="well.test"),
        settings=dict(fast_flush_domains="well.test"), **BRISK)
    warning = ("cannot flush example.test: fast_flush_domains .*main.cf needs "
               "fast_flush_domains = \\$relay_domains, example.test$")
    daemon.expect_trouble(warning)
    for turn in range(2):
        outage(daemon, postfix, a, 3, "turn%d@example.test" % turn)
        rest_from_questions(postfix, well)
        recovery(daemon, a)
        wait_until(lambda: recorder.calls(), 10, "a try")
        # New mail passes; by then a second try would have come as well.
        postfix.smtp_source(1, to="new%d@example.test" % turn)
        wait_arrivals(postfix, (a,), 1, "new%d@example.test" % turn, 20)
    assert recorder.calls() == ["example.test"]
    assert arrivals((a,), "turn") == []
    assert len(re.findall(warning, read_text(daemon.stderr), re.M)) == 1

    postfix.set(fast_flush_domains="well.test, example.test")
    postfix.reload()
    daemon.ctl("reload")
    outage(daemon, postfix, a, 3, "served@example.test")
    rest_from_questions(postfix, well)
    recovery(daemon, a)
    wait_arrivals(postfix, (a,), 3, "served@example.test", 30)


def test_without_flush_on_recovery_nothing_is_run(room):
    a, well = room.servers(HEALTHY, HEALTHY)
    daemon, postfix, recorder = recording(
        room, (a, well), routes_to(a), routes_to(well, domain="well.test"),
        delivery=dict(flush_on_recovery=False), **BRISK)
    outage(daemon, postfix, a, 5, "old@example.test")
    recovery(daemon, a)
    postfix.smtp_source(5, to="new@example.test")
    wait_arrivals(postfix, (a,), 5, "new@example.test", 20)
    probes = daemon.observed(a)
    wait_until(lambda: daemon.observed(a) > probes + 5, 20, "time passes")
    assert recorder.calls() == []
    assert arrivals((a,), "old") == [] and len(postfix.queue()) == 5


def test_a_domain_is_flushed_once_a_minute_and_messages_go_meanwhile(room):
    a, well = room.servers(HEALTHY, HEALTHY)
    daemon, postfix, recorder = recording(
        room, (a, well), routes_to(a), routes_to(well, domain="well.test"),
        **BRISK)
    start = time.monotonic()
    for turn in range(3):
        to = "turn%d@example.test" % turn
        outage(daemon, postfix, a, 20, to)
        rest_from_questions(postfix, well)
        seen = recovery(daemon, a)
        last = wait_arrivals(postfix, (a,), 20, to, 90)
        print("recovery %d: all is there after %.2f s" % (turn, last - seen))
        if time.monotonic() - start < 60:
            assert recorder.calls("-s") == ["example.test"]
    postfix.wait_queue_empty()


def test_many_domains_are_flushed_one_after_another(room):
    count = 30
    domains = ["d%d.test" % n for n in range(count)]
    a, well = room.servers(HEALTHY, HEALTHY)
    daemon, postfix, recorder = recording(
        room, (a, well), *(routes_to(a, domain=d) for d in domains),
        routes_to(well, domain="well.test"), **BRISK)
    a.refuse()
    daemon.wait_state(a, "deferred")
    for domain in domains:
        postfix.smtp_source(2, to="old@" + domain)
    wait_until(lambda: len({r["to"] for r in postfix.results("deferred")})
               >= 2 * count, 60, "all is put off")
    postfix.wait_settled()
    rest_from_questions(postfix, well)
    seen = recovery(daemon, a)
    last = wait_arrivals(postfix, (a,), 2 * count, "old@", 60)
    print("%d domains are there after %.2f s" % (count, last - seen))
    postfix.wait_queue_empty()
    daemon.wait_log("flushed 25 more domains")
    wait_until(lambda: len(recorder.lines()) % 2 == 0, 30, "the last has ended")
    lines = recorder.lines()
    assert sorted(recorder.calls("-s")) == sorted(domains)
    assert [what for what, _ in lines] == ["begin", "end"] * (len(lines) // 2)


# As the domain of a recipient, and what the command is called with.
STRANGE = (
    ("a_b.example.test", "a_b.example.test"),
    ("UPPER.Example.test", "upper.example.test"),
    ("wh?t.example.test", "wh?t.example.test"),
    ("\u00fc.example.test", "\u00fc.example.test"),
    ("-f.example.test", None),
    ("--help.example.test", None),
    ("$(id).example.test", None),
    ("a;b&c|d.example.test", None),
    ("a b.example.test", None),
    ("*[x].example.test", None),
    ("'q'.example.test", None),
    ("../x.example.test", None),
)


def test_a_domain_is_one_word_and_never_an_option_whatever_a_log_says(room):
    """Postfix bounces most of these; who writes to the log need not."""
    a = room.servers(HEALTHY)
    recorder = room.add(Recorder())
    recorder.serve(None)
    log = os.path.join(recorder.folder, "maillog")
    open(log, "w").close()
    daemon = room.daemon(routes_to(a, domain=".example.test"), delivery=dict(
        logs=[log], flush_command=recorder.command), **BRISK)
    a.refuse()
    daemon.wait_state(a, "deferred")
    with open(log, "a", encoding="utf-8") as file:
        for number, (domain, _) in enumerate(STRANGE):
            file.write(
                "Nov 28 07:17:39 mta postfix/nexthop/smtp[9]: 4C%06X: "
                "to=<u@%s>, relay=none, delay=0.1, delays=0.1/0/0/0, "
                "dsn=4.4.1, status=deferred (connect to %s[%s]:%d: "
                "Connection refused)\n" % (
                    number, domain, a.address, a.address, a.port))
    seen = daemon.host(a)["observed_failed"]
    wait_until(lambda: daemon.host(a)["observed_failed"] > seen + 2, 20,
               "more probes, and the lines are read")
    recovery(daemon, a)
    expected = sorted(word for _, word in STRANGE if word)
    wait_until(lambda: len(recorder.calls()) >= len(expected), 20,
               lambda: "flushes, not %r" % (recorder.lines(),))
    probes = daemon.observed(a)
    wait_until(lambda: daemon.observed(a) > probes + 3, 20, "time passes")
    assert sorted(recorder.calls("-s")) == expected
    assert {len(words) for _, words in recorder.lines()} == {2}


def restricted(room, server, groups):
    """A daemon as the unit runs it, and the Postfix whose log it follows."""
    postfix = room.add(Postfix(fast_flush_domains="example.test"))
    open(postfix.maillog, "a").close()
    shutil.chown(postfix.maillog, group="adm")
    os.chmod(postfix.maillog, 0o640)
    daemon = room.daemon(
        routes_to(server), start=False, user=None,
        launcher=UNIT + ("--groups", groups),
        delivery=dict(logs=[postfix.maillog],
                      flush_command="postqueue -c %s -s" % postfix.config),
        **BRISK)
    shutil.chown(daemon.folder, "nobody")
    daemon.start()
    postfix.use(daemon)
    server.mta_addresses.add(postfix.outgoing)
    postfix.start()
    return daemon, postfix


def test_it_works_under_the_restrictions_of_the_unit(room):
    a = room.servers(HEALTHY)
    daemon, postfix = restricted(room, a, GROUPS)
    outage(daemon, postfix, a, 20, "old@example.test")
    recovery(daemon, a)
    wait_arrivals(postfix, (a,), 20, "old@example.test", 40)
    assert postfix.bounced() == 0


def test_without_the_group_of_postqueue_a_warning_names_it(room):
    a = room.servers(HEALTHY)
    daemon, postfix = restricted(room, a, "adm,postfix")
    warning = ("cannot flush example.test: postqueue: exit status 69: .*"
               "ermission denied.*SupplementaryGroups=postdrop")
    daemon.expect_trouble(warning)
    outage(daemon, postfix, a, 3, "old@example.test")
    recovery(daemon, a)
    daemon.wait_log(warning, 20)
    postfix.smtp_source(1, to="new@example.test")
    wait_arrivals(postfix, (a,), 1, "new@example.test", 20)
    daemon.wait_log("warning: cannot flush", times=1)
    assert arrivals((a,), "old") == []
