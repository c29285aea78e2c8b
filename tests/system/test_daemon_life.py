# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What the daemon has to live through: signals for the wrong process, rotated
and stuck logs, sockets that are not its own."""

import ctypes
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys

import pytest

from harness import (HEALTHY, TimedOut, children, nexthop_milter, read_text,
                     routes_to, wait_until)

SYS_TGKILL = 234        # on x86-64
KILLED = r"worker \d+ ended by signal 9, starting another"
RELOADS = 200
FAST = dict(level="connect", interval=600.0, timeout=1.0)


def routes(count, first=0):
    return tuple(
        dict(domain="d%d.test" % n,
             hosts=(dict(host="127.0.0.1", port=9),))
        for n in range(first, first + count))


@pytest.fixture
def daemon(room):
    it = room.daemon(*routes(1), probe=FAST, start=False)
    it.expect_trouble(KILLED, "9: Connection refused", "up -> deferred",
                      "Connection Error")
    return it


def good_message(daemon):
    with daemon.milter() as client:
        return client.message("u@d0.test")


@pytest.mark.parametrize("number", (
    signal.SIGHUP, signal.SIGTERM, signal.SIGINT))
def test_a_signal_meant_for_both_processes_leaves_the_milter_alone(
        daemon, number):
    daemon.start()
    worker = daemon.worker
    with daemon.milter() as client:
        client.mail()
        for _ in range(20):
            os.kill(worker, number)
        client.rcpt("u@d0.test")
        assert client.end_of_message() == "c"
    assert good_message(daemon) == "c"
    assert daemon.worker == worker


def test_signals_for_both_processes_are_harmless_while_it_reloads(daemon):
    """A thread that starts another one blocks all signals for a moment."""
    daemon.start()
    worker = daemon.worker
    reloads = len(re.findall("configuration reloaded", daemon.log()))

    def reloaded():
        daemon.reload()
        for _ in range(1000):
            os.kill(worker, signal.SIGHUP)
        return len(re.findall("configuration reloaded",
                              daemon.log())) >= reloads + RELOADS

    wait_until(reloaded, 30, "%d reloads" % RELOADS, pause=0)
    assert good_message(daemon) == "c"
    assert daemon.worker == worker


def test_a_worker_whose_libmilter_ends_is_replaced(daemon):
    """Thread by thread: the one that waits for the signal ends libmilter."""
    daemon.expect_trouble("libmilter has ended", "ended with status 1, start")
    daemon.start()
    worker = daemon.worker
    assert good_message(daemon) == "c"      # all its threads run
    libc = ctypes.CDLL(None)
    for thread in os.listdir("/proc/%d/task" % worker):
        libc.syscall(SYS_TGKILL, worker, int(thread), int(signal.SIGTERM))
    wait_until(lambda: daemon.worker not in (None, worker), 10,
               "another worker")
    assert good_message(daemon) == "c"


def hold(daemon):
    """Keeps the supervisor from looking until it is let go."""
    daemon.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: ") T " in read_text("/proc/%d/stat" % daemon.pid), 5,
               "the supervisor stands still")


def test_a_reload_asked_for_while_no_worker_lives_is_not_lost(daemon):
    daemon.start()
    daemon.configure(routes=routes(2))
    hold(daemon)
    os.kill(children(daemon.pid)[0], signal.SIGKILL)
    daemon.reload()
    daemon.process.send_signal(signal.SIGCONT)
    wait_until(lambda: daemon.ask("u@d1.test").startswith("OK"), 10,
               lambda: "the second route\n" + daemon.log())


def test_hangups_do_not_put_off_the_restart_of_a_worker(daemon):
    daemon.start()
    for _ in range(4):
        daemon.kill_worker()
    before = daemon.worker
    os.kill(before, signal.SIGKILL)
    count = [0]

    def next_worker():
        count[0] += 1
        daemon.reload()
        return daemon.worker not in (None, before)

    wait_until(next_worker, 5, lambda: "a worker after %d signals\n%s" % (
        count[0], daemon.log()), pause=0.01)


def test_a_storm_of_hangups_does_not_keep_it_from_stopping(daemon):
    daemon.configure(routes=routes(5000))
    daemon.start()
    for _ in range(3000):
        daemon.reload()
    assert daemon.stop(timeout=8) == 0


@pytest.mark.parametrize("bad", (False, True))
def test_all_processes_write_to_the_new_log_after_a_rotation(daemon, bad):
    log = daemon.folder + "/log"
    daemon.expect_trouble("nexthop.conf:", "not reloaded")
    daemon.configure(log=dict(target=log, level="info"))
    daemon.start()
    os.rename(log, log + ".1")
    if bad:
        daemon.configure("nonsense = 1;\n")
    daemon.reload()
    wait_until(lambda: "reloaded" in read_text(log), 5,
               lambda: "the worker's line: " + read_text(log + ".1"))
    size = os.path.getsize(log + ".1")
    daemon.kill_worker()
    wait_until(lambda: "serving" in read_text(log), 5,
               lambda: "the next worker's line: " + read_text(log + ".1"))
    assert "ended by signal 9" in read_text(log)
    assert os.path.getsize(log + ".1") == size


def as_postfix(daemon):
    """The folder belongs to the user that it becomes; the rest to root."""
    user = pwd.getpwnam("postfix")
    os.chown(daemon.folder, user.pw_uid, user.pw_gid)
    daemon.configure(user="postfix", socket_group=None)


def test_a_log_file_made_as_root_can_be_rotated_by_the_user(daemon):
    log = daemon.folder + "/log"
    daemon.configure(log=dict(target=log, level="info"))
    as_postfix(daemon)
    daemon.start()
    assert os.stat(log).st_uid == pwd.getpwnam("postfix").pw_uid
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o640
    daemon.reload()
    wait_until(lambda: "configuration reloaded" in read_text(log), 5,
               lambda: "reloaded\n" + read_text(log))
    os.rename(log, log + ".1")
    daemon.reload()
    wait_until(lambda: "configuration reloaded" in read_text(log), 5,
               lambda: "the new file\n" + read_text(log + ".1"))


def test_what_only_root_can_read_is_told_of_at_the_start(daemon):
    log = daemon.folder + "/log"
    open(log, "w").close()
    daemon.expect_trouble("cannot be read without root",
                          "cannot be opened without root")
    daemon.configure(log=dict(target=log, level="info"))
    as_postfix(daemon)
    os.chmod(daemon.config, 0o600)
    os.chmod(log, 0o600)
    daemon.start()
    said = daemon.log()
    assert daemon.config + " cannot be read without root" in said
    assert log + " cannot be opened without root" in said


def test_clients_that_wait_for_the_map_do_not_keep_the_milter_from_starting(
        daemon):
    """More of them than the next worker has descriptors."""
    daemon.expect_trouble("Too many open files")
    daemon.start()
    hold(daemon)
    os.kill(children(daemon.pid)[0], signal.SIGKILL)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (60, 60))
    waiting = [daemon.map() for _ in range(100)]
    daemon.mark()
    daemon.process.send_signal(signal.SIGCONT)
    try:
        daemon.wait_log("serving")
        worker = daemon.worker
        assert daemon.ask("u@d0.test").startswith("OK")
    finally:
        for client in waiting:
            client.close()
    assert good_message(daemon) == "c"
    assert daemon.worker == worker, daemon.log()


# -- a log that hangs -----------------------------------------------------

# With a /dev of its own that has a syslog socket of ours. Only /dev is taken out
# of what mounts share with others: in a chroot, / is no mount.
IN_OWN_DEV = """#!/bin/sh
exec unshare -m --propagation unchanged sh -c '
mount --make-rprivate /dev && mount --bind "$0" /dev && exec "$@"' %s %s "$@"
"""


@pytest.fixture
def syslog(daemon):
    dev = daemon.folder + "/dev"
    os.mkdir(dev)
    for name in ("null", "zero", "random", "urandom"):
        subprocess.run(["cp", "-a", "/dev/" + name, dev], check=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(dev + "/log")
    listener.settimeout(5)
    daemon.binary = daemon.folder + "/in-own-dev"
    with open(daemon.binary, "w") as file:
        file.write(IN_OWN_DEV % (dev, nexthop_milter()))
    os.chmod(daemon.binary, 0o755)
    daemon.configure(log=dict(target="syslog", level="info"))
    yield listener
    listener.close()


def test_syslog_gets_lines_as_syslog_writes_them(daemon, syslog):
    daemon.start()
    lines = [syslog.recv(4096).decode() for _ in range(2)]
    assert any("running as root" in line and line.startswith("<20>")
               for line in lines), lines
    assert all(" nexthop-milter[" in line and line[-1] != "\0"
               for line in lines), lines


def test_a_syslog_daemon_that_hangs_stops_nothing(daemon, syslog):
    """Nobody reads: the queue of the socket is soon full."""
    daemon.start()
    for _ in range(200):
        assert good_message(daemon) == "c"
    daemon.ctl("reload", timeout=5)
    daemon.ctl("reload", timeout=5)
    old = daemon.worker
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: daemon.worker not in (None, old), 5,
               "a new worker although the log is stuck")
    assert good_message(daemon) == "c"
    assert daemon.stop(timeout=15) == 0


def test_standard_error_that_nobody_reads_stops_nothing(daemon):
    """A pipe, full from the beginning."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    try:
        daemon.process = subprocess.Popen(
            [nexthop_milter(), "-c", daemon.config], stderr=writer)
        wait_until(daemon._serves, 10, "the daemon serves")
        daemon.kill_worker()
        assert good_message(daemon) == "c"
        assert daemon.stop(timeout=15) == 0
    finally:
        os.close(reader)
        os.close(writer)


