# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The play that contrib/demo puts on; the stage hands are those of the system
tests."""

import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "system"))

from harness import (  # noqa: E402
    GREETING_431, HEALTHY, Daemon, FakeSmtp, Postfix, TimedOut, routes_to,
    spread, wait_until)

# Quick, so that nobody has to wait: the defaults are 30 s and 10 s.
PROBE = dict(interval=2.0, timeout=2.0, helo="demo.example.net")
DEFER = dict(first=2.0, max=10.0)


class NotAsPromised(Exception):
    """The audience was told something that did not happen."""


class Demo:
    def __init__(self):
        self.step_number = 0
        self.a = FakeSmtp(HEALTHY, name="A")
        self.b = FakeSmtp(HEALTHY, name="B")
        self.daemon = Daemon(
            include=True, probe=PROBE, defer=DEFER, log=dict(level="info"),
            routes=(routes_to((self.a, 0), (self.b, 10),
                              domain="example.com"),
                    routes_to(self.a, self.b, domain="example.org")))
        self.postfix = Postfix()
        for server in (self.a, self.b):
            server.mta_addresses.add(self.postfix.outgoing)

    # -- telling ----------------------------------------------------------

    def step(self, text):
        self.step_number += 1
        print("\n=== %d. %s" % (self.step_number, text))
        self.daemon.mark()
        self.postfix.mark()
        self.a.forget()
        self.b.forget()

    def show_log(self):
        lines = self.daemon.log().splitlines()
        for line in lines[:12]:
            print("    log: " + line)
        if len(lines) > 12:
            print("    log: ... and %d lines more" % (len(lines) - 12))

    def show_deliveries(self):
        for line in self.postfix.results()[:3]:
            print("    postfix: to=<%(to)s> relay=%(relay)s "
                  "status=%(status)s" % line)
        print("    A took %d messages, B took %d" % tuple(
            spread(self.a, self.b)))

    def show_status(self):
        for line in self.daemon.ctl("status").splitlines():
            print("    " + line)

    def promise(self, text, kept):
        print("    %s  %s" % ("ok " if kept else "NOT", text))
        if not kept:
            raise NotAsPromised(text)

    # -- doing ------------------------------------------------------------

    def enable(self):
        """As an administrator would, on the throw-away instance; then the
        daemon reads what enable found out about Postfix."""
        for line in self.postfix.use(self.daemon).splitlines():
            print("    enable: " + line)
        self.daemon.ctl("reload")

    def send(self, count, to, expect):
        """Send and wait; expect is what A and B must have taken."""
        self.postfix.smtp_source(count, to=to)
        wait_until(lambda: sum(spread(self.a, self.b)) >= sum(expect), 30,
                   "the messages are delivered")
        self.postfix.wait_settled(30)
        self.show_log()
        self.show_deliveries()
        self.promise("A takes %d, B takes %d" % tuple(expect),
                     spread(self.a, self.b) == list(expect))
        self.promise("nothing is bounced", self.postfix.bounced() == 0)

    def play(self):
        print("A is %s, B is %s" % (self.a.hostport, self.b.hostport))
        print("example.com goes to A (priority 0), then B (priority 10);")
        print("example.org goes to A and B in turn")
        self.daemon.start()
        self.enable()
        self.postfix.start()
        self.daemon.wait_probed(self.a, self.b)
        self.send_to_healthy_hosts()
        self.fail_over()
        self.defer()
        self.recover_one()
        self.round_robin()
        self.recover_all()

    def send_to_healthy_hosts(self):
        self.step("both hosts are healthy: A takes all mail of example.com")
        self.send(5, "send@example.com", (5, 0))

    def fail_over(self):
        self.step("A greets with 431 Mail system full: B takes over")
        self.a.become(GREETING_431)
        self.daemon.wait_state(self.a, "deferred")
        self.show_log()
        self.promise("the log tells it", self.daemon.log_contains(
            r"Connection Error: DCID \d+ .*details: 431 Mail system full"))
        self.a.forget()
        self.daemon.mark()
        self.send(20, "failover@example.com", (0, 20))
        self.promise("Postfix does not even try A", not self.a.deliveries)
        self.promise("no message had to wait", self.postfix.deferred() == 0)
        self.show_status()

    def defer(self):
        self.step("B falls ill, too: mail waits in the queue")
        self.b.become(GREETING_431)
        self.daemon.wait_state(self.b, "deferred")
        self.postfix.smtp_source(3, to="defer@example.com")
        wait_until(lambda: self.postfix.deferred() >= 3, 30,
                   "three messages are deferred")
        self.show_log()
        self.show_deliveries()
        self.promise("nothing is bounced", self.postfix.bounced() == 0)
        self.promise("three messages are in the queue",
                     self.postfix.queued() == 3)

    def recover_one(self):
        self.step("B recovers by itself: the queue is delivered")
        self.b.become(HEALTHY)
        self.daemon.wait_state(self.b, "up", timeout=30)
        self.postfix.flush_until_empty()
        self.show_log()
        self.show_deliveries()
        self.promise("B took the three", spread(self.a, self.b) == [0, 3])

    def round_robin(self):
        self.step("A recovers: hosts of equal priority take turns")
        self.a.become(HEALTHY)
        self.daemon.wait_state(self.a, "up", timeout=30)
        self.send(40, "turns@example.org", (20, 20))

    def recover_all(self):
        self.step("and A takes the mail of example.com again")
        self.send(5, "again@example.com", (5, 0))
        self.show_status()

    def close(self):
        for end in (self.postfix.stop, self.daemon.stop, self.a.close,
                    self.b.close):
            try:
                end()
            except Exception as error:      # noqa: BLE001 - all must end
                print("demo: %s" % error, file=sys.stderr)


def main():
    demo = Demo()
    try:
        demo.play()
    except (NotAsPromised, TimedOut, AssertionError) as error:
        print("\ndemo: NOT as promised: %s" % error, file=sys.stderr)
        return 1
    finally:
        demo.close()
    print("\ndemo: everything was as promised")
    return 0


if __name__ == "__main__":
    sys.exit(main())
