# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Hosts of equal priority take turns, exactly, and no message is split."""

import pytest

from harness import (GREETING_431, HEALTHY, LOOPBACK, send_messages, spread,
                     wait_until)

MESSAGES = 1000


def setting(room, *scripts, weights=None, routes=None, **options):
    servers = room.servers(*scripts)
    hosts = tuple(s.host(weight=w) for s, w in zip(
        servers, weights or [1] * len(servers)))
    if routes is None:
        routes = (dict(domain="example.test", hosts=hosts),)
    else:
        options["pools"] = (dict(name="pool", hosts=hosts),)
    daemon = room.daemon(*routes, **options)
    postfix = room.postfix(daemon, servers)
    return servers, daemon, postfix


def delivered(postfix, servers, count):
    wait_until(lambda: sum(spread(*servers)) >= count, 60,
               lambda: "%d messages, have %s" % (count, spread(*servers)))
    postfix.wait_queue_empty()
    assert sum(spread(*servers)) == count, "a message was split"
    assert postfix.deferred() == postfix.bounced() == 0


def near(figures, wanted, within):
    print("shares", figures)
    for figure, want in zip(figures, wanted):
        assert abs(figure - want) <= within, figures


@pytest.mark.parametrize("recipients", (1, 2, 3))
def test_two_equal_hosts_get_the_same_share_and_whole_messages(
        room, recipients):
    servers, _, postfix = setting(room, HEALTHY, HEALTHY)
    postfix.smtp_source(MESSAGES, recipients=recipients)
    delivered(postfix, servers, MESSAGES)
    near(spread(*servers), (500, 500), 2)
    for server in servers:
        assert all(len(m.recipients) == recipients for m in server.messages)


def test_weights_three_to_one_are_kept(room):
    servers, _, postfix = setting(room, HEALTHY, HEALTHY, weights=(3, 1))
    postfix.smtp_source(MESSAGES)
    delivered(postfix, servers, MESSAGES)
    near(spread(*servers), (750, 250), 3)


def test_the_share_of_a_deferred_host_spreads_over_all_others(room):
    servers, daemon, postfix = setting(
        room, HEALTHY, GREETING_431, HEALTHY)
    daemon.wait_state(servers[1], "deferred")
    postfix.smtp_source(MESSAGES)
    delivered(postfix, servers, MESSAGES)
    near(spread(*servers), (500, 0, 500), 0.02 * 500)


def test_a_thousand_quiet_domains_of_one_pool_share_one_cursor(room):
    domains = ["d%d.test" % n for n in range(MESSAGES)]
    servers, _, postfix = setting(
        room, HEALTHY, HEALTHY,
        routes=[dict(domain=d, pool="pool") for d in domains])
    send_messages(postfix, [
        ("sender@sender.test", ("user@" + d,)) for d in domains])
    delivered(postfix, servers, MESSAGES)
    near(spread(*servers), (500, 500), 2)


def alias_setting(room):
    servers, _, postfix = setting(room, HEALTHY, HEALTHY)
    path = postfix.folder + "/virtual"
    with open(path, "w") as file:
        file.write("/^([0-9]*)list([0-9]*)@example\\.test$/ "
                   "${1}a${2}@example.test, ${1}b${2}@example.test, "
                   "${1}c${2}@example.test\n")
    postfix.set(virtual_alias_maps="regexp:" + path)
    postfix.reload()
    return servers, postfix


def unsplit(postfix, servers, count, copies):
    """All copies of a message went one way, and the ways took turns."""
    wait_until(lambda: len(servers[0].recipients + servers[1].recipients) >=
               count * copies, 60, "all copies are delivered")
    postfix.wait_queue_empty()
    assert postfix.deferred() == postfix.bounced() == 0
    assert sum(spread(*servers)) == count, "a message was split"
    near(spread(*servers), (count / 2, count / 2), 0.02 * count)
    for server in servers:
        assert all(len(m.recipients) == copies for m in server.messages)


def test_a_virtual_alias_of_three_members_is_not_split(room):
    servers, postfix = alias_setting(room)
    postfix.smtp_source(200, to="list@example.test", sessions=1)
    unsplit(postfix, servers, 200, 3)


@pytest.mark.alone
def test_an_alias_is_not_split_in_one_session_that_stays_open(room):
    """Without the pauses of new connections, the next message ends while qmgr
    still asks for this one's members. It waits for at most 20 ms: on a machine
    that is slower than that a message is split now and then."""
    servers, postfix = alias_setting(room)
    send_messages(postfix, [("sender@sender.test", ("list%d@example.test" % n,))
                            for n in range(200)], sessions=1)
    unsplit(postfix, servers, 200, 3)


def test_always_bcc_goes_the_way_of_its_message(room):
    servers, _, postfix = setting(room, HEALTHY, HEALTHY)
    postfix.set(always_bcc="archive@example.test")
    postfix.reload()
    postfix.smtp_source(200, sessions=1)
    unsplit(postfix, servers, 200, 2)


def test_a_burst_to_aliases_loses_nothing_even_if_it_is_split(room):
    """With many sessions at once messages may be split: how many is printed."""
    servers, postfix = alias_setting(room)
    postfix.smtp_source(200, to="list@example.test", sessions=10)
    wait_until(lambda: len(set(servers[0].recipients +
                               servers[1].recipients)) >= 600, 60,
               "all members have their copy")
    postfix.wait_queue_empty()
    recipients = servers[0].recipients + servers[1].recipients
    assert len(recipients) == len(set(recipients)) == 600
    assert postfix.deferred() == postfix.bounced() == 0
    print("split: %d of 200; recipients: %s" % (
        sum(spread(*servers)) - 200, [len(s.recipients) for s in servers]))


def test_a_content_filter_that_reinjects_without_milters_keeps_the_shares(
        room):
    """The filter is the shortest there is: smtp(8) to a second smtpd, which
    has the settings that contrib/postfix/enable names."""
    servers, _, postfix = setting(room, HEALTHY, HEALTHY)
    port = LOOPBACK.port(postfix.address)
    inner = "%s:%d" % (postfix.address, port)
    postfix.service(inner, "smtpd", {
        "content_filter": "",
        "receive_override_options": "no_milters",
        "myhostname": "filter.test",
    }, type_="inet", private="n")
    postfix.set(content_filter="smtp:[%s]:%d" % (postfix.address, port))
    postfix.halt()
    postfix.start()
    postfix.smtp_source(200)
    delivered(postfix, servers, 200)
    near(spread(*servers), (100, 100), 0)


def test_a_new_set_does_not_always_begin_with_its_first_host(room):
    """Many sets with one message each: the start is a hash, not 0."""
    a, b = room.servers(HEALTHY, HEALTHY)
    routes = [dict(domain="d%d.test" % n, hosts=(
        a.host(weight=1), b.host(weight=1), dict(
            host="127.0.0.1", port=2000 + n, priority=9)))
        for n in range(60)]
    daemon = room.daemon(*routes, probe=dict(level="connect"))
    with daemon.milter() as milter, daemon.map() as sockmap:
        first = []
        for number in range(60):
            recipient = "user@d%d.test" % number
            assert milter.message(recipient) in ("a", "c")
            first.append(sockmap.ask(recipient).startswith(
                "OK nexthop:" + a.hostport))
    assert 15 <= sum(first) <= 45, "A first for %d of 60 sets" % sum(first)
