# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Mail that waits in a Postfix, and what the daemon does about it."""

import os
import re
import shutil
import tempfile
import time

from loopback import read_text, wait_until

# A host's recovery and its silence are seen within a second.
BRISK = dict(probe=dict(interval=0.3, timeout=0.6),
             defer=dict(fall=1, rise=2, first=0.5, max=1.0))

WRAPPER = """\
#!/bin/sh
# Words that are given are told apart in the record.
say() { for word; do printf '<%%s>' "$word"; done; echo; }
{ printf 'begin '; say "$@"; } >>%(record)s
%(command)s "$@"
status=$?
{ printf 'end '; say "$@"; } >>%(record)s
exit $status
"""


class Recorder:
    """A flush_command that calls postqueue(1) and remembers each call."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="nh-fl-")
        self.program = os.path.join(self.folder, "postqueue")
        self.record = os.path.join(self.folder, "record")
        self.command = self.program + " -s"

    def serve(self, postfix):
        """From now on it can be called; without a Postfix it does nothing."""
        with open(self.program, "w") as file:
            file.write(WRAPPER % dict(
                record=self.record, command=":" if postfix is None
                else "postqueue -c " + postfix.config))
        os.chmod(self.program, 0o755)

    def lines(self):
        """("begin" or "end", the words), in the order of events."""
        return [(line.split(" ", 1)[0],
                 tuple(re.findall(r"<([^>]*)>", line.split(" ", 1)[1])))
                for line in read_text(self.record).splitlines()]

    def calls(self, option=None):
        """The last word of each call, or of those with this option."""
        return [words[-1] for what, words in self.lines()
                if what == "begin" and option in (None, words[0])]

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def recording(room, servers, *routes, **more):
    """Room.learning, and the recorder of what it flushes."""
    recorder = room.add(Recorder())
    delivery = dict(more.pop("delivery", {}), flush_command=recorder.command)
    daemon, postfix = room.learning(servers, *routes, delivery=delivery,
                                    **more)
    recorder.serve(postfix)
    return daemon, postfix, recorder


def make_well(server, script):
    server.become(script)
    server.listen()


def put_off(postfix, count, to, timeout=60):
    """Send mail that finds no host well; all of it waits then."""
    postfix.smtp_source(count, to=to)
    wait_put_off(postfix, count, to, timeout)


def wait_put_off(postfix, count, to, timeout=60):
    def who():
        return {result["to"] for result in postfix.results("deferred")
                if to in result["to"]}
    wait_until(lambda: len(who()) >= count, timeout,
               lambda: "%d of %d to %s are put off\n%s" % (
                   len(who()), count, to, postfix.log()[-4000:]), pause=0.1)


def rest_from_questions(postfix, well):
    """qmgr(8) answers its last question again from memory for 30 s. Let that
    be one about other mail: that of well.test, which has a host of its own."""
    before = len(well.messages)
    postfix.smtp_source(1, to="between%d@well.test" % before)
    wait_until(lambda: len(well.messages) > before, 20,
               "mail of another route is delivered")


def wait_log_moment(daemon, pattern, timeout=20):
    """When the daemon has logged it, as time.monotonic() counts."""
    daemon.wait_log(pattern, timeout)
    return time.monotonic()


def arrivals(servers, to):
    """When each message to such recipients was taken, in order."""
    return sorted(message.at for server in servers
                  for message in list(server.messages)
                  if any(to in recipient for recipient in message.recipients))


def wait_arrivals(postfix, servers, count, to, timeout):
    """All of them are there: when the last one came."""
    wait_until(lambda: len(arrivals(servers, to)) >= count, timeout,
               lambda: "%d of %d to %s are delivered\n%s" % (
                   len(arrivals(servers, to)), count, to,
                   postfix.log()[-4000:]), pause=0.05)
    assert len(arrivals(servers, to)) == count, "delivered more than once"
    return arrivals(servers, to)[-1]
