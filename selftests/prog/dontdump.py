#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Memory marked MADV_DONTDUMP: not in the image, zero after a restore, told of; and a mark that comes or
goes between two generations.
"""
import errno
import json
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

SECRET, FILE = 1000000, 2000000     # seeds of hooks.c
KIB = {"4k": 64 + 16, "thp": 2048 + 16}


def mix64(x):
    mask = 2**64 - 1
    x = (x + 0x9e3779b97f4a7c15) & mask
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & mask
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & mask
    return x ^ (x >> 31)


def words(seed):
    """Some of them as they are in memory: two, as one may be left in a register."""
    return struct.pack("<2Q", mix64(seed + 700), mix64(seed + 701))


def is_in(path, seed):
    """Whether a file, or a file below a directory, holds them."""
    files = [path] if os.path.isfile(path) else \
        [os.path.join(base, f) for base, _, names in os.walk(path) for f in names]
    return any(words(seed) in ct.read(f) for f in files)


class Holder:
    """selftests/workload/hooks.c, running or restored."""

    def __init__(self, pages, how="none"):
        self.program = ct.Program([ct.prog("hooks"), pages, how], ct.workdir("hooks"))
        self.pid = self.program.pid
        self.program.wait_output(b"ready\n")

    def lines(self):
        return ct.text(self.program.out).splitlines()

    def ask(self, sig, word):
        had = len(self.lines())
        os.kill(self.pid, sig)
        ct.wait_for(lambda: len(self.lines()) > had, "the program to answer")
        answer = self.lines()[-1].split(None, 1)
        if answer[0] != word:
            raise ct.Failed("the program says %r" % self.lines()[-1])
        return answer[1] if answer[1:] else ""

    def need(self, state):
        got = self.ask(signal.SIGUSR1, "state")
        if got != state:
            raise ct.Failed("it holds %r, not %r" % (got, state))

    def mark(self, word):
        self.ask(signal.SIGUSR2, word)

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        self.program.finish()


def snap(p, store, *args, parent=None):
    s = ct.snap(p.pid, store, "-n", "job", "--compress=none", *args)
    if parent is not None and s.info["delta"]["parent"] != parent:
        raise ct.Failed("%s is not of %r: %r" % (s.ref, parent, s.info["delta"]))
    return s


def restored_holds(ref, store, p, state, note):
    """Restore, ask what it holds, end it. @note: bytes its user is told of."""
    got = ct.ckptctl("restore", "--json", "--detach", ref, "-o", store)
    if got.status != ct.EXIT_OK:
        raise ct.Failed("restore %s: %r" % (ref, got))
    told = json.loads(got.out)["left_out_bytes"]
    if told != note or bool(note) != ("MADV_DONTDUMP" in got.err):
        raise ct.Failed("restore %s tells of %d bytes, not %d: %s" % (ref, told, note, got.err))
    try:
        p.need(state)
    finally:
        os.kill(p.pid, signal.SIGKILL)
        ct.reap(p.pid)


def refused(t):
    with t.fact("ckpt_secret_refuses_what_would_be_saved_and_what_is_not_whole_pages"):
        p = Holder("4k")
        if p.lines()[0] != "refused %d %d %d %d" % (-errno.EINVAL, -errno.EOPNOTSUPP, -errno.EOPNOTSUPP,
                                                   -errno.EINVAL):
            raise ct.Failed("it says %r" % p.lines())
        p.end()


def left_out(t, pages):
    size = KIB[pages] << 10
    with t.fact("marked_memory_in_%s_pages_is_not_in_the_image_and_zero_when_restored" % pages):
        p, store = Holder(pages), ct.workdir("store")
        s = snap(p, store)
        if s.info["left_out"] != {"bytes": size, "mappings": 2, "saved_bytes": 0}:
            raise ct.Failed("snap tells %r" % s.info["left_out"])
        if is_in(store, SECRET) or is_in(store, FILE):
            raise ct.Failed("it is in the store")
        core = os.path.join(ct.workdir("core"), "core")
        got = ct.ckptctl("export", "--core", core, s.ref, "-o", store)
        if got.status or is_in(core, SECRET) or is_in(core, FILE):
            raise ct.Failed("export --core: %r, or it is in there" % got)
        shown = ct.ckptctl("show", s.ref, "-o", store)
        noted = json.loads(ct.ckptctl("show", "--json", s.ref, "-o", store).out)["snapshot"]
        if "marked MADV_DONTDUMP" not in shown.out or noted["left_out"]["bytes"] != size:
            raise ct.Failed("show: %r, %r" % (shown, noted["left_out"]))
        p.need("own own own 0")
        p.program.kill9()
        restored_holds(s.ref, store, p, "zero file own 0", size)
    with t.fact("it_is_told_in_one_line_%s" % pages):
        p = Holder(pages)
        got = ct.ckptctl("snap", "-o", store, str(p.pid))
        if "left out: " not in got.out or "marked MADV_DONTDUMP; zero after a restore\n" not in got.out:
            raise ct.Failed("%r" % got)
        p.end()
    with t.fact("kept_in_%s_pages_it_is_as_any_other" % pages):
        p, store = Holder(pages), ct.workdir("store")
        s = snap(p, store, "--dontdump=keep")
        if s.info["left_out"]["bytes"] or not is_in(store, SECRET) or not is_in(store, FILE):
            raise ct.Failed("it is not in the store; %r" % s.info["left_out"])
        p.program.kill9()
        restored_holds(s.ref, store, p, "own own own 0", 0)


def mark_comes_and_goes(t, pages):
    """Nothing touches the memory meanwhile, so page tables say that it is as in the parent."""
    size = KIB[pages] << 10
    p, store = Holder(pages), ct.workdir("store")
    with t.fact("unmarked_memory_in_%s_pages_is_in_the_next_delta_though_unchanged" % pages):
        snap(p, store)
        p.mark("unmarked")
        snap(p, store, "--delta", parent="job@1")
        snap(p, store, "--delta", parent="job@2")
    with t.fact("marked_memory_in_%s_pages_is_gone_from_the_next_delta" % pages):
        p.mark("marked")
        s = snap(p, store, "--delta", parent="job@3")
        if s.info["left_out"]["bytes"] != size or s.info["delta"]["gone_pages"] < size >> 12:
            raise ct.Failed("%r, %r" % (s.info["left_out"], s.info["delta"]))
        snap(p, store, "--delta", parent="job@4")
        snap(p, store, "--delta", "--dontdump=keep", parent="job@5")
        p.mark("unmarked")
        snap(p, store, "--delta", parent="job@6")
        p.need("own own own 0")
    p.program.kill9()
    with t.fact("each_generation_in_%s_pages_is_restored_with_what_it_has" % pages):
        with open(p.program.out, "rb") as f:
            said = f.read()
        for n, has in enumerate((0, 1, 1, 0, 0, 1, 1), 1):
            with open(p.program.out, "wb") as f:
                f.write(said)
            restored_holds("job@%d" % n, store, p, "own own own 0" if has else "zero file own 0",
                           0 if has else size)
    with t.fact("folded_in_%s_pages_it_does_not_come_back" % pages):
        got = ct.ckptctl("compact", "--compress=none", "job@5", "-o", store)
        with open(p.program.out, "wb") as f:
            f.write(said)
        alone = os.path.join(store, "job", "gen-00000005.ckpt")
        if got.status or is_in(alone, SECRET) or is_in(alone, FILE):
            raise ct.Failed("compact: %r, or it is in there" % got)
        restored_holds("job@5", store, p, "zero file own 0", size)
        ct.verify("job", store)


def main(t):
    refused(t)
    for pages in ("4k", "thp"):
        left_out(t, pages)
        mark_comes_and_goes(t, pages)


ct.run(main)
