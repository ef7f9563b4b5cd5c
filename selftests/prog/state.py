#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Everything a single process can have is as it was after a restore, asked by the program itself.

And what only the outside sees: PID, TIDs, command line, executable, the table of open files.
"""
import fcntl
import os
import random
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

# One of its mappings is marked MADV_DONTDUMP, and looked at too; prog/dontdump has what is left out.
KEEP = "--dontdump=keep"


def outside(pid):
    """How /proc shows it, without what a new process must have anew (parent, times, tracer)."""
    base = "/proc/%d/" % pid
    seen = {n: os.readlink(base + n) for n in ("exe", "cwd", "root")}
    seen["cmdline"], seen["comm"] = ct.read(base + "cmdline"), ct.text(base + "comm")
    seen["environ"] = ct.read(base + "environ")
    seen["tasks"] = sorted(int(x) for x in os.listdir(base + "task"))
    keep = (r"^(Name|Umask|Tgid|Pid|Uid|Gid|Groups|Threads|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt|"
            r"Cap\w+|NoNewPrivs|Seccomp|Cpus_allowed|Mems_allowed):\s*(.*)$")
    for tid in seen["tasks"]:
        status = ct.text(base + "task/%d/status" % tid)
        seen.update(("%d %s" % (tid, k), v) for k, v in re.findall(keep, status, re.M))
        seen["comm %d" % tid] = ct.text(base + "task/%d/comm" % tid)
    for fd in os.listdir(base + "fd"):
        info = dict(re.findall(r"^(pos|flags):\s*(\S+)", ct.text(base + "fdinfo/" + fd), re.M))
        # a deleted file comes back without its name
        link = re.sub(r"/[^/]* \(deleted\)$", "/(deleted)", os.readlink(base + "fd/" + fd))
        seen["fd " + fd] = (link, info)
    seen["limits"] = ct.text(base + "limits")
    seen["oom_score_adj"] = ct.text(base + "oom_score_adj")
    seen["personality"] = ct.text(base + "personality")
    return seen


def differences(before, after):
    return ["%s: was %r, is %r" % (k, before.get(k), after.get(k))
            for k in sorted(set(before) | set(after)) if before.get(k) != after.get(k)]


def start(*args):
    p = ct.Program([ct.prog("state"), *args], ct.workdir("state"))
    p.wait_output(b"ready\n")
    with open("/proc/%d/oom_score_adj" % p.pid, "w") as f:
        f.write("321")
    ct.wait_for(lambda: ") S " in ct.text("/proc/%d/stat" % p.pid), "it to sleep")
    return p


def ends_well(pid, where, wait):
    os.kill(pid, signal.SIGTERM)
    status = wait()
    out = ct.text(os.path.join(where, "stdout"))
    if status or not out.endswith("all as it was\n"):
        raise ct.Failed("status %s, it says: %s" % (status, out))


def one(t, title, *args):
    with t.fact("%s_is_as_it_was_when_left_running" % title):
        p, store = start(*args), ct.workdir("store")
        before = outside(p.pid)
        s = ct.snap(p.pid, store, KEEP)
        if differences(before, outside(p.pid)):
            raise ct.Failed("\n".join(differences(before, outside(p.pid))))
        ends_well(p.pid, p.cwd, p.wait_end)
    with t.fact("%s_is_as_it_was_when_restored" % title):
        p, store = start(*args), ct.workdir("store")
        before = outside(p.pid)
        s = ct.snap(p.pid, store, KEEP)
        p.kill9()
        pid = ct.restore_detached(s.ref, store)
        ct.wait_for(lambda: ") S " in ct.text("/proc/%d/stat" % pid), "it to sleep")
        wrong = differences(before, outside(pid))
        if wrong:
            raise ct.Failed("\n".join(wrong))
        ends_well(pid, p.cwd, lambda: ct.reap(pid))
    with t.fact("%s_is_as_it_was_after_three_generations" % title):
        p, store = start(*args), ct.workdir("store")
        s = ct.snap(p.pid, store, KEEP, "--kill")
        p.wait_end()
        for _ in range(2):
            pid = ct.restore_detached(s.ref, store)
            ct.spin_until(time.monotonic_ns() + random.randrange(5000000))
            s = ct.snap(pid, store, KEEP, "--kill")
            ct.reap(pid)
        pid = ct.restore_detached(s.ref, store)
        ends_well(pid, p.cwd, lambda: ct.reap(pid))


def lock_of_the_parent(t):
    """Taken by us through an open file that the program has too: it is not the program's."""
    with t.fact("a_lock_of_the_parent_stays_the_parents"):
        where = ct.workdir("locked")
        path = os.path.join(where, "file")
        f = open(path, "w")
        fcntl.lockf(f, fcntl.LOCK_EX)
        p = ct.Program([ct.prog("counter"), "0", "64"], where, pass_fds=(f.fileno(),))
        p.wait_output(b"ready\n")
        store = ct.workdir("store")
        ref = ct.snap(p.pid, store, KEEP, "--kill").ref
        p.wait_end()
        pid = ct.restore_detached(ref, store)       # while we hold it
        fcntl.lockf(f, fcntl.LOCK_UN)
        with open(path, "w") as other:
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        f.close()
        os.kill(pid, signal.SIGTERM)
        if ct.reap(pid):
            raise ct.Failed("it did not end in order: %r" % p.output())


def main(t):
    one(t, "state")
    one(t, "identity", "creds")
    lock_of_the_parent(t)


ct.run(main)
