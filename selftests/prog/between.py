#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""What several processes have between them: the terminal of a session, unix sockets."""
import os
import pty
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact, left_running, restored, restored_three_times_in_a_row


def number_of(fact):
    """That of the pseudo-terminal the program holds the master of."""
    return next(int(os.readlink(os.path.join("/proc/%d/fd" % pid, fd)).rsplit("/", 1)[1])
                for pid in children_of(fact.pid) for fd in os.listdir("/proc/%d/fd" % pid)
                if os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith("/dev/pts/"))


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def main(t):
    for name in ("terminal", "connected"):
        for way in (left_running, restored, restored_three_times_in_a_row):
            with t.fact("%s_processes_are_as_they_were_%s" % (name, way.__name__)):
                fact = Fact(name, "--tree")
                way(fact)
                fact.looks()
    with t.fact("a_number_somebody_else_has_is_named"):
        fact = Fact("terminal", "--tree")
        number = number_of(fact)
        fact.snap()
        fact.kill_tree()
        pairs = []
        while not os.path.exists("/dev/pts/%d" % number):
            pairs.append(pty.openpty())
        got = ct.ckptctl("restore", "--detach", fact.ref, "-o", fact.store)
        for pair in pairs:
            for fd in pair:
                os.close(fd)
        if got.status == ct.EXIT_OK or "/dev/pts/%d is another terminal now" % number not in got.err:
            raise ct.Failed("%r" % got)
        fact.restore()
        fact.looks()


ct.run(main)
