# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What ends a process must not end the service."""

import os
import pwd
import re
import signal
import threading

from harness import (GREETING_431, HEALTHY, process_gone, routes_to, spread,
                     wait_until)

LOOKUPS = 20
KILLS = 3
MESSAGES = 600
KILLED = r"worker \d+ ended by signal 9, starting another"


class Asker(threading.Thread):
    """Asks without a pause, as Postfix does: one retry on a new connection
    when one that worked before is lost."""

    def __init__(self, daemon, number):
        super().__init__(daemon=True)
        self.nexthop, self.number = daemon, number
        self.asked = 0
        self.failures = []
        self.done = threading.Event()

    def run(self):
        client = None
        while not self.done.is_set():
            key = "u%d.%d@example.test" % (self.number, self.asked)
            try:
                fresh = client is None
                if fresh:
                    client = self.nexthop.map()
                reply = client.ask(key)
            except (OSError, EOFError) as error:
                if client is not None:
                    client.close()
                client = None
                if fresh:
                    self.failures.append("%s: %r" % (key, error))
                continue
            if not reply.startswith("OK nexthop:"):
                self.failures.append("%s: %s" % (key, reply))
            self.asked += 1
            self.done.wait(0.002)
        if client is not None:
            client.close()


def test_kill_9_of_the_worker_fails_no_lookup_and_defers_no_message(room):
    a, b, sick = room.servers(HEALTHY, HEALTHY, GREETING_431)
    daemon = room.daemon(routes_to(a, b, sick))
    daemon.expect_trouble(KILLED)
    daemon.wait_state(sick, "deferred")
    daemon.ctl("drain", b.key, "--reason", "kept over the kill")
    since = daemon.host(sick)["since"]
    postfix = room.postfix(daemon, (a, b, sick))
    askers = [Asker(daemon, n) for n in range(LOOKUPS)]
    for asker in askers:
        asker.start()
    source = postfix.start_smtp_source(MESSAGES, sessions=5)
    try:
        for number in range(1, KILLS + 1):
            wait_until(lambda: len(a.messages) >= number * 50, 30,
                       "mail flows")
            daemon.kill_worker()
        source.wait(60)
    finally:
        if source.poll() is None:
            source.kill()
        said = source.communicate()[0]
        for asker in askers:
            asker.done.set()
        for asker in askers:
            asker.join(20)
    assert source.returncode == 0, said
    wait_until(lambda: len(a.messages) >= MESSAGES, 60,
               lambda: "all is delivered, have %s" % spread(a, b, sick))
    postfix.wait_queue_empty()
    print("lookups:", sum(asker.asked for asker in askers))
    assert [f for asker in askers for f in asker.failures] == []
    assert postfix.deferred() == postfix.bounced() == 0
    assert spread(a, b, sick) == [MESSAGES, 0, 0]
    assert daemon.host(sick)["since"] == since
    assert daemon.host(b)["override"] == "drain"


def test_worker_ends_when_its_supervisor_is_killed(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server))
    daemon.expect_trouble("the supervisor is gone")
    worker = wait_until(lambda: daemon.worker, 5, "a worker")
    os.kill(daemon.pid, signal.SIGKILL)
    wait_until(lambda: process_gone(worker), 10, "the worker ends, too")


def test_a_restart_keeps_states_and_overrides(room):
    a, b, c = room.servers(GREETING_431, HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a, b, c))
    daemon.wait_state(a, "deferred")
    daemon.ctl("disable", b.key, "--reason", "maintenance")
    since = daemon.host(a)["since"]
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    # The table is a file: it can be read while nobody writes.
    status = daemon.status()
    assert status["writer"]["alive"] is False
    daemon.start()
    assert daemon.host(a)["state"] == "deferred"
    assert daemon.host(a)["since"] == since
    assert daemon.host(b)["override"] == "disabled"
    assert daemon.ask("u@example.test") == "OK nexthop:" + c.hostport


def test_a_damaged_table_is_rebuilt_and_said_so(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    daemon.expect_trouble("health table .* rebuilt, all hosts start up")
    for data in (b"", b"short", b"\xff" * 65536):
        with open(daemon.options["health_table"], "wb") as file:
            file.write(data)
        daemon.mark()
        daemon.start()
        daemon.wait_log(r"warning: health table .* rebuilt, all hosts start up")
        assert daemon.ask("u@example.test") == "OK nexthop:" + a.hostport
        daemon.process.terminate()
        assert daemon.process.wait(20) == 0


def test_a_table_truncated_while_in_use_replaces_the_worker_only(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    daemon.wait_probed(a)
    daemon.expect_trouble(r"worker \d+ ended by signal", "health table")
    os.truncate(daemon.options["health_table"], 0)
    wait_until(lambda: answers(daemon) == "OK nexthop:" + a.hostport, 15,
               lambda: "the map answers\n" + daemon.log()[-3000:])
    wait_until(lambda: daemon.run_ctl("status").returncode == 0, 15,
               lambda: "a whole table is back\n" + daemon.log()[-3000:])
    assert daemon.process.poll() is None


def answers(daemon):
    """What the map says; nothing while the worker is being replaced."""
    try:
        return daemon.ask("u@example.test")
    except (OSError, EOFError):
        return None


def test_a_second_daemon_on_the_same_table_is_refused_in_words(room):
    a = room.servers(HEALTHY)
    first = room.daemon(routes_to(a))
    second = room.daemon(routes_to(a), start=False,
                         health_table=first.options["health_table"])
    second.spawn()
    second.expect_trouble("cannot start")
    second.wait_log("%s is in use by another nexthop-milter" %
                    re.escape(first.options["health_table"]))
    assert second.process.wait(10) == 1
    assert first.ask("u@example.test") == "OK nexthop:" + a.hostport


def test_stop_waits_for_the_open_transaction(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a, b))
    with daemon.milter() as milter:
        milter.mail()
        milter.rcpt("u@example.test")
        # The recipient's reply may be suppressed: a second session's answer
        # proves that the milter has read on.
        with daemon.milter() as other:
            assert other.message("v@example.test") in ("a", "c")
        daemon.process.terminate()
        milter.data()
        assert milter.end_of_message() in ("a", "c")
    assert daemon.process.wait(20) == 0


def test_worker_runs_as_the_user_that_the_configuration_names(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a), start=False, user="postfix")
    owner = pwd.getpwnam("postfix")
    os.chown(daemon.folder, owner.pw_uid, owner.pw_gid)
    daemon.start()
    worker = wait_until(lambda: daemon.worker, 5, "a worker")
    assert os.stat("/proc/%d" % worker).st_uid == owner.pw_uid
    with open("/proc/%d/status" % worker) as file:
        uids = [l for l in file if l.startswith("Uid:")][0].split()[1:]
    assert set(uids) == {str(owner.pw_uid)}
    daemon.wait_probed(a)
    assert daemon.ask("u@example.test") == "OK nexthop:" + a.hostport
    daemon.expect_trouble(KILLED)
    daemon.kill_worker()
    assert daemon.ask("u@example.test") == "OK nexthop:" + a.hostport


def test_sigterm_ends_all_with_status_0_and_leaves_nothing_in_the_way(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    worker = wait_until(lambda: daemon.worker, 5, "a worker")
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    assert process_gone(worker)
    # Whether the files stay or go, the next start must not mind.
    daemon.start()
    assert daemon.ask("u@example.test") == "OK nexthop:" + a.hostport
