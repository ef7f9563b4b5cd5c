#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: counts=full timeout=900
"""Four ranks of Open MPI on one node, and the mpirun that started them.

The ranks have files of /dev/shm in common, which all of them write to, connections to mpirun, and it has the
terminals they write to.  Snapshotted with --tree: left running, or killed by it and restored.  The ranks agree
on the same answer, which depends on every message they have sent.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

ROUNDS = ct.full(10000, 600)
# Four ranks that never sleep have two processors, often of a busy machine: one may wait long for its turn.
SNAP = ["--tree", "--timeout", "20000"]


def compiled():
    program = os.path.join(ct.workdir("mpi"), "mpi")
    got = subprocess.run(["mpicc", "-O2", "-o", program, ct.script("mpi.c")], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False)
    if got.returncode:
        raise ct.Failed("mpicc: %r" % got.stdout)
    return program


def prepare(program, where):
    """On one node, by shared memory; no other machine is asked."""
    os.mkdir(os.path.join(where, "tmp"))
    return ["/usr/bin/env", "TMPDIR=" + os.path.join(where, "tmp"), "mpirun", "--allow-run-as-root",
            "--oversubscribe", "-n", "4", "--mca", "btl", "self,vader", "--mca", "plm", "isolated",
            program, str(ROUNDS)]


def main(t):
    if not shutil.which("mpirun") or not shutil.which("mpicc"):
        t.skip("open_mpi_is_there", "no openmpi-bin and libopenmpi-dev")
        return
    if subprocess.run(["modprobe", "tcp_diag"], check=False).returncode:
        raise ct.Failed("no module tcp_diag")
    program = compiled()
    job = ct.Job("mpi", lambda where: prepare(program, where), metric="time", started=b"ready\n",
                 span=(0.6, 0.8), snap_args=SNAP)
    ct.both_ways(t, job, restored=0, running=ct.full(5, 2), kill=ct.full(5, 1))


ct.run(main)
