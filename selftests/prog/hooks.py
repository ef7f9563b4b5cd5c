#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Hooks of a program: before a snapshot and after it, each once, whatever becomes of the snapshot and
of who takes it; and after a restore.
"""
import errno
import os
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

KEY = 3000000       # seed of hooks.c


def mix64(x):
    mask = 2**64 - 1
    x = (x + 0x9e3779b97f4a7c15) & mask
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & mask
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & mask
    return x ^ (x >> 31)


def has_key(store):
    key = struct.pack("<2Q", mix64(KEY + 300), mix64(KEY + 301))
    return any(key in ct.read(os.path.join(base, f)) for base, _, names in os.walk(store) for f in names)


class Hooked:
    """selftests/workload/hooks.c, running or restored."""

    def __init__(self):
        self.program = ct.Program([ct.prog("hooks"), "4k", "hooks"], ct.workdir("hooks"))
        self.pid = self.program.pid
        self.program.wait_output(b"ready\n")

    def lines(self):
        """What it has said since it was ready."""
        got = ct.text(self.program.out).splitlines()
        return got[got.index("ready") + 1:]

    def wait_lines(self, want):
        ct.wait_for(lambda: len(self.lines()) >= len(want), "the program to say %r" % want[-1])
        if self.lines() != want:
            raise ct.Failed("it says %r, not %r" % (self.lines(), want))

    def ask(self, sig, want):
        had = self.lines()
        os.kill(self.pid, sig)
        self.wait_lines(had + [want])

    def need_unharmed(self, secret="own own"):
        self.ask(signal.SIGUSR1, "state %s own 0" % secret)

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        self.program.finish()


def snap(p, store, *args):
    return ct.snap(p.pid, store, "-n", "job", "--compress=none", *args)


def restore(p, store, want):
    """The hooks hear of it, once, and the program goes on; the number of the process."""
    ct.restore_detached("job", store)
    p.wait_lines(want)
    p.need_unharmed("zero file")


def kill_restored(p):
    os.kill(p.pid, signal.SIGKILL)
    ct.reap(p.pid)


def in_order(t):
    p, store = Hooked(), ct.workdir("store")
    with t.fact("hooks_can_be_ended_and_begun_again_but_there_is_one_set"):
        head = ct.text(p.program.out).splitlines()[1:3]
        if head != ["hooks refused %d %d" % (-errno.ENOENT, -errno.EINVAL), "twice %d" % -errno.EALREADY]:
            raise ct.Failed("it says %r" % head)
    with t.fact("hooks_run_before_and_after_a_snapshot"):
        s = snap(p, store)
        p.wait_lines(["before", "after taken"])
        if not s.info["hooks_ns"] or s.info["hooks_ns"] < s.info["pause"]["total_ns"] // 1000:
            raise ct.Failed("hooks_ns is %r" % s.info["hooks_ns"])
        p.need_unharmed()
        snap(p, store)
        p.wait_lines(["before", "after taken", "state own own own 0", "before", "after taken"])
    with t.fact("what_a_hook_has_dropped_is_in_no_image"):
        if has_key(store):
            raise ct.Failed("it is in the store")
        other = ct.workdir("other")
        ct.snap(p.pid, other, "--compress=none", "--no-hooks")
        if not has_key(other) or len(p.lines()) != 5:
            raise ct.Failed("with --no-hooks it is not in the store; or a hook was called: %r" % p.lines())
    p.program.kill9()
    said = p.lines()[:4]
    for n in (1, 2):
        with t.fact("a_restored_program_hears_of_it_%d" % n):
            restore(p, store, said + ["after restored"])
            if n == 1:
                kill_restored(p)
    with t.fact("a_restored_program_has_hooks_still"):
        said = p.lines()
        snap(p, store)
        p.wait_lines(said + ["before", "after taken"])
        p.need_unharmed("zero file")
        kill_restored(p)
        restore(p, store, said + ["before", "after restored"])
        os.kill(p.pid, signal.SIGTERM)
        if ct.reap(p.pid):
            raise ct.Failed("it does not end as it should")


def killed(t):
    with t.fact("hooks_of_a_program_ended_by_its_snapshot_hear_of_the_restore_alone"):
        p, store = Hooked(), ct.workdir("store")
        snap(p, store, "--kill")
        p.program.wait_end()
        if has_key(store):
            raise ct.Failed("the key is in the store")
        restore(p, store, ["before", "after restored"])
        kill_restored(p)


def without_hooks_the_image_tells_nobody(t):
    with t.fact("hooks_that_were_not_asked_hear_of_no_restore"):
        p, store = Hooked(), ct.workdir("store")
        snap(p, store, "--no-hooks", "--kill")
        p.program.wait_end()
        ct.restore_detached("job", store)
        p.need_unharmed("zero file")
        if len(p.lines()) != 1:
            raise ct.Failed("it says %r" % p.lines())
        snap(p, store)
        p.wait_lines(["state zero file own 0", "before", "after taken"])
        kill_restored(p)


def hangs(t):
    p, store = Hooked(), ct.workdir("store")
    with t.fact("a_hook_that_does_not_return_ends_the_snapshot_not_the_program"):
        p.ask(signal.SIGHUP, "hangs")
        got = ct.ckptctl("snap", "--hooks-timeout", "300", "-n", "job", "-o", store, str(p.pid))
        if got.status != ct.EXIT_FAILED or ct.listing(store) or \
                any(w not in got.err for w in ("hook before a snapshot", "300 ms", "--no-hooks")):
            raise ct.Failed("%r" % got)
        p.need_unharmed()
        got = ct.ckptctl("snap", "--hooks-timeout", "300", "-n", "job", "-o", store, str(p.pid))
        if got.status != ct.EXIT_FAILED or "busy" not in got.err or "--no-hooks" not in got.err:
            raise ct.Failed("the next one: %r" % got)
        p.wait_lines(["hangs", "before", "state own own own 0"])
        os.kill(p.pid, signal.SIGHUP)
        ct.wait_for(lambda: len(p.lines()) == 5, "the hook to return")
        if sorted(p.lines()[3:]) != ["after given up", "hangs not"]:
            raise ct.Failed("it says %r" % p.lines())
        snap(p, store)
        p.wait_lines(p.lines()[:5] + ["before", "after taken"])
        p.need_unharmed()
        p.end()


def taker_dies(t):
    with t.fact("who_takes_the_snapshot_dies_and_the_hooks_hear_that_it_was_given_up"):
        p, store = Hooked(), ct.workdir("store")
        p.ask(signal.SIGHUP, "hangs")
        taker = subprocess.Popen([ct.CKPTCTL, "snap", "-o", store, str(p.pid)], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        p.wait_lines(["hangs", "before"])
        taker.kill()
        taker.wait()
        os.kill(p.pid, signal.SIGHUP)
        ct.wait_for(lambda: "after given up" in p.lines(), "the hooks to hear of it")
        p.need_unharmed()
        said = p.lines()
        snap(p, store)
        p.wait_lines(said + ["before", "after taken"])
        p.end()
    with t.fact("who_takes_it_is_interrupted_and_the_hooks_hear_at_once"):
        p, store = Hooked(), ct.workdir("store")
        p.ask(signal.SIGHUP, "hangs")
        taker = subprocess.Popen([ct.CKPTCTL, "snap", "-o", store, str(p.pid)], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        p.wait_lines(["hangs", "before"])
        taker.send_signal(signal.SIGINT)
        if taker.wait(ct.DEADLINE) != ct.EXIT_FAILED or ct.listing(store):
            raise ct.Failed("it was not given up")
        os.kill(p.pid, signal.SIGHUP)
        ct.wait_for(lambda: "after given up" in p.lines(), "the hooks to hear of it")
        p.need_unharmed()
        p.end()


def two_at_once(t):
    with t.fact("two_snapshots_at_once_take_turns"):
        p = Hooked()
        stores = [ct.workdir("store") for _ in range(ct.full(8, 3))]
        takers = [subprocess.Popen([ct.CKPTCTL, "snap", "--hooks-timeout", "100000", "-o", store, str(p.pid)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                  for store in stores]
        if any(taker.wait(ct.DEADLINE) for taker in takers):
            raise ct.Failed("one of them failed")
        p.wait_lines(["before", "after taken"] * len(stores))
        p.need_unharmed()
        p.end()


def example(t):
    """docs/example-hooks.c: its own key is in no image, and it hears of everything."""
    with t.fact("the_example_of_the_docs_does_what_it_says"):
        store = ct.workdir("store")
        p = ct.Program([os.path.join(ct.TOP, "build/docs/example-hooks")], ct.workdir("example"))
        ct.wait_for(lambda: "ckpt-hooks" in [ct.text("/proc/%d/task/%s/comm" % (p.pid, x), "").strip()
                                             for x in os.listdir("/proc/%d/task" % p.pid)], "its hooks")
        s = ct.snap(p.pid, store, "-n", "job")
        p.wait_output(b"taken\n")
        if not s.info["hooks_ns"]:
            raise ct.Failed("%r" % s.info)
        p.kill9()
        pid = ct.restore_detached("job", store)
        ct.wait_for(lambda: p.output() == b"restored\n", "the restored program to say so")
        os.kill(pid, signal.SIGKILL)
        ct.reap(pid)


def main(t):
    in_order(t)
    killed(t)
    without_hooks_the_image_tells_nobody(t)
    hangs(t)
    taker_dies(t)
    two_at_once(t)
    example(t)


ct.run(main)
