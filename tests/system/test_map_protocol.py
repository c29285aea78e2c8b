# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The map: what Postfix asks, and what a hostile or broken client sends.
Each violation gets TEMP or a closed connection, and harms nobody else."""

import socket
import subprocess
import time

import pytest

from harness import HEALTHY, LOOPBACK, routes_to, wait_until


def netstring(text):
    return b"%d:%s," % (len(text), text)


VIOLATIONS = (
    # what is no netstring
    ("no digits", b"hello,"),
    ("wrong terminator", b"9:transport;"),
    ("short length", b"3:transport a@b.test,"),
    ("long length", b"99:transport a@b.test,"),
    ("negative length", b"-1:x,"),
    ("leading zeros", b"00000000000000000000020:transport a@foo.test,"),
    ("length of 20 digits", b"99999999999999999999:x,"),
    ("more than a query may hold", netstring(b"a" * 200001)),
    ("binary noise", bytes(range(256)) * 20),
    ("an HTTP client", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    # netstrings that are no request
    ("empty netstring", netstring(b"")),
    ("no key", netstring(b"transport")),
    ("no map", netstring(b" u@foo.test")),
    ("empty key", netstring(b"transport ")),
    ("unknown map", netstring(b"elsewhere u@foo.test")),
    # requests for what is no address
    ("zero byte", netstring(b"transport u\0@foo.test")),
    ("control bytes", netstring(b"transport \x01\x02@a.b\r\n")),
    ("bytes above 127", netstring(b"transport \xff\xfe@\x80.bc")),
    ("no @", netstring(b"transport user")),
    ("nothing but @", netstring(b"transport @")),
    ("no domain", netstring(b"transport user@")),
    ("open bracket", netstring(b"transport u@[127.0.0.1")),
    ("huge key", netstring(b"transport " + b"a" * 9000)),
    ("huge domain", netstring(b"transport u@" + b"d" * 5000)),
)


@pytest.fixture
def served(room):
    """A daemon with one healthy route, and a client that must not notice."""
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server), dict(
        domain="[127.0.0.1]", hosts=(server.host(),)))
    return daemon, "OK nexthop:" + server.hostport


@pytest.mark.parametrize("name,data", VIOLATIONS, ids=[
    v[0] for v in VIOLATIONS])
def test_a_malformed_request_harms_no_other_client(served, name, data):
    daemon, answer = served
    with daemon.map() as innocent, daemon.map(timeout=3) as culprit:
        assert innocent.ask("before@example.test") == answer
        try:
            culprit.send_raw(data)
            culprit.sock.shutdown(socket.SHUT_WR)
            reply = culprit.reply()
        except (EOFError, ConnectionError):
            reply = "closed"
        except ValueError as error:
            raise AssertionError("%s: %s" % (name, error))
        print(name, "->", reply)
        assert reply == "closed" or reply.split(" ")[0] in (
            "TEMP", "NOTFOUND"), reply
        assert innocent.ask("after@example.test") == answer
    assert daemon.process.poll() is None


def test_a_request_in_single_bytes_is_answered_while_others_are_served(
        served):
    daemon, answer = served
    text = netstring(b"transport drip@example.test")
    with daemon.map() as slow, daemon.map() as quick:
        for byte in text:
            slow.send_raw(bytes((byte,)))
            assert quick.ask("u@example.test") == answer
        assert slow.reply() == answer


def test_unfinished_requests_harm_no_other_client(served):
    daemon, answer = served
    idle = []
    try:
        for number in range(100):
            client = daemon.map()
            client.send_raw((b"", b"2", b"20:", b"20:transp")[number % 4])
            idle.append(client)
        with daemon.map() as client:
            for number in range(200):
                assert client.ask("u%d@example.test" % number) == answer
    finally:
        for client in idle:
            client.close()


def test_a_client_that_never_reads_harms_no_other_client(served):
    daemon, answer = served
    # A hundred thousand answers at debug level are too many for the log,
    # which must not hold the map up.
    daemon.expect_trouble(r"\d+ log lines were dropped")
    with daemon.map(timeout=0.5) as deaf:
        text = netstring(b"transport u@example.test") * 2000
        try:
            for _ in range(50):
                deaf.send_raw(text)
        except (TimeoutError, socket.timeout, ConnectionError):
            pass
        with daemon.map() as client:
            assert client.ask("u@example.test") == answer


def test_a_flood_of_connections_does_not_lock_postfix_out(served):
    daemon, answer = served
    flood = []
    with daemon.map() as early:
        assert early.ask("u@example.test") == answer
        try:
            for _ in range(3000):
                try:
                    flood.append(daemon.map(timeout=0.2))
                except OSError:
                    break
            print("connections open:", len(flood))
            assert early.ask("early@example.test") == answer
            wait_until(lambda: served_now(daemon, answer), 10,
                       "a newcomer is served beside the flood")
        finally:
            for client in flood:
                client.close()
    wait_until(lambda: served_now(daemon, answer), 10, "served after it")


def served_now(daemon, answer):
    try:
        return daemon.ask("late@example.test") == answer
    except (OSError, EOFError):
        return False


def test_several_requests_in_one_packet_are_all_answered(served):
    daemon, answer = served
    with daemon.map() as client:
        client.request("one@example.test")
        client.send_raw(netstring(b"transport two@example.test") +
                        netstring(b"transport three@example.test"))
        assert [client.reply() for _ in range(3)] == [answer] * 3


def test_an_idle_client_is_left_alone_for_longer_than_postfix_waits(served):
    """Postfix closes after 10 s; a server that closes first costs mail."""
    daemon, answer = served
    with daemon.map(timeout=30) as client:
        assert client.ask("u@example.test") == answer
        end = time.monotonic() + 12
        client.sock.settimeout(12)
        with pytest.raises((TimeoutError, socket.timeout)):
            client.sock.recv(1)
        assert time.monotonic() >= end - 0.5
        assert client.ask("u@example.test") == answer


# (key, found?)
POSTMAP = (
    ("User+Ext@EXAMPLE.test", True),
    ("user@example.test", True),
    ('"a b"@example.test', True),
    ('"a@b"@example.test', True),
    ("x@[127.0.0.1]", True),
    ("user@example.test.", None),       # either is fine; no error is
    ("*", False),
    ("user@unknown.test", False),
    ("user@sub.example.test", False),
    ("user@sub.parent.test", True),
    ("user@deep.sub.parent.test", True),
    ("user@parent.test", False),
    ("user", False),
    ("MAILER-DAEMON@mta.test", False),
    ("u%x@example.test", True),
    ("user@b\u00fccher.test", False),
)


@pytest.fixture
def postmap(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(
        routes_to(server), routes_to(server, domain=".parent.test"),
        dict(domain="[127.0.0.1]", hosts=(server.host(),)))
    postfix = room.postfix(daemon, start=False)

    def ask(key):
        done = subprocess.run(
            ["postmap", "-c", postfix.config, "-q", key, daemon.map_name],
            timeout=30, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        assert done.stderr == "", done.stderr
        return done.returncode, done.stdout.strip()
    return ask, "nexthop:" + server.hostport


def test_postmap_gets_an_answer_for_every_kind_of_key(postmap):
    ask, hosts = postmap
    for key, found in POSTMAP:
        code, text = ask(key)
        print("%-28s exit %d %s" % (key, code, text))
        if found is True:
            assert (code, text) == (0, hosts), key
        elif found is False:
            assert (code, text) == (1, ""), key


def test_map_answers_on_an_inet_socket_too(room):
    server = room.servers(HEALTHY)
    daemon = room.daemon(routes_to(server), start=False)
    daemon.configure(map_socket="inet:%d@127.0.0.1" % LOOPBACK.port(
        "127.0.0.1"))
    daemon.start()
    assert daemon.ask("u@example.test") == "OK nexthop:" + server.hostport


def test_use_dns_leaves_the_next_hop_to_postfix(room):
    daemon = room.daemon(dict(domain="ALL", use_dns=True))
    assert daemon.ask("user@anything.test") == "OK nexthop:"
    assert daemon.ask("root@mta.test").startswith("NOTFOUND")


def test_ipv6_hosts_are_answered_where_postfix_can_use_them(room):
    daemon = room.daemon(
        dict(domain="example.test", hosts=(dict(host="::1", port=2525),)),
        address_family="any", probe=dict(interval=300.0))
    # Whether it is up or not: it is the only host, so it is listed.
    assert daemon.ask("u@example.test").rstrip(" ,") == \
        "OK nexthop:[::1]:2525"
