#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""Files that several processes of a tree change in place, read, or make longer: kept once, put back once."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact


def start():
    return Fact("tree-inplace", "--tree")


def shown(fact):
    got = ct.ckptctl("show", "--json", fact.ref, "-o", fact.store)
    if got.status:
        raise ct.Failed("%r" % got)
    return json.loads(got.out)


def change(fact):
    """Everything in the files, and what is in them then."""
    os.kill(fact.pid, signal.SIGUSR1)
    fact.program.wait_output(b"changed\n")
    return {n: path(fact, n) for n in ("data", "database", "log")}


def path(fact, name):
    return ct.read(os.path.join(fact.program.cwd, name))


def newer(fact):
    return sorted(n for n in os.listdir(fact.program.cwd) if "newer" in n)


def journal(fact):
    """What makes its way into the directory of a database when somebody is about to change it."""
    with open(os.path.join(fact.program.cwd, "database-journal"), "wb") as f:
        f.write(b"not yet at the snapshot")


def left_running(fact):
    fact.snap()
    fact.snap("--files=copy")


def restored(fact):
    fact.snap()
    now = change(fact)
    fact.kill_tree()
    fact.restore()
    if newer(fact) != ["data.newer.1", "database.newer.1"]:
        raise ct.Failed("each is put back once: %r" % newer(fact))
    for name in ("data", "database"):
        if path(fact, name + ".newer.1") != now[name]:
            raise ct.Failed("%s.newer.1 is not what %s held" % (name, name))


def restored_twice_in_a_row(fact):
    restored(fact)
    fact.snap()
    fact.kill_tree()
    fact.restore()


def restored_without_the_files(fact):
    fact.snap()
    change(fact)
    fact.kill_tree()
    for name in ("data", "database"):
        os.unlink(os.path.join(fact.program.cwd, name))
    fact.restore()
    if newer(fact):
        raise ct.Failed("%r" % newer(fact))


def restored_with_a_journal_put_aside(fact):
    fact.snap()
    change(fact)
    journal(fact)
    fact.kill_tree()
    fact.restore()
    if "database-journal.newer.1" not in newer(fact) or \
            os.path.exists(os.path.join(fact.program.cwd, "database-journal")):
        raise ct.Failed("the journal that came later: %r" % newer(fact))


def killed_by_the_snapshot(fact):
    fact.snap("--kill")
    pids = [p["pid"] for p in shown(fact)["tree"]["processes"]]
    fact.program.wait_end()
    ct.end_children()
    ct.wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in pids), "all to be gone")
    fact.restore()


def linked(fact):
    """Two that are one file by now: neither is written to."""
    fact.snap()
    change(fact)
    fact.kill_tree()
    os.unlink(os.path.join(fact.program.cwd, "database"))
    os.link(os.path.join(fact.program.cwd, "data"), os.path.join(fact.program.cwd, "database"))
    before = path(fact, "data")
    got = ct.ckptctl("restore", "--detach", fact.ref, "-o", fact.store)
    if got.status == ct.EXIT_OK or "are one file now" not in got.err:
        raise ct.Failed("%r" % got)
    if path(fact, "data") != before or newer(fact):
        raise ct.Failed("something was done: %r" % newer(fact))


def main(t):
    for way in (left_running, restored, restored_twice_in_a_row, restored_without_the_files,
                restored_with_a_journal_put_aside, killed_by_the_snapshot):
        with t.fact("files_that_several_change_are_as_they_were_%s" % way.__name__):
            fact = start()
            way(fact)
            fact.looks()
    with t.fact("two_that_are_one_file_by_now_are_named_and_left_alone"):
        linked(start())
    with t.fact("each_content_is_in_the_image_once"):
        fact = start()
        kept = ct.snap(fact.pid, fact.store, "--tree", "-n", "job").info["files"]["kept"]
        if kept != 2:
            raise ct.Failed("%d files were kept, not data and database" % kept)
        fact.looks()


ct.run(main)
