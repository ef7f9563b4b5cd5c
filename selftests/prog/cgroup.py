#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""All processes of a control group at one instant, whoever their parents are."""
import contextlib
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from fact import Fact, left_running

MOUNT, NAME = "/sys/fs/cgroup", "ckpt-group"
GROUP = os.path.join(MOUNT, NAME)
FAILED = 5
LIVING = 4      # the first, its child, the orphan, the daemon; one has ended


class Group(Fact):
    """workload/group.c; path is how its group is named to snap."""

    def __init__(self, path=GROUP, status=0):
        super().__init__("group", "--tree", env={"GROUP": GROUP, "STATUS": str(status)})
        self.path = path

    def snap(self, *args):
        got = ct.ckptctl("snap", "--json", "-o", self.store, "-n", "job", "--cgroup", self.path, *args)
        if got.status:
            raise ct.Failed("%r" % got)
        info = json.loads(got.out)
        if info["pid"] != self.pid or info["tree"]["processes"] != LIVING:
            raise ct.Failed("%r" % info)
        self.ref = info["ref"]

    def looks(self):
        super().looks()
        ct.end_children()


def runs(pid):
    """The restored program, not a process that is being made into it."""
    status = ct.text("/proc/%d/status" % pid, "")
    return "Name:\tgroup\n" in status and "TracerPid:\t0\n" in status


def processes(ref, store):
    got = ct.ckptctl("show", "--json", ref, "-o", store)
    if got.status:
        raise ct.Failed("%r" % got)
    return [p["pid"] for p in json.loads(got.out)["tree"]["processes"]]


def restored_three_times_in_a_row(fact):
    for _ in range(3):
        fact.snap()
        fact.kill_tree()
        fact.restore()
        os.rmdir(GROUP + "/below")
        os.mkdir(GROUP + "/below")
        for pid in fact.pids:           # the image does not tell in which it was
            with open(GROUP + "/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(pid))


def killed_by_the_snapshot(fact):
    fact.snap("--kill")
    fact.program.wait_end()
    ct.end_children()
    fact.restore()


def foreground(fact):
    """The first one ends well and before the daemon, which does not."""
    fact.snap()
    fact.kill_tree()
    p = ct.Program([ct.CKPTCTL, "restore", fact.ref, "-o", fact.store], ct.workdir("foreground"))
    ct.wait_for(lambda: p.ended() or runs(fact.pid), "it to be restored")
    os.kill(p.pid, signal.SIGTERM)
    status = p.wait_end()
    if status != FAILED or fact.program.output() != b"ready\nas it was\n":
        raise ct.Failed("status %d, it says %r %r" % (status, fact.program.output(), p.errors()))
    ct.end_children()


# Its children and orphans come and go all the while.
RESTLESS = """
echo $$ >"$0/cgroup.procs"
while :; do
	(sleep 0.0$((RANDOM % 9)) &)
	sleep 0.0$((RANDOM % 3)) &
	echo $((++n)) >count
	wait -n
done
"""


def restless(t):
    """Whoever is there at that moment is in the image once, and comes back."""
    store, where, seen = ct.workdir("store"), ct.workdir("restless"), []
    p = ct.Program(["/bin/bash", "-c", RESTLESS, GROUP], where)
    count = os.path.join(where, "count")
    for _ in range(ct.full(40, 6)):
        before = ct.text(count, "")
        ct.wait_for(lambda: ct.text(count, "") not in ("", before), "it to go on")
        got = ct.ckptctl("snap", "--json", "-o", store, "-n", "job", "--kill", "--cgroup", GROUP)
        if got.status:
            raise ct.Failed("%r" % got)
        info = json.loads(got.out)
        seen.append(info["tree"]["processes"])
        ct.end_children()
        ct.restore_detached(info["ref"], store)
        for pid in processes(info["ref"], store):
            with contextlib.suppress(OSError), open(GROUP + "/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(pid))
    t.diag("processes: %s" % seen)
    p.kill9()
    ct.end_children()


def usage(t):
    with t.fact("what_is_no_group_or_has_nobody_is_told"):
        for args, status, word in ((["/tmp"], 1, "not a control group"), ([MOUNT + "/no"], 1, "not a control group"),
                                   ([GROUP + "/below"], ct.EXIT_GONE, "has no processes"),
                                   ([GROUP, "1"], 2, "a process, or a control group")):
            got = ct.ckptctl("snap", "-o", ct.workdir("store"), "--cgroup", *args)
            if got.status != status or word not in got.err:
                raise ct.Failed("%s: %r" % (args, got))


def main(t):
    os.makedirs(GROUP + "/below", exist_ok=True)
    usage(t)
    for way, path in (left_running, "/" + NAME), (restored_three_times_in_a_row, GROUP), \
            (killed_by_the_snapshot, GROUP):
        with t.fact("a_control_group_is_as_it_was_%s" % way.__name__):
            fact = Group(path)
            way(fact)
            fact.looks()
    with t.fact("one_whose_processes_come_and_go_is_taken_whole"):
        restless(t)
    with t.fact("a_restore_in_the_foreground_waits_for_all_and_tells_of_one_that_failed"):
        foreground(Group(status=FAILED))
    os.rmdir(GROUP + "/below")
    os.rmdir(GROUP)


ct.run(main)
