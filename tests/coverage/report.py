#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Lines and branches of each file and folder, from gcovr's summary.

    report.py SUMMARY.json FOLDER...

Exits with 1 if one of the folders named has less than LEAST asks of it."""

import json
import os
import sys

# Per cent of lines, of branches.
LEAST = {"policy": (95, 90), "milter": (85, None)}
KINDS = ("line", "branch")


def percent(figures, kind):
    """None where there is nothing to count, as in a header."""
    covered, total = figures[kind + "_covered"], figures[kind + "_total"]
    return 100 * covered / total if total else None


def row(name, figures):
    text = "%-36s" % name
    for kind in KINDS:
        share = percent(figures, kind)
        text += "%7d of %5d  %s" % (
            figures[kind + "_covered"], figures[kind + "_total"],
            "     -" if share is None else "%5.1f%%" % share)
    return text


def added_up(files):
    return {kind + what: sum(file[kind + what] for file in files)
            for kind in KINDS for what in ("_covered", "_total")}


def shortfalls(folder, figures):
    for kind, least in zip(KINDS, LEAST[folder]):
        share = percent(figures, kind) or 0
        if least is not None and share < least:
            yield "%s/: %.1f %% of %s, should be %d %%" % (
                folder, share, {"line": "lines", "branch": "branches"}[kind],
                least)


def main(summary, *judged):
    with open(summary) as file:
        files = json.load(file)["files"]
    print("%-36s%24s%24s" % ("", "lines", "branches"))
    folders = {}
    for file in sorted(files, key=lambda file: file["filename"]):
        print(row(file["filename"], file))
        folders.setdefault(
            os.path.dirname(file["filename"]), []).append(file)
    print()
    for folder, inside in sorted(folders.items()):
        print(row(folder + "/", added_up(inside)))
    wrong = [text for folder in judged for text in shortfalls(
        folder, added_up(folders.get(folder, [])))]
    for text in wrong:
        print("FAIL: " + text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
