#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=900
"""Snapshots of what changed: how much is in them, what they say of themselves, and that any of them
brings the program back, through a long chain, after it was folded, and not when a part of it is lost.
"""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

MIB = ct.full(1024, 64)
PAGES = ct.full(1000, 200)
GENERATIONS = ct.full(200, 8)
EACH = ct.full(10, 4)       # of the generations is restored


class Touch:
    """selftests/workload/touch.c, running or restored."""

    def __init__(self, mib, pages, n, how, stdin=None):
        self.program = ct.Program([ct.prog("touch"), str(mib), pages, str(n), how],
                                  ct.workdir("touch"), stdin=stdin)
        self.pid, self.cwd = self.program.pid, self.program.cwd
        self.program.wait_output(b"ready\n")

    def lines(self):
        return ct.text(os.path.join(self.cwd, "stdout")).splitlines()

    def ask(self, sig, word):
        had = len(self.lines())
        os.kill(self.pid, sig)
        ct.wait_for(lambda: len(self.lines()) > had, "the program to answer")
        answer = self.lines()[-1].split()
        if answer[0] != word:
            raise ct.Failed("the program says %r" % answer)
        return answer[1:]

    def round(self):
        return self.ask(signal.SIGUSR1, "round")

    def memory(self):
        """What is in it, as "ROUND HASH"."""
        return " ".join(self.ask(signal.SIGUSR2, "memory"))

    def kill9(self):
        self.program.kill9()
        self.said = self.program.output()

    def faults(self):
        return int(ct.text("/proc/%d/stat" % self.pid).rsplit(") ", 1)[1].split()[7])


def delta_of(s):
    return s.info["delta"]


def need_delta(s, parent):
    if delta_of(s)["parent"] != parent:
        raise ct.Failed("%s is not of %s: %r" % (s.ref, parent, delta_of(s)))
    return s


def need_full(s, why):
    if delta_of(s)["parent"] or why not in delta_of(s)["why_full"]:
        raise ct.Failed("%s: expected full, %r, got %r" % (s.ref, why, delta_of(s)))
    return s


def sizes(t, pages, most):
    """What a round leaves in a delta; and what the program paid for it."""
    with t.fact("%d_pages_of_%d_MiB_in_%s_pages_make_a_delta_of_so_many" % (PAGES, MIB, pages)):
        p, store = Touch(MIB, pages, PAGES, "plain"), ct.workdir("store")
        last = need_full(ct.snap(p.pid, store, "-n", "job"), "no generation yet")
        p.round()       # after the first fork or snapshot libc and stack are written to as well
        last = need_delta(ct.snap(p.pid, store, "-n", "job"), last.ref)
        for _ in range(3):
            faults = p.faults()
            p.round()
            faults = p.faults() - faults
            last = need_delta(ct.snap(p.pid, store, "-n", "job"), last.ref)
            got = last.info["memory"]["data_pages"]
            t.diag("%s: %d pages of data; marked and the same %d, page faults %d, pause %.3f ms" % (
                last.ref, got, delta_of(last)["same_pages"], faults,
                last.info["pause"]["total_ns"] / 1e6))
            if not PAGES <= got <= most:
                raise ct.Failed("%d pages in the delta" % got)
            if pages == "4k" and faults > 16:
                raise ct.Failed("%d page faults for %d first writes" % (faults, PAGES))
        end(p)


def end(p):
    os.kill(p.pid, signal.SIGTERM)
    p.program.finish()


def bring_back(ref, store, p, want):
    """Restore, look at the memory, and do a round; then it is gone. Its output is that of the first run."""
    with open(p.program.out, "wb") as f:
        f.write(p.said)
    pid = ct.restore_detached(ref, store)
    try:
        if pid != p.pid:
            raise ct.Failed("restored as %d, was %d" % (pid, p.pid))
        got = p.memory()
        if got != want:
            raise ct.Failed("%s: memory is %s, was %s" % (ref, got, want))
        p.round()
    finally:
        os.kill(pid, signal.SIGKILL)
        ct.reap(pid)


