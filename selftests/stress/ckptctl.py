#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300 stress=1
"""Several ckptctl at once: three of them snap one program into one store, under one name and two, and
a fourth is killed at random moments of the same. The program runs on, each generation there is was
announced or was a killed one's, all of them verify, and the last one is restored.
"""
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

SECONDS = float(os.environ.get("CKPT_STRESS") or 1)
KIB = 512


class Snapper(threading.Thread):
    """Snaps until told to stop; what it was told is kept."""

    def __init__(self, pid, store, name, seed, kills):
        super().__init__()
        self.pid, self.store, self.name_, self.kills = pid, store, name, kills
        self.random = random.Random(seed)
        self.refs, self.busy, self.killed, self.wrong = [], 0, 0, None
        self.usual = 0.1

    def run(self):
        while not over.is_set() and not self.wrong:
            self.once()

    def once(self):
        begin = time.monotonic()
        # four want two processors: one that stands still soon enough is not what this is about
        snap = subprocess.Popen([ct.CKPTCTL, "snap", "-o", self.store, "-n", self.name_, "--timeout",
                                 str(int(5000 * ct.SLOW)), str(self.pid)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.kills:
            threading.Timer(self.random.uniform(0, 1.2) * self.usual, snap.kill).start()
        out, err = (x.decode(errors="replace") for x in snap.communicate())
        if snap.returncode == 0:
            self.usual = time.monotonic() - begin
            found = re.search(re.escape(self.name_) + r"@\d+", out + err)
            self.refs.append(found.group() if found else out + err)
        elif self.kills and snap.returncode == -signal.SIGKILL:
            self.killed += 1
        elif snap.returncode == ct.EXIT_FAILED and "frozen by another session" in err:
            self.busy += 1
        else:
            self.wrong = "status %d: %s%s" % (snap.returncode, out, err)


over = threading.Event()


def all_seen(snappers):
    """Something wrong, or every one of them did what it is there for."""
    return any(s.wrong for s in snappers) or all(
        s.killed if s.kills else s.refs for s in snappers)


def storm(t, pid, store):
    """Until the time is over, and each of them has had its way once."""
    snappers = [Snapper(pid, store, name, "%d %d" % (ct.SEED, i), kills)
                for i, (name, kills) in enumerate((("one", False), ("one", False), ("two", False),
                                                   ("two", True)))]
    for s in snappers:
        s.start()
    end = time.monotonic() + SECONDS
    try:
        ct.wait_for(lambda: any(s.wrong for s in snappers) or time.monotonic() >= end, "the end",
                    SECONDS + ct.DEADLINE)
        ct.wait_for(lambda: all_seen(snappers), "every ckptctl to have its way")
    finally:
        over.set()
        for s in snappers:
            s.join()
    for s in snappers:
        if s.wrong:
            raise ct.Failed(s.wrong)
    t.diag("%d snapshots, %d refused as frozen, %d killed" % (
        sum(len(s.refs) for s in snappers), sum(s.busy for s in snappers),
        sum(s.killed for s in snappers)))
    return snappers


def generations(store, snappers):
    """What is in the store is what was announced, and what the killed ones got done."""
    there = ct.listing(store)
    told = [ref for s in snappers for ref in s.refs]
    if len(set(told)) != len(told):
        raise ct.Failed("announced twice: %s" % sorted(told))
    if set(told) - set(there):
        raise ct.Failed("announced and not there: %s" % sorted(set(told) - set(there)))
    if len(there) > len(told) + sum(s.killed for s in snappers):
        raise ct.Failed("%d there, %d announced" % (len(there), len(told)))
    for ref in there[:5] + there[-5:]:
        ct.verify(ref, store)


def end_in_order(where, pid, wait):
    os.kill(pid, signal.SIGTERM)
    status = wait()
    if status or ct.read(os.path.join(where, "stdout")) != b"ready\nin order\n":
        raise ct.Failed("status %d: %s" % (status, ct.text(os.path.join(where, "stderr"), "")))


def main(t):
    where, store = ct.workdir("counter"), ct.workdir("store")
    p = ct.Program([ct.prog("counter"), "0", str(KIB)], where)
    p.wait_output(b"ready\n")
    snappers = None
    with t.fact("several_ckptctl_snap_one_program_or_are_told_that_it_is_frozen"):
        snappers = storm(t, p.pid, store)
    with t.fact("the_program_has_not_noticed"):
        end_in_order(where, p.pid, p.wait_end)
    if not snappers:
        return
    with t.fact("every_generation_is_whole_and_its_own"):
        generations(store, snappers)
    for name in ("one", "two"):
        with t.fact("the_last_of_%s_is_restored" % name):
            pid = ct.restore_detached(name, store)
            end_in_order(where, pid, lambda: ct.reap(pid))


ct.run(main)
