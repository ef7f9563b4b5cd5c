#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""POSIX locks come back, whichever descriptor of the file they were taken by."""
import fcntl
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

FLOCK = "hh4xqqi4x"		# struct flock of x86-64


def held(path):
    """(type, start, length, process) of the first lock another process holds on a file; None: none."""
    with open(path, "r+b") as f:
        ask = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, start, length, pid = struct.unpack(FLOCK, fcntl.fcntl(f, fcntl.F_GETLK, ask))
    return None if kind == fcntl.F_UNLCK else (kind, start, length, pid)


def main(t):
    with t.fact("locks_on_files_open_in_other_ways_too_come_back"):
        where, store = ct.workdir("locks"), ct.workdir("store")
        paths = [os.path.join(where, n) for n in ("written", "read")]
        for path in paths:
            with open(path, "wb") as f:
                f.write(b"x" * 64)
        p = ct.Program([ct.PYTHON, ct.script("locks.py"), *paths], where)
        p.wait_output(b"ready\n")
        before = [held(path) for path in paths]
        if before != [(fcntl.F_WRLCK, 5, 10, p.pid), (fcntl.F_RDLCK, 7, 20, p.pid)]:
            raise ct.Failed("it begins with %r" % before)
        s = ct.snap(p.pid, store, "--kill")
        p.wait_end()
        if any(held(path) for path in paths):
            raise ct.Failed("a dead process holds locks")
        pid = ct.restore_detached(s.ref, store)
        after = [held(path) for path in paths]
        if after != before:
            raise ct.Failed("was %r, is %r" % (before, after))
        os.kill(pid, signal.SIGTERM)
        if ct.reap(pid) or p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r" % p.output())


ct.run(main)