def command(*args):
    got = ct.ckptctl(*args)
    if got.status != ct.EXIT_OK:
        raise ct.Failed("%s: %r" % (" ".join(args), got))
    return got


def chain(t, pages):
    p, store, was = Touch(16, pages, 50, "mixed"), ct.workdir("store"), {}
    with t.fact("%d_generations_in_%s_pages_each_built_on_the_one_before" % (GENERATIONS, pages)):
        last = ""
        for n in range(1, GENERATIONS + 1):
            was[n] = p.memory()
            s = ct.snap(p.pid, store, "-n", "job")
            if delta_of(s)["parent"] != last:
                raise ct.Failed("%s is of %r: %r" % (s.ref, last, delta_of(s)))
            last = s.ref
            p.round()
        size = sum(os.path.getsize(os.path.join(store, "job", f))
                   for f in os.listdir(os.path.join(store, "job")))
        t.diag("%d generations of 16 MiB: %.1f MiB" % (GENERATIONS, size / 2**20))
    p.kill9()
    picked = list(range(1, GENERATIONS, EACH)) + [GENERATIONS]
    with t.fact("%d_of_them_in_%s_pages_are_restored" % (len(picked), pages)):
        for n in picked:
            bring_back("job@%d" % n, store, p, was[n])
        ct.verify("job", store)
        command("verify", "--all", "-o", store)
    with t.fact("folded_in_%s_pages_they_are_restored_all_the_same" % pages):
        middle = GENERATIONS // 2
        said = json.loads(command("compact", "--json", "-o", store, "job@%d" % middle).out)
        t.diag("job@%d: %d generations folded into %.1f MiB" % (
            middle, said["generations"], said["size"] / 2**20))
        for n in (middle, middle + 1, GENERATIONS, 2):
            bring_back("job@%d" % n, store, p, was[n])
        command("compact", "-o", store, "job")
        command("gc", "--keep", "1", "-o", store)
        if ct.listing(store) != ["job@%d" % GENERATIONS]:
            raise ct.Failed("left after gc: %r" % ct.listing(store))
        ct.verify("job", store)
        bring_back("job", store, p, was[GENERATIONS])


