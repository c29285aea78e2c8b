# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A real HAProxy in a folder of its own, before SMTP servers."""

import os
import shutil
import socket
import subprocess
import tempfile

from loopback import LOOPBACK, read_text, wait_until

# As an administrator would have it for SMTP: what HAProxy's manual shows, with
# clients' and servers' timeouts that are no shorter than those of the MTA.
CONFIG = """\
global
    stats socket {folder}/stats mode 600
defaults
    mode tcp
    option redispatch
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen smtp
    bind {address}:{port}
    balance roundrobin
    option smtpchk EHLO check.test
    default-server inter 1s source {source}
"""


def program():
    """Debian has it where only root's PATH leads."""
    found = shutil.which("haproxy", path=os.environ.get(
        "PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(
            "there is no haproxy: contrib/packages.sh --bench installs it")
    return found


class HAProxy:
    """servers: name -> FakeSmtp. In the foreground, ended by its pid."""

    def __init__(self, servers):
        self.folder = tempfile.mkdtemp(prefix="nh-ha-")
        self.address, self.port = LOOPBACK.endpoint()
        self.source = LOOPBACK.address()
        self.process = None
        self._config = os.path.join(self.folder, "haproxy.cfg")
        self._output = os.path.join(self.folder, "output")
        with open(self._config, "w") as file:
            file.write(CONFIG.format(
                folder=self.folder, source=self.source,
                address=self.address, port=self.port))
            for name, server in servers.items():
                file.write("    server %s %s:%d check\n" % (
                    name, server.address, server.port))

    @property
    def hostport(self):
        return "[%s]:%d" % (self.address, self.port)

    def start(self):
        with open(self._output, "ab") as output:
            self.process = subprocess.Popen(
                [program(), "-db", "-f", self._config],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self._answers, 10, lambda: "HAProxy answers\n" + self.log())

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("HAProxy ended\n" + self.log())
        try:
            return bool(self.servers())
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return read_text(self._output)

    # -- what it knows ----------------------------------------------------

    def _show_stat(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(os.path.join(self.folder, "stats"))
            sock.sendall(b"show stat\n")
            text = b""
            while block := sock.recv(65536):
                text += block
        return text.decode()

    def servers(self):
        """Name of each server -> its statistics, as HAProxy names them."""
        lines = [line.split(",") for line in
                 self._show_stat().lstrip("# ").splitlines() if line]
        rows = [dict(zip(lines[0], line)) for line in lines[1:]]
        return {row["svname"]: row for row in rows
                if row["svname"] not in ("FRONTEND", "BACKEND")}

    def is_up(self, name):
        return self.servers()[name]["status"].startswith("UP")

    def is_checked(self, name):
        return self.servers()[name]["check_status"].startswith("L7")

    def sessions(self, name):
        """Clients' sessions that this server was chosen for, whether it could
        be connected to or not; checks are none."""
        return int(self.servers()[name]["stot"])
