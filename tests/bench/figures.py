# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""Runs one of the measuring programs and reads the figures it prints."""

import subprocess

TIMEOUT_S = 300


def figures_of(*command):
    """Returns: name -> number, of the lines "name number"."""
    done = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, check=True,
                          stderr=subprocess.DEVNULL, timeout=TIMEOUT_S)
    pairs = (line.split() for line in done.stdout.splitlines())
    return {name: float(number) for name, number in pairs}
