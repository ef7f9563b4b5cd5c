#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""A scheduler's way: snapshots by libckpt. docs/example-take.c takes, docs/example-restore.c brings back."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact

LIVING = 8		# processes of tree.c


def example(name):
    return os.path.join(ct.TOP, "build/docs/example-" + name)


def take(fact):
    return subprocess.run([example("take"), fact.store, "job", str(fact.pid)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=ct.DEADLINE)


def masks(pid):
    return re.findall(r"^Sig(?:Blk|Ign|Cgt):.*$", ct.text("/proc/%d/status" % pid, ""), re.M)


def brought_back(fact, own):
    """By a child of ours, whose child the program is; what became of it."""
    user = subprocess.Popen([example("restore"), fact.store, fact.ref], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True)

    def runs():
        if user.poll() is not None:
            raise ct.Failed("it ended: " + user.stdout.read())
        status = ct.text("/proc/%d/status" % fact.pid, "")
        return re.search(r"^TracerPid:\t0$", status, re.M) and \
            re.search(r"^PPid:\t%d$" % user.pid, status, re.M)
    ct.wait_for(lambda: runs() and masks(fact.pid) == own, "the restored program to run")
    os.kill(fact.pid, signal.SIGTERM)
    said, _ = user.communicate(timeout=ct.DEADLINE)
    return user.returncode, said


def main(t):
    with t.fact("a_tree_is_taken_and_is_as_it_was"):
        fact = Fact("tree")
        own = masks(fact.pid)
        got = take(fact)
        said = re.fullmatch(r"(job@1): (\d+) processes, paused for (\d+) us\n", got.stdout)
        if got.returncode or not said or int(said.group(2)) != LIVING or int(said.group(3)) == 0:
            raise ct.Failed("%r" % got)
        fact.ref = said.group(1)
        fact.kill_tree()
        status, told = brought_back(fact, own)
        if status or told != "%d ended with wait status 0\n" % fact.pid or \
                fact.program.output() != b"ready\nas it was\n":
            raise ct.Failed("%d: %r, it says %r" % (status, told, fact.program.output()))
    with t.fact("what_cannot_be_brought_back_is_told"):
        program = ct.Program([ct.prog("refuse"), "fanotify", "keyring"], ct.workdir("refused"))
        program.wait_output(b"ready\n")
        store = ct.workdir("store")
        got = subprocess.run([example("take"), store, "job", str(program.pid)], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=ct.DEADLINE)
        told = (r"^process \d+: fd \d+ .*fanotify", r"^process (\d+): process \1: .*keyring")
        if got.returncode != 1 or got.stdout or program.ended() or \
                not all(re.search(what, got.stderr, re.M) for what in told):
            raise ct.Failed("%r" % got)
        program.kill9()


if __name__ == "__main__":
    ct.run(main)
