#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""Pipes both of whose ends the program has: lying still with bytes in them, and flowing."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def main(t):
    rounds = str(ct.full(1000, 100))
    ct.both_ways(t, ct.Job("pipes", lambda _: [ct.prog("pipes"), rounds], metric="lines",
                           span=(0.05, 0.8), started=b"ready\n"), restored=ct.full(10, 2))


ct.run(main)
