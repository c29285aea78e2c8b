# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The scenario the program is for, on a real Postfix: a sick first host costs
nothing, and it comes back by itself. Times are compared with times that the
same test measured with all hosts healthy, never with a fixed number."""

import re
import time

import pytest

from harness import (GREETING_431, GREYLISTING, HEALTHY, MAIL_452, SILENT,
                     median, routes_to, spread, wait_until)
from traffic import Traffic

MESSAGES = 500
ROUNDS = 3


def two_hosts(room, *scripts, **options):
    """A before B, the daemon, and a Postfix that uses it."""
    a, b = room.servers(*scripts)
    daemon = room.daemon(routes_to((a, 0), (b, 10)), **options)
    return a, b, daemon


def send_and_time(postfix, servers, count, to="r@example.test"):
    """Seconds from the first connection to the last delivery."""
    for server in servers:
        server.forget()
    postfix.mark()
    start = time.monotonic()
    postfix.smtp_source(count, to=to)
    wait_until(lambda: sum(spread(*servers)) >= count, 60,
               lambda: "%d messages are delivered, have %s" % (
                   count, spread(*servers)))
    took = time.monotonic() - start
    postfix.wait_queue_empty()
    return took


def test_log_tells_the_scenario_in_its_three_lines(room):
    a, b, daemon = two_hosts(room, GREETING_431, HEALTHY)
    daemon.wait_state(a, "deferred")
    first = re.escape("address %s port %d" % (a.address, a.port))
    second = re.escape("address %s port %d" % (b.address, b.port))
    daemon.wait_log(r"New SMTP DCID \d+ interface [\d.]+ " + second + "$")
    found = re.search(
        r"New SMTP DCID (\d+) interface ([\d.]+) " + first + "$", daemon.log(),
        re.M)
    assert found, daemon.log()
    error = ("Connection Error: DCID %s domain: example.test IP: %s port: %d "
             "details: 431 Mail system full interface: %s "
             "reason: unexpected SMTP response" % (
                 found[1], a.address, a.port, found[2]))
    assert error in daemon.log()
    daemon.wait_log(
        r"host %s up -> deferred for 1(\.\d+)? s: 431 Mail system full "
        r"\(greeting, probe, failure 1\)" % re.escape(a.hostport))


def test_first_host_greets_431_and_second_takes_all_until_it_recovers(room):
    a, b, daemon = two_hosts(room, GREETING_431, HEALTHY)
    daemon.wait_state(a, "deferred", timeout=2)
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(200)
    postfix.wait_queue_empty()
    assert spread(a, b) == [0, 200]
    assert a.deliveries == [], "Postfix contacted the sick host"
    assert (postfix.sent(), postfix.deferred(), postfix.bounced()) == \
        (200, 0, 0)

    a.become(HEALTHY)
    daemon.wait_state(a, "up")
    daemon.wait_log(r"host %s deferred -> up after [\d.]+ s: 2 good probes"
                    % re.escape(a.hostport))
    b.forget()
    postfix.mark()
    postfix.smtp_source(200, to="again@example.test")
    postfix.wait_queue_empty()
    assert spread(a, b) == [200, 0]
    assert postfix.deferred() == postfix.bounced() == 0
    assert postfix.troubles() == []


def sicken(server, how):
    if how == "refused":
        server.refuse()
    else:
        server.become({"431": GREETING_431, "452": MAIL_452,
                       "silent": SILENT}[how])


def heal(server):
    server.become(HEALTHY)
    server.listen()


@pytest.mark.alone
def test_a_sick_first_host_does_not_slow_mail_down(room):
    """Healthy and four kinds of sick take turns, so that what disturbs the
    machine disturbs all of them."""
    a, b, daemon = two_hosts(room, HEALTHY, HEALTHY)
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    kinds = ("431", "452", "refused", "silent")
    times = {kind: [] for kind in ("healthy",) + kinds}
    for turn in range(ROUNDS):
        times["healthy"].append(send_and_time(
            postfix, (a, b), MESSAGES, "h%d@example.test" % turn))
        assert spread(a, b) == [MESSAGES, 0]
        for kind in kinds:
            sicken(a, kind)
            daemon.wait_state(a, "deferred")
            times[kind].append(send_and_time(
                postfix, (a, b), MESSAGES, "%s-%d@example.test" % (
                    kind, turn)))
            assert spread(a, b) == [0, MESSAGES]
            assert a.deliveries == [], "%s: A was contacted" % kind
            assert postfix.deferred() == postfix.bounced() == 0
            heal(a)
            daemon.wait_state(a, "up")
    for kind, figures in times.items():
        print("%-8s %s median %.2f s" % (
            kind, " ".join("%.2f" % f for f in figures), median(figures)))
    for kind in kinds:
        assert median(times[kind]) <= 2 * median(times["healthy"]), kind


@pytest.mark.alone
def test_greylisting_by_the_healthy_host_does_not_wake_the_silent_one(room):
    a, b, daemon = two_hosts(room, HEALTHY, HEALTHY)
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    healthy = median([send_and_time(
        postfix, (a, b), MESSAGES, "h%d@example.test" % n)
        for n in range(ROUNDS)])

    a.become(SILENT)
    daemon.wait_state(a, "deferred")
    b.become(GREYLISTING)
    figures = []
    for turn in range(ROUNDS):
        a.forget()
        b.forget()
        postfix.mark()
        start = time.monotonic()
        postfix.smtp_source(MESSAGES, to="g%d@example.test" % turn)
        postfix.wait_settled()
        figures.append(time.monotonic() - start)
        assert (postfix.sent(), postfix.deferred(), postfix.bounced()) == \
            (400, 100, 0)
        assert a.deliveries == [], "A was contacted"
        postfix.empty_queue()
    print("healthy %.2f s, greylisted %s" % (healthy, figures))
    assert median(figures) <= 2 * healthy


@pytest.mark.alone
def test_a_host_that_turns_silent_in_mid_traffic_delays_nothing_later(room):
    a, b, daemon = two_hosts(room, HEALTHY, HEALTHY,
                             probe=dict(interval=0.5, timeout=1.0))
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    healthy = median([send_and_time(
        postfix, (a, b), 200, "h%d@example.test" % n) for n in range(ROUNDS)])

    a.forget()
    b.forget()
    sender = Traffic(postfix, "steady", pause=0.02)
    try:
        wait_until(lambda: len(a.messages) >= 50, 20, "traffic flows by A")
        a.become(SILENT)
        daemon.wait_state(a, "deferred")
    finally:
        sender.stop()
    stuck = sender.sent - len(a.messages) - len(b.messages)
    print("messages that wait for the silent host: %d" % stuck)

    figures = []
    for turn in range(ROUNDS):
        b.forget()
        start = time.monotonic()
        wanted = "r%d@example.test" % turn
        postfix.smtp_source(200, to="later" + wanted)
        postfix.wait(lambda: sum("later" + wanted in r for r in b.recipients)
                     == 200, 60, "mail accepted after detection is delivered")
        figures.append(time.monotonic() - start)
    print("healthy %.2f s, after detection %s" % (healthy, figures))
    assert median(figures) <= 2 * healthy
    assert not any("later" in r for r in a.recipients)

    a.become(HEALTHY)
    postfix.wait_queue_empty(timeout=120)
    assert postfix.bounced() == 0


@pytest.mark.parametrize("script", (GREETING_431, SILENT),
                         ids=lambda script: script.name)
def test_all_hosts_sick_keeps_mail_queued_until_one_recovers(room, script):
    a, b, daemon = two_hosts(room, script, script)
    daemon.wait_state(a, "deferred")
    daemon.wait_state(b, "deferred")
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(3)
    wait_until(lambda: len(postfix.results("deferred")) >= 3, 40,
               "the messages are deferred")
    assert postfix.bounced() == 0
    b.become(HEALTHY)
    daemon.wait_state(b, "up")
    postfix.flush_until_empty()
    assert spread(a, b) == [0, 3]
    assert postfix.bounced() == 0


def test_new_mail_is_delivered_at_once_after_recovery(room):
    """Postfix remembers a dead destination by its spelling: the list of a
    host that came back must not be the spelling that Postfix suspended. One
    host, so that no other order of the list can hide it."""
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    daemon.wait_probed(a)
    postfix = room.postfix(daemon, (a,))
    a.refuse()
    postfix.smtp_source(30)
    wait_until(lambda: postfix.deferred() >= 30, 40, "all are deferred")
    assert "delivery temporarily suspended" in postfix.log()
    daemon.wait_state(a, "deferred")
    a.listen()
    daemon.wait_state(a, "up")
    postfix.smtp_source(20, to="new@example.test")
    wait_until(lambda: sum("new@" in r for r in a.recipients) == 20, 20,
               "new mail is delivered in spite of the suspended list")
    assert postfix.bounced() == 0
