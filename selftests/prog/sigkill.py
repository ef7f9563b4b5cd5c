#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""SIGKILL of ckptctl at random moments of snap: the target runs on, the store has all or nothing."""
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

KILLS = ct.full(50, 6)
KIB = ct.full(32768, 4096)


def usual_duration(pid):
    """Seconds a snap takes: the middle one of three."""
    took = []
    for _ in range(3):
        store = ct.workdir("store")
        begin = time.monotonic()
        ct.snap(pid, store)
        took.append(time.monotonic() - begin)
        ct.drop_workdir(store)
    return sorted(took)[1]


def moment(duration):
    """Half of them anywhere, half about the end, where the generation comes into being."""
    return duration * (random.uniform(0, 1.1) if random.randrange(2) else random.uniform(0.85, 1.2))


def killed_snap(pid, store, seconds):
    """Whether it was killed before it was done."""
    snap = subprocess.Popen([ct.CKPTCTL, "snap", "-o", store, "-n", "victim", str(pid)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    ct.spin_until(time.monotonic_ns() + int(seconds * 1e9))
    snap.kill()
    return snap.wait() < 0


def runs_on(p):
    """A frozen program gets no processor time."""
    before = p.cpu()
    ct.wait_for(lambda: p.ended() or p.cpu() > before + 2000000, "the target to run on")
    if p.ended():
        raise ct.Failed("the target ended: %r, %s" % (p.output(), p.errors()))


def whole_or_absent(store):
    """Number of generations listed; every one of them verifies."""
    refs = ct.listing(store)
    for ref in refs:
        ct.verify(ref, store)
    return len(refs)


def start():
    p = ct.Program([ct.prog("counter"), "0", str(KIB)], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    return p


def end_in_order(pid, where, wait):
    os.kill(pid, signal.SIGTERM)
    status = wait()
    out = ct.read(os.path.join(where, "stdout"))
    if status or out != b"ready\nin order\n":
        raise ct.Failed("status %d, it says %r: %s" % (
            status, out, ct.text(os.path.join(where, "stderr"))))


def main(t):
    p = start()
    store = ct.workdir("store")
    duration = usual_duration(p.pid)
    t.diag("a snap takes %.0f ms" % (duration * 1000))
    killed = made = 0
    with t.fact("target_runs_on_and_store_is_whole_after_%d_kills_of_snap" % KILLS):
        for _ in range(KILLS):
            killed += killed_snap(p.pid, store, moment(duration))
            runs_on(p)
            now = whole_or_absent(store)
            if now < made:
                raise ct.Failed("a generation that was there is gone")
            made = now
        t.diag("%d of %d killed before they were done, %d generations made" % (killed, KILLS, made))
        if not killed:
            raise ct.Failed("every snap was done before its SIGKILL came")
    with t.fact("target_finishes_right_and_a_snap_of_it_is_restored"):
        s = ct.snap(p.pid, store, "-n", "victim")
        if len(ct.listing(store)) != made + 1:
            raise ct.Failed("%d listed, %d made" % (len(ct.listing(store)), made + 1))
        end_in_order(p.pid, p.cwd, p.wait_end)
        pid = ct.restore_detached(s.ref, store)
        end_in_order(pid, p.cwd, lambda: ct.reap(pid))
    with t.fact("what_the_killed_ones_left_is_gone_after_the_next_snap"):
        left = [n for n, _, _ in ct.tree(store) if n.count("/") and not n.endswith(".ckpt")]
        if left:
            raise ct.Failed("left behind: %s" % left)


ct.run(main)
