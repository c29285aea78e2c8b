#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What part_faults.py measured, as rows; and, from a saved run, as the tables
of README.md:

    faults_table.py bench.json"""

import json
import statistics
import sys

from report import OURS, Row, short

PART = "faults"
SENT = "sent"       # not a contender: what each was given
NOISE_S = 1         # delays closer to each other than this are the same
TITLES = {
    "steady": "The host was sick from the start; a burst of messages",
    "turning": "The host turned sick after a third of the messages",
}
# Why somebody else has less to show of these than we.
REASONS = (
    "A static list loses nothing while its sick host stands second; that host"
    " gets no mail when it is well, either, and which of two will be sick is"
    " not known beforehand.",
    "No probe sees 452 to RCPT or at the end of data: the messages of a burst"
    " that are under way before the first one's line is read meet it too."
    " Each turns to the other host at once.",
    "A host that turns silent is found out when a greeting has not come for"
    " 5 s, or by a probe, each 30 s by default (\"ours, 1 s\" probes as often"
    " as HAProxy does here). Messages that Postfix activated for that host"
    " before wait for it in turns of 5 s each.",
    "What is refused HAProxy turns to the other host itself, without a word to"
    " Postfix.",
)
# metric -> its unit, and whether more is better
METRICS = {
    "delivered": ("messages", True),
    "deferred": ("messages", False),
    "wasted attempts": ("per 1000", False),
    "worst delay": ("s", False),
}


def case_of(scene, fault, metric):
    return "%s, %s: %s" % (scene, fault, metric)


def scene_and_fault(case):
    """What a row is about."""
    return tuple(case.partition(":")[0].split(", ", 1))


def rows(scene, fault, sent, figures):
    """figures: contender -> {metric: figure}."""
    made = []
    for metric, (unit, _) in METRICS.items():
        row = Row(part=PART, case=case_of(scene, fault, metric), unit=unit,
                  figures={name: [of_it[metric]]
                           for name, of_it in figures.items()},
                  note=better_than_ours(metric, figures))
        if metric == "delivered":
            row.figures = {SENT: [sent], **row.figures}
            row.floor, row.at_least = SENT, 1
        made.append(row)
    return made


def better_than_ours(metric, figures):
    """Who does it better, in words: we lose where we lose. Quick delivery of
    fewer messages is no better than that of more."""
    ours = figures[OURS]
    more = METRICS[metric][1]

    def is_better(other):
        if metric == "worst delay":
            return other["delivered"] >= ours["delivered"] \
                and None not in (other[metric], ours[metric]) \
                and other[metric] < ours[metric] - NOISE_S
        return other[metric] > ours[metric] if more \
            else other[metric] < ours[metric]
    better = ["%s (%s)" % (name, short(other[metric]))
              for name, other in figures.items() if is_better(other)]
    return "better than ours: " + ", ".join(better) if better else ""


# -- README.md ------------------------------------------------------------

def cell(saved, scene, fault, contender):
    """"300 · 0 · 3 · 0.9": the metrics in their order."""
    def figure(metric):
        figures = saved[case_of(scene, fault, metric)].get(contender)
        return short(statistics.median(figures)) if figures else "-"
    return " · ".join(figure(metric) for metric in METRICS)


def scene_table(saved, scene):
    """A line for each contender, a column for each fault."""
    faults = [fault for there, fault in
              dict.fromkeys(scene_and_fault(case) for case in saved)
              if there == scene]
    names = [name for name in saved[case_of(scene, faults[0], "delivered")]
             if name != SENT]
    lines = ["| | " + " | ".join(faults) + " |",
             "|---|" + "---|" * len(faults)]
    return lines + ["| %s | %s |" % (name, " | ".join(
        cell(saved, scene, fault, name) for fault in faults))
        for name in names]


def markdown(saved):
    """saved: case -> figures, of this part."""
    lines = ["Each field: " + " · ".join(
        "%s (%s)" % (metric, unit) for metric, (unit, _) in METRICS.items())
        + ".", ""]
    for scene, title in TITLES.items():
        if any(scene_and_fault(case)[0] == scene for case in saved):
            lines += [title + ":", "", *scene_table(saved, scene), ""]
    lines += ["* " + reason for reason in REASONS] + [""]
    return "\n".join(lines)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with open(sys.argv[1]) as file:
        rows_of_it = json.load(file)["rows"]
    saved = {row["case"]: row["figures"] for row in rows_of_it
             if row["part"] == PART}
    if not saved:
        sys.exit("%s has nothing of part %s" % (sys.argv[1], PART))
    print(markdown(saved), end="")


if __name__ == "__main__":
    main()
