# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What it costs to choose among the hosts of a route, and to find the route
among few and many."""

from figures import figures_of
from report import OURS, Row

SIZES = (2, 4, 16, 64)
FEW, MANY = 10, 40000
LIMIT_NS = 100    # of a selection among LIMIT_AT hosts
LIMIT_AT = 4
RATIO_MAX = 1.2   # a lookup among MANY routes to one among FEW

ORDER_NOTE = ("the health of each host is read from the table and the order "
              "computed; of that the order alone: %.3g ns")
BARE_NOTE = ("asks for another domain each time and does nothing else: main "
             "memory against the cache, and nobody asks so; not judged")


def median_of(runs, name):
    return sorted(run[name] for run in runs)[len(runs) // 2]


def selections(bench):
    cases = [(hosts, weights, health) for hosts in SIZES
             for weights in ("equal", "weighted")
             for health in ("healthy", "deferred")]
    runs = bench.in_turn(cases, lambda case: figures_of(
        bench.program("order_bench"), *case))
    return [Row("order", "selection, %d hosts, %s, %s" % (
                    hosts, weights, {"healthy": "all healthy",
                                     "deferred": "half deferred"}[health]),
                "ns",
                {OURS: [run["selection_ns"]
                        for run in runs[hosts, weights, health]]},
                limit=LIMIT_NS if hosts == LIMIT_AT else None,
                note=ORDER_NOTE % median_of(runs[hosts, weights, health],
                                            "order_ns"))
            for hosts, weights, health in cases]


def lookups(bench):
    cases = [(way, shape, domains) for way, domains in (
                 ("bare", FEW), ("socket", MANY), ("bare", MANY))
             for shape in ("pools", "lists")]
    runs = bench.in_turn(cases, lambda case: figures_of(
        bench.program("lookup_bench"), case[0], case[1], FEW, MANY, case[2]))
    return [lookup_row(case, runs[case]) for case in cases]


def lookup_row(case, runs):
    way, shape, domains = case
    judged = way == "socket" or domains == FEW
    floor = "%d routes" % FEW
    return Row("order", "lookup among %s routes, %s, %s" % (
                   format(MANY, ",d"),
                   "over a socket" if way == "socket" else
                   "the same domains" if domains == FEW else "all domains",
                   "pools" if shape == "pools" else "own lists"),
               "ns",
               {floor: [run["few_ns"] for run in runs],
                OURS: [run["many_ns"] for run in runs]},
               floor=floor, at_most=RATIO_MAX if judged else None,
               note="" if judged else BARE_NOTE)


def measure(bench):
    return selections(bench) + lookups(bench)
