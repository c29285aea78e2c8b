# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Fixtures of the system tests, and the logs of those that fail."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import harness      # noqa: E402  (needs the path above)
from reports import Reports     # noqa: E402


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and \
            os.environ.get("NH_MAY_BE_NONE"):
        session.exitstatus = pytest.ExitCode.OK


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: compares times, or needs full speed, so nothing "
        "runs beside it")
    if not os.access(harness.nexthop_milter(), os.X_OK) and \
            not os.environ.get("NH_HARNESS_ONLY"):
        pytest.exit("no %s: build first, or set NH_BUILD_DIR"
                    % harness.nexthop_milter(), returncode=2)
    if os.geteuid() != 0:
        pytest.exit("the system tests start Postfix: they need root",
                    returncode=2)
    config.reports = Reports()


def pytest_unconfigure(config):
    if hasattr(config, "reports"):
        config.reports.close()


class Room:
    """What one test started; all of it ends with the test."""

    def __init__(self):
        self._things = []

    def add(self, thing):
        self._things.append(thing)
        return thing

    def servers(self, *scripts):
        """Scripted SMTP servers, named A, B, C ..."""
        made = []
        for number, script in enumerate(scripts):
            made.append(self.add(harness.FakeSmtp(
                script, name="ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26])))
        return made[0] if len(made) == 1 else made

    def daemon(self, *routes, start=True, **options):
        if routes:
            options["routes"] = tuple(routes)
        daemon = self.add(harness.Daemon(**options))
        if start:
            daemon.start()
        return daemon

    def postfix(self, daemon=None, servers=(), start=True, **settings):
        postfix = self.add(harness.Postfix(**settings))
        if daemon is not None:
            postfix.use(daemon)
        for server in servers:
            server.mta_addresses.add(postfix.outgoing)
        if start:
            postfix.start()
        return postfix

    def learning(self, servers, *routes, delivery=None, settings=None,
                 **options):
        """A daemon that follows the log of the Postfix that uses it; both
        run. delivery: more options of that group; settings: of Postfix."""
        settings = dict(settings or {})
        settings.setdefault("fast_flush_domains", ", ".join(
            route["domain"] for route in routes))
        postfix = self.add(harness.Postfix(**settings))
        open(postfix.maillog, "a").close()  # else the daemon warns
        daemon = self.daemon(
            *routes, delivery=dict(
                dict(logs=[postfix.maillog],
                     flush_command="postqueue -c %s -s" % postfix.config),
                **(delivery or {})), **options)
        postfix.use(daemon)
        for server in servers:
            server.mta_addresses.add(postfix.outgoing)
        postfix.start()
        return daemon, postfix

    def logs(self):
        for thing in self._things:
            if hasattr(thing, "log"):
                thing._mark = 0
                yield type(thing).__name__, thing.log()

    def troubles(self):
        """Unexpected warnings and errors of all daemons."""
        return [line for thing in self._things
                if isinstance(thing, harness.Daemon)
                for line in thing.troubles()]

    def close(self):
        errors = []
        for thing in reversed(self._things):
            try:
                (thing.stop if hasattr(thing, "stop") else thing.close)()
            except Exception as error:      # noqa: BLE001 - told below
                errors.append(error)
        self._things = []
        if errors:
            raise errors[0]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.has_failed = True
    room = item.funcargs.get("room") if hasattr(item, "funcargs") else None
    if report.failed and call.when == "call" and room is not None:
        for name, text in room.logs():
            lines = text.splitlines()
            if len(lines) > 150:
                lines = lines[:50] + ["... (%d lines)" % (
                    len(lines) - 150)] + lines[-100:]
            report.sections.append(("log of " + name, "\n".join(lines)))


@pytest.fixture(autouse=True)
def reports(request):
    """Outlives the room: a leak is told at the end of the process."""
    yield
    text = request.config.reports.take()
    assert text == "", "sanitizer or valgrind:\n" + text


@pytest.fixture
def room(request):
    it = Room()
    yield it
    troubles = it.troubles()
    it.close()
    # A test that failed has said enough.
    if not getattr(request.node, "has_failed", False):
        assert troubles == [], "unexpected warnings or errors"
