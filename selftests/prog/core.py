#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A snapshot exported as a core: gdb finds every thread's stack, and what was in data, heap, mapped
memory and the executable, as they were at that generation and are no more.
"""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

ASK = ["print initialised", "print zero_at_first", "print constant", "print (char *)heap", "print anonymous[0]",
       "print anonymous[1000]", "info threads", "thread apply all backtrace", "info auxv", "info proc"]


def gdb(core, program):
    """What gdb answers."""
    argv = ["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-ex", "set pagination off",
            "-ex", "set print thread-events off"]
    for ask in ASK:
        argv += ["-ex", ask]
    p = subprocess.run(argv + [program, core], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=ct.DEADLINE, env=dict(os.environ, LC_ALL="C"),
                       check=False)
    return p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")


def export(ref, store, core):
    got = ct.ckptctl("export", "-o", store, "--core", core, ref)
    if got.status != ct.EXIT_OK:
        raise ct.Failed("export %s: %r" % (ref, got))


def expect(core, program, pid, n):
    """The core is of the moment when the program had counted to @n."""
    out, err = gdb(core, program)
    wants = [r"\$1 = %d$" % (4711 + n), r"\$2 = %d$" % n, r'\$3 = "of the executable, never changed"$',
             r'\$4 = 0x[0-9a-f]+ "heap of %d"$' % n, r"\$5 = %d$" % n, r"\$6 = 0$",
             r"^exe = '.*stacks'", r"AT_SYSINFO_EHDR", r"main \(\) at .*stacks\.c"]
    wants += [r"LWP %d\b" % pid]
    for want in wants:
        if not re.search(want, out, re.M):
            raise ct.Failed("no %s in\n%s\n%s" % (want, out, err))
    if len(re.findall(r"^Thread \d+ \(", out, re.M)) != 3:
        raise ct.Failed("not three threads:\n" + out)
    for level in range(4):
        if len(re.findall(r"deep \(n=%d\) at " % level, out)) != 2:
            raise ct.Failed("not two of deep(%d):\n%s" % (level, out))
    if re.search("cannot access memory|corrupt stack|not in executable format|truncated", out + err, re.I):
        raise ct.Failed(out + err)


def count(p, n):
    os.kill(p.pid, signal.SIGUSR1)
    p.wait_output(b"now %d\n" % n)


def main(t):
    program, store, cores = ct.prog("stacks"), ct.workdir("store"), ct.workdir("cores")
    p = ct.Program([program], ct.workdir("stacks"))
    p.wait_output(b"ready\n")
    refs = []
    for n in range(2, 4):
        refs.append(ct.snap(p.pid, store, "-n", "job").ref)
        count(p, n)
    os.kill(p.pid, signal.SIGTERM)
    p.finish()
    for i, (ref, what) in enumerate(zip(refs, ("full", "delta"))):
        with t.fact("gdb_reads_threads_and_memory_of_a_%s_generation" % what):
            core = os.path.join(cores, "core.%d" % i)
            export(ref, store, core)
            mode = os.stat(core).st_mode & 0o7777
            if mode != 0o600:
                raise ct.Failed("core has mode %o" % mode)
            expect(core, program, p.pid, i + 1)
    with t.fact("what_is_there_is_not_written_over"):
        path = os.path.join(cores, "mine")
        with open(path, "wb") as f:
            f.write(b"mine")
        got = ct.ckptctl("export", "-o", store, "--core", path, refs[0])
        if got.status != ct.EXIT_FAILED or ct.read(path) != b"mine":
            raise ct.Failed("%r, and the file has %r" % (got, ct.read(path)))
    with t.fact("a_full_disk_leaves_nothing"):
        small = ct.workdir("small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "ckpt-test", small], check=True)
        try:
            got = ct.ckptctl("export", "-o", store, "--core", os.path.join(small, "core"), refs[0])
            if got.status != ct.EXIT_FAILED or "No space left" not in got.err or os.listdir(small):
                raise ct.Failed("%r, left: %r" % (got, os.listdir(small)))
        finally:
            subprocess.run(["umount", small], check=True)


ct.run(main)