# -- sockets --------------------------------------------------------------

def test_a_second_daemon_on_the_same_sockets_harms_nobody(room, daemon):
    daemon.start()
    before = os.stat(daemon.folder + "/map").st_ino
    second = subprocess.run([nexthop_milter(), "-c", daemon.config],
                            stderr=subprocess.PIPE, text=True, timeout=10)
    assert second.returncode == 1
    assert "another process serves this socket" in second.stderr
    assert os.stat(daemon.folder + "/map").st_ino == before
    assert good_message(daemon) == "c"
    assert daemon.ask("u@d0.test").startswith("OK")


def test_a_socket_of_another_kind_is_not_removed(daemon):
    path = daemon.folder + "/map"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        daemon.spawn()
        assert daemon.process.wait(10) == 1
        assert path + " exists: " in daemon.log()
        assert os.path.exists(path)
    daemon.expect_trouble("cannot start")


ACTIVATE = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


def activated(daemon, **kinds):
    """Starts it with sockets that a service manager made."""
    made = {}
    for name in ("milter", "map", "control"):
        kind = kinds.get(name, socket.SOCK_STREAM)
        made[name] = socket.socket(socket.AF_UNIX, kind)
        made[name].bind(daemon.folder + "/" + name)
        if kind == socket.SOCK_STREAM and kinds.get("listening", True):
            made[name].listen(100)
    fds = [sock.fileno() for sock in made.values()]

    def place():
        high = [os.dup2(fd, 100 + n) for n, fd in enumerate(fds)]
        for n, fd in enumerate(high):
            os.dup2(fd, 3 + n)

    daemon.process = subprocess.Popen(
        [sys.executable, "-c", ACTIVATE, nexthop_milter(), "-c",
         daemon.config], stderr=open(daemon.stderr, "ab"),
        preexec_fn=place, close_fds=False,
        env={**os.environ, "LISTEN_FDS": "3",
             "LISTEN_FDNAMES": "milter:map:control"})
    return made


