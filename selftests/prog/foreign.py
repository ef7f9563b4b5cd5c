#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Restores among users who do not trust each other: whose rights, whose image, whose files."""
import glob
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

def endless(where, prefix=()):
    p = ct.Program([*prefix, ct.prog("counter"), "0", "256"], where)
    p.wait_output(b"ready\n")
    return p


def taken(p):
    """Snapped and ended: reference, store, path of the image."""
    store = ct.workdir("store")
    ref = ct.snap(p.pid, store, "--kill").ref
    p.wait_end()
    return ref, store, glob.glob(os.path.join(store, "*", "*.ckpt"))[0]


def refused(words, pid, *args, **kw):
    got = ct.ckptctl("restore", "--detach", *args, **kw)
    if got.status != ct.EXIT_FAILED or not re.search(words, got.err):
        raise ct.Failed("%r wanted: %r" % (words, got))
    if os.path.exists("/proc/%d" % pid):
        raise ct.Failed("something runs as %d: %s" % (pid, ct.text("/proc/%d/cmdline" % pid, "")))


def end_in_order(pid, p):
    os.kill(pid, signal.SIGTERM)
    if ct.reap(pid) or not p.output().endswith(b"in order\n"):
        raise ct.Failed("it says %r" % p.output())


def planted(t):
    """In the place of its output file, for whoever opens it to hang in."""
    with t.fact("a_fifo_in_the_place_of_a_file_is_refused_and_not_waited_for"):
        p = endless(ct.workdir("counter"))
        ref, store, _ = taken(p)
        os.rename(p.out, p.out + ".old")
        os.mkfifo(p.out)
        refused(re.escape(p.out) + " is not the kind of file it was", p.pid, ref, "-o", store)
        os.rename(p.out + ".old", p.out)
        end_in_order(ct.restore_detached(ref, store), p)


def main(t):
    planted(t)


ct.run(main)