def what_is_lost_is_named(t):
    p, store = Touch(4, "4k", 20, "plain"), ct.workdir("store")
    job = os.path.join(store, "job")
    for _ in range(3):
        ct.snap(p.pid, store, "-n", "job")
        p.round()

    def refused(verb, *words):
        got = ct.ckptctl(verb, "job@3", "-o", store)
        if got.status != ct.EXIT_FAILED or any(w not in got.out + got.err for w in words):
            raise ct.Failed("%s: %r" % (verb, got))

    two, aside = os.path.join(job, "gen-00000002.ckpt"), os.path.join(store, "aside")
    with t.fact("a_missing_parent_is_named_and_the_next_snapshot_is_full"):
        os.rename(two, aside)
        refused("verify", "job@3", "job@2", "missing")
        need_full(ct.snap(p.pid, store, "-n", "job"), "job@2")
        command("rm", "job@4", "-o", store)
        os.rename(aside, two)
    with t.fact("a_parent_others_are_built_on_is_not_removed"):
        got = ct.ckptctl("rm", "job@2", "-o", store)
        if got.status != ct.EXIT_FAILED or "job@3" not in got.err:
            raise ct.Failed("rm: %r" % got)
        command("gc", "--keep", "1", "--no-compact", "-o", store)
        if ct.listing(store) != ["job@1", "job@2", "job@3"]:
            raise ct.Failed("gc left %r" % ct.listing(store))
    with t.fact("after_a_removal_the_next_one_is_full"):
        need_full(ct.snap(p.pid, store, "-n", "job"), "since another snapshot")
        command("rm", "job@4", "-o", store)
    p.kill9()
    with t.fact("a_damaged_parent_is_named_by_verify_and_restore"):
        with open(two, "r+b") as f:
            f.seek(os.path.getsize(two) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        refused("verify", "job@2")
        refused("restore", "job@2")


def what_is_asked_for(t):
    p, store, other = Touch(4, "4k", 20, "plain"), ct.workdir("store"), ct.workdir("other")
    with t.fact("delta_full_and_untracked_do_what_they_say"):
        got = ct.ckptctl("snap", "--delta", "-n", "job", "-o", store, str(p.pid))
        if got.status != ct.EXIT_FAILED or "no generation yet" not in got.err or ct.listing(store):
            raise ct.Failed("--delta without a parent: %r" % got)
        need_full(ct.snap(p.pid, store, "-n", "job"), "no generation yet")
        need_delta(ct.snap(p.pid, store, "--delta", "-n", "job"), "job@1")
        need_full(ct.snap(p.pid, store, "--full", "-n", "job"), "asked for")
        need_delta(ct.snap(p.pid, store, "-n", "job"), "job@3")
        need_full(ct.snap(p.pid, store, "--untracked", "-n", "job"), "no account is to be kept")
        got = ct.ckptctl("snap", "--delta", "-n", "job", "-o", store, str(p.pid))
        if got.status != ct.EXIT_FAILED or "no account was kept" not in got.err:
            raise ct.Failed("--delta of an untracked one: %r" % got)
    with t.fact("a_snapshot_into_another_store_is_full_and_so_is_the_next_here"):
        need_full(ct.snap(p.pid, store, "-n", "job"), "no account was kept")
        need_full(ct.snap(p.pid, other, "-n", "job"), "no generation yet")
        need_full(ct.snap(p.pid, store, "-n", "job"), "since another snapshot")
    with t.fact("a_delta_that_ends_the_program_brings_it_back"):
        p.round()
        was = p.memory()
        need_delta(ct.snap(p.pid, store, "--kill", "-n", "job"), "job@7")
        p.kill9()
        bring_back("job", store, p, was)
    with t.fact("show_and_diff_tell_what_is_in_it"):
        shown = json.loads(command("show", "--json", "job", "-o", store).out)
        found = json.loads(command("diff", "--json", "job@7", "job@8", "-o", store).out)
        if shown["snapshot"]["delta"]["parent"] != "job@7" or not shown["image"]["delta"]:
            raise ct.Failed("show: %r" % shown["snapshot"]["delta"])
        if found["changed"] != shown["memory"]["data_pages"] or found["gone"] or found["new"]:
            raise ct.Failed("diff: %r, show: %r" % (found, shown["memory"]))
        if max(m["changed"] for m in found["mappings"]) != 20:
            raise ct.Failed("diff by mapping: %r" % found["mappings"])


def with_a_deleted_file(t):
    """Its content is taken while the program stands still: another way through snap."""
    with t.fact("a_program_with_a_deleted_file_has_deltas_too"):
        store, path = ct.workdir("store"), os.path.join(ct.workdir("deleted"), "file")
        with open(path, "w") as f:
            f.write("some text\n")
        p = Touch(4, "4k", 20, "plain", stdin=path)
        os.unlink(path)
        need_full(ct.snap(p.pid, store, "-n", "job"), "no generation yet")
        for n in (1, 2):
            p.round()
            was = p.memory()
            need_delta(ct.snap(p.pid, store, "-n", "job"), "job@%d" % n)
        p.round()
        p.kill9()
        bring_back("job", store, p, was)


def restored_is_not_tracked(t):
    with t.fact("a_restored_program_begins_with_a_full_one"):
        p, store = Touch(4, "4k", 20, "plain"), ct.workdir("store")
        ct.snap(p.pid, store, "-n", "job", "--kill")
        p.program.wait_end()
        pid = ct.restore_detached("job", store)
        p.round()
        need_full(ct.snap(pid, store, "-n", "job"), "no account was kept")
        p.round()
        need_delta(ct.snap(pid, store, "-n", "job"), "job@2")
        os.kill(pid, signal.SIGKILL)
        ct.reap(pid)


def main(t):
    what_is_asked_for(t)
    what_is_lost_is_named(t)
    restored_is_not_tracked(t)
    with_a_deleted_file(t)
    sizes(t, "4k", PAGES + 64)
    sizes(t, "thp", PAGES + (PAGES // 10 if ct.FULL else 64))
    chain(t, "4k")
    chain(t, "thp")


ct.run(main)
