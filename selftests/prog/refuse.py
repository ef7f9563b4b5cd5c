#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""What a restore cannot bring back is refused by snap: named, with number, path and reason.

Every thing by itself, and many in one go. Each time: exit status 3, nothing in the store, and the
program goes on unharmed with all it holds.
"""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

# Descriptors: what the message has to call them.
DESCRIPTORS = {
    "outside-pipe": "pipe", "packet-pipe": "pipe", "fifo": "pipe|fifo", "unix": "socket", "tcp": "socket", "netlink": "socket",
    "eventfd": "eventfd", "epoll": "epoll", "timerfd": "timerfd", "signalfd": "signalfd",
    "inotify": "inotify", "fanotify": "fanotify", "memfd": "memfd", "userfaultfd": "userfaultfd",
    "pidfd": "pidfd", "perf": "perf", "bpf": "bpf", "mqueue": "mqueue|message queue",
    "proc": "proc", "namespace": "namespace|nsfs", "device": "device", "pty": "terminal|device",
    "lease": "lease", "owner": "F_SETOWN", "map-uffd": "userfaultfd", "io_uring": "io_uring",
}

# All else: a pattern the message has to match.
OTHERS = {
    "map-memfd": r"mapping 0x[0-9a-f]+ \(.*memfd:mapped.*\): .*memfd",
    "map-sysv": r"mapping 0x[0-9a-f]+ .*: .*System V",
    "map-device": r"mapping 0x[0-9a-f]+ .*: .*device",
    "map-pkey": r"mapping 0x[0-9a-f]+.*: .*protection key",
    "child": r"process \d+.*: .*child",
    "zombie-child": r"process \d+.*: .*child",
    "seccomp": r"thread \d+ .*: .*seccomp",
    "aio": r"process \d+.*: .*asynchronous",
    "semundo": r"process \d+.*: .*semaphore",
    "ldt": r"process \d+.*: .*descriptor table",
    "ioperm": r"thread \d+ .*: .*I/O ports",
    "mempolicy": r"thread \d+ .*: .*NUMA",
    "notsc": r"thread \d+ .*: .*RDTSC",
    "dispatch": r"thread \d+ .*: .*DISPATCH",
    "deadline": r"thread \d+ .*: .*SCHED_DEADLINE",
    "own-files": r"thread \d+ .*: .*open files",
    "own-namespace": r"thread \d+ .*: .*namespaces",
}

# Many in one go; five descriptors of them must be five lines, and no thing hides another.
TOGETHER = ["eventfd", "epoll", "timerfd", "unix", "inotify", "child", "map-memfd", "semundo"]


class Holder:
    """A running `refuse` with these things."""

    def __init__(self, things):
        where, argv = ct.workdir("refuse"), [ct.prog("refuse"), *things]
        if "outside-pipe" in things:
            end, self.kept = os.pipe()      # the other end is ours
            self.p = ct.Program(argv, where, pass_fds=(end,), env={"OUTSIDE_FD": str(end)})
            os.close(end)
        else:
            self.p = ct.Program(argv, where)
        self.p.wait_output(b"ready\n")
        out = self.p.output().decode()
        self.fds = {m[1]: [int(n) for n in m[2].split()]
                    for m in re.finditer(r"^have (\S+) fd (.*)$", out, re.M)}
        self.absent = dict(re.findall(r"^absent (\S+): (.*)$", out, re.M))

    def link(self, fd):
        return os.readlink("/proc/%d/fd/%d" % (self.p.pid, fd))

    def end_unharmed(self):
        os.kill(self.p.pid, signal.SIGTERM)
        self.p.finish()
        if not self.p.output().endswith(b"unharmed\n"):
            raise ct.Failed("it says %r" % self.p.output())


def refused(holder):
    """Snap it, with the store looked at before and after; the lines of the message."""
    store = ct.workdir("store")
    other = ct.Program([ct.prog("counter"), "0", "64"], ct.workdir("counter"))
    other.wait_output(b"ready\n")
    ct.snap(other.pid, store, "-n", "other")
    other.kill9()
    before = ct.tree(store)
    got = ct.ckptctl("snap", "-o", store, holder.p.pid)
    if got.status != ct.EXIT_UNSUPPORTED:
        raise ct.Failed("status %d is not %d: %r" % (got.status, ct.EXIT_UNSUPPORTED, got))
    if ct.tree(store) != before:
        raise ct.Failed("the store was touched: %s, before %s" % (ct.tree(store), before))
    ct.drop_workdir(store)
    return got.err.strip().split("\n")


def names_fd(lines, holder, fd, word):
    """A line with the number, the path, what it is, and what to do about it."""
    pattern = r"\bfd %d \(%s\): .*(%s)" % (fd, re.escape(holder.link(fd).removesuffix(" (deleted)")),
                                          word)
    if not any(re.search(pattern, line, re.I) for line in lines):
        raise ct.Failed("no line matches %r in:\n%s" % (pattern, "\n".join(lines)))


def check_thing(holder, thing, lines):
    if thing in DESCRIPTORS:
        for fd in holder.fds[thing]:
            names_fd(lines, holder, fd, DESCRIPTORS[thing])
    elif not any(re.search(OTHERS[thing], line) for line in lines):
        raise ct.Failed("no line matches %r in:\n%s" % (OTHERS[thing], "\n".join(lines)))


def one(t, thing):
    fact = "%s_is_refused_by_name_and_unharmed" % thing
    try:
        holder = Holder([thing])
    except ct.Failed as err:
        t.ok(False, fact, str(err))
        return
    if thing in holder.absent:
        t.skip(fact, "this kernel: " + holder.absent[thing])
        holder.p.kill9()
        return
    with t.fact(fact):
        lines = refused(holder)
        check_thing(holder, thing, lines)
        if not any("; " in line for line in lines) and thing in DESCRIPTORS:
            raise ct.Failed("no word on what to do:\n" + "\n".join(lines))
        holder.end_unharmed()


def together(t):
    with t.fact("everything_unsupported_is_named_in_one_go"):
        holder = Holder(TOGETHER)
        lines = refused(holder)
        for thing in TOGETHER:
            check_thing(holder, thing, lines)
        fds = sum(len(x) for x in holder.fds.values())
        said = len({m for line in lines for m in re.findall(r"\bfd (\d+) \(", line)})
        if fds != said:
            raise ct.Failed("%d descriptors, %d named:\n%s" % (fds, said, "\n".join(lines)))
        holder.end_unharmed()


def main(t):
    known = ct.subprocess.run([ct.prog("refuse")], stdout=ct.subprocess.PIPE).stdout.decode().split()
    t.same(sorted(set(known) - {"o_path"}), sorted([*DESCRIPTORS, *OTHERS]),
           "every_thing_the_program_knows_is_tested")
    for thing in [*DESCRIPTORS, *OTHERS]:
        one(t, thing)
    together(t)


ct.run(main)
