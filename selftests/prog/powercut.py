#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""The power fails at any moment of a loop of snapshots: every generation that was reported is there and
whole, its program's files fit it, and the newest one gives the right answer.

All writes of the disk are recorded in the order in which the disk had to know them (dm-log-writes,
Documentation/admin-guide/device-mapper/log-writes.rst). A cut is a place in the record: what was
flushed before it is on the disk; of what was written since, any part may be, in any order. Then the file
system is mounted as it would be after the reboot.
"""
import contextlib
import itertools
import os
import random
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckptdisk as disks
import ckpttest as ct

NAME = "ckpt-powercut"
DISK, LOG = 320 << 20, 1 << 30
MAGIC = 0x6a736677736872                # drivers/md/dm-log-writes.c
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SNAPS = ct.full(60, 13)
STEPS = ct.full("3000000000", "400000000")     # a line each hundredth, and one or two go by for a snapshot


class Entry:
    def __init__(self, sector, count, flags, at, mark):
        self.sector, self.count, self.flags, self.at, self.mark = sector, count, flags, at, mark


def read_log(path):
    """The entries, and the file their data is in."""
    log = open(path, "rb")
    magic, version, count, sector = struct.unpack("<QQQI", log.read(28))
    if (magic, version) != (MAGIC, 1):
        raise ct.Failed("not a log: %x, version %d" % (magic, version))
    entries, at = [], sector
    for _ in range(count):
        log.seek(at)
        where, length, flags, data = struct.unpack("<QQQQ", log.read(32))
        mark = log.read(data).decode() if flags & MARK else None
        at += sector
        entries.append(Entry(where, length, flags, at, mark))
        if mark is None and not flags & DISCARD:
            at += length * sector
    return entries, log, sector


class Record(disks.Mapped):
    """A disk all of whose writes are kept."""

    def __init__(self, where, kind):
        self.log = os.path.join(where, "log")
        loops = [disks.loop(os.path.join(where, "recorded"), DISK), disks.loop(self.log, LOG)]
        super().__init__(NAME, DISK, loops, "log-writes %s %s" % tuple(loops))
        disks.call("mkfs." + kind, "-q", *(["-K"] if kind == "xfs" else ["-E", "nodiscard"]), self.device)
        self.mount(os.path.join(where, "mnt"))

    def mark(self, text):
        disks.call("dmsetup", "message", NAME, "0", "mark", text)


def record(r):
    """Snapshots one after the other; old ones go and are folded. Where the program wrote its lines."""
    where, store = os.path.join(r.mounted, "job"), os.path.join(r.mounted, "store")
    os.mkdir(where)
    p = ct.Program([ct.prog("counter"), STEPS, "512"], where)
    p.wait_output(b"ready\n")
    r.mark("begin")
    for n in range(1, SNAPS + 1):
        s = ct.snap(p.pid, store, "-n", "job")
        r.mark("there:" + s.ref)
        if n % 7 == 5:
            ct.ckptctl("compact", "-o", store, s.ref)
        if n % 7 == 6:
            r.mark("newest:" + s.ref)
            got = ct.ckptctl("gc", "-o", store, "--keep", "2")
            if got.status:
                raise ct.Failed("gc: %r" % got)
        lines = p.lines()
        ct.wait_for(lambda: p.lines() > lines or p.ended(), "a line")
    if p.ended():
        raise ct.Failed("it ended too early: %r" % p.output()[-100:])
    p.kill9()


class Disk:
    """The disk as cuts leave it, one after the other in the order of the record."""

    def __init__(self, where, r):
        self.entries, self.log, self.unit = read_log(r.log)
        self.base = open(os.path.join(where, "base"), "w+b")
        self.base.truncate(DISK)
        self.path, self.done = os.path.join(where, "disk"), 0
        self.shares = itertools.cycle((0, 0.5, 1, 0.9))        # of those writes that are there

    def apply(self, e, to):
        if e.mark is not None or not e.count:
            return
        if e.flags & DISCARD:
            return                      # may or may not be done: what was there stays
        self.log.seek(e.at)
        to.seek(e.sector * self.unit)
        to.write(self.log.read(e.count * self.unit))

    def cut(self, at):
        """As after entry number at; how many writes were under way, and how many of them are lost."""
        flushed = max((i for i in range(at) if self.entries[i].flags & FLUSH), default=0)
        for e in self.entries[self.done:flushed + 1]:
            self.apply(e, self.base)
        self.done = max(self.done, flushed + 1)
        self.base.flush()
        disks.call("cp", "--sparse=always", self.base.name, self.path)
        share, lost, loose = next(self.shares), 0, self.entries[self.done:at]
        with open(self.path, "r+b") as disk:
            for e in loose:
                if e.flags & FUA or random.random() < share:
                    self.apply(e, disk)
                else:
                    lost += 1
        return len(loose), lost

    def moments(self, n):
        """Each right after a write that nobody has waited for: at least that one is under way."""
        begin = next(i for i, e in enumerate(self.entries) if e.mark == "begin")
        loose = [i + 1 for i, e in enumerate(self.entries)
                 if i > begin and e.count and not e.flags & (FLUSH | FUA | DISCARD | MARK)]
        return sorted(random.choice(loose) for _ in range(n))

    def promised(self, at):
        """What has been reported by then and not been given up; and the newest that was reported."""
        refs = []
        for e in self.entries[:at]:
            word = (e.mark or "").split(":")
            if word[0] == "there":
                refs.append(word[1])
            elif word[0] == "newest":
                refs = refs[-2:]
        return refs


@contextlib.contextmanager
def mounted(path, at):
    disks.call("mount", "-o", "loop", path, at)
    try:
        yield
    finally:
        ct.Program.end_all()
        ct.end_children()
        disks.call("umount", at)


def check_restored(ref, mount, reference):
    """It goes on, and says what it has always said."""
    out = os.path.join(mount, "job", "stdout")
    pid = ct.restore_detached(ref, os.path.join(mount, "store"))
    before = ct.read(out).count(b"\n")
    ct.wait_for(lambda: ct.read(out).count(b"\n") > before, "a line of the restored program")
    os.kill(pid, signal.SIGKILL)
    ct.reap(pid)
    said = ct.read(out)
    said = said[:said.rfind(b"\n") + 1]
    if not reference.startswith(said) and not said.startswith(reference):
        raise ct.Failed("%s: it says %r" % (ref, said[-200:]))


def check_cut(disk, at, mount, reference):
    store = os.path.join(mount, "store")
    promised = disk.promised(at)
    if not promised:
        return
    with mounted(disk.path, mount):
        there = ct.listing(store)
        lost = set(promised) - set(there)
        if lost:
            raise ct.Failed("at %d: %s are gone, there are %s" % (at, sorted(lost), there))
        got = ct.ckptctl("verify", "--all", "-o", store)
        if got.status:
            raise ct.Failed("at %d: %r" % (at, got))
        check_restored("job", mount, reference)




def cuts(t, kind, times):
    name = "no_generation_that_was_reported_is_lost_on_" + kind
    if not ct.has_file_system(kind) or not disks.has_modules("dm-log-writes"):
        t.skip(name, "this kernel has no %s, or no dm-log-writes" % kind)
        return
    with t.fact(name):
        where = ct.workdir(kind)
        r = Record(where, kind)
        try:
            record(r)
            reference = ct.read(os.path.join(r.mounted, "job", "stdout"))
        finally:
            ct.Program.end_all()
            r.end()
        disk = Disk(where, r)
        flushes = sum(1 for e in disk.entries if e.flags & FLUSH)
        under_way = lost = 0
        for at in disk.moments(times):
            some, gone = disk.cut(at)
            under_way, lost = under_way + some, lost + gone
            check_cut(disk, at, r.mounted, reference)
        t.diag("%s: %d entries, %d flushes; %d cuts with %d writes under way, %d of them lost" % (
            kind, len(disk.entries), flushes, times, under_way, lost))
        if not lost:
            raise ct.Failed("no write was lost in any cut: this shows nothing")


def main(t):
    cuts(t, "ext4", ct.full(200, 4))
    if ct.FULL:
        cuts(t, "xfs", 200)


ct.run(main)
