#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""Whose System V semaphores and message queues are: who used them last tells, and nobody else's are touched."""
import ctypes
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact

LIBC = ctypes.CDLL(None, use_errno=True)
IPC_CREAT, IPC_RMID, GETVAL = 0o1000, 0, 12


def must(value):
    if value == -1:
        raise ct.Failed("errno %d" % ctypes.get_errno())
    return value


def add(sem, by):
    """Waits for nothing."""
    must(LIBC.semop(sem, (ctypes.c_short * 3)(0, by, 0o4000), 1))


def value(sem):
    return must(LIBC.semctl(sem, 0, GETVAL))


class Program(Fact):
    """fact-semaphores; sem is its set with a key, queue its queue."""

    def __init__(self):
        super().__init__("fact-semaphores")
        self.key = 0x636b0000 + self.pid % 0xffff
        self.sem, self.queue = must(LIBC.semget(self.key, 1, 0)), must(LIBC.msgget(self.key, 0))

    def refused(self, words):
        got = ct.ckptctl("restore", "--detach", self.ref, "-o", self.store)
        if not got.status or not all(w in got.err for w in words):
            raise ct.Failed("not all of %r in %r" % (words, got))


def by_another(sem, by):
    """Another process uses it, and has ended."""
    pid = os.fork()
    if not pid:
        add(sem, by)
        os._exit(0)
    os.waitpid(pid, 0)


def main(t):
    with t.fact("one_that_others_use_at_the_snapshot_is_theirs"):
        p = Program()
        add(p.sem, 1)
        p.snap()
        p.kill()
        add(p.sem, -1)
        by_another(p.sem, 3)
        p.restore()
        if value(p.sem) != 7 + 3:
            raise ct.Failed("it is %d" % value(p.sem))
        by_another(p.sem, -3)
        p.looks()
    with t.fact("one_that_others_use_at_the_restore_is_not_touched"):
        p = Program()
        p.snap()
        p.kill()
        add(p.sem, 1)
        p.refused(["semaphores %d" % p.sem, "used by others", "process %d" % os.getpid()])
        if value(p.sem) != 8:
            raise ct.Failed("it is %d" % value(p.sem))
    with t.fact("what_one_that_has_ended_did_to_it_is_put_back"):
        by_another(p.sem, 5)
        p.restore()
        if value(p.sem) != 7:
            raise ct.Failed("it is %d" % value(p.sem))
        p.looks()
    with t.fact("a_key_that_is_taken_is_told_and_nothing_is_left"):
        p = Program()
        p.snap()
        p.kill()
        must(LIBC.msgctl(p.queue, IPC_RMID, 0))
        must(LIBC.semctl(p.sem, 0, IPC_RMID))
        other = must(LIBC.msgget(p.key, IPC_CREAT | 0o600))
        if other == p.queue:
            raise ct.Failed("it has the same number again")
        p.refused(["queue %d" % p.queue, "key"])
        ct.end_children()
        if LIBC.semget(p.key, 1, 0) != -1:
            raise ct.Failed("the semaphores of a restore that failed are there")
    with t.fact("when_it_is_free_again_all_is_there"):
        must(LIBC.msgctl(other, IPC_RMID, 0))
        p.restore()
        if must(LIBC.semget(p.key, 1, 0)) != p.sem or must(LIBC.msgget(p.key, 0)) != p.queue:
            raise ct.Failed("numbers")
        p.snap()
        os.kill(p.pid, signal.SIGKILL)
        ct.reap(p.pid)
        must(LIBC.semctl(p.sem, 0, IPC_RMID))
        p.restore()
        p.looks()


if __name__ == "__main__":
    ct.run(main)
