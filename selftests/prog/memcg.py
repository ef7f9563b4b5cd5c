#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=200
"""A program in a control group with little room rewrites all of its memory while it is being
snapshotted: each of its pages is there twice then, and there is not room for that. The snapshot comes
about or is given up and says why; the program is not killed and knows of nothing.
"""
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

MIB = 128
PAGES = MIB * 256
ROOM = 64 << 20
RUNS = ct.full(100, 4)


class Writer:
    """It changes every page in a round; what it holds then depends on the number of rounds alone."""

    def __init__(self, group=None):
        argv = [ct.prog("touch"), str(MIB), "4k", str(PAGES), "plain"]
        if group:               # from its first page on: what is charged elsewhere stays there
            argv = ["bash", "-c", 'echo $$ >"$0" && exec "$@"', os.path.join(group, "cgroup.procs")] + argv
        self.program = ct.Program(argv, ct.workdir("writer"))
        self.program.wait_output(b"ready\n")
        self.pid = self.program.pid
        self.tell(signal.SIGUSR1, b"round 1\n")
        self.rounds = 1

    def tell(self, sig, needle):
        os.kill(self.pid, sig)
        self.program.wait_output(needle)

    def round(self):
        self.rounds += 1
        self.tell(signal.SIGUSR1, b"round %d\n" % self.rounds)

    def hash(self):
        self.tell(signal.SIGUSR2, b"memory %d " % self.rounds)
        return re.search(rb"memory %d (\w+)" % self.rounds, self.program.output()).group(1)

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        self.program.finish()


class Group:
    def __init__(self):
        self.path = "/sys/fs/cgroup/ckpt-memcg-%d" % os.getpid()
        os.mkdir(self.path)
        self.put("memory.swap.max", 0)

    def put(self, name, value):
        with open(os.path.join(self.path, name), "w") as f:
            f.write(str(value))

    def get(self, name):
        return ct.text(os.path.join(self.path, name))

    def events(self):
        return dict(line.split() for line in self.get("memory.events").splitlines())


def one(w, store, slow):
    """Whether it came about. The round begins at any moment of it; a slow one is certainly under way then."""
    argv = [ct.CKPTCTL, "snap", "-o", store, "-n", "job", "--full", "--no-readback", str(w.pid)]
    snap = subprocess.Popen(argv + (["--bwlimit", "4M"] if slow else []), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
    if slow:
        ct.wait_for(lambda: ct.counters()["snapshots"] or snap.poll() is not None, "the snapshot")
    ct.spin_until(time.monotonic_ns() + random.randrange(300000000))
    w.round()
    _, err = snap.communicate(timeout=ct.DEADLINE)
    if snap.returncode == ct.EXIT_OK:
        ct.verify("job", store)
        got = ct.ckptctl("gc", "--keep", "1", "-o", store)
        if got.status:
            raise ct.Failed("%r" % got)
        return True
    if b"memory" not in err:
        raise ct.Failed("given up, but not for want of memory: %r" % err)
    return False


def main(t):
    if not os.path.exists("/sys/fs/cgroup/cgroup.subtree_control"):
        t.skip("a_program_without_room_for_its_snapshot_is_not_killed", "no cgroup v2")
        return
    with open("/sys/fs/cgroup/cgroup.subtree_control", "w") as f:
        f.write("+memory")
    with t.fact("a_program_without_room_for_its_snapshot_is_not_killed"):
        group = Group()
        w, reference, store = Writer(group.path), Writer(), ct.workdir("store")
        group.put("memory.max", int(group.get("memory.current")) + ROOM)
        good = sum(one(w, store, slow=n % 2) for n in range(RUNS))
        t.diag("%d of %d snapshots came about; %s" % (good, RUNS, group.events()))
        if int(group.events()["oom_kill"]) or good == RUNS:
            raise ct.Failed("killed, or never without room: %s" % group.events())
        while reference.rounds < w.rounds:
            reference.round()
        if w.hash() != reference.hash():
            raise ct.Failed("its memory is not what it has to be")
        w.end()
        reference.end()
        os.rmdir(group.path)


ct.run(main)
