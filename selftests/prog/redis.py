#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""Debian's redis-server under load: left running no request fails; killed by the snapshot and restored, no
write that was acknowledged is lost.

Its clients are outside, so the restored server has lost their connections (--tcp): they connect again.
With --tcp=repair it has them still, and no client notices.
Its log of all writes (appendonly) is synced before each answer, and cut back by the restore to what it was:
loaded anew it must give the very data the server has in memory.
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

PORT = 18473
REQUESTS = ct.full(200000, 1000)
ROUNDS = ct.full(20, 4)
CLIENTS = 4
INCREMENTS = ct.full(200000, 10000)

CONFIG = """
port %d
bind 127.0.0.1
save ""
appendonly yes
appendfsync always
auto-aof-rewrite-percentage 0
enable-debug-command local
logfile log
""" % PORT


class Client:
    """One connection, made when it is needed; OSError when it has ended or says something else."""

    def __init__(self):
        self.stream = None

    def ask(self, *words):
        if not self.stream:
            with socket.create_connection(("127.0.0.1", PORT), timeout=ct.DEADLINE) as s:
                self.stream = s.makefile("rwb")
        self.stream.write(b"*%d\r\n" % len(words))
        for w in words:
            self.stream.write(b"$%d\r\n%s\r\n" % (len(w), w.encode()))
        self.stream.flush()
        line = self.stream.readline()
        if not line.endswith(b"\r\n") or line[:1] not in b"+:$":
            raise OSError("answer %r" % line)
        if line[:1] == b"$":
            line = b" " + self.stream.readline()
        return line[1:].strip().decode()

    def end(self):
        if self.stream:
            with contextlib.suppress(OSError):
                self.stream.close()
        self.stream = None


class Writer(threading.Thread):
    """Counts a key up; what it was told, and how often it was not."""

    def __init__(self, key, stop):
        super().__init__(daemon=True)
        self.key, self.stop, self.client = key, stop, Client()
        self.told = self.untold = self.wrong = 0

    def run(self):
        while not self.stop.is_set():
            try:
                n = int(self.client.ask("INCR", self.key))
            except OSError:
                self.client.end()
                self.untold += 1
                time.sleep(0.01)
                continue
            if not self.told < n <= self.told + 1 + self.untold:
                self.wrong += 1
            self.told, self.untold = n, 0
        self.client.end()


def start():
    where = ct.workdir("redis")
    with open(os.path.join(where, "conf"), "w") as f:
        f.write(CONFIG)
    p = ct.Program(["/usr/bin/redis-server", "conf"], where)

    def serves():
        if p.ended():
            raise ct.Failed("it ended: %s" % ct.text(os.path.join(where, "log"), ""))
        return answer("PING") == "PONG"
    ct.wait_for(serves, "redis to serve")
    return p


def answer(*words):
    client = Client()
    try:
        return client.ask(*words)
    except OSError as err:
        return str(err)
    finally:
        client.end()


def same_as_log():
    """Whether memory holds what the log tells, and nothing else."""
    before = answer("DEBUG", "DIGEST")
    loaded = answer("DEBUG", "LOADAOF")
    if loaded != "OK" or answer("DEBUG", "DIGEST") != before or not re.match("[0-9a-f]{40}$", before):
        raise ct.Failed("in memory %s, from its log %s (%s)" % (before, answer("DEBUG", "DIGEST"), loaded))


def under_load(t):
    with t.fact("redis_benchmark_fails_nothing_while_the_server_is_snapshotted"):
        p, store, taken = start(), ct.workdir("store"), 0
        with subprocess.Popen(["/usr/bin/redis-benchmark", "-p", str(PORT), "-n", str(REQUESTS), "-c", "8", "-r",
                               "1000", "-t", "set,incr,lpush,sadd", "-q"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as load:
            while load.poll() is None:
                ct.snap(p.pid, store, "--tcp=close", "-n", "job")
                taken += 1
            said = load.stdout.read()
        t.diag("%d snapshots" % taken)
        if load.returncode or "rror" in said or said.count("per second") < 4:
            raise ct.Failed("status %d: %s" % (load.returncode, said))
        same_as_log()
        ct.verify("job", store)
        p.kill9()


def killed(t):
    with t.fact("no_acknowledged_write_is_lost_by_kill_and_restore"):
        p, store, stop = start(), ct.workdir("store"), threading.Event()
        writers = [Writer("key-%d" % i, stop) for i in range(CLIENTS)]
        for w in writers:
            w.start()
        for n in range(ROUNDS):
            told = [w.told for w in writers]
            ct.wait_for(lambda: all(w.told > x + 10 for w, x in zip(writers, told)), "each to have written")
            ref = ct.snap(p.pid, store, "--kill", "--tcp=" + ("reset", "close")[n % 2], "-n", "job").ref
            if n:
                ct.reap(p.pid)
            else:
                p.wait_end()
            ct.restore_detached(ref, store)
        told = [w.told for w in writers]
        ct.wait_for(lambda: all(w.told > x for w, x in zip(writers, told)), "each to have written")
        stop.set()
        for w in writers:
            w.join()
        have = [int(answer("GET", w.key)) for w in writers]
        t.diag("%d writes" % sum(have))
        if any(w.wrong or not w.told <= n <= w.told + w.untold for w, n in zip(writers, have)):
            raise ct.Failed("there are %r, told were %r and not %r; wrong %r" % (
                have, [w.told for w in writers], [w.untold for w in writers], [w.wrong for w in writers]))
        same_as_log()
        os.kill(p.pid, signal.SIGTERM)
        if ct.reap(p.pid):
            raise ct.Failed("it does not end in order: %s" % ct.text(os.path.join(p.cwd, "log"), ""))


def held(t):
    with t.fact("redis_benchmark_notices_nothing_of_kill_and_restore_with_repair"):
        p, store, taken = start(), ct.workdir("store"), 0
        with subprocess.Popen(["/usr/bin/redis-benchmark", "-p", str(PORT), "-n", str(INCREMENTS), "-c", "8",
                               "-t", "incr", "-q"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as load:
            while load.poll() is None and taken < ROUNDS:
                at = count()
                ct.wait_for(lambda: load.poll() is not None or count() > at + INCREMENTS // 100, "it to count")
                ref = ct.snap(p.pid, store, "--kill", "--tcp=repair", "-n", "job").ref
                if taken:
                    ct.reap(p.pid)
                else:
                    p.wait_end()
                taken += load.poll() is None
                ct.restore_detached(ref, store)
            said = load.communicate(timeout=ct.DEADLINE)[0]
        t.diag("%d times" % taken)
        if not taken or load.returncode or "rror" in said or count() != INCREMENTS:
            raise ct.Failed("%d times, status %d, counted to %d: %s" % (taken, load.returncode, count(), said))
        same_as_log()
        os.kill(p.pid, signal.SIGKILL)
        ct.reap(p.pid)


def count():
    return int(answer("INCRBY", "counter:__rand_int__", "0"))


def main(t):
    if subprocess.run(["modprobe", "-a", "nf_tables", "tcp_diag"], check=False).returncode:
        raise ct.Failed("no modules nf_tables and tcp_diag")
    under_load(t)
    killed(t)
    held(t)


ct.run(main)
