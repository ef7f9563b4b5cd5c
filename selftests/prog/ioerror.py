#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The disk of a program's file fails: what it has written does not get there, so a snapshot of it would
be newer than the file. It fails and names the file, the generation before stays the newest, and the
program runs on. The disk is a device mapper's; where the file lies becomes errors.
"""
import contextlib
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckptdisk as disks
import ckpttest as ct

NAME = "ckpt-ioerror"
SIZE = 64 << 20


class Disk(disks.Mapped):
    def __init__(self, where):
        loop = disks.loop(os.path.join(where, "disk"), SIZE)
        super().__init__(NAME, SIZE, [loop], "linear %s 0" % loop)
        # no journal: its end would be told by writes too, and make the file system read-only
        disks.call("mkfs.ext4", "-q", "-O", "^has_journal", self.device)
        self.mount(os.path.join(where, "mnt"), "-o", "errors=continue")


@contextlib.contextmanager
def disk():
    d = Disk(ct.workdir("disk"))
    try:
        yield d
    finally:
        ct.Program.end_all()
        d.becomes(d.linear(), "--nolockfs")
        d.end()


def alive(p):
    if p.ended():
        raise ct.Failed("the program ended: %r %r" % (p.output(), p.errors()))


def fails(t, what, argv, path, *options):
    """That file alone cannot be written: what tells of it is its own error, told once."""
    with t.fact("a_file_%s_that_cannot_be_synced_fails_the_snapshot" % what), disk() as d:
        store, where = ct.workdir("store"), os.path.join(d.mounted, "job")
        os.mkdir(where)
        p = ct.Program(argv, where)
        p.wait_output(b"ready\n")
        s = ct.snap(p.pid, store, "-n", "job")
        # something to write, and then the disk is gone
        os.kill(p.pid, signal.SIGUSR1)
        p.wait_output(b"round 1\n")
        d.loses(os.path.join(where, path))
        got = ct.ckptctl("snap", "-o", store, "-n", "job", *options, p.pid)
        if got.status != ct.EXIT_FAILED or os.path.join(where, path) not in got.err or \
                "cannot be synced" not in got.err or "Input/output error" not in got.err:
            raise ct.Failed("%r" % got)
        if ct.listing(store) != [s.ref]:
            raise ct.Failed("the store has %r" % ct.listing(store))
        ct.verify(s.ref, store)
        alive(p)


def main(t):
    if not disks.has_modules("dm-mod", "loop"):
        t.skip("a_file_that_cannot_be_synced_fails_the_snapshot", "this kernel has no device mapper or loop")
        return
    inplace = [ct.prog("inplace"), "write", "data", "64"]
    fails(t, "that_grows", [ct.prog("touch"), "1", "4k", "10", "plain"], "stdout")
    fails(t, "changed_in_place", inplace, "data")
    fails(t, "changed_in_place_and_copied", inplace, "data", "--files=copy")
    fails(t, "mapped", [ct.prog("inplace"), "map", "data", "64"], "data")
    fails(t, "in_the_pause", inplace, "data", "--barrier=strict", "--files=copy")


ct.run(main)
