# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The delivery status filter, and what contrib/postfix/enable sets up in a
Postfix that runs."""

import os
import re
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from enable_site import FILTER, NEEDS_POSTFIX, Site, postmap, run

pytestmark = NEEDS_POSTFIX

# ---------------------------------------------------------------------------
# The status filter

HOST = "host mx.test[192.0.2.1]"
STATUS = [  # "5..." stays what it is when the answer is None
    ("5.4.4 unable to look up host nx.test: Name or service not known", "4"),
    ("5.3.0 unable to look up host ::1: Address family for hostname not "
     "supported", "4"),
    ("5.4.4 Host or domain name not found. Name service error for "
     "name=nx.test type=A: Host not found", "4"),
    ("5.4.4 Host or domain name not found. Name service error for "
     "name=nx.test type=MX: Host not found", None),
    ("5.4.4 Name service error for ::1: invalid host or domain name", "4"),
    ("5.4.4 nx.test: host not found", "4"),
    ("5.4.6 mail for 127.0.0.1 loops back to myself", "4"),
    (f"5.7.1 {HOST} refused to talk to me: 550 5.7.1 go away", "4"),
    ("5.0.0 host 2001:db8::1[2001:db8::1] refused to talk to me: 554 no", "4"),
    (f"5.5.0 {HOST} said: 354 huh (in reply to MAIL FROM command)", "4"),
    (f"5.5.0 Protocol error: {HOST} said: 250 huh (in reply to DATA command)",
     "4"),
    (f"5.5.1 {HOST} said: 999 what (in reply to MAIL FROM command)", "4"),
    (f"5.5.0 Protocol error: {HOST} said: hello there (in reply to end of DATA "
     "command)", "4"),
    (f"5.1.1 {HOST} said: 550 5.1.1 no such user (in reply to RCPT TO "
     "command)", None),
    (f"5.4.4 {HOST} said: 550 5.4.4 unable to look up host x (in reply to "
     "RCPT TO command)", None),
    (f"5.1.1 {HOST} said: 550 5.1.1 host a[192.0.2.9] refused to talk to me: "
     "550 (in reply to RCPT TO command)", None),
    (f"5.4.6 {HOST} said: 550 5.4.6 mail for x loops back to myself", None),
    (f"5.5.0 {HOST} said: 550 5.5.0 said: 354 huh", None),
    (f"5.5.0 {HOST} said: 550 Protocol error: {HOST} said: 250 x", None),
    ("5.3.4 message size 271 exceeds size limit 10 of server x[192.0.2.1]",
     None),
    ("5.1.0 Domain x.test does not accept mail (nullMX)", None),
    ("5.3.0 unreadable mail queue entry", None),
    (f"4.7.1 {HOST} refused to talk to me: 450 4.7.1 later", None),
    ("2.0.0 250 2.0.0 host not found", None),
]


@pytest.mark.parametrize("status, wanted", STATUS)
def test_only_trouble_of_hosts_becomes_temporary(status, wanted, tmp_path):
    answer = postmap(tmp_path, "-q", status, f"regexp:{FILTER}")
    assert answer == (wanted + status[1:] if wanted else "")


# ---------------------------------------------------------------------------
# A running Postfix

class Sockmap(threading.Thread):
    """A map server that knows a few addresses."""

    def __init__(self, path, answers):
        super().__init__(daemon=True)
        path.parent.mkdir(exist_ok=True)
        os.chmod(path.parent, 0o750)
        shutil.chown(path.parent, group="postfix")
        self.answers = answers
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        os.chmod(path, 0o660)
        shutil.chown(path, group="postfix")
        self.server.listen()
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        with client, client.makefile("rb") as stream:
            while True:
                digits = b""
                while not digits.endswith(b":"):
                    byte = stream.read(1)
                    if not byte:
                        return
                    digits += byte
                request = stream.read(int(digits[:-1]) + 1)[:-1].decode()
                key = request.split(" ", 1)[1]
                found = self.answers.get(key)
                reply = f"OK {found}" if found else "NOTFOUND "
                client.sendall(b"%d:%s," % (len(reply), reply.encode()))


class Smtpd(threading.Thread):
    """A destination host with a few replies of its own."""

    def __init__(self, **replies):
        super().__init__(daemon=True)
        self.replies = {"EHLO": "250 fake", "HELO": "250 fake",
                        "DATA": "354 go", "QUIT": "221 bye", **replies}
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "[127.0.0.1]:%d" % self.server.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        with client, client.makefile("rb") as stream:
            client.sendall(b"220 fake\r\n")
            for line in stream:
                verb = line[:4].decode("ascii", "replace").upper()
                reply = self.replies.get(verb, "250 2.0.0 ok")
                client.sendall(reply.encode() + b"\r\n")
                if verb == "DATA" and reply.startswith("354"):
                    while stream.readline() not in (b".\r\n", b""):
                        pass
                    client.sendall(b"250 2.0.0 taken\r\n")
                if verb == "QUIT":
                    return


def wait_until(question, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(name="base")
def make_base():
    base = tempfile.mkdtemp(prefix="enable-", dir="/tmp")
    os.chmod(base, 0o755)
    yield Path(base)
    shutil.rmtree(base)


@pytest.mark.parametrize("chroot", ["y", "n"])
def test_in_a_running_postfix_no_host_bounces_mail(base, chroot):
    full = Smtpd(MAIL="452 4.3.1 full").address
    rude = Smtpd(EHLO="502 no", HELO="550 5.7.1 go away").address
    liar = Smtpd(RCPT="550 5.4.4 unable to look up host x").address
    odd = Smtpd(DATA="250 huh").address
    good = Smtpd().address
    wanted = {"rude": (f"{full},{rude}", "deferred"),
              "family": (f"{full},[::1]:2525", "deferred"),
              "odd": (odd, "deferred"), "liar": (liar, "bounced"),
              "good": (f"{full},{good}", "sent")}
    site = Site(base / "site", chroot=chroot, main=(
        f"maillog_file = {base}/log\nmaillog_file_prefixes = /tmp\n"))
    text = (site.etc / "master.cf").read_text()
    site.env = None
    site.write("master.cf", re.sub(r"^smtp\s+inet.*\n", "", text, flags=re.M))
    sockmap = Sockmap(site.queue / "nexthop" / "map",
                      {f"{user}@x.test": f"nexthop:{hosts}"
                       for user, (hosts, _) in wanted.items()})
    text = site.enable()
    assert "does not answer" not in text and "cannot write" not in text
    assert run("postfix", "-c", site.etc, "start").returncode == 0
    try:
        assert wait_until((site.queue / "public" / "pickup").exists)
        for user in wanted:
            run("sendmail", "-C", site.etc, "-f", "s@mx.example.net",
                f"{user}@x.test", input="Subject: x\n\nx\n")

        def results():
            return dict(re.findall(
                r"postfix/nexthop/smtp\S+ \S+ to=<(\w+)@.*status=(\w+)",
                (base / "log").read_text()))
        wait_until(lambda: len(results()) == len(wanted))
        assert results() == {u: s for u, (_, s) in wanted.items()}
        sockmap.server.close()
        os.unlink(site.queue / "nexthop" / "map")
        assert "Postfix would refuse all mail" in site.enable(want=1)
        site.enable("--undo", "--reload")
    finally:
        run("postfix", "-c", site.etc, "stop")
