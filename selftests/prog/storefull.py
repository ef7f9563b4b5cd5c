#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""The disk of the store runs full, or fails, wherever it may: at any size, from any place on, at the
fsync alone, or saying that it has what it has not. A snapshot fails then, and says in one line where and what
to do; the generation before it is the newest and whole, nothing is left behind, and the program knows
of nothing.

After a failure the disk is unmounted as it is, is sound again, and goes through what a reboot would do.
"""
import contextlib
import os
import random
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckptdisk as disks
import ckpttest as ct

SMALL = 4       # MiB of an image nothing of which is on the disk before its fsync
LARGE = 16      # and of one that is written out as it grows (write-behind.c)


class Target:
    """It runs all the while, and changes between two snapshots; another that does the same is left alone."""

    def __init__(self, mib):
        self.rounds = 0
        self.programs = [ct.Program([ct.prog("touch"), str(mib), "4k", "300", "plain"], ct.workdir("touch"))
                         for _ in range(2)]
        for p in self.programs:
            p.wait_output(b"ready\n")
        self.pid = self.programs[0].pid

    def round(self):
        self.rounds += 1
        for p in self.programs:
            os.kill(p.pid, signal.SIGUSR1)
            p.wait_output(b"round %d\n" % self.rounds)

    def check(self):
        for p in self.programs:
            lines = p.lines()
            os.kill(p.pid, signal.SIGUSR2)
            ct.wait_for(lambda: p.lines() > lines or p.ended(), "its answer")
        got, want = (p.output() for p in self.programs)
        if got != want:
            raise ct.Failed("it says %r, the one left alone %r" % (got[-200:], want[-200:]))


class Disk(disks.Mapped):
    """A disk with a store, and a generation in it."""

    def __init__(self, kind, target, *options):
        self.kind, self.where = kind, ct.workdir(kind)
        size = (48 if kind == "ext4" else 320) << 20
        loop = disks.loop(os.path.join(self.where, "disk"), size)
        super().__init__("ckpt-storefull", size, [loop], "linear %s 0" % loop)
        disks.call("mkfs." + kind, "-q", *options, self.device)
        self.mount(os.path.join(self.where, "mnt"))
        self.store = os.path.join(self.mounted, "store")
        self.target = target
        self.first = ct.snap(target.pid, self.store, "-n", "job", "--full", "--compress=none").ref
        self.file = os.path.join(self.store, "job", "gen-00000001.ckpt")
        os.sync()

    def snap(self, *args, job="job"):
        self.target.round()
        return ct.ckptctl("snap", "-o", self.store, "-n", job, "--full", "--compress=none", *args,
                          self.target.pid)

    def recover(self):
        """What comes after a failure: another disk or cable, and a reboot."""
        disks.call("umount", self.mounted)
        self.becomes(self.linear())
        if self.kind == "ext4":
            subprocess.run(["e2fsck", "-fy", self.device], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
        disks.call("mount", self.device, self.mounted)

    def check(self, *more):
        """The first generation is there and whole, of others only what was reported, and no litter."""
        got = ct.listing(self.store)
        if got != [self.first, *more]:
            raise ct.Failed("the store has %s" % got)
        for ref in got:
            ct.verify(ref, self.store)
        if ct.ckptctl("gc", "-o", self.store).status != ct.EXIT_OK:
            raise ct.Failed("gc fails")
        left = [n for n, _, _ in ct.files(self.store) if not n.endswith(".ckpt")]
        if left:
            raise ct.Failed("left behind: %s" % left)


@contextlib.contextmanager
def disk(kind, target, *options):
    d = Disk(kind, target, *options)
    try:
        yield d
    finally:
        with contextlib.suppress(ct.Failed):
            d.becomes(d.linear(), "--nolockfs")
        d.end()
        ct.drop_workdir(d.where)


def told(d, got, words):
    """What failed: one line that names the store, the reason and what to do."""
    found = re.fullmatch(r"ckptctl: snap: (.*)\n", got.err)
    if got.status != ct.EXIT_FAILED or got.out or not found or d.store not in got.err or \
            not re.search(words, got.err) or not re.search(r"; (free|see|use) ", got.err):
        raise ct.Failed("%r wanted: %r" % (words, got))
    return found.group(1).replace(d.store, "STORE")


def tell(t, seen):
    """What failed how often, and at how many places."""
    alike = [re.sub(r"\d+", "N", text) for text in seen]
    for text in sorted(set(alike)):
        t.diag("%d x %s" % (alike.count(text), text))
    t.diag("%d different" % len(set(seen)))


def room(d):
    st = os.statvfs(d.mounted)
    return st.f_bavail * st.f_frsize


def leave(d, size):
    """Fill the disk but for that much, and a little less."""
    with open(os.path.join(d.mounted, "filler"), "wb") as f:
        os.sync()
        with contextlib.suppress(OSError):      # what it did not get for want of room
            os.posix_fallocate(f.fileno(), 0, max(room(d) - size, 4096))


def full(t, target):
    with t.fact("a_disk_that_runs_full_at_any_size_fails_the_snapshot"), disk("ext4", target, "-m", "0") as d:
        need, seen, good = os.path.getsize(d.file), [], 0
        # with less than 1 MiB it does not begin
        least, most, n = 1 << 20, need - (64 << 10), ct.full(40, 2)
        sizes = [0, least // 4, most, need + (2 << 20)]
        sizes += [int(least + (most - least) * (i + random.random()) / n) for i in range(n)]
        for size in sizes:
            leave(d, size)
            got = d.snap()
            if size > need:
                if got.status:
                    raise ct.Failed("with %d bytes left: %r" % (size, got))
                good += 1
                d.check("job@2")
                ct.ckptctl("rm", "-o", d.store, "job@2")
            else:
                seen.append(told(d, got, "[Nn]o space left"))
            d.check()
            target.check()
        tell(t, seen)
        if len(set(seen)) < 4 or not good:
            raise ct.Failed("it was full at the same place each time, or each time")


def places(t, kind, target):
    """From some place of the disk on all is lost, or from one that nothing is written behind."""
    with t.fact("a_disk_that_fails_from_any_place_on_fails_the_snapshot_" + kind), disk(kind, target) as d:
        seen, good = [], 0
        for _ in range(ct.full(40, 3)):
            at = random.randrange(d.sectors)
            d.becomes("0 %d linear %s 0\n%d %d error\n" % (at, d.loops[0], at, d.sectors - at), "--nolockfs")
            got = d.snap()
            if got.status == ct.EXIT_OK:
                good += 1
            else:
                seen.append(told(d, got, "Input/output error|[Rr]ead-only"))
            d.recover()
            if got.status == ct.EXIT_OK:
                d.check("job@2")
                ct.ckptctl("rm", "-o", d.store, "job@2")
            d.check()
            target.check()
        t.diag("%d came about" % good)
        tell(t, seen)
        if not seen:
            raise ct.Failed("no place was one that is written to")


def flakey(t, kind, target, what, feature, words, *args):
    """What is read is right, what is written is not."""
    with t.fact("%s_fails_the_snapshot_%s" % (what, kind)), disk(kind, target) as d:
        d.becomes("flakey %s 0 0 3600 1 %s" % (d.loops[0], feature), "--nolockfs")
        got = d.snap(*args)
        tell(t, [told(d, got, words)])
        if ct.listing(d.store) != [d.first]:
            raise ct.Failed("the store has %s" % ct.listing(d.store))
        d.recover()
        d.check()
        target.check()
        if d.snap().status != ct.EXIT_OK:
            raise ct.Failed("nor can it be taken when the disk is sound")
        d.check("job@2")


def directory(t, target, path, job):
    """Where the name of the image, or of its job, is to be."""
    with t.fact("a_directory_that_cannot_be_written_fails_the_snapshot_of_" + job), \
            disk("ext4", target, "-O", "^has_journal") as d:
        d.loses(os.path.join(d.store, path))
        tell(t, [told(d, d.snap(job=job), "cannot sync .*Input/output error")])
        d.recover()
        d.check()
        target.check()


def main(t):
    if not disks.has_modules("dm-mod", "dm-flakey", "loop"):
        t.skip("a_store_on_a_disk_that_fails", "this kernel has no device mapper, dm-flakey or loop")
        return
    target, large = Target(SMALL), Target(LARGE)
    full(t, target)
    for kind in ct.full(["ext4", "xfs"], ["ext4"]):
        if not ct.has_file_system(kind):
            t.skip("a_disk_that_fails_from_any_place_on_fails_the_snapshot_" + kind, "this kernel has no " + kind)
            continue
        places(t, kind, large)
        flakey(t, kind, large, "a_disk_that_fails_while_the_image_grows", "error_writes",
               "cannot write the image at byte")
        flakey(t, kind, target, "an_fsync_that_fails", "error_writes", "cannot sync the image")
        flakey(t, kind, target, "an_fsync_that_fails_and_is_all_that_tells", "error_writes",
               "cannot sync the image", "--no-readback")
        flakey(t, kind, target, "a_disk_that_drops_what_it_is_given", "drop_writes",
               "does not give back what was written")
    directory(t, target, "job", "job")
    directory(t, target, "", "another")
    with t.fact("the_program_of_all_those_snapshots_is_what_it_would_be_without"):
        for each in target, large:
            each.check()
            t.diag("%d rounds" % each.rounds)


ct.run(main)
