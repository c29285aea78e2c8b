# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""nexthopctl against the running daemon, and without it."""

import json
import re
import stat
import os

import pytest

from harness import GREETING_431, HEALTHY, SILENT, routes_to, wait_until

HOST_KEYS = {
    "host", "port", "state", "override", "usable", "reason", "stage",
    "source", "since", "until", "failures", "picked", "observed_ok",
    "observed_failed", "latency_ms"}


def test_status_has_the_keys_that_monitoring_reads(room):
    a, b = room.servers(HEALTHY, GREETING_431)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.wait_state(b, "deferred")
    status = daemon.status()
    assert {"generation", "writer", "hosts", "routes"} <= set(status)
    assert status["writer"]["alive"] is True
    assert status["writer"]["pid"] == daemon.worker
    assert status["routes"][0]["domain"] == "example.test"
    assert status["routes"][0]["hosts"] == [a.key, b.key]
    for host in status["hosts"]:
        assert HOST_KEYS <= set(host), HOST_KEYS - set(host)
    sick = daemon.host(b)
    assert sick["reason"] == "431 Mail system full"
    assert sick["stage"] == "greeting"
    assert sick["source"] == "probe"
    rfc3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)$"
    assert re.match(rfc3339, sick["since"])
    assert re.match(rfc3339, sick["until"])
    assert daemon.host(a)["until"] is None
    text = daemon.ctl("status")
    assert a.address in text and "431 Mail system full" in text


def test_lookup_says_which_route_which_order_and_why(room):
    a, b = room.servers(HEALTHY, GREETING_431)
    daemon = room.daemon(routes_to(a, b))
    daemon.wait_state(b, "deferred")
    text = daemon.ctl("lookup", "User@Example.test")
    assert "example.test" in text
    assert a.hostport in text or a.key in text
    assert "deferred" in text
    cursor = daemon.status()["routes"][0]["cursor"]
    daemon.ctl("lookup", "u@example.test", "--count", "5")
    assert daemon.status()["routes"][0]["cursor"] == cursor, \
        "looking must not draw tickets"


def test_drain_disable_and_enable_take_effect_at_the_next_question(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.wait_probed(a, b)
    both = "OK nexthop:%s,%s" % (a.hostport, b.hostport)
    only = "OK nexthop:" + b.hostport
    assert daemon.ask("u@example.test") == both
    for word, override in (("drain", "drain"), ("disable", "disabled")):
        daemon.ctl(word, a.key, "--reason", "a test")
        assert daemon.ask("u@example.test") == only
        assert daemon.host(a)["override"] == override
        daemon.ctl("enable", a.key)
        # Spelled anew, perhaps.
        answer = daemon.ask("u@example.test")
        assert re.findall(r"\[[^,\s]+", answer) == [a.hostport, b.hostport]
        assert daemon.host(a)["override"] == "none"


def test_force_up_beats_what_was_measured(room):
    a, b = room.servers(GREETING_431, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.wait_state(a, "deferred")
    assert daemon.ask("u@example.test") == "OK nexthop:" + b.hostport
    daemon.ctl("force-up", a.key)
    assert daemon.host(a)["override"] == "forced-up"
    assert daemon.ask("u@example.test").startswith(
        "OK nexthop:" + a.hostport)
    daemon.ctl("enable", a.key)
    assert daemon.ask("u@example.test") == "OK nexthop:" + b.hostport


def test_an_override_with_an_end_ends(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.ctl("disable", a.key, "--for", "2s")
    assert daemon.ask("u@example.test") == "OK nexthop:" + b.hostport
    wait_until(lambda: a.hostport in daemon.ask("u@example.test"), 6,
               "the time of the override is over")
    assert daemon.host(a)["override"] == "none"


def test_overrides_work_while_the_daemon_is_down(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)))
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    daemon.ctl("drain", a.key)
    assert daemon.host(a)["override"] == "drain"
    assert a.key in daemon.ctl("status")
    assert daemon.run_ctl("reload").returncode != 0
    daemon.start()
    assert daemon.ask("u@example.test") == "OK nexthop:" + b.hostport


def test_probe_shows_the_dialogue(room):
    a, b = room.servers(HEALTHY, GREETING_431)
    daemon = room.daemon(routes_to(a, b), probe=dict(interval=60.0))
    daemon.wait_state(b, "deferred")
    before = len(a.probes)
    text = daemon.ctl("probe", a.key)
    assert len(a.probes) == before + 1
    for said in ("220 server.test", "EHLO probe.test", "250", "MAIL FROM:<>",
                 "QUIT"):
        assert said in text, text
    done = daemon.run_ctl("probe", b.key)
    assert "431 Mail system full" in done.stdout + done.stderr
    assert done.returncode != 0


def test_probe_of_a_silent_host_ends_with_its_timeout(room):
    a = room.servers(SILENT)
    daemon = room.daemon(routes_to(a), probe=dict(timeout=1.0))
    done = daemon.run_ctl("probe", a.key, timeout=10)
    assert done.returncode != 0
    assert done.stdout + done.stderr != ""


def test_reload_takes_new_routes_and_keeps_the_history_of_hosts(room):
    a, b, c = room.servers(GREETING_431, HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a, b))
    daemon.wait_state(a, "deferred")
    before = daemon.host(a)
    daemon.configure(routes=(routes_to(a, c),
                             routes_to(c, domain="new.test")))
    daemon.ctl("reload")
    wait_until(lambda: daemon.ask("u@new.test") ==
               "OK nexthop:" + c.hostport, 10, "the new route is served")
    assert daemon.ask("u@example.test") == "OK nexthop:" + c.hostport
    after = daemon.host(a)
    assert after["state"] == "deferred"
    assert after["since"] == before["since"]
    assert daemon.status()["generation"] > 0
    wait_until(lambda: c.probes, 10, "the new host is probed")


