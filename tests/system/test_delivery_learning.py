# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What deliveries teach: is it the host, or only this recipient or message?
Probes of these tests see nothing of the trouble, or come too late."""

import re
import time

import pytest

from harness import (GREETING_421, GREETING_431, HEALTHY, RCPT_452, FakeSmtp,
                     Script, command, routes_to, send_messages, spread,
                     wait_until)

RARELY = dict(interval=300.0)
TOUCHES = 40        # of the messages that follow, those that may meet A
IN_FLIGHT = 20
AS_SHIPPED = dict(fall=1, rise=2, first=10.0, max=600.0)
MINUTE = dict(first=60.0, max=60.0)     # a back-off that no test waits for


def to_everybody(reply):
    return Script(reply, rcpt=reply)


def address_of(argument):
    return argument[3:].split(">")[0].lstrip("< ")


def fell(daemon, server):
    """Was it deferred at any time?"""
    return daemon.log_contains(
        r"host %s up -> deferred" % re.escape(server.hostport))


def learning(room, servers, *routes, **options):
    """Both programs run, and every server was found well by a probe."""
    daemon, postfix = room.learning(servers, *routes, **options)
    daemon.wait_probed(*servers)
    for server in servers:
        assert daemon.state(server) == "up"
    return daemon, postfix


def send_steadily(postfix, takers, count, to="r"):
    """New messages come as old ones leave: those that qmgr(8) has activated
    are out of the daemon's hands, and a slow machine has many of them."""
    before = sum(spread(*takers))

    def wait_for_room(number):
        wait_until(lambda: number - (sum(spread(*takers)) - before)
                   < IN_FLIGHT, 60, lambda: "messages leave\n" +
                   postfix.log()[-4000:])
    send_messages(postfix, [
        ("sender@sender.test", ("%s%d@example.test" % (to, n),))
        for n in range(count)], sessions=4, after_each=wait_for_room)


def all_sent_once(postfix, servers, count):
    """Each message reached one of them, once, and none had to wait."""
    postfix.wait_queue_empty()
    assert postfix.deferred() == postfix.bounced() == 0
    reached = [r for server in servers for r in server.recipients]
    assert len(reached) == len(set(reached)) == count


def send_past(postfix, sick, others, count):
    """Send; the sick host takes nothing, and is soon left alone."""
    send_steadily(postfix, others, count)
    all_sent_once(postfix, others, count)
    touches = len(sick.deliveries)
    print("%d of %d messages touched the sick host, %.1f s" % (
        touches, count, others[0].messages[-1].at - sick.deliveries[0].at))
    assert 1 <= touches <= TOUCHES
    assert spread(sick) == [0]


# -- a host that refuses everybody ----------------------------------------

@pytest.mark.parametrize("reply,count", (
    ("452 4.3.1 Insufficient system resources", 1000),
    ("452 Insufficient system storage", 1000),
    ("451 4.5.0 Protocol trouble", 300),
    ("450 Mailbox unavailable", 300),
    ("451 4.4.1 No answer from the store", 300)),
    ids=lambda value: str(value).replace(" ", "_"))
def test_a_host_that_refuses_every_recipient_is_soon_left_alone(
        room, reply, count):
    a, b = room.servers(to_everybody(reply), HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to(a, b),
                               defer=AS_SHIPPED)
    send_past(postfix, a, (b,), count)
    host = daemon.host(a)
    assert (host["source"], host["stage"], host["reason"]) == \
        ("delivery", "rcpt", reply)
    assert daemon.state(b) == "up" and not fell(daemon, b)


def two_at_one_address(room, script):
    a = room.servers(script)
    b = room.add(FakeSmtp(HEALTHY, address=a.address, name="B"))
    return a, b


def test_of_two_ports_at_one_address_the_sick_one_is_left_alone(room):
    a, b = two_at_one_address(room, RCPT_452)
    daemon, postfix = learning(room, (a, b), routes_to(a, b))
    send_past(postfix, a, (b,), 300)
    assert fell(daemon, a) and not fell(daemon, b)


def send_until_up(postfix, daemon, servers):
    """A message now and then, which a host in trial needs; how many."""
    sent = 0
    while not all(daemon.state(server) == "up" for server in servers):
        postfix.smtp_source(1, to="more%d@example.test" % sent)
        sent += 1
        assert sent < 100, daemon.log()[-6000:]
        time.sleep(0.2)
    return sent


