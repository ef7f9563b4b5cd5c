#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A disk that took an image and gives back something else: the snap says so, and the generation is
not there. The disk is a device mapper's flakey one, which changes a byte of each write on its way; the
page cache has what was meant.
"""
import contextlib
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckptdisk as disks
import ckpttest as ct

NAME = "ckpt-readback"
SIZE = 128 << 20
LIES = "corrupt_bio_byte"


class Disk(disks.Mapped):
    """One that can lie, with a file system in it."""

    def __init__(self, where):
        loop = disks.loop(os.path.join(where, "disk"), SIZE)
        super().__init__(NAME, SIZE, [loop], "linear %s 0" % loop)
        disks.call("mkfs.ext4", "-q", self.device)
        self.mount(os.path.join(where, "mnt"))

    def lies(self):
        # never up, always down; the 33rd byte of each write becomes 0x5a
        self.becomes("flakey %s 0 0 1 5 %s 33 w 90 0" % (self.loops[0], LIES))

    def is_honest_again(self):
        self.becomes(self.linear())


@contextlib.contextmanager
def disk():
    d = Disk(ct.workdir("disk"))
    try:
        yield d
    finally:
        d.end()


def lies_to_the_cache_too():
    """Before 6.5 it changed what it was given instead of a copy: the page of the page cache."""
    with disk() as d:
        d.lies()
        path = os.path.join(d.mounted, "zeros")
        with open(path, "wb") as f:
            f.write(bytes(4096))
            f.flush()
            os.fsync(f.fileno())
        d.is_honest_again()
        return any(ct.read(path))


def the_disk_lies(t, p):
    with t.fact("an_image_that_the_disk_gives_back_otherwise_is_no_generation"), disk() as d:
        first = ct.snap(p.pid, d.mounted, "-n", "job")
        if not first.info["readback_ns"]:
            raise ct.Failed("not read back: %r" % first.info)
        d.lies()
        got = ct.ckptctl("snap", "-o", d.mounted, "-n", "job", "--full", p.pid)
        if got.status != ct.EXIT_FAILED or not re.search("does not give back what was written", got.err):
            raise ct.Failed("%r" % got)
        d.is_honest_again()
        if ct.listing(d.mounted) != [first.ref]:
            raise ct.Failed("the store has %r" % ct.listing(d.mounted))
        ct.verify(first.ref, d.mounted)
        if p.ended():
            raise ct.Failed("the program ended: %r" % p.output())
    with t.fact("who_does_not_want_it_read_back_learns_of_it_from_verify"), disk() as d:
        ct.snap(p.pid, d.mounted, "-n", "job")
        d.lies()
        s = ct.snap(p.pid, d.mounted, "-n", "job", "--full", "--no-readback")
        d.is_honest_again()
        if s.info["readback_ns"]:
            raise ct.Failed("read back: %r" % s.info)
        ct.verify(s.ref, d.mounted)     # of the page cache
        with open(s.info["path"], "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        got = ct.ckptctl("verify", "-o", d.mounted, s.ref)
        if got.status != ct.EXIT_FAILED or "damaged image" not in got.err + got.out:
            raise ct.Failed("verify: %r" % got)


def main(t):
    if not disks.has_modules("dm-flakey", "loop") or lies_to_the_cache_too():
        t.skip("an_image_that_the_disk_gives_back_otherwise_is_no_generation",
               "this kernel has no loop devices, or no dm-flakey that leaves the page cache alone")
        return
    p = ct.Program(["sleep", "1000"], ct.workdir("sleep"))
    the_disk_lies(t, p)
    os.kill(p.pid, signal.SIGKILL)
    p.wait_end()


ct.run(main)
