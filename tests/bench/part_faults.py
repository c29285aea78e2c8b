# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Delivery under fault: two equal hosts, one of them sick, and what several
ways of delivering to them make of it.

Two scenes. Steady: the fault is there from the start, whatever probes the
hosts has seen it, then mail comes in a burst; no mail has met the fault
before. Turning: mail flows evenly, and the host turns sick after a third of
it; the window begins when all has been sent. A window ends early when all is
delivered, or when nothing more can happen in it. Contenders are measured side
by side, each with a Postfix and two SMTP servers of its own; bursts come one
after the other.

There is one round, whatever --rounds says: what is counted here are messages,
and seconds that are those of timeouts.

faults_table.py makes rows of it, and README.md's tables."""

import collections
import concurrent.futures
import functools
import os
import threading
import time

import faults_table
import private_haproxy
from fake_smtp import GREETING_431, MAIL_452, RCPT_452, SILENT, Script
from loopback import TimedOut, wait_until
from relays import BehindHAProxy, Ours, RandMap, Static
from report import OURS

# script None: connections are refused. is_checked: HAProxy's check, which ends
# with EHLO, sees it; is_probed: ours, which ends with MAIL, does.
Fault = collections.namedtuple("Fault", "name script is_checked is_probed")
FAULTS = (
    Fault("refused", None, True, True),
    Fault("431 greeting", GREETING_431, True, True),
    Fault("452 to MAIL", MAIL_452, False, True),
    Fault("452 to RCPT", RCPT_452, False, False),
    Fault("452 to end-of-data", Script(
        "452 to end-of-data", dot="452 4.3.1 Insufficient system resources"),
        False, False),
    Fault("silent", SILENT, True, True),
)

CONTENDERS = {
    "static": Static,
    "static, sick 2nd": functools.partial(Static, sick_first=False),
    "static, 5 s": functools.partial(Static, "nexthop"),
    "randmap": RandMap,
    "randmap, 5 s": functools.partial(RandMap, "nexthop"),
    "haproxy": BehindHAProxy,
    # Our defaults probe each 30 s; this looks as often as HAProxy does here.
    "ours, 1 s": functools.partial(
        Ours, probe=dict(interval=1.0, timeout=2.0)),
    OURS: Ours,
}

Size = collections.namedtuple("Size", "messages window_s flow_s")
FULL = Size(300, 45, 15)
QUICK = Size(60, 15, 5)
TURN_S = 3      # for so long a burst has the machine to itself


class Scene:
    """One fault, met by all contenders."""

    def __init__(self, fault, size):
        self.fault, self.size = fault, size
        self.relays = {name: make() for name, make in CONTENDERS.items()}
        self._turn = threading.Lock()

    def run(self):
        """Returns: contender -> {metric: figure}."""
        try:
            # Starting is work, and is done sooner not all at once.
            self._of_each(self.make_ready, os.cpu_count())
            return self._of_each(self._measured)
        finally:
            self._of_each(lambda relay: relay.stop())

    def _of_each(self, deed, at_once=len(CONTENDERS)):
        """deed(relay) of all contenders; contender -> what it returned."""
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            return dict(zip(self.relays, pool.map(deed,
                                                  self.relays.values())))

    def make_ready(self, relay):
        raise NotImplementedError

    def send(self, relay):
        raise NotImplementedError

    def window_s(self):
        """From the first message on."""
        return self.size.window_s

    def _measured(self, relay):
        self.send(relay)
        until = relay.begun + self.window_s()
        self.wait_over(relay, until)
        return {
            "delivered": relay.delivered(until),
            "deferred": relay.deferred(),
            "wasted attempts": round(
                relay.wasted() * 1000 / self.size.messages),
            "worst delay": relay.worst_delay(),
        }

    def wait_over(self, relay, until):
        """Until then, or until there is nothing more to wait for."""
        told = [time.monotonic()]

        def is_over():
            if time.monotonic() - told[0] > 5:
                told[0] = time.monotonic()
                relay.postfix.remind()
            return relay.is_settled() or \
                relay.delivered(until) >= self.size.messages
        try:
            wait_until(is_over, until - time.monotonic(), "", pause=0.1)
        except TimedOut:
            pass


class Steady(Scene):
    name = "steady"

    def make_ready(self, relay):
        relay.strike(self.fault)
        relay.start()
        relay.wait_steady(self.fault)

    def send(self, relay):
        with self._turn:
            relay.burst(self.size.messages)
            self.wait_over(relay, relay.begun + TURN_S)


class Turning(Scene):
    name = "turning"

    def make_ready(self, relay):
        relay.start()
        relay.wait_steady(None)

    def send(self, relay):
        relay.flow(self.size.messages, self.size.flow_s,
                   self.size.messages // 3, self.fault)

    def window_s(self):
        return self.size.flow_s + self.size.window_s


def measure(bench):
    private_haproxy.program()   # before minutes are spent
    size = QUICK if bench.quick else FULL
    rows = []
    for scene in Steady, Turning:
        for fault in FAULTS:
            bench.say("%s: %s" % (scene.name, fault.name))
            figures = scene(fault, size).run()
            # If a later scene fails this is all that remains of the part.
            bench.say("".join("\n    %s: %s" % pair
                              for pair in figures.items()))
            rows += faults_table.rows(scene.name, fault.name, size.messages,
                                      figures)
    return rows
