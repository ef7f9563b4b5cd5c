#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""A restore whose socket has its port taken by now says by whom; and works when it is free again."""
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def snapped(name):
    """One that was snapshotted and killed: its directory, its ports, the store, the reference."""
    store, where = ct.workdir("store"), ct.workdir(name)
    program = ct.Program([ct.prog(name)], where)
    program.wait_output(b"ready\n")
    ports = listening(program.pid)
    ref = ct.snap(program.pid, store, "-n", "job").ref
    program.kill9()
    return program, ports, store, ref


def listening(pid):
    """Ports of IPv4 at which it listens."""
    inodes = {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)}
    lines = [line.split() for line in ct.text("/proc/net/tcp").splitlines()[1:]]
    return [int(w[1].split(":")[1], 16) for w in lines
            if w[3] == "0A" and "socket:[%s]" % w[9] in inodes]


def refused(ref, store, words):
    got = ct.ckptctl("restore", "--detach", ref, "-o", store)
    if not got.status or not all(w in got.err for w in words):
        raise ct.Failed("not all of %r in: %r" % (words, got))


def comes_back(program, ref, store):
    pid = ct.restore_detached(ref, store)
    os.kill(pid, signal.SIGTERM)
    if ct.reap(pid) or program.output() != b"ready\nas it was\n":
        raise ct.Failed("%r %s" % (program.output(), program.errors()))


def port(t):
    with t.fact("a_port_that_is_taken_is_told_with_who_has_it"):
        program, ports, store, ref = snapped("fact-inet")
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", ports[0]))
            s.listen(1)
            refused(ref, store, ["TCP port %d" % ports[0], "python3", "process %d" % os.getpid(), "--fd"])
        comes_back(program, ref, store)


def main(t):
    port(t)


ct.run(main)
