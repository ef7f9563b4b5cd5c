#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""Memory that several processes of a tree share: one still after a restore, and once in the image.  System V
segments, which outlive their processes."""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact

KEY = 0x636b7074      # of fact-segment
OBJECT = "/dev/shm/ckpt-tree-memory"
MIB = 24
CHILDREN = 3


def tree_of(pid):
    """It and all that descend from it."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [pid] + [p for child in f.read().split() for p in tree_of(int(child))]


def left_running(fact):
    fact.snap()


def restored_twice_in_a_row(fact):
    for _ in range(2):
        fact.snap()
        fact.kill_tree()
        fact.restore()


def as_it_is():
    pass


def changed():
    """By whoever had it when the program ran on."""
    with open(OBJECT, "r+b") as f:
        size = os.path.getsize(OBJECT)
        f.write(b"\xa5" * size)


def removed():
    os.unlink(OBJECT)


def segments():
    """Lines of the list by number."""
    with open("/proc/sysvipc/shm") as f:
        return {int(line.split()[1]): line.split() for line in list(f)[1:]}


def with_key():
    return [int(v[1]) for v in segments().values() if int(v[0]) & 0xffffffff == KEY]


def remove(*ids):
    libc = ctypes.CDLL(None)
    for n in ids:
        libc.shmctl(n, 0, None)


def change(number, text):
    """Write to the beginning of a segment, as the program did when it ran on."""
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(number, None, 0)
    ctypes.memmove(at, text, len(text))
    libc.shmdt(ctypes.c_void_p(at))


def one_with_segments(then):
    """Snapshotted and killed; its segments stay, but the removed one."""
    fact = Fact("fact-segment", "--tree", env={"SHARED": "1"})
    fact.snap()
    fact.kill_tree()
    ct.wait_for(lambda: not any(int(v[6]) for v in segments().values()), "segments to be let go of")
    then(fact)


def newer_ones(fact):
    change(with_key()[0], b"newer\0")
    fact.restore()
    fact.looks()


def none_any_more(fact):
    remove(*segments())
    fact.restore()
    fact.looks()


def refused(fact, *words):
    before = segments()
    got = ct.ckptctl("restore", "--detach", fact.ref, "-o", fact.store)
    if got.status == ct.EXIT_OK or not all(w in got.err for w in ("System V segment", *words)):
        raise ct.Failed("%r" % got)
    if sorted(segments()) != sorted(before):
        raise ct.Failed("there were %r and are %r" % (before, segments()))
    remove(*segments())


def one_with_the_key(fact):
    remove(*segments())
    libc = ctypes.CDLL(None)
    # Another number: the first one goes when there are two.
    first, second = libc.shmget(0, 4096, 0o1600), libc.shmget(KEY, 4096, 0o1600)
    remove(first)
    if second < 0:
        raise ct.Failed("no segment")
    refused(fact)


def one_that_others_have(fact):
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(with_key()[0], None, 0)
    refused(fact, "is attached by others", "process %d" % os.getpid())
    libc.shmdt(ctypes.c_void_p(at))


def one_of_another_size(fact):
    number = with_key()[0]
    remove(number)
    with open("/proc/sys/kernel/shm_next_id", "w") as f:
        f.write(str(number))
    if ctypes.CDLL(None).shmget(0, 4096, 0o1600) != number:
        raise ct.Failed("it did not get the number")
    refused(fact, "the number belongs to another one", "ipcrm -m %d" % number)


def main(t):
    for way in (left_running, restored_twice_in_a_row):
        with t.fact("what_processes_share_is_one_%s" % way.__name__):
            fact = Fact("tree-memory", "--tree")
            way(fact)
            fact.looks()
    with t.fact("what_processes_share_is_in_the_image_once"):
        fact = Fact("tree-memory", "--tree", env={"MIB": str(MIB)})
        fact.snap()
        size = os.path.getsize(os.path.join(fact.store, "job", "gen-00000001.ckpt"))
        if not MIB << 20 <= size < (MIB + 8) << 20:
            raise ct.Failed("the image has %d bytes" % size)
        fact.looks()
    for then in (as_it_is, changed, removed):
        with t.fact("an_object_with_a_name_%s" % then.__name__):
            fact = Fact("tree-memory", "--tree", env={"NAMED": "1"})
            fact.snap()
            fact.kill_tree()
            then()
            fact.restore()
            fact.looks()
    for way in (left_running, restored_twice_in_a_row):
        with t.fact("segments_that_processes_share_%s" % way.__name__):
            fact = Fact("fact-segment", "--tree", env={"SHARED": "1"})
            way(fact)
            fact.looks()
    for then in (newer_ones, none_any_more, one_with_the_key, one_that_others_have, one_of_another_size):
        with t.fact("segments_when_there_are_%s" % then.__name__ if then in (newer_ones, none_any_more)
                    else "segments_when_there_is_%s" % then.__name__):
            one_with_segments(then)


ct.run(main)
