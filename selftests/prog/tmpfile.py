#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A file made without a name (O_TMPFILE) can be given one after a restore."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def start():
    where = ct.workdir("tmpfile")
    inside = os.path.join(where, "inside")
    os.mkdir(inside)
    p = ct.Program([ct.PYTHON, ct.script("tmpfile.py"), inside, "name"], where)
    p.wait_output(b"ready\n")
    return p, inside


def main(t):
    with t.fact("a_file_without_a_name_gets_one_after_two_restores"):
        p, inside = start()
        store = ct.workdir("store")
        s = ct.snap(p.pid, store)
        p.kill9()
        pid = ct.restore_detached(s.ref, store)
        s = ct.snap(pid, store, "--kill")
        ct.reap(pid)
        pid = ct.restore_detached(s.ref, store)
        os.kill(pid, signal.SIGTERM)
        status = ct.reap(pid)
        if status or p.output() != b"ready\nlinked\n":
            raise ct.Failed("status %d, it says %r, %s" % (status, p.output(), p.errors()))
        path = os.path.join(inside, "name")
        if ct.read(path) != b"first half, second half\n" or os.stat(path).st_mode & 0o777 != 0o640:
            raise ct.Failed("the file holds %r" % ct.read(path))
    with t.fact("a_file_without_a_name_is_not_made_elsewhere"):
        p, inside = start()
        s = ct.snap(p.pid, store)
        p.kill9()
        os.rmdir(inside)
        got = ct.ckptctl("restore", "--detach", s.ref, "-o", store)
        if got.status == ct.EXIT_OK or inside not in got.err or "without a name" not in got.err:
            raise ct.Failed("%r" % got)


ct.run(main)
