# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A daemon with many routes over hosts that are there, and what may keep it
busy: probes, reloads, a delivery log."""

import contextlib
import dataclasses
import os
import re
import socket
import subprocess
import threading
import time

from harness import Daemon, LOOPBACK, libconfig, wait_until
from log_lines import append, result_lines

HOSTS = 20
HOSTS_A_POOL = 2
POOLS = HOSTS // HOSTS_A_POOL
QUIET_INTERVAL = 3600.0
BUSY_INTERVAL = 0.5     # as many probes as 1,200 hosts at 30 s
LINES_A_SECOND = 10000
TICK = 0.01
# A million routes are loaded within it on a busy machine, too.
PATIENCE = 300


@dataclasses.dataclass
class Sink:
    """An SMTP server that takes everything: Postfix's own, a process each."""

    address: str
    port: int

    def host(self):
        return dict(host=self.address, port=self.port)

    def start(self):
        return subprocess.Popen(
            ["smtp-sink", "-u", "nobody",
             "%s:%d" % (self.address, self.port), "128"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)

    def listens(self):
        try:
            socket.create_connection((self.address, self.port), 5).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def sinks():
    """HOSTS of them, with addresses of equal length: so are all answers."""
    port = LOOPBACK.port(LOOPBACK.address())
    made = [Sink("%s.%d" % (LOOPBACK.prefix, 100 + number), port)
            for number in range(HOSTS)]
    processes = [sink.start() for sink in made]
    try:
        for sink in made:
            wait_until(sink.listens, 10, "smtp-sink listens")
        yield made
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def route_lines(routes, servers):
    """The configuration's part that is long, piece by piece."""
    yield "pools = %s;\n" % libconfig(tuple(
        dict(name="p%d" % pool, hosts=tuple(
            server.host() for server in servers[pool::POOLS]))
        for pool in range(POOLS)))
    yield "routes = (\n"
    for route in range(routes):
        yield '%s{ domain = "d%07d.example"; pool = "p%d"; }\n' % (
            "," if route else "", route, route % POOLS)
    yield ");\n"


class Scene:
    """The daemon, its hosts, and its log of deliveries."""

    def __init__(self, routes, servers):
        self.routes, self.servers = routes, servers
        self.daemon = Daemon()
        self.map_path = self.daemon.map_socket.partition(":")[2]
        self.maillog = os.path.join(self.daemon.folder, "maillog")
        append(self.maillog, "")
        self.daemon.options.update(
            log=dict(target="stderr", level="info"),
            defer=dict(fall=5), delivery=dict(logs=[self.maillog]))
        # The status of a million routes is long; that of their hosts is not.
        self.configure(POOLS, QUIET_INTERVAL)
        self.short_config = self.daemon.config + ".short"
        os.rename(self.daemon.config, self.short_config)
        self.configure(routes, QUIET_INTERVAL)

    def configure(self, routes, probe_interval):
        self.daemon.configure(
            routes=None, probe=dict(interval=probe_interval, timeout=10.0))
        with open(self.daemon.config, "a") as file:
            file.writelines(route_lines(routes, self.servers))

    def __enter__(self):
        self.daemon.start(PATIENCE)
        return self

    def __exit__(self, *_):
        self.daemon.stop(PATIENCE)

    @contextlib.contextmanager
    def busy(self):
        """Probes, reloads and deliveries; gives a Busy."""
        self.configure(self.routes, BUSY_INTERVAL)
        reloader = Reloader(self.daemon)
        writer = LogWriter(self.maillog, self.servers)
        try:
            wait_until(lambda: reloader.done > 0, PATIENCE, "the first reload")
            yield Busy(self, writer, reloader)
        finally:
            writer.stop()
            reloader.stop()

    def observed(self):
        """Probes and deliveries of all hosts that were counted."""
        config, self.daemon.config = self.daemon.config, self.short_config
        try:
            return sum(host["observed_ok"]
                       for host in self.daemon.status()["hosts"])
        finally:
            self.daemon.config = config

    def answer(self):
        return self.daemon.ask("u00000000@d0000000.example")


class Busy:
    """How much of it there was since the last look."""

    def __init__(self, scene, writer, reloader):
        self.scene, self.writer, self.reloader = scene, writer, reloader
        self.look()

    def look(self):
        """Returns: lines a second that were written, and observed."""
        now = time.monotonic(), self.writer.written, self.scene.observed()
        old, self._old = getattr(self, "_old", now), now
        seconds, written, observed = (a - b for a, b in zip(now, old))
        return (written / seconds, observed / seconds) if seconds else None


class Ticker(threading.Thread):
    """Does something over and over until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self._end = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self._end.wait(TICK):
                self.tick()
        except Exception as error:      # noqa: BLE001 - told by stop()
            self.error = error

    def stop(self):
        self._end.set()
        self.join(PATIENCE)
        if self.error is not None:
            raise self.error


class LogWriter(Ticker):
    """Writes lines at a pace, however late a tick comes."""

    def __init__(self, path, servers):
        super().__init__()
        self.path, self.servers = path, servers
        self.written, self.started = 0, time.monotonic()
        self.start()

    def tick(self):
        due = int((time.monotonic() - self.started) * LINES_A_SECOND)
        share = (due - self.written) // len(self.servers)
        append(self.path, "".join(result_lines(server, share)
                                  for server in self.servers))
        self.written += share * len(self.servers)


class Reloader(Ticker):
    """One reload of everything after the other."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon, self.done, self.seconds = daemon, 0, 0
        self.start()

    def generation(self):
        found = re.findall(r"generation (\d+)$", self.daemon.log(), re.M)
        return int(found[-1]) if found else 1

    def tick(self):
        before, started = self.generation(), time.monotonic()
        self.daemon.reload()
        wait_until(lambda: self.generation() > before, PATIENCE,
                   "the configuration is reloaded", pause=TICK)
        self.done += 1
        self.seconds += time.monotonic() - started
