#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A store keeps account of what was done in it, by whom and with what result; and nothing depends on it."""
import json
import os
import signal
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def lines(store):
    return [json.loads(line) for line in ct.text(os.path.join(store, ".audit"), "").splitlines()]


def start(where=None):
    p = ct.Program([ct.prog("counter")], where or ct.workdir("counter"))
    p.wait_output(b"ready\n")
    return p


def last(store, what, ref, result, **more):
    line = lines(store)[-1]
    want = dict(more, what=what, ref=ref, uid=os.getuid())
    got = {k: line.get(k) for k in want}
    if got != want or not (line["result"] == result or (result != "ok" and result in line["result"])):
        raise ct.Failed("%r, not %r: %s" % (line, want, result))


def everything(t):
    with t.fact("there_is_a_line_for_each_thing_done_and_for_each_that_failed"):
        store, p = ct.workdir("store"), start()
        ct.snap(p.pid, store, "-n", "job")
        last(store, "snap", "job@1", "ok", process=p.pid, removed=0)
        ct.snap(p.pid, store, "-n", "job")
        last(store, "snap", "job@2", "ok", process=p.pid)
        got = ct.ckptctl("restore", "job", "-o", store)
        if got.status == ct.EXIT_OK:
            raise ct.Failed("%r" % got)
        last(store, "restore", "job@2", "in use", process=0)
        ct.snap(p.pid, store, "-n", "job", "--kill")
        last(store, "snap --kill", "job@3", "ok", process=p.pid)
        p.kill9()
        pid = ct.restore_detached("job@2", store)
        last(store, "restore", "job@2", "ok", process=pid)
        os.kill(pid, signal.SIGKILL)
        ct.reap(pid)
        for argv, what, ref, result, removed in (
                (("compact", "job@2"), "compact", "job@2", "ok", 0),
                (("gc", "--keep", "1", "--no-compact"), "gc", "job", "ok", 1),
                (("rm", "job@2"), "rm", "job@2", "built on", 0),
                (("rm", "job@9"), "rm", "job@9", "no such", 0),
                (("rm", "--all", "job"), "rm", "job", "ok", 2)):
            ct.ckptctl(*argv, "-o", store)
            last(store, what, ref, result, removed=removed)
        st = os.stat(os.path.join(store, ".audit"))
        if stat.S_IMODE(st.st_mode) != 0o600 or len(lines(store)) != 11:
            raise ct.Failed("%o, %d lines" % (st.st_mode, len(lines(store))))
    with t.fact("a_snapshot_that_fails_makes_no_store"):
        where = os.path.join(ct.workdir("none"), "store")
        got = ct.ckptctl("snap", "-o", where, os.getpid())
        if got.status == ct.EXIT_OK or os.path.exists(where):
            raise ct.Failed("%r" % got)


def in_the_way(t):
    with t.fact("what_stands_in_its_place_is_not_written_to_and_stops_nothing"):
        elsewhere = os.path.join(ct.workdir("elsewhere"), "file")
        for make in (lambda at: os.symlink(elsewhere, at), lambda at: os.link(elsewhere, at), os.mkfifo,
                     os.mkdir):
            store, p = ct.workdir("store"), start()
            with open(elsewhere, "wb") as f:
                f.write(b"as it was")
            make(os.path.join(store, ".audit"))
            ct.snap(p.pid, store, "-n", "job")
            ct.verify("job", store)
            p.kill9()
            if ct.read(elsewhere) != b"as it was":
                raise ct.Failed("written through %r" % make)


def at_once(t):
    with t.fact("lines_of_many_at_once_are_whole"):
        store = ct.workdir("store")
        each = ct.full(200, 10)
        cmd = "for i in $(seq %d); do %s gc -q -o %s || exit 1; done" % (each, ct.CKPTCTL, store)
        writers = [subprocess.Popen(["bash", "-c", cmd]) for _ in range(4)]
        if any([w.wait() for w in writers]):
            raise ct.Failed("gc failed")
        if len(lines(store)) != 4 * each or {line["result"] for line in lines(store)} != {"ok"}:
            raise ct.Failed("%d lines" % len(lines(store)))


def main(t):
    everything(t)
    in_the_way(t)
    at_once(t)


ct.run(main)
