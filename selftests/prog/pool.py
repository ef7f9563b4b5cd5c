#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""Python's multiprocessing: a pool of workers, made by fork, with its queues, locks and threads.

Its locks are semaphores in files of /dev/shm that are removed at once.  Snapshotted with --tree at random
moments, killed by it and restored, or left running: the results are the same, each task done once.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

TASKS = ct.full(400, 90)

PROGRAM = """
import hashlib, multiprocessing, sys

def task(n):
    digest = b"%%d" %% n
    for _ in range(1500):
        digest = hashlib.sha256(digest + bytes(n)).digest()
    with counter.get_lock():
        counter.value += 1
    return n, digest.hex()

counter = multiprocessing.Value("i", 0)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print("ready", flush=True)
        results = dict(pool.imap_unordered(task, range(%d), chunksize=3))
    for n in sorted(results):
        print(n, results[n])
    print("tasks done:", counter.value)
""" % TASKS


def main(t):
    job = ct.Job("pool", lambda _: [ct.PYTHON, "-c", PROGRAM], metric="time", started=b"ready\n",
                 span=(0.1, 0.5), snap_args=["--tree"])
    ct.both_ways(t, job, restored=0, running=ct.full(8, 1), kill=ct.full(5, 1))


ct.run(main)
