# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Processor time of processes and of their threads, by /proc."""

import os

TICK = os.sysconf("SC_CLK_TCK")


def _fields(path):
    with open(path, "rb") as file:
        head, _, tail = file.read().rpartition(b") ")
    return head.partition(b"(")[2].decode(), tail.split()


def _seconds(path):
    """Name of a process or thread, and the time it has used."""
    name, fields = _fields(path)
    return name, (int(fields[11]) + int(fields[12])) / TICK


def of_process(pid):
    """Threads that have ended count, too."""
    return _seconds("/proc/%d/stat" % pid)[1]


def of_thread(pid, wanted):
    """All threads of that name together."""
    total = 0
    for entry in os.listdir("/proc/%d/task" % pid):
        try:
            name, seconds = _seconds("/proc/%d/task/%s/stat" % (pid, entry))
        except (FileNotFoundError, ProcessLookupError):
            continue    # it ended just now
        total += seconds if name == wanted else 0
    return total