def test_of_three_ports_at_one_address_the_sick_one_is_found(room):
    """Postfix does not log which one refused: a well one may be suspected
    too, and is up again with the next message that tries it."""
    a, b = two_at_one_address(room, RCPT_452)
    c = room.add(FakeSmtp(HEALTHY, address=a.address, name="C"))
    daemon, postfix = learning(room, (a, b, c), routes_to(a, b, c))
    send_steadily(postfix, (b, c), 300)
    wait_until(lambda: fell(daemon, a), 20, "A is found")
    more = send_until_up(postfix, daemon, (b, c))
    all_sent_once(postfix, (a, b, c), 300 + more)
    print("touches %d, took %s, fell %s, %d more" % (
        len(a.deliveries), spread(b, c),
        [fell(daemon, server) for server in (a, b, c)], more))
    assert len(a.deliveries) <= TOUCHES


def test_a_host_known_by_its_name_is_left_alone_too(room):
    a, b = (room.add(FakeSmtp(script, address="127.0.0.1", name=name))
            for script, name in ((RCPT_452, "A"), (HEALTHY, "B")))
    route = dict(domain="example.test", hosts=(
        dict(host="localhost", port=a.port), b.host()))
    daemon, postfix = room.learning(
        (a, b), route, settings=dict(smtp_host_lookup="native"))
    daemon.wait_log(r"host \[localhost\]:%d resolves" % a.port)
    send_past(postfix, a, (b,), 300)
    daemon.wait_log(r"host \[localhost\]:%d up -> deferred"
                               % a.port)
    assert daemon.state(b) == "up"


# -- a host that refuses some ---------------------------------------------

def test_a_host_that_greylists_every_newcomer_stays_up_with_its_share(room):
    known = set()

    def greylist(_session, argument):
        if address_of(argument) in known:
            return "250 2.1.5 Ok"
        known.add(address_of(argument))
        return "450 4.7.1 Greylisted, try again later"

    a, b = room.servers(Script("greylists", rcpt=greylist), HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to(a, b))
    daemon.expect_trouble("puts everybody off")
    send_steadily(postfix, (b,), 1000)
    all_sent_once(postfix, (b,), 1000)
    print("A was asked first %d times" % len(a.deliveries))
    assert abs(len(a.deliveries) - 500) <= 2
    assert daemon.state(a) == "up" and not fell(daemon, a)
    daemon.wait_log("warning: .*puts everybody off", times=1)

    b.forget()
    send_steadily(postfix, (a, b), 300)
    all_sent_once(postfix, (a, b), 300)
    print("A took %d of those that it knew" % len(a.messages))
    assert len(a.messages) > 0 and not fell(daemon, a)


FULL = ("452 4.2.2 Mailbox full", "450 4.2.1 Mailbox disabled for now",
        "550 5.1.1 No such user", "450 4.1.1 Unknown for now")


def one_is_full(reply):
    return Script("one is full", rcpt=lambda _session, argument:
                  reply if "full@" in argument else "250 2.1.5 Ok")


def ends_of_example(postfix):
    """How the messages of the route ended, without reports of bounces."""
    return [r["status"] for r in postfix.results()
            if r["to"].endswith("@example.test")]


def test_one_refused_mailbox_among_others_costs_the_host_nothing(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to(a, b))
    for turn, reply in enumerate(FULL):
        a.become(one_is_full(reply))
        postfix.mark()
        a.forget()
        send_messages(postfix, [
            ("s%d.%d@sender.test" % (turn, n), (
                "full@example.test" if n % 4 < 2
                else "u%d.%d@example.test" % (turn, n),)) for n in range(80)])
        wait_until(lambda: len(ends_of_example(postfix)) >= 80, 40,
                   "all 80 have an end")
        ends = ends_of_example(postfix)
        print("%s: A took %d of %d, %d bounced" % (
            reply, *spread(a), len(a.deliveries), ends.count("bounced")))
        assert len(a.deliveries) - len(a.messages) >= 5
        assert len(ends) == 80 and "deferred" not in ends
        # B takes the others: nobody else is asked after a 5xx.
        assert ("bounced" in ends) == reply.startswith("5")
        assert daemon.state(a) == "up" and not fell(daemon, a), reply


def test_the_same_recipient_refused_again_and_again_is_one_recipient(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to((a, 0), (b, 10)))
    for reply in "452 Mailbox full", "450 4.1.1 Unknown for now":
        a.become(to_everybody(reply))
        a.forget()
        # Another sender each time: qmgr(8) asks again, as it should.
        send_messages(postfix, [
            ("s%d.%s@sender.test" % (n, reply[:3]), ("full@example.test",))
            for n in range(20)])
        postfix.wait_queue_empty()
        assert len(a.deliveries) == 20
        assert daemon.state(a) == "up" and not fell(daemon, a), reply
    assert spread(a, b) == [0, 40]


def at_most_100(reply):
    return Script("100 at most", rcpt=lambda session, _argument:
                  "250 2.1.5 Ok" if len(session.recipients) < 100 else reply)


