#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Unix connections to processes outside of the snapshot: refused, or lost in a restore by snap --unix=close."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from looked import Looked

ALIVE = "b'hello' EAGAIN EAGAIN 1\nEAGAIN EAGAIN EAGAIN 1\nb'one' b'two' EAGAIN 1\nEAGAIN EAGAIN EAGAIN 1\n"
LOST = "b'hello' b'' b'' EPIPE\nb'' b'' b'' EPIPE\nb'one' b'two' b'' EPIPE\nEAGAIN EAGAIN EAGAIN 1\n"


def serve(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    s.listen()
    return s


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(ct.DEADLINE)
    s.connect(path)
    return s


class Outside(Looked):
    """workload/unixout.py, and this process's ends of its connections; of a tree: under a shell."""

    def __init__(self, tree=False):
        self.cwd, self.store = ct.workdir("unixout"), ct.workdir("store")
        self.here = os.path.join(self.cwd, "here")
        server = serve(os.path.join(self.cwd, "server"))
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = pair[1].fileno()
        under = ["/bin/sh", "-c", '"$@"; exit $?', "sh"] if tree else []
        self.p = ct.Program([*under, ct.PYTHON, ct.script("unixout.py"), os.path.join(self.cwd, "server"), str(number)],
                            self.cwd, pass_fds=[number])
        pair[1].close()
        self.p.wait_output(b"listening\n")
        # The second waits, and is not accepted.
        self.ends = [server.accept()[0], connect(self.here), pair[0], connect(self.here)]
        self.ends[0].sendall(b"hello")
        for word in b"one", b"two":
            pair[0].send(word)
        self.p.wait_output(b"ready\n")
        self.said = self.p.output()

    def pid(self):
        """That which has them: the last of the tree."""
        below = ct.text("/proc/%d/task/%d/children" % (self.p.pid, self.p.pid), "").split()
        return int(below[0]) if below else self.p.pid

    def is_answered(self, s):
        got = s.recv(100)
        if got != b"served %d" % self.pid():
            raise ct.Failed("it answers %r" % got)


def refused(t):
    with t.fact("a_connection_to_outside_is_refused_and_goes_on"):
        o = Outside()
        got = ct.ckptctl("snap", "-o", o.store, str(o.p.pid))
        if got.status != ct.EXIT_UNSUPPORTED or "--unix=close" not in got.err:
            raise ct.Failed("%r" % got)
        o.look(ALIVE)
        o.is_answered(o.ends[3])
        o.end()


def lost(t, tree):
    with t.fact("with_close_it_is_lost_in_a_restore_and_not_before%s" % ("_of_a_tree" if tree else "")):
        o = Outside(tree)
        s = ct.snap(o.p.pid, o.store, "--unix=close", *(["--tree"] if tree else []))
        # That which waits is another one.
        if s.info["unix_lost"] != 4:
            raise ct.Failed("it says that %d are lost" % s.info["unix_lost"])
        before = o.said
        o.look(ALIVE)
        o.is_answered(o.ends[3])
        o.end()
        o.p.kill9()
        ct.restore_detached(s.ref, o.store)
        o.said = before
        o.look(LOST)
        with connect(o.here) as caller:
            o.is_answered(caller)
        o.end()


def main(t):
    refused(t)
    lost(t, False)
    lost(t, True)


ct.run(main)
