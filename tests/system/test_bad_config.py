# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A bad file: every error with file and line, exit 1 at start, and at reload
the old configuration stays."""

import os
import re
import subprocess

import pytest

from harness import HEALTHY, nexthop_milter, routes_to, wait_until

HEAD = """\
milter_socket = "unix:%(folder)s/milter";
map_socket = "unix:%(folder)s/map";
control_socket = "%(folder)s/control";
health_table = "%(folder)s/health";
user = "root";
transport = "nexthop";
log = { target = "stderr"; level = "info"; };
"""             # 7 lines: a test's own text begins on line 8

ROUTE = 'routes = ( { domain = "a.test"; hosts = ( { host = "%s"; } ); } );\n'

# (name, text after HEAD, lines that must be named)
CASES = (
    ("syntax", 'routes = ( { domain = ; } );\n', (8,)),
    ("unknown key", 'colour = "blue";\n' + ROUTE % "127.0.0.1", (8,)),
    ("wrong type", 'tickets = "many";\n' + ROUTE % "127.0.0.1", (8,)),
    ("out of range", 'probe = { interval = -1.0; };\n' +
     ROUTE % "127.0.0.1", (8,)),
    ("duplicate domain",
     'routes = ( { domain = "a.test"; hosts = ( { host = "127.0.0.1"; } );'
     ' },\n  { domain = "A.TEST"; hosts = ( { host = "127.0.0.1"; } ); } );\n',
     (9,)),
    ("no hosts", 'routes = ( { domain = "a.test"; hosts = ( ); } );\n', (8,)),
    ("port 99999", 'routes = ( { domain = "a.test"; hosts = ('
     ' { host = "127.0.0.1"; port = 99999; } ); } );\n', (8,)),
    ("open bracket", ROUTE % "[1.2.3.4", (8,)),
    ("a comma", ROUTE % ",", (8,)),
    ("two hosts in one", ROUTE % "127.0.0.1,127.0.0.2", (8,)),
    ("a blank in a host", ROUTE % "127.0.0.1 127.0.0.2", (8,)),
    ("unknown pool", 'routes = ( { domain = "a.test"; pool = "x"; } );\n',
     (8,)),
    ("several at once", 'colour = "blue";\ntickets = "many";\n' +
     ROUTE % "[1.2.3.4", (8, 9, 10)),
)


def write(daemon, text):
    daemon.configure(text=HEAD % dict(folder=daemon.folder) + text)


def named_lines(daemon, text):
    return sorted({int(n) for n in re.findall(
        re.escape(daemon.config) + r":(\d+)", text)})


@pytest.mark.parametrize("name,text,lines", CASES, ids=[c[0] for c in CASES])
def test_bad_file_is_refused_with_file_and_line(room, name, text, lines):
    daemon = room.daemon(start=False)
    write(daemon, text)
    for words in (["-t"], []):
        done = subprocess.run(
            [nexthop_milter(), "-c", daemon.config, *words], timeout=10,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        print(done.stdout)
        assert done.returncode == 1
        assert set(lines) <= set(named_lines(daemon, done.stdout))
    done = daemon.run_ctl("check")
    assert done.returncode == 1
    assert set(lines) <= set(named_lines(daemon, done.stdout + done.stderr))
    assert not os.path.exists(daemon.folder + "/map")


def test_unreadable_file_is_refused(room):
    daemon = room.daemon(start=False)
    os.unlink(daemon.config)
    done = subprocess.run(
        [nexthop_milter(), "-c", daemon.config], timeout=10,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 1
    assert daemon.config in done.stdout


def test_good_file_passes_the_check(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server), start=False)
    done = subprocess.run(
        [nexthop_milter(), "-c", daemon.config, "-t"], timeout=10,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert daemon.run_ctl("check").returncode == 0


def test_version_is_printed(room):
    done = subprocess.run([nexthop_milter(), "-V"], timeout=10,
                          stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert re.search(r"nexthop-milter \d", done.stdout)


@pytest.mark.parametrize("name,text,lines", CASES, ids=[c[0] for c in CASES])
def test_reload_of_a_bad_file_keeps_the_old_configuration(
        room, name, text, lines):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server))
    answer = daemon.ask("u@example.test")
    generation = daemon.status()["generation"]
    daemon.mark()
    daemon.expect_trouble(re.escape(daemon.config), "not reloaded, the old one stays")
    with open(daemon.config) as file:
        good = file.read()
    write(daemon, text)
    daemon.reload()
    for line in lines:
        daemon.wait_log(re.escape("%s:%d" % (daemon.config, line)))
    daemon.wait_log("configuration not reloaded, the old one stays")
    assert daemon.ask("u@example.test") == answer
    assert daemon.ask("u@a.test").startswith("NOTFOUND")

    # And it is not stuck: a good file is taken afterwards.
    daemon.configure(text=good)
    daemon.reload()
    wait_until(lambda: daemon.status()["generation"] > generation, 10,
               lambda: "the good file is loaded\n" + daemon.log())


def test_options_that_need_a_restart_are_refused_and_the_rest_is_applied(
        room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server))
    daemon.expect_trouble("map_socket needs a restart")
    socket = daemon.map_socket
    daemon.configure(map_socket="unix:%s/other" % daemon.folder,
                     routes=(routes_to(server, domain="new.test"),))
    daemon.reload()
    daemon.options["map_socket"] = socket
    daemon.wait_log(r"map_socket.*needs a restart")
    wait_until(lambda: daemon.ask("u@new.test").startswith("OK "), 10,
               lambda: "the new route is served\n" + daemon.log())
    assert daemon.ask("u@example.test").startswith("NOTFOUND")


def test_all_routes_without_not_routed_are_warned_of(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server, domain="ALL"), start=False,
                         not_routed=None)
    done = subprocess.run(
        [nexthop_milter(), "-c", daemon.config, "-t"], timeout=10,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0
    assert re.search(r"(?i)warning.*not_routed", done.stdout), done.stdout
