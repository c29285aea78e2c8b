# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Addresses, waiting and small files: what every other helper stands on.

Each test run owns one network 127.A.B.0/24, so that runs side by side never
meet: ownership is a bound socket, which the kernel gives back when the run
ends, however it ends.
"""

import os
import random
import socket
import threading
import time

# How many times longer all may take, where the daemon is slowed down.
PATIENCE = float(os.environ.get("NH_PATIENCE", "1"))
LOCK_PORT = 31999
FIRST_PORT = 20000
LAST_PORT = 31000


class Loopback:
    """One private /24 of 127/8 and a supply of addresses and ports in it."""

    def __init__(self):
        self._mutex = threading.Lock()
        self._next_host = 2
        self._lock = None
        rng = random.Random(os.getpid() ^ time.monotonic_ns())
        for _ in range(200):
            prefix = "127.%d.%d" % (rng.randint(1, 254), rng.randint(0, 255))
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                sock.bind((prefix + ".1", LOCK_PORT))
            except OSError:
                sock.close()
                continue
            self._lock = sock
            self.prefix = prefix
            break
        else:
            raise RuntimeError("no free 127.A.B.0/24 found in 200 tries")
        self._next_port = rng.randint(FIRST_PORT, LAST_PORT)

    def address(self):
        """A new address of the run's network; wraps round after 250."""
        with self._mutex:
            address = "%s.%d" % (self.prefix, self._next_host)
            self._next_host += 1
            if self._next_host > 250:
                self._next_host = 2
        return address

    def port(self, address):
        """A port that nobody listens on at this address.

        Ports lie below the ephemeral range, so no outgoing connection can
        take one between this check and the bind.
        """
        for _ in range(500):
            with self._mutex:
                port = self._next_port
                self._next_port += 1
                if self._next_port > LAST_PORT:
                    self._next_port = FIRST_PORT
            with socket.socket() as sock:
                try:
                    sock.bind((address, port))
                except OSError:
                    continue
            return port
        raise RuntimeError("no free port at " + address)

    def endpoint(self):
        address = self.address()
        return address, self.port(address)


LOOPBACK = Loopback()


class TimedOut(AssertionError):
    """Something that a test waited for did not come."""


def wait_until(predicate, timeout, what, pause=0.02):
    """Ask until the answer is true, and return it; TimedOut says what."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= end:
            if callable(what):
                what = what()
            raise TimedOut("not within %g s: %s" % (timeout, what))
        time.sleep(pause)


def read_text(path):
    """The whole file, or nothing if it is not there (yet)."""
    try:
        with open(path, "r", encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def process_gone(pid):
    """True if the process ended (a zombie has ended, too)."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid):
    """The living children of a process, by /proc."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry, "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != b"Z":
            found.append(int(entry))
    return sorted(found)
