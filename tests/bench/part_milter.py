# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What the milter costs Postfix: messages a second that smtpd(8) takes from
smtp-source(1), without a milter, with one that does nothing, and with ours.

One Postfix serves all three, each on a port of its own, so that contenders
take turns without a reload, some tenths of a second each; its transport_maps is
our map for all of them. Its queue is in memory (/dev/shm), because a disk's
fsync(2) would drown what is measured."""

import contextlib
import os
import time
from dataclasses import dataclass

from harness import LOOPBACK, Daemon, MilterClient, Postfix, wait_until
from report import OURS, Row
from rooms import helper, memory_folder, process_seconds, thread_seconds

NO_MILTER, NOTHING = "no milter", "nothing"
CONTENDERS = (NO_MILTER, NOTHING, OURS)
SESSIONS = 10
ROUND_SECONDS = 4     # of each contender
SLICES = 10           # that a round is made of
TRIAL_MESSAGES = 200


@dataclass
class Case:
    """One way of sending; held mail costs no work behind intake."""
    name: str
    recipients: int = 1
    keep: bool = False
    hold: bool = True
    note: str = ""


CASES = (
    Case("1 recipient", note="mail is put on hold; a session each"),
    Case("1 recipient, sessions kept", keep=True),
    Case("10 recipients", recipients=10),
    Case("1 recipient, delivered", hold=False,
         note="qmgr(8) asks the map at the same time, discard(8) delivers"),
)


@contextlib.contextmanager
def null_milter(program, path):
    with helper(program, path) as process:
        wait_until(lambda: os.path.exists(path), 10, "the null milter listens")
        os.chmod(path, 0o666)
        yield process.pid


def same_negotiation(ours, nothing):
    """A floor that asks the MTA for other steps than ours is none."""
    asked = []
    for path in (ours, nothing):
        with MilterClient("unix:" + path) as client:
            asked.append((client.actions, client.steps, client.macros))
    if asked[0] != asked[1]:
        raise AssertionError("ours negotiates %r, nothing %r" % tuple(asked))


def domain(contender):
    return contender.replace(" ", "-") + ".test"


def daemon_in(folder):
    """As installed: one line of the log a message. Nothing listens at the
    hosts: rare probes, and a single failure must not defer them. A route and
    hosts for each contender: those without our milter leave questions that it
    would wonder about."""
    path = os.path.join(folder, "daemon")
    os.mkdir(path)
    return Daemon(
        folder=path,
        log=dict(target=os.path.join(path, "log"), level="info"),
        probe=dict(level="connect", interval=86400.0), defer=dict(fall=100),
        routes=tuple(
            dict(domain=domain(contender), hosts=tuple(
                dict(host=LOOPBACK.address(), port=25) for _ in range(2)))
            for contender in CONTENDERS))


class Intake:
    """A Postfix that listens once for each contender, held and not."""

    def __init__(self, folder, daemon, nothing, pids):
        path = os.path.join(folder, "postfix")
        os.mkdir(path)
        self.postfix = Postfix(folder=path, smtpd_client_restrictions="")
        self.postfix.use(daemon)
        self.postfix.service("nexthop", "discard")
        self.ports, self.pids = {}, pids
        ours = self.postfix.get("smtpd_milters")
        # By name, because no value in master.cf may hold a blank.
        self.postfix.set(milters_ours=ours, milters_nothing=ours.replace(
            daemon.milter_socket.partition(":")[2], nothing))
        milters = {NO_MILTER: "", NOTHING: "$milters_nothing",
                   OURS: "$milters_ours"}
        for name in CONTENDERS:
            for hold in (True, False):
                self._listen(name, milters[name], hold)

    def _listen(self, name, milters, hold):
        port = "%s:%d" % LOOPBACK.endpoint()
        options = {"smtpd_milters": milters}
        if hold:
            options["smtpd_client_restrictions"] = (
                "check_client_access,static:HOLD")
        self.postfix.service(port, "smtpd", options, type_="inet", private="n")
        self.ports[name, hold] = port

    def used(self, contender):
        """Processor time of the milter so far, without map and probes."""
        pid = self.pids.get(contender)
        if pid is None:
            return 0
        return process_seconds(pid) - sum(
            thread_seconds(pid, name) for name in ("map", "probe"))

    def clear(self, case):
        if case.hold:
            self.postfix.empty_queue()
        else:
            self.postfix.wait_queue_empty(300)

    def send(self, contender, case, count):
        """Returns: seconds that it took; seconds that the milter worked."""
        used, start = self.used(contender), time.monotonic()
        self.postfix.smtp_source(
            count, to="r@" + domain(contender), sessions=SESSIONS,
            keep=case.keep, recipients=case.recipients, unique=True,
            hostport=self.ports[contender, case.hold], timeout=600)
        took = time.monotonic() - start
        used = self.used(contender) - used
        self.clear(case)
        return took, used


def one_round(intake, case, count, slices):
    """Returns: contender -> (seconds, seconds of the milter), in slices by
    turns, because a busy machine is not busy evenly."""
    totals = {contender: (0, 0) for contender in CONTENDERS}
    for number in range(slices):
        order = CONTENDERS if number % 2 == 0 else CONTENDERS[::-1]
        for contender in order:
            totals[contender] = tuple(map(sum, zip(
                totals[contender], intake.send(contender, case, count))))
    return totals


def measure_case(bench, intake, case):
    """Sizes the slices by a trial, which starts Postfix's processes, too."""
    count = TRIAL_MESSAGES
    trial = one_round(intake, case, count, 1)
    slices = 1 if bench.quick else SLICES
    if not bench.quick:
        count = max(SESSIONS, int(
            count / trial[OURS][0] * ROUND_SECONDS / slices))
    rounds = [one_round(intake, case, count, slices)
              for _ in range(bench.rounds)]
    sent = count * slices
    return [
        Row("milter", case.name, "messages/s",
            {name: [sent / totals[name][0] for totals in rounds]
             for name in CONTENDERS},
            floor=NOTHING, at_least=0.97, note=case.note),
        Row("milter", case.name + ", the milter's time", "us/message",
            {name: [totals[name][1] / sent * 1e6 for totals in rounds]
             for name in (NOTHING, OURS)},
            floor=NOTHING, note="processor time, without map and probes"),
    ]


def measure(bench):
    rows = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(memory_folder())
        path = os.path.join(folder, "nothing")
        pid = stack.enter_context(
            null_milter(bench.program("null_milter"), path))
        daemon = stack.enter_context(daemon_in(folder))
        same_negotiation(daemon.milter_socket.partition(":")[2], path)
        intake = Intake(folder, daemon, path,
                        {NOTHING: pid, OURS: daemon.worker})
        stack.enter_context(intake.postfix)
        for case in CASES:
            bench.say("milter: " + case.name)
            rows += measure_case(bench, intake, case)
        if daemon.troubles():
            raise AssertionError("\n".join(daemon.troubles()))
    return rows
