#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""xz -T2 compressing 100 MB from a file to a file (3 MB in the small run).

The output grows only, so what xz writes between snapshot and SIGKILL is cut off again by the restore;
the compressed file has to be the uninterrupted run's byte by byte, and to hold the input.
"""
import hashlib
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

SIZE = ct.full(100 << 20, 3 << 20)
BLOCK = ct.full(4 << 20, 256 << 10)


def write_input(path):
    """Something that compresses to about half, the same in every run of this seed."""
    rng = random.Random(42)
    words = [rng.randbytes(rng.randrange(4, 40)) for _ in range(3000)]
    with open(path, "wb") as f:
        while f.tell() < SIZE:
            f.write(b"".join(rng.choices(words, k=2000)) + rng.randbytes(4096))
        f.truncate(SIZE)


def main(t):
    source = os.path.join(ct.workdir("xz-input"), "input")
    write_input(source)

    def prepare(_):
        return ["/usr/bin/xz", "-T2", ct.full("-2", "-1"), "--block-size=%d" % BLOCK, "-k", "-c", source]
    job = ct.Job("xz", prepare)
    ct.both_ways(t, job)

    with t.fact("what_xz_wrote_unpacks_to_the_input"):
        p = subprocess.run(["/usr/bin/xz", "-dc"], input=job.want, stdout=subprocess.PIPE, check=True)
        if hashlib.sha256(p.stdout).digest() != hashlib.sha256(ct.read(source)).digest():
            raise ct.Failed("it unpacks to something else")


ct.run(main)
