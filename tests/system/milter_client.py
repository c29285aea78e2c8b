# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The MTA's side of the milter protocol, as much as a policy milter needs."""

import socket
import struct

ACTIONS = 0x1ff         # what Postfix 3.7 offers
STEPS = 0x1fffff
NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT, NO_BODY, NO_HEADERS, NO_EOH = (
    1 << n for n in range(7))
NR_HEADERS, NO_UNKNOWN, NO_DATA, SKIP, RCPT_REJECTED = (
    1 << n for n in range(7, 12))
NR_CONNECT, NR_HELO, NR_MAIL, NR_RCPT, NR_DATA, NR_UNKNOWN, NR_EOH, NR_BODY = (
    1 << n for n in range(12, 20))
REPLIES = b"acdrtyfsR"  # those that end a step


class MilterClient:
    """One SMTP session's connection to the milter."""

    def __init__(self, spec, timeout=10, actions=ACTIONS, steps=STEPS):
        self.sock = connect(spec, timeout)
        self.buffer = b""
        self.macros = {}
        self.actions, self.steps = actions, steps
        self._negotiate(actions, steps)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.quit()

    # -- packets ----------------------------------------------------------

    def send(self, code, data=b""):
        self.sock.sendall(
            struct.pack("!I", len(data) + 1) + code.encode() + data)

    def send_raw(self, data):
        self.sock.sendall(data)

    def _take(self, count):
        while len(self.buffer) < count:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the milter closed the connection")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def packet(self):
        """(code, data) of the next packet."""
        length = struct.unpack("!I", self._take(4))[0]
        data = self._take(length)
        return chr(data[0]), data[1:]

    def _negotiate(self, actions, steps):
        self.send("O", struct.pack("!III", 6, actions, steps))
        code, data = self.packet()
        assert code == "O", "option negotiation was answered with " + code
        self.version, self.actions, self.steps = struct.unpack(
            "!III", data[:12])
        rest = data[12:]
        # What follows is (stage, "names\\0") for each smfi_setsymlist.
        while len(rest) > 4:
            stage = struct.unpack("!I", rest[:4])[0]
            names, _, rest = rest[4:].partition(b"\0")
            self.macros[stage] = names.decode()

    def reply(self):
        """Packets up to the one that ends the step: (that one, the rest)."""
        changes = []
        while True:
            code, data = self.packet()
            if code == "p":         # progress
                continue
            if code.encode() in REPLIES or code == "y":
                if code == "y":
                    return data.rstrip(b"\0").decode(), changes
                return code, changes
            changes.append((code, data))

    # -- steps ------------------------------------------------------------

    def macro(self, stage, **values):
        data = stage.encode()
        for key, value in values.items():
            name = key if len(key) == 1 else "{%s}" % key
            data += name.encode() + b"\0" + value.encode() + b"\0"
        self.send("D", data)

    def _step(self, code, data, skip, quiet):
        if self.steps & skip:
            return None
        self.send(code, data)
        if self.steps & quiet:
            return None
        return self.reply()[0]

    def connect(self, name="client.test", address="127.0.0.1", port=1234):
        return self._step(
            "C", name.encode() + b"\0" + b"4" + struct.pack("!H", port) +
            address.encode() + b"\0", NO_CONNECT, NR_CONNECT)

    def helo(self, name="client.test"):
        return self._step("H", name.encode() + b"\0", NO_HELO, NR_HELO)

    def mail(self, sender="<sender@sender.test>"):
        return self._step("M", sender.encode() + b"\0", NO_MAIL, NR_MAIL)

    def rcpt(self, recipient):
        return self._step("R", ("<%s>" % recipient).encode() + b"\0",
                          NO_RCPT, NR_RCPT)

    def data(self):
        return self._step("T", b"", NO_DATA, NR_DATA)

    def header(self, name, value):
        return self._step("L", name.encode() + b"\0" + value.encode() +
                          b"\0", NO_HEADERS, NR_HEADERS)

    def end_of_headers(self):
        return self._step("N", b"", NO_EOH, NR_EOH)

    def body(self, data=b"body\r\n"):
        return self._step("B", data, NO_BODY, NR_BODY)

    def end_of_message(self, queue_id="4C1F2A"):
        self.macro("E", i=queue_id)
        self.send("E")
        return self.reply()[0]

    def abort(self):
        self.send("A")

    def message(self, *recipients, queue_id="4C1F2A", sender="<s@s.test>"):
        """A whole transaction; returns the answer at end-of-message."""
        self.mail(sender)
        for recipient in recipients:
            self.rcpt(recipient)
        self.data()
        self.header("Subject", "test")
        self.end_of_headers()
        self.body()
        return self.end_of_message(queue_id)

    def quit(self):
        try:
            self.send("Q")
        except OSError:
            pass
        self.sock.close()


def connect(spec, timeout=10):
    """A connection to unix:PATH or inet:PORT@HOST."""
    kind, _, rest = spec.partition(":")
    if kind in ("unix", "local"):
        sock = socket.socket(socket.AF_UNIX)
        where = rest
    else:
        port, _, host = rest.partition("@")
        sock = socket.socket()
        where = (host, int(port))
    sock.settimeout(timeout)
    try:
        sock.connect(where)
    except OSError:
        sock.close()
        raise
    return sock
