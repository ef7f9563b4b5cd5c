#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""Images with the files that the program maps: it goes on though they are others by now, or gone.

The program's answer depends on code and data that it takes from its executable, library and data file
only after the restore; the other versions of them give another one.
"""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

ROUNDS = 3
NAMES = ("contained", "libcontained.so", "data")


def same(got, want, what):
    if got != want:
        raise ct.Failed("%s: %r, not %r" % (what, got, want))


def holds(needle, text, what):
    if needle not in text:
        raise ct.Failed("%s: no %r in %r" % (what, needle, text))


def install(where, version, *names):
    """As an update does: new files under the old names."""
    for name in names or NAMES:
        path = os.path.join(where, name)
        if name == "data":
            with open(path + ".new", "wb") as f:
                f.write(b"%d" % version * (50000 + version))
        else:
            shutil.copy(os.path.join(ct.WORKLOAD, "contained", str(version), name), path + ".new")
        os.rename(path + ".new", path)


def alive(pid):
    return (ct.text("/proc/%d/stat" % pid, "") or ") Z").rsplit(")", 1)[1].split()[0] != "Z"


class Contained:
    """The program, running or brought back."""

    def __init__(self, version=1):
        self.where, self.store = ct.workdir("contained"), ct.workdir("store")
        install(self.where, version)
        self.start()

    def start(self):
        self.program = ct.Program([os.path.join(self.where, "contained"), "data"], self.where)
        self.program.wait_output(b"ready\n")
        self.pid = self.program.pid
        self.restored = False

    def tell(self, sig, word):
        before = self.program.output().count(word)
        os.kill(self.pid, sig)
        ct.wait_for(lambda: self.program.output().count(word) > before or not alive(self.pid),
                    "an answer to signal %d" % sig)
        if self.program.output().count(word) <= before:
            raise ct.Failed("it ended: %r %r" % (self.program.output(), self.program.errors()))

    def go_on(self, rounds=1):
        for _ in range(rounds):
            self.tell(signal.SIGUSR1, b"round ")

    def answer(self):
        self.tell(signal.SIGTERM, b"answer ")
        same(self.program.wait_end() if not self.restored else ct.reap(self.pid), 0, "status")
        return self.program.output().strip().split(b"\n")[-1]

    def snap(self, *args):
        return ct.snap(self.pid, self.store, "-n", "job", *args)

    def kill9(self):
        if self.restored:
            os.kill(self.pid, signal.SIGKILL)
            ct.reap(self.pid)
        else:
            self.program.kill9()

    def restore(self, ref, *args):
        """What it reports; the program runs on."""
        got = ct.ckptctl("restore", "--detach", "--json", ref, "-o", self.store, *args)
        if got.status:
            raise ct.Failed("restore %s: %r" % (ref, got))
        said = json.loads(got.out)
        self.pid, self.restored = said["pid"], True
        for f in said["from_image"]:
            holds(f["path"], got.err, "standard error")
        return {os.path.basename(f["path"]): f["copy"] for f in said["from_image"]}

    def maps(self):
        return ct.text("/proc/%d/maps" % self.pid)

    def uses(self, name, path):
        """Whether it maps that file, and the original of that name not."""
        maps = self.maps()
        holds(path, maps, "maps")
        if path != os.path.join(self.where, name) and os.path.join(self.where, name) in maps:
            raise ct.Failed("%s is mapped too" % name)


def copies(store):
    where = os.path.join(store, ".files")
    return sorted(os.listdir(where)) if os.path.isdir(where) else []


def gc(store):
    got = ct.ckptctl("gc", "--json", "-o", store)
    if got.status:
        raise ct.Failed("gc: %r" % got)
    return json.loads(got.out)["copies"]


def taken(rounds=ROUNDS, *args):
    """One that was snapshotted, went on, and was killed; and its image."""
    c = Contained()
    c.go_on(rounds)
    s = c.snap(*args)
    c.go_on(2)
    c.kill9()
    return c, s


def answers(t):
    want = []
    with t.fact("the_answer_depends_on_each_of_the_files"):
        for changed in (None,) + NAMES:
            c = Contained(1)
            if changed:
                c.program.kill9()
                install(c.where, 2, changed)
                c.start()
            c.go_on(ROUNDS)
            want.append(c.answer())
        same(len(set(want)), len(want), "different answers")
    return want[0]


def replaced(t, want):
    c, s = taken(ROUNDS, "--self-contained")
    with t.fact("executable_library_and_data_come_from_the_image_when_they_were_replaced"):
        same(s.info["contents"]["files"] >= len(NAMES) + 2, True, "files in the image")    # libc, ld.so
        same(s.info["contents"]["stored"], s.info["contents"]["files"], "stored")
        old = {n: ct.read(os.path.join(c.where, n)) for n in NAMES}
        install(c.where, 2)
        made = c.restore(s.ref)
        same(sorted(made), sorted(NAMES), "files from the image")
        for name in NAMES:
            c.uses(name, made[name])
            same(ct.read(made[name]), old[name], name)
        same(os.readlink("/proc/%d/exe" % c.pid), made["contained"], "executable")
        same(c.answer(), want, "answer")
    with t.fact("another_restore_uses_the_same_copies_also_when_the_files_are_gone"):
        inodes = {n: os.stat(p).st_ino for n, p in made.items()}
        for name in NAMES:
            os.unlink(os.path.join(c.where, name))
        again = c.restore(s.ref)
        same({n: os.stat(p).st_ino for n, p in again.items()}, inodes, "copies")
        same(c.answer(), want, "answer")
    with t.fact("a_damaged_copy_is_made_anew"):
        with open(made["libcontained.so"], "r+b") as f:
            f.seek(5000)
            f.write(b"damage")
        again = c.restore(s.ref)
        same(again, made, "copies")
        same(ct.read(again["libcontained.so"]), old["libcontained.so"], "the library")
        same(c.answer(), want, "answer")
    with t.fact("show_tells_what_is_inside"):
        got = ct.ckptctl("show", s.ref, "-o", c.store)
        for name in NAMES:
            holds(os.path.join(c.where, name), got.out, "show")
        ct.verify(s.ref, c.store)


def others(t, want):
    with t.fact("without_the_option_a_replaced_file_is_refused_with_both_identities"):
        c, s = taken()
        old = os.stat(os.path.join(c.where, "contained"))
        install(c.where, 2)
        new = os.stat(os.path.join(c.where, "contained"))
        got = ct.ckptctl("restore", s.ref, "-o", c.store)
        same(got.status, ct.EXIT_FAILED, "status")
        for st in (old, new):
            holds("%d bytes" % st.st_size, got.err, "error")
            holds("inode %d" % st.st_ino, got.err, "error")
        same(copies(c.store), [], "copies")
    with t.fact("files_that_are_what_they_were_are_used_themselves"):
        c, s = taken(ROUNDS, "--self-contained")
        same(c.restore(s.ref), {}, "files from the image")
        for name in NAMES:
            c.uses(name, os.path.join(c.where, name))
        same(c.answer(), want, "answer")
        for name in NAMES:      # the same bytes, of another time
            shutil.copy(os.path.join(c.where, name), os.path.join(c.where, "other"))
            os.rename(os.path.join(c.where, "other"), os.path.join(c.where, name))
        same(c.restore(s.ref), {}, "files from the image, when only their times differ")
        same(c.answer(), want, "answer")
        same(copies(c.store), [], "copies")


def snapped_again(t, want):
    with t.fact("what_was_restored_can_be_snapshotted_and_restored_again"):
        c, s = taken(ROUNDS - 1, "--self-contained")
        install(c.where, 2)
        made = c.restore(s.ref)
        c.go_on(1)
        second = c.snap()       # copies go into an image unasked
        same(second.info["contents"]["files"], len(made), "files in the image")
        same(gc(c.store), 0, "copies removed while they are in use")
        same(len(copies(c.store)), len(made), "copies")
    with t.fact("copies_nobody_uses_are_removed_by_gc_and_made_again"):
        c.kill9()
        same(gc(c.store), len(made), "copies removed")
        same(copies(c.store), [], "copies")
        same(c.restore(second.ref), {os.path.basename(p): p for p in made.values()}, "copies made again")
        same(c.answer(), want, "answer")


def deltas(t, want):
    with t.fact("a_delta_does_not_hold_again_what_its_parent_has"):
        c = Contained()
        c.go_on(1)
        first = c.snap("--self-contained")
        c.go_on(1)
        second = c.snap("--self-contained")
        same(second.info["delta"]["parent"], first.ref, "parent")
        c.go_on(ROUNDS - 2)
        third = c.snap("--self-contained")
        same(third.info["delta"]["parent"], second.ref, "parent")
        for s in (second, third):
            same(s.info["contents"]["files"], first.info["contents"]["files"], "files")
            same(s.info["contents"]["stored"], 0, "stored again")
        c.go_on(2)
        c.kill9()
        install(c.where, 2)
        same(sorted(c.restore(third.ref)), sorted(NAMES), "files from the image")
        same(c.answer(), want, "answer")
        gc(c.store)
    with t.fact("a_folded_generation_has_what_it_was_built_on"):
        got = ct.ckptctl("compact", second.ref, "-o", c.store)
        same(got.status, 0, "compact %r" % got)
        got = ct.ckptctl("rm", first.ref, "-o", c.store)
        same(got.status, 0, "rm %r" % got)
        ct.verify(third.ref, c.store)
        same(sorted(c.restore(third.ref)), sorted(NAMES), "files from the image")
        same(c.answer(), want, "answer")
        got = ct.ckptctl("gc", "--keep", "1", "-o", c.store)
        same(got.status, 0, "gc %r" % got)
        same(ct.listing(c.store), [third.ref], "generations")
        same(sorted(c.restore(third.ref)), sorted(NAMES), "files from the image")
        same(c.answer(), want, "answer")


def places(t, want):
    c, s = taken(ROUNDS, "--self-contained")
    install(c.where, 2)
    with t.fact("copies_go_where_files_dir_says"):
        where = os.path.join(ct.workdir("files"), "made")
        made = c.restore(s.ref, "--files-dir", where)
        same({os.path.dirname(p) for p in made.values()}, {where}, "directories")
        same((c.answer(), copies(c.store)), (want, []), "answer, copies in the store")
    with t.fact("an_image_named_by_its_path_needs_files_dir"):
        got = ct.ckptctl("restore", s.info["path"])
        same(got.status, ct.EXIT_FAILED, "status")
        holds("--files-dir", got.err, "error")
        made = c.restore(s.info["path"], "--files-dir", where)
        same((sorted(made), c.answer()), (sorted(NAMES), want), "copies, answer")
    with t.fact("nothing_is_run_from_where_others_may_write"):
        os.chmod(where, 0o777)
        got = ct.ckptctl("restore", s.ref, "-o", c.store, "--files-dir", where)
        same(got.status, ct.EXIT_FAILED, "status")
        holds(where, got.err, "error")
    with t.fact("nothing_is_put_where_nothing_may_be_run"):
        mount = ct.workdir("noexec")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "none", mount], check=True)
        try:
            got = ct.ckptctl("restore", s.ref, "-o", c.store, "--files-dir", mount)
            same((got.status, os.listdir(mount)), (ct.EXIT_FAILED, []), "status, files")
            holds("noexec", got.err, "error")
        finally:
            subprocess.run(["umount", mount], check=True)


def main(t):
    want = answers(t)
    replaced(t, want)
    others(t, want)
    snapped_again(t, want)
    deltas(t, want)
    places(t, want)


ct.run(main)
