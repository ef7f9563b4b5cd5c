#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=500
"""500 snapshots of one program in a row, and 100 generations of snap, kill and restore: nothing grows.

What is watched: the module's object counters, unreclaimable slab, page tables, kernel stacks, and all
memory in use that is not page cache. The first tenth is warm-up (per-CPU caches, the first slabs of a
kind); a leak of one small object or page for each snapshot shows in what follows.
"""
import os
import random
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

SNAPSHOTS = ct.full(500, 20)
GENERATIONS = ct.full(100, 4)
KIB = ct.full(4096, 512)


def in_use():
    """KiB the kernel cannot get back, by kind; the memory of programs is not counted."""
    m = ct.memory()
    parts = {k: m[k] for k in ("SUnreclaim", "PageTables", "KernelStack")}
    parts["other"] = m["MemTotal"] - m["MemFree"] - m["Cached"] - m["Buffers"] - m["SReclaimable"] - \
        m["AnonPages"]
    return parts


def compare(before, after, times, slabs_before):
    """Failed if anything grew by more than noise: 1.5 KiB each time, and what is not us: 1 MiB of a kind,
    but 32 MiB of `other`, which goes up and down by that with free pages the processors keep."""
    grown = {k: after[k] - before[k] for k in before}
    if all(n <= (32768 if k == "other" else 1024) + times * 3 // 2 for k, n in grown.items()):
        return "grown (KiB) in %d: %s" % (times, grown)
    more = sorted(((n - slabs_before.get(name, (0, 0))[0]) * size, name)
                  for name, (n, size) in ct.slabs().items())[-8:]
    raise ct.Failed("grown (KiB) in %d: %s; slabs (bytes): %s" % (times, grown, more))


class Watch:
    """Measure after the warm-up and at the end."""

    def __init__(self, times):
        self.warm, self.times = max(times // 10, 2), times

    def tick(self, n):
        if n == self.warm:
            self.before, self.slabs = in_use(), ct.slabs()

    def verdict(self, tracked):
        """@tracked: programs that live, and were snapshotted."""
        left = ct.wait_for_counters_zero(tracked)
        if left:
            raise ct.Failed("the module still holds %s" % left)
        return compare(self.before, in_use(), self.times - self.warm, self.slabs)


def many_snapshots(t):
    with t.fact("nothing_grows_in_%d_snapshots_of_a_running_program" % SNAPSHOTS):
        where, store = ct.workdir("soak"), ct.workdir("store")
        p = ct.Program([ct.prog("counter"), "0", str(KIB)], where)
        p.wait_output(b"ready\n")
        watch = Watch(SNAPSHOTS)
        for n in range(1, SNAPSHOTS + 1):
            s = ct.snap(p.pid, store, "-n", "soak")
            remove(s.ref, store)
            watch.tick(n)
        t.diag(watch.verdict(tracked=1))
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("the program says %r" % p.output())


def remove(ref, store):
    got = ct.ckptctl("rm", ref, "-o", store)
    if got.status != ct.EXIT_OK:
        raise ct.Failed("rm %s: %r" % (ref, got))


def generation(pid, job, store, first):
    """Let it run a little, snap it, let it run on, kill it: the ref it can be brought back by."""
    ran = random.uniform(0.2, 0.6) / (GENERATIONS + 1) * job.total
    ct.wait_for(lambda: ct.cpu_clock(pid) >= ran, "pid %d to run" % pid)
    s = ct.snap(pid, store)
    more = ct.cpu_clock(pid) + random.randrange(20000000)
    ct.wait_for(lambda: ct.cpu_clock(pid) >= more, "pid %d to run on" % pid)
    os.kill(pid, signal.SIGKILL)
    if first:
        first.kill9()
    else:
        ct.reap(pid)
    return s.ref


def many_generations(t):
    # long enough that all generations fit in: each goes on by at most 0.6 of its share, and for as
    # long as a snapshot of it takes to be written
    steps = str(ct.full(300000000, 60000000))
    job = ct.Job("counter", lambda _: [ct.prog("counter"), steps, str(KIB)], started=b"ready\n")
    with t.fact("a_program_of_%d_generations_answers_the_same" % GENERATIONS):
        job.reference()
        p = job.start()
        pid, store = p.pid, ct.workdir("store")
        watch = Watch(GENERATIONS)
        ref = generation(pid, job, store, p)
        for n in range(1, GENERATIONS):
            got = ct.restore_detached(ref, store)
            if got != pid:
                raise ct.Failed("generation %d came back as %d, not %d" % (n, got, pid))
            old, ref = ref, generation(pid, job, store, None)
            remove(old, store)
            watch.tick(n)
        ct.restore(ref, store)
        job.check(p.cwd)
    with t.fact("nothing_grows_in_%d_generations" % GENERATIONS):
        t.diag(watch.verdict(tracked=0))


def module_unloads(t):
    with t.fact("the_module_unloads_afterwards_and_loads_again"):
        ct.wait_for(ct.rmmod, "the module to unload", 10)
        ct.need_module()


def main(t):
    many_snapshots(t)
    many_generations(t)
    module_unloads(t)


ct.run(main)
