#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What `ckptctl restore` is to the one who calls it: a stand-in for the program, or a clear refusal."""
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def endless():
    p = ct.Program([ct.prog("counter"), "0", "256"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    return p


def snapped_and_killed(p):
    """A store with this program in it, ended; (ref, store)."""
    store = ct.workdir("store")
    ref = ct.snap(p.pid, store, "--kill").ref
    p.wait_end()
    return ref, store


def refused(words, ref, store, *args):
    got = ct.ckptctl("restore", ref, "-o", store, *args)
    if got.status in (ct.EXIT_OK, ct.EXIT_USAGE) or got.status < 0:
        raise ct.Failed("status %d: %r" % (got.status, got))
    if not re.search(words, got.err):
        raise ct.Failed("the message does not match %r: %s" % (words, got.err))


def nothing_runs(pid):
    if os.path.exists("/proc/%d" % pid):
        raise ct.Failed("something runs as %d: %s" % (pid, ct.text("/proc/%d/cmdline" % pid, "")))


# ---- standing in ----

def wait_running(pid, r):
    """Until it is the program that runs as pid, all of it, and nobody builds it any more."""
    def runs():
        if r.ended():
            raise ct.Failed("restore ended: " + ct.text(r.err, ""))
        status = ct.text("/proc/%d/status" % pid, "")
        return all(re.search(x, status, re.M) for x in (r"^Name:\tcounter$", r"^TracerPid:\t0$",
                                                        r"^Threads:\t3$"))
    ct.wait_for(runs, "the restored program to run")


def signals_are_passed_on(t):
    with t.fact("a_signal_to_restore_reaches_the_program"):
        p = endless()
        ref, store = snapped_and_killed(p)
        r = ct.Restored(ref, store, p.cwd)
        wait_running(p.pid, r)
        r.popen.send_signal(signal.SIGTERM)
        r.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r" % p.output())
    with t.fact("a_program_killed_by_a_signal_ends_restore_by_that_signal"):
        p = endless()
        ref, store = snapped_and_killed(p)
        r = ct.Restored(ref, store, p.cwd)
        wait_running(p.pid, r)
        os.kill(p.pid, signal.SIGUSR1)
        status = r.popen.wait(ct.DEADLINE)
        if status not in (-signal.SIGUSR1, 128 + signal.SIGUSR1):
            raise ct.Failed("status %d: %s" % (status, ct.text(r.err, "")))
    with t.fact("an_exit_status_is_passed_on"):
        where = ct.workdir("sh")
        script = "i=0; while [ $i -lt %d ]; do i=$((i+1)); done; echo $i; exit 77" % ct.full(2000000, 300000)
        p = ct.Program(["/bin/sh", "-c", script], where)
        ct.wait_for(lambda: p.cpu() > 10000000, "the shell to run")
        ref, store = snapped_and_killed(p)
        got = ct.ckptctl("restore", ref, "-o", store)
        if got.status != 77 or not p.output():
            raise ct.Failed("%r, output %r" % (got, p.output()))


def a_child_of_the_library(t):
    with t.fact("the_library_restores_a_child_of_its_caller"):
        p = endless()
        ref, store = snapped_and_killed(p)
        with open(os.path.join(p.cwd, "example.out"), "wb") as out:
            user = subprocess.Popen([os.path.join(ct.TOP, "build/docs/example-restore"), store, ref],
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        def said():
            return ct.text(out.name)

        def runs():
            if user.poll() is not None:
                raise ct.Failed("it ended: " + said())
            status = ct.text("/proc/%d/status" % p.pid, "")
            return re.search(r"^TracerPid:\t0$", status, re.M) and \
                re.search(r"^Threads:\t3$", status, re.M) and re.search(r"^PPid:\t(\d+)$", status, re.M)
        parent = int(ct.wait_for(runs, "the restored program to run").group(1))
        os.kill(p.pid, signal.SIGTERM)
        status = user.wait(ct.DEADLINE)
        if parent != user.pid or status or said() != "%d ended with wait status 0\n" % p.pid:
            raise ct.Failed("its parent is %d, not %d; %s" % (parent, user.pid, said()))


def processors(t):
    def allowed(pid):
        return [re.search(r"^Cpus_allowed:\s*(\S+)$", ct.text("/proc/%d/task/%s/status" % (pid, x)),
                          re.M).group(1) for x in sorted(os.listdir("/proc/%d/task" % pid))]

    with t.fact("a_program_is_not_bound_to_the_processors_of_who_restores_it"):
        p = endless()
        before = allowed(p.pid)
        ref, store = snapped_and_killed(p)
        got = ct.ckptctl("restore", "--detach", ref, "-o", store, prefix=("taskset", "-c", "0"))
        if got.status:
            raise ct.Failed("%r" % got)
        after = allowed(p.pid)
        os.kill(p.pid, signal.SIGTERM)
        ct.reap(p.pid)
        if after != before or int(before[0].replace(",", ""), 16) == 1:
            raise ct.Failed("was %r, is %r" % (before, after))


def killed_restore_takes_the_program_along_or_not(t):
    """Whatever becomes of the program, a second restore of the same image must be possible."""
    with t.fact("an_image_outlives_a_restore_killed_half_way"):
        p = endless()
        ref, store = snapped_and_killed(p)
        for _ in range(ct.full(30, 5)):
            r = ct.Restored(ref, store, p.cwd)
            ct.spin_until(time.monotonic_ns() + random.randrange(80000000))
            r.popen.kill()
            r.popen.wait()
            if os.path.exists("/proc/%d" % p.pid):
                os.kill(p.pid, signal.SIGKILL)
                ct.reap(p.pid)
        ct.verify(ref, store)
        pid = ct.restore_detached(ref, store)
        os.kill(pid, signal.SIGTERM)
        status = ct.reap(pid)
        if status or p.output() != b"ready\nin order\n":
            raise ct.Failed("status %d, it says %r" % (status, p.output()))


# ---- standard streams ----

def pipes(t):
    """A program that writes into a pipe; the restored one writes where ckptctl's output goes."""
    steps = str(int(ct.full(30000000, 3000000) * ct.SLOW))
    want = subprocess.run([ct.prog("counter"), steps, "256"], stdout=subprocess.PIPE).stdout

    def begin(store):
        """Its output up to the snapshot, and the snapshot; ct.Gone when it was too quick."""
        with subprocess.Popen([ct.prog("counter"), steps, "256"], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
            lines = [p.stdout.readline() for _ in range(2)]
            ref = ct.snap(p.pid, store, "--kill").ref
            return b"".join(lines + p.stdout.readlines()), ref

    def first_part():
        store = ct.workdir("store")
        for _ in range(10):
            try:
                return *begin(store), store
            except ct.Gone:
                pass
        raise ct.Failed("ten times it had ended before the snapshot")

    with t.fact("a_pipe_to_the_outside_becomes_the_stream_of_restore"):
        first, ref, store = first_part()
        got = ct.ckptctl("restore", ref, "-o", store)
        if got.status or first + got.out.encode() != want:
            raise ct.Failed("%r\n%s" % (got, ct.difference(first + got.out.encode(), want)))
    with t.fact("a_stream_can_be_bound_to_a_file"):
        first, ref, store = first_part()
        path = os.path.join(ct.workdir("out"), "out")
        got = ct.ckptctl("restore", ref, "-o", store, "--fd", "1=" + path)
        second = ct.read(path)
        if got.status or got.out or first + second != want:
            raise ct.Failed("%r\n%s" % (got, ct.difference(first + second, want)))


# ---- refusals ----

def pid_in_use(t):
    with t.fact("a_pid_in_use_is_refused_by_name_and_its_owner_unharmed"):
        p = endless()
        store = ct.workdir("store")
        ref = ct.snap(p.pid, store).ref
        refused(r"%d" % p.pid, ref, store)
        os.kill(p.pid, signal.SIGTERM)
        p.finish()


def executable_changed(t):
    with t.fact("another_executable_is_refused_by_name"):
        where = ct.workdir("exe")
        exe = os.path.join(where, "program")
        shutil.copy(ct.prog("counter"), exe)
        p = ct.Program([exe, "0", "256"], where)
        p.wait_output(b"ready\n")
        ref, store = snapped_and_killed(p)
        shutil.copy(ct.prog("refuse"), exe + ".new")
        os.rename(exe + ".new", exe)
        refused(re.escape(exe), ref, store)
        nothing_runs(p.pid)


def file_changed(t):
    """An output file that is not what it was, in ways that cutting it back does not mend."""
    def shorter(path):
        os.truncate(path, 3)

    def other_bytes(path):
        with open(path, "r+b") as f:
            f.write(b"READY")

    def gone(path):
        os.unlink(path)

    for how in (shorter, other_bytes, gone):
        with t.fact("an_output_file_that_is_%s_is_refused_by_name" % how.__name__):
            p = endless()
            ref, store = snapped_and_killed(p)
            how(p.out)
            refused(re.escape(p.out), ref, store)
            nothing_runs(p.pid)


def file_appended_to(t):
    """What comes behind the end at the snapshot is cut off, also what somebody else wrote; said aloud."""
    def append(p, n):
        with open(p.out, "ab") as f:
            f.write(b"x" * n)

    def says(p, n, err):
        if not re.search(r"%s .*\b%d bytes" % (re.escape(p.out), n), err):
            raise ct.Failed("it says " + err)

    with t.fact("a_file_that_is_cut_back_is_named_with_the_bytes_that_are_gone"):
        p = endless()
        ref, store = snapped_and_killed(p)
        whole = p.output()
        append(p, 1234)
        got = ct.ckptctl("restore", "--detach", "--json", ref, "-o", store)
        if got.status or json.loads(got.out)["cut"] != [{"path": p.out, "bytes": 1234}]:
            raise ct.Failed("%r" % got)
        says(p, 1234, got.err)
        os.kill(p.pid, signal.SIGTERM)
        if ct.reap(p.pid) or p.output() != whole + b"in order\n":
            raise ct.Failed("the file holds %r" % p.output())
    with t.fact("so_it_is_in_the_foreground"):
        r = ct.Restored(ref, store, p.cwd)
        wait_running(p.pid, r)
        os.kill(p.pid, signal.SIGTERM)
        r.finish()
        says(p, len(b"in order\n"), ct.text(r.err))
    with t.fact("nothing_is_said_of_a_file_that_is_as_it_was"):
        os.truncate(p.out, len(whole))
        got = ct.ckptctl("restore", "--detach", "--json", ref, "-o", store)
        os.kill(p.pid, signal.SIGTERM)
        ct.reap(p.pid)
        if got.status or json.loads(got.out)["cut"] or got.err:
            raise ct.Failed("%r" % got)


def damaged(t):
    """Any flipped byte, and any cut, is found by verify and never restored."""
    p = endless()
    ref, store = snapped_and_killed(p)
    path = glob.glob(os.path.join(store, "*", "*.ckpt"))[0]
    whole = ct.read(path)

    def image(content):
        with open(path, "wb") as f:
            f.write(content)

    with t.fact("a_flipped_byte_is_found_and_not_restored"):
        places = [0, len(whole) - 1] + [random.randrange(len(whole)) for _ in range(ct.full(60, 8))]
        for at in places:
            image(whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1:])
            got = ct.ckptctl("verify", ref, "-o", store)
            if got.status != ct.EXIT_FAILED:
                raise ct.Failed("byte %d of %d: verify: %r" % (at, len(whole), got))
        refused(".", ref, store)
        nothing_runs(p.pid)
    with t.fact("a_cut_image_is_found_and_not_restored"):
        for size in (0, 1, 4096, random.randrange(len(whole)), len(whole) - 1):
            image(whole[:size])
            if ct.ckptctl("verify", ref, "-o", store).status != ct.EXIT_FAILED:
                raise ct.Failed("cut to %d: verify finds nothing" % size)
            refused(".", ref, store)
            nothing_runs(p.pid)
    with t.fact("the_whole_image_is_restored"):
        image(whole)
        pid = ct.restore_detached(ref, store)
        os.kill(pid, signal.SIGTERM)
        if ct.reap(pid):
            raise ct.Failed("it did not end in order: %r" % p.output())


def main(t):
    signals_are_passed_on(t)
    a_child_of_the_library(t)
    processors(t)
    killed_restore_takes_the_program_along_or_not(t)
    pipes(t)
    pid_in_use(t)
    executable_changed(t)
    file_changed(t)
    file_appended_to(t)
    damaged(t)


ct.run(main)
