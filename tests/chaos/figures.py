# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What a process takes of the machine, by /proc."""

import os
import re
import time

from loopback import read_text

REST_SECONDS = 8


class Figures:
    """Of one process at one moment. Sizes are in kB."""

    def __init__(self, pid):
        folder = "/proc/%d/" % pid
        status = read_text(folder + "status")
        memory = read_text(folder + "smaps_rollup")
        self.rss = self._field(status, "VmRSS")
        self.threads = self._field(status, "Threads")
        self.pss = self._field(memory, "Pss")
        self.dirty = self._field(memory, "Private_Dirty")
        links = []
        for entry in os.listdir(folder + "fd"):
            try:
                links.append(os.readlink(folder + "fd/" + entry))
            except FileNotFoundError:
                continue
        self.descriptors = len(links)
        # Connections come and go with the work; the rest stays.
        self.kept = sum(not link.startswith("socket:") for link in links)

    @staticmethod
    def _field(text, name):
        found = re.search(r"^%s:\s+(\d+)" % name, text, re.M)
        return int(found[1]) if found else 0

    def __str__(self):
        return "RSS %d kB, PSS %d kB, private dirty %d kB, descriptors %d " \
            "(%d no sockets), threads %d" % (
                self.rss, self.pss, self.dirty, self.descriptors, self.kept,
                self.threads)


def at_rest(relay, wanted=0):
    """(supervisor, worker) in a moment with as few descriptors as there are at
    rest: probes come and go, and a client's idle connection to the map ends
    after ten seconds, or after 100. With `wanted`, as soon as it is so few."""
    daemon = relay.daemon
    least = Figures(daemon.worker)
    end = time.monotonic() + (150 if wanted else REST_SECONDS)
    while time.monotonic() < end and least.descriptors > wanted:
        time.sleep(0.05)
        least = min(least, Figures(daemon.worker),
                    key=lambda figures: figures.descriptors)
    return Figures(daemon.pid), least
