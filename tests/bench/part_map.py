# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The map against an echo server: the same library, answers of the same
length, nothing done for them.

The real daemon answers on its unix socket. One client asks both servers in
turn, a few ms each, so that what else happens on the machine hits both; each
connection has one question out, as Postfix does it. The recipients are in all
routes at random and have no tickets, which is the longest way to an answer.

Busy means that meanwhile the hosts are probed, the whole configuration is
reloaded, again and again, and 10,000 lines a second are written to the
delivery log and read from it. The echo server is asked beside the same busy
daemon. Both servers and the client are in sessions of their own: Linux shares
processors out by session, and the daemon's has to do the busy work as well.
Nobody is bound to a processor, which would tie the map to one where work of
its own waits, or spare it that: how its threads get out of each other's way is
a part of what is measured.

A rate is of a whole slice: from its first question to its last answer. The
times are the client's: from before a question is sent until its answer has
been read."""

import contextlib
import statistics
import subprocess

from echo_server import echo_server
from map_scene import LINES_A_SECOND, Scene, sinks
from report import OURS, Row

ECHO = "echo"
ROUTES = (10, 40000, 1000000)
CONNECTIONS = (1, 8, 100)
SLICES = 40
SLICE_MS = 20
RATE_AT_LEAST = 0.9
P99_AT_MOST = 1.5
FIGURES = ("rate", "p50", "p99", "p999")
LENGTHS_DIFFER = 0.02


class Measured:
    """The figures of one case, round by round."""

    def __init__(self, routes, connections, load):
        self.connections = connections
        self.name = "%s routes, %d connection%s, %s" % (
            format(routes, ",d"), connections, "s" if connections > 1 else "",
            load)
        self.figures = {figure: {ECHO: [], OURS: []} for figure in FIGURES}
        self.cpu_us = []

    def add(self, contender, words):
        for figure, word in zip(FIGURES, words):
            self.figures[figure][contender].append(float(word))

    def row(self, figure, unit, **more):
        return Row("map", "%s: %s" % (self.name, more.pop("what")), unit,
                   self.figures[figure], floor=ECHO, **more)

    def rows(self):
        return [
            self.row("rate", "answers/s", what="rate",
                     at_least=RATE_AT_LEAST),
            self.row("p99", "us", what="p99", at_most=P99_AT_MOST,
                     note=self.note()),
            self.row("p50", "us", what="p50", printed=False),
            self.row("p999", "us", what="p99.9", printed=False)]

    def note(self):
        return "; ".join(
            "%s %.0f us, echo %.0f us" % ((name,) + tuple(
                statistics.median(self.figures[figure][contender])
                for contender in (OURS, ECHO)))
            for name, figure in (("p50", "p50"), ("p99.9", "p999")))


def ask_both(bench, scene, echo, measured):
    """One round: a line of figures for each of the two."""
    before = scene.cpu_ns()
    done = subprocess.run(
        [bench.program("map_client"), "-c", str(measured.connections),
         "-n", str(4 if bench.quick else SLICES), "-t", str(SLICE_MS),
         "-r", str(scene.routes), scene.map_path, echo],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=120, start_new_session=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    ours, floor = (line.split() for line in done.stdout.splitlines())
    if abs(float(ours[-1]) / float(floor[-1]) - 1) > LENGTHS_DIFFER:
        raise RuntimeError("the answers are not of the same length")
    measured.add(OURS, ours[1:])
    measured.add(ECHO, floor[1:])
    measured.cpu_us.append((scene.cpu_ns() - before) / 1000 / int(ours[0]))


def rounds(bench, scene, echo, load, after_each=lambda: None):
    """All numbers of connections in turn, round by round."""
    cases = [Measured(scene.routes, number, load) for number in CONNECTIONS]
    for _ in range(bench.rounds):
        for measured in cases:
            ask_both(bench, scene, echo, measured)
        after_each()
    return cases


def quiet_rows(bench, scene, echo):
    cases = rounds(bench, scene, echo, "quiet")
    return [row for measured in cases for row in measured.rows()] + [
        Row("map", measured.name + ": processor time", "us/answer",
            {OURS: measured.cpu_us}) for measured in cases[-1:]]


def busy_rows(bench, scene, echo):
    paces = []
    with scene.busy() as busy:
        cases = rounds(bench, scene, echo, "busy",
                       lambda: paces.append(busy.look()))
    written, read = zip(*paces)
    return [row for measured in cases for row in measured.rows()] + [
        Row("map", "%s routes, busy: log lines read" % format(
                scene.routes, ",d"), "lines/s",
            {"written": list(written), OURS: list(read)}, floor="written",
            at_least=0.9, note="%d lines/s were to be written; %d reloads of "
            "%.2f s" % (LINES_A_SECOND, busy.reloader.done,
                        busy.reloader.seconds / busy.reloader.done))]


def measure(bench):
    rows = []
    with sinks() as servers:
        for routes in ROUTES[:2] if bench.quick else ROUTES:
            bench.say("map: %s routes" % format(routes, ",d"))
            with contextlib.ExitStack() as stack:
                scene = stack.enter_context(Scene(routes, servers))
                echo = stack.enter_context(
                    echo_server(scene.daemon.folder, scene.answer()))
                rows += quiet_rows(bench, scene, echo)
                rows += busy_rows(bench, scene, echo)
    return rows
