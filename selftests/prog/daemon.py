#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""What a service has: standard streams that are sockets (sshd, systemd), and a socket to the system's log."""
import json
import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

LOG = "/dev/log"


class Log:
    """What receives at /dev/log."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(LOG)
        self.sock.settimeout(ct.DEADLINE)

    def hears(self, text):
        said = self.sock.recv(1024)
        if not said.endswith(text):
            raise ct.Failed("the log has %r, not %r" % (said, text))

    def end(self):
        self.sock.close()
        os.unlink(LOG)


class Daemon:
    """workload/log.py, snapshotted and killed; of a tree: under a shell."""

    def __init__(self, t, log, tree=False):
        self.store = ct.workdir("store")
        self.ours, self.its = socket.socketpair()
        under = ["/bin/sh", "-c", '"$@"; exit $?', "sh"] if tree else []
        self.popen = subprocess.Popen([*under, sys.executable, ct.script("log.py")], cwd=ct.workdir("daemon"),
                                      stdin=self.its, stdout=self.its, stderr=self.its)
        log.hears(b"begun")
        self.ours.sendall(b"first\n")
        log.hears(b"first")
        self.ours.settimeout(ct.DEADLINE)
        if self.ours.recv(100) != b"first\n":
            raise ct.Failed("its output")
        if not tree:
            self.refused_with_input(t, log)
        self.ref = ct.snap(self.popen.pid, self.store, "-n", "job", *(["--tree"] if tree else [])).ref
        self.popen.kill()
        self.popen.wait(ct.DEADLINE)
        ct.end_children()

    def refused_with_input(self, t, log):
        with t.fact("input_that_was_not_read_is_not_dropped"):
            ct.stop(self.popen.pid)
            self.ours.sendall(b"second\n")
            got = ct.ckptctl("snap", "-o", self.store, "-n", "job", str(self.popen.pid))
            if not got.status or "input that was not read" not in got.err:
                raise ct.Failed("%r" % got)
            os.kill(self.popen.pid, signal.SIGCONT)
            log.hears(b"second")

    def restore(self):
        """In the foreground; it uses our pipes."""
        self.popen = subprocess.Popen([ct.CKPTCTL, "restore", self.ref, "-o", self.store],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def asks(self, line):
        self.popen.stdin.write(line + b"\n")
        self.popen.stdin.flush()
        said = self.popen.stdout.readline()
        if said != line + b"\n":
            raise ct.Failed("it says %r, %r" % (said, self.popen.stderr.read() if not said else ""))

    def end(self):
        """What the command itself has said."""
        _, told = self.popen.communicate(b"\n", timeout=ct.DEADLINE)
        if self.popen.returncode:
            raise ct.Failed("status %d, %r" % (self.popen.returncode, told))
        return told


def main(t):
    log = Log()
    d = Daemon(t, log)
    with t.fact("streams_that_were_sockets_are_the_restoring_commands"):
        d.restore()
        d.asks(b"third")
    with t.fact("the_log_is_written_on"):
        log.hears(b"third")
        if d.end():
            raise ct.Failed("something was told")
    with t.fact("a_log_that_is_not_there_is_told_and_used_when_it_is"):
        log.end()
        d.restore()
        d.asks(b"unheard")
        log = Log()
        d.asks(b"fourth")
        log.hears(b"fourth")
        told = d.end()
        if LOG.encode() not in told:
            raise ct.Failed("%r" % told)
    with t.fact("what_is_not_there_is_in_the_report"):
        log.end()
        with open(os.devnull, encoding="utf-8") as null:
            got = subprocess.run([ct.CKPTCTL, "restore", "--json", "--detach", d.ref, "-o", d.store], stdin=null,
                                 stdout=subprocess.PIPE, check=False)
        said = json.loads(got.stdout)
        if got.returncode or said["unheard"] != [LOG]:
            raise ct.Failed("%r" % got)
        ct.reap(said["pid"])
    with t.fact("a_tree_whose_streams_were_sockets_has_the_restoring_commands"):
        log = Log()
        d = Daemon(t, log, True)
        d.restore()
        d.asks(b"of a tree")
        log.hears(b"of a tree")
        d.end()


if __name__ == "__main__":
    ct.run(main)
