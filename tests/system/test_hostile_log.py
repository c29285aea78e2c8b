# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Text of strangers in the delivery log changes nobody's state but that of the
server that sent it: `mimic` imitates lines of Postfix about `victim`."""

import itertools
import os
import random

import pytest

from harness import HEALTHY, FakeSmtp, Script, routes_to, version, wait_until
from log_lines import Deliveries, Ledger, append, full_lines, result_lines

SAID = "host {v}[{v}] said: 452 4.3.1 full (in reply to {stage} command)"
RESULT = ("to=<u@example.test>, relay={v}[{v}]:{port}, delay=1, "
          "delays=0/0/0/1, dsn=4.3.1, status=deferred (" + SAID + ")")
DAY = "Nov 28 07:17:39 mta postfix/nexthop/smtp[4711]: "
CUT = 1990      # where Postfix ends a line is near

# What a reply holds behind its code.
IMITATIONS = (
    SAID,
    "4.3.1 x)\n" + SAID,
    "x (in reply to RCPT TO command)\n4C1F2A: " + SAID,
    "4.7.1 " + RESULT,
    "4.3.0 x (in reply to MAIL FROM command))\n4C1F2A: " + RESULT,
    "x>, relay={v}[{v}]:{port}, delay=1, delays=0/0/0/1, dsn=4.3.1, "
    "status=deferred (" + SAID + ")",
    "u@example.test>, relay={v}[{v}]:{port}, delay=1, delays=0/0/0/1, "
    "dsn=4.3.1, status=deferred (connect to {v}[{v}]:{port}: "
    "Connection refused)",
    "\r" + DAY + "4C1F2A: " + SAID,
    "\x00\x0b\x0c\x85\u2028" + DAY + "connect to {v}[{v}]:{port}: "
    "Connection refused",
    "\x1b[2K\x1b[1G\x08\x08" + DAY + "4C1F2A: lost connection with {v}[{v}] "
    "while sending RCPT TO",
    "\udcff\udcfe\udc80 " + DAY + "4C1F2A: {v}[{v}] refused to talk to me: "
    "421 4.3.2 down",
    "y" * (CUT - 700) + "\n" + SAID + "\n" + SAID,
    "y" * 3000 + "\n" + DAY + "4C1F2A: " + RESULT,
    "%s%n%99999999d 4.3.1 " + SAID + " status=deferred (",
    "", "-", ")", "(in reply to end of DATA command)",
)
STAGES = {          # and how its replies begin
    "greeting": "421 ", "ehlo": "421 ", "mail": "451 ", "rcpt": "450 ",
    "data": "451 ", "dot": "452 "}
NAMES = {"mail": "MAIL FROM", "rcpt": "RCPT TO", "data": "DATA",
         "dot": "end of DATA"}
HEALTHY_REPLIES = {
    "greeting": "220 mimic.test", "ehlo": "250 mimic.test",
    "mail": "250 2.1.0 Ok", "rcpt": "250 2.1.5 Ok", "data": "354 Go on",
    "dot": "250 2.0.0 Ok"}


class Mimic:
    """An SMTP server that refuses at one stage, each time with another
    imitation, in bytes of its own."""

    def __init__(self, victim):
        self.victim = victim
        self.stage, self.code = "rcpt", None
        self.said = 0
        self._texts = itertools.cycle(IMITATIONS)
        self.server = FakeSmtp(Script("mimic", raw=self._talk))

    def _refusal(self):
        self.said += 1
        text = next(self._texts)
        for name, value in (("{v}", self.victim.address),
                            ("{port}", str(self.victim.port)),
                            ("{stage}", NAMES.get(self.stage, "DATA"))):
            text = text.replace(name, value)
        code = self.code or STAGES[self.stage]
        lines = text.split("\n")
        return b"".join(
            (code[:3] + ("-" if line is not lines[-1] else " ") +
             line).encode("utf-8", "surrogateescape") + b"\r\n"
            for line in lines)

    async def _reply(self, session, stage):
        """False when it has refused."""
        refuses = stage == self.stage and not session.is_probe
        await session.send_raw(
            self._refusal() if refuses
            else (HEALTHY_REPLIES[stage] + "\r\n").encode())
        return not refuses

    async def _talk(self, session):
        stages = {"EHLO": "ehlo", "HELO": "ehlo", "MAIL": "mail",
                  "RCPT": "rcpt", "DATA": "data"}
        await self._reply(session, "greeting")
        while (line := await session.line()) is not None:
            verb = line.partition(" ")[0].upper()
            if verb == "QUIT":
                return
            if verb not in stages:
                await session.send_raw(b"250 2.0.0 Ok\r\n")
            elif await self._reply(session, stages[verb]) and verb == "DATA":
                while (line := await session.line()) not in (".", None):
                    pass
                await self._reply(session, "dot")


def scene(room, **settings):
    """A route of the mimic, then the victim; both get mail, whatever is
    thought of the mimic."""
    victim = room.servers(HEALTHY)
    mimic = Mimic(victim)
    room.add(mimic.server)
    settings.setdefault("default_destination_concurrency_failed_cohort_limit",
                        "100000")
    daemon, postfix = room.learning(
        (mimic.server, victim), routes_to((mimic.server, 0), (victim, 10)),
        settings=settings, probe=dict(interval=3600.0))
    daemon.wait_probed(mimic.server, victim)
    daemon.ctl("force-up", mimic.server.key)
    return daemon, postfix, mimic, victim


def untouched(daemon, victim):
    host = daemon.host(victim)
    assert (host["state"], host["observed_failed"], host["failures"]) == (
        "up", 0, 0), host
    assert "up -> " not in daemon.ctl("history", victim.key)


def go_through_all(postfix, mimic, codes):
    for stage, code in itertools.product(STAGES, codes):
        mimic.stage, mimic.code = stage, code
        postfix.smtp_source(len(IMITATIONS), sessions=4)
        postfix.wait_settled()


def read_to_the_end(daemon, postfix, server):
    """A refusal of `server` shows that all lines before it were read."""
    before = daemon.host(server)["observed_failed"]
    append(postfix.maillog, full_lines(server))
    wait_until(lambda: daemon.host(server)["observed_failed"] > before, 30,
               lambda: "the log is read\n" + daemon.log()[-4000:])


def test_a_server_that_imitates_log_lines_harms_only_itself(room):
    daemon, postfix, mimic, victim = scene(room)
    counted = Deliveries(daemon, victim)
    go_through_all(postfix, mimic, (None,))
    read_to_the_end(daemon, postfix, mimic.server)
    print("%d imitations, %d messages to the victim" % (
        mimic.said, len(victim.messages)))
    assert mimic.said >= len(STAGES) * len(IMITATIONS)
    assert counted.count == len(victim.messages) >= mimic.said
    untouched(daemon, victim)
    assert daemon.host(mimic.server)["observed_failed"] > 10


def test_words_of_the_last_server_of_a_list_are_no_better(room):
    """They stand in the results of the recipients: nobody else is asked."""
    daemon, postfix, mimic, victim = scene(room)
    daemon.ctl("drain", victim.key)
    go_through_all(postfix, mimic, (None, "554"))
    read_to_the_end(daemon, postfix, mimic.server)
    assert victim.messages == []
    assert postfix.deferred() > 0 and postfix.bounced() > 0
    untouched(daemon, victim)
    assert daemon.host(mimic.server)["observed_failed"] > 10


FORMS = ("external", "internal")
IMITATING_RECIPIENTS = (
    'x>, relay={v}[{v}]:{port}, delay=1, delays=0/0/0/0, dsn=4.3.1, '
    'status=deferred (host {v}[{v}] said: 452 4.3.1 y (in reply to end of '
    'DATA command))',
    'x@example.test>, relay={v}[{v}]:{port}, delay=1, delays=0/0/0/0, '
    'dsn=4.3.1, status=deferred (host {v}[{v}] said: 452 4.3.1 y (in reply '
    'to end of DATA command))',
    'x@example.test>, orig_to=<y@example.test>, relay={v}[{v}]:{port}, '
    'delay=1, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to '
    '{v}[{v}]:{port}: Connection refused)',
    'x@example.test>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, '
    'status=deferred (connect to {v}[{v}]:{port}: Connection refused)',
    ' 4C1F2A: host {v}[{v}] said: 452 4.3.1 y (in reply to MAIL FROM '
    'command)',
)


@pytest.mark.skipif(version() < (3, 5), reason="no such parameter")
@pytest.mark.parametrize("form", FORMS)
def test_a_recipient_that_imitates_fields_changes_nothing(room, form):
    daemon, postfix, mimic, victim = scene(
        room, info_log_address_format=form)
    mimic.stage = None      # it takes everything
    counted = Deliveries(daemon, mimic.server)
    for text in IMITATING_RECIPIENTS:
        text = text.format(v=victim.address, port=victim.port)
        for number in range(6):
            postfix.submit('"%d%s"@example.test' % (number, text))
    postfix.wait_queue_empty()
    assert len(victim.messages) == 0
    sent = postfix.log().count("status=sent")
    assert sent == 6 * len(IMITATING_RECIPIENTS)
    assert daemon.state(mimic.server) == "up"
    append(postfix.maillog, result_lines(mimic.server))
    counted.wait(1)
    print("%d of %d such deliveries counted" % (counted.count - 1, sent))
    untouched(daemon, victim)
    untouched(daemon, mimic.server)


def long_line(victim, size):
    """So many bytes that would pass for a line."""
    line = full_lines(victim).rstrip("\n").replace(
        "452 4.3.1 ", "452 4.3.1 " + "y" * size)
    return line.replace("y" * (len(line) - size), "", 1).encode()


def garbage(victim):
    """Lines that nobody's syslog daemon should write."""
    rng = random.Random(3)
    # No part of it is a whole line.
    line = result_lines(
        victim, dsn="4.4.2", status="deferred",
        text="lost connection with %s[%s] while sending RCPT TO" % (
            victim.address, victim.address)).rstrip("\n").encode()
    yield b"x" * 100000 + b"\n"
    yield b"x" * 100000 + line + b"\n"
    yield line[:-1] + b"y" * 100000 + b")\n"
    yield line.replace(b"u", b"u" * 50000, 1) + b"\n"
    for size in (2100, 8192):   # whole where it is cut off, here or by Postfix
        yield long_line(victim, size) + b"y" * size + b")\n"
    yield rng.randbytes(100000) + b"\n"
    yield b"\0" * 70000 + line + b"\n"
    yield b"\n" * 70000
    yield line + b"\0\n"
    yield line + b"\r\n"
    for at in range(0, len(line), 7):
        yield line[:at] + b"\n"
        yield line[:at] + bytes((at % 32,)) + line[at:] + b"\n"
    for _ in range(2000):
        yield rng.randbytes(rng.randrange(200)) + b"\n"


def test_garbage_in_the_file_is_harmless_and_the_lines_after_it_count(room):
    ledger = Ledger(room)
    worker = ledger.daemon.worker
    pieces = 0
    for piece in garbage(ledger.server):
        append(ledger.path, piece)
        ledger.write()
        pieces += 1
    ledger.expect(pieces)
    untouched(ledger.daemon, ledger.server)
    assert ledger.daemon.worker == worker
    assert os.path.getsize(ledger.path) > 500000
