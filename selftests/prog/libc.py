#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Programs under the C library of a later Debian: what that asks of the kernel behind their back comes back.

Threads' stacks with guard regions, memory the kernel may empty for getrandom(3), a longer rseq(2) area.  The library
is that of the chroot in which modules for a later kernel are built; without one there is nothing to see.
"""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact

FACTS = ("fact-threads-many", "fact-threads-own", "fact-in-mutex", "fact-in-signal", "fact-tree-threads")
# A number from getrandom(3), a while, another one.
DRAWS = 'echo $SRANDOM; echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do read -t 0.2 x <> fifo; done; echo $SRANDOM; echo end'


def chroots():
    cache = os.environ.get("CKPT_CACHE") or os.path.join(os.path.dirname(ct.__file__), "../../build/cache")
    return sorted(glob.glob(os.path.join(os.path.realpath(cache), "chroot/*/usr/bin/bash")))


def draws(bash):
    """Of two programs that were restored from one image, neither has the numbers of the other."""
    cwd, store = ct.workdir("draws"), ct.workdir("store")
    os.mkfifo(os.path.join(cwd, "fifo"))
    p = ct.Program([*ct.loader(), bash, "-c", DRAWS], cwd)
    p.wait_output(b"ready\n")
    ref = ct.snap(p.pid, store, "--dontdump=keep").ref
    p.kill9()
    drawn = []
    for _ in range(2):
        pid = ct.restore_detached(ref, store)
        if ct.reap(pid):
            raise ct.Failed("how it ended")
        first, _, second, end = p.output().decode().splitlines()
        if end != "end":
            raise ct.Failed("%r" % p.output())
        drawn += [first, second]
    if drawn[0] != drawn[2] or drawn[1] == drawn[3]:
        raise ct.Failed("drawn were %s" % drawn)


def main(t):
    found = chroots()
    if not found:
        t.skip("programs_under_a_later_c_library", "there is no chroot of a later Debian")
    for bash in found:
        root = bash[:-len("/usr/bin/bash")]
        os.environ["CKPT_LIBC"] = root + "/usr/lib/x86_64-linux-gnu"
        for name in FACTS:
            with t.fact("%s_of_%s" % (name.removeprefix("fact-"), os.path.basename(root))):
                fact = Fact(name, *(["--tree"] if "tree" in name else []))
                fact.snap()
                fact.kill()
                fact.restore()
                fact.looks()
        with t.fact("random_numbers_of_%s" % os.path.basename(root)):
            draws(bash)


ct.run(main)
