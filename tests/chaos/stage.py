# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Beginning and end of the programs here: their words, a mount namespace of
their own, and what is shown when something is wrong."""

import argparse
import collections
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "system"))

OWN_MOUNTS = "NH_CHAOS_OWN_MOUNTS"
SHOWN = 40


def parse_words(text):
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--logs", help="copy all logs there")
    words = parser.parse_args()
    if words.seed is None:
        words.seed = random.randrange(1 << 31)
    return words


def set_up():
    """Go on in a mount namespace of our own."""
    if os.geteuid() != 0:
        sys.exit("this mounts a disk and starts Postfix: it needs root")
    if OWN_MOUNTS in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return
    private = ["unshare", "-m"]
    if subprocess.run([*private, "true"],
                      stderr=subprocess.DEVNULL).returncode != 0:
        # In a chroot, / is no mount that could be made private.
        private += ["--propagation", "unchanged"]
    os.environ[OWN_MOUNTS] = "1"
    os.execvp("unshare", [*private, sys.executable, *sys.argv])


def show_failure(relay, words, wrong, done=()):
    """What is wrong, what was done, and the ends of the logs."""
    for second, kind, details in done:
        print("%8.2f s  %s: %s" % (second, kind, details))
    maillog = relay.maillog()
    kinds = collections.defaultdict(list)
    for what in wrong:
        kinds[re.sub(r"[\dA-F]+", "#", what)[-60:]].append(what)
    for same in kinds.values():
        print("WRONG (%d such): %s" % (len(same), same[0]))
        for queue_id in re.findall(r"\b[0-9A-F]{8,16}\b", same[0])[:2]:
            print("".join(re.findall(r"^.*%s.*\n" % queue_id, maillog,
                                     re.M)))
    print("WRONG: %d in all; seed %d" % (len(wrong), words.seed))
    print("--- the daemon's log, its last warnings and errors:")
    for line in relay.daemon.troubles()[-SHOWN:]:
        print(line)
    sys.stdout.flush()
    if words.logs:
        save_logs(relay, words.logs)


def save_logs(relay, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "maillog"), "w") as file:
        file.write(relay.maillog())
    with open(os.path.join(folder, "daemon.log"), "w") as file:
        file.write(relay.daemon._log_text())
    for path in glob.glob(relay.daemon.config + "*"):
        shutil.copy(path, folder)
