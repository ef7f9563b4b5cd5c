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
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

NAME = "ckpt-readback"
LIES = "corrupt_bio_byte"


def call(*argv):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if p.returncode:
        raise ct.Failed("%s: %r" % (" ".join(argv), p.stdout))
    return p.stdout.decode().strip()


class Disk:
    """A loop device, a flakey one on it, and a file system in that."""

    def __init__(self, where):
        self.file = os.path.join(where, "disk")
        with open(self.file, "wb") as f:
            f.truncate(128 << 20)
        self.loop = call("losetup", "--find", "--show", self.file)
        self.sectors = (128 << 20) // 512
        call("dmsetup", "create", NAME, "--noudevsync", "--noudevrules", "--table", self.table("linear"))
        self.mount = os.path.join(where, "mnt")
        os.mkdir(self.mount)
        device = "/dev/" + call("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", NAME)
        call("mkfs.ext4", "-q", device)
        call("mount", device, self.mount)

    def table(self, kind):
        if kind == "linear":
            return "0 %d linear %s 0" % (self.sectors, self.loop)
        # never up, always down; the 33rd byte of each write becomes 0x5a
        return "0 %d flakey %s 0 0 1 5 %s 33 w 90 0" % (self.sectors, self.loop, LIES)

    def becomes(self, kind):
        call("dmsetup", "load", NAME, "--table", self.table(kind))
        call("dmsetup", "suspend", "--noudevsync", NAME)
        call("dmsetup", "resume", "--noudevsync", NAME)

    def end(self):
        call("umount", self.mount)
        call("dmsetup", "remove", "--noudevsync", NAME)
        call("losetup", "--detach", self.loop)


@contextlib.contextmanager
def disk():
    d = Disk(ct.workdir("disk"))
    try:
        yield d
    finally:
        d.end()


def modules():
    return not subprocess.run(["modprobe", "-q", "dm-flakey"], check=False).returncode and \
        not subprocess.run(["modprobe", "-q", "loop"], check=False).returncode


def lies_to_the_cache_too():
    """Before 6.5 it changed what it was given instead of a copy: the page of the page cache."""
    with disk() as d:
        d.becomes("flakey")
        path = os.path.join(d.mount, "zeros")
        with open(path, "wb") as f:
            f.write(bytes(4096))
            f.flush()
            os.fsync(f.fileno())
        d.becomes("linear")
        return any(ct.read(path))


def the_disk_lies(t, p):
    with t.fact("an_image_that_the_disk_gives_back_otherwise_is_no_generation"), disk() as d:
        first = ct.snap(p.pid, d.mount, "-n", "job")
        if not first.info["readback_ns"]:
            raise ct.Failed("not read back: %r" % first.info)
        d.becomes("flakey")
        got = ct.ckptctl("snap", "-o", d.mount, "-n", "job", "--full", p.pid)
        if got.status != ct.EXIT_FAILED or not re.search("does not give back what was written", got.err):
            raise ct.Failed("%r" % got)
        d.becomes("linear")
        if ct.listing(d.mount) != [first.ref]:
            raise ct.Failed("the store has %r" % ct.listing(d.mount))
        ct.verify(first.ref, d.mount)
        if p.ended():
            raise ct.Failed("the program ended: %r" % p.output())
    with t.fact("who_does_not_want_it_read_back_learns_of_it_from_verify"), disk() as d:
        ct.snap(p.pid, d.mount, "-n", "job")
        d.becomes("flakey")
        s = ct.snap(p.pid, d.mount, "-n", "job", "--full", "--no-readback")
        d.becomes("linear")
        if s.info["readback_ns"]:
            raise ct.Failed("read back: %r" % s.info)
        ct.verify(s.ref, d.mount)     # of the page cache
        with open(s.info["path"], "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        got = ct.ckptctl("verify", "-o", d.mount, s.ref)
        if got.status != ct.EXIT_FAILED or "damaged image" not in got.err + got.out:
            raise ct.Failed("verify: %r" % got)


def main(t):
    if not modules() or lies_to_the_cache_too():
        t.skip("an_image_that_the_disk_gives_back_otherwise_is_no_generation",
               "this kernel has no loop devices, or no dm-flakey that leaves the page cache alone")
        return
    p = ct.Program(["sleep", "1000"], ct.workdir("sleep"))
    the_disk_lies(t, p)
    os.kill(p.pid, signal.SIGKILL)
    p.wait_end()


ct.run(main)
