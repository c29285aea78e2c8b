# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Where measurements take place: folders in memory, helper programs that end
with them, and the processor time that is used there."""

import contextlib
import os
import subprocess
import tempfile

TICK = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def memory_folder():
    """Where files cost no disk, if there is such a place."""
    top = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nh-bench-", dir=top) as folder:
        os.chmod(folder, 0o755)
        yield folder


@contextlib.contextmanager
def helper(*words):
    """A program that ends with its standard input. In a session of its own,
    as the daemon: Linux shares processors out by session."""
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True)
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


# -- processor time, by /proc ---------------------------------------------

def _seconds(path):
    """Name of a process or thread, and the time it has used."""
    with open(path, "rb") as file:
        head, _, tail = file.read().rpartition(b") ")
    fields = tail.split()
    return (head.partition(b"(")[2].decode(),
            (int(fields[11]) + int(fields[12])) / TICK)


def process_seconds(pid):
    """Threads that have ended count, too."""
    return _seconds("/proc/%d/stat" % pid)[1]


def _of_threads(pid, wanted, figure):
    """The sum of figure(folder) for all threads of that name."""
    total = 0
    for entry in os.listdir("/proc/%d/task" % pid):
        folder = "/proc/%d/task/%s" % (pid, entry)
        try:
            if _seconds(folder + "/stat")[0] == wanted:
                total += figure(folder)
        except (FileNotFoundError, ProcessLookupError):
            continue    # it ended just now
    return total


def thread_seconds(pid, wanted):
    """All threads of that name together."""
    return _of_threads(pid, wanted,
                       lambda folder: _seconds(folder + "/stat")[1])


def _scheduled(pid, wanted, field):
    """Seconds, by proc(5)'s schedstat: 0 with a processor, 1 without one."""
    def seconds(folder):
        with open(folder + "/schedstat") as file:
            return int(file.read().split()[field]) / 1e9
    return _of_threads(pid, wanted, seconds)


def thread_ran(pid, wanted):
    """As thread_seconds, to the nanosecond."""
    return _scheduled(pid, wanted, 0)


def thread_waited(pid, wanted):
    """Seconds that they were ready to work and had no processor."""
    return _scheduled(pid, wanted, 1)
