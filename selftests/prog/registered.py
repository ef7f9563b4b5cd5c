#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a program told the kernel once: a timer on one thread's processor time, memory barriers, and
a file mapped shared that is its memory too."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def registered(where):
    return [ct.prog("registered"), str(int(ct.full(1000, 300) * ct.SLOW))]


def mapfile(where):
    return [ct.PYTHON, ct.script("mapfile.py"), os.path.join(where, "mapped"),
            ct.full("3000000", "300000")]


def file_and_answer(where):
    return ct.read(os.path.join(where, "mapped")) + ct.read(os.path.join(where, "stdout"))


def main(t):
    ct.both_ways(t, ct.Job("registered", registered, started=b"ready\n"))
    # written through the mapping: only a program that is killed does not run ahead of its image
    job = ct.Job("mapfile", mapfile, answer=file_and_answer, started=b"ready\n")
    with t.fact("mapfile_runs_uninterrupted"):
        job.reference()
    ct.restored_runs_end_the_same(t, job, ct.full(5, 1), kill=True)


ct.run(main)
