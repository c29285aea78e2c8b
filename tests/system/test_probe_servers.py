# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The probe against scripted SMTP servers: each row names the server, the
state it must lead to and the log line it must leave, within one deadline."""

import re
import time

import pytest

import harness
from harness import (HEALTHY, STARTTLS, FakeSmtp, routes_to, wait_until)

TIMEOUT = 1.0           # of one probe, all its steps together
SLACK = 2.0             # for a busy machine

UNEXPECTED = "unexpected SMTP response"

# (script or deed of the server, stage, "details:" of the Connection Error line
# as a pattern, its "reason:")
GOOD = (
    harness.HEALTHY,
    harness.HELO_ONLY,
    harness.MULTILINE_EHLO,
    harness.MULTILINE_GREETING,
    harness.STARTTLS,
)
BAD = (
    (harness.NOT_SMTP, "greeting",
     r"not an SMTP reply: HTTP/1\.1 400 Bad Request", UNEXPECTED),
    (harness.GREETING_421, "greeting",
     r"421 4\.3\.2 Shutting down", UNEXPECTED),
    (harness.GREETING_431, "greeting", "431 Mail system full", UNEXPECTED),
    (harness.GREETING_554, "greeting", r"554 5\.7\.1 Go away", UNEXPECTED),
    (harness.EHLO_550, "ehlo", r"550 5\.7\.1 Not for you", UNEXPECTED),
    (harness.MAIL_452, "mail",
     r"452 4\.3\.1 Insufficient system resources", UNEXPECTED),
    (harness.SILENT, "greeting", "no answer in time", "timed out"),
    (harness.HALF_A_LINE, "greeting", "no answer in time", "timed out"),
    (harness.CLOSE_IN_REPLY, "greeting",
     "connection closed in mid-dialogue", "connection lost"),
    ("refuse", "connect", "connection refused", "connection refused"),
    ("black_hole", "connect", "no answer in time", "timed out"),
    (harness.ACCEPT_AND_CLOSE, "greeting",
     "connection closed in mid-dialogue", "connection lost"),
    (harness.DRIP, "greeting", "no answer in time", "timed out"),
    (harness.ENDLESS_LINES, "greeting",
     "endless reply: 220-and yet another line", UNEXPECTED),
    (harness.ENDLESS_LINE, "greeting", "line too long: 220 aaa", UNEXPECTED),
    (harness.HUGE_BANNER, "greeting", "line too long: 220-bbb", UNEXPECTED),
    (harness.BINARY, "greeting", r"not an SMTP reply: 220 \\x00\\x1b\[31m",
     UNEXPECTED),
)


def probe_options(**more):
    return dict(level="mail", timeout=TIMEOUT, interval=60.0, **more)


@pytest.mark.parametrize("script", GOOD, ids=lambda s: s.name)
def test_healthy_server_stays_up(room, script):
    server = room.servers(script)
    daemon = room.daemon(routes_to(server), probe=probe_options())
    wait_until(lambda: server.probes and server.probes[0].quit, 5,
               lambda: "the probe says QUIT\n" + daemon.log())
    assert daemon.state(server) == "up"
    assert not daemon.log_contains("Connection Error")
    host = wait_until(lambda: (daemon.host(server) or {}).get("observed_ok")
                      and daemon.host(server), 5, "the probe is counted")
    assert host["observed_failed"] == 0


@pytest.mark.parametrize(
    "script,stage,details,reason", BAD,
    ids=lambda value: getattr(value, "name", None) or str(value)[:12])
def test_sick_server_is_deferred_within_one_deadline(
        room, script, stage, details, reason):
    server = room.servers(HEALTHY)
    if isinstance(script, str):
        getattr(server, script)()
    else:
        server.become(script)
    start = time.monotonic()
    daemon = room.daemon(routes_to(server), probe=probe_options())
    daemon.wait_state(server, "deferred", timeout=TIMEOUT + SLACK)
    print("%.2f s" % (time.monotonic() - start))
    daemon.wait_log(
        r"Connection Error: DCID \d+ domain: example\.test IP: %s port: %d "
        r"details: %s.* interface: 127\.0\.0\.1 reason: %s$" % (
            re.escape(server.address), server.port, details, reason))
    daemon.wait_log(
        r"host %s up -> deferred for 1 s: %s.* \(%s, probe, failure 1\)$" % (
            re.escape(server.hostport), details, stage))
    host = daemon.host(server)
    assert (host["stage"], host["source"]) == (stage, "probe")
    # Whatever it said, the log has one printable line of bounded length.
    for text in daemon.log().splitlines():
        assert len(text) < 1000
        assert text.isprintable(), text


def test_binary_and_huge_answers_leave_other_hosts_alone(room):
    bad = room.servers(harness.BINARY, harness.HUGE_BANNER,
                       harness.ENDLESS_LINE, harness.ENDLESS_LINES,
                       harness.DRIP, harness.SILENT)
    good = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(*bad, good), probe=probe_options())
    for server in bad:
        daemon.wait_state(server, "deferred", timeout=TIMEOUT + SLACK)
    assert daemon.state(good) == "up"
    assert daemon.ask("u@example.test") == "OK nexthop:" + good.hostport


def probe_commands(room, level, script=HEALTHY, **more):
    """What a first, good probe says at one level."""
    server = room.servers(script)
    server.greeting_delay = 0.1
    daemon = room.daemon(routes_to(server), probe=dict(
        level=level, interval=60.0, timeout=5.0, **more))
    wait_until(lambda: (daemon.host(server) or {}).get("observed_ok"), 10,
               lambda: "a good probe\n" + daemon.log())
    session = server.probes[0]
    assert not session.early_talker
    assert all(not s.messages for s in server.sessions)
    return session


@pytest.mark.parametrize("level,expected", (
    ("greeting", ["QUIT"]),
    ("ehlo", ["EHLO probe.test", "QUIT"]),
    ("mail", ["EHLO probe.test", "MAIL FROM:<>", "QUIT"]),
    ("rcpt", ["EHLO probe.test", "MAIL FROM:<>",
              "RCPT TO:<postmaster@example.test>", "QUIT"]),
))
def test_each_probe_level_says_its_words_and_quit_and_never_data(
        room, level, expected):
    more = {"recipient": "postmaster@example.test"} if level == "rcpt" else {}
    session = probe_commands(room, level, **more)
    wait_until(lambda: session.quit, 5, lambda: "QUIT: %s" % session.commands)
    assert session.commands == expected


def test_connect_level_asks_for_nothing(room):
    server = room.servers(harness.SILENT)
    daemon = room.daemon(routes_to(server), probe=dict(
        level="connect", interval=60.0, timeout=TIMEOUT))
    wait_until(lambda: (daemon.host(server) or {}).get("observed_ok"), 10,
               lambda: "a good probe\n" + daemon.log())
    assert daemon.state(server) == "up"


@pytest.mark.parametrize("level", ("starttls", "mail"))
def test_probe_uses_starttls_where_it_is_offered(room, level):
    session = probe_commands(room, level, STARTTLS)
    assert session.tls
    assert "STARTTLS" in session.commands
    assert session.commands.count("EHLO probe.test") == (
        2 if level == "mail" else session.commands.count("EHLO probe.test"))


def test_starttls_level_demands_it(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server), probe=probe_options() | dict(
        level="starttls"))
    daemon.wait_state(server, "deferred", timeout=TIMEOUT + SLACK)
    daemon.wait_log(r"host %s up -> deferred .*STARTTLS" % re.escape(
        server.hostport))


@pytest.mark.parametrize("reply", (
    "530 5.7.0 Must issue a STARTTLS command first",
    "550 5.1.0 Null sender is not welcome",
    "451 4.7.1 Greylisted",
))
def test_dislike_of_the_null_sender_is_not_host_trouble(room, reply):
    server = room.servers(harness.Script("policy", mail=reply))
    daemon = room.daemon(routes_to(server), probe=dict(
        level="mail", interval=1.0, timeout=TIMEOUT))
    wait_until(lambda: len(server.probes) >= 3, 10, "three probes")
    assert daemon.state(server) == "up"
    said = r"warning: host %s refuses the probe at mail: %s" % (
        re.escape(server.hostport), re.escape(reply))
    daemon.expect_trouble(said)
    daemon.wait_log(said, times=1)


def test_one_host_in_two_routes_is_probed_once(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server),
                         routes_to(server, domain="other.test"),
                         probe=dict(interval=60.0))
    wait_until(lambda: (daemon.host(server) or {}).get("observed_ok"), 10,
               "a good probe")
    assert len(server.probes) == 1
    assert len(daemon.status()["hosts"]) == 1


def test_probe_leaves_from_the_address_that_it_is_told(room):
    server = room.servers(HEALTHY)
    source = harness.LOOPBACK.address()
    daemon = room.daemon(routes_to(server), probe=dict(bind_address=source))
    wait_until(lambda: server.probes, 10, "a probe")
    assert server.probes[0].peer == source
    daemon.wait_log(r"New SMTP DCID \d+ interface %s address %s port %d" % (
        re.escape(source), re.escape(server.address), server.port))


def test_a_host_that_comes_back_needs_as_many_good_probes_as_rise_says(room):
    server = room.servers(harness.GREETING_431)
    daemon = room.daemon(routes_to(server), defer=dict(rise=3))
    daemon.wait_state(server, "deferred")
    server.forget()
    server.become(HEALTHY)
    daemon.wait_state(server, "up", timeout=30)
    good = [s for s in server.probes if s.helo == "probe.test"]
    assert len(good) >= 3
    daemon.wait_log(r"host %s deferred -> up after [\d.]+ s: 3 good probes" %
                    re.escape(server.hostport))


def test_hosts_by_name_are_found_and_probed(room):
    server = FakeSmtp(HEALTHY, address="127.0.0.1")
    room.add(server)
    daemon = room.daemon(dict(domain="example.test", hosts=(
        dict(host="localhost", port=server.port),)))
    wait_until(lambda: server.probes, 10,
               lambda: "localhost is probed\n" + daemon.log())
    wait_until(lambda: daemon.ask("u@example.test").startswith(
        "OK nexthop:") and "hold" not in daemon.ask("u@example.test"), 5,
        "the name is answered")
