# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""What sanitizers and valgrind say of the daemon and of nexthopctl.

Built with a sanitizer they write a file for each process that has something to
report; under valgrind (NH_WRAPPER, see harness.py) there is one for each, and
it is empty if all is well. A file with text fails the test.
"""

import os
import shutil
import tempfile

from loopback import read_text

SANITIZERS = ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")


class Reports:
    """A folder for the reports of all that this process starts."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="nh-reports-")
        os.chmod(self.folder, 0o1777)   # the daemon drops root
        os.environ["NH_REPORT"] = os.path.join(self.folder, "report")
        for name in SANITIZERS:
            words = [os.environ.get(name), "log_path=%(NH_REPORT)s" %
                     os.environ]
            os.environ[name] = ":".join(word for word in words if word)

    def take(self):
        """All that was reported since the last call."""
        texts = []
        for name in sorted(os.listdir(self.folder)):
            path = os.path.join(self.folder, name)
            text = read_text(path)
            if text.strip():
                texts.append("%s:\n%s" % (name, text))
                os.unlink(path)
        return "\n".join(texts)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
