#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=900
"""ckptctl snap and restore with their n-th write, fsync, rename, mmap, malloc, open ... failing."""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
import failnth

CHANCE = 1


def runs_on(p):
    before = p.cpu()
    ct.wait_for(lambda: p.ended() or p.cpu() > before + 1000000, "the target to run on")
    if p.ended():
        raise ct.Failed("the target ended: %r, %s" % (p.output(), p.errors()))


def facts_of(ref, store):
    """What an image tells of its program, but for what differs from one snapshot to the next."""
    got = ct.ckptctl("show", "--json", "-o", store, ref)
    if got.status:
        raise ct.Failed("show: %r" % got)
    o = json.loads(got.out)
    facts = {"files": sorted(f["path"] for f in o["files"]["files"]), "fds": o["process"]["fds"],
             "threads": len(o["process"]["threads"]), "mappings": o["process"]["mappings"],
             "machine": o["snapshot"]["machine"]}
    # of a file that cannot be read, snap does without these; and it must be that
    plus = {f["path"]: (f.get("build_id"), f.get("digest")) for f in o["files"]["files"]}
    return facts, plus


class Snap(failnth.Verb):
    """Each into a store that is not there yet; what was made is kept for the restores."""

    def __init__(self, p):
        super().__init__("snap")
        self.p = p
        self.top = ct.workdir("stores")
        self.nr = 0
        self.want = None
        self.made = []

    def before(self):
        self.nr += 1
        self.store = os.path.join(self.top, "%d" % self.nr)
        return ["snap", "-o", self.store, "-n", "job", self.p.pid]

    def images(self):
        return [n for n, _, _ in ct.files(self.store) if n.endswith(".ckpt")]

    def whole(self):
        if ct.listing(self.store) != ["job@1"]:
            raise ct.Failed("list shows %s" % ct.listing(self.store))
        ct.verify("job@1", self.store)
        self.made.append(self.store)

    def good(self, got, why):
        self.whole()
        if len(self.made) > 1 and not ct.FULL and random.randrange(4):
            return          # show takes long in an emulated machine
        got = facts_of("job@1", self.store)
        self.want = self.want or got
        if why == failnth.KINDS["read"]:
            got = got[0], self.want[1]
        for a, b in zip(got, self.want):
            for key in b:
                if a.get(key) != b[key]:
                    raise ct.Failed("the image tells of %s\n%s" % (key, ct.difference(a.get(key), b[key])))

    def bad(self, got):
        if self.images():
            if "job@1 is complete" not in got.err:
                raise ct.Failed("it failed, and there is %s" % self.images())
            self.whole()
        elif ct.files(self.store):
            failnth.swept(self.store)

    def after(self):
        if not self.images():
            shutil.rmtree(self.store, ignore_errors=True)
        runs_on(self.p)
        left = ct.wait_for_counters_zero(tracked=1)
        if left:
            raise ct.Failed("still held in the kernel: %s" % left)


class Restore(failnth.Verb):
    """Detached: when the command has ended the program is there, or nothing is."""

    def __init__(self, p, store, name="restore --detach"):
        super().__init__(name)
        self.p, self.store = p, store

    def before(self):
        self.nothing_runs()
        self.out = self.p.output()
        return self.name.split() + ["-o", self.store, "--remap", "/nowhere=/elsewhere",
                                    "--fd", "0=/dev/null", "job@1"]

    def nothing_runs(self):
        """A stub that fails ends by itself, and we are the one to wait for it."""
        def none():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            return not ct.children() and not os.path.exists("/proc/%d" % self.p.pid)
        ct.wait_for(none, "all processes of a failed restore to end; there are %s" % ct.children(), 30)

    def ended_in_order(self, status):
        if status or self.p.output() != b"ready\nin order\n":
            raise ct.Failed("status %d, it says %r: %s" % (status, self.p.output(), self.p.errors()))

    def good(self, got, why):
        if got.out != "%d\n" % self.p.pid:
            raise ct.Failed("it prints %r" % got.out)
        os.kill(self.p.pid, signal.SIGTERM)
        self.ended_in_order(ct.reap(self.p.pid))

    def explains(self, got, why):
        """A process being made whose own report, or wait, fails has no voice: that it ended is told."""
        super().explains(got, why + "|ended at its very beginning|ended while it was being restored")

    def bad(self, got):
        self.nothing_runs()
        if self.p.output() != self.out:
            raise ct.Failed("the program's output was touched: %r" % self.p.output())

    def after(self):
        ct.end_children()


class Foreground(Restore):
    """The command stands in for the program until that is told to end."""

    def __init__(self, p, store):
        super().__init__(p, store, "restore")

    def run(self, args, env):
        with open(os.path.join(self.p.cwd, "r.out"), "wb") as o, \
                open(os.path.join(self.p.cwd, "r.err"), "wb") as e:
            popen = subprocess.Popen([ct.CKPTCTL] + args, stdin=subprocess.DEVNULL, stdout=o, stderr=e,
                                     env=dict(os.environ, LC_ALL="C", **env))

        def decided():
            status = ct.text("/proc/%d/status" % self.p.pid, "")
            return popen.poll() is not None or all(re.search(x, status, re.M) for x in (
                r"^Name:\tcounter$", r"^TracerPid:\t0$", r"^Threads:\t3$"))
        ct.wait_for(decided, "restore to fail or the program to run")
        if popen.poll() is None:
            popen.terminate()
        try:
            popen.wait(ct.DEADLINE)
        except subprocess.TimeoutExpired:
            raise ct.Late("restore did not end before the deadline: " + ct.text(e.name))
        return ct.Result(popen.returncode, ct.text(o.name), ct.text(e.name))

    def good(self, got, why):
        self.ended_in_order(got.status)


def main(t):
    inject = failnth.Injector()
    p = ct.Program([ct.prog("counter"), "0", "256"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    snap = Snap(p)
    failnth.sweep(t, snap, inject, CHANCE)
    with t.fact("the_target_of_all_that_is_unharmed"):
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r: %s" % (p.output(), p.errors()))
    with t.fact("images_made_in_spite_of_a_failed_call_are_restored"):
        made = snap.made if ct.FULL else random.sample(snap.made, min(4, len(snap.made)))
        for store in made:
            failnth.one(Restore(p, store), "write", 0, inject)
        t.diag("%d of %d" % (len(made), len(snap.made)))
    for verb in Restore(p, snap.made[0]), Foreground(p, snap.made[0]):
        failnth.sweep(t, verb, inject, CHANCE)
    inject.sums(t)


ct.run(main)
