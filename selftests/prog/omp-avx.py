#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""16 OpenMP threads with their state in vector registers."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def main(t):
    steps = ct.full(200, 15)
    # waiting threads sleep instead of spinning: there are sixteen of them on two processors
    ct.both_ways(t, ct.Job("omp_avx", lambda _: [ct.prog("omp_avx"), str(steps)], started=b"ready\n",
                           env={"OMP_WAIT_POLICY": "passive"}))


ct.run(main)
