# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What was measured, as one table and as JSON.

A row holds the figures of one thing for several contenders, one figure a
round. Contenders are measured in turn within each round, so that what else
the machine does hits all of them; a ratio is taken round by round and its
median is judged."""

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import time

OURS = "ours"


@dataclasses.dataclass
class Row:
    part: str           # "map", "milter", ...
    case: str           # one line: what was measured
    unit: str           # "lookups/s", "us", "bytes", ...
    figures: dict       # contender -> list of figures, one a round
    floor: str = None   # the contender that OURS is divided by
    at_least: float = None  # a goal: the ratio's median
    at_most: float = None
    limit: float = None     # a goal: OURS' median, in units
    note: str = ""
    printed: bool = True    # else in the JSON only

    def ratios(self):
        if self.floor is None:
            return []
        return [ours / floor for ours, floor in
                zip(self.figures[OURS], self.figures[self.floor]) if floor]

    def ratio(self):
        ratios = self.ratios()
        return statistics.median(ratios) if ratios else None

    def goal(self):
        """Returns: the goal as text ("" for none), and whether it is met."""
        if self.at_least is not None:
            return (">= %g x" % self.at_least,
                    self.ratio() is not None and self.ratio() >= self.at_least)
        if self.at_most is not None:
            return ("<= %g x" % self.at_most,
                    self.ratio() is not None and self.ratio() <= self.at_most)
        if self.limit is not None:
            return ("< %g" % self.limit,
                    statistics.median(self.figures[OURS]) < self.limit)
        return "", True


def short(figure):
    """Four digits are plenty: the machine is not quieter than that."""
    if figure is None:
        return "-"
    if abs(figure) >= 1000:
        return format(round(figure), ",d")
    return "%.4g" % figure


def spread(figures):
    """Median, and what it lies between."""
    if not figures:
        return "-"
    middle = short(statistics.median(figures))
    if len(figures) == 1:
        return middle
    return "%s (%s .. %s)" % (middle, short(min(figures)), short(max(figures)))


def columns_of(rows):
    """The contenders of these rows in the order of their first appearance,
    ours last."""
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    return [name for name in names if name != OURS] + [OURS]


def table_of(rows):
    names = columns_of(rows)
    lines = [["case", "unit"] + names + ["ratio", "goal", ""]]
    for row in rows:
        goal, met = row.goal()
        verdict = "" if not goal else "met" if met else "NOT MET"
        lines.append([row.case, row.unit]
                     + [spread(row.figures.get(name)) for name in names]
                     + [spread(row.ratios()) if row.floor else "", goal,
                        verdict])
    return lines


def print_part(part, rows, out):
    lines = table_of(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    out("\n== %s" % part)
    for number, line in enumerate(lines):
        out("  ".join(cell.ljust(width)
                      for cell, width in zip(line, widths)).rstrip())
        if number == 0:
            out("  ".join("-" * width for width in widths))
    for row in rows:
        if row.note:
            out("  %s: %s" % (row.case, row.note))


def print_table(rows, out=print):
    """One table, a section a part, in the order of measuring."""
    for part in dict.fromkeys(row.part for row in rows):
        print_part(part, [row for row in rows
                          if row.part == part and row.printed], out)


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.splitlines() or [""])[0]


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def machine():
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "compiler": first_line("cc", "--version"),
        "postfix": first_line("postconf", "-d", "-h", "mail_version"),
        "haproxy": first_line("haproxy", "-v"),
        "load_average": os.getloadavg(),
    }


def save(rows, path, started, before):
    def plain(row):
        return dict(dataclasses.asdict(row), ratios=row.ratios(),
                    ratio=row.ratio(), met=row.goal()[1] if row.goal()[0]
                    else None)

    with open(path, "w") as file:
        json.dump({"started": started, "took_s": round(time.time() - started),
                   "machine": before, "load_average_after": os.getloadavg(),
                   "rows": [plain(row) for row in rows]}, file, indent=1)
        file.write("\n")
