# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The map against echo servers: the same library, answers of the same length,
nothing done for them. "echo" has the library's buffered events, the usual way
to write such a server, and is what we are judged by. "bare" has nothing but
the system calls that an answer takes, as the map has: what is missing to its
figures is what an answer costs us.

The real daemon answers on its unix socket. One client asks all servers in
turn, a few ms each, so that what else happens on the machine hits all; each
connection has one question out, as Postfix does it. The recipients are in all
routes at random and have no tickets, which is the longest way to an answer.

Busy means that meanwhile the hosts are probed, the whole configuration is
reloaded, again and again, and 10,000 lines a second are written to the
delivery log and read from it. The echo servers are asked beside the same busy
daemon. All servers and the client are in sessions of their own: Linux shares
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
from map_scene import Scene, sinks
from report import OURS, Row
from rooms import thread_ran, thread_waited

ECHO, BARE = "echo", "bare"
SERVERS = (OURS, BARE, ECHO)    # as the client is told of them
ROUTES = (10, 40000, 1000000)
CONNECTIONS = (1, 8, 100)
SLICES = 30
SLICE_MS = 20
RATE_AT_LEAST = 0.9
P99_AT_MOST = 1.5
FIGURES = ("rate", "p50", "p99", "p999")
LENGTHS_DIFFER = 0.02
SPENT_NOTE = "the thread that answers, with its system calls"
WAITED_NOTE = ("ready to answer, while other threads of its session and the "
               "client had the processors")
LINES_BEHIND_MAX = 10 # per cent of what a round writes


class Measured:
    """The figures of one case, round by round."""

    def __init__(self, routes, connections, load):
        self.connections = connections
        self.name = "%s routes, %d connection%s, %s" % (
            format(routes, ",d"), connections, "s" if connections > 1 else "",
            load)
        self.figures = {figure: {BARE: [], ECHO: [], OURS: []}
                        for figure in FIGURES}
        self.spent_us = {ECHO: [], OURS: []}    # of a processor, an answer
        self.waited = {ECHO: [], OURS: []}  # % of the time it was asked

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
            self.row("p999", "us", what="p99.9", printed=False),
            Row("map", self.name + ": processor time", "us/answer",
                self.spent_us, floor=ECHO, note=SPENT_NOTE),
            Row("map", self.name + ": waits for a processor",
                "% of the time", self.waited, note=WAITED_NOTE)]

    def note(self):
        return "; ".join(
            "%s ours %.0f, echo %.0f, bare %.0f us" % ((name,) + tuple(
                statistics.median(self.figures[figure][contender])
                for contender in (OURS, ECHO, BARE)))
            for name, figure in (("p50", "p50"), ("p99.9", "p999")))


def slices(bench):
    return 4 if bench.quick else SLICES


def scheduled(scene, echoes):
    """Seconds that the threads that answer had a processor, and waited."""
    return {contender: (thread_ran(*thread), thread_waited(*thread))
            for contender, thread in (
                (OURS, (scene.daemon.worker, "map")),
                (ECHO, (echoes[-1].pid, "echo_server")))}


def ask_all(bench, scene, echoes, measured):
    """One round: a line of figures for each server."""
    before = scheduled(scene, echoes)
    done = subprocess.run(
        [bench.program("map_client"), "-c", str(measured.connections),
         "-n", str(slices(bench)), "-t", str(SLICE_MS),
         "-r", str(scene.routes), scene.map_path,
         *(echo.path for echo in echoes)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=120, start_new_session=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    lines = [line.split() for line in done.stdout.splitlines()]
    lengths = [float(words[-1]) for words in lines]
    if max(lengths) / min(lengths) - 1 > LENGTHS_DIFFER:
        raise RuntimeError("the answers are not of the same length")
    for contender, words in zip(SERVERS, lines):
        measured.add(contender, words[1:])
    answers = {contender: int(words[0])
               for contender, words in zip(SERVERS, lines)}
    asked_s = slices(bench) * SLICE_MS / 1000
    for contender, after in scheduled(scene, echoes).items():
        ran_s, waited_s = (new - old for new, old in
                           zip(after, before[contender]))
        measured.spent_us[contender].append(1e6 * ran_s / answers[contender])
        measured.waited[contender].append(100 * waited_s / asked_s)


def rounds(bench, scene, echoes, load, after_each=lambda: None):
    """All numbers of connections in turn, round by round."""
    cases = [Measured(scene.routes, number, load) for number in CONNECTIONS]
    for _ in range(bench.rounds):
        for measured in cases:
            ask_all(bench, scene, echoes, measured)
        after_each()
    return cases


def rows_of(cases):
    return [row for measured in cases for row in measured.rows()]


def quiet_rows(bench, scene, echoes):
    return rows_of(rounds(bench, scene, echoes, "quiet"))


def busy_rows(bench, scene, echoes):
    paces = []
    with scene.busy() as busy:
        cases = rounds(bench, scene, echoes, "busy",
                       lambda: paces.append(busy.look()))
    return rows_of(cases) + [
        Row("map", "%s routes, busy: log lines behind" % format(
                scene.routes, ",d"), "% of them",
            {OURS: [100 * (1 - read / written) for written, read in paces]},
            limit=LINES_BEHIND_MAX,
            note="%.0f lines/s were written, %.0f read; %d reloads of %.2f s"
            % (*(statistics.median(pace) for pace in zip(*paces)),
               busy.reloader.done,
               busy.reloader.seconds / busy.reloader.done))]


def measure(bench):
    rows = []
    with sinks() as servers:
        for routes in ROUTES[:2] if bench.quick else ROUTES:
            bench.say("map: %s routes" % format(routes, ",d"))
            with contextlib.ExitStack() as stack:
                scene = stack.enter_context(Scene(routes, servers))
                echoes = [stack.enter_context(echo_server(
                    scene.daemon.folder, scene.answer(), *options))
                    for options in (("-b",), ())]
                rows += quiet_rows(bench, scene, echoes)
                rows += busy_rows(bench, scene, echoes)
    return rows
