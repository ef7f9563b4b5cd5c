#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""Process trees: parents, children, zombies, sessions, groups, what they share, at one instant."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact, left_running, restored, restored_three_times_in_a_row

LIVING = 8      # root and seven others; two have ended


def processes(fact):
    got = ct.ckptctl("show", "--json", fact.ref, "-o", fact.store)
    if got.status:
        raise ct.Failed("%r" % got)
    return json.loads(got.out)["tree"]["processes"]


def killed_by_the_snapshot(fact):
    fact.snap("--kill")
    pids = [p["pid"] for p in processes(fact)]
    fact.program.wait_end()
    ct.end_children()
    ct.wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in pids), "all to be gone")
    fact.restore()


def main(t):
    for way in (left_running, restored, restored_three_times_in_a_row, killed_by_the_snapshot):
        with t.fact("a_tree_is_as_it_was_%s" % way.__name__):
            fact = Fact("tree", "--tree")
            way(fact)
            fact.looks()
    for way in (left_running, restored_three_times_in_a_row):
        with t.fact("pidfds_inotify_and_named_pipes_are_as_they_were_%s" % way.__name__):
            fact = Fact("tree-ipc", "--tree")
            way(fact)
            fact.looks()
    for way in (left_running, restored_three_times_in_a_row) + ((restored, killed_by_the_snapshot) if ct.FULL else ()):
        with t.fact("connections_between_processes_go_on_%s" % way.__name__):
            fact = Fact("tree-tcp", "--tree")
            way(fact)
            fact.looks()
    with t.fact("show_tells_who_belongs_to_it"):
        fact = Fact("tree", "--tree")
        fact.snap()
        seen = processes(fact)
        if len(seen) != LIVING + 2 or seen[0]["pid"] != fact.pid or \
                sorted(p["ended"] for p in seen if "ended" in p) != [signal.SIGKILL, 42 << 8]:
            raise ct.Failed("%r" % seen)
        fact.looks()
    with t.fact("without_the_option_children_are_refused"):
        fact = Fact("tree")
        got = ct.ckptctl("snap", "-o", fact.store, str(fact.pid))
        if got.status != ct.EXIT_UNSUPPORTED or "--tree" not in got.err:
            raise ct.Failed("%r" % got)
        fact.looks()
    for what in ("files", "directory"):
        with t.fact("a_child_that_shares_its_%s_is_refused" % what):
            fact = Fact("tree-sharing", "--tree", env={"SHARED": what})
            got = ct.ckptctl("snap", "--tree", "-o", fact.store, str(fact.pid))
            if got.status != ct.EXIT_UNSUPPORTED or "shares its" not in got.err:
                raise ct.Failed("%r" % got)
            fact.looks()
    for way in (left_running, restored, restored_three_times_in_a_row):
        with t.fact("orphans_are_in_the_session_of_who_is_gone_%s" % way.__name__):
            fact = Fact("tree-orphans", "--tree", env={"ORPHANS": "daemon"})
            way(fact)
            fact.looks()
    with t.fact("an_orphan_in_the_session_of_another_one_is_refused"):
        fact = Fact("tree-orphans", "--tree", env={"ORPHANS": "living"})
        got = ct.ckptctl("snap", "--tree", "-o", fact.store, str(fact.pid))
        if got.status != ct.EXIT_UNSUPPORTED or "has lost its parent" not in got.err:
            raise ct.Failed("%r" % got)
        fact.looks()
    with t.fact("a_number_that_is_taken_is_named_and_nothing_is_left"):
        fact = Fact("tree", "--tree")
        fact.snap()
        got = ct.ckptctl("restore", "--detach", fact.ref, "-o", fact.store)
        if got.status == ct.EXIT_OK or "is in use by" not in got.err:
            raise ct.Failed("%r" % got)
        fact.looks()


ct.run(main)
