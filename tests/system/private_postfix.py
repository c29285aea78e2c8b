# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""A real Postfix in a folder of its own, on an address of its own."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from loopback import LOOPBACK, process_gone, read_text, wait_until

MASTER_CF = """\
{smtpd}    inet  n       -       n       -       -       smtpd
pickup     unix  n       -       n       60      1       pickup
cleanup    unix  n       -       n       -       0       cleanup
qmgr       unix  n       -       n       300     1       qmgr
tlsmgr     unix  -       -       n       1000?   1       tlsmgr
rewrite    unix  -       -       n       -       -       trivial-rewrite
bounce     unix  -       -       n       -       0       bounce
defer      unix  -       -       n       -       0       bounce
trace      unix  -       -       n       -       0       bounce
verify     unix  -       -       n       -       1       verify
flush      unix  n       -       n       1000?   0       flush
proxymap   unix  -       -       n       -       -       proxymap
proxywrite unix  -       -       n       -       1       proxymap
smtp       unix  -       -       n       -       -       smtp
relay      unix  -       -       n       -       -       smtp
showq      unix  n       -       n       -       -       showq
error      unix  -       -       n       -       -       error
retry      unix  -       -       n       -       -       error
discard    unix  -       -       n       -       -       discard
local      unix  -       n       n       -       -       local
virtual    unix  -       n       n       -       -       virtual
lmtp       unix  -       -       n       -       -       lmtp
anvil      unix  -       -       n       -       1       anvil
scache     unix  -       -       n       -       1       scache
postlog    unix-dgram n  -       n       -       1       postlogd
"""

