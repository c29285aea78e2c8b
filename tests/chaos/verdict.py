# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What has to be true after all that has happened."""

import collections
import os
import re

# What the daemon may say in warnings and errors, by the kind of accident that
# brings it about; deaths are compared with what was killed, see deaths().
ALWAYS = [r"running as root"]
# Of a machine so busy that the servers here answer a probe too late, or of
# hosts that fell ill together. They are counted and shown.
LATE = [r"none of \d+ hosts answers: our own network\?",
        r"deliveries find it well, the probe does not",
        r"cannot probe \S+: this machine was asleep or too busy"]
EXPECTED = {
    "kill_worker": [r"worker \d+ ended by signal 9, starting another"],
    "kill_supervisor": [r"the supervisor is gone, stopping"],
    "truncate_table": [r"worker \d+ ended by signal 7, starting another",
                       r"health table \S+: rebuilt, all hosts start up",
                       r"health table \S+: repaired, the rest is kept"],
    "fill_disk": [r": No space left on device$"],
    "hog": [r": Too many open files"],
    "reload_bad": [r"/nexthop\.conf(:\d+)?: ",
                   r"configuration not reloaded, the old one stays"],
}

MAY_REPEAT = "message may be sent more than once"
QUEUE_ID = re.compile(r"\]: (\w+): ")
RECIPIENT = re.compile(r"\]: (\w+): to=<([^>]+)>")
BOUNCED = re.compile(r"status=(?:bounced|expired)|non-delivery notification")
MAP_TROUBLE = re.compile(r"socketmap|lookup (?:error|fail)")


class Verdict:
    """Collects what is wrong, and figures worth knowing."""

    def __init__(self, relay, load, faults):
        self.relay, self.load, self.faults = relay, load, faults
        # All at once: what follows takes a while, in which the servers, which
        # live in this process, may be late.
        self.troubles = self._troubles()
        self.log = relay.daemon._log_text()
        self.maillog = relay.maillog().splitlines()
        self.wrong = []
        self.excuses = collections.Counter()

    def judge(self):
        self.mail()
        self.no_bounce()
        self.lookups()
        self.daemon_log()
        self.deaths()
        self.cores()
        self.wrong += self.faults.crashes
        return self.wrong

    # -- mail -------------------------------------------------------------

    def _queue_ids(self):
        """Of every recipient that a delivery line tells of, and of those that
        were accepted: all ids that a message had."""
        ids = collections.defaultdict(set)
        for found in filter(None, map(RECIPIENT.search, self.maillog)):
            ids[found[2]].add(found[1])
        for to, queue_id in self.load.accepted.items():
            ids[to].add(queue_id)
        return ids

    def mail(self):
        """Each accepted recipient was served, and once; each second time has
        to be explained by its own message's queue id."""
        taken = collections.Counter(
            to for server in self.relay.servers for to in server.recipients)
        accepted, unsure = self.load.accepted, self.load.unsure
        lost = sorted(set(accepted) - set(taken))
        self.wrong += ["%s %s was accepted and is lost" % (accepted[to], to)
                       for to in lost]
        self.wrong += ["%s was delivered and never sent" % to
                       for to in sorted(set(taken) - set(accepted) - unsure)]
        ids = self._queue_ids()
        warned = collections.Counter(
            QUEUE_ID.search(line)[1] for line in self.maillog
            if MAY_REPEAT in line)
        for to, count in taken.items():
            if count > 1:
                self._repeated(to, count - 1, ids[to], warned)
        self.counts = dict(
            recipients=len(accepted), messages=len(set(accepted.values())),
            unsure=len(unsure), unsure_delivered=len(unsure & set(taken)))

    def _repeated(self, to, extra, ids, warned):
        """A repeat is excused by a warning of Postfix, or by an smtp(8) that
        was killed with the message in its hands; each excuse counts once."""
        said = sum(warned[queue_id] for queue_id in ids)
        held = sum(self.faults.held[queue_id] for queue_id in ids)
        by_warning = min(extra, said)
        by_kill = min(extra - by_warning, held)
        self.excuses["Postfix warned"] += by_warning
        self.excuses["its smtp(8) was killed"] += by_kill
        if by_warning + by_kill < extra:
            self.wrong.append("%s %s was delivered %d times, %d excused" % (
                sorted(ids), to, extra + 1, by_warning + by_kill))

    def no_bounce(self):
        self.wrong += filter(BOUNCED.search, self.maillog)

    # -- lookups ----------------------------------------------------------

    def lookups(self):
        """No TEMP and no failure is allowed, for the askers and for Postfix's
        own questions: while no worker lives the question waits in the backlog
        of a socket that nobody closes."""
        self.wrong += self.load.troubles()
        self.wrong += filter(MAP_TROUBLE.search, self.maillog)

    # -- the daemon -------------------------------------------------------

    def _troubles(self):
        daemon = self.relay.daemon
        done = {kind for _, kind, _ in self.faults.done}
        daemon.expect_trouble(*ALWAYS, *LATE, *(
            pattern for kind in done for pattern in EXPECTED.get(kind, ())))
        return daemon.troubles()

    def daemon_log(self):
        kinds = collections.defaultdict(list)
        for line in self.troubles:
            kinds[re.sub(r"[\d.]+", "#", line)].append(line)
        for pattern in LATE:
            self.excuses["warning: " + pattern] += len(
                re.findall(pattern, self.log))
        self.wrong += ["in the daemon's log, %d times: %s" % (
            len(lines), lines[0]) for lines in kinds.values()]

    def deaths(self):
        """Only those that were killed may have died by signal 9; SIGBUS takes
        one worker for each truncation of the table, at most."""
        cut = sum(kind == "truncate_table" for _, kind, _ in self.faults.done)
        for pid, number in re.findall(r"worker (\d+) ended by signal (\d+)",
                                      self.log):
            if number == "7":
                cut -= 1
                self.excuses["worker: SIGBUS"] += 1
            elif number != "9" or int(pid) not in self.faults.killed:
                self.wrong.append("worker %s died of signal %s" % (
                    pid, number))
        if cut < 0:
            self.wrong.append("%d workers too many died of SIGBUS" % -cut)
        for pid, status in self.relay.daemon.ends:
            if status == -9 and pid in self.faults.killed:
                continue
            if status == 1:     # refused to start, see the log
                self.excuses["supervisor: exit 1"] += 1
                continue
            self.wrong.append("supervisor %d ended with %d" % (pid, status))

    def cores(self):
        """SIGBUS after a truncation is the only reason to dump one."""
        cores = os.listdir(self.relay.daemon.cores)
        if len(cores) > self.excuses["worker: SIGBUS"]:
            self.wrong.append("core files: %s" % cores)

    # -- telling ----------------------------------------------------------

    def figures(self):
        load = self.load
        yield "mail: %(messages)d messages, %(recipients)d recipients " \
            "accepted; %(unsure)d more without an answer, of which " \
            "%(unsure_delivered)d came all the same" % self.counts
        yield "refused to the senders: %s" % dict(
            load.total(load.senders, "refusals"))
        yield "lookups: %s; tried again: %d; slowest: %.2f s" % (
            dict(load.total(load.askers, "answers")),
            sum(asker.retries for asker in load.askers),
            max(asker.slowest for asker in load.askers))
        yield "excuses used: %s" % dict(self.excuses)
