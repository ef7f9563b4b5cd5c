#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""One thread in each kind of blocking call.

Those calls that need nothing this release cannot restore: snapped, killed, restored, and left running.
All kinds, sockets and System V among them: frozen over and over by the module's own
interface, and nothing of it seen, neither an EINTR nor a byte too many nor a timeout that never comes.
"""
import fcntl
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

ROUNDS = ct.full(6, 3)
HOLD_MS = ct.full(1500, 700)

held = {}       # directory of a run: the file it waits for, locked by us


def prepare(where):
    path = os.path.join(where, "outside")
    f = open(path, "w")
    fcntl.lockf(f, fcntl.LOCK_EX)
    held[where] = f
    return [ct.prog("blocking-restorable"), str(ROUNDS), str(HOLD_MS), path]


def release_when_done(where, ended):
    """The lock outside is the last thing the program waits for."""
    def done():
        return ended() or b"rounds done\n" in ct.read(os.path.join(where, "stdout"))
    ct.wait_for(done, "the rounds to be done")
    held.pop(where).close()


def restorable(t):
    # moments in all of the time, also when only the thread that waits for the outside is left
    ct.both_ways(t, ct.Job("blocking", prepare, metric="time", span=(0.02, 0.9), started=b"ready\n",
                           during=release_when_done))


def start_all():
    where = ct.workdir("blocking")
    return ct.Program([ct.prog("blocking"), str(ROUNDS), str(HOLD_MS)], where)


def frozen_over_and_over(t):
    want = None
    with t.fact("all_blocking_calls_are_right_undisturbed"):
        p = start_all()
        p.finish()
        want = p.output()
    fact = "all_blocking_calls_are_right_frozen_over_and_over"
    with t.fact(fact):
        if want is None:
            raise ct.Failed("nothing to compare with")
        p = start_all()
        p.wait_output(b"ready\n")
        # with no number of times it goes on until the program has ended: a timeout that starves
        # under freezes would never come, and the program would never end
        f = subprocess.run([ct.prog("freezer"), str(p.pid), "0", "20000"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=ct.DEADLINE)
        freezes = f.stdout.decode().strip()
        t.diag("%s; %s" % (freezes, f.stderr.decode().strip()))
        p.finish()
        if f.returncode:
            raise ct.Failed("freezer: status %d: %s" % (f.returncode, freezes))
        if int(freezes.split()[-1]) < 10:
            raise ct.Failed("too few freezes to say anything: " + freezes)
        if p.output() != want:
            raise ct.Failed(ct.difference(p.output(), want))
        for line in p.errors().splitlines():
            t.diag(line)


def main(t):
    frozen_over_and_over(t)
    restorable(t)


ct.run(main)
