# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Steady work for a long time, with small troubles at fixed times: memory,
descriptors and threads of the daemon must not grow.

	soak.py [--seed N] [--logs DIR] MINUTES

Needs root. Exit status 0 only if nothing grew and no mail was lost.
"""

import itertools
import statistics
import sys
import time

from stage import parse_words, set_up, show_failure

from faults import ILLNESSES, ROTATIONS, Faults
from figures import Figures, at_rest
from load import Load
from relay import GUESTS, Relay
from verdict import Verdict

SAMPLE_SECONDS = 10
SICK_SECONDS = 8        # of each 20
STATUS_SECONDS = 5
RELOAD_SECONDS = 60
ROTATE_SECONDS = 150

# The last quarter against the second: the first one is for warming up.
GROWTH = 1.05
GROWTH_MORE_KB = 256
SAMPLES_MIN = 48    # of less, the second quarter warms up too
# The share of pages that others map too (pss) is shown, not judged: it changes
# with what else runs on the machine.
SIZES = ("rss", "dirty")


class Course:
    """What happens when."""

    def __init__(self, relay, faults):
        self.relay, self.faults = relay, faults
        self._sick = None
        self._illness = itertools.cycle(ILLNESSES)
        self._patient = itertools.cycle(relay.servers)
        self._reloads = itertools.cycle((((), GUESTS), ((1,), 0), ((), 0),
                                         ((3, 5), 20)))
        self._rotations = itertools.cycle(ROTATIONS)
        self._every = [(STATUS_SECONDS, self.status), (20, self.sicken),
                       (RELOAD_SECONDS, self.reload),
                       (ROTATE_SECONDS, self.rotate)]
        self._due = [time.monotonic() + every for every, _ in self._every]

    def turn(self):
        now = time.monotonic()
        for n, (every, action) in enumerate(self._every):
            if now >= self._due[n]:
                self._due[n] += every
                action()

    def status(self):
        self.faults.command("status", "--json")

    def sicken(self):
        self.faults.make_sick(next(self._patient), next(self._illness),
                              SICK_SECONDS)

    def reload(self):
        without, guests = next(self._reloads)
        self.relay.daemon.configure(
            routes=self.relay.routes(without, guests))
        self.faults.command("reload")

    def rotate(self):
        self.faults.rotate_log(next(self._rotations))


def sample(relay):
    return Figures(relay.daemon.pid), Figures(relay.daemon.worker)


def show(second, figures):
    print("%6d  %s" % (second, "   ".join(
        "%6d %6d %6d %4d %3d" % (f.rss, f.pss, f.dirty, f.descriptors,
                                 f.threads) for f in figures)), flush=True)


def soak(relay, words):
    """Returns the samples, and what is wrong."""
    samples = []
    before = at_rest(relay)
    load = Load(relay, words.seed)
    faults = Faults(relay)
    course = Course(relay, faults)
    print("     s  supervisor: RSS, PSS, private dirty kB, descriptors, "
          "threads; worker: the same")
    start = time.monotonic()
    try:
        while len(samples) * SAMPLE_SECONDS < words.minutes * 60:
            faults.wait(0.25)
            course.turn()
            if time.monotonic() - start >= (
                    len(samples) + 1) * SAMPLE_SECONDS:
                samples.append(sample(relay))
                show(time.monotonic() - start, samples[-1])
        faults.heal_all()
        relay.wait_all_up(180)
    finally:
        load.stop()
        faults.close()
    relay.flush_until_empty(400)
    after = at_rest(relay, before[1].descriptors)
    verdict = Verdict(relay, load, faults)
    wrong = verdict.judge()
    print("\n".join(verdict.figures()))
    for name, old, new in zip(("supervisor", "worker"), before, after):
        print("%s: descriptors at rest: %d before, %d after" % (
            name, old.descriptors, new.descriptors))
        if new.descriptors > old.descriptors:
            wrong.append("%s: descriptors" % name)
    return samples, wrong


def growth(samples):
    """What is larger in the last quarter than in the second."""
    wrong = []
    quarter = len(samples) // 4
    for n, name in enumerate(("supervisor", "worker")):
        second, last = ([pair[n] for pair in part] for part in (
            samples[quarter:2 * quarter], samples[-quarter:]))
        for size in SIZES:
            old, new = (statistics.median(getattr(f, size) for f in part)
                        for part in (second, last))
            print("%s: %s: median of the second quarter %d kB, of the last "
                  "%d kB" % (name, size, old, new))
            if new > old * GROWTH + GROWTH_MORE_KB:
                wrong.append("%s: %s has grown" % (name, size))
        for what in ("kept", "threads"):
            old, new = (min(getattr(f, what) for f in part)
                        for part in (second, last))
            print("%s: %s: at least %d in the second quarter, %d in the last"
                  % (name, what, old, new))
            if new > old:
                wrong.append("%s: %s has grown" % (name, what))
    return wrong


def main():
    words = parse_words(__doc__)
    set_up()
    with Relay() as relay:
        try:
            relay.wait_all_up(30)
            samples, wrong = soak(relay, words)
        except BaseException as error:
            show_failure(relay, words, ["%r" % error])
            raise
        if len(samples) >= SAMPLES_MIN:
            wrong += growth(samples)
        else:
            print("too short to judge memory")
        if wrong:
            show_failure(relay, words, wrong)
    print("soak: %s" % ("FAILED" if wrong else "nothing has grown"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
