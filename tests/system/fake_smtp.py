# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""SMTP servers that do as they are told, and remember what they saw.

All servers of a test run share one event loop in one thread. A server follows
its `script`; become() changes it while sessions are running, and a session
looks at the script again before each reply.
"""

import asyncio
import inspect
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from loopback import LOOPBACK, wait_until

BACKLOG = 1024
MAX_LINE = 8192


class Script:
    """What a server answers. Each reply is text (may hold \\n for more lines),
    or a function of (session, argument) that returns text (it may be async);
    None is silence.
    `raw` takes the connection over: an async function of the session."""

    def __init__(self, name, **replies):
        self.name = name
        self.greeting = "220 server.test ESMTP"
        self.ehlo = "250-server.test\n250-PIPELINING\n250 8BITMIME"
        self.helo = "250 server.test"
        self.mail = "250 2.1.0 Ok"
        self.rcpt = "250 2.1.5 Ok"
        self.data = "354 End data with <CR><LF>.<CR><LF>"
        self.dot = "250 2.0.0 Ok: queued"
        self.starttls = "220 2.0.0 Ready to start TLS"
        self.rset = "250 2.0.0 Ok"
        self.quit = "221 2.0.0 Bye"
        self.tls = False
        self.raw = None
        for key, value in replies.items():
            if key not in self.__dict__:
                raise TypeError("no such reply: " + key)
            setattr(self, key, value)


def every_fifth_recipient(session, _argument):
    server = session.server
    server.recipients_asked += 1
    if server.recipients_asked % 5 == 0:
        return "450 4.7.1 Greylisted, try again later"
    return "250 2.1.5 Ok"


async def _silence(session):
    await session.until_closed()


async def _half_a_line(session):
    await session.send_raw(b"220 server.te")
    await session.until_closed()


async def _close_in_reply(session):
    await session.send_raw(b"220-server.test first line\r\n220-sec")


async def _not_smtp(session):
    await session.send_raw(b"HTTP/1.1 400 Bad Request\r\n"
                           b"Content-Length: 0\r\n\r\n")
    await session.until_closed()


async def _drip(session):
    for byte in b"220 server.test drips ".ljust(4000, b"x"):
        await session.send_raw(bytes((byte,)))
        if await session.closed_within(0.05):
            return


async def _endless_lines(session):
    block = b"220-and yet another line of the greeting\r\n" * 500
    while not session.writer.is_closing():
        await session.send_raw(block)


async def _endless_line(session):
    await session.send_raw(b"220 ")
    while not session.writer.is_closing():
        await session.send_raw(b"a" * 16384)


async def _huge_banner(session):
    for _ in range(160):
        await session.send_raw(b"220-" + b"b" * 65530 + b"\r\n")
    await session.send_raw(b"220 done\r\n")
    await session.until_closed()


async def _binary(session):
    await session.send_raw(b"220 \x00\x1b[31m\xff\xfe\x07 \x9b%s%n\r\n")
    await session.until_closed()


async def _accept_and_close(_session):
    return


HEALTHY = Script("healthy")
GREETING_431 = Script("431 greeting", greeting="431 Mail system full")
GREETING_421 = Script("421 greeting", greeting="421 4.3.2 Shutting down")
GREETING_554 = Script("554 greeting", greeting="554 5.7.1 Go away")
MAIL_452 = Script("452 to MAIL",
                  mail="452 4.3.1 Insufficient system resources")
RCPT_452 = Script("452 to RCPT",
                  rcpt="452 4.3.1 Insufficient system resources")
GREYLISTING = Script("450 to every fifth recipient",
                     rcpt=every_fifth_recipient)
EHLO_550 = Script("5xx to EHLO and HELO", ehlo="550 5.7.1 Not for you",
                  helo="550 5.7.1 Not for you")
HELO_ONLY = Script("HELO only", ehlo="502 5.5.1 Not implemented")
MULTILINE_GREETING = Script(
    "multi-line greeting",
    greeting="220-server.test ESMTP\n220-second line\n220 third line")
MULTILINE_EHLO = Script(
    "multi-line EHLO",
    ehlo="250-server.test\n" + "\n".join(
        "250-X-EXTENSION-%d" % n for n in range(30)) + "\n250 HELP")
STARTTLS = Script("STARTTLS", tls=True)
SILENT = Script("silent", raw=_silence)
HALF_A_LINE = Script("half a line, then silence", raw=_half_a_line)
CLOSE_IN_REPLY = Script("closes in mid-reply", raw=_close_in_reply)
ACCEPT_AND_CLOSE = Script("accepts and closes", raw=_accept_and_close)
NOT_SMTP = Script("not SMTP", raw=_not_smtp)
DRIP = Script("drips", raw=_drip)
ENDLESS_LINES = Script("endless lines", raw=_endless_lines)
ENDLESS_LINE = Script("one endless line", raw=_endless_line)
HUGE_BANNER = Script("10 MB banner", raw=_huge_banner)
BINARY = Script("binary greeting", raw=_binary)


class Loop:
    """The thread that all servers of this process run on."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine, timeout=10):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(timeout)