def test_too_many_recipients_are_not_held_against_the_host(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = learning(
        room, (a, b), routes_to((a, 0), (b, 10)),
        settings=dict(default_destination_recipient_limit=1000))
    for turn, reply in enumerate((
            "452 4.5.3 Too many recipients", "452 Too many recipients",
            "451 4.5.3 Too many recipients", "452 Too many recipients")):
        a.become(at_most_100(reply))
        postfix.smtp_source(1, to="r%d@example.test" % turn, recipients=200)
        postfix.wait_queue_empty()
        assert daemon.state(a) == "up" and not fell(daemon, a), reply
    assert [len(m.recipients) for m in a.messages + b.messages] == [100] * 8
    assert len(set(a.recipients + b.recipients)) == 800
    assert postfix.deferred() == postfix.bounced() == 0


# -- sooner than a probe --------------------------------------------------

def hang_up(session, _argument):
    session.writer.close()


SEEN_FIRST = {
    "connect": None,
    "greeting": GREETING_421,
    "data": Script("lost at DATA", data=hang_up,
                   ehlo="250-server.test\n250 8BITMIME"),
    "mail": Script("451 to MAIL", mail="451 4.3.0 Temporary server error"),
}


@pytest.mark.parametrize("stage", SEEN_FIRST)
def test_the_first_delivery_that_meets_trouble_defers_the_host(room, stage):
    a, b = room.servers(HEALTHY, HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to((a, 0), (b, 10)),
                               probe=RARELY, defer=MINUTE)
    if stage == "connect":
        a.refuse()
    else:
        a.become(SEEN_FIRST[stage])
    postfix.smtp_source(1, to="first@example.test")
    daemon.wait_state(a, "deferred")
    host = daemon.host(a)
    print(host)
    assert (host["source"], host["stage"]) == ("delivery", stage)
    postfix.wait_queue_empty()

    a.forget()
    postfix.smtp_source(50)
    all_sent_once(postfix, (b,), 51)
    assert a.deliveries == []
    assert postfix.log().count("connect to %s[" % a.address) == \
        (stage == "connect")


# -- where no deliveries are observed -------------------------------------

@pytest.mark.parametrize("log", (None, "another"))
def test_without_a_log_of_deliveries_the_probes_alone_decide(room, log):
    a, b = room.servers(RCPT_452, HEALTHY)
    daemon = room.daemon(routes_to(a, b), start=False)
    if log:
        path = daemon.folder + "/" + log
        open(path, "w").close()
        daemon.configure(delivery=dict(logs=[path]))
    daemon.start()
    daemon.wait_probed(a, b)
    postfix = room.postfix(daemon, (a, b))
    postfix.smtp_source(60)
    all_sent_once(postfix, (b,), 60)
    assert abs(len(a.deliveries) - 30) <= 2
    assert not fell(daemon, a)

    a.become(GREETING_431)
    daemon.wait_state(a, "deferred")
    a.become(RCPT_452)
    daemon.wait_state(a, "up")
    daemon.wait_log(
        r"host %s deferred -> up after [\d.]+ s: 2 good probes$" %
        re.escape(a.hostport), times=1)
    assert not daemon.log_contains("trial")


# -- replies of one's own -------------------------------------------------

BACK_PRESSURE = dict(stage="rcpt", reply="450 4.2.0", text="back pressure",
                     concerns="host")


def test_a_rule_of_the_configuration_makes_a_reply_the_hosts(room):
    a, b = room.servers(to_everybody("450 4.2.0 Mailbox busy"), HEALTHY)
    daemon, postfix = learning(
        room, (a, b), routes_to((a, 0), (b, 10)),
        delivery=dict(replies=(BACK_PRESSURE,)), probe=RARELY)
    postfix.smtp_source(10, to="busy@example.test")
    postfix.wait_queue_empty()
    assert len(a.deliveries) == 10 and not fell(daemon, a)

    a.become(to_everybody("450 4.2.0 Back Pressure, come back"))
    postfix.smtp_source(1, to="one@example.test")
    daemon.wait_log(r"host %s up -> deferred for .*: 450 4.2.0 Back Pressure, "
                    r"come back \(rcpt, delivery, failure 1\)" %
                    re.escape(a.hostport))

    daemon.configure(delivery=dict(replies=()))
    daemon.ctl("reload")
    a.become(HEALTHY)
    daemon.wait_state(a, "trial")
    postfix.smtp_source(1, to="trial@example.test")
    daemon.wait_state(a, "up")
    postfix.wait_queue_empty()
    a.become(to_everybody("450 4.2.0 Back pressure"))
    asked = len(a.deliveries)
    postfix.smtp_source(10, to="other@example.test")
    postfix.wait_queue_empty()
    assert len(a.deliveries) == asked + 10
    assert daemon.state(a) == "up"


# -- questions that are no deliveries -------------------------------------

def verify(postfix, address):
    """sendmail(1) asks whether the address is good; no message is sent."""
    command("sendmail", "-C", postfix.config, "-f", "root@mta.test", "-bv",
            address)


def test_asking_whether_an_address_exists_is_no_delivery(room):
    def refuse_some(_session, argument):
        return "450 Not now" if "bad" in argument else "250 2.1.5 Ok"

    a, b = room.servers(Script("refuses some", rcpt=refuse_some), HEALTHY)
    daemon, postfix = learning(
        room, (a, b), routes_to((a, 0), (b, 10)),
        routes_to(a, domain="alone.test"), probe=RARELY)
    before = [daemon.host(server) for server in (a, b)]
    for number in range(6):
        verify(postfix, "good%d@example.test" % number)
        verify(postfix, "bad%d@example.test" % number)
        verify(postfix, "bad%d@alone.test" % number)
    wait_until(lambda: len(postfix.results("deliverable")) == 12 and
               len(postfix.results("undeliverable")) == 6, 40,
               lambda: "all is answered\n" + postfix.log()[-4000:])
    # What follows in the same log shows when those lines have been read.
    postfix.smtp_source(1, to="real@example.test")
    wait_until(lambda: daemon.host(a)["observed_ok"] >
               before[0]["observed_ok"], 10, "a real message is observed")
    after = [daemon.host(server) for server in (a, b)]
    before[0]["observed_ok"] += 1
    for key in ("state", "observed_ok", "observed_failed", "failures"):
        assert [h[key] for h in after] == [h[key] for h in before], key
    assert not fell(daemon, a) and not fell(daemon, b)


# -- what people are told -------------------------------------------------

LAST_WORDS = "452 4.3.1 Out of disk space"
IN_THE_END = Script("452 to the message", dot=LAST_WORDS)


def told(daemon, *words):
    """What nexthopctl prints, with its columns one blank apart."""
    text = daemon.ctl(*words)
    print(text)
    return re.sub(" +", " ", text)


def test_lookup_status_and_history_say_why_a_delivery_deferred_a_host(room):
    a, b = room.servers(IN_THE_END, HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to((a, 0), (b, 10)),
                               defer=MINUTE)
    postfix.smtp_source(1)
    daemon.wait_state(a, "deferred")
    host = daemon.host(a)
    assert [host[key] for key in ("reason", "stage", "source", "failures")] \
        == [LAST_WORDS, "end-of-data", "delivery", 1]
    assert host["until"] > host["since"]
    why = re.escape(LAST_WORDS + " (end-of-data, delivery, 1 in a row)")
    # The probe that comes in a second is not what it waits for.
    found = re.search(r"%s deferred - \S+Z \S+Z in (\d+) s 1 1 .* ms %s$" % (
        re.escape(a.key), why), told(daemon, "status"), re.M)
    assert found and int(found[1]) > 5
    assert re.search(
        r"%s 0 1 left out deferred until \S+Z \(\d+ s\), then one message may "
        r"try it: %s$" % (re.escape(a.hostport), why),
        told(daemon, "lookup", "u@example.test"), re.M)
    assert re.search(
        r"%s \S+Z up -> deferred for 60 s: %s, no probe sees it$" % (
            re.escape(a.hostport), why),
        told(daemon, "history", a.key), re.M)


def test_lookup_status_and_history_tell_of_a_trial_and_how_it_ends(room):
    a, b = room.servers(IN_THE_END, HEALTHY)
    daemon, postfix = learning(room, (a, b), routes_to((a, 0), (b, 10)))
    postfix.smtp_source(1, to="first@example.test")
    daemon.wait_state(a, "trial")
    assert re.search(r"%s trial - \S+Z - a message 1 1 .*%s" % (
        re.escape(a.key), re.escape(LAST_WORDS)), told(daemon, "status"))
    assert re.search(
        r"%s 0 1 left out in trial: one message may try it; %s \(end-of-data, "
        r"delivery, 1 in a row\)$" % (
            re.escape(a.hostport), re.escape(LAST_WORDS)),
        told(daemon, "lookup", "u@example.test"), re.M)
    a.become(HEALTHY)
    postfix.smtp_source(1, to="trial@example.test")
    daemon.wait_state(a, "up")
    changes = re.findall(r"%s \S+Z (.*)" % re.escape(a.hostport),
                         told(daemon, "history", a.key))
    assert [change.split(" (")[0] for change in changes] == [
        "up -> deferred for 1 s: " + LAST_WORDS,
        "deferred -> trial its time was up; deferred for: " + LAST_WORDS,
        "trial -> up well"]
