# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The server that the map is measured against: it answers and does nothing."""

import collections
import contextlib
import os
import subprocess

from harness import BUILD_DIR
from loopback import wait_until

EchoServer = collections.namedtuple("EchoServer", "path pid")


@contextlib.contextmanager
def echo_server(folder, reply, *options):
    """An EchoServer that listens while the context lasts."""
    path = os.path.join(folder, "".join(("echo",) + options))
    # A session of its own, as the daemon: Linux shares processors out by
    # session (sched_autogroup_enabled).
    process = subprocess.Popen(
        [os.path.join(BUILD_DIR, "tests/bench/echo_server"), *options, path,
         reply], stdin=subprocess.PIPE, start_new_session=True)
    try:
        wait_until(lambda: os.path.exists(path), 10, "the echo server listens")
        yield EchoServer(path, process.pid)
    finally:
        process.stdin.close()
        process.wait(10)
