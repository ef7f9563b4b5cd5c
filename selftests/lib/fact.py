# SPDX-License-Identifier: GPL-2.0-only
"""A program that looks for itself whether all is as it was: selftests/workload/fact.h."""
import os
import signal

import ckpttest as ct


class Fact:
    """A running one, and the store of its snapshots."""

    def __init__(self, name, *args, env=None):
        """args: more for each snap; env: for the program."""
        self.store, self.args = ct.workdir("store"), args
        self.program = ct.Program([ct.prog(name)], ct.workdir(name), env=env)
        self.program.wait_output(b"ready\n")
        self.pid, self.ref, self.restored = self.program.pid, None, False

    def snap(self, *args):
        self.ref = ct.snap(self.pid, self.store, "-n", "job", *self.args, *args).ref

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
        try:
            status = ct.reap(self.pid) if self.restored else self.program.wait_end()
        except ct.Late as late:
            raise ct.Failed("%s; it says %r" % (late, self.program.output()))
        said = self.program.output()
        if status or said != b"ready\nas it was\n":
            raise ct.Failed("status %s, it says %r %s" % (status, said, self.program.errors()))
        ct.drop_workdir(self.store)
        ct.drop_workdir(self.program.cwd)
