# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""`nexthopctl observe` reads the log in the daemon's stead, and the journal
is no trouble where there is none."""

import os
import signal
import subprocess
import threading
import time

import pytest

from harness import HEALTHY, Daemon, nexthopctl, routes_to, wait_until
from log_lines import Deliveries, append, full_lines, result_lines

KILLED = r"worker \d+ ended by signal 9, starting another"
GONE = "the daemon has gone"
BACK = "connected again"
NO_JOURNAL = "the journal cannot be followed: "


class Observer:
    """nexthopctl observe, with a pipe for its input or what `stdin` is."""

    def __init__(self, daemon, stdin=subprocess.PIPE):
        self.process = subprocess.Popen(
            [nexthopctl(), "-c", daemon.config, "observe"], stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.said += line

    def write(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def says(self, text, times=1):
        wait_until(lambda: self.said.count(text) >= times, 20,
                   lambda: "%r\n%s" % (text, self.said))

    def end(self):
        """The end of its input: the exit status."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        status = self.process.wait(20)
        self._reader.join(20)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


def daemon_of(room, *servers, interval=3600.0, **options):
    return room.daemon(routes_to(*servers), probe=dict(interval=interval),
                       **options)


def on_trial(room, a):
    """A daemon and its observer, who has seen what no probe sees: mail that
    was put off at the end of DATA."""
    daemon = daemon_of(room, a, interval=0.5,
                       delivery=dict(flush_command="/bin/true"))
    one = observer(room, daemon)
    daemon.wait_probed(a)
    one.write(full_lines(a))
    daemon.wait_state(a, "trial")
    return daemon, one


def observer(room, daemon, **more):
    return room.add(Observer(daemon, **more))


def test_a_pipe_from_tail_counts_each_delivery_and_ends_with_it(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = daemon_of(room, a, b)
    postfix = room.postfix(daemon, (a, b))
    counted = [Deliveries(daemon, server) for server in (a, b)]
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", postfix.maillog],
                            stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    try:
        observe = observer(room, daemon, stdin=tail.stdout)
        postfix.smtp_source(300)
        postfix.wait_queue_empty()
        for number, server in enumerate((a, b)):
            counted[number].wait(len(server.messages))
    finally:
        tail.terminate()
        tail.wait(10)
        tail.stdout.close()
    assert observe.end() == 0
    assert [c.count for c in counted] == [len(a.messages), len(b.messages)]
    assert observe.said == ""


def test_several_may_observe_at_once_and_what_was_written_counts(room):
    a = room.servers(HEALTHY)
    daemon = daemon_of(room, a)
    counted = Deliveries(daemon, a)
    observers = [observer(room, daemon) for _ in range(3)]
    for _ in range(100):
        for one in observers:
            one.write(result_lines(a, 10))
    # All that was written has been read when it ends.
    assert [one.end() for one in observers] == [0, 0, 0]
    assert counted.count == 3000


def test_a_last_line_without_an_end_is_a_line(room):
    a = room.servers(HEALTHY)
    daemon = daemon_of(room, a)
    counted = Deliveries(daemon, a)
    one = observer(room, daemon)
    one.write(result_lines(a, 3)[:-1])
    assert one.end() == 0
    assert counted.count == 3


@pytest.mark.parametrize("how", ("restart", "kill"))
def test_the_daemon_may_go_and_come_back(room, how):
    a = room.servers(HEALTHY)
    daemon = daemon_of(room, a)
    daemon.expect_trouble(KILLED)
    one = observer(room, daemon)
    counted = Deliveries(daemon, a)
    for number in range(1, 3):
        one.write(result_lines(a, 10))
        counted.wait(10)
        if how == "restart":
            daemon.process.terminate()
            assert daemon.process.wait(20) == 0
            one.says(GONE, number)
            one.write(result_lines(a, 7))       # to nobody
            daemon.start()
        else:
            daemon.kill_worker()
        one.says(BACK, number)
        counted = Deliveries(daemon, a)
    one.write(result_lines(a, 10))
    assert one.end() == 0
    assert counted.count == 10
    if how == "restart":
        assert one.said.count("7 lines were dropped") == 2, one.said


def test_without_a_daemon_at_the_start_it_says_so(room):
    idle = room.add(Daemon(routes=(dict(
        domain="example.test", hosts=(dict(host="127.0.0.1"),)),)))
    done = idle.run_ctl("observe")
    assert done.returncode == 1
    assert "the daemon is not running" in done.stderr
    assert done.stdout == ""


def test_a_host_in_trial_is_the_probes_when_nobody_observes(room):
    a = room.servers(HEALTHY)
    daemon, one = on_trial(room, a)
    probes = len(a.probes)
    wait_until(lambda: len(a.probes) >= probes + 4, 30, "it is probed")
    assert daemon.state(a) != "up"
    assert one.end() == 0
    daemon.wait_state(a, "up")


def test_an_observer_that_dies_is_no_observer(room):
    a = room.servers(HEALTHY)
    daemon, one = on_trial(room, a)
    os.kill(one.process.pid, signal.SIGKILL)
    daemon.wait_state(a, "up")


# -- the journal ----------------------------------------------------------

@pytest.mark.skipif(any(os.path.isdir(path) and os.listdir(path)
                        for path in ("/run/log/journal", "/var/log/journal")),
                    reason="this machine has a journal")
def test_without_a_journal_it_warns_once_and_serves(room):
    a = room.servers(HEALTHY)
    daemon = daemon_of(room, a, start=False, delivery=dict(journal=True))
    log = os.path.join(daemon.folder, "maillog")
    append(log, "")
    daemon.configure(delivery=dict(logs=[log]))
    daemon.expect_trouble(NO_JOURNAL)
    daemon.start()
    worker = daemon.worker
    counted = Deliveries(daemon, a)
    daemon.wait_log(NO_JOURNAL)
    # It looks again every 2 s.
    end = time.monotonic() + 5
    while time.monotonic() < end:
        before = counted.count
        append(log, result_lines(a))
        counted.wait(before + 1)
        assert daemon.ask("u@example.test") == "OK nexthop:" + a.hostport
        time.sleep(0.2)
    daemon.wait_log(NO_JOURNAL, times=1)
    daemon.ctl("reload")
    daemon.configure(delivery=dict(journal=False))
    daemon.ctl("reload")
    assert daemon.log().count("journal") <= 2
    assert daemon.worker == worker
