# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Delivery lines as Postfix writes them, without a Postfix; and a daemon that
counts what they tell of."""

import itertools
import os

from fake_smtp import HEALTHY
from harness import routes_to, wait_until

RFC_3164 = "Nov 28 07:17:39 mta"
TAG = "postfix/nexthop/smtp"

_numbers = itertools.count(1)


def result_lines(server, count=1, prefix=RFC_3164, tag=TAG, dsn="2.0.0",
                 status="sent", text="250 2.0.0 Ok: queued"):
    """The results of so many messages, of which no two are the same."""
    lines = []
    for _ in range(count):
        n = next(_numbers)
        lines.append(
            "%s %s[%d]: 4C%08X: to=<u%d@example.test>, relay=%s[%s]:%d, "
            "delay=0.1, delays=0.02/0.01/0.03/0.04, dsn=%s, status=%s (%s)\n"
            % (prefix, tag, 1000 + n % 20, n, n, server.address,
               server.address, server.port, dsn, status, text))
    return "".join(lines)


def full_lines(server, count=1):
    """Of messages that a full server put off at the end of DATA."""
    return result_lines(
        server, count, dsn="4.3.1", status="deferred",
        text="host %s[%s] said: 452 4.3.1 Insufficient system resources "
        "(in reply to end of DATA command)" % (server.address,
                                               server.address))


def append(path, text):
    """As postlogd(8) writes: at the end, whatever the end is by now."""
    with open(path, "ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


class Deliveries:
    """How many deliveries of a server were counted from now on. Probes count
    as well, so they have to be rare."""

    def __init__(self, daemon, server):
        daemon.wait_probed(server)
        self.daemon, self.server = daemon, server
        self.start = self._observed()

    def _observed(self):
        return self.daemon.host(self.server)["observed_ok"]

    @property
    def count(self):
        return self._observed() - self.start

    def wait(self, count, timeout=60):
        wait_until(lambda: self.count >= count, timeout,
                   lambda: "%d deliveries are counted, have %d\n%s" % (
                       count, self.count, self.daemon.log()[-4000:]))


class Ledger:
    """A daemon, and a log that a test writes: of `server`. What becomes of
    `last` shows that all lines before have been read."""

    def __init__(self, room, exists=True, start=True, **options):
        self.server, self.last = room.servers(HEALTHY, HEALTHY)
        self.daemon = room.daemon(routes_to(self.server, self.last),
                                  start=False, probe=dict(interval=3600.0))
        self.path = os.path.join(self.daemon.folder, "maillog")
        if exists:
            append(self.path, "")
        options.setdefault("delivery", dict(logs=[self.path]))
        self.daemon.configure(**options)
        if start:
            self.start()

    def start(self):
        self.daemon.start()
        self.counted = Deliveries(self.daemon, self.server)
        self._ends = Deliveries(self.daemon, self.last)
        self._written = 0

    def write(self, count=1, **how):
        append(self.path, result_lines(self.server, count, **how))

    def end(self, path=None):
        """Ends the log (so far); returns when the end has been read."""
        self._written += 1
        append(path or self.path, result_lines(self.last))
        self._ends.wait(self._written)

    def expect(self, count, path=None):
        """So many, once the log is read to its end, and no more."""
        self.end(path)
        assert (self.counted.count, count) == (count, count)
