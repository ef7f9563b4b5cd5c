#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""The interpreter with a hash chain over 200 MB of live objects (20 MB in the small run)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def main(t):
    size, steps = ct.full((200, 20000), (20, 1900))

    def prepare(_):
        return [ct.PYTHON, ct.script("hashchain.py"), str(size), str(steps)]
    ct.both_ways(t, ct.Job("python", prepare, started=b"ready\n"))


ct.run(main)
