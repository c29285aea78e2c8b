# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""When a host is well again, the mail that waited for it is delivered at once,
and so is new mail."""

import re
import time

import pytest

from harness import (EHLO_550, GREETING_431, HEALTHY, MAIL_452, SILENT,
                     Script, routes_to, wait_until)
from waiting_mail import (BRISK, make_well, put_off, wait_arrivals,
                          wait_log_moment, wait_put_off)

GREETING_TIMEOUT = 5    # smtp_helo_timeout of the service that enable makes
LIMIT = 5
NEW = 20
REFUSING = "refuses connections"


def make_sick(server, how):
    if how is REFUSING:
        server.refuse()
    else:
        server.become(how)


def sick(room, servers, hows, *routes):
    """A daemon and a Postfix that know each host as sick as it is."""
    for server, how in zip(servers, hows):
        make_sick(server, how)
    daemon, postfix = room.learning(servers, *routes, **BRISK)
    for server in servers:
        daemon.wait_state(server, "deferred")
    assert int(postfix.get("minimal_backoff_time").rstrip("s")) >= 300
    return daemon, postfix


def recover(daemon, postfix, well, waiting, limit):
    """Let a host be well: what waits arrives in time, new mail at once.

    waiting: how many, by the name of their domain."""
    servers = [well]
    daemon.mark()
    make_well(well, HEALTHY)
    seen = wait_log_moment(
        daemon, "host %s .*-> up" % re.escape(well.hostport))
    moving = postfix.queued("active")
    for domain in waiting:
        postfix.smtp_source(NEW, to="new@" + domain)
    figures = []
    for domain, count in waiting.items():
        wait_arrivals(postfix, servers, NEW, "new@" + domain, 30)
        last = wait_arrivals(postfix, servers, count, "old@" + domain, 60)
        figures.append(last - seen)
    print("%d messages within %.2f s of the recovery being seen; %d were in "
          "the active queue then" % (
              sum(waiting.values()), max(figures), moving))
    assert max(figures) <= limit
    assert [result for result in postfix.results("deferred")
            if "new@" in result["to"]] == []
    assert postfix.bounced() == 0
    postfix.wait_queue_empty()


def test_what_waited_for_two_refusing_hosts_comes_within_five_seconds(room):
    servers = a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = sick(room, servers, (REFUSING, REFUSING),
                           routes_to(a, b))
    put_off(postfix, 200, "old@example.test")
    postfix.wait_settled()
    recover(daemon, postfix, b, {"example.test": 200}, LIMIT)


@pytest.mark.parametrize("well", (0, 1), ids=("silent", "refusing"))
def test_what_waited_for_a_silent_and_a_refusing_host_comes_in_time(
        room, well):
    servers = a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = sick(room, servers, (SILENT, REFUSING),
                           routes_to(a, b))
    put_off(postfix, 200, "old@example.test")
    postfix.wait_settled()
    recover(daemon, postfix, servers[well], {"example.test": 200},
            GREETING_TIMEOUT + LIMIT)


@pytest.mark.parametrize("well", (0, 1), ids=("silent", "refusing"))
def test_messages_in_an_attempt_at_the_recovery_come_in_time_too(room, well):
    """Half of the mail has failed, half is still on its way into the silence
    when the host is seen well. C makes the other half a destination of its
    own, which Postfix does not know to be dead."""
    servers = a, b, c = room.servers(HEALTHY, HEALTHY, HEALTHY)
    daemon, postfix = sick(
        room, servers, (SILENT, REFUSING, REFUSING),
        routes_to(a, b, domain="one.test"),
        routes_to(a, b, c, domain="two.test"))
    postfix.smtp_source(100, to="old@one.test")
    wait_until(lambda: a.deliveries, 20, "an attempt meets the silence")
    time.sleep(max(0, a.deliveries[0].at + 3 - time.monotonic()))
    postfix.smtp_source(100, to="old@two.test")
    wait_put_off(postfix, 1, "old@one.test")
    recover(daemon, postfix, servers[well],
            {"one.test": 100, "two.test": 100}, GREETING_TIMEOUT + LIMIT)


@pytest.mark.parametrize("script", (GREETING_431, MAIL_452),
                         ids=lambda script: script.name)
def test_what_waited_for_hosts_that_answer_4xx_comes_within_five_seconds(
        room, script):
    servers = a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = sick(room, servers, (script, script), routes_to(a, b))
    put_off(postfix, 50, "old@example.test")
    postfix.wait_settled()
    recover(daemon, postfix, a, {"example.test": 50}, LIMIT)


def test_what_a_row_of_refusals_put_off_comes_at_the_recovery_too(room):
    """Each of these replies could be a recipient's own affair."""
    a = room.servers(HEALTHY)
    daemon, postfix = room.learning([a], routes_to(a), **BRISK)
    daemon.wait_state(a, "up")
    a.become(Script("450 to everybody", rcpt="450 4.0.0 Try later"))
    put_off(postfix, 25, "old@example.test")
    postfix.wait_settled()
    assert daemon.state(a) != "up"
    recover(daemon, postfix, a, {"example.test": 25}, LIMIT)


def test_mail_put_off_by_one_host_while_another_is_up_comes_soon(room):
    """After a refusal for good at EHLO Postfix asks no other host."""
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = room.learning([a, b], routes_to(a, b),
                                    probe=dict(interval=300.0, timeout=1.0))
    for server in (a, b):
        daemon.wait_state(server, "up")
    a.become(EHLO_550)
    postfix.smtp_source(6, to="old@example.test")
    wait_arrivals(postfix, [b], 6, "old@example.test", 20)
    print("%d of 6 had to wait" % postfix.deferred())
    assert postfix.deferred() > 0, "nothing was put off"
    assert postfix.bounced() == 0
    postfix.wait_queue_empty()