def test_sighup_reloads_and_many_of_them_kill_nobody(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a))
    worker = daemon.worker
    for _ in range(200):
        daemon.reload()
    daemon.configure(routes=(routes_to(b),))
    daemon.reload()
    wait_until(lambda: daemon.ask("u@example.test") ==
               "OK nexthop:" + b.hostport, 15, "the last file is in force")
    assert daemon.process.poll() is None
    assert daemon.worker == worker
    with daemon.milter() as milter:
        assert milter.message("u@example.test") in ("a", "c")


def test_a_reload_that_needs_more_room_keeps_states(room):
    """More hosts than the table has slots: a new file takes over."""
    a, b = room.servers(GREETING_431, HEALTHY)
    daemon = room.daemon(routes_to(a, b), probe=dict(interval=300.0))
    daemon.wait_state(a, "deferred")
    daemon.ctl("drain", b.key)
    many = tuple(dict(domain="d%d.test" % n, hosts=(dict(
        host="127.0.0.1", port=1 + n),)) for n in range(500))
    daemon.configure(routes=(routes_to(a, b),) + many,
                     probe=dict(level="connect"))
    daemon.ctl("reload")
    wait_until(lambda: daemon.ask("u@d499.test").startswith("OK "), 15,
               lambda: "the new routes are served\n" + daemon.log()[-3000:])
    assert daemon.host(a)["state"] == "deferred"
    assert daemon.host(b)["override"] == "drain"


@pytest.mark.parametrize("words", (
    (), ("dance",), ("drain",), ("drain", "[1.2.3.4"), ("lookup",),
    ("drain", "127.0.0.1:99999"), ("drain", "192.0.2.77:25"),
    ("disable", "192.0.2.77", "--for", "soon")))
def test_wrong_words_are_refused_in_words(room, words):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    done = daemon.run_ctl(*words)
    assert done.returncode != 0
    assert done.stderr != ""


def test_control_socket_is_for_its_owner_only(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    mode = stat.S_IMODE(os.stat(daemon.options["control_socket"]).st_mode)
    assert mode == 0o600
    mode = stat.S_IMODE(os.stat(daemon.options["health_table"]).st_mode)
    assert mode == 0o640


def test_status_is_valid_json_whatever_the_host_said(room):
    from harness import Script
    a = room.servers(Script("rude", greeting='431 "quoted" \\ back\tslash'))
    daemon = room.daemon(routes_to(a))
    daemon.wait_state(a, "deferred")
    text = daemon.ctl("status", "--json")
    assert json.loads(text)["hosts"][0]["reason"].startswith("431 ")
