#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=1200
"""What a program has of the kernel is as it was: one program a thing, selftests/workload/fact-*.c.

Each is snapshotted and left running; killed and restored; snapshotted, killed and restored three times
in a row; and restored from a delta.  Then it looks for itself.  facts/PATTERN takes those alone whose
name holds it (CKPT_FACTS=PATTERN).
"""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def names():
    """All that were built."""
    wanted = os.environ.get("CKPT_FACTS", "")
    return sorted(n for n in os.listdir(ct.WORKLOAD) if n.startswith("fact-") and wanted in n)


class Fact:
    """A running one, and the store of its snapshots."""

    def __init__(self, name):
        self.store = ct.workdir("store")
        self.program = ct.Program([ct.prog(name)], ct.workdir(name))
        self.program.wait_output(b"ready\n")
        self.pid, self.ref, self.restored = self.program.pid, None, False

    def snap(self, *args):
        self.ref = ct.snap(self.pid, self.store, "-n", "job", *args).ref

    def kill(self):
        if self.restored:
            os.kill(self.pid, signal.SIGKILL)
            ct.reap(self.pid)
        else:
            self.program.kill9()

    def restore(self):
        self.pid, self.restored = ct.restore_detached(self.ref, self.store), True

    def looks(self):
        """It finds all as it was; then nothing of it is left."""
        os.kill(self.pid, signal.SIGTERM)
        status = ct.reap(self.pid) if self.restored else self.program.wait_end()
        said = self.program.output()
        if status or said != b"ready\nas it was\n":
            raise ct.Failed("status %s, it says %r %s" % (status, said, self.program.errors()))
        ct.drop_workdir(self.store)
        ct.drop_workdir(self.program.cwd)


def left_running(fact):
    fact.snap()


def restored(fact):
    fact.snap()
    fact.kill()
    fact.restore()


def restored_three_times_in_a_row(fact):
    for _ in range(3):
        fact.snap()
        fact.kill()
        fact.restore()


def restored_from_a_delta(fact):
    fact.snap()
    fact.snap("--delta")
    fact.kill()
    fact.restore()


def main(t):
    for name in names():
        for way in (left_running, restored, restored_three_times_in_a_row, restored_from_a_delta):
            with t.fact("%s_%s" % (name.removeprefix("fact-"), way.__name__)):
                fact = Fact(name)
                way(fact)
                fact.looks()


ct.run(main)
