# SPDX-License-Identifier: GPL-2.0-only
"""ckptdisk: disks of the tests, files behind the device mapper. There is no udev in the VM, so names of
devices come from devtmpfs.
"""
import os
import re
import subprocess

import ckpttest as ct

SECTOR = 512


def call(*argv, told=b""):
    """What a command prints that is told something; it has to succeed."""
    p = subprocess.run(argv, input=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if p.returncode:
        raise ct.Failed("%s: %r" % (" ".join(argv), p.stdout))
    return p.stdout.decode().strip()


def has_modules(*names):
    return not subprocess.run(["modprobe", "-q", "-a", *names], check=False).returncode


def loop(path, size):
    """A device on a new file of that many bytes."""
    with open(path, "wb") as f:
        f.truncate(size)
    return call("losetup", "--find", "--show", path)


class Mapped:
    """A mapped device on loop devices; table is what dmsetup is given, less start and length."""

    def __init__(self, name, size, loops, table):
        self.name, self.loops, self.sectors = name, loops, size // SECTOR
        call("dmsetup", "create", name, "--noudevsync", "--noudevrules", "--table", self.line(table))
        self.device = "/dev/" + call("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", name)
        self.mounted = None

    def line(self, table):
        return "0 %d %s" % (self.sectors, table)

    def becomes(self, table, *options):
        """From now on; a table of several lines has their starts and lengths."""
        call("dmsetup", "load", self.name, told=(table if "\n" in table else self.line(table)).encode())
        call("dmsetup", "suspend", "--noudevsync", *options, self.name)
        call("dmsetup", "resume", "--noudevsync", self.name)

    def linear(self):
        return "linear %s 0" % self.loops[0]

    def loses(self, path):
        """The places of that file can be written to no more; all others can."""
        bad = []
        for line in call("filefrag", "-b512", "-v", path).splitlines():
            found = re.match(r"\s*\d+:\s*\d+\.\.\s*\d+:\s*(\d+)\.\.\s*(\d+):", line)
            if found:
                bad.append((int(found.group(1)), int(found.group(2)) + 1))
        if not bad:
            raise ct.Failed("%s is nowhere" % path)
        at, plan = 0, ""
        for begin, end in sorted(bad) + [(self.sectors, self.sectors)]:
            if begin > at:
                plan += "%d %d linear %s %d\n" % (at, begin - at, self.loops[0], at)
            if end > begin:
                plan += "%d %d error\n" % (begin, end - begin)
            at = end
        self.becomes(plan, "--nolockfs")

    def mount(self, at, *options):
        if not os.path.isdir(at):
            os.mkdir(at)
        call("mount", *options, self.device, at)
        self.mounted = at

    def end(self):
        if self.mounted:
            call("umount", self.mounted)
        call("dmsetup", "remove", "--noudevsync", self.name)
        for device in self.loops:
            call("losetup", "--detach", device)
