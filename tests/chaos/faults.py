# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What goes wrong: one method a kind of accident, and the plan that draws them.

The same seed draws the same plan. Most accidents are undone after a while, and
meanwhile others happen.
"""

import collections
import concurrent.futures
import contextlib
import heapq
import os
import random
import shutil
import signal
import subprocess
import time

from harness import (GREETING_431, MAIL_452, RCPT_452, SILENT, children,
                     connect, nexthopctl, process_gone, read_text,
                     wait_until)
from fake_smtp import Script
from relay import GUESTS, HEALTHY, HOSTS

DOT_452 = Script("452 at end of data",
                 dot="452 4.3.1 Insufficient system resources")
REFUSED = Script("refused")
ILLNESSES = (REFUSED, GREETING_431, MAIL_452, RCPT_452, DOT_452, SILENT)

BAD_CONFIGURATIONS = (
    "routes = ( { domain = \n",
    "no_such_option = 1;\n",
    "routes = ( { domain = \"x.test\"; hosts = ( { host = \"\"; } ); } );\n",
)
POSTFIX_PROCESSES = ("smtpd", "cleanup", "qmgr", "smtp", "smtp",
                     "trivial-rewrite")
ROTATIONS = ("create", "logrotate", "copytruncate")
HOGS = 250

# Kind of accident: how often it is drawn.
WEIGHTS = {
    "sicken": 6, "kill_postfix": 4, "kill_worker": 3, "operator": 3,
    "reload": 3, "fill_disk": 2, "hog": 2, "rotate": 2, "pause_worker": 2,
    "kill_supervisor": 1, "reload_bad": 1, "truncate_table": 1, "observe": 1,
}


def plan(seed, seconds):
    """(pause before it, kind, a seed for its details), to the end."""
    rng = random.Random(seed)
    kinds, weights = zip(*WEIGHTS.items())
    total, made = 0.0, []
    while total < seconds:
        step = (rng.uniform(1.0, 4.0), rng.choices(kinds, weights)[0],
                rng.getrandbits(32))
        total += step[0]
        made.append(step)
    return made


class Faults:
    def __init__(self, relay):
        self.relay, self.daemon = relay, relay.daemon
        self.done = []              # (second, kind, details)
        self.killed = set()         # supervisors and workers
        self.held = collections.Counter()   # queue ids of smtp(8)s killed
        self.commands = collections.Counter()
        self.crashes = []
        self._undo, self._number = [], 0
        self._start = time.monotonic()
        self._hands = concurrent.futures.ThreadPoolExecutor(8)
        self._jobs = []

    # -- the course of events ---------------------------------------------

    def run(self, steps):
        for pause, kind, seed in steps:
            self.wait(pause)
            details = getattr(self, kind)(random.Random(seed))
            self.done.append((time.monotonic() - self._start, kind, details))
        self.heal_all()

    def wait(self, seconds):
        """Sleep, and undo meanwhile what is due."""
        end = time.monotonic() + seconds
        while True:
            due = self._undo[0][0] if self._undo else end
            left = min(due, end) - time.monotonic()
            if left > 0:
                time.sleep(left)
            if self._undo and self._undo[0][0] <= time.monotonic():
                heapq.heappop(self._undo)[2]()
            elif time.monotonic() >= end:
                return

    def _later(self, seconds, action):
        self._number += 1
        heapq.heappush(self._undo, (time.monotonic() + seconds, self._number,
                                    action))

    def heal_all(self):
        while self._undo:
            heapq.heappop(self._undo)[2]()
        self.relay.disk.free()
        for server in self.relay.servers:
            self._heal(server)
        for job in self._jobs:
            job.result(180)
        self.daemon.configure(routes=self.relay.routes())
        # Before it is reloaded, a table may be without some of the hosts.
        self._command_at_last("reload")
        for server in self.relay.servers:
            self._command_at_last("enable", server.key)

    def _command_at_last(self, *words):
        """The table or the daemon may not be there yet."""
        wait_until(lambda: self.command(*words) == 0, 60,
                   "nexthopctl " + " ".join(words), pause=0.5)

    def close(self):
        while self._undo:
            with contextlib.suppress(Exception):
                heapq.heappop(self._undo)[2]()
        self._hands.shutdown(wait=True, cancel_futures=True)

    def _aside(self, action, *words, **more):
        """What may take its time must not hold the course of events up."""
        self._jobs.append(self._hands.submit(action, *words, **more))

    def command(self, *words, stdin=None):
        """nexthopctl, whatever comes of it; that it crashes is noted."""
        try:
            done = subprocess.run(
                [nexthopctl(), "-c", self.daemon.config, *words], text=True,
                input=stdin if stdin is not None else "", timeout=120,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            status = done.returncode
        except subprocess.TimeoutExpired:
            status = "hangs"
        self.commands[words[0], status] += 1
        if status == "hangs" or status < 0:  # a signal
            self.crashes.append("nexthopctl %s: %s" % (
                " ".join(words), status))
        return status

    # -- the daemon's processes -------------------------------------------

    def _kill(self, pid):
        self.killed.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_worker(self, _rng):
        pid = self.daemon.worker
        if pid is None:
            return "there is none"
        self._kill(pid)
        return pid

    def kill_supervisor(self, _rng):
        pid = self.daemon.pid
        self._kill(pid)
        return pid

    def pause_worker(self, rng):
        pid, seconds = self.daemon.worker, rng.uniform(0.2, 3.0)
        if pid is None:
            return "there is none"

        def go_on():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        self._later(seconds, go_on)
        return "%d for %.1f s" % (pid, seconds)

    def hog(self, rng):
        """Connections that say nothing take the descriptors away."""
        made, seconds = [], rng.uniform(2.0, 8.0)
        for n in range(HOGS):
            spec = (self.daemon.map_socket, self.daemon.milter_socket)[n % 2]
            with contextlib.suppress(OSError):
                made.append(connect(spec, 1))

        def let_go():
            for sock in made:
                sock.close()
        self._later(seconds, let_go)
        return "%d connections for %.1f s" % (len(made), seconds)

    # -- its files --------------------------------------------------------

    def fill_disk(self, rng):
        seconds = rng.uniform(1.0, 6.0)
        self.relay.disk.fill()
        self._later(seconds, self.relay.disk.free)
        return "for %.1f s" % seconds

    def truncate_table(self, rng):
        size = rng.choice((0, 100, 4096, 65536))
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.daemon.options["health_table"], size)
        return "to %d" % size

    def reload(self, rng):
        """Hosts go and come; sometimes many, so that the table grows."""
        without = rng.sample(range(HOSTS), rng.choice((0, 0, 1, 2)))
        guests = rng.choice((0, 0, 20, GUESTS))
        self.daemon.configure(routes=self.relay.routes(without, guests))
        if rng.random() < 0.3:
            self.daemon.rotate()
        self._ask_for_reload(rng)
        return "without %s, %d guests" % (without, guests)

    def reload_bad(self, rng):
        text = rng.choice(BAD_CONFIGURATIONS)
        self.daemon.configure(text=text)
        self._ask_for_reload(rng)
        self._later(rng.uniform(0.5, 3.0), self.daemon.configure)
        return text.strip()

    def _ask_for_reload(self, rng):
        if rng.random() < 0.5:
            self.daemon.reload()
        else:
            self._aside(self.command, "reload")

    # -- hosts and operators ----------------------------------------------

    def sicken(self, rng):
        server, illness = rng.choice(self.relay.servers), rng.choice(ILLNESSES)
        seconds = rng.uniform(2.0, 20.0)
        self.make_sick(server, illness, seconds)
        if rng.random() < 0.3:
            server.hang_up()
        return "%s: %s for %.1f s" % (server.name, illness.name, seconds)

    def make_sick(self, server, illness, seconds):
        if illness is REFUSED:
            server.refuse()
        else:
            server.become(illness)
            server.listen()
        self._later(seconds, lambda: self._heal(server))

    @staticmethod
    def _heal(server):
        """One that was silent has come back from a crash: sessions that it let
        hang would keep Postfix waiting for ten minutes."""
        silent = server.script is SILENT
        server.become(HEALTHY)
        if silent:
            server.hang_up()
        server.listen()

    def operator(self, rng):
        word = rng.choice(("drain", "disable", "force-up"))
        server = rng.choice(self.relay.servers)
        self._aside(self.command, word, server.key, "--reason", "chaos")
        self._later(rng.uniform(1.0, 8.0), lambda: self._aside(
            self.command, "enable", server.key))
        return word + " " + server.name

    def observe(self, _rng):
        """Lines that the daemon has mostly seen before."""
        lines = read_text(self.relay.postfix.maillog).splitlines(True)[-200:]
        self._aside(self.command, "observe", stdin="".join(lines))
        return "%d lines" % len(lines)

    # -- Postfix ----------------------------------------------------------

    def _postfix_pids(self, name):
        master = self.relay.postfix._master()
        return [pid for pid in children(master)
                if read_text("/proc/%d/comm" % pid).strip() == name]

    @staticmethod
    def _stop(pid):
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: process_gone(pid) or
                   ") T " in read_text("/proc/%d/stat" % pid), 10,
                   "process %d stands still" % pid)

    @staticmethod
    def _queue_files(pid):
        """The queue ids of the files that a process has open."""
        found, entries = set(), []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            entries = os.listdir("/proc/%d/fd" % pid)
        for entry in entries:
            with contextlib.suppress(OSError):
                path = os.readlink("/proc/%d/fd/%s" % (pid, entry))
                if "/queue/active/" in path or "/queue/incoming/" in path:
                    found.add(os.path.basename(path).split(" ")[0])
        return found

    def kill_postfix(self, rng):
        """One of them; what an smtp(8) was about to deliver is noted."""
        name, which = rng.choice(POSTFIX_PROCESSES), rng.getrandbits(16)
        pids = self._postfix_pids(name)
        # One in the middle of a delivery, if there is one.
        pids = [pid for pid in pids if self._queue_files(pid)] or pids
        if not pids:
            return name + ": there is none"
        pid = pids[which % len(pids)]
        held = set()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            self._stop(pid)
            held = self._queue_files(pid)
            if name == "smtp":
                self.held.update(held)
            os.kill(pid, signal.SIGKILL)
        return "%s %d, which held %s" % (name, pid, sorted(held) or "nothing")

    def rotate(self, rng):
        how = rng.choice(ROTATIONS)
        self.rotate_log(how)
        return how

    def rotate_log(self, how):
        if how == "logrotate":
            self._aside(self.relay.postfix.postfix, "logrotate", check=False)
            return
        log = self.relay.postfix.maillog
        old = log + time.strftime(".%Y%m%d-%H%M%S-") + "%09d" % (
            time.time_ns() % 10 ** 9)
        if how == "create":
            os.rename(log, old)
            open(log, "a").close()
            self._aside(self.relay.postfix.postfix, "reload", check=False)
        else:
            self._copy_and_truncate(log, old)

    def _copy_and_truncate(self, log, old):
        """Nothing is written meanwhile: the verdict needs every line."""
        pids = self._postfix_pids("postlogd")
        for pid in pids:
            self._stop(pid)
        try:
            shutil.copyfile(log, old)
            os.truncate(log, 0)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
