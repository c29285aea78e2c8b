# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Accidents at random while mail flows and the map is asked; then everything is
healed, and the invariants have to hold.

	chaos.py [--seed N] [--logs DIR] MINUTES

The seed is printed: given again, it draws the same accidents. Needs root. Exit
status 0 only if all invariants hold.
"""

import collections
import sys

from stage import parse_words, set_up, show_failure

from faults import Faults, plan
from figures import at_rest
from load import Load
from relay import Relay
from verdict import Verdict

# What a heap may keep of 150 hosts that came and went.
MEMORY_MORE_KB = 4096


def compare(before, after):
    """What the accidents have left behind in the daemon's processes."""
    wrong = []
    for name, old, new in zip(("supervisor", "worker"), before, after):
        print("%s before: %s\n%s after:  %s" % (name, old, name, new))
        if new.descriptors > old.descriptors or new.kept != old.kept:
            wrong.append("%s: descriptors" % name)
        if new.threads != old.threads:
            wrong.append("%s: threads" % name)
        if new.rss > old.rss + MEMORY_MORE_KB:
            wrong.append("%s: memory" % name)
    return wrong


def count(faults):
    kinds = collections.Counter(kind for _, kind, _ in faults.done)
    print("accidents: %d: %s" % (len(faults.done), dict(sorted(
        kinds.items()))))
    print("nexthopctl (command, exit status): %s" % {
        "%s %s" % key: n for key, n in sorted(
            faults.commands.items(), key=str)})


def chaos(relay, words):
    """Returns what is wrong, and the accidents."""
    relay.wait_all_up(30)
    before = at_rest(relay)
    load = Load(relay, words.seed)
    faults = Faults(relay)
    try:
        faults.run(plan(words.seed, words.minutes * 60))
        relay.wait_all_up(180)
    finally:
        load.stop()
        faults.close()
    relay.flush_until_empty(400)
    after = at_rest(relay, before[1].descriptors)
    relay.wait_all_up(30)
    verdict = Verdict(relay, load, faults)
    wrong = verdict.judge()
    count(faults)
    print("\n".join(verdict.figures()))
    wrong += compare(before, after)
    return wrong, faults.done


def main():
    words = parse_words(__doc__)
    set_up()
    print("seed %d, %g minutes" % (words.seed, words.minutes), flush=True)
    with Relay() as relay:
        try:
            wrong, done = chaos(relay, words)
        except BaseException as error:
            show_failure(relay, words, ["%r" % error])
            raise
        if wrong:
            show_failure(relay, words, wrong, done)
    print("chaos: %s" % ("FAILED" if wrong else "all invariants hold"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
