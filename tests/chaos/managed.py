# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""nexthop-milter as the units in contrib/systemd run it: the sockets belong to
a service manager, which starts the daemon again whenever it ends."""

import fcntl
import os
import signal
import socket
import subprocess
import threading
import time

from harness import Daemon, TimedOut, read_text, wait_until

NAMES = ("milter", "map", "control")
BACKLOG = 4096          # as in the socket units
RESTART_SEC = 1.0       # as in the service unit, like the next one
TIMEOUT_STOP_SEC = 30.0

# Root could raise the limit of descriptors again without this.
LIMITED = ("prlimit", "--nofile=%d:%d", "--core=unlimited:unlimited",
           "setpriv", "--bounding-set=-sys_resource")


def session_of(pid):
    """The session and the state of a process; None if it is gone."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == b"Z" else int(fields[3])


def members(session):
    """The living processes of a session: what a cgroup is to systemd."""
    return [int(entry) for entry in os.listdir("/proc")
            if entry.isdigit() and session_of(int(entry)) == session]


class ManagedDaemon(Daemon):
    """A Daemon that is started again for ever; stop() ends that.

    starts: (when, pid) of each supervisor; ends: (pid, status)."""

    def __init__(self, descriptors, **options):
        super().__init__(include=True, **options)
        self.cores = os.path.join(self.folder, "cores")
        os.mkdir(self.cores)
        self.starts, self.ends = [], []
        self._rotated = []
        self._limit = [word % (descriptors, descriptors) if "%" in word
                       else word for word in LIMITED]
        self._sockets = [self._listen(name) for name in NAMES]
        self._end = threading.Event()
        self._manager = None

    def _listen(self, name):
        """Postfix may connect: its group is the folder's business."""
        path = os.path.join(self.folder, name)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        os.chmod(path, 0o666)
        sock.listen(BACKLOG)
        # Out of the way of the numbers that the daemon looks at.
        high = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 100)
        sock.close()
        return high

    def spawn(self, *words):
        """The sockets become 3, 4 and 5, as sd_listen_fds(3) wants."""
        place = " ".join("%d<&%d %d<&-" % (3 + n, fd, fd)
                         for n, fd in enumerate(self._sockets))
        with open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen(
                ["bash", "-c",
                 "export LISTEN_PID=$$; exec \"$@\" " + place, "bash",
                 *self._limit, self.binary, "-c", self.config, *words],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                cwd=self.cores, start_new_session=True,
                pass_fds=self._sockets,
                env={**os.environ, "LISTEN_FDS": str(len(NAMES)),
                     "LISTEN_FDNAMES": ":".join(NAMES)})
        self.starts.append((time.monotonic(), self.process.pid))

    def start(self):
        super().start()
        self._manager = threading.Thread(target=self._manage)
        self._manager.start()
        return self

    def _manage(self):
        while not self._end.wait(0.05):
            if self.process.poll() is None:
                continue
            self.ends.append((self.process.pid, self.process.returncode))
            self._wait_for_rest(self.process.pid)
            if not self._end.wait(RESTART_SEC):
                self.spawn()

    def _wait_for_rest(self, session):
        """KillMode=mixed: the worker is not signalled, it has to see that the
        supervisor is gone."""
        try:
            wait_until(lambda: not members(session), TIMEOUT_STOP_SEC,
                       "the worker has followed its supervisor", pause=0.1)
        except TimedOut:
            for pid in members(session):
                os.kill(pid, signal.SIGKILL)

    def stop(self, timeout=40):
        self._end.set()
        if self._manager is not None:
            self._manager.join(TIMEOUT_STOP_SEC + 10)
        for fd in self._sockets:
            os.close(fd)
        self._sockets = []
        session = self.process.pid if self.process else None
        try:
            return super().stop(timeout)
        finally:
            for pid in members(session) if session else ():
                os.kill(pid, signal.SIGKILL)

    # -- the log, which is rotated ----------------------------------------

    def rotate(self):
        """Rename the log; a reload makes the daemon open another."""
        path = self.options["log"]["target"]
        old = "%s.%d" % (path, len(self._rotated))
        if os.path.exists(path):
            os.rename(path, old)
            self._rotated.append(old)

    def _log_text(self):
        return "".join(map(read_text, self._rotated)) + super()._log_text()
