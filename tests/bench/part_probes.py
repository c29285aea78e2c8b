# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Ten thousand hosts in the one probe thread, some of them silent: what that
costs, whether the healthy ones are probed in time, and whether lookups notice.

All hosts are addresses of the loopback network that one program serves
(smtp_crowd.c); it writes down when each was connected to. How late a probe is
is the crowd's word, not the daemon's."""

import collections
import contextlib
import itertools
import os
import subprocess
import time
from dataclasses import dataclass

from echo_server import echo_server
from harness import Daemon, wait_until
from report import OURS, Row
from rooms import (helper, memory_folder, process_seconds, thread_seconds,
                   thread_waited)

ECHO = "echo"
# The configured jitter is a twentieth each way; no queue may add as much.
P99_LIMIT = 1.1
MAX_PARALLEL = 64
SETTLE_TIMEOUT = 600
# Of lookups, for each of the two servers, in every piece of the window.
SLICES = 50
SLICE_MS = 20


@dataclass
class Scale:
    hosts: int = 10000
    silent: int = 300
    interval: float = 30.0
    timeout: float = 10.0
    window: float = 75.0    # of steady state, two intervals and a half

    def __str__(self):
        return "%s hosts" % format(self.hosts, ",d")

    def note(self):
        return "%d of them silent, probe.interval %g s, probe.timeout %g s" % (
            self.silent, self.interval, self.timeout)

    def is_silent(self, host):
        """As smtp_crowd.c has it."""
        return ((host + 1) * self.silent // self.hosts !=
                host * self.silent // self.hosts)


def address(host):
    return "127.100.%d.%d" % divmod(host, 256)


class Crowd:
    """The hosts, and what they have seen when they are gone."""

    def __init__(self, bench, scale, folder):
        self.scale, self.path = scale, os.path.join(folder, "events")
        self.words = (bench.program("smtp_crowd"), str(scale.hosts),
                      str(scale.silent), self.path)

    @contextlib.contextmanager
    def present(self):
        with helper(*self.words) as process:
            self.port = int(process.stdout.readline())
            yield self
        with open(self.path) as file:
            self.events = [(what, int(host), int(when) / 1e6) for
                           what, host, when in map(str.split, file)]

    def routes(self):
        """As tests/bench/map_client.c asks for them; two hosts each."""
        return tuple(
            dict(domain="d%07d.example" % number, hosts=tuple(
                dict(host=address(host), port=self.port)
                for host in (2 * number, 2 * number + 1)))
            for number in range(self.scale.hosts // 2))

    def healthy_times(self):
        """When each healthy host was connected to."""
        times = {host: [] for host in range(self.scale.hosts)
                 if not self.scale.is_silent(host)}
        for what, host, when in self.events:
            if what == "+" and host in times:
                times[host].append(when)
        return times

    def most_at_once(self):
        return max(itertools.accumulate(
            1 if what == "+" else -1 for what, _, _ in self.events))

    def most_in_a_second(self):
        return max(collections.Counter(
            int(when) for what, _, when in self.events
            if what == "+").values())


def waits(times, start, end, interval):
    """Sorted: the waits for a probe within the window, the last ones of hosts
    that were still waiting at its end, as multiples of the interval."""
    found = []
    for seen in times.values():
        seen = [when for when in seen if start <= when <= end]
        found += [after - before for before, after in zip(seen, seen[1:])]
        open_wait = end - (seen[-1] if seen else start)
        if open_wait > interval:
            found.append(open_wait)
    return sorted(wait / interval for wait in found)


# -- the daemon -----------------------------------------------------------

def daemon_in(folder, crowd):
    scale = crowd.scale
    path = os.path.join(folder, "daemon")
    os.mkdir(path)
    return Daemon(
        folder=path, routes=crowd.routes(),
        log=dict(target=os.path.join(path, "log"), level="info"),
        probe=dict(interval=scale.interval, timeout=scale.timeout,
                   max_parallel=MAX_PARALLEL),
        defer=dict(rise=2, first=scale.timeout, max=60 * scale.timeout))


def wrong_states(daemon, crowd):
    """Hosts that are not what they should be."""
    wrong = 0
    for host in daemon.status()["hosts"]:
        a, b = host["host"].split(".")[2:]
        silent = crowd.scale.is_silent(int(a) * 256 + int(b))
        wrong += host["state"] != ("deferred" if silent else "up")
    return wrong


def settled(daemon, scale):
    """The second round of probes spreads the hosts over the interval: it is
    over, and the silent ones are known."""
    hosts = daemon.status()["hosts"]
    return len(hosts) == scale.hosts and all(
        host["observed_ok"] >= 2 or host["observed_failed"] >= 1
        for host in hosts)


# -- the measurement ------------------------------------------------------

class Window:
    """Steady state, in as many pieces as the bench has rounds."""

    def __init__(self, bench, daemon, echo, scale):
        self.bench, self.daemon, self.echo = bench, daemon, echo
        self.piece_seconds = scale.window / bench.rounds
        self.routes = scale.hosts // 2
        self.share = {"probe": [], "worker": [], "waited": []}
        self.p99 = {ECHO: [], OURS: []}

    def used(self):
        pid = self.daemon.worker
        return (thread_seconds(pid, "probe"),
                process_seconds(pid) - thread_seconds(pid, "map"),
                thread_waited(pid, "probe"))

    def ask(self):
        done = subprocess.run(
            [self.bench.program("map_client"), "-c", "1", "-n", str(SLICES),
             "-t", str(SLICE_MS), "-r", str(self.routes),
             self.daemon.map_socket.partition(":")[2], self.echo],
            stdout=subprocess.PIPE, check=True, text=True, timeout=60,
            start_new_session=True)
        for name, line in zip((OURS, ECHO), done.stdout.splitlines()):
            self.p99[name].append(float(line.split()[3]))

    def piece(self):
        before, start = self.used(), time.monotonic()
        self.ask()
        time.sleep(max(0, start + self.piece_seconds - time.monotonic()))
        took = time.monotonic() - start
        for name, old, new in zip(self.share, before, self.used()):
            self.share[name].append(100 * (new - old) / took)

    def measure(self):
        self.start = time.monotonic()
        for _ in range(self.bench.rounds):
            self.piece()
        self.end = time.monotonic()
        return self

    def rows(self, scale):
        name = str(scale)
        return [
            Row("probes", name + ": the probe thread", "% of a processor",
                {OURS: self.share["probe"]}, note=scale.note()),
            Row("probes", name + ": the worker without the map",
                "% of a processor", {OURS: self.share["worker"]}),
            Row("probes", name + ": the probe thread waits for a processor",
                "% of the time", {OURS: self.share["waited"]},
                note="what a busy machine takes from its punctuality"),
            Row("probes", name + ": p99 of lookups meanwhile", "us", self.p99,
                floor=ECHO, at_most=1.5)]


def punctuality_rows(crowd, window):
    scale = crowd.scale
    found = waits(crowd.healthy_times(), window.start, window.end,
                  scale.interval)

    def row(what, figure, **more):
        return Row("probes", "%s: time between probes of a healthy one, %s" % (
            scale, what), "intervals", {OURS: [figure]}, **more)
    return [row("p50", found[len(found) // 2]),
            row("p99", found[len(found) * 99 // 100], limit=P99_LIMIT),
            row("longest", found[-1])]


def start_rows(crowd, started):
    scale = crowd.scale
    first = max(seen[0] if seen else float("inf")
                for seen in crowd.healthy_times().values())
    return [
        Row("probes", "%s: start, until each healthy one was probed" % scale,
            "s", {OURS: [first - started]}),
        Row("probes", "%s: probes at a time, at most" % scale, "probes",
            {OURS: [crowd.most_at_once()]},
            note="probe.max_parallel is %d; the crowd hears of the end of one "
            "after the beginning of the next" % MAX_PARALLEL),
        Row("probes", "%s: new connections in a second, at most" % scale,
            "connections", {OURS: [crowd.most_in_a_second()]})]


def measure(bench):
    scale = Scale(hosts=500, silent=15, interval=2.0, timeout=1.0,
                  window=6.0) if bench.quick else Scale()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(memory_folder())
        crowd = stack.enter_context(Crowd(bench, scale, folder).present())
        daemon = daemon_in(folder, crowd)
        started = time.monotonic()
        stack.enter_context(daemon)
        echo = stack.enter_context(echo_server(
            folder, daemon.ask("u00000000@d0000000.example"))).path
        bench.say("probes: waiting for the second round")
        wait_until(lambda: settled(daemon, scale), SETTLE_TIMEOUT,
                   "all hosts are known", pause=scale.interval / 20)
        bench.say("probes: measuring for %g s" % scale.window)
        window = Window(bench, daemon, echo, scale).measure()
        wrong = wrong_states(daemon, crowd)
    return window.rows(scale) + [
        Row("probes", "%s: in a wrong state" % scale, "hosts",
            {OURS: [wrong]}, limit=1)
    ] + punctuality_rows(crowd, window) + start_rows(crowd, started)
