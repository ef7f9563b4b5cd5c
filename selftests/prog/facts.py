#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=1200
"""What a program has of the kernel is as it was: one program a thing, selftests/workload/fact-*.c.

Each is snapshotted and left running; and killed and restored from a delta, twice in a row.  Then it looks
for itself.  With all counts also restored once from a full one, and three times in a row.
CKPT_FACTS=WORD takes those alone whose name holds it.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact


def names():
    """All that were built."""
    wanted = os.environ.get("CKPT_FACTS", "")
    return sorted(n for n in os.listdir(ct.WORKLOAD) if n.startswith("fact-") and wanted in n)


def left_running(fact):
    fact.snap()


def restored(fact):
    fact.snap()
    fact.kill()
    fact.restore()


def restored_three_times_in_a_row(fact):
    for _ in range(3):
        fact.snap()
        fact.kill()
        fact.restore()


def restored_from_a_delta_twice(fact):
    for _ in range(2):
        fact.snap()
        fact.snap("--delta")
        fact.kill()
        fact.restore()


MORE = (restored, restored_three_times_in_a_row)
WAYS = (left_running, restored_from_a_delta_twice) + (MORE if ct.FULL else ())


def main(t):
    for name in names():
        for way in WAYS:
            with t.fact("%s_%s" % (name.removeprefix("fact-"), way.__name__)):
                fact = Fact(name)
                way(fact)
                fact.looks()


ct.run(main)
