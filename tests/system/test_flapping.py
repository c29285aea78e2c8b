# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A host that bounces between well and sick: it is kept out longer and longer,
unless it is the last one that there is, and no message pays for it."""

import datetime
import threading
import time

import pytest

from harness import (HEALTHY, Script, Traffic, each_once, routes_to,
                     wait_until)

DOT_452 = Script("452 at end-of-data",
                 dot="452 4.3.1 Insufficient system resources")
FREE = 3    # falls in a row that are not damped: the first, and two more


class Flapping:
    """A server that refuses and accepts connections in turn."""

    def __init__(self, server, every):
        self.server, self.every = server, every
        self.changes = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(30)
        self.server.listen()

    def _run(self):
        start = time.monotonic()
        while not self._end.is_set():
            if self.changes % 2:
                self.server.listen()
            else:
                self.server.refuse()
            self.changes += 1
            self._end.wait(
                start + self.changes * self.every - time.monotonic())


def seconds_since(text):
    """Of a time of `nexthopctl status`."""
    return (datetime.datetime.now(datetime.timezone.utc) -
            datetime.datetime.fromisoformat(
                text.replace("Z", "+00:00"))).total_seconds()


def is_damped(daemon, flapping, first):
    """The log shows fewer changes than there were, longer back-offs for each
    fall after the first few, and that the host was out for longer."""
    changes = [change for change in daemon.changes(flapping.server)
               if "trial" != change[1]]
    falls = [seconds for old, new, seconds in changes
             if (old, new) == ("up", "deferred")]
    out = [seconds for _, new, seconds in changes if new == "up"]
    host = daemon.host(flapping.server)
    if host["state"] != "up":
        out.append(seconds_since(host["since"]))
    print("the server changed %d times, its state %d times; back-offs of its "
          "falls %s s; it was out for %s s" % (
              flapping.changes, len(changes), falls,
              ["%.1f" % seconds for seconds in out]))
    assert len(changes) <= flapping.changes * 2 / 3
    assert falls == [first * 2 ** max(0, n - FREE + 1)
                     for n in range(len(falls))]
    assert len(falls) > FREE and max(out[FREE:]) > out[0]


def run(daemon, postfix, servers, every, seconds):
    """Mail flows while the first of the servers flaps; none is deferred, lost
    or doubled. Returns who flapped."""
    with Traffic(postfix, "flap", pause=0.1) as traffic, \
            Flapping(servers[0], every) as flapping:
        time.sleep(seconds)
    print("%d messages in %d s" % (traffic.sent, seconds))
    postfix.wait_queue_empty()
    each_once(traffic.recipients, *servers)
    assert postfix.deferred() == postfix.bounced() == 0
    return flapping


def test_a_host_that_flaps_for_two_minutes_is_damped_and_costs_no_mail(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = room.learning(
        (a, b), routes_to(a, b), defer=dict(first=2.0, max=120.0))
    daemon.wait_probed(a, b)
    flapping = run(daemon, postfix, (a, b), every=5, seconds=120)
    is_damped(daemon, flapping, first=2.0)


def test_flaps_that_only_probes_see_are_damped_as_well(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(
        routes_to(a, b), probe=dict(interval=0.3, timeout=1.0),
        defer=dict(first=2.0, max=120.0))
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    flapping = run(daemon, postfix, (a, b), every=2, seconds=30)
    is_damped(daemon, flapping, first=2.0)


def fall_until(daemon, server, wanted):
    """Down and well again, until its fall has a back-off of so many seconds."""
    for _ in range(12):
        daemon.wait_state(server, "up")
        server.refuse()
        daemon.wait_state(server, "deferred")
        server.listen()
        if daemon.changes(server)[-1][2] >= wanted:
            return
    raise AssertionError("falls are not damped: %s" % daemon.changes(server))


def damp(daemon, server, first):
    """It falls until it has to stay out for longer although it is well."""
    fall_until(daemon, server, 2 * first)
    probes = len(server.probes)
    wait_until(lambda: len(server.probes) >= probes + 5, 20, "good probes")
    assert daemon.state(server) == "deferred"


def test_probes_let_the_last_healthy_host_in_at_once(room):
    first = 60.0    # longer than this test waits
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(
        routes_to(a, b), probe=dict(interval=0.3, timeout=1.0),
        defer=dict(first=first, max=600.0))
    daemon.wait_probed(a, b)
    for damped, dying in ((a, b), (b, a)):
        damp(daemon, damped, first)
        start = time.monotonic()
        dying.refuse()
        daemon.wait_state(damped, "up", 30)
        print("up %.1f s after the other host refused" %
              (time.monotonic() - start))
        assert daemon.state(dying) == "deferred"
        dying.listen()
        if dying is b:
            daemon.wait_state(b, "up")


@pytest.mark.parametrize("wish", ("try", "hold"))
def test_mail_lets_the_last_healthy_host_in_at_once(room, wish):
    """Of what it fell for in the end, no probe can see that it is over."""
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = room.learning(
        (a, b), routes_to(a, b, when_all_deferred=wish),
        probe=dict(interval=0.3, timeout=1.0),
        defer=dict(first=2.0, max=600.0))
    daemon.wait_probed(a, b)
    # While it is alone it comes back however often it fell.
    b.refuse()
    daemon.wait_state(b, "deferred")
    fall_until(daemon, a, 32)
    daemon.wait_state(a, "up")
    b.listen()
    daemon.wait_state(b, "up")
    a.become(DOT_452)
    with Traffic(postfix, wish, pause=0.05) as traffic:
        daemon.wait_state(a, "deferred")
        assert daemon.changes(a)[-1] == ("up", "deferred", 64.0)
        a.become(HEALTHY)
        daemon.wait_log("the probe finds it well, deliveries do not")
        assert daemon.state(a) == "deferred"
        start = time.monotonic()
        b.refuse()
        daemon.wait_state(a, "up", 30)      # and not 64
        print("%s: up %.1f s after the other host refused" %
              (wish, time.monotonic() - start))
        traffic.go_on(20)
    # What found nobody well in between is tried again.
    postfix.wait_queue_empty(60)
    each_once(traffic.recipients, a, b)
