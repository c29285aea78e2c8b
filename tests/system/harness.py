# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The daemon under test and a client of its map; and all the other helpers,
so that a test needs one import.

NH_BUILD_DIR names the folder that holds nexthop-milter and nexthopctl; the
default is `build` beside `tests`. NH_WRAPPER holds words to start a daemon
under, like "valgrind -q --log-file=%q{NH_REPORT}.%p" (see reports.py), and
NH_PATIENCE how many times longer everything may take then.
"""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from fake_smtp import *             # noqa: F401,F403
from fake_smtp import FakeSmtp
from loopback import (LOOPBACK, PATIENCE, TimedOut, children, process_gone, read_text,
                      wait_until)
from milter_client import MilterClient, connect
from private_postfix import Postfix, command, version
from traffic import Traffic, each_once, mail, send_one

__all__ = [
    "BUILD_DIR", "Daemon", "FakeSmtp", "LOOPBACK", "MilterClient", "Postfix", "Sockmap",
    "SOURCE_DIR", "TimedOut", "Traffic", "best_of", "children", "command",
    "connect", "each_once", "libconfig", "mail", "median", "nexthopctl",
    "nexthop_milter", "process_gone", "read_text", "routes_to",
    "send_messages", "send_one", "spread", "version", "wait_until",
]

SOURCE_DIR = os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD_DIR = os.environ.get("NH_BUILD_DIR") or os.path.join(
    SOURCE_DIR, "build")
WRAPPER = os.environ.get("NH_WRAPPER", "").split()
median = statistics.median


def nexthop_milter():
    return os.path.join(BUILD_DIR, "nexthop-milter")


def nexthopctl():
    return os.path.join(BUILD_DIR, "nexthopctl")


# -- configuration --------------------------------------------------------

def libconfig(value):
    """A Python value in libconfig's syntax: dict {}, tuple (), list []."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')
    if isinstance(value, dict):
        return "{ %s }" % " ".join(
            "%s = %s;" % (key, libconfig(v)) for key, v in value.items())
    if isinstance(value, tuple):
        return "( %s )" % ",\n    ".join(libconfig(v) for v in value)
    if isinstance(value, list):
        return "[ %s ]" % ", ".join(libconfig(v) for v in value)
    raise TypeError("no libconfig for %r" % (value,))


def routes_to(*servers, domain="example.test", **more):
    """One route to servers of equal priority; or to (server, priority)s."""
    hosts = []
    for item in servers:
        server, priority = item if isinstance(item, tuple) else (item, 0)
        hosts.append(server.host(priority=priority))
    return dict(domain=domain, hosts=tuple(hosts), **more)


# -- the map --------------------------------------------------------------

class Sockmap:
    """A client of the map: Postfix's dict_sockmap, or somebody worse."""

    def __init__(self, spec, name="transport", timeout=10):
        self.sock = connect(spec, timeout)
        self.name = name
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def request(self, key, name=None):
        if isinstance(key, str):
            key = key.encode()
        text = (name or self.name).encode() + b" " + key
        self.send_raw(b"%d:%s," % (len(text), text))

    def closed(self):
        """True if the server has closed its end (waits for it)."""
        try:
            return not self.sock.recv(1)
        except ConnectionError:
            return True

    def reply(self):
        """The text of the next netstring; EOFError if there is none."""
        while b":" not in self.buffer:
            self._more()
        digits, _, rest = self.buffer.partition(b":")
        want = int(digits) + 1
        while len(rest) < want:
            self._more()
            rest = self.buffer.partition(b":")[2]
        self.buffer = rest[want:]
        assert rest[want - 1:want] == b",", "netstring without a comma"
        return rest[:want - 1].decode()

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the map closed the connection")
        self.buffer += data

    def ask(self, key, name=None):
        self.request(key, name)
        return self.reply()


# -- the daemon -----------------------------------------------------------

