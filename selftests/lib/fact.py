# SPDX-License-Identifier: GPL-2.0-only
"""A program that looks for itself whether all is as it was: selftests/workload/fact.h."""
import json
import os
import signal
import subprocess

import ckpttest as ct


# What the kernel loads by itself when it is asked, but not where root is a chroot, as in the VM.
MODULES = {"fact-tcp": "tcp_diag", "tree-tcp": "tcp_diag"}


class Fact:
    """A running one, and the store of its snapshots."""

    def __init__(self, name, *args, env=None):
        """args: more for each snap; env: for the program."""
        self.store, self.args = ct.workdir("store"), args
        if name in MODULES:
            subprocess.run(["modprobe", "-q", MODULES[name]], check=True)
        self.program = ct.Program([*ct.loader(), ct.prog(name)], ct.workdir(name), env=env)
        self.program.wait_output(b"ready\n")
        self.pid, self.ref, self.restored = self.program.pid, None, False

    def snap(self, *args):
        self.ref = ct.snap(self.pid, self.store, "-n", "job", *self.args, *args).ref

    def kill(self):
        """With all its children, which are ours then."""
        if self.restored:
            os.kill(self.pid, signal.SIGKILL)
            ct.reap(self.pid)
        else:
            self.program.kill9()
        if "--tree" in self.args:
            ct.end_children()

    def kill_tree(self):
        """All that are in the image, so that their numbers are free; who they were is in pids."""
        got = ct.ckptctl("show", "--json", self.ref, "-o", self.store)
        if got.status:
            raise ct.Failed("%r" % got)
        self.pids = [p["pid"] for p in json.loads(got.out)["tree"]["processes"]]
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kill()
        ct.end_children()
        ct.wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in self.pids), "all to be gone")

    def restore(self):
        self.pid, self.restored = ct.restore_detached(self.ref, self.store), True

    def looks(self):
        """It finds all as it was; then nothing of it is left."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            status = ct.reap(self.pid) if self.restored else self.program.wait_end()
        except ct.Late as late:
            raise ct.Failed("%s; it says %r" % (late, self.program.output()))
        said = self.program.output()
        if status or said != b"ready\nas it was\n":
            raise ct.Failed("status %s, it says %r %s" % (status, said, self.program.errors()))
        ct.drop_workdir(self.store)
        ct.drop_workdir(self.program.cwd)


# What is done with a tree: a fact is called by its name.

def left_running(fact):
    fact.snap()
    fact.snap()


def restored(fact):
    fact.snap()
    fact.kill_tree()
    fact.restore()


def restored_three_times_in_a_row(fact):
    for _ in range(3):
        restored(fact)
