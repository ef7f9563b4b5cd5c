#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=500
"""A snapshot is one instant: two threads write a sequence while it is taken, and it holds one prefix.

See selftests/workload/prefix.h for how a torn picture is told. It is looked for in the snapshot
descriptor and in images that ckptctl wrote.
"""
import glob
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

MIB = ct.full(256, 16)
RUNS = ct.full(50, 2)
IMAGES = ct.full(3, 1)


def check(*args):
    p = subprocess.run([ct.prog("prefixcheck")] + [str(a) for a in args], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=ct.DEADLINE)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def start(pages):
    p = ct.Program([ct.prog("prefix"), str(MIB), pages], ct.workdir("prefix"))
    p.wait_output(b"ready\n")
    return p


def end_whole(p):
    os.kill(p.pid, signal.SIGTERM)
    p.finish()
    if not p.output().endswith(b"both halves are whole\n"):
        raise ct.Failed("the program says %r" % p.output())


def checker_can_fail(t):
    """Of a running program /proc/PID/mem shows no prefix: the checker is not blind."""
    with t.fact("memory_read_while_it_is_written_is_seen_to_be_torn"):
        p = start("4k")
        for _ in range(20):
            status, out, err = check("mem", p.pid)
            if status == 1 and "torn" in err:
                break
        else:
            raise ct.Failed("twenty reads of live memory were all whole: %s %s" % (out, err))
        end_whole(p)


def snapshots(t, pages):
    with t.fact("%d_snapshots_of_%d_MiB_in_%s_pages_hold_one_prefix_each" % (RUNS, MIB, pages)):
        p = start(pages)
        for done in range(0, RUNS, 5):      # a few at a time: a hang is told from much work
            nr = min(5, RUNS - done)
            status, out, err = check("live", p.pid, nr)
            if status or out.count("prefix of") != nr:
                raise ct.Failed("after %d good ones: %s" % (done + out.count("prefix of"), err))
        t.diag("last: " + out.strip().split("\n")[-1])
        end_whole(p)


def images(t, pages):
    with t.fact("%d_images_of_%d_MiB_in_%s_pages_hold_one_prefix_each" % (IMAGES, MIB, pages)):
        p = start(pages)
        for _ in range(IMAGES):
            store = ct.workdir("store")
            ct.spin_until(time.monotonic_ns() + random.randrange(30000000))
            ct.snap(p.pid, store)
            files = glob.glob(os.path.join(store, "*", "*.ckpt"))
            if len(files) != 1:
                raise ct.Failed("%d images in the store: %s" % (len(files), ct.tree(store)))
            status, out, err = check("image", files[0])
            if status:
                raise ct.Failed(err)
            ct.drop_workdir(store)
        end_whole(p)


def restored(t, pages):
    with t.fact("the_sequence_goes_on_after_a_restore_in_%s_pages" % pages):
        p = start(pages)
        store = ct.workdir("store")
        s = ct.snap(p.pid, store)
        ct.spin_until(time.monotonic_ns() + random.randrange(100000000))
        p.kill9()
        pid = ct.restore_detached(s.ref, store)
        ct.wait_for(lambda: ct.cpu_clock(pid) > ct.full(2, 0.5) * 1e9, "it to write on")
        os.kill(pid, signal.SIGTERM)
        status = ct.reap(pid)
        if status or not p.output().endswith(b"both halves are whole\n"):
            raise ct.Failed("status %s, the program says %r" % (status, p.output()))


def main(t):
    checker_can_fail(t)
    for pages in ("4k", "thp"):
        snapshots(t, pages)
        images(t, pages)
        restored(t, pages)


ct.run(main)