class Daemon:
    """nexthop-milter with sockets, table and log in a folder of its own.

    Keywords are options of the configuration; those given replace the
    defaults below, and groups (probe, defer, log) are merged. With `include`
    what Postfix tells the daemon comes from the file that
    contrib/postfix/enable writes. `launcher`: words before those that start
    it, like setpriv(1) and its options.
    """

    def __init__(self, folder=None, text=None, binary=None, include=False,
                 launcher=(), **options):
        self._own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="nh-d-")
        os.chmod(self.folder, 0o755)
        self.binary = binary or nexthop_milter()
        self.launcher = launcher
        self.config = os.path.join(self.folder, "nexthop.conf")
        self.include = os.path.join(self.folder, "postfix.conf")
        self.includes = include
        self.stderr = os.path.join(self.folder, "stderr")
        self.process = None
        self._mark = 0
        self._expected = ["running as root"]
        self.options = self._defaults()
        if include:
            open(self.include, "w").close()
            self.options.update(not_routed=None, address_family=None)
        self.configure(text, **options)

    def _defaults(self):
        inside = self.folder + "/"
        return dict(
            milter_socket="unix:" + inside + "milter",
            map_socket="unix:" + inside + "map",
            control_socket=inside + "control",
            socket_group="postfix",
            socket_mode="0660",
            health_table=inside + "health",
            user="root",
            transport="nexthop",
            not_routed=["mta.test", "localhost"],
            address_family="ipv4",
            log=dict(target="stderr", level="debug"),
            probe=dict(level="mail", interval=1.0, timeout=2.0,
                       helo="probe.test"),
            defer=dict(fall=1, rise=2, first=1.0, max=5.0),
            routes=())

    def configure(self, text=None, **options):
        """Write the file; a running daemon reads it at reload()."""
        for key, value in options.items():
            old = self.options.get(key)
            if isinstance(value, dict) and isinstance(old, dict):
                value = {**old, **value}
            self.options[key] = value
        if text is None:
            text = "".join(
                "%s = %s;\n" % (key, libconfig(value))
                for key, value in self.options.items() if value is not None)
            if self.includes:
                text += '@include "postfix.conf"\n'
        # In one step: a reload may be reading.
        with open(self.config + ".new", "w") as file:
            file.write(text)
        os.rename(self.config + ".new", self.config)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def milter_socket(self):
        return self.options["milter_socket"]

    @property
    def map_socket(self):
        return self.options["map_socket"]

    @property
    def map_name(self):
        """The map as Postfix writes it."""
        kind, _, rest = self.map_socket.partition(":")
        if kind == "inet":
            port, _, host = rest.partition("@")
            rest = "%s:%s" % (host, port)
        return "socketmap:%s:%s:transport" % (kind, rest)

    # -- life -------------------------------------------------------------

    def spawn(self, *words):
        """Start it and look no further."""
        with open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen(
                [*self.launcher, *WRAPPER, self.binary, "-c", self.config,
                 *words],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                start_new_session=True)

    def start(self, timeout=10):
        self.spawn()
        wait_until(self._serves, timeout,
                   lambda: "the daemon serves\n" + self.log())
        return self

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError("the daemon ended with %d\n%s" % (
                self.process.returncode, self.log()))
        try:
            connect(self.milter_socket, 5).close()
            with self.map(timeout=5) as sockmap:
                return sockmap.ask("*").startswith("NOTFOUND")
        except (OSError, EOFError):
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def worker(self):
        """The worker's pid: the supervisor's only child."""
        found = children(self.process.pid)
        return found[0] if len(found) == 1 else None

    def stop(self, timeout=20):
        """SIGTERM, and see it end; the exit status."""
        timeout *= PATIENCE
        status = None
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            try:
                status = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                worker = self.worker
                for pid in (self.process.pid, worker):
                    if pid is not None:
                        os.kill(pid, signal.SIGKILL)
                self.process.wait(5)
                raise TimedOut("the daemon did not stop in %g s\n%s" % (
                    timeout, self.log()[-4000:]))
            finally:
                self.process = None
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        return status

    def kill_worker(self):
        """kill -9 of the worker; returns its pid and that of the next."""
        old = wait_until(lambda: self.worker, 5, "there is a worker")
        os.kill(old, signal.SIGKILL)
        new = wait_until(
            lambda: self.worker not in (None, old) and self.worker, 10,
            lambda: "a new worker\n" + self.log()[-4000:])
        return old, new

    def reload(self):
        """SIGHUP; what came of it is in the log and the status."""
        self.process.send_signal(signal.SIGHUP)

    # -- tools ------------------------------------------------------------

    def run_ctl(self, *words, timeout=30):
        """nexthopctl: the finished process."""
        return subprocess.run(
            [nexthopctl(), "-c", self.config, *words], timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ctl(self, *words, timeout=30):
        """nexthopctl, which has to succeed: what it prints."""
        done = self.run_ctl(*words, timeout=timeout)
        if done.returncode != 0:
            raise AssertionError("nexthopctl %s: exit %d\n%s%s" % (
                " ".join(words), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def status(self):
        return json.loads(self.ctl("status", "--json"))

    def host(self, server):
        """The status of one server; None before it is known."""
        for host in self.status()["hosts"]:
            if (host["host"], host["port"]) == (server.address, server.port):
                return host
        return None

    def state(self, server):
        host = self.host(server)
        return host and host["state"]

    def wait_state(self, server, state, timeout=15):
        wait_until(lambda: self.state(server) == state, timeout,
                   lambda: "host %s is %s\n%s" % (
                       server.hostport, state, self.log()[-6000:]),
                   pause=0.05)

    def observed(self, server):
        """How many probes of it have ended, well or not."""
        host = self.host(server)
        return host["observed_ok"] + host["observed_failed"] if host else 0

    def wait_probed(self, *servers, timeout=10):
        """Each has been probed at least once."""
        for server in servers:
            wait_until(lambda: self.observed(server) > 0, timeout,
                       lambda: "%s is probed\n%s" % (
                           server.hostport, self.log()[-4000:]))

    def map(self, timeout=10):
        return Sockmap(self.map_socket, timeout=timeout)

    def milter(self, **more):
        return MilterClient(self.milter_socket, **more)

    def ask(self, key):
        """One question on a connection of its own."""
        with self.map() as sockmap:
            return sockmap.ask(key)

    # -- the log ----------------------------------------------------------

    def mark(self):
        self._mark = len(self._log_text())

    def log(self):
        """What it logged since mark()."""
        return self._log_text()[self._mark:]

    def _log_text(self):
        target = self.options["log"]["target"]
        text = read_text(self.stderr)
        if target not in ("stderr", "syslog"):
            text += read_text(target)
        return text

    def log_contains(self, pattern, times=None):
        found = re.findall(pattern, self.log(), re.M)
        return len(found) == times if times is not None else bool(found)

    def changes(self, server):
        """The changes of its state that were logged since mark(), oldest
        first: (from, to, seconds); seconds is the new back-off, or how long
        it was out, or None for a trial."""
        lines = re.findall(
            r"host %s (up|deferred|trial) -> (up|deferred|trial)"
            r"(?: (?:for|after) ([0-9.]+) s)?" % re.escape(server.hostport),
            self.log())
        return [(old, new, float(seconds) if seconds else None)
                for old, new, seconds in lines]

    def expect_trouble(self, *patterns):
        """Warnings and errors that belong to the test."""
        self._expected.extend(patterns)

    def troubles(self):
        """Warnings and errors that no test expected, from the beginning. A
        line of less weight may quote somebody else's."""
        return [line for line in self._log_text().splitlines()
                if re.search(r"\b(warning|error): ", line)
                and not re.search(r"\]: (info|debug): ", line)
                and not any(re.search(p, line) for p in self._expected)]

    def wait_log(self, pattern, timeout=15, times=None):
        """The line comes a moment after what it tells of: a thread of its own
        writes it. With `times` there are so many of them then."""
        wait_until(lambda: self.log_contains(pattern), timeout,
                   lambda: "log line %r\n%s" % (
                       pattern, self.log()[-6000:]))
        assert times is None or self.log_contains(pattern, times), pattern


# -- mail -----------------------------------------------------------------

def send_messages(postfix, messages, sessions=10, timeout=120,
                  after_each=lambda number: None):
    """Send (sender, recipients) pairs over several sessions at once;
    after_each(number) is called when a message was accepted."""
    todo = list(enumerate(messages))
    mutex = threading.Lock()
    errors = []

    def run():
        with socket.create_connection(
                (postfix.address, postfix.port), timeout=timeout) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock.makefile("rwb") as file:
                mail(file, None, ())
                while not errors:
                    with mutex:
                        if not todo:
                            break
                        number, (sender, recipients) = todo.pop(0)
                    mail(file, sender, recipients,
                         "Subject: message %d\r\n\r\nbody\r\n" % number)
                    after_each(number)
                file.write(b"QUIT\r\n")
                file.flush()

    def guarded():
        try:
            run()
        except Exception as error:      # noqa: BLE001 - told to the caller
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    if errors:
        raise errors[0]
    assert not todo, "%d messages were not sent" % len(todo)


def spread(*servers):
    """How many messages each server took."""
    return [len(server.messages) for server in servers]


def best_of(rounds, action):
    """The median of what action returns; and all of it."""
    figures = [action() for _ in range(rounds)]
    return median(figures), figures


def elapsed_until(predicate, timeout, what):
    """Seconds until predicate is true."""
    start = time.monotonic()
    wait_until(predicate, timeout, what)
    return time.monotonic() - start
