# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The way back of a host whose trouble no probe sees: deliveries alone tell,
one message at a time."""

import asyncio
import re
import threading
import time

import pytest

from harness import (GREETING_431, HEALTHY, SILENT, Script, Traffic, command,
                     each_once, routes_to, send_one, wait_until)

FULL = "452 4.3.1 Insufficient system resources"
DOT_452 = Script("452 at end-of-data", dot=FULL)
DOT_SILENT = Script("silent at end-of-data", dot=None)
FINDS_IT_WELL = "the probe finds it well, deliveries do not"

# The daemon looks at what time does once a second, and a back-off may be a
# tenth longer than told, so that hosts do not come back all together.
TICK = 1.0
JITTER = 1.1
PAUSE = 0.1         # between two messages of a trickle
ON_ITS_WAY = 2.5    # a message, on a machine that is busy with other tests


def offered(server):
    """How many messages it was offered, taken or not."""
    return sum(session.commands.count("DATA")
               for session in server.deliveries)


def fall(daemon, postfix, server, domain="example.test"):
    """Sends until the sick server has met a message, and no more; who all of
    them were for."""
    recipients = []
    while not server.deliveries:
        assert len(recipients) < 30, "its turn does not come"
        recipients.append("first%d@%s" % (len(recipients), domain))
        send_one(postfix, recipients[-1])
        postfix.wait_settled()
    daemon.wait_state(server, "deferred")
    return recipients


def failed_trials(daemon, server):
    """The back-offs after them."""
    return [seconds for old, new, seconds in daemon.changes(server)
            if (old, new) == ("trial", "deferred")]


def wait_failed_trials(daemon, server, count):
    wait_until(lambda: len(failed_trials(daemon, server)) >= count, 60,
               lambda: "%d trials fail\n%s" % (count, daemon.log()[-4000:]))


def all_is_well(postfix, recipients, *servers):
    """No message deferred, bounced, lost or doubled."""
    postfix.wait_queue_empty()
    each_once(recipients, *servers)
    assert postfix.deferred() == postfix.bounced() == 0


class Gate:
    """Holds those who come through it until it is opened."""

    def __init__(self):
        self.waiting = 0
        self._open = threading.Event()

    def open(self):
        self._open.set()

    async def dot(self, _session, _argument):
        self.waiting += 1
        while not self._open.is_set():
            await asyncio.sleep(0.02)
        return "250 2.0.0 Ok: queued"


def test_a_host_sick_at_end_of_data_meets_one_message_per_back_off(room):
    a, b = room.servers(DOT_452, HEALTHY)
    daemon, postfix = room.learning((a, b), routes_to(a, b))
    daemon.wait_probed(a, b)
    recipients = fall(daemon, postfix, a)
    assert offered(a) == 1
    with Traffic(postfix, "trickle", PAUSE) as traffic:
        daemon.wait_log(re.escape(a.hostport) + ": " + FINDS_IT_WELL)
        wait_failed_trials(daemon, a, 2)
        a.become(HEALTHY)
        recovered = time.monotonic()
        backoffs = [seconds for _, new, seconds in daemon.changes(a)
                    if new == "deferred"]
        met = [session.at for session in a.deliveries]
        daemon.wait_state(a, "up", 30)
        traffic.go_on(20)
    gaps = [later - at for at, later in zip(met, met[1:])]
    took = a.messages[0].at - recovered
    print("back-offs told %s s, A met mail every %s s; back %.1f s after its "
          "recovery" % (backoffs, ["%.1f" % gap for gap in gaps], took))
    assert backoffs == [1, 2, 4] and len(met) == 3
    assert all(gap >= told for gap, told in zip(gaps, backoffs))
    assert took <= backoffs[-1] * JITTER + TICK + PAUSE + ON_ITS_WAY
    daemon.wait_log("trial -> up after .*: 1 good delivery$")
    all_is_well(postfix, recipients + traffic.recipients, a, b)


@pytest.mark.parametrize("wish", ("try", "hold"))
def test_without_new_mail_a_message_that_waits_ends_the_trial(room, wish):
    a = room.servers(DOT_452)
    daemon, postfix = room.learning(
        (a,), routes_to(a, when_all_deferred=wish))
    daemon.wait_probed(a)
    recipients = fall(daemon, postfix, a)
    postfix.smtp_source(9, to=wish + "@example.test")
    wait_until(lambda: postfix.queued("deferred") == 10, 30, "all mail waits")
    wait_failed_trials(daemon, a, 1)
    assert postfix.queued() == 10 and a.messages == []
    a.become(HEALTHY)
    recovered = time.monotonic()
    daemon.wait_state(a, "up", 30)
    print("%s: up %.1f s after the recovery" % (
        wish, a.messages[0].at - recovered))
    # qmgr(8) answers its last question from memory for 30 s.
    postfix.wait_queue_empty(45)
    daemon.wait_log(
        "no new mail for its trial: a message that waits is asked for")
    daemon.wait_log("trial -> up after .*: 1 good delivery$")
    print("%s: the queue is empty %.1f s after the recovery" % (
        wish, time.monotonic() - recovered))
    assert recipients[0] in a.recipients
    assert len(set(a.recipients)) == len(a.recipients) == 10
    assert postfix.bounced() == 0


def test_tempfail_lets_one_message_through_for_the_trial_and_then_all(room):
    gate = Gate()
    a, b = room.servers(DOT_452, HEALTHY)
    # The mail that finds A sick goes to B: none waits that could try it.
    daemon, postfix = room.learning(
        (a, b), routes_to((a, 0), (b, 10), domain="other.test"),
        routes_to(a, when_all_deferred="tempfail"),
        defer=dict(first=5.0, max=5.0))
    daemon.wait_probed(a, b)
    recipients = fall(daemon, postfix, a, "other.test")
    refused(postfix, "deferred@example.test")
    a.become(Script("waits", dot=gate.dot))
    daemon.wait_state(a, "trial", 30)
    send_one(postfix, "trial@example.test")
    wait_until(lambda: gate.waiting, 20, "the trial message is with A")
    refused(postfix, "meanwhile@example.test")
    assert daemon.state(a) == "trial"
    gate.open()
    daemon.wait_state(a, "up")
    assert gate.waiting == offered(a) - 1 == 1
    postfix.smtp_source(20, to="up@example.test")
    postfix.wait_queue_empty()
    assert a.recipients[0] == "trial@example.test"
    assert len(set(a.recipients)) == len(a.recipients) == 21
    assert b.recipients == recipients
    assert postfix.deferred() == postfix.bounced() == 0


def refused(postfix, recipient):
    with pytest.raises(AssertionError, match="451 4.3.1"):
        send_one(postfix, recipient)


def test_a_silent_host_satisfies_probes_before_mail_tries_it(room):
    rise = 8
    a, b = room.servers(DOT_SILENT, HEALTHY)
    daemon, postfix = room.learning(
        (a, b), routes_to(a, b), probe=dict(interval=0.5, timeout=1.0),
        defer=dict(rise=rise, first=1.0, max=1.0))
    command("postconf", "-c", postfix.config, "-P",
            "nexthop/unix/smtp_data_done_timeout=3s")
    postfix.reload()
    daemon.wait_probed(a, b)
    recipients = fall(daemon, postfix, a)
    daemon.wait_log(r"up -> deferred .*\(end-of-data, delivery")
    # Nothing answers: its time is over, again and again, and no mail tries it.
    a.become(SILENT)
    daemon.mark()
    with Traffic(postfix, "trickle", PAUSE) as traffic:
        wait_until(lambda: daemon.log().count("still deferred for") >= 3, 40,
                   lambda: "its time is over\n" + daemon.log()[-4000:])
        assert daemon.changes(a) == [] and len(a.deliveries) == 1
        a.become(HEALTHY)
        daemon.mark()
        daemon.wait_state(a, "up", 60)
        traffic.go_on(10)
    before = daemon.log().split(a.hostport + " deferred -> trial", 1)[0]
    good = len(re.findall(r"New SMTP DCID .* address %s port" %
                          re.escape(a.address), before)) \
        - before.count("Connection Error")
    print("%d good probes before the trial" % good)
    assert good >= rise
    daemon.wait_log("trial -> up after .*: 1 good delivery$")
    all_is_well(postfix, recipients + traffic.recipients, a, b)


def for_mail_431(session, _argument):
    """A greeting that probes find well: a message is the first to see its
    host fall."""
    return HEALTHY.greeting if session.is_probe else "431 Mail system full"


def test_a_backup_in_trial_takes_what_the_hosts_before_it_refuse(room):
    a, b = room.servers(GREETING_431, DOT_452)
    # Good probes bring A back before the time of B is up.
    daemon, postfix = room.learning(
        (a, b), routes_to((a, 0), (b, 10)), defer=dict(first=4.0, max=4.0))
    daemon.wait_probed(b)
    daemon.wait_state(a, "deferred")
    send_one(postfix, "neither@example.test")
    daemon.wait_state(b, "deferred")
    a.become(HEALTHY)
    daemon.wait_state(a, "up")
    # Another question, or qmgr(8) answers its last one from memory for 30 s.
    send_one(postfix, "first0@example.test")
    postfix.flush_until_empty()
    b.become(HEALTHY)
    b.forget()
    daemon.wait_state(b, "trial")
    # Neither good probes nor mail that A takes end the trial.
    probes = len(b.probes)
    wait_until(lambda: len(b.probes) >= probes + 3, 20, "B is probed")
    send_one(postfix, "first1@example.test")
    postfix.wait_queue_empty()
    assert b.deliveries == [] and daemon.state(b) == "trial"
    a.become(Script("431 for mail", greeting=for_mail_431))
    postfix.mark()
    daemon.mark()
    send_one(postfix, "backup@example.test")
    postfix.wait_settled()
    assert postfix.deferred() == postfix.bounced() == 0
    assert b.recipients == ["backup@example.test"]
    daemon.wait_state(b, "up")
    daemon.wait_log(
        re.escape(a.hostport) + " up -> deferred .*431 Mail system full")
    daemon.wait_log(
        re.escape(b.hostport) + " trial -> up after .*: 1 good delivery$")
    assert sorted(a.recipients) == [
        "first0@example.test", "first1@example.test", "neither@example.test"]


def picky(_session, argument):
    """What a host says of one recipient and not of itself."""
    if "<grey@" in argument:
        return "450 4.7.1 Greylisted, try again later"
    if "<nobody@" in argument:
        return "550 5.1.1 No such user"
    return "250 2.1.5 Ok"


def test_a_trial_message_whose_recipient_is_refused_decides_nothing(room):
    a, b, c, d = room.servers(DOT_452, HEALTHY, DOT_452, HEALTHY)
    daemon, postfix = room.learning(
        (a, b, c, d), routes_to(a, b, domain="grey.test"),
        routes_to(c, d, domain="nobody.test"))
    daemon.wait_probed(a, b, c, d)
    recipients = (fall(daemon, postfix, a, "grey.test") +
                  fall(daemon, postfix, c, "nobody.test"))
    for server in (a, c):
        server.become(Script("picky", rcpt=picky))
        server.forget()
    for server, one in ((a, "grey@grey.test"), (c, "nobody@nobody.test")):
        daemon.wait_state(server, "trial")
        send_one(postfix, one, sender="")   # no bounce is sent to nobody
    postfix.wait_queue_empty()
    assert len(a.deliveries) == len(c.deliveries) == 1
    assert daemon.state(a) == daemon.state(c) == "trial"
    assert postfix.bounced() == 1       # the unknown recipient, rightly
    with Traffic(postfix, "next", PAUSE, "grey.test") as grey, \
            Traffic(postfix, "next", PAUSE, "nobody.test") as nobody:
        daemon.wait_state(a, "up", 60)
        daemon.wait_state(c, "up", 60)
    assert failed_trials(daemon, a) == failed_trials(daemon, c) == []
    postfix.wait_queue_empty()
    each_once(recipients + ["grey@grey.test"] + grey.recipients +
              nobody.recipients, a, b, c, d)
    assert postfix.deferred() == 0


def test_mail_that_meets_no_milter_ends_a_trial_as_well(room):
    a, b = room.servers(DOT_452, HEALTHY)
    daemon, postfix = room.learning((a, b), routes_to(a, b))
    postfix.set(smtpd_milters="", non_smtpd_milters="")
    postfix.reload()
    daemon.wait_probed(a, b)
    recipients = fall(daemon, postfix, a)
    a.become(HEALTHY)
    daemon.wait_state(a, "trial", 30)
    since = time.monotonic()
    with Traffic(postfix, "trickle", PAUSE) as traffic:
        daemon.wait_state(a, "up", 40)
        print("the trial ended by itself after %.1f s" %
              (a.messages[0].at - since))
        traffic.go_on(10)
    daemon.wait_log("trial -> up after .*: 1 good delivery$")
    assert " ticket " not in daemon.log()
    all_is_well(postfix, recipients + traffic.recipients, a, b)


LASTING = ("state", "since", "until", "reason", "stage", "source")


def test_a_worker_that_is_killed_forgets_nothing_of_a_blind_host(room):
    a, b = room.servers(DOT_452, HEALTHY)
    daemon, postfix = room.learning(
        (a, b), routes_to(a, b), defer=dict(first=5.0, max=8.0))
    daemon.expect_trouble(r"worker \d+ ended by signal 9")
    daemon.wait_probed(a, b)
    recipients = fall(daemon, postfix, a)
    daemon.wait_log(FINDS_IT_WELL)
    before = daemon.host(a)
    daemon.kill_worker()
    after = daemon.host(a)
    assert {key: before[key] for key in LASTING} == {
        key: after[key] for key in LASTING}
    # The next worker knows what its good probes are worth, and ...
    wait_until(lambda: daemon.log_contains(FINDS_IT_WELL, 2), 20,
               lambda: "it says so\n" + daemon.log()[-4000:])
    # ... goes on where the other was; also in the middle of a trial.
    with Traffic(postfix, "one", PAUSE) as first:
        wait_failed_trials(daemon, a, 1)
    assert failed_trials(daemon, a) == [8]
    a.become(HEALTHY)
    daemon.wait_state(a, "trial", 30)
    daemon.kill_worker()
    assert daemon.state(a) == "trial"
    with Traffic(postfix, "two", PAUSE) as second:
        daemon.wait_state(a, "up", 30)
        second.go_on(10)
    daemon.wait_log("trial -> up after .*: 1 good delivery$")
    all_is_well(postfix, recipients + first.recipients + second.recipients,
                a, b)


def test_a_host_that_is_back_gets_its_share_by_and_by(room):
    slow_start = 8.0
    a, b = room.servers(DOT_452, HEALTHY)
    daemon, postfix = room.learning(
        (a, b), routes_to(a, b), defer=dict(slow_start=slow_start))
    daemon.wait_probed(a, b)
    recipients = fall(daemon, postfix, a)
    a.become(HEALTHY)
    with Traffic(postfix, "slow", 0.02) as traffic:
        daemon.wait_state(a, "up", 30)
        up = time.monotonic()
        wait_until(lambda: time.monotonic() > up + slow_start, 30, "the time")
        # Exact, once it has its full weight again.
        wait_until(lambda: latest(40, a, b) == [20, 20], 30,
                   lambda: "half of it: %s" % latest(40, a, b))
    quarters = [share_between(a, b, up + slow_start * n / 4,
                              up + slow_start * (n + 1) / 4)
                for n in range(4)]
    print("A's share in the quarters of slow_start:",
          ["%.2f" % share for share in quarters])
    assert quarters[0] <= 1 / 3
    assert quarters[0] < quarters[2] and quarters[1] < quarters[3]
    all_is_well(postfix, recipients + traffic.recipients, a, b)


def latest(count, *servers):
    """Who took how many of the newest messages."""
    taken = sorted((message.at, number) for number, server in
                   enumerate(servers) for message in list(server.messages))
    newest = [number for _, number in taken[-count:]]
    return [newest.count(number) for number in range(len(servers))]


def share_between(server, other, start, end):
    """The part of the mail of that time that the one server took."""
    mine, others = ([m for m in s.messages if start <= m.at < end]
                    for s in (server, other))
    return len(mine) / (len(mine) + len(others))
