# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What it costs to load a configuration, against libconfig's bare parse of the
same file, and how much memory stays."""

import os
import shutil
import tempfile
import time

from figures import figures_of
from harness import Daemon, wait_until
from report import OURS, Row

ROUTES, ROUTES_QUICK = 1000000, 20000
ROUTES_MIDDLE = 40000
HOSTS = 2000
ROUNDS_MAX = 3        # of a million routes
RATIO_MAX = 1.3       # start and reload to the bare parse
ROUTE_BYTES = 200
MIDDLE_LIMIT_S = 1    # to load ROUTES_MIDDLE
PATIENCE_S = 120
PARSE = "libconfig"
SHAPES = {"pools": "pools", "lists": "own lists"}

START_NOTE = ("from the file to answers, with a new table; libconfig: "
              "config_read_file alone, its tree not freed")
RELOAD_NOTE = ("in a process that serves the same file; freeing the old "
               "configuration afterwards takes %.3g s")
CPU_NOTE = "the processor's time alone, which a busy machine changes little"
HEAP_NOTE = "as malloc counts it, the tree freed"
RESIDENT_NOTE = "what the kernel gave the process, files' pages apart"
TABLE_NOTE = ("a file in memory, with room for half as many hosts and sets "
              "again")
DAEMON_NOTE = ("the program itself, from its start to the first answer of "
               "its map")
CTL_NOTE = ("nexthopctl reload, from its start to its success; it reads the "
            "file too, to know where the daemon listens")


class Folder:
    """A place in memory, as the table's is: no disk is measured."""

    def __enter__(self):
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.path = tempfile.mkdtemp(prefix="nh-load-", dir=memory)
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


class Files:
    """Configurations, written once."""

    def __init__(self, bench, folder):
        self.program = bench.program("load_bench")
        self.folder = folder

    def file(self, routes, shape, hosts=HOSTS):
        path = os.path.join(self.folder, "%s-%d-%d" % (shape, routes, hosts))
        if not os.path.exists(path):
            figures_of(self.program, "write", path, routes, hosts, shape)
        return path

    def run(self, way, path):
        return figures_of(self.program, way, path)


def rounds_in_turn(bench, contenders, measure):
    """As Bench.in_turn, but a million routes take long: few rounds do."""
    rounds = bench.rounds
    bench.rounds = min(rounds, ROUNDS_MAX)
    try:
        return bench.in_turn(contenders, measure)
    finally:
        bench.rounds = rounds


def column(runs, name):
    return [run[name] for run in runs]


