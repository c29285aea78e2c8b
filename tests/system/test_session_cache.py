# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A session that Postfix opened for one route must not carry another's mail:
its connection cache is labelled with the first item of a list."""

from harness import (GREETING_431, HEALTHY, routes_to, send_messages)

MESSAGES = 300


def test_a_session_of_one_route_is_never_used_for_another(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon = room.daemon(routes_to((a, 0), (b, 10), domain="both.test"),
                         routes_to(a, domain="alone.test"),
                         probe=dict(interval=300.0))
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    # A falls ill unseen, so that Postfix still gets the list A, B.
    a.become(GREETING_431)
    assert daemon.ask("u@both.test").endswith(
        a.hostport + "," + b.hostport)
    send_messages(postfix, [
        ("sender@sender.test", (
            "user%d@%s.test" % (n, ("both", "alone")[n % 2]),))
        for n in range(2 * MESSAGES)])
    postfix.wait(lambda: len(b.messages) >= MESSAGES, 60, "B has its mail")
    postfix.wait_settled()
    assert [r for r in b.recipients if not r.endswith("@both.test")] == []
    assert len(b.recipients) == MESSAGES
    assert postfix.bounced() == 0

    a.become(HEALTHY)
    postfix.flush_until_empty()
    assert all(r.endswith("@alone.test") for r in a.recipients)
