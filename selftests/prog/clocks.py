#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Clocks go on where they were, also on a machine that was started later than the program.

A reboot is made up: the program begins in a time namespace whose clocks are far ahead, and is
restored outside of it. It is then in a namespace of the restore's making; from there it is taken
and restored again, as after every further reboot.
"""
import ctypes
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

CLONE_NEWTIME = 0x80
AHEAD_S = 1000000

# a child of vfork() shares memory, and with that it cannot be in another time namespace
subprocess._USE_VFORK = False
libc = ctypes.CDLL(None, use_errno=True)


def must(ret, what):
    if ret:
        raise ct.Failed("%s: %s" % (what, os.strerror(ctypes.get_errno())))


def start_ahead(*args):
    """The program, with clocks that are ahead of ours."""
    home = os.open("/proc/self/ns/time", os.O_RDONLY)
    must(libc.unshare(CLONE_NEWTIME), "unshare")
    try:
        with open("/proc/self/timens_offsets", "w") as f:
            f.write("monotonic %d 0\nboottime %d 0\n" % (AHEAD_S, 2 * AHEAD_S))
        p = ct.Program([ct.PYTHON, ct.script("clocks.py"), *args], ct.workdir("clocks"))
    finally:
        must(libc.setns(home, CLONE_NEWTIME), "setns")
        os.close(home)
    p.wait_output(b"ready\n")
    return p


def is_ahead(pid):
    offsets = ct.text("/proc/%d/timens_offsets" % pid)
    if not any(int(line.split()[1]) > AHEAD_S // 2 for line in offsets.splitlines()):
        raise ct.Failed("its clocks are the machine's: " + offsets)


def over_and_over(p, *args):
    is_ahead(p.pid)
    for i in range(ct.full(10, 3)):
        store = ct.workdir("store")
        ref = ct.snap(p.pid, store, "--kill", *args).ref
        if i:
            ct.reap(pid)
        else:
            p.wait_end()
        ct.end_children()
        pid = ct.restore_detached(ref, store)
        is_ahead(pid)
    os.kill(pid, signal.SIGTERM)
    status = ct.reap(pid)
    if status or p.output() != b"ready\nsteady\n":
        raise ct.Failed("status %d, it says %r: %s" % (status, p.output(), p.errors()))


def main(t):
    with t.fact("a_program_whose_clocks_are_ahead_is_restored_over_and_over"):
        over_and_over(start_ahead())
    with t.fact("so_is_a_tree"):
        over_and_over(start_ahead("tree"), "--tree")
    with t.fact("a_program_left_running_keeps_its_clocks"):
        p = start_ahead()
        ct.snap(p.pid, ct.workdir("store"))
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if p.output() != b"ready\nsteady\n":
            raise ct.Failed("it says %r" % p.output())


ct.run(main)
