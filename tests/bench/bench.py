#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Measures nexthop-milter against floors and against what is used instead.

    bench.py [--only PART,...] [--rounds N] [--json FILE] [--quick]

NH_BUILD_DIR names the folder of the built programs. Each part is a module
part_NAME.py with one function measure(bench), which returns a list of
report.Row. Exit status: 0 when every goal is met, 1 when one is not, 2 when a
part could not be measured."""

import argparse
import importlib
import os
import sys
import time
import traceback

import report

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
PARTS = ("order", "load", "map", "milter", "probes", "faults")


class Bench:
    """What a part has to know."""

    def __init__(self, rounds, quick):
        self.rounds = rounds  # of contenders in turn
        self.quick = quick    # a trial of the bench itself, small counts

    @staticmethod
    def program(name):
        from harness import BUILD_DIR
        return os.path.join(BUILD_DIR, "tests/bench", name)

    @staticmethod
    def say(text):
        """Progress, not results: those are printed at the end."""
        print("bench: " + text, file=sys.stderr, flush=True)

    def in_turn(self, contenders, measure):
        """Calls measure(contender) for each, round by round, every other
        round backwards. Returns: contender -> list of what it returned."""
        figures = {contender: [] for contender in contenders}
        for number in range(self.rounds):
            order = list(contenders)
            if number % 2 == 1:
                order.reverse()
            for contender in order:
                figures[contender].append(measure(contender))
        return figures


def arguments():
    parser = argparse.ArgumentParser(
        description="Measure against floors and alternatives.")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...",
                        help="some of: " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", default="bench.json", metavar="FILE")
    parser.add_argument("--quick", action="store_true",
                        help="small counts: tries the bench, not the program")
    words = parser.parse_args()
    words.only = words.only.split(",")
    for name in words.only:
        if name not in PARTS:
            parser.error("no part %r" % name)
    return words


def main():
    words = arguments()
    sys.path[:0] = [HERE, SYSTEM]
    bench = Bench(words.rounds, words.quick)
    started, before = time.time(), report.machine()
    rows, broken = [], []
    for name in words.only:
        bench.say("measuring %s" % name)
        try:
            rows += importlib.import_module("part_" + name).measure(bench)
        except Exception:
            traceback.print_exc()
            broken.append(name)
    report.print_table(rows)
    report.save(rows, words.json, started, before)
    print("\nsaved as %s" % words.json)
    missed = [row for row in rows if not row.goal()[1]]
    for row in missed:
        print("NOT MET: %s, %s" % (row.part, row.case))
    for name in broken:
        print("NOT MEASURED: %s" % name)
    return 2 if broken else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
