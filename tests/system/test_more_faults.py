# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""More ways to be sick, in other numbers and other orders, and what Postfix
remembers of hosts that are well again."""

import re
import socket
import struct

import pytest

from harness import (ACCEPT_AND_CLOSE, EHLO_550, GREETING_421, GREETING_431,
                     GREETING_554, HEALTHY, MAIL_452, SILENT, Script, Traffic,
                     routes_to, send_messages, spread, wait_until)

QUICK = dict(probe=dict(interval=0.4, timeout=0.6),
             defer=dict(fall=1, rise=1, first=0.4, max=5.0))


async def _reset(session):
    session.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.writer.transport.abort()


async def _slow_banner(session):
    for byte in b"220 server.test is in no hurry\r\n":
        await session.send_raw(bytes((byte,)))
        if await session.closed_within(1.0):
            return


async def _hung_handshake(session):
    await session.send_raw(b"220 server.test ESMTP\r\n")
    while (line := await session.line()) is not None:
        if line == "STARTTLS":
            await session.send_raw(b"220 2.0.0 Ready\r\n")
            await session.until_closed()
            return
        await session.send_raw(b"250-server.test\r\n250 STARTTLS\r\n"
                               if line.startswith("EHLO") else b"250 Ok\r\n")


SICK = (
    EHLO_550, MAIL_452, ACCEPT_AND_CLOSE,
    Script("554 greeting without a code",
           greeting="554 No SMTP service here"),
    Script("421 to EHLO", ehlo="421 4.3.2 Too busy"),
    Script("450 to EHLO and HELO", ehlo="450 later", helo="450 later"),
    Script("421 to MAIL", mail="421 4.3.2 Shutting down"),
    Script("450 to MAIL", mail="450 Try later"),
    Script("451 to MAIL", mail="451 4.3.0 Temporary server error"),
    Script("many-line 452", mail="452-4.3.1 No room\n452 4.3.1 at all"),
    Script("odd words", greeting="431 100%s %n \"quoted\" " + "z" * 400),
    Script("resets", raw=_reset),
    Script("slow banner", raw=_slow_banner),
    Script("hung handshake", raw=_hung_handshake),
)


def deliver(postfix, servers, count, wanted, to):
    """Send, and see who took how many."""
    for server in servers:
        server.forget()
    postfix.smtp_source(count, to=to + "@example.test")
    postfix.wait_queue_empty(30)
    assert spread(*servers) == wanted, to


def sent_at_once(postfix, servers, to, count=20):
    """New mail is delivered, whatever older mail waits for."""
    postfix.smtp_source(count, to=to)
    wait_until(lambda: sum(to in r for s in servers for r in s.recipients)
               >= count, 10, lambda: "%s is delivered\n%s" % (
                   to, postfix.log()[-3000:]))


def deferred(postfix, count, to):
    """Send mail that finds nobody well."""
    postfix.mark()
    postfix.smtp_source(count, to=to)
    wait_until(lambda: postfix.deferred() >= count, 30, "mail is deferred")


def first_choices(daemon, session, count):
    """How often each host stands first; one message for each question."""
    chosen = {}
    for number in range(count):
        recipient = "w%d.%d@example.test" % (count, number)
        session.message(recipient)
        first = daemon.ask(recipient).split(":", 1)[1]
        first = re.split("[, ]", first)[0]
        chosen[first] = chosen.get(first, 0) + 1
    return chosen


def test_every_kind_of_sickness_is_found_and_costs_no_message(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10)), **QUICK)
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    for number, script in enumerate(SICK):
        a.become(script)
        daemon.wait_state(a, "deferred")
        deliver(postfix, (a, b), 4, [0, 4], "sick%d" % number)
        assert a.deliveries == [], script.name
        a.become(HEALTHY)
        daemon.wait_state(a, "up")
    deliver(postfix, (a, b), 10, [10, 0], "well")
    assert postfix.deferred() == postfix.bounced() == 0
    lines = [line for line in daemon.log().splitlines()
             if "Connection Error" in line]
    for line in lines:
        assert line.isprintable() and re.search(
            r": Connection Error: DCID \d+ domain: example\.test IP: %s "
            r"port: %d details: .{1,160} interface: 127\.0\.0\.1 reason: "
            r"[\w ]+$" % (re.escape(a.address), a.port), line), line
    assert len(lines) >= len(SICK)


def test_the_third_tier_takes_all_while_two_are_sick_in_different_ways(room):
    servers = a, b, c = room.servers(GREETING_431, SILENT, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10), (c, 20)), **QUICK)
    daemon.wait_state(a, "deferred")
    daemon.wait_state(b, "deferred")
    postfix = room.postfix(daemon, servers)
    deliver(postfix, servers, 30, [0, 0, 30], "third")
    b.become(HEALTHY)
    daemon.wait_state(b, "up")
    deliver(postfix, servers, 30, [0, 30, 0], "second")
    a.become(HEALTHY)
    daemon.wait_state(a, "up")
    deliver(postfix, servers, 30, [30, 0, 0], "first")
    b.refuse()
    daemon.wait_state(b, "deferred")
    a.become(MAIL_452)
    daemon.wait_state(a, "deferred")
    deliver(postfix, servers, 30, [0, 0, 30], "third-again")
    assert postfix.deferred() == postfix.bounced() == 0


def test_shares_stay_exact_as_hosts_of_one_tier_leave_and_return(room):
    servers = room.servers(*[HEALTHY] * 5)
    a, b = servers[:2]
    daemon = room.daemon(routes_to(*servers), **QUICK)
    postfix = room.postfix(daemon, servers)
    deliver(postfix, servers, 100, [20] * 5, "five")
    a.become(GREETING_431)
    b.refuse()
    daemon.wait_state(a, "deferred")
    daemon.wait_state(b, "deferred")
    deliver(postfix, servers, 60, [0, 0, 20, 20, 20], "three")
    b.listen()
    daemon.wait_state(b, "up")
    deliver(postfix, servers, 80, [0, 20, 20, 20, 20], "four")
    a.become(HEALTHY)
    daemon.wait_state(a, "up")
    deliver(postfix, servers, 100, [20] * 5, "five-again")
    assert postfix.deferred() == postfix.bounced() == 0


def test_weights_5_2_1_are_exact_and_5_1_without_one(room):
    a, b, c = room.servers(HEALTHY, HEALTHY, HEALTHY)
    daemon = room.daemon(dict(domain="example.test", hosts=(
        a.host(weight=5), b.host(weight=2), c.host(weight=1))), **QUICK)
    with daemon.milter() as session:
        assert first_choices(daemon, session, 80) == {
            a.hostport: 50, b.hostport: 20, c.hostport: 10}
        b.become(GREETING_431)
        daemon.wait_state(b, "deferred")
        assert first_choices(daemon, session, 60) == {
            a.hostport: 50, c.hostport: 10}


# -- what Postfix remembers of hosts that are well again -------------------

def test_a_host_is_spelled_anew_by_whatever_way_it_comes_back(room):
    """Postfix has met it sick and would not try the same text again before
    minimal_backoff_time. Not only rise good probes bring a host back."""
    a, b, c = room.servers(HEALTHY, HEALTHY, HEALTHY)
    daemon = room.daemon(
        routes_to(a, domain="below.test"), routes_to(b, domain="force.test"),
        routes_to(c, domain="enable.test"),
        probe=dict(interval=0.4), defer=dict(fall=20))
    daemon.wait_probed(a, b, c)
    postfix = room.postfix(daemon, (a, b, c))

    # Below fall: the daemon takes no notice, Postfix does.
    a.become(GREETING_431)
    wait_until(lambda: daemon.host(a)["failures"] > 0, 5, "a failed probe")
    deferred(postfix, 20, "old@below.test")
    a.become(HEALTHY)
    wait_until(lambda: daemon.host(a)["failures"] == 0, 5, "a good probe")
    assert daemon.state(a) == "up" and not daemon.log_contains("-> deferred")
    sent_at_once(postfix, (a,), "new@below.test")

    # Forced up, while the probes have yet to see that it is well.
    daemon.configure(defer=dict(fall=1, rise=100))
    daemon.ctl("reload")
    b.become(GREETING_431)
    daemon.wait_state(b, "deferred")
    deferred(postfix, 20, "old@force.test")
    b.become(HEALTHY)
    daemon.ctl("force-up", b.key)
    sent_at_once(postfix, (b,), "new@force.test")

    # Down when Postfix tried it, and disabled before a probe saw that.
    daemon.configure(defer=dict(fall=100))
    daemon.ctl("reload")
    c.refuse()
    deferred(postfix, 20, "old@enable.test")
    daemon.ctl("disable", c.key)
    daemon.wait_log("override none -> disabled")
    c.listen()
    daemon.ctl("enable", c.key)
    daemon.wait_log("override disabled -> none")
    sent_at_once(postfix, (c,), "new@enable.test")

def test_new_mail_flows_at_once_whatever_was_said_while_all_were_sick(room):
    servers = a, b, c = room.servers(*[GREETING_431] * 3)
    daemon = room.daemon(
        routes_to(a, b, domain="try.test"),
        routes_to(a, b, domain="hold.test", when_all_deferred="hold"),
        routes_to(a, b, domain="temp.test", when_all_deferred="tempfail"),
        routes_to(c, domain="one.test", when_all_deferred="hold"), **QUICK)
    for server in servers:
        daemon.wait_state(server, "deferred")
    postfix = room.postfix(daemon, servers)
    domains = "try.test", "hold.test", "one.test"
    for domain in domains:
        deferred(postfix, 10, "old@" + domain)
    with pytest.raises(AssertionError, match="451 4.3.1"):
        postfix.smtp_source(1, to="old@temp.test")
    b.become(HEALTHY)
    c.become(HEALTHY)
    daemon.wait_state(b, "up")
    daemon.wait_state(c, "up")
    for domain in domains + ("temp.test",):
        sent_at_once(postfix, servers, "new@" + domain, 10)
    a.become(HEALTHY)
    daemon.wait_state(a, "up")
    sent_at_once(postfix, servers, "newer@try.test", 10)
    postfix.flush_until_empty()
    assert sum(spread(a, b)) == 60 and spread(c) == [20]
    assert postfix.bounced() == 0


# -- changes in mid-traffic -------------------------------------------------

def test_reloads_and_sick_hosts_in_mid_traffic_delay_no_mail(room):
    a, b, c = room.servers(HEALTHY, HEALTHY, HEALTHY)
    kept = routes_to(a, b)
    daemon = room.daemon(kept, **QUICK)
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b, c))
    others = ((kept, routes_to(b, a, domain="other.test")),
              (routes_to(a, b, c, domain="more.test"), kept),
              (routes_to(c, domain="less.test"), kept))
    traffic = Traffic(postfix, "reload")
    try:
        for turn in range(12):
            daemon.configure(routes=others[turn % 3])
            daemon.ctl("reload")
            traffic.go_on()
    finally:
        traffic.stop()
    postfix.wait_queue_empty(30)
    assert abs(len(a.messages) - len(b.messages)) <= 1, \
        "reloads disturbed the round robin"
    assert len(a.messages) + len(b.messages) == traffic.sent

    daemon.configure(routes=(routes_to(a, b, c),))
    daemon.ctl("reload")
    traffic = Traffic(postfix, "sick")
    try:
        for first, second in ((MAIL_452, GREETING_554),
                              (ACCEPT_AND_CLOSE, GREETING_421)):
            a.become(first)
            b.become(second)
            daemon.wait_state(a, "deferred")
            daemon.wait_state(b, "deferred")
            b.become(HEALTHY)
            daemon.wait_state(b, "up")
            a.become(HEALTHY)
            daemon.wait_state(a, "up")
    finally:
        traffic.stop()
    postfix.wait_queue_empty(30)
    assert postfix.sent() == sum(spread(a, b, c))
    assert postfix.deferred() == postfix.bounced() == 0
    assert postfix.troubles() == []


# -- recipients -------------------------------------------------------------

def test_recipients_of_many_routes_and_spellings_are_split_by_set_only(room):
    servers = a, b, c, other = room.servers(*[HEALTHY] * 4)
    daemon = room.daemon(
        dict(domain="example.test", pool="one"),
        dict(domain=".example.test", pool="one"),
        dict(domain="x.deep.example.test", pool="two"),
        dict(domain="ALL", hosts=(other.host(),)),
        pools=(dict(name="one", hosts=(a.host(), b.host())),
               dict(name="two", hosts=(b.host(), c.host()))))
    postfix = room.postfix(daemon, servers)
    send_messages(postfix, [("sender@sender.test", (
        "m%d@example.test" % n, "M%d@Sub.Example.Test" % n,
        '"q %d@x"@example.test' % n, "u%%%d@example.test" % n,
        "n%d@x.deep.example.test" % n, "o%d@elsewhere.test" % n))
        for n in range(20)], sessions=4)
    postfix.wait_queue_empty(30)
    took = [sorted(len(m.recipients) for m in s.messages) for s in servers]
    assert took == [[4] * 10, [1] * 10 + [4] * 10, [1] * 10, [1] * 20]
    assert postfix.deferred() == postfix.bounced() == 0


def test_a_local_part_beyond_measure_goes_the_way_of_its_domain(room):
    a = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(a))
    recipient = "l" * 900 + "@example.test"
    assert daemon.ask(recipient) == "OK nexthop:" + a.hostport


def test_the_log_is_quiet_while_all_is_well(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(a, b), probe=dict(interval=0.2),
                         log=dict(level="info"))
    daemon.wait_probed(a, b)
    daemon.mark()
    seen = daemon.observed(a)
    wait_until(lambda: daemon.observed(a) >= seen + 5, 10, "more probes")
    assert daemon.log() == ""


def test_three_outages_of_three_hosts_do_not_bring_a_spelling_back(room):
    servers = room.servers(HEALTHY, HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to(*servers), probe=dict(interval=1.5),
                         defer=dict(rise=1))
    daemon.wait_probed(*servers)
    postfix = room.postfix(daemon, servers)
    for outage in range(3):
        for server in servers:
            server.become(GREETING_431)
        deferred(postfix, 40, "old%d@example.test" % outage)
        for server in servers:
            daemon.wait_state(server, "deferred")
            server.become(HEALTHY)
        for server in servers:
            daemon.wait_state(server, "up")
        sent_at_once(postfix, servers, "new%d@example.test" % outage)