def middle(figures):
    return sorted(figures)[len(figures) // 2]


def time_rows(label, parse, start, reload):
    notes = {"start": START_NOTE,
             "reload": RELOAD_NOTE % middle(column(reload, "free_s"))}
    rows = []
    for way, runs in (("start", start), ("reload", reload)):
        rows.append(Row("load", "%s, %s" % (way, label), "s",
                        {PARSE: column(parse, "parse_s"),
                         OURS: column(runs, way + "_s")},
                        floor=PARSE, at_most=RATIO_MAX, note=notes[way]))
        rows.append(Row("load", "%s, %s, processor" % (way, label), "s",
                        {PARSE: column(parse, "parse_cpu_s"),
                         OURS: column(runs, way + "_cpu_s")},
                        floor=PARSE, note=CPU_NOTE))
    return rows


def memory_rows(label, runs):
    def per_route(name):
        return {OURS: [run[name] / run["routes"] for run in runs]}

    return [
        Row("load", "heap a route, " + label, "bytes",
            per_route("heap_bytes"), limit=ROUTE_BYTES, note=HEAP_NOTE),
        Row("load", "resident a route, " + label, "bytes",
            per_route("resident_bytes"), limit=ROUTE_BYTES,
            note=RESIDENT_NOTE),
        Row("load", "table a route, " + label, "bytes",
            per_route("table_bytes"), note=TABLE_NOTE),
    ]


def shape_rows(bench, files, routes, shape):
    path = files.file(routes, shape)
    label = "%s routes, %s" % (format(routes, ",d"), SHAPES[shape])
    bench.say("loading " + label)
    runs = rounds_in_turn(bench, ("parse", "start", "reload"),
                          lambda way: files.run(way, path))
    return (time_rows(label, runs["parse"], runs["start"], runs["reload"])
            + memory_rows(label, runs["start"]))


def middle_rows(bench, files):
    """Bench.rounds of them: they are short."""
    rows = []
    for shape, words in SHAPES.items():
        path = files.file(ROUTES_MIDDLE, shape)
        runs = bench.in_turn(("parse", "start"),
                             lambda way: files.run(way, path))
        rows.append(Row(
            "load", "start, %s routes, %s" % (format(ROUTES_MIDDLE, ",d"),
                                              words), "s",
            {PARSE: column(runs["parse"], "parse_s"),
             OURS: column(runs["start"], "start_s")},
            floor=PARSE, limit=MIDDLE_LIMIT_S))
    return rows


def host_rows(bench, files):
    """A host costs what a file with many hosts needs more than one with few,
    a route of each in both."""
    few, many = HOSTS, 25 * HOSTS
    runs = rounds_in_turn(bench, (few, many), lambda hosts: files.run(
        "start", files.file(few, "pools", hosts)))

    def per_host(name):
        return {OURS: [(large[name] - small[name])
                       / (large["hosts"] - small["hosts"])
                       for small, large in zip(runs[few], runs[many])]}

    return [Row("load", "heap a host", "bytes", per_host("heap_bytes"),
                note=HEAP_NOTE),
            Row("load", "table a host", "bytes", per_host("table_bytes"),
                note=TABLE_NOTE)]


# -- the program itself ------------------------------------------------------

def timed(deed):
    began = time.monotonic()
    deed()
    return time.monotonic() - began


def daemon_text(options, path):
    """The routes of path under the daemon's own sockets. Hosts are probed once
    and then not before all is measured."""
    return "".join('%s = "%s";\n' % (name, options[name]) for name in (
        "milter_socket", "map_socket", "control_socket", "user")) + (
            'log = { target = "stderr"; };\n'
            'probe = { level = "connect"; interval = 3600.0; };\n'
            '@include "%s"\n' % path)


def wait_for_answer(daemon):
    """Until the map has answered; what is asked too early waits in its
    backlog, so that nothing but the sockets is waited for in steps."""
    def answers():
        if daemon.process.poll() is not None:
            raise AssertionError("the daemon ended\n" + daemon.log())
        try:
            with daemon.map(timeout=PATIENCE_S) as sockmap:
                return sockmap.ask("user@d0000000.example").startswith("OK ")
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    wait_until(answers, PATIENCE_S, lambda: "the daemon answers")


def measure_daemon(path):
    """Returns: seconds of a start and of a reload."""
    daemon = Daemon(address_family=None)
    daemon.configure(text=daemon_text(daemon.options, path))
    start_s = timed(lambda: (daemon.spawn(), wait_for_answer(daemon)))
    try:
        reload_s = timed(lambda: daemon.ctl("reload", timeout=PATIENCE_S))
    finally:
        daemon.stop(timeout=PATIENCE_S)
    return {"start_s": start_s, "reload_s": reload_s}


def daemon_rows(bench, files, routes):
    path = files.file(routes, "pools")
    label = "%s routes, %s" % (format(routes, ",d"), SHAPES["pools"])
    bench.say("starting the daemon with " + label)
    runs = rounds_in_turn(
        bench, ("parse", "daemon"),
        lambda way: files.run(way, path) if way == "parse"
        else measure_daemon(path))
    floor = column(runs["parse"], "parse_s")
    return [Row("load", "%s, %s" % (words, label), "s",
                {PARSE: floor, OURS: column(runs["daemon"], name)},
                floor=PARSE, note=note)
            for words, name, note in (
                ("the daemon starts", "start_s", DAEMON_NOTE),
                ("nexthopctl reload", "reload_s", CTL_NOTE))]


def measure(bench):
    routes = ROUTES_QUICK if bench.quick else ROUTES
    rows = []
    with Folder() as folder:
        files = Files(bench, folder)
        for shape in SHAPES:
            rows += shape_rows(bench, files, routes, shape)
        rows += daemon_rows(bench, files, routes)
        rows += middle_rows(bench, files)
        rows += host_rows(bench, files)
    return rows
