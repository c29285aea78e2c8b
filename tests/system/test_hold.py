# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Mail for which there is no host to try: it waits without an attempt, or is
refused for now, and comes by itself when there is one."""

import re
import socket

from harness import (GREETING_431, HEALTHY, SILENT, mail, routes_to, spread)
from waiting_mail import (BRISK, arrivals, make_well, put_off,
                          rest_from_questions, wait_arrivals, wait_log_moment)

COUNT = 20


def put_on_hold(postfix, servers, other, to):
    """The mail is accepted and nobody is asked for it."""
    for server in servers:
        server.forget()
    postfix.mark()
    put_off(postfix, COUNT, to)
    postfix.wait_settled()
    results = [r for r in postfix.results() if to in r["to"]]
    assert {(r["status"], r["relay"], r["text"]) for r in results} == {
        ("deferred", "none", "deferred transport")}
    assert [s for server in servers for s in server.deliveries] == []
    rest_from_questions(postfix, other)


def test_hold_makes_no_attempt_and_lets_go_by_itself(room):
    servers = a, b, other = room.servers(GREETING_431, SILENT, HEALTHY)
    daemon, postfix = room.learning(
        servers, routes_to(a, b, when_all_deferred="hold"),
        routes_to(other, domain="well.test"), **BRISK)
    daemon.wait_state(a, "deferred")
    daemon.wait_state(b, "deferred")
    put_on_hold(postfix, (a, b), other, "old@example.test")
    daemon.mark()
    make_well(a, HEALTHY)
    seen = wait_log_moment(daemon, "-> up")
    last = wait_arrivals(postfix, (a,), COUNT, "old@example.test", 30)
    print("held mail is there %.2f s after the recovery" % (last - seen))
    postfix.wait_queue_empty()
    assert b.deliveries == [] and postfix.bounced() == 0


def test_tempfail_refuses_one_domain_and_the_others_of_the_session_not(room):
    a, other = room.servers(GREETING_431, HEALTHY)
    daemon, postfix = room.learning(
        (a, other),
        routes_to(a, domain="temp.test", when_all_deferred="tempfail"),
        routes_to(other, domain="well.test"), **BRISK)
    daemon.wait_state(a, "deferred")
    with socket.create_connection((postfix.address, postfix.port),
                                  timeout=30) as sock, \
            sock.makefile("rwb") as file:
        mail(file, None, ())
        mail(file, "s@sender.test", ("one@well.test",))
        for line, want in ((b"MAIL FROM:<s@sender.test>", b"250"),
                           (b"RCPT TO:<one@temp.test>", b"451 4.3.1"),
                           (b"RCPT TO:<two@well.test>", b"250"),
                           (b"RCPT TO:<two@temp.test>", b"451 4.3.1"),
                           (b"RCPT TO:<three@well.test>", b"250"),
                           (b"DATA", b"354"),
                           (b"Subject: test\r\n\r\nbody\r\n.", b"250")):
            file.write(line + b"\r\n")
            file.flush()
            assert file.readline().startswith(want), line
        wait_arrivals(postfix, (other,), 1, "two@well.test", 20)
        assert sorted(other.recipients) == [
            "one@well.test", "three@well.test", "two@well.test"]
        assert a.deliveries == []

        daemon.mark()
        make_well(a, HEALTHY)
        daemon.wait_log("-> up")
        mail(file, "s@sender.test", ("four@temp.test",))
    wait_arrivals(postfix, (a,), 1, "four@temp.test", 20)
    assert postfix.deferred() == 0


def test_mail_waits_while_all_hosts_are_drained_and_comes_by_itself(room):
    servers = a, b, other = room.servers(HEALTHY, HEALTHY, HEALTHY)
    daemon, postfix = room.learning(
        servers, routes_to(a, b), routes_to(other, domain="well.test"),
        **BRISK)
    daemon.wait_probed(a, b)
    for round_, (first, second, undo) in enumerate((
            ("drain", "drain", "enable"), ("drain", "disable", "enable"),
            ("disable", "disable", "force-up"))):
        daemon.ctl(first, a.key)
        daemon.ctl(second, b.key)
        daemon.wait_log("%s.* override none -> %s" % (
            re.escape(b.hostport), second))
        to = "round%d@example.test" % round_
        put_on_hold(postfix, (a, b), other, to)
        daemon.mark()
        daemon.ctl(undo, b.key)
        seen = wait_log_moment(daemon, "override (drain|disabled) -> ")
        last = wait_arrivals(postfix, (b,), COUNT, to, 90)
        print("held mail is there %.2f s after %s" % (last - seen, undo))
        assert arrivals((a,), to) == []
        daemon.ctl("enable", a.key)
        daemon.ctl("enable", b.key)
    assert spread(a) == [0]
    assert postfix.bounced() == 0
