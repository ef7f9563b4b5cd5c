#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""restore --pidns: a program comes back while its numbers are in use, and is to its caller as any other."""
import contextlib
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def endless(store, *args):
    p = ct.Program([ct.prog("counter"), "0", "256"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    return p, ct.snap(p.pid, store, *args).ref


def status(pid, key):
    got = re.search(r"^%s:\t(.*)$" % key, ct.text("/proc/%d/status" % pid, ""), re.M)
    return got and got.group(1)


def inside(pid):
    """The number here of what has that number in some namespace below."""
    for path in glob.glob("/proc/[0-9]*"):
        n = int(path[6:])
        if (status(n, "NSpid") or "").split()[1:] == [str(pid)]:
            return n
    return None


def running(r, pid):
    def there():
        if r.ended():
            raise ct.Failed("restore ended: " + ct.text(r.err, ""))
        n = inside(pid)
        return n and status(n, "TracerPid") == "0" and status(n, "Name") != "ckptctl" and n
    return ct.wait_for(there, "the restored program to run")


def inits():
    return [int(p[6:]) for p in glob.glob("/proc/[0-9]*") if status(int(p[6:]), "NSpid") and
            status(int(p[6:]), "NSpid").split()[1:] == ["1"]]


def none_left():
    """They are ours: their maker has ended."""
    def gone():
        for pid in inits():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return not inits()
    ct.wait_for(gone, "the namespace to be gone")


def twice_at_once(t):
    with t.fact("a_program_and_its_restored_copy_give_the_same_answer_at_the_same_time"):
        p = ct.Program([ct.prog("counter"), str(int(ct.full(30000000, 3000000) * ct.SLOW)), "256"],
                       ct.workdir("counter"))
        ct.wait_for(lambda: p.output().count(b"\n") > 2, "its first lines")
        store = ct.workdir("store")
        ct.stop(p.pid)
        ref = ct.snap(p.pid, store).ref
        got = ct.ckptctl("restore", ref, "-o", store)
        if got.status in (ct.EXIT_OK, ct.EXIT_USAGE) or "--pidns" not in got.err:
            raise ct.Failed("it does not say what to do: %r" % got)
        out = os.path.join(ct.workdir("copy"), "out")
        pid = ct.restore_detached(ref, store, "--pidns", "--fd", "1=" + out)
        if status(pid, "NSpid").split() != [str(pid), str(p.pid)] or status(pid, "State")[0] != "T":
            raise ct.Failed(ct.text("/proc/%d/status" % pid, ""))
        shown = set(os.listdir("/proc/%d/root/proc" % pid))
        if str(p.pid) not in shown or str(os.getpid()) in shown:
            raise ct.Failed("its /proc shows %s" % sorted(shown))
        os.kill(pid, signal.SIGCONT)
        os.kill(p.pid, signal.SIGCONT)
        p.finish()
        none_left()
        copy = ct.read(out)
        if copy.count(b"\n") < 2 or not p.output().endswith(copy):
            raise ct.Failed(ct.difference(copy, p.output()))


def stands_in(t):
    store = ct.workdir("store")
    p, ref = endless(store, "--kill")
    p.wait_end()
    with t.fact("a_signal_to_restore_reaches_the_program_there"):
        r = ct.Restored(ref, store, p.cwd, "--pidns")
        running(r, p.pid)
        r.popen.send_signal(signal.SIGTERM)
        r.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r" % p.output())
        none_left()
    with t.fact("it_ends_by_the_signal_that_ends_the_program"):
        r = ct.Restored(ref, store, p.cwd, "--pidns")
        os.kill(running(r, p.pid), signal.SIGUSR1)
        if r.popen.wait(ct.DEADLINE) != -signal.SIGUSR1:
            raise ct.Failed("%s" % r.popen.returncode)
        none_left()
    with t.fact("it_stops_and_goes_on_with_the_program"):
        r = ct.Restored(ref, store, p.cwd, "--pidns")
        pid = running(r, p.pid)
        os.kill(pid, signal.SIGSTOP)
        ct.wait_for(lambda: status(r.popen.pid, "State")[0] == "T", "restore to stop")
        r.popen.send_signal(signal.SIGCONT)
        ct.wait_for(lambda: status(pid, "State")[0] != "T", "the program to go on")
        os.kill(pid, signal.SIGTERM)
        r.finish()
        none_left()
    with t.fact("whoever_ends_its_init_ends_the_program_and_restore_says_so"):
        r = ct.Restored(ref, store, p.cwd, "--pidns")
        running(r, p.pid)
        os.kill(inits()[0], signal.SIGKILL)
        if r.popen.wait(ct.DEADLINE) != -signal.SIGKILL:
            raise ct.Failed("%s" % r.popen.returncode)
        none_left()
    with t.fact("a_restore_that_is_interrupted_leaves_nothing_behind"):
        before = 0
        for _ in range(ct.full(40, 8)):
            r = ct.Restored(ref, store, p.cwd, "--pidns")
            ct.spin_until(time.monotonic_ns() + random.randrange(100000000))
            r.popen.send_signal(signal.SIGTERM)
            if r.popen.wait(ct.DEADLINE):
                before += 1
            none_left()
        t.diag("%d of them before the program ran" % before)


def tells(t):
    store = ct.workdir("store")
    p, ref = endless(store, "--kill")
    p.wait_end()
    whole = p.output()
    with t.fact("what_a_restore_tells_is_told_from_there_too"):
        with open(p.out, "ab") as f:
            f.write(b"x" * 1234)
        got = ct.ckptctl("restore", "--pidns", "--detach", "--json", ref, "-o", store)
        if got.status or json.loads(got.out)["cut"] != [{"path": p.out, "bytes": 1234}] or \
                " 1234 bytes" not in got.err:
            raise ct.Failed("%r" % got)
        pid = json.loads(got.out)["pid"]
        if status(pid, "NSpid").split() != [str(pid), str(p.pid)]:
            raise ct.Failed("its number is not %d" % pid)
        os.kill(pid, signal.SIGTERM)
        none_left()
        if p.output() != whole + b"in order\n":
            raise ct.Failed("it says %r" % p.output())
    with t.fact("and_why_it_fails"):
        os.unlink(p.out)
        got = ct.ckptctl("restore", "--pidns", ref, "-o", store)
        if got.status in (ct.EXIT_OK, ct.EXIT_USAGE) or p.out not in got.err:
            raise ct.Failed("%r" % got)
        none_left()


def again(t):
    with t.fact("a_snapshot_of_it_is_refused_outside_and_taken_inside"):
        store = ct.workdir("store")
        p, ref = endless(store, "--kill")
        p.wait_end()
        pid = ct.restore_detached(ref, store, "--pidns")
        got = ct.ckptctl("snap", "-o", store, str(pid))
        if got.status != ct.EXIT_UNSUPPORTED or not re.search("(?i)namespace", got.err):
            raise ct.Failed("%r" % got)
        os.kill(pid, 0)
        got = ct.ckptctl("snap", "--kill", "-o", store, "-n", "again", str(p.pid),
                         prefix=("nsenter", "-t", str(pid), "-p", "-m", "-r"))
        if got.status:
            raise ct.Failed("%r" % got)
        none_left()
        pid = ct.restore_detached("again", store)
        os.kill(pid, signal.SIGTERM)
        if ct.reap(pid) or p.output() != b"ready\nin order\n" or pid != p.pid:
            raise ct.Failed("as %d it says %r" % (pid, p.output()))


def trees(t):
    with t.fact("what_a_tree_leaves_behind_runs_on_until_it_ends"):
        where = ct.workdir("tree")
        script = 'trap "exit 3" TERM; "$0" 0 256 >child & while :; do wait; done'
        p = ct.Program(["/bin/sh", "-c", script, ct.prog("counter")], where)
        child = os.path.join(where, "child")
        ct.wait_for(lambda: ct.text(child, "") == "ready\n", "its child")
        store = ct.workdir("store")
        ref = ct.snap(p.pid, store, "--tree").ref
        r = subprocess.Popen([ct.CKPTCTL, "restore", "--pidns", ref, "-o", store])
        n = ct.wait_for(lambda: inside(p.pid), "the restored shell")
        ct.wait_for(lambda: status(n, "TracerPid") == "0", "it to run")
        r.send_signal(signal.SIGTERM)
        if r.wait(ct.DEADLINE) != 3:
            raise ct.Failed("status %d" % r.returncode)
        left = [int(x) for x in ct.text("/proc/%d/task/%d/children" % (inits()[0], inits()[0])).split()]
        if len(left) != 1 or status(left[0], "Name") != "counter":
            raise ct.Failed("left are %r" % left)
        os.kill(left[0], signal.SIGTERM)
        none_left()
        if ct.text(child) != "ready\nin order\n":
            raise ct.Failed("it says %r" % ct.text(child))
        ct.end_children()


def main(t):
    twice_at_once(t)
    stands_in(t)
    tells(t)
    again(t)
    trees(t)


ct.run(main)
