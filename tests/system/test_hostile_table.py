# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Whatever happens to the table's file, nobody dies of it for good."""

import os
import random
import stat
import subprocess
import threading

import pytest

from harness import HEALTHY, nexthopctl, routes_to, wait_until

PAGE = 4096
HEADER = 512
ROUNDS = 40
HANG = 20       # seconds that a command never needs


@pytest.fixture
def served(room):
    """A daemon that serves one host, and its table."""
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server))
    daemon.wait_probed(server)
    daemon.server = server
    daemon.table = daemon.options["health_table"]
    return daemon


def stop(daemon):
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0


def is_answered(daemon):
    """Whether the map names the host; not while the worker is replaced."""
    try:
        return daemon.ask("u@example.test").endswith(daemon.server.hostport)
    except (OSError, EOFError):
        return False


def wait_answered(daemon):
    wait_until(lambda: is_answered(daemon), 20,
               lambda: "the map answers\n" + daemon.log()[-3000:])


# -- at the start ---------------------------------------------------------

def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


REBUILT = "rebuilt, all hosts start up: ."
REPAIRED = r"repaired, the rest is kept: \d+ entries do not validate"


@pytest.mark.parametrize("forge,words", (
    (lambda good: noise(1), REBUILT),
    (lambda good: noise(len(good)), REBUILT),
    (lambda good: good[:8] + noise(len(good) - 8), REBUILT),
    (lambda good: good[:HEADER] + noise(len(good) - HEADER), REPAIRED),
    (lambda good: good[:PAGE], REBUILT),
    (lambda good: good + noise(PAGE), REBUILT),
), ids=("a byte", "noise", "magic", "header", "page", "longer"))
def test_a_forged_table_is_mended_at_the_start_in_words(served, forge, words):
    stop(served)
    with open(served.table, "r+b") as file:
        good = file.read()
        file.seek(0)
        file.truncate()
        file.write(forge(good))
    served.expect_trouble("health table .*" + words)
    served.mark()
    served.start()
    served.wait_log(r"health table \S+: " + words)
    assert is_answered(served)
    assert served.state(served.server) == "up"


def put_special(path, kind):
    if kind == "folder":
        os.mkdir(path)
    elif kind == "link":
        os.symlink(path + ".elsewhere", path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero


@pytest.mark.parametrize("kind,words", (
    ("folder", "Is a directory"), ("link", "is a symbolic link"),
    ("pipe", "is no plain file"), ("device", "is no plain file")))
def test_what_is_no_file_stops_the_start_and_is_left_alone(
        served, kind, words):
    stop(served)
    os.unlink(served.table)
    put_special(served.table, kind)
    before = os.lstat(served.table)
    served.expect_trouble("cannot start", "worker .* ended")
    served.mark()
    served.spawn()
    served.wait_log("cannot start: .*" + words)
    done = served.run_ctl("status", timeout=HANG)
    assert done.returncode == 1
    assert words in done.stderr
    assert served.process.wait(HANG) == 1
    assert os.lstat(served.table).st_ino == before.st_ino
    assert not os.path.exists(served.table + ".elsewhere")


# -- in use ---------------------------------------------------------------

@pytest.mark.parametrize("left", (0, 100, PAGE))
def test_a_table_cut_under_the_worker_costs_no_more_than_the_worker(
        served, left):
    served.expect_trouble(r"worker \d+ ended by signal", "health table")
    os.truncate(served.table, left)
    wait_until(lambda: is_answered(served) and
               served.run_ctl("status").returncode == 0, 30,
               lambda: "a whole table is back\n" + served.log()[-3000:])
    assert served.process.poll() is None


def test_a_table_cut_where_nobody_looks_is_told_of(served):
    served.expect_trouble("cut short")
    served.mark()
    os.truncate(served.table, os.path.getsize(served.table) - PAGE)
    served.wait_log("health table %s has been removed, replaced or cut short"
                    % served.table)
    wait_answered(served)
    done = served.run_ctl("status", timeout=HANG)
    assert done.returncode == 1
    assert "but its header says" in done.stderr


class Cutter(threading.Thread):
    """Cuts a file and makes it whole again, until it is told to stop."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.done = threading.Event()
        self.n = 0
        with open(path, "rb") as file:
            self.whole = file.read()

    def run(self):
        sizes = (0, PAGE, len(self.whole) // 2, HEADER)
        with open(self.path, "r+b", buffering=0) as file:
            while not self.done.is_set():
                file.truncate(sizes[self.n % len(sizes)])
                self.done.wait(0.001)
                file.seek(0)
                file.write(self.whole)
                self.done.wait(0.001)
                self.n += 1


def test_a_reader_of_a_table_that_is_cut_ends_in_words(served):
    stop(served)
    cutter = Cutter(served.table)
    cutter.start()
    words = (("status",), ("status", "--json"),
             ("history", served.server.address))
    try:
        for number in range(ROUNDS):
            # Not the harness's: an exit by a signal is what is looked for.
            done = subprocess.run(
                [nexthopctl(), "-c", served.config,
                 *words[number % len(words)]], timeout=HANG,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert done.returncode in (0, 1), done
            assert done.returncode == 0 or done.stderr.strip(), done
    finally:
        cutter.done.set()
        cutter.join(HANG)
    assert cutter.n > 0
    served.ctl("status")
