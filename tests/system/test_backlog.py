# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A backlog of the delivery log holds no lookup up: measured against a server
that does nothing, in turn, while the same backlog is read."""

import os
import socket
import time

import pytest

from echo_server import echo_server
from log_lines import Ledger, append, result_lines

LINES = 200000
ROUNDS = 3
ROUNDS_MAX = 8  # where other work on the machine blurs the figures
SLICE = 20      # questions in a row to one of the two
LIMIT = 1.5


def p99_us(took):
    return sorted(took)[len(took) * 99 // 100] / 1000


class Asker:
    """One connection, and how long each answer took."""

    def __init__(self, path, key):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(path)
        text = b"transport " + key
        self.request = b"%d:%s," % (len(text), text)
        self.took = []
        self.reply = None

    def ask(self, count):
        for _ in range(count):
            start = time.perf_counter_ns()
            self.sock.sendall(self.request)
            self.reply = self.sock.recv(4096)
            self.took.append(time.perf_counter_ns() - start)

    def close(self):
        self.sock.close()


def one_round(daemon, host, echo, text):
    """How long answers of the map and of the echo server took while the
    backlog was read."""
    before = daemon.host(host)["observed_ok"]
    key = b"u@example.test"
    askers = [Asker(daemon.map_socket.partition(":")[2], key),
              Asker(echo, key)]
    append(os.path.join(daemon.folder, "maillog"), text)
    try:
        while daemon.host(host)["observed_ok"] < before + LINES:
            for _ in range(50):
                for asker in askers:
                    asker.ask(SLICE)
            assert askers[0].reply == askers[1].reply
        return [asker.took for asker in askers]
    finally:
        for asker in askers:
            asker.close()


@pytest.mark.alone
def test_a_backlog_of_the_log_does_not_hold_lookups_up(room):
    ledger = Ledger(room, log=dict(level="info"))
    daemon, a = ledger.daemon, ledger.server
    text = result_lines(a, LINES).encode()
    ours, floor = [], []
    with echo_server(daemon.folder, daemon.ask("u@example.test")) as server:
        for number in range(1, ROUNDS_MAX + 1):
            for took, more in zip((ours, floor),
                                  one_round(daemon, a, server.path, text)):
                took.extend(more)
            ratio = p99_us(ours) / p99_us(floor)
            print("p99 while %d lines are read, %d rounds: map %.0f us, echo "
                  "server %.0f us: %.2f" % (LINES, number, p99_us(ours),
                                            p99_us(floor), ratio))
            if number >= ROUNDS and ratio <= LIMIT:
                break
    assert ratio <= LIMIT