_the_loop = None


def the_loop():
    global _the_loop
    if _the_loop is None:
        _the_loop = Loop()
    return _the_loop


def _tls_context():
    """A self-signed certificate, made once in a process."""
    folder = tempfile.mkdtemp(prefix="nh-cert-")
    cert = os.path.join(folder, "cert.pem")
    key = os.path.join(folder, "key.pem")
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=server.test", "-keyout", key, "-out", cert],
            check=True, timeout=30, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    finally:
        for path in (cert, key):
            if os.path.exists(path):
                os.unlink(path)
        os.rmdir(folder)
    return context


_tls = None


def tls_context():
    global _tls
    if _tls is None:
        _tls = _tls_context()
    return _tls


class Message:
    """One DATA that the server took: who it was for, and over which session."""

    def __init__(self, session, sender, recipients, size):
        self.session = session
        self.sender = sender
        self.recipients = tuple(recipients)
        self.size = size
        self.at = time.monotonic()


class Session:
    """One connection, with everything that the client said."""

    def __init__(self, server, reader, writer):
        self.server = server
        self.reader = reader
        self.writer = writer
        self.at = time.monotonic()
        self.peer = writer.get_extra_info("peername")[0]
        self.helo = None
        self.commands = []
        self.tls = False
        self.quit = False
        self.messages = 0
        self.sender = None
        self.recipients = []
        self.early_talker = False

    @property
    def is_probe(self):
        """Postfix binds to addresses that the server is told of."""
        return self.peer not in self.server.mta_addresses

    async def send_raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, text):
        lines = text.split("\n")
        await self.send_raw("".join(l + "\r\n" for l in lines).encode())

    async def until_closed(self):
        while await self.reader.read(4096):
            pass

    async def closed_within(self, seconds):
        try:
            return not await asyncio.wait_for(self.reader.read(4096), seconds)
        except asyncio.TimeoutError:
            return False

    async def resolve(self, reply, argument=""):
        """The text that a script's reply stands for."""
        if callable(reply):
            reply = reply(self, argument)
        return await reply if inspect.isawaitable(reply) else reply

    async def answer(self, reply, argument=""):
        """Send one reply; False if the script turned silent."""
        if self.server.script.raw is not None and self.commands:
            await self.until_closed()
            return False
        reply = await self.resolve(reply, argument)
        if reply is None:
            await self.until_closed()
            return False
        await self.send(reply)
        return True

    async def line(self):
        data = await self.reader.readline()
        if not data.endswith(b"\n") or len(data) > MAX_LINE:
            return None
        return data.rstrip(b"\r\n").decode("utf-8", "replace")

    async def run(self):
        script = self.server.script
        if script.raw is not None:
            await script.raw(self)
            return
        if not await self.greet(script):
            return
        while True:
            line = await self.line()
            if line is None or not await self.command(line):
                return

    async def greet(self, script):
        if script.greeting is not None and self.server.greeting_delay:
            try:
                data = await asyncio.wait_for(
                    self.reader.read(1), self.server.greeting_delay)
                self.early_talker = bool(data)
                return False
            except asyncio.TimeoutError:
                pass
        greeting = await self.resolve(script.greeting)
        if not await self.answer(greeting):
            return False
        if not greeting.startswith("220"):
            # A polite client says QUIT now; take it, then hang up.
            line = await self.line()
            if line is not None:
                self.commands.append(line)
                self.quit = line.upper() == "QUIT"
            return False
        return True

    async def command(self, line):
        """Obey one command; False ends the session."""
        self.commands.append(line)
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        script = self.server.script
        if verb in ("EHLO", "HELO"):
            self.helo = argument
            reply = script.ehlo if verb == "EHLO" else script.helo
            if verb == "EHLO" and script.tls and not self.tls:
                reply = reply.replace("250 ", "250-") + "\n250 STARTTLS"
            return await self.answer(reply, argument)
        if verb == "STARTTLS":
            return await self.start_tls(script)
        if verb == "MAIL":
            return await self.mail(script, argument)
        if verb == "RCPT":
            return await self.rcpt(script, argument)
        if verb == "DATA":
            return await self.data(script)
        if verb == "RSET":
            self.sender, self.recipients = None, []
            return await self.answer(script.rset)
        if verb == "NOOP":
            return await self.answer("250 2.0.0 Ok")
        if verb == "QUIT":
            self.quit = True
            await self.answer(script.quit)
            return False
        return await self.answer("502 5.5.2 Error: command not recognized")

    async def start_tls(self, script):
        if not script.tls or self.tls:
            return await self.answer("502 5.5.1 Not now")
        if not await self.answer(script.starttls):
            return False
        if not script.starttls.startswith("220"):
            return True
        await self.writer.start_tls(tls_context(), ssl_handshake_timeout=10)
        self.tls = True
        self.helo = None
        return True

    async def mail(self, script, argument):
        reply = await self.resolve(script.mail, argument)
        self.recipients = []
        self.sender = None
        if reply is not None and reply.startswith("25"):
            self.sender = argument[5:].split(">")[0].lstrip("< ")
        return await self.answer(reply, argument)

    async def rcpt(self, script, argument):
        if self.sender is None:     # also what a pipelining client meets
            return await self.answer("503 5.5.1 Need MAIL")
        reply = await self.resolve(script.rcpt, argument)
        if reply is not None and reply.startswith("25"):
            self.recipients.append(argument[3:].split(">")[0].lstrip("< "))
        return await self.answer(reply, argument)

    async def data(self, script):
        if not self.recipients:
            return await self.answer("503 5.5.1 Need RCPT")
        if not await self.answer(script.data):
            return False
        if not script.data.startswith("354"):
            return True
        size = 0
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                return False
            if line in (b".\r\n", b".\n"):
                break
            size += len(line)
        script = self.server.script
        reply = await self.resolve(script.dot)
        if reply is not None and reply.startswith("250") \
                and script.raw is None:
            self.messages += 1
            self.server.messages.append(
                Message(self, self.sender, self.recipients, size))
        self.sender, self.recipients = None, []
        return await self.answer(reply)


