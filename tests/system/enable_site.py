# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A private Postfix configuration, and contrib/postfix/enable at work on it."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

CONTRIB = Path(__file__).resolve().parents[2] / "contrib" / "postfix"
ENABLE = CONTRIB / "enable"
FILTER = CONTRIB / "nexthop_status_filter"
MASTER = Path("/usr/share/postfix/master.cf.dist")
MAIN = """compatibility_level = 3.6
queue_directory = {base}/q
data_directory = {base}/d
myhostname = mx.example.net
mydestination = $myhostname, vm, , localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
"""
MILTER = ("{ unix:nexthop/milter, default_action=accept, connect_timeout=5s, "
          "command_timeout=10s, content_timeout=30s }")
MAP = "socketmap:unix:nexthop/map:transport"

NEEDS_POSTFIX = pytest.mark.skipif(
    os.geteuid() != 0 or not MASTER.exists(),
    reason="needs root and an installed Postfix")


def run(*command, **kwargs):
    kwargs.setdefault("timeout", 60)
    return subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **kwargs)


def postmap(folder, *words):
    """postmap(1) with a configuration of its own: the machine may have none."""
    (folder / "main.cf").write_text("compatibility_level = 3.6\n")
    return run("postmap", "-c", folder, *words).stdout.rstrip()


class Site:
    """One Postfix configuration of our own, and `enable` at work on it."""

    def __init__(self, base, main="", master="", chroot=None):
        self.base = Path(base)
        self.etc = self.base / "etc"
        self.queue = self.base / "q"
        self.conf = self.base / "nexthop" / "nexthop.conf"
        self.include = self.base / "nexthop" / "postfix.conf"
        for path in (self.etc, self.queue, self.base / "d", self.conf.parent):
            path.mkdir(parents=True)
        shutil.chown(self.base / "d", "postfix")
        # `postfix check` waits seconds for a main.cf that is brand-new; only
        # the tests of a running Postfix do it in earnest.
        self.env = dict(os.environ, PATH=f"{self.base}/stub:"
                                         f"{os.environ['PATH']}")
        stub = self.base / "stub" / "postfix"
        stub.parent.mkdir()
        stub.write_text("#!/bin/sh\nexit 0\n")
        stub.chmod(0o755)
        self.write("main.cf", MAIN.format(base=self.base) + main)
        text = MASTER.read_text()
        if chroot is not None:
            text = re.sub(r"^((?:smtp|cleanup|rewrite)\s+\S+\s+\S+\s+\S+\s+)y",
                          rf"\g<1>{chroot}", text, flags=re.M)
        self.write("master.cf", text + master)

    def write(self, name, text):
        (self.etc / name).write_text(text)
        self.settle()

    def settle(self):
        """Postfix waits before it reads files that are brand-new."""
        for name in ("main.cf", "master.cf"):
            if (self.etc / name).exists():
                os.utime(self.etc / name, (time.time() - 60,) * 2)

    def enable(self, *options, want=0, **kwargs):
        self.settle()
        kwargs.setdefault("env", self.env)
        done = run(ENABLE, "--config-directory", self.etc, "-c", self.conf,
                   "--include", self.include, *options, **kwargs)
        self.settle()
        assert done.returncode == want, done.stdout
        return done.stdout

    def postconf(self, *options):
        return run("postconf", "-c", self.etc, *options).stdout.strip()

    def value(self, name):
        return self.postconf("-h", name)

    def set(self, assignment):
        run("postconf", "-c", self.etc, "-e", assignment)
        self.settle()

    def meaning(self):
        return self.postconf("-n") + "\n" + self.postconf("-M")

    def files(self):
        return {path: path.read_bytes()
                for path in self.base.rglob("*") if path.is_file()}

    def not_routed(self):
        text = self.include.read_text()
        return re.findall(r'"([^"]*)"',
                          text[text.index("["):text.index("];")])
