# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Mail that keeps coming while something else happens."""

import collections
import socket
import threading

from loopback import wait_until

SENDER = "sender@sender.test"


def mail(sock_file, sender, recipients, body="Subject: test\r\n\r\nbody\r\n"):
    """One transaction over an open session; every reply must be 2xx/3xx."""
    def say(line, want):
        sock_file.write(line.encode() + b"\r\n")
        sock_file.flush()
        hear(want)

    def hear(want):
        while True:
            line = sock_file.readline().decode("utf-8", "replace")
            if line[3:4] != "-":
                break
        assert line.startswith(want), "wanted %s, got %r" % (want, line)

    if sender is None:
        hear("220")
        say("EHLO client.test", "250")
        return
    say("MAIL FROM:<%s>" % sender, "250")
    for recipient in recipients:
        say("RCPT TO:<%s>" % recipient, "250")
    say("DATA", "354")
    say(body + ".", "250")


class Traffic:
    """A message every few milliseconds until stop(), no recipient twice."""

    def __init__(self, postfix, name, pause=0.005, domain="example.test"):
        self.postfix, self.pause = postfix, pause
        self.sent, self.error = 0, None
        self.recipient = name + "%d@" + domain
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _run(self):
        try:
            with socket.create_connection(
                    (self.postfix.address, self.postfix.port),
                    timeout=30) as sock, sock.makefile("rwb") as file:
                mail(file, None, ())
                while not self._end.wait(self.pause):
                    mail(file, SENDER, (self.recipient % self.sent,))
                    self.sent += 1
        except Exception as error:      # noqa: BLE001 - told at stop()
            self.error = error

    @property
    def recipients(self):
        """Those that Postfix has accepted."""
        return [self.recipient % number for number in range(self.sent)]

    def go_on(self, count=5):
        """Returns when that many more messages were accepted."""
        wanted = self.sent + count
        wait_until(lambda: self.sent >= wanted or self.error, 20, "mail flows")

    def stop(self):
        self._end.set()
        self._thread.join(30)
        if self.error:
            raise self.error


def send_one(postfix, *recipients, sender=SENDER):
    """One message on a session of its own; all of it has to be accepted."""
    with socket.create_connection((postfix.address, postfix.port),
                                  timeout=30) as sock, \
            sock.makefile("rwb") as file:
        mail(file, None, ())
        mail(file, sender, recipients)
        file.write(b"QUIT\r\n")
        file.flush()


def each_once(recipients, *servers):
    """Every recipient was taken by one of the servers, and once."""
    taken = collections.Counter(r for s in servers for r in s.recipients)
    wanted = collections.Counter(recipients)
    assert taken == wanted, "lost: %s, doubled or foreign: %s" % (
        sorted((wanted - taken).elements()),
        sorted((taken - wanted).elements()))
