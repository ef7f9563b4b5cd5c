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
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

# Descriptors: what the message has to call them.
DESCRIPTORS = {
    "outside-pipe": "pipe", "notify-pipe": "O_NOTIFICATION_PIPE", "packets-left": "pipe",
    "fifo": "named pipe that was deleted", "netlink": "netlink socket",
    "unix": "not in the program|wait to be accepted",
    "unix-gone": "listens no longer", "unix-names": "connected by name, in which messages wait",
    "unix-relative": "does not begin at the root", "unix-astray": "connected to something else now",
    "tcp": "TCP connection to 127.0.0.1:.*not in the snapshot|wait to be accepted",
    "tcp-urgent": "MSG_OOB",
    "unix-rights": "SCM_RIGHTS", "udp": "datagrams wait", "raw": "IPv4 raw socket",
    "packet": "packet socket", "filtered": "filter",
    "epoll": "epoll.*no open file of the program", "timerfd": "timerfd.*TFD_TIMER_CANCEL_ON_SET",
    "inotify": "inotify.*were not read", "inotify-nameless": "inotify.*has no name",
    "dnotify": "F_NOTIFY", "o_path": "proc",
    "fanotify": "fanotify", "memfd": "memfd of huge pages", "userfaultfd": "userfaultfd",
    "pidfd": "PIDFD_THREAD", "perf": "perf", "bpf": "bpf", "mqueue": "mqueue|message queue",
    "proc": "proc, which shows another process", "namespace": "namespace|nsfs", "device": "device", "pty": "output is stopped",
    "pty-quoting": "cannot be told exactly", "pty-leader": "whose leader is not in the program",
    "deleted-directory": "is a deleted directory", "linked": "lives on under another",
    "large": "more than 256 MiB", "covered": "belongs to another file",
    "lease": "lease to write", "lease-wanted": "lease that somebody waits for",
    "lease-deleted": "lease on a file that was deleted", "delegation": "F_SETDELEG",
    "owner": "not in the snapshot .F_SETOWN", "map-uffd": "userfaultfd", "io_uring": "io_uring",
}

# All else: a pattern the message has to match.
OTHERS = {
    "map-memfd": r"mapping 0x[0-9a-f]+ \(.*memfd:mapped.*\): .*huge pages",
    "map-linked": r"mapping 0x[0-9a-f]+ \(.*/mapped\): .*lives on under another",
    "map-large": r"mapping 0x[0-9a-f]+ \(.*memfd:large\): .*more than 256 MiB",
    "map-sysv": r"mapping 0x[0-9a-f]+ .*: .*huge pages",
    "map-device": r"mapping 0x[0-9a-f]+ .*: .*device",
    "child": r"process \d+.*: .*child",
    "zombie-child": r"process \d+.*: .*child",
    "seccomp": r"thread \d+ .*: .*SECCOMP_RET_USER_NOTIF",
    "aio": r"process \d+.*: .*asynchronous",
    "semundo-others": r"process \d+.*: .*those of others",
    "semundo": r"process \d+.*: .*SEM_UNDO",
    "keyring": r"process \d+.*: .*keyring",
    "ldt": r"process \d+.*: .*descriptor table",
    "ioperm": r"thread \d+ .*: .*I/O ports",
    "notsc": r"thread \d+ .*: .*RDTSC",
    "gone-directory": r"process \d+.*: the working directory was deleted",
    "root": r"process \d+.*: .*root directory is not the caller's",
    "personality": r"thread \d+ .*: .*execution domain",
    "alarm": r"timer \d+: .*clock that cannot be restored",
    "speculation": r"thread \d+ .*: .*speculation",
    "dispatch": r"thread \d+ .*: .*DISPATCH",
    "deadline": r"thread \d+ .*: .*SCHED_DEADLINE",
    "own-files": r"thread \d+ .*: .*open files",
    "own-namespace": r"thread \d+ .*: .*namespaces",
}

# Many in one go; five descriptors of them must be five lines, and no thing hides another.
TOGETHER = ["fanotify", "userfaultfd", "perf", "bpf", "device", "ldt", "map-device", "ioperm"]


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


def any_line(lines, pattern):
    if not any(re.search(pattern, line) for line in lines):
        raise ct.Failed("no line matches %r in:\n%s" % (pattern, "\n".join(lines)))


def traced(t):
    with t.fact("a_program_under_a_tracer_is_refused_and_unharmed"):
        holder = Holder(["fanotify"])
        pid = holder.p.pid
        tracer = subprocess.Popen(["/usr/bin/strace", "-f", "-o", "/dev/null", "-p", str(pid)],
                                  stderr=subprocess.DEVNULL)
        ct.wait_for(lambda: not re.search(r"TracerPid:\t0\n", ct.text("/proc/%d/status" % pid)),
                    "the tracer to attach")
        any_line(refused(holder), r"thread %d .*: .*traced" % pid)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        holder.end_unharmed()


def probed(t):
    """A breakpoint of the kernel's in the text, which is never hit: a byte that is not the program's."""
    events = "/sys/kernel/tracing/uprobe_events"
    path = ct.prog("refuse")
    image = ct.read(path)
    entry = int.from_bytes(image[24:32], "little")      # e_entry; text is mapped where it lies
    with t.fact("a_program_with_a_probe_in_its_text_is_refused_and_unharmed"):
        with open(events, "w") as f:
            f.write("p:ckpttest/entry %s:%#x\n" % (path, entry))
        try:
            holder = Holder(["fanotify"])
            with open("/sys/kernel/tracing/events/ckpttest/enable", "w") as f:
                f.write("1")
            any_line(refused(holder), r"process %d.*: .*uprobes" % holder.p.pid)
        finally:
            with open("/sys/kernel/tracing/events/ckpttest/enable", "w") as f:
                f.write("0")
            open(events, "w").close()       # truncation removes them
        holder.end_unharmed()


def main(t):
    known = ct.subprocess.run([ct.prog("refuse")], stdout=ct.subprocess.PIPE).stdout.decode().split()
    t.same(sorted(known), sorted([*DESCRIPTORS, *OTHERS]),
           "every_thing_the_program_knows_is_tested")
    for thing in [*DESCRIPTORS, *OTHERS]:
        one(t, thing)
    together(t)
    traced(t)
    probed(t)


ct.run(main)
