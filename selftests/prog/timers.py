#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""Interval and POSIX timers, sleeps, futexes and a storm of queued signals: every count exact."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def main(t):
    rounds = ct.full(1000, 150)
    ct.both_ways(t, ct.Job("timers", lambda _: [ct.prog("timers"), str(rounds)], metric="lines",
                           span=(0.05, 0.8), started=b"ready\n"))


ct.run(main)