# What an administrator of a relay would leave alone is left alone here:
# concurrency limits, back-off times and connection caching are Postfix's own.
MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = mta.test
mydomain = mta.test
myorigin = mta.test
mydestination = mta.test, localhost
mynetworks = 127.0.0.0/8, [::1]/128
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_bind_address = {outgoing}
alias_maps =
alias_database =
local_recipient_maps =
mail_spool_directory = {folder}/mail
mailbox_command =
biff = no
relayhost = [{outgoing}]:1
append_dot_mydomain = no
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
in_flow_delay = 0
default_process_limit = 100
authorized_submit_users = root
"""

ENABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "..", "..", "contrib", "postfix", "enable")

# The service of a static table: like that of contrib/postfix/enable.
SERVICE_OPTIONS = {
    "syslog_name": "postfix/nexthop",
    "smtp_connect_timeout": "5s",
    "smtp_helo_timeout": "5s",
    "smtp_mail_timeout": "30s",
    "smtp_rcpt_timeout": "30s",
    "smtp_data_init_timeout": "30s",
    "smtp_rset_timeout": "20s",
    "smtp_quit_timeout": "5s",
    "smtp_connection_cache_on_demand": "no",
}

LINE = re.compile(
    r"postfix(?P<service>[-/\w]*)\[\d+\]: (?P<qid>[0-9A-Za-z]+): "
    r"to=<(?P<to>[^>]*)>,.* relay=(?P<relay>[^,]+),.* "
    r"delay=(?P<delay>[\d.]+), .* "
    r"status=(?P<status>\w+) \((?P<text>.*)\)$", re.M)


def command(*words, timeout=60, check=True, stdin=None):
    """Run a program to its end and return what it wrote."""
    done = subprocess.run(
        words, timeout=timeout, input=stdin, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise AssertionError("%s: exit %d:\n%s" % (
            " ".join(words), done.returncode, done.stdout))
    return done.stdout


def version():
    """(3, 7) for Postfix 3.7.11."""
    text = command("postconf", "-d", "-h", "mail_version").strip()
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


class Postfix:
    """One instance; use it as a context manager or call start() and stop()."""

    def __init__(self, folder=None, **settings):
        self._own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="nh-pf-")
        os.chmod(self.folder, 0o755)
        self.config = os.path.join(self.folder, "postfix")
        self.maillog = os.path.join(self.folder, "maillog")
        self.address = LOOPBACK.address()
        self.port = LOOPBACK.port(self.address)
        self.outgoing = LOOPBACK.address()
        self.running = False
        self._mark = 0
        self._write_files(settings)

    def _write_files(self, settings):
        owner = pwd.getpwnam("postfix")
        for name, own in (("postfix", False), ("queue", False),
                          ("data", True), ("mail", False)):
            path = os.path.join(self.folder, name)
            os.mkdir(path, 0o755)
            if own:
                os.chown(path, owner.pw_uid, owner.pw_gid)
        os.chmod(os.path.join(self.folder, "mail"), 0o1777)
        text = MAIN_CF.format(folder=self.folder, outgoing=self.outgoing)
        if version() < (3, 6):
            text = text.replace("level = 3.6", "level = 2")
        with open(os.path.join(self.config, "main.cf"), "w") as file:
            file.write(text)
        with open(os.path.join(self.config, "master.cf"), "w") as file:
            file.write(MASTER_CF.format(smtpd=self.hostport))
        # Debian and Ubuntu load map types from a list beside main.cf.
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            source = os.path.join("/etc/postfix", name)
            target = os.path.join(self.config, name)
            if os.path.isdir(source):
                shutil.copytree(source, target)
            elif os.path.exists(source):
                shutil.copy(source, target)
        if settings:
            self.set(**settings)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def hostport(self):
        return "%s:%d" % (self.address, self.port)

    # -- settings ---------------------------------------------------------

    def set(self, **settings):
        """main.cf parameters; reload() to make a running Postfix read them."""
        command("postconf", "-c", self.config, "-e",
                *("%s=%s" % pair for pair in settings.items()))

    def get(self, name):
        return command("postconf", "-c", self.config, "-x", "-h",
                       name).strip()

    def service(self, name, program, options=(), type_="unix", private="-",
                maxproc="-"):
        """A service of master.cf: Postfix's own fields, no chroot."""
        entry = "%s %s %s - n - %s %s" % (
            name, type_, private, maxproc, program)
        command("postconf", "-c", self.config, "-M",
                "%s/%s=%s" % (name, type_, entry))
        if options:
            command("postconf", "-c", self.config, "-P", *(
                "%s/%s/%s=%s" % (name, type_, key, value)
                for key, value in dict(options).items()))

    def use_service(self, name="nexthop", **more):
        self.service(name, "smtp", {**SERVICE_OPTIONS, **more})

    def use(self, daemon):
        """Put a daemon's milter and map in, as an administrator would."""
        return command(ENABLE, "--config-directory", self.config,
                       "--config", daemon.config, "--include", daemon.include)

    def use_static(self, routes):
        """A static transport table, for tests of the tests: no daemon."""
        path = os.path.join(self.folder, "transport")
        with open(path, "w") as file:
            for key, value in routes.items():
                file.write("%s %s\n" % (key, value))
        self.use_service()
        self.set(transport_maps="texthash:" + path)

    # -- running ----------------------------------------------------------

    def postfix(self, word, timeout=60, check=True):
        return command("postfix", "-c", self.config, word, timeout=timeout,
                       check=check)

    def start(self):
        self.postfix("start")
        self.running = True
        wait_until(self._answers, 20, lambda: "Postfix greets at %s\n%s" % (
            self.hostport, self.log()))

    def _answers(self):
        try:
            with socket.create_connection(
                    (self.address, self.port), timeout=5) as sock:
                return sock.recv(4) == b"220 "
        except OSError:
            return False

    def reload(self):
        self.postfix("reload")
        wait_until(self._answers, 20, "Postfix greets after a reload")

    def _master(self):
        text = read_text(os.path.join(self.folder, "queue/pid/master.pid"))
        return int(text) if text.strip() else None

    def stop(self):
        """Stop it and remove its folder."""
        self.halt()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def halt(self):
        """Stop it, by its own command; by its pid if that does not help."""
        if self.running:
            pid = self._master()
            self.postfix("abort", check=False)
            self.running = False
            if pid is not None and not process_gone(pid):
                os.kill(pid, signal.SIGKILL)

    # -- the queue --------------------------------------------------------

    def queue(self):
        """`postqueue -j`, parsed: one dictionary a message."""
        text = command("postqueue", "-c", self.config, "-j")
        return [json.loads(line) for line in text.splitlines() if line]

    def queued(self, *names):
        """How many queue files there are, by a look at the folders."""
        count = 0
        for name in names or ("maildrop", "incoming", "active", "deferred"):
            top = os.path.join(self.folder, "queue", name)
            for _, _, files in os.walk(top):
                count += len(files)
        return count

    def remind(self):
        """On a busy machine qmgr(8) may miss the word that a message has come
        in; it then looks after 300 s. It is told again, of new mail only."""
        if self.queued("incoming"):
            command("postkick", "-c", self.config, "public", "qmgr", "I",
                    check=False)

    def wait(self, predicate, timeout, what):
        """As wait_until, for what comes of mail that was sent: qmgr(8) is
        reminded of it now and then."""
        told = [time.monotonic()]

        def look():
            if predicate():
                return True
            if time.monotonic() - told[0] > 5:
                told[0] = time.monotonic()
                self.remind()
            return False
        wait_until(look, timeout, what)

    def _wait_gone(self, timeout, what, *queues):
        self.wait(lambda: self.queued(*queues) == 0, timeout,
                  lambda: what + "\n" + self.log()[-6000:])

    def wait_queue_empty(self, timeout=60):
        self._wait_gone(timeout, "queue is empty")

    def wait_settled(self, timeout=60):
        """Nothing is on its way: all mail is gone, or deferred."""
        self._wait_gone(timeout, "queue has settled",
                        "maildrop", "incoming", "active")

    def flush(self):
        command("postqueue", "-c", self.config, "-f")

    def flush_until_empty(self, timeout=90):
        """Flush, and again: qmgr(8) answers its last question of the past
        30 s from memory, so one message may still follow the old answer."""
        def empty():
            if self.queued() == 0:
                return True
            if self.queued("maildrop", "incoming", "active") == 0:
                self.flush()
            return False
        wait_until(empty, timeout,
                   lambda: "the queue is flushed\n" + self.log()[-6000:],
                   pause=1)

    def empty_queue(self):
        command("postsuper", "-c", self.config, "-d", "ALL", timeout=60)

    # -- the log ----------------------------------------------------------

    def mark(self):
        """Let log() begin here."""
        self._mark = len(read_text(self.maillog))

    def log(self):
        return read_text(self.maillog)[self._mark:]

    def results(self, status=None):
        """Delivery lines since mark(), as dictionaries."""
        found = [m.groupdict() for m in LINE.finditer(self.log())]
        return [f for f in found if status in (None, f["status"])]

    def sent(self):
        return len(self.results("sent"))

    def deferred(self):
        return len(self.results("deferred"))

    def bounced(self):
        return len(self.results("bounced"))

    def troubles(self):
        """Warnings and worse since mark()."""
        return re.findall(r"^.*: (?:warning|error|fatal|panic): .*$",
                          self.log(), re.M)

    # -- mail -------------------------------------------------------------

    def smtp_source(self, count=1, to="r@example.test", sessions=10,
                    recipients=1, sender="sender@sender.test", length=200,
                    unique=True, keep=False, hostport=None, timeout=120):
        """Postfix's own load generator. With `unique` no recipient comes
        twice (Postfix would answer a repeated one from its memory); with
        `keep` a session takes message after message."""
        words = ["smtp-source", "-s", str(min(sessions, count)), "-m",
                 str(count), "-f", sender, "-t", to, "-l", str(length),
                 "-M", "client.test"]
        if recipients > 1:
            words += ["-r", str(recipients)]
        if unique:
            words.append("-N")
        if keep:
            words.append("-d")
        return command(*words, hostport or self.hostport, timeout=timeout)

    def start_smtp_source(self, count, to="r@example.test", sessions=10,
                          sender="sender@sender.test", length=200):
        """The same, in the background."""
        return subprocess.Popen(
            ["smtp-source", "-s", str(sessions), "-m", str(count), "-N",
             "-f", sender, "-t", to, "-l", str(length), "-M", "client.test",
             self.hostport],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def submit(self, *recipients, sender="sender@sender.test",
               text="Subject: test\n\nbody\n"):
        """Mail by sendmail(1): it meets non_smtpd_milters only."""
        command("sendmail", "-C", self.config, "-i", "-f", sender,
                *recipients, stdin=text)
