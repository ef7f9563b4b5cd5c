#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""TCP connections to processes outside of the snapshot: refused, or lost in a restore by snap --tcp."""
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
from looked import Looked

# This machine's, and not that of another one, which has the first alone.
ADDRESS, OTHER, CLIENT = "10.99.0.1", "10.98.0.1", "10.97.0.1"
ALIVE = "EAGAIN EAGAIN EAGAIN 1\n"
LOST = {"close": "b'' b'' b'' EPIPE\n", "reset": "ECONNRESET b'' b'' EPIPE\n"}
FIRST = {"close": "b'hello' b'' b'' EPIPE\n", "reset": "b'hello' ECONNRESET b'' EPIPE\n"}


class Outside(Looked):
    """The program, and this process's ends of its connections; waiting: one it does not accept."""

    def __init__(self, waiting=False):
        here, here6 = socket.create_server(("", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.p = ct.Program([ct.PYTHON, ct.script("outside.py"), ADDRESS, str(here.getsockname()[1]),
                             str(here6.getsockname()[1])], ct.workdir("outside"))
        self.p.wait_output(b"ports ")
        ct.wait_for(lambda: self.p.output().endswith(b"\n"), "its ports")
        self.port, both = [int(n) for n in self.p.output().split()[1:3]]
        self.ends = [socket.create_connection((ADDRESS, self.port), source_address=(CLIENT, 0))]
        self.ends[0].sendall(b"hello")
        self.ends.append(socket.create_connection((OTHER, both)))
        self.ends.append(socket.create_connection(("::1", both)))
        self.ends += [here.accept()[0], here6.accept()[0]]
        self.p.wait_output(b"ready\n")
        self.said = self.p.output()
        if waiting:
            self.ends.append(socket.create_connection((ADDRESS, both)))

    def call(self):
        """It serves others."""
        with socket.create_connection((ADDRESS, self.port)) as s:
            got = s.recv(100, socket.MSG_WAITALL)
        if got != b"served %d" % self.p.pid:
            raise ct.Failed("it answers %r" % got)


def refused(t):
    with t.fact("a_connection_to_outside_is_refused_and_goes_on"):
        o, store = Outside(), ct.workdir("store")
        got = ct.ckptctl("snap", "-o", store, str(o.p.pid))
        if got.status != ct.EXIT_UNSUPPORTED or not re.search(r"TCP connection to \S+:\d+.*--tcp=", got.err):
            raise ct.Failed("%r" % got)
        o.look("b'hello' EAGAIN EAGAIN 1\n" + ALIVE * 4)
        o.end()


def lost(t, how):
    with t.fact("with_%s_it_is_lost_in_a_restore_and_not_before" % how):
        o, store = Outside(waiting=True), ct.workdir("store")
        s = ct.snap(o.p.pid, store, "--tcp=" + how)
        if s.info["tcp_lost"] != 5:
            raise ct.Failed("it says that %d are lost" % s.info["tcp_lost"])
        o.look("b'hello' EAGAIN EAGAIN 1\n" + ALIVE * 4)
        o.call()
        before = o.said
        o.p.kill9()
        pid = ct.restore_detached(s.ref, store)
        o.said = o.said[:o.said.index(b"ready\n") + 6]
        if o.p.output() != o.said or before == o.said:
            raise ct.Failed("its output is %r" % o.p.output())
        o.look(FIRST[how] + LOST[how] * 4)
        o.call()
        if pid != o.p.pid:
            raise ct.Failed("it is %d" % pid)
        o.end()


def elsewhere(t):
    """A network namespace has nothing of this machine's addresses and connections."""
    with t.fact("on_another_machine_nothing_is_sent_to_the_other_ends"):
        o, store = Outside(), ct.workdir("store")
        s = ct.snap(o.p.pid, store, "--tcp=reset", "--kill")
        o.p.wait_end()
        script = 'ip link set lo up && ip addr add %s/32 dev lo && "$@" && kill -USR1 %d && until grep -q looked %s; do sleep 0.1; done; ' \
            'cat /proc/net/snmp' % (ADDRESS, o.p.pid, o.p.out)
        got = subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", ct.CKPTCTL, "restore", "--detach",
                              s.ref, "-o", store], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             check=False, timeout=ct.DEADLINE)
        if got.returncode:
            raise ct.Failed("%r" % got)
        o.served(FIRST["reset"] + LOST["reset"] * 4 + "looked\n")
        names, values = [line.split() for line in got.stdout.splitlines() if line.startswith("Tcp:")]
        counts = dict(zip(names[1:], values[1:]))
        if counts["OutRsts"] != "0" or counts["OutSegs"] != "0":
            raise ct.Failed("%s" % counts)
        o.end()


def main(t):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (ADDRESS, OTHER, CLIENT):
        subprocess.run(["ip", "addr", "add", address + "/32", "dev", "lo"], check=True)
    refused(t)
    lost(t, "close")
    lost(t, "reset")
    elsewhere(t)
    for address in (ADDRESS, OTHER, CLIENT):
        subprocess.run(["ip", "addr", "del", address + "/32", "dev", "lo"], check=True)


ct.run(main)
