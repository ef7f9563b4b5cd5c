#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A snap that gets SIGINT says that it was interrupted when it was, and else what went wrong."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def snap(p, store, moment, *args):
    got = ct.ckptctl("snap", "-o", store, *args, p.pid,
                     env={"LD_PRELOAD": ct.prog("interrupt.so"), "INTERRUPT": moment})
    if got.status != ct.EXIT_FAILED:
        raise ct.Failed("%r" % got)
    return got


def main(t):
    p = ct.Program([ct.prog("counter"), "0", "256"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    with t.fact("an_interrupted_snap_says_so_and_keeps_nothing"):
        store = ct.workdir("store")
        got = snap(p, store, "write")
        if "interrupted: nothing was kept" not in got.err or ct.listing(store):
            raise ct.Failed("%s: %r" % (ct.listing(store), got))
    with t.fact("a_full_disk_is_named_though_a_signal_came"):
        got = snap(p, store, "full")
        if not re.search("no space", got.err, re.I) or "interrupted" in got.err or ct.listing(store):
            raise ct.Failed("%s: %r" % (ct.listing(store), got))
    with t.fact("what_is_committed_is_not_said_to_be_lost"):
        got = snap(p, store, "kill", "--kill", "-n", "job")
        if "job@1 is complete" not in got.err or ct.listing(store) != ["job@1"]:
            raise ct.Failed("%s: %r" % (ct.listing(store), got))
    with t.fact("the_target_of_all_that_runs_on"):
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r" % p.output())


ct.run(main)