def test_sockets_of_a_service_manager_are_served_and_left_in_place(daemon):
    made = activated(daemon)
    wait_until(daemon._serves, 10, daemon.log)
    assert good_message(daemon) == "c"
    daemon.ctl("reload")
    daemon.kill_worker()
    assert good_message(daemon) == "c"
    assert daemon.process.terminate() is None
    assert daemon.process.wait(10) == 0
    # A question asked while nobody serves is answered by the next one.
    with daemon.map() as waiting:
        waiting.request("u@d0.test")
        for sock in made.values():
            os.set_inheritable(sock.fileno(), True)
        for name in made:
            assert os.path.exists(daemon.folder + "/" + name)
    for sock in made.values():
        sock.close()


def test_a_socket_of_a_service_manager_that_cannot_listen_is_not_taken(
        daemon):
    daemon.expect_trouble("cannot start")
    made = activated(daemon, map=socket.SOCK_DGRAM)
    assert daemon.process.wait(10) == 1
    assert "map exists: " in daemon.log()
    for sock in made.values():
        sock.close()


# -- the table ------------------------------------------------------------

@pytest.mark.parametrize("replaced", (False, True))
def test_a_table_that_is_no_longer_in_its_place_is_told_of(daemon, replaced):
    table = daemon.folder + "/health"
    daemon.expect_trouble("has been removed, replaced or cut short")
    daemon.start()
    daemon.configure(routes=routes(300))    # a larger file is no stranger
    daemon.ctl("reload")
    if replaced:
        shutil.copy(table, table + ".copy")
        os.rename(table + ".copy", table)
    else:
        os.unlink(table)
    daemon.wait_log("health table %s has been removed, replaced or cut short" % table)
    assert daemon.ask("u@d0.test").startswith("OK")
    daemon.kill_worker()
    daemon.mark()
    assert daemon.ask("u@d0.test").startswith("OK")
    assert os.path.exists(table)


@pytest.mark.parametrize("which", ("milter_socket", "map_socket"))
def test_a_socket_whose_name_is_taken_away_is_told_of_once(daemon, which):
    where = daemon.options[which]
    daemon.expect_trouble(re.escape(where) + " has been removed")
    daemon.start()
    os.unlink(where.partition(":")[2])
    daemon.wait_log(re.escape(where) + " has been removed: the MTA cannot "
                    "reach it until nexthop-milter is restarted")
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    daemon.start()
    assert good_message(daemon) == "c"
    assert daemon.ask("u@d0.test").startswith("OK")
    assert daemon.log().count("has been removed") == 1
