#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""A pipeline of a shell and five other processes, as it is.

Snapshotted with --tree at random moments of its work, killed by it or left running: the answer is that of an
uninterrupted run.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

LINES = ct.full(60000, 6000)

# The shell writes, and waits; awk and sed run as fast as they can; sort has it all in the end.
PIPELINE = """
i=0; while [ $i -lt %d ]; do echo "$i $((i * 7919 %% 10007))"; i=$((i + 1)); done |
tee copy | awk '{ s = (s * 31 + $2) %% 1000003; print s, $0 }' | sed 's/^\\(.\\)/\\1-/' | sort |
tail -n 50
""" % LINES


def answer(where):
    return ct.read(os.path.join(where, "stdout")) + ct.read(os.path.join(where, "copy"))


def main(t):
    shell = ct.Job("pipeline", lambda _: ["/bin/bash", "-c", PIPELINE], answer, metric="time",
                   span=(0.1, 0.6), snap_args=["--tree"])
    ct.both_ways(t, shell, restored=0, kill=ct.full(5, 2))


ct.run(main)
