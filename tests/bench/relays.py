# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Ways to let a Postfix deliver to two equal hosts: what nexthop-milter is
compared with, and nexthop-milter. Each has a Postfix, and two SMTP servers, of
its own; one of these is to be sick, the other stays well."""

import re
import time

from harness import Daemon, FakeSmtp, Postfix, routes_to, send_messages, \
    wait_until
from private_haproxy import HAProxy

DOMAIN = "example.test"
STEADY_S = 40


class Relay:
    """What all have in common. `service` is Postfix's own smtp(8) as it comes
    (30 s to connect, 300 s for the greeting), or "nexthop": the service that
    contrib/postfix/enable makes (5 s, 5 s)."""

    # Deferred mail is not tried again in the window: Postfix waits for
    # minimal_backoff_time (300 s), and nobody asks it for less.
    comes_back = False

    def __init__(self, service="smtp"):
        self.sick, self.well = FakeSmtp(name="sick"), FakeSmtp(name="well")
        self.service = service
        self.postfix = Postfix()
        for server in self.sick, self.well:
            server.mta_addresses.add(self.postfix.outgoing)
        self.begun = self.struck = None

    # -- life -------------------------------------------------------------

    def start(self):
        self.set_up()
        self.postfix.start()

    def set_up(self):
        raise NotImplementedError

    def stop(self):
        self.postfix.stop()
        self.sick.close()
        self.well.close()

    def strike(self, fault):
        """The sick host is sick from now on."""
        self.struck = time.monotonic()
        if fault.script is None:
            self.sick.refuse()
            self.sick.hang_up()
        else:
            self.sick.become(fault.script)

    def wait_steady(self, fault):
        """Returns when it knows of the fault what it can know without mail;
        fault None: that all is well."""

    # -- mail -------------------------------------------------------------

    def burst(self, count):
        """As fast as ten sessions bring it."""
        self.begun = time.monotonic()
        self.postfix.smtp_source(count, to="r@" + DOMAIN)

    def flow(self, count, seconds, strike_at, fault):
        """Evenly over so many seconds, no faster; the fault comes when
        strike_at messages have been accepted."""
        self.begun = time.monotonic()

        def after_each(number):
            if number + 1 == strike_at:
                self.strike(fault)
            due = self.begun + seconds * (number + 1) / count
            time.sleep(max(0, due - time.monotonic()))
        send_messages(self.postfix,
                      [("sender@sender.test", ("r%d@%s" % (n, DOMAIN),))
                       for n in range(count)],
                      sessions=1, after_each=after_each)

    def is_settled(self):
        """Nothing more will happen in this window."""
        return not self.comes_back and \
            self.postfix.queued("maildrop", "incoming", "active") == 0

    # -- what came of it --------------------------------------------------

    def delivered(self, until):
        """How many recipients have their message."""
        return len({recipient for server in (self.sick, self.well)
                    for message in list(server.messages)
                    if message.at <= until
                    for recipient in message.recipients})

    def deferred(self):
        return len({r["qid"] for r in self.postfix.results("deferred")})

    def worst_delay(self):
        """Of what was delivered, as Postfix counts; None: nothing was."""
        return max((float(r["delay"]) for r in self.postfix.results("sent")),
                   default=None)

    def wasted(self):
        """How often a message, or a session that came to none, met the sick
        host in vain."""
        met = [(session, sum(line.upper().startswith("MAIL ")
                             for line in list(session.commands)))
               for session in self.sick.deliveries]
        in_vain = sum(mails - session.messages for session, mails in met)
        return in_vain + self._without_mail(
            [session for session, mails in met if not mails],
            sum(mails > 0 for _, mails in met))

    def _without_mail(self, sessions, _others):
        refused = re.findall(
            r": connect to \S*\[%s\]:%d: " % (
                re.escape(self.sick.address), self.sick.port),
            self.postfix.log())
        return len(refused) + sum(
            session.at >= self.struck for session in sessions)


class Static(Relay):
    """A list in a transport table: smtp:[A]:25,[B]:25."""

    def __init__(self, service="smtp", sick_first=True):
        super().__init__(service)
        self.sick_first = sick_first

    def set_up(self):
        hosts = [self.sick.hostport, self.well.hostport]
        if not self.sick_first:
            hosts.reverse()
        self.postfix.use_static(
            {DOMAIN: "%s:%s" % (self.service, ",".join(hosts))})


class RandMap(Relay):
    """Postfix's randmap, at its best: it draws one of the two orders of the
    list, so that the other host is always there to turn to. (Lists have
    commas, so it draws their names; and only for the domain in question.)"""

    def set_up(self):
        hosts = self.sick.hostport, self.well.hostport
        self.postfix.use_static({
            DOMAIN: "any",
            "ab": "%s:%s,%s" % (self.service, *hosts),
            "ba": "%s:%s,%s" % (self.service, *reversed(hosts))})
        table = self.postfix.get("transport_maps")
        self.postfix.set(transport_maps="pipemap:{%s,randmap:{ab,ba},%s}" % (
            table, table))


class BehindHAProxy(Relay):
    """Postfix knows one address: HAProxy's."""

    def __init__(self, service="smtp"):
        super().__init__(service)
        self.haproxy = HAProxy({"sick": self.sick, "well": self.well})
        for server in self.sick, self.well:
            server.mta_addresses.add(self.haproxy.source)

    def set_up(self):
        self.haproxy.start()
        self.postfix.use_static(
            {DOMAIN: "%s:%s" % (self.service, self.haproxy.hostport)})

    def wait_steady(self, fault):
        if fault is not None and fault.is_checked:
            wait_until(lambda: not self.haproxy.is_up("sick"), STEADY_S,
                       lambda: "HAProxy sees it\n" + self.haproxy.log())
        else:
            wait_until(lambda: self.haproxy.is_checked("sick")
                       and self.haproxy.is_checked("well"), STEADY_S,
                       lambda: "HAProxy checks\n" + self.haproxy.log())

    def stop(self):
        try:
            super().stop()
        finally:
            self.haproxy.stop()

    def _without_mail(self, _sessions, others):
        # Its checks come from the same address as its clients' sessions.
        return max(0, self.haproxy.sessions("sick") - others)


class Ours(Relay):
    """nexthop-milter as README.md has it: `enable`, the log followed, the
    domain in fast_flush_domains; intervals and back-offs are the defaults."""

    comes_back = True

    def __init__(self, **options):
        super().__init__("nexthop")
        open(self.postfix.maillog, "a").close()     # else the daemon warns
        self.daemon = Daemon(
            include=True, **{**dict(
                routes=(routes_to(self.sick, self.well, domain=DOMAIN),),
                probe=None, defer=None, log=dict(level="info"),
                delivery=dict(
                    logs=[self.postfix.maillog],
                    flush_command="postqueue -c %s -s" % self.postfix.config),
            ), **options})

    def set_up(self):
        self.postfix.set(fast_flush_domains=DOMAIN)
        self.postfix.use(self.daemon)
        self.daemon.start()

    def wait_steady(self, fault):
        self.daemon.wait_probed(self.sick, self.well, timeout=STEADY_S)
        state = "deferred" if fault is not None and fault.is_probed else "up"
        self.daemon.wait_state(self.sick, state, timeout=STEADY_S)

    def stop(self):
        try:
            super().stop()
        finally:
            self.daemon.stop()
