# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""nexthopctl on a bad night: no daemon, no table, a broken file, wrong words,
a control socket that misbehaves. What it does on a good day: test_control.py.
"""

import json
import os
import socket
import subprocess
import threading

import pytest

from harness import (GREETING_431, HEALTHY, Daemon, nexthopctl, routes_to,
                     wait_until)

NOBODY = 65534		# on Debian: user nobody, group nogroup
BROKEN = "\nroutes = ( { domain = \"example.test\"; hsts = (); } );\n"


def run(*words):
    return subprocess.run([nexthopctl(), *words], timeout=20, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)


@pytest.fixture
def idle(room):
    """A configuration whose daemon was never started."""
    return room.add(Daemon(routes=(dict(
        domain="example.test",
        hosts=(dict(host="127.0.0.1", port=2525),)),)))


@pytest.fixture
def serving(room):
    """A daemon with one healthy and one deferred host."""
    a, b = room.servers(HEALTHY, GREETING_431)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.wait_state(b, "deferred")
    daemon.a, daemon.b = a, b
    return daemon


def stop(daemon):
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0


# -- words ----------------------------------------------------------------

@pytest.mark.parametrize("words", (
    (), ("-c",), ("-x", "status"), ("-c", "/nonexistent"), ("dance",),
    ("--json", "status")))
def test_a_wrong_command_line_is_exit_2_with_the_usage(words):
    done = run(*words)
    assert done.returncode == 2
    assert "usage: nexthopctl" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", (
    ("status", "--xml"), ("status", "--json", "more"), ("check", "more"),
    ("reload", "now"), ("probe",), ("probe", "a.test", "b.test"),
    ("probe", "[1.2.3.4"), ("lookup",), ("lookup", "u@a.test", "--count"),
    ("lookup", "u@a.test", "--count", "0"),
    ("lookup", "u@a.test", "--count", "-1"),
    ("lookup", "u@a.test", "--count", "1e3"), ("lookup", "a@b", "c@d"),
    ("drain",), ("drain", "127.0.0.1:0"), ("drain", "127.0.0.1", "--for"),
    ("disable", "127.0.0.1", "--for", "1w"),
    ("force-up", "127.0.0.1", "--because", "x"),
    ("enable", "127.0.0.1", "--reason", "x")))
def test_wrong_words_of_a_command_are_exit_2_with_its_usage(idle, words):
    done = idle.run_ctl(*words)
    assert done.returncode == 2
    assert done.stderr != ""
    assert done.stdout == ""


@pytest.mark.parametrize("option,text", (
    ("-V", "nexthopctl "), ("--help", "usage: nexthopctl"),
    ("-h", "force-up")))
def test_version_and_help_go_to_standard_output(option, text):
    done = run(option)
    assert done.returncode == 0
    assert text in done.stdout
    assert done.stderr == ""


# -- no daemon ------------------------------------------------------------

def test_without_a_table_status_says_so(idle):
    done = idle.run_ctl("status")
    assert done.returncode == 1
    assert "no health table" in done.stderr
    assert idle.options["health_table"] in done.stderr
    assert done.stdout == ""


def test_without_a_table_lookup_still_knows_the_routes(idle):
    done = idle.run_ctl("lookup", "u@example.test")
    assert done.returncode == 0
    assert "[127.0.0.1]:2525" in done.stdout
    assert "all hosts count as up" in done.stderr


@pytest.mark.parametrize("words", (("reload",), ("probe", "127.0.0.1")))
def test_without_a_daemon_the_control_socket_is_missed_in_words(idle, words):
    done = idle.run_ctl(*words)
    assert done.returncode == 1
    assert "the daemon is not running" in done.stderr


def test_a_stale_control_socket_is_no_daemon(idle):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(idle.options["control_socket"])
    done = idle.run_ctl("reload")
    assert done.returncode == 1
    assert "the daemon is not running (nobody listens" in done.stderr


def test_after_a_stop_the_status_shows_what_was_left(serving):
    assert serving.status()["writer"]["alive"] is True
    stop(serving)
    status = serving.status()
    assert status["writer"]["alive"] is False
    assert [h["state"] for h in status["hosts"]] == ["up", "deferred"]
    text = serving.ctl("status")
    assert "is dead, the daemon is not running" in text
    assert "431 Mail system full" in text


def test_an_override_without_a_daemon_says_when_it_counts(serving):
    stop(serving)
    done = serving.run_ctl("drain", serving.a.key, "--reason", "new disks")
    assert done.returncode == 0
    assert "takes this up when it starts" in done.stderr
    assert serving.host(serving.a)["reason"] == "new disks"


# -- a broken file --------------------------------------------------------

def test_with_a_broken_file_the_table_is_shown_and_overrides_work(serving):
    with open(serving.config) as file:
        good = file.read()
    serving.configure(text=good + BROKEN)
    serving.expect_trouble("nexthop.conf:", "the old one stays")
    done = serving.run_ctl("status", "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert {h["state"] for h in status["hosts"]} == {"up", "deferred"}
    assert status["routes"] == []
    assert serving.config + ":" in done.stderr
    assert serving.run_ctl("drain", serving.b.key).returncode == 0
    assert serving.host(serving.b)["override"] == "drain"
    done = serving.run_ctl("reload")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count(serving.config + ":") == 1
    done = serving.run_ctl("lookup", "u@example.test")
    assert done.returncode == 1
    assert done.stdout == ""


def test_an_unreadable_file_is_named(idle):
    os.unlink(idle.config)
    for words in (("status",), ("lookup", "u@a.test"), ("check",),
                  ("reload",), ("drain", "127.0.0.1")):
        done = idle.run_ctl(*words)
        assert done.returncode == 1
        assert idle.config in done.stderr
        assert done.stdout == ""


def test_a_folder_is_no_configuration_with_default_paths():
    done = run("-c", "/", "status")
    assert done.returncode == 1
    assert "not a regular file" in done.stderr
    assert done.stdout == ""


def test_a_reload_that_worked_says_so(serving):
    done = serving.run_ctl("reload")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "configuration reloaded\n", "")


# -- somebody else --------------------------------------------------------

@pytest.mark.parametrize("words", (
    ("status",), ("status", "--json"), ("drain", "127.0.0.1"), ("reload",),
    ("probe", "127.0.0.1")))
def test_an_unprivileged_caller_is_told_who_may(serving, words):
    for path in (os.path.dirname(serving.config), serving.config):
        os.chmod(path, 0o755)
    done = subprocess.run(
        [nexthopctl(), "-c", serving.config, *words], timeout=20, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, user=NOBODY, group=NOBODY, extra_groups=())
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no permission for" in done.stderr
    assert "only root and the daemon's user" in done.stderr


# -- hosts that are meant -------------------------------------------------

def test_a_probe_without_a_port_takes_that_of_the_configuration(serving):
    out = serving.ctl("probe", serving.a.address)
    assert "connecting to %s port %d\n" % (
        serving.a.address, serving.a.port) in out


def test_without_a_port_all_ports_of_a_host_are_meant(serving):
    serving.ctl("disable", serving.a.address, "--for", "1h")
    for host in serving.status()["hosts"]:
        meant = host["host"] == serving.a.address
        assert host["override"] == ("disabled" if meant else "none")
        assert (host["until"] is not None) or not meant
    done = serving.run_ctl("disable", serving.b.address)
    assert "example.test has no host left to try" in done.stderr
    assert done.returncode == 0


def test_an_unknown_host_is_answered_with_known_ones(serving):
    done = serving.run_ctl("drain", "%s:%d" % (
        serving.a.address, serving.a.port ^ 1))
    assert done.returncode == 1
    assert "is not in the health table" in done.stderr
    assert serving.a.key in done.stderr
    assert done.stdout == ""


# -- the table, changed under a reader ------------------------------------

def test_a_table_cut_short_under_a_reader_is_told_in_words(serving):
    table = serving.options["health_table"]
    stop(serving)
    reader = subprocess.Popen(
        [nexthopctl(), "-c", serving.config, "lookup", "u@example.test",
         "--count", "1000000"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    # It has the table and stands still: nobody reads on.
    assert reader.stdout.readline().startswith(b"route:")
    os.truncate(table, 0)
    _, errors = reader.communicate(timeout=20)
    assert reader.returncode == 1
    assert b"truncated" in errors
    done = serving.run_ctl("status")
    assert done.returncode == 1
    assert "no health table" in done.stderr


# -- the other end of the control socket ----------------------------------

def misbehave(daemon, answer):
    """Answers one request with bytes; then closes."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(daemon.options["control_socket"])
    server.listen(1)

    def serve():
        with server, server.accept()[0] as sock:
            sock.settimeout(10)
            sock.recv(1000)
            try:
                sock.sendall(answer)
            except ConnectionError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("answer,code,out,err", (
    (b"OK\n", 0, "", ""),
    (b"= one\n= two\nOK\n", 0, "one\ntwo\n", ""),
    (b"= one\nERROR no such thing\n", 1, "one\n", "no such thing"),
    (b"", 1, "", "without an answer"),
    (b"= one\n", 1, "one\n", "without an answer"),
    (b"OK", 1, "", "without an answer"),
    (b"x" * 10000, 1, "", "endless line"),
    (b"?\nOKAY\nOK\n", 0, "", ""),
))
def test_any_answer_of_the_daemon_ends_the_command(idle, answer, code, out,
                                                   err):
    thread = misbehave(idle, answer)
    done = idle.run_ctl("probe", "127.0.0.1")
    thread.join(15)
    assert done.returncode == code
    assert done.stdout == out
    assert err in done.stderr
    assert (done.stderr == "") == (code == 0)


def test_many_clients_at_once_are_served_or_turned_away(serving):
    done = []
    threads = [threading.Thread(target=lambda: done.append(
        serving.run_ctl("probe", serving.a.key))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 40
    for one in done:
        assert one.returncode == 0 or one.stderr != ""
    assert any(one.returncode == 0 for one in done)
    wait_until(lambda: serving.run_ctl("reload").returncode == 0, 15,
               "the control socket serves as before")
