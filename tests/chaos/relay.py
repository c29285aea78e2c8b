# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A whole relay on trial: hosts, a real Postfix, the daemon under a service
manager that learns from Postfix's log, and a small disk for its table."""

import asyncio
import collections
import contextlib
import glob
import os
import random
import subprocess
import tempfile

from fake_smtp import Script
from harness import (LOOPBACK, FakeSmtp, Postfix, command, read_text,
                     routes_to, wait_until)
from managed import ManagedDaemon

# Which hosts serve which domain, and what is to happen when none is well.
ROUTES = (
    ("two.test", (0, 1), {}),
    ("three.test", (2, 3, 4), {}),
    ("tiers.test", ((0, 0), (5, 0), (3, 10), (6, 20)), {}),
    ("hold.test", (4, 5, 6), {"when_all_deferred": "hold"}),
)
DOMAINS = tuple(route[0] for route in ROUTES)
HOSTS = 7
ELSEWHERE = "elsewhere.test"    # nobody routes it


async def in_its_own_time(_session, _argument):
    """A message takes a moment, as on a real disk: there is a middle of a
    delivery then, in which something can happen."""
    await asyncio.sleep(random.uniform(0.0, 0.3))
    return "250 2.0.0 Ok: queued"


HEALTHY = Script("healthy", dot=in_its_own_time)

DISK_MB = 8
DESCRIPTORS = 120
GUESTS = 150        # hosts that come and go to make the table grow
GUESTS_A_ROUTE = 50
GUEST_PORT = 9

PROBE = dict(interval=1.0, timeout=2.0)
DEFER = dict(fall=1, rise=2, first=1.0, max=5.0)


class Disk:
    """A small file system of its own, in this process's mount namespace."""

    def __init__(self, path):
        self.path = path
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o",
                        "size=%dm" % DISK_MB, "nexthop-test", path],
                       check=True, timeout=30)
        self._ballast = os.path.join(path, "ballast")

    def fill(self):
        """To the last byte."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass

    def free(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._ballast)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True, timeout=30)


class Relay:
    """Use it as a context manager; all of it ends with it."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.guests = [dict(host=LOOPBACK.address(), port=GUEST_PORT)
                       for _ in range(GUESTS)]
        self.generation = 0

    def __enter__(self):
        try:
            return self._start()
        except BaseException:
            self.stack.close()
            raise

    def __exit__(self, *_):
        self.stack.close()

    def _start(self):
        self.folder = self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="nh-chaos-"))
        os.chmod(self.folder, 0o755)
        self.disk = Disk(os.path.join(self.folder, "disk"))
        self.stack.callback(self.disk.close)
        self.servers = [self.stack.enter_context(
            FakeSmtp(HEALTHY, name="ABCDEFGHIJ"[n])) for n in range(HOSTS)]
        self.postfix = Postfix(
            fast_flush_domains=", ".join(DOMAINS),
            # A service whose process was killed is not to be missed for long.
            service_throttle_time="5s", transport_retry_time="5s",
            maillog_file_compressor="/bin/true",
            maillog_file_rotate_suffix="%Y%m%d-%H%M%S-%N")
        self.stack.callback(self.postfix.stop)
        open(self.postfix.maillog, "a").close()
        self._start_daemon()
        self.postfix.use(self.daemon)
        for server in self.servers:
            server.mta_addresses.add(self.postfix.outgoing)
        self.postfix.start()
        return self

    def _start_daemon(self):
        folder = os.path.join(self.folder, "daemon")
        os.mkdir(folder)
        self.daemon = ManagedDaemon(
            DESCRIPTORS, folder=folder,
            health_table=os.path.join(self.disk.path, "health"),
            probe=PROBE, defer=DEFER, routes=self.routes(),
            delivery=dict(
                logs=[self.postfix.maillog],
                flush_command="postqueue -c %s -s" % self.postfix.config))
        self.daemon.configure(log=dict(
            target=os.path.join(self.daemon.folder, "log"), level="info"))
        self.stack.callback(self.daemon.stop)
        self.daemon.start()

    # -- configuration ----------------------------------------------------

    def routes(self, without=(), guests=0):
        """All routes; without some hosts, with guests on routes of theirs."""
        made = []
        for domain, members, more in ROUTES:
            members = [m if isinstance(m, tuple) else (m, 0) for m in members]
            left = [(self.servers[n], priority) for n, priority in members
                    if n not in without] or [
                        (self.servers[members[0][0]], 0)]
            made.append(routes_to(*left, domain=domain, **more))
        for first in range(0, guests, GUESTS_A_ROUTE):
            last = min(first + GUESTS_A_ROUTE, guests)
            made.append(dict(domain="guests%d.test" % first,
                             hosts=tuple(self.guests[first:last])))
        return tuple(made)

    def hosts_of(self, domain):
        """How the map may spell the hosts of a domain, at any time."""
        for name, members, _ in ROUTES:
            if name == domain:
                return {self.servers[m[0] if isinstance(m, tuple) else m]
                        .hostport for m in members}
        raise KeyError(domain)

    def flush_until_empty(self, timeout):
        """qmgr(8) leaves a message of a killed smtp(8) alone for a while, in
        incoming as well once qmgr(8) itself was killed: postqueue -f does not
        reach it there, so it is told to scan all, whatever the time stamps."""
        def empty():
            if self.postfix.queued("maildrop", "active") == 0:
                command("postkick", "-c", self.postfix.config, "public",
                        "qmgr", "AI", check=False)
                self.postfix.flush()
            return self.postfix.queued() == 0
        wait_until(empty, timeout, lambda: "the queue is flushed: %s" %
                   self.postfix.queue(), pause=2)

    # -- what is there ----------------------------------------------------

    def maillog(self):
        """All of Postfix's log, what was rotated away first."""
        old = sorted(glob.glob(self.postfix.maillog + ".*"))
        return "".join(map(read_text, [*old, self.postfix.maillog]))

    def states(self):
        """How many hosts are in each state, as far as a route has them."""
        with contextlib.suppress(AssertionError):
            return collections.Counter(
                host["override"] if host["override"] not in (None, "none")
                else host["state"] for host in self.daemon.status()["hosts"])
        return collections.Counter()

    def wait_all_up(self, timeout):
        wait_until(lambda: self.states() == {"up": HOSTS}, timeout,
                   lambda: "all hosts are up: %s\n%s" % (
                       dict(self.states()), self.daemon.log()[-6000:]),
                   pause=0.5)
