# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""The delivery log is read from the start point on: each line once, whatever
happens to the file."""

import contextlib
import glob
import gzip
import os
import pwd
import re
import shutil
import threading
import time

import pytest

from harness import HEALTHY, command, routes_to, wait_until
from log_lines import Deliveries, Ledger, append, full_lines, result_lines

MESSAGES = 1000
ROTATIONS = 2
BACKLOG = 200000
KILLED = r"worker \d+ ended by signal 9, starting another"
MISSING = "maillog does not exist: it is followed once it does"
SENT = re.compile(r"status=sent \(", re.M)


# -- rotation, by a Postfix that is busy ----------------------------------

@contextlib.contextmanager
def flowing_mail(room, a, b):
    """Mail to a and b, and a daemon that counts it. Yields a function that
    returns when so much more of it has been delivered."""
    daemon, postfix = room.learning((a, b), routes_to(a, b),
                                    probe=dict(interval=3600.0))
    # For a while the path names nothing: Postfix makes its log anew.
    daemon.expect_trouble(MISSING)
    counted = [Deliveries(daemon, server) for server in (a, b)]

    def delivered():
        return len(a.messages) + len(b.messages)

    def go_on(share=0.1):
        wanted = min(delivered() + share * MESSAGES, MESSAGES)
        postfix.wait(lambda: delivered() >= wanted, 60, "mail flows")

    source = postfix.start_smtp_source(MESSAGES, sessions=5)
    try:
        yield postfix, counted, go_on
        assert source.wait(60) == 0
    finally:
        if source.poll() is None:
            source.kill()
        source.communicate()
    postfix.wait(lambda: delivered() == MESSAGES, 60, "all is delivered")
    postfix.wait_queue_empty()


def all_logs(postfix):
    """What is left of the log, in all files: the lines of deliveries."""
    lines = 0
    for path in glob.glob(postfix.maillog + "*"):
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rt", errors="replace") as file:
            lines += len(SENT.findall(file.read()))
    return lines


def read_to_the_end(postfix, counted):
    """The deliveries that were counted when all of the log has been read."""
    last = counted[-1]
    wait_until(lambda: last.count + counted[0].count >= all_logs(postfix), 30,
               lambda: "all is counted, %d of %d" % (
                   counted[0].count + last.count, all_logs(postfix)))
    before = last.count
    append(postfix.maillog, result_lines(last.server))
    last.wait(before + 1)
    return counted[0].count + last.count - 1


@pytest.mark.parametrize("create", (False, True))
def test_a_log_that_is_rotated_by_rename_is_counted_without_a_gap(
        room, create):
    a, b = room.servers(HEALTHY, HEALTHY)
    with flowing_mail(room, a, b) as (postfix, counted, go_on):
        for number in range(ROTATIONS):
            go_on()
            os.rename(postfix.maillog, "%s.%d" % (postfix.maillog, number))
            if create:
                append(postfix.maillog, "")
            go_on()     # to the old file still
            postfix.postfix("reload")
            wait_until(lambda: os.path.exists(postfix.maillog), 30,
                       "the log is made again")
        go_on()
    got = read_to_the_end(postfix, counted)
    print("%d messages, %d counted over %d rotations" % (
        MESSAGES, got, ROTATIONS))
    assert all_logs(postfix) - 1 == MESSAGES
    assert got == MESSAGES


def test_postfix_logrotate_is_followed_without_a_gap(room):
    a, b = room.servers(HEALTHY, HEALTHY)
    with flowing_mail(room, a, b) as (postfix, counted, go_on):
        go_on()
        postfix.postfix("logrotate")
        go_on()
    got = read_to_the_end(postfix, counted)
    assert glob.glob(postfix.maillog + ".*.gz") != []
    assert all_logs(postfix) - 1 == MESSAGES
    assert got == MESSAGES


def test_a_log_that_is_copied_and_truncated_loses_nothing_that_was_copied(
        room):
    """What is written between copy and truncation nobody can promise."""
    a, b = room.servers(HEALTHY, HEALTHY)
    with flowing_mail(room, a, b) as (postfix, counted, go_on):
        for number in range(ROTATIONS):
            go_on()
            shutil.copy(postfix.maillog, "%s.%d" % (postfix.maillog, number))
            os.truncate(postfix.maillog, 0)
        go_on()
    left = all_logs(postfix)
    got = read_to_the_end(postfix, counted)
    print("%d messages, %d in the logs, %d counted over %d truncations" % (
        MESSAGES, left, got, ROTATIONS))
    assert left <= got <= MESSAGES


# -- the file comes and goes ----------------------------------------------

def test_a_copy_is_read_to_its_end_when_the_log_was_truncated_meanwhile(room):
    """A truncation shows when the file is shorter than what was read of it: so
    more of it has been read than it holds afterwards."""
    ledger = Ledger(room)
    for number in range(ROTATIONS):
        ledger.write(200)
        ledger.counted.wait(20100 * number + 200)
        ledger.write(19800)
        shutil.copy(ledger.path, "%s.%d" % (ledger.path, number))
        os.truncate(ledger.path, 0)
        ledger.write(100)
        ledger.expect(20100 * (number + 1))


def test_what_was_logged_before_the_start_does_not_count(room):
    ledger = Ledger(room, start=False)
    append(ledger.path, result_lines(ledger.server, 500) + "half a line ")
    ledger.start()
    ledger.write(1)     # its other half
    ledger.write(3)
    ledger.expect(3)


def test_a_line_counts_when_its_end_has_come(room):
    ledger = Ledger(room)
    line = result_lines(ledger.server)
    for at in range(0, len(line), 20):
        append(ledger.path, line[at:at + 20])
        time.sleep(0.01)
    ledger.write(2)
    ledger.expect(3)


def test_a_log_that_does_not_exist_at_the_start_is_followed_once_it_does(room):
    ledger = Ledger(room, exists=False)
    ledger.daemon.expect_trouble(MISSING)
    ledger.daemon.wait_log(MISSING, times=1)
    ledger.write(10)
    ledger.expect(10)
    ledger.daemon.wait_log("maillog is followed now")
    ledger.daemon.mark()
    os.unlink(ledger.path)
    ledger.daemon.wait_log(MISSING)
    ledger.write(10)
    ledger.expect(20)


def test_a_folder_that_comes_later_is_no_trouble(room):
    ledger = Ledger(room, exists=False, start=False)
    folder = os.path.join(ledger.daemon.folder, "log")
    ledger.path = os.path.join(folder, "maillog")
    ledger.daemon.configure(delivery=dict(logs=[ledger.path]))
    ledger.daemon.expect_trouble(MISSING)
    ledger.start()
    for _ in range(2):
        os.mkdir(folder)
        ledger.write(10)
        ledger.daemon.wait_log("maillog is followed now")
        ledger.end()
        shutil.rmtree(folder)
        ledger.daemon.mark()
        ledger.daemon.wait_log(MISSING)
    assert ledger.counted.count == 20


def test_a_log_that_is_written_anew_is_read_from_its_beginning(room):
    """By another file that takes its name, as editors and some rotators do."""
    ledger = Ledger(room)
    ledger.write(10)
    for number in range(1, ROTATIONS + 1):
        new = ledger.path + ".new"
        append(new, result_lines(ledger.server, 10))
        os.rename(new, ledger.path)
        ledger.expect(10 * (number + 1))


# -- a log that cannot be read --------------------------------------------

def serves(ledger):
    return ledger.daemon.ask("u@example.test").startswith("OK nexthop:")


def heals(ledger, lost=0):
    """What comes from now on counts, and what was there before does not."""
    ledger.daemon.wait_log("maillog is followed now")
    ledger.write(5)
    ledger.expect(lost + 5)


def test_without_permission_it_says_what_to_do_and_heals(room):
    nobody = pwd.getpwnam("nobody")
    ledger = Ledger(room, start=False, user="nobody", socket_group=None)
    os.chown(ledger.daemon.folder, nobody.pw_uid, nobody.pw_gid)
    os.chmod(ledger.path, 0o640)
    ledger.write(10)
    ledger.daemon.expect_trouble("maillog cannot be followed: no permission: "
                                 "add the file's group .* SupplementaryGroups")
    ledger.start()
    ledger.daemon.wait_log("SupplementaryGroups=", times=1)
    ledger.write(10)
    assert serves(ledger)
    os.chmod(ledger.path, 0o644)
    heals(ledger)


@pytest.mark.parametrize("make", (os.mkdir, os.mkfifo),
                         ids=("folder", "fifo"))
def test_what_is_no_file_is_not_followed_and_blocks_nothing(room, make):
    ledger = Ledger(room, exists=False, start=False)
    make(ledger.path)
    ledger.daemon.expect_trouble("maillog is not followed: it is no regular "
                                 "file")
    ledger.start()
    ledger.daemon.wait_log("it is no regular file", times=1)
    assert serves(ledger)
    os.rename(ledger.path, ledger.path + ".aside")
    ledger.daemon.expect_trouble(MISSING)
    ledger.daemon.wait_log(MISSING)
    ledger.write(10)
    ledger.expect(10)
    ledger.daemon.wait_log("maillog is followed now", times=1)


# -- much at once ---------------------------------------------------------

def test_a_backlog_is_counted_to_the_last_line_while_lookups_go_on(room):
    ledger = Ledger(room, log=dict(level="info"))
    ledger.write(BACKLOG)
    start = time.monotonic()
    asked = 0
    with ledger.daemon.map() as sockmap:
        while ledger.counted.count < BACKLOG:
            for _ in range(100):
                asked += 1
                assert sockmap.ask("u%d@example.test" % asked).startswith(
                    "OK nexthop:")
            assert time.monotonic() < start + 120, ledger.counted.count
    print("%d lines in %.1f s, %d lookups meanwhile" % (
        BACKLOG, time.monotonic() - start, asked))
    ledger.expect(BACKLOG)


# -- who wrote the line, and how ------------------------------------------

@pytest.mark.parametrize("prefix,tag", (
    ("Nov  8 07:17:39 mta", "postfix/smtp"),
    ("Nov 08 07:17:39 mta", "mx-out/smtp"),
    ("2026-11-28T07:17:39.123456+00:00 mta.example.test", "postfix/relay/smtp"),
    ("2026-11-28T07:17:39Z mta", "mx.out_1/smtp"),
    ("<22>Nov 28 07:17:39 mta", "postfix/nexthop/lmtp"),
    ("2026-11-28T07:17:39-0800 2001:db8::1", "postfix-out/nexthop/smtp")))
def test_prefix_and_syslog_name_may_be_any(room, prefix, tag):
    ledger = Ledger(room)
    ledger.write(5, prefix=prefix, tag=tag)
    ledger.write(5, prefix=prefix, tag=tag.rpartition("/")[0] + "/qmgr")
    ledger.write(5, prefix=prefix, tag=tag, status="deliverable")
    ledger.expect(5)


def test_a_syslog_name_of_postfix_changes_nothing(room):
    a = room.servers(HEALTHY)
    daemon, postfix = room.learning((a,), routes_to(a),
                                    probe=dict(interval=3600.0))
    command("postconf", "-c", postfix.config, "-P",
            "nexthop/unix/syslog_name=mx-out")
    postfix.reload()
    counted = Deliveries(daemon, a)
    postfix.smtp_source(20)
    counted.wait(20)
    assert "mx-out/smtp[" in postfix.log()
    assert counted.count == 20


# -- the daemon comes and goes --------------------------------------------

class Writer(threading.Thread):
    """A line every few milliseconds, until stop()."""

    def __init__(self, ledger):
        super().__init__(daemon=True)
        self.ledger, self.written = ledger, 0
        self._end = threading.Event()
        self.start()

    def run(self):
        while not self._end.wait(0.002):
            self.ledger.write()
            self.written += 1

    def stop(self):
        self._end.set()
        self.join(10)


def read_up_to_now(ledger):
    """The deliveries that are counted, once the log is read to its end. As
    Ledger.end(), but the last host stays deferred."""
    def failed():
        return ledger.daemon.host(ledger.last)["observed_failed"]

    def is_read():
        append(ledger.path, full_lines(ledger.last))
        return failed() > before

    before = failed()
    wait_until(is_read, 10, "the log is read", pause=0.1)
    return ledger.counted.count


def test_a_worker_that_is_killed_while_lines_come_goes_on_at_the_end(room):
    ledger = Ledger(room, defer=dict(first=600.0, max=600.0))
    daemon, last = ledger.daemon, ledger.last
    daemon.expect_trouble(KILLED)
    append(ledger.path, full_lines(last))
    daemon.wait_state(last, "deferred")
    since = daemon.host(last)["since"]
    writer = Writer(ledger)
    try:
        for _ in range(3):
            seen = ledger.counted.count
            ledger.counted.wait(seen + 50)
            daemon.kill_worker()
    finally:
        writer.stop()
    # What was written while no worker lived may be missed, but nothing after.
    before = read_up_to_now(ledger)
    assert before <= writer.written
    ledger.write(100)
    assert read_up_to_now(ledger) == before + 100
    host = daemon.host(last)
    assert (host["state"], host["since"]) == ("deferred", since)


def reload_logs(ledger, *paths):
    ledger.daemon.configure(delivery=dict(logs=list(paths)))
    ledger.daemon.ctl("reload")


def test_a_reload_adds_changes_and_removes_logs(room):
    ledger = Ledger(room)
    one, two, three = (ledger.path + name for name in ("", ".two", ".three"))
    for path in (two, three):
        append(path, result_lines(ledger.server, 10))
    writer = Writer(ledger)     # of the first, which stays: none is missed
    try:
        reload_logs(ledger, one, two)
        append(two, result_lines(ledger.server, 10))
        ledger.end(two)
        reload_logs(ledger, three, one)
        append(two, result_lines(ledger.server, 10))
        append(three, result_lines(ledger.server, 10))
        ledger.end(three)
    finally:
        writer.stop()
    ledger.expect(writer.written + 20)
    reload_logs(ledger)
    for path in (one, two, three):
        append(path, result_lines(ledger.server, 10))
    reload_logs(ledger, two)
    ledger.expect(writer.written + 20, two)
