#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Targets that cannot be snapped, each with its own message and exit status."""
import os
import re
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def refused(t, fact, status, words, *args, **kw):
    """snap with args must end with status and a message that matches words; the store stays empty."""
    with t.fact(fact):
        store = kw.pop("store", None) or ct.workdir("store")
        got = ct.ckptctl("snap", "-o", store, *args, **kw)
        if got.status != status:
            raise ct.Failed("status %d, not %d: %r" % (got.status, status, got))
        if not re.search(words, got.err, re.I):
            raise ct.Failed("the message does not match %r: %s" % (words, got.err))
        if not got.err.startswith("ckptctl: "):
            raise ct.Failed("the message does not say whose it is: " + got.err)
        if ct.tree(store):
            raise ct.Failed("left in the store: %s" % ct.tree(store))


def counter():
    p = ct.Program([ct.prog("counter"), "0", "256"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    return p


def end_unharmed(t, p, fact):
    with t.fact(fact):
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r" % p.output())


def dead_pid():
    p = subprocess.Popen(["/bin/true"])
    p.wait()
    return p.pid


def kernel_thread():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if ct.text("/proc/%s/comm" % pid, "").startswith("kthreadd"):
            return pid
    raise ct.Failed("no kernel thread to be found")


def zombie(t):
    p = subprocess.Popen(["/bin/true"])
    ct.wait_for(lambda: ") Z " in ct.text("/proc/%d/stat" % p.pid), "a zombie")
    refused(t, "a_zombie_is_said_to_have_ended", ct.EXIT_GONE, r"%d.*(exited|ended|zombie)" % p.pid,
            p.pid)
    p.wait()


def leaderless(t):
    """Its state is Z too, but it lives."""
    p = ct.Program([ct.prog("leaderless")], ct.workdir("leaderless"))
    p.wait_output(b"ready\n")
    ct.wait_for(lambda: ") Z " in ct.text("/proc/%d/stat" % p.pid), "its first thread to end")
    refused(t, "a_process_whose_first_thread_has_ended_is_refused", ct.EXIT_UNSUPPORTED,
            r"%d.*first thread.*others run on" % p.pid, p.pid)
    with t.fact("a_process_whose_first_thread_has_ended_runs_on"):
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if not p.output().endswith(b"unharmed\n"):
            raise ct.Failed("it says %r" % p.output())


# A 32-bit program in 84 + 17 bytes: pause(2), again and again.
CODE32 = bytes([0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7])


def elf32(path):
    base, head = 0x08048000, 52 + 32
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    with open(path, "wb") as f:
        f.write(ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + head, 52, 0, 0, 52, 32, 1, 0, 0, 0))
        f.write(struct.pack("<IIIIIIII", 1, 0, base, base, head + len(CODE32), head + len(CODE32),
                            5, 4096))
        f.write(CODE32)
    os.chmod(path, 0o755)


def compat(t):
    fact = "a_32_bit_program_is_refused"
    where = ct.workdir("elf32")
    elf32(os.path.join(where, "pause32"))
    try:
        p = ct.Program([os.path.join(where, "pause32")], where)
    except OSError as err:
        t.skip(fact, "this kernel does not run 32-bit programs: %s" % err)
        return
    refused(t, fact, ct.EXIT_UNSUPPORTED, "32-bit", p.pid)
    t.ok(not p.ended(), "a_32_bit_program_runs_on")
    p.kill9()


def no_permission(t, p):
    """The device open to all: then it is the target that must not be read by somebody else."""
    mode = os.stat("/dev/ckpt").st_mode & 0o7777
    store = ct.workdir("store")
    os.chown(store, 65534, 65534)
    os.chmod("/dev/ckpt", 0o666)
    try:
        refused(t, "somebody_elses_program_is_not_permitted", ct.EXIT_FAILED,
                r"%d.*(permi|allowed|ptrace)" % p.pid, p.pid, prefix=NOBODY, store=store)
    finally:
        os.chmod("/dev/ckpt", mode)
    refused(t, "a_closed_device_is_not_permitted", ct.EXIT_FAILED, r"/dev/ckpt.*permi", p.pid,
            prefix=NOBODY, store=store)


def own_process(t):
    """ckptctl in the place of a shell that asked for its own number."""
    with t.fact("its_own_process_is_refused"):
        store = ct.workdir("store")
        p = subprocess.run(["/bin/sh", "-c", 'exec "$0" snap -o "$1" $$', ct.CKPTCTL, store],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=ct.DEADLINE)
        err = p.stderr.decode()
        if p.returncode not in (ct.EXIT_FAILED, ct.EXIT_UNSUPPORTED) or \
                not re.search("itself|own|self", err):
            raise ct.Failed("status %d: %s" % (p.returncode, err))
        if ct.tree(store):
            raise ct.Failed("left in the store: %s" % ct.tree(store))


def namespaces(t):
    """unshare runs the program in one other namespace each time."""
    for option, name in (("--net", "net"), ("--uts", "uts"), ("--ipc", "ipc"), ("--mount", "mnt")):
        p = ct.Program(["unshare", option, ct.prog("counter"), "0", "256"], ct.workdir("ns"))
        p.wait_output(b"ready\n")
        refused(t, "a_program_in_another_%s_namespace_is_refused" % name, ct.EXIT_UNSUPPORTED,
                r"another %s namespace" % name, p.pid)
        end_unharmed(t, p, "a_program_in_another_%s_namespace_runs_on" % name)


def usage(t, p):
    for fact, args in (("no_pid_is_a_usage_error", []), ("a_word_for_a_pid_is_a_usage_error", ["x"]),
                       ("pid_0_is_a_usage_error", ["0"]), ("two_pids_are_a_usage_error", [p.pid, "1"]),
                       ("an_unknown_option_is_a_usage_error", ["--frobnicate", p.pid]),
                       ("a_name_with_a_slash_is_a_usage_error", ["-n", "../x", p.pid])):
        refused(t, fact, ct.EXIT_USAGE, ".", *args)


MANY_THREADS = """
import signal, threading
threading.stack_size(65536)
lock = threading.Lock()
lock.acquire()
for i in range(300):
    threading.Thread(target=lock.acquire, daemon=True).start()
print("ready", flush=True)
signal.pause()
"""


def ending(t):
    """While its threads end one after the other the first may be through before the others."""
    with t.fact("a_process_that_is_just_ending_is_said_to_be_gone"):
        for _ in range(ct.full(30, 2)):
            p = ct.Program([ct.PYTHON, "-c", MANY_THREADS], ct.workdir("threads"))
            p.wait_output(b"ready\n")
            store = ct.workdir("store")
            argv = [ct.CKPTCTL, "snap", "-o", store, str(p.pid)]
            os.kill(p.pid, signal.SIGTERM)
            snaps = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(5)]
            # One of them may have come before the end, and then in the way of the others.
            for s in snaps:
                err = s.communicate(timeout=ct.DEADLINE)[1]
                if b"first thread has ended" in err:
                    raise ct.Failed("status %d: %r" % (s.returncode, err))
            got = ct.ckptctl("snap", "-o", store, p.pid)
            if got.status != ct.EXIT_GONE:
                raise ct.Failed("%r" % got)
            p.kill9()


def main(t):
    p = counter()
    usage(t, p)
    refused(t, "a_pid_of_nobody_is_said_to_be_gone", ct.EXIT_GONE, "no such process|no process|gone",
            dead_pid())
    zombie(t)
    leaderless(t)
    ending(t)
    refused(t, "a_kernel_thread_is_refused", ct.EXIT_UNSUPPORTED, "kernel thread", kernel_thread())
    own_process(t)
    compat(t)
    no_permission(t, p)
    namespaces(t)
    end_unharmed(t, p, "the_target_of_all_that_is_unharmed")


ct.run(main)
