#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""snap --kill --tcp=repair: connections to processes outside of the snapshot go on in a restore."""
import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

SAME = (8 << 20, 8 << 20)
MOVES = ct.full(((2, "serve"), (4, "call"), (6, "serve")), ((3, "serve"), (6, "call")))
HOLD = ("--kill", "--tcp=repair")
QUIET_S = 0.8	# some retransmissions of what is lost


def tables():
    """What of ours nftables has."""
    got = subprocess.run([sys.executable, "-c", """
import ctypes
nft = ctypes.CDLL("libnftables.so.1")
nft.nft_ctx_new.restype = ctypes.c_void_p
ctx = ctypes.c_void_p(nft.nft_ctx_new(0))
nft.nft_run_cmd_from_buffer(ctx, b"list tables")
"""], stdout=subprocess.PIPE, text=True, check=True)
    return [line.split()[2] for line in got.stdout.splitlines() if "ckpt_" in line]


def no_tables():
    if tables():
        raise ct.Failed("left in nftables: %s" % tables())


def children_of(pid):
    return [int(n) for n in ct.text("/proc/%d/task/%d/children" % (pid, pid)).split()]


class Talk:
    """Two processes that talk with each other; BYTES to and fro."""

    def __init__(self, from_server, from_client, tree=()):
        sizes, self.tree = [str(from_server), str(from_client)], tree
        under = ["/bin/sh", "-c", '"$@"; exit $?', "sh"] if tree else []
        self.ends = {"serve": ct.Program([*under, ct.PYTHON, ct.script("talk.py"), "serve", *sizes],
                                         ct.workdir("serve"))}
        self.ends["serve"].wait_output(b"ports ")
        ct.wait_for(lambda: self.ends["serve"].output().endswith(b"\n"), "its ports")
        ports = self.ends["serve"].output().decode().split()[1:3]
        self.ends["call"] = ct.Program([ct.PYTHON, ct.script("talk.py"), "call", *sizes, *ports],
                                       ct.workdir("call"))
        self.pids = {who: p.pid for who, p in self.ends.items()}

    def lines(self, who):
        return self.ends[who].output().decode().splitlines()

    def reach(self, who, tenth):
        """All connections of that end are so far."""
        def there():
            self.fine()
            return len([line for line in self.lines(who) if line.endswith(" %d" % tenth)]) >= 3
        ct.wait_for(there, "%s to be at %d" % (who, tenth))

    def fine(self):
        wrong = ["%s says %s" % (who, p.errors()) for who, p in self.ends.items() if p.errors()]
        if wrong:
            raise ct.Failed("\n".join(wrong))

    def move(self, who, store):
        """One end is snapped, killed and restored."""
        pids = [self.pids[who], *children_of(self.pids[who])]
        s = ct.snap(self.pids[who], store, "-n", who, *HOLD, *self.tree)
        if s.info["tcp_held"] != 3 or len(tables()) != 1:
            raise ct.Failed("%d held, %s" % (s.info["tcp_held"], tables()))
        for pid in pids:
            ct.reap(pid)
        time.sleep(QUIET_S)
        ct.restore_detached(s.ref, store)
        no_tables()

    def finish(self):
        for who in self.ends:
            ct.wait_for(lambda who=who: self.fine() or self.lines(who)[-1] == "done", "%s to be done" % who)


def under_load(t, name, sizes, tree=()):
    with t.fact("streams_%s_go_on_where_they_were" % name):
        store, talk = ct.workdir("store"), Talk(*sizes, tree)
        for tenth, who in MOVES:
            talk.reach(who, tenth)
            talk.move(who, store)
        talk.finish()


def given_up(t):
    with t.fact("when_the_snapshot_is_refused_or_killed_the_program_has_its_connections"):
        store, talk = ct.workdir("store"), Talk(*SAME)
        got = ct.ckptctl("snap", "-o", store, "--tcp=repair", str(talk.pids["serve"]))
        if not got.status or "--kill" not in got.err:
            raise ct.Failed("%r" % got)
        talk.reach("call", 2)
        with subprocess.Popen([ct.CKPTCTL, "snap", "-o", store, *HOLD, "--bwlimit", "500K", str(talk.pids["serve"])],
                              stdin=subprocess.DEVNULL) as snap:
            ct.wait_for(tables, "connections to be held")
            time.sleep(QUIET_S)
            snap.kill()
        ct.wait_for(lambda: not tables(), "them to be let go")
        talk.finish()


def failed(t):
    with t.fact("a_restore_that_fails_can_be_tried_again"):
        store, talk = ct.workdir("store"), Talk(*SAME)
        talk.reach("call", 4)
        p = talk.ends["call"]
        ref = ct.snap(p.pid, store, *HOLD).ref
        p.wait_end()
        os.rename(p.out, p.out + ".away")
        got = ct.ckptctl("restore", "--detach", ref, "-o", store)
        if not got.status or len(tables()) != 1:
            raise ct.Failed("%r, %s" % (got, tables()))
        os.rename(p.out + ".away", p.out)
        ct.restore_detached(ref, store)
        no_tables()
        talk.finish()


def still(t):
    with t.fact("what_waits_and_ends_that_have_come_are_there"):
        here, store = socket.create_server(("127.0.0.1", 0)), ct.workdir("store")
        p = ct.Program([ct.PYTHON, ct.script("ends.py"), str(here.getsockname()[1])], ct.workdir("ends"))
        ends = [here.accept()[0] for _ in range(3)]
        ends[0].sendall(b"hello")
        ends[1].sendall(b"last")
        ends[1].shutdown(socket.SHUT_WR)
        if ends[2].recv(10, socket.MSG_WAITALL) != b"gone":
            raise ct.Failed("it has not shut down")
        p.wait_output(b"ready\n")
        ref = ct.snap(p.pid, store, *HOLD).ref
        p.wait_end()
        ends[0].sendall(b" again")
        time.sleep(QUIET_S)
        ct.restore_detached(ref, store)
        ct.wait_for(lambda: not unsent(ends[0]), "what was sent meanwhile to have come")
        ends[2].sendall(b"still")
        ct.wait_for(lambda: not unsent(ends[2]), "what was sent to have come")
        os.kill(p.pid, signal.SIGUSR1)
        ct.wait_for(lambda: p.output().count(b"\n") > 1, "it to have looked")
        if p.output() != b"ready\nb'hello again' b'last' b'' b'still'\n":
            raise ct.Failed("it says %r" % p.output())
        ct.reap(p.pid)
        got = [e.recv(100, socket.MSG_WAITALL) for e in ends]
        if got != [b"bye", b"bye", b""]:
            raise ct.Failed("it said %r" % got)


def unsent(sock):
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def main(t):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if subprocess.run(["modprobe", "-a", "nf_tables", "tcp_diag"], check=False).returncode:
        raise ct.Failed("no modules nf_tables and tcp_diag")
    under_load(t, "that_end_before_the_other", (1 << 20, 10 << 20), ("--tree",))
    if ct.FULL:
        under_load(t, "as_long_as_each_other", SAME)
    still(t)
    given_up(t)
    failed(t)


ct.run(main)