class FakeSmtp:
    """A scripted server on an address of its own."""

    def __init__(self, script=HEALTHY, address=None, port=None, name=""):
        self.script = script
        self.name = name
        self.address = address or LOOPBACK.address()
        self.port = port or LOOPBACK.port(self.address)
        self.sessions = []
        self.messages = []
        self._open = set()
        self.mta_addresses = set()
        self.recipients_asked = 0
        self.greeting_delay = 0.0
        self._server = None
        self._fillers = []
        self._hole = None
        self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- what it is -------------------------------------------------------

    @property
    def hostport(self):
        return "[%s]:%d" % (self.address, self.port)

    @property
    def key(self):
        """The spelling of `nexthopctl status --json` routes."""
        return "%s:%d" % (self.address, self.port)

    def host(self, **more):
        """This server as an element of a route's `hosts`."""
        return dict(host=self.address, port=self.port, **more)

    # -- what it does -----------------------------------------------------

    def become(self, script):
        self.script = script

    def listen(self):
        if self._server is not None:
            return
        self._unhole()

        async def start():
            return await asyncio.start_server(
                self._accepted, self.address, self.port, backlog=BACKLOG,
                limit=1 << 16, reuse_address=True)
        self._server = the_loop().call(start())

    def refuse(self):
        """Close the listener: new connections are refused; old ones live."""
        self._unhole()
        if self._server is None:
            return
        server, self._server = self._server, None

        async def stop():
            server.close()
        the_loop().call(stop())
        wait_until(self._refuses, 5, "%s refuses connections" % self.hostport)

    def _refuses(self):
        with socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex((self.address, self.port)) != 0

    def black_hole(self):
        """No SYN is answered any more: a listener whose queue is full."""
        self.refuse()
        hole = socket.socket()
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind((self.address, self.port))
        hole.listen(0)
        self._hole = hole
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.address, self.port))
            self._fillers.append(filler)
        wait_until(self._swallows, 5, "%s is a black hole" % self.hostport)

    def _swallows(self):
        with socket.socket() as sock:
            sock.settimeout(0.3)
            try:
                sock.connect((self.address, self.port))
            except (TimeoutError, socket.timeout):
                return True
            except OSError:
                return False
            return False

    def _unhole(self):
        for sock in self._fillers + ([self._hole] if self._hole else []):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            sock.close()
        self._fillers, self._hole = [], None

    def close(self):
        self.refuse()
        self.hang_up()

    def hang_up(self):
        """Reset all sessions, listener untouched."""
        async def drop():
            for session in list(self._open):
                session.writer.transport.abort()
        the_loop().call(drop())

    async def _accepted(self, reader, writer):
        session = Session(self, reader, writer)
        self.sessions.append(session)
        self._open.add(session)
        try:
            await session.run()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError,
                ValueError, OSError):
            pass
        finally:
            self._open.discard(session)
            try:
                writer.close()
                await writer.wait_closed()
            except (ConnectionError, ssl.SSLError, OSError):
                pass

    # -- what it saw ------------------------------------------------------

    @property
    def probes(self):
        return [s for s in list(self.sessions) if s.is_probe]

    @property
    def deliveries(self):
        """Connections that Postfix made, whether they got anywhere or not."""
        return [s for s in list(self.sessions) if not s.is_probe]

    @property
    def recipients(self):
        return [r for m in list(self.messages) for r in m.recipients]

    def forget(self):
        """Forget what was seen; sessions that are open stay open."""
        self.sessions = []
        self.messages = []
        self.recipients_asked = 0

    def deliveries_since(self, when):
        return [s for s in self.deliveries if s.at >= when]
