# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What the relay has to do all the time: mail comes in, and the map is asked."""

import collections
import random
import re
import socket
import threading
import time

from relay import DOMAINS, ELSEWHERE

SENDER = "sender@sender.test"
# Longer than Postfix waits for its cleanup(8), its map and its milter.
PATIENCE = 150
BODY = "Subject: chaos\r\n\r\nbody\r\n.\r\n"


class Worker(threading.Thread):
    """A thread that goes on until stop(); `error` is what it died of."""

    def __init__(self, relay, number, seed):
        super().__init__(daemon=True)
        self.relay, self.number = relay, number
        self.random = random.Random("%s %s %d" % (
            type(self).__name__, seed, number))
        self.error = None
        self.done = threading.Event()

    def run(self):
        try:
            while not self.done.is_set():
                self.turn()
        except Exception as error:      # noqa: BLE001 - told by the verdict
            self.error = error

    def stop(self):
        self.done.set()


class Refused(Exception):
    """Postfix said no: which command, and its words."""


class Sender(Worker):
    """Sends messages of one to three recipients, a few in a session. Nothing
    is sent twice: what was not accepted is left alone."""

    def __init__(self, relay, number, seed, pause):
        super().__init__(relay, number, seed)
        self.pause = pause
        self.count = 0
        self.accepted = {}      # recipient: queue id
        self.unsure = set()     # recipients whose 250 was not seen
        self.refusals = collections.Counter()

    def turn(self):
        """One session."""
        postfix = self.relay.postfix
        try:
            with socket.create_connection(
                    (postfix.address, postfix.port), PATIENCE) as sock, \
                    sock.makefile("rwb") as file:
                self._hear(file, "220", "greeting")
                self._say(file, "EHLO client.test", "250")
                for _ in range(self.random.randint(1, 12)):
                    if self.done.wait(self.pause):
                        break
                    self._send(file)
                self._say(file, "QUIT", "221")
        except Refused as error:
            self.refusals[re.sub(r"<[^>]*>", "<>", str(error))] += 1
        except (OSError, EOFError) as error:
            self.refusals[type(error).__name__] += 1
            self.done.wait(0.2)

    def _hear(self, file, want, command):
        while True:
            line = file.readline().decode("utf-8", "replace")
            if not line.endswith("\n"):
                raise EOFError
            if line[3:4] != "-":
                break
        if not line.startswith(want):
            raise Refused("%s: %s" % (command, line.strip()))
        return line

    def _say(self, file, line, want):
        file.write(line.encode() + b"\r\n")
        file.flush()
        return self._hear(file, want, line.split(" ", 1)[0])

    def _send(self, file):
        domain = self.random.choice(DOMAINS)
        self.count += 1
        to = ["m%d.%d.%d@%s" % (self.number, self.count, n, domain)
              for n in range(self.random.choice((1, 1, 1, 2, 3)))]
        self._say(file, "MAIL FROM:<%s>" % SENDER, "250")
        for recipient in to:
            self._say(file, "RCPT TO:<%s>" % recipient, "250")
        self._say(file, "DATA", "354")
        self.unsure.update(to)
        file.write(BODY.encode())
        file.flush()
        reply = self._hear(file, "250", "end of data")
        self.unsure.difference_update(to)
        queue_id = reply.rsplit(" ", 1)[1].strip()
        self.accepted.update(dict.fromkeys(to, queue_id))


class Asker(Worker):
    """Asks the map as Postfix's dict_sockmap(3) does: an end of file is
    answered by one more try on a new connection; no connection, no time or a
    second end of file is a failed lookup. The pauses let the map be
    reconnected to, too."""

    TIMEOUT = 100       # DICT_SOCKMAP_DEF_TIMEOUT

    def __init__(self, relay, number, seed, pause):
        super().__init__(relay, number, seed)
        self.pause = pause
        self.client = None
        self.answers = collections.Counter()
        self.retries = 0
        self.failures = []
        self.slowest = 0.0
        self._right = {domain: relay.hosts_of(domain) for domain in DOMAINS}

    def turn(self):
        for _ in range(self.random.randint(1, 400)):
            if self.done.wait(self.pause):
                break
            domain = self.random.choice(DOMAINS + (ELSEWHERE,))
            key = "a%d.%d@%s" % (self.number, sum(self.answers.values()),
                                 domain)
            start = time.monotonic()
            try:
                self._judge(key, domain, self._ask(key))
            except (OSError, EOFError) as error:
                self.failures.append("%s: %r" % (key, error))
            self.slowest = max(self.slowest, time.monotonic() - start)
        self._close()

    def _ask(self, key):
        try:
            return self._try(key)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            self._close()
            self.retries += 1
            return self._try(key)

    def _try(self, key):
        try:
            if self.client is None:
                self.client = self.relay.daemon.map(timeout=self.TIMEOUT)
            return self.client.ask(key)
        except OSError:
            self._close()
            raise

    def _close(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    def _judge(self, key, domain, reply):
        word, _, rest = reply.partition(" ")
        self.answers[word] += 1
        if domain == ELSEWHERE:
            right = word == "NOTFOUND"
        elif rest.startswith("nexthop-hold:"):
            right = word == "OK"
            self.answers["of these held"] += 1
        else:
            # Separators at the end belong to the spelling of the list.
            hosts = re.findall(r"[^ ,\t]+", rest.partition(":")[2])
            right = word == "OK" and rest.startswith("nexthop:") and \
                hosts != [] and set(hosts) <= self._right[domain] and \
                len(set(hosts)) == len(hosts)
        if not right:
            self.failures.append("%s: %s" % (key, reply))


class Load:
    """All senders and askers of one run."""

    def __init__(self, relay, seed, senders=3, askers=4, pause=0.15,
                 ask_pause=0.02):
        self.senders = [Sender(relay, n, seed, pause)
                        for n in range(senders)]
        self.askers = [Asker(relay, n, seed, ask_pause)
                       for n in range(askers)]
        for thread in self.senders + self.askers:
            thread.start()

    def stop(self):
        for thread in self.senders + self.askers:
            thread.stop()
        for thread in self.senders + self.askers:
            thread.join(PATIENCE + 30)

    @property
    def accepted(self):
        return {to: queue_id for sender in self.senders
                for to, queue_id in sender.accepted.items()}

    @property
    def unsure(self):
        return {to for sender in self.senders for to in sender.unsure}

    def total(self, threads, name):
        """One counter of several threads, added up."""
        return sum((getattr(thread, name) for thread in threads),
                   collections.Counter())

    def troubles(self):
        """What must not have happened to lookups and to these threads."""
        threads = self.senders + self.askers
        return ["lookup " + failure for asker in self.askers
                for failure in asker.failures] + \
            ["%s %d: %r" % (type(t).__name__, t.number, t.error)
             for t in threads if t.error] + \
            ["%s %d does not end" % (type(t).__name__, t.number)
             for t in threads if t.is_alive()]
