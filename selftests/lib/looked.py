# SPDX-License-Identifier: GPL-2.0-only
"""A program with connections to outside that tells what it finds in them: selftests/workload/looks.py."""
import os
import signal

import ckpttest as ct


class Looked:
    """p: the program; said: its output when it was looked at last."""

    def pid(self):
        """That which has the connections."""
        return self.p.pid

    def look(self, want):
        """What the program finds in them since last time."""
        os.kill(self.pid(), signal.SIGUSR1)
        self.served(want + "looked\n")

    def served(self, want):
        ct.wait_for(lambda: self.p.output()[len(self.said):].endswith(b"looked\n"), "it to have looked")
        got = self.p.output()[len(self.said):].decode()
        self.said = self.p.output()
        if got != want:
            raise ct.Failed("it finds\n%snot\n%s" % (got, want))

    def end(self):
        os.kill(self.p.pid, signal.SIGKILL)
        ct.end_children()
