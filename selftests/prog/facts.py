#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=1200
"""What a program has of the kernel is as it was: one program a thing, selftests/workload/fact-*.c.

Each is killed and restored from a delta; then it looks for itself.  Two snapshots were taken of it, so that what
one had spoiled is missed, too.  With all counts (CKPT_FULL=1) that is done twice in a row, and it is also left
running, restored once from a full one, and three times in a row.  fact-tree-NAME has children, and is taken
with --tree, which takes no deltas: twice in a row, or three times.
CKPT_FACTS=WORD takes those alone whose name holds it; CKPT_LIBC=DIR runs them with the C library there.

Most of the time is waiting: several processes take them side by side, each with every so-manyth program.
What is the machine's, as are ports and numbers of System V, a program might take from another one that has
just been killed: those are all one process's.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact

SIDE_BY_SIDE = 4
OF_THE_MACHINE = ("inet", "ipc", "msg", "netlink", "pty", "raw", "segment", "sem", "sysv", "tcp", "udp",
                  "unix", "connect", "hugetlb")
SLOW = 5        # seconds


def names():
    """All that were built."""
    wanted = os.environ.get("CKPT_FACTS", "")
    return sorted(n for n in os.listdir(ct.WORKLOAD) if n.startswith("fact-") and wanted in n)


def left_running(fact):
    fact.snap()


def restored(fact):
    fact.snap()
    fact.kill()
    fact.restore()


def restored_in_a_row(fact):
    for _ in range(ct.full(3, 2)):
        fact.snap()
        fact.kill()
        fact.restore()


def restored_from_a_delta(fact):
    for _ in range(ct.full(2, 1)):
        fact.snap()
        fact.snap("--delta")
        fact.kill()
        fact.restore()


def is_tree(name):
    return name.startswith("fact-tree-")


def ways(name):
    if is_tree(name):
        return (restored_in_a_row,) + ((left_running, restored) if ct.FULL else ())
    return (restored_from_a_delta,) + (
        (left_running, restored, restored_in_a_row) if ct.FULL else ())


def take(name, way):
    """What is wrong, or nothing."""
    fact = Fact(name, *(["--tree"] if is_tree(name) else []))
    try:
        way(fact)
        fact.looks()
    except (ct.Failed, ct.Late) as err:
        return "%s" % err
    finally:
        ct.Program.end_all()        # with what a failed one has left
    return ""


def work(mine, out):
    """In a process of its own: each fact is a line."""
    for name in mine:
        for way in ways(name):
            began = time.monotonic()
            try:
                wrong = take(name, way)
            except Exception:
                wrong = ct.traceback.format_exc()
            out.write(json.dumps([name, way.__name__, wrong, time.monotonic() - began]) + "\n")
            out.flush()


def shares(every):
    """Who takes which."""
    shared = [n for n in every if any(w in n for w in OF_THE_MACHINE)]
    free = [n for n in every if n not in shared]
    return [s for s in [shared] + [free[i::SIDE_BY_SIDE - 1] for i in range(SIDE_BY_SIDE - 1)] if s]


def begin(mine):
    """Its process, and where what it finds can be read."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, os.fdopen(ours)
    status = 1
    try:
        ct.ctypes.CDLL(None).prctl(ct.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with os.fdopen(theirs, "w") as out:
            work(mine, out)
        status = 0
    finally:
        ct.clean_workdirs()
        os._exit(status)


def tell(t, line):
    name, way, wrong, took = json.loads(line)
    t.ok(not wrong, "%s_%s" % (name.removeprefix("fact-"), way), wrong)
    if took > SLOW:
        t.diag("%.0f s" % took)


def main(t):
    workers = [begin(mine) for mine in shares(names())]
    for pid, lines in workers:
        for line in lines:
            tell(t, line)
        lines.close()
        if os.waitpid(pid, 0)[1]:
            t.ok(False, "all_of_them_are_taken", "a process that took some has failed")


ct.run(main)
