#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=300
"""Files that a program changes in place, before and after its snapshot: a restore puts them back, and
what they hold by then is not lost. The program itself holds each byte against its memory.
"""
import json
import os
import signal
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

KIB = 300


class Writer:
    """The workload, running or brought back."""

    def __init__(self, how, where, name="data"):
        self.where, self.path = where, os.path.join(where, name)
        self.program = ct.Program([ct.prog("inplace"), how, name, str(KIB)], where)
        self.program.wait_output(b"ready\n")
        self.pid = self.program.pid
        self.rounds = 0

    def tell(self, sig, word):
        before = self.program.output().count(word)
        os.kill(self.pid, sig)
        ct.wait_for(lambda: self.program.output().count(word) > before or not alive(self.pid),
                    "an answer to signal %d" % sig)
        if not alive(self.pid):
            raise ct.Failed("it ended: %r %r" % (self.program.output(), self.program.errors()))

    def change(self, times=1):
        for _ in range(times):
            self.tell(signal.SIGUSR1, b"round ")

    def hash(self):
        self.tell(signal.SIGUSR2, b"file ")
        return self.program.output().strip().split(b"\n")[-1]

    def kill9(self):
        """Content and inode of the file then."""
        self.program.kill9()
        return ct.read(self.path), os.stat(self.path).st_ino

    def back(self, ref, store, *args):
        self.pid = ct.restore_detached(ref, store, *args)

    def end(self):
        """It checks its file once more."""
        os.kill(self.pid, signal.SIGTERM)
        status = ct.reap(self.pid)
        if status:
            raise ct.Failed("status %d: %r %r" % (status, self.program.output(), self.program.errors()))

    def kill_restored(self):
        os.kill(self.pid, signal.SIGKILL)
        ct.reap(self.pid)


def alive(pid):
    return (ct.text("/proc/%d/stat" % pid) or ") Z").rsplit(")", 1)[1].split()[0] != "Z"


def names(where):
    return sorted(n for n in os.listdir(where) if n not in ("stdout", "stderr"))


def same(got, want, what):
    if got != want:
        raise ct.Failed("%s: %r, not %r" % (what, got, want))


def put_back(t, how):
    with t.fact("a_file_changed_by_%s_is_put_back_and_the_newer_one_kept" % how):
        where, store = ct.workdir(how), ct.workdir("store")
        w = Writer(how, where)
        os.chmod(w.path, 0o604)
        os.chown(w.path, 1234, 4321)
        w.change(2)
        was, content = w.hash(), ct.read(w.path)
        s = ct.snap(w.pid, store)
        same((s.info["files"]["kept"], s.info["files"]["cloned"]), (1, 0), "kept and cloned")
        w.change(2)
        newer, inode = w.kill9()
        same(newer == content, False, "nothing changed after the snapshot")
        os.chmod(w.path, 0o600)
        w.back(s.ref, store)
        same(w.hash(), was, "what it tells of the file")
        same(ct.read(w.path), content, "content")
        st = os.stat(w.path)
        same((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o604, 1234, 4321), "mode, owner")
        same(st.st_ino, inode, "inode")
        same(ct.read(w.path + ".newer.1"), newer, "the newer one")
        w.change(3)
        w.kill_restored()
    with t.fact("and_again_from_the_same_image_by_%s" % how):
        w.back(s.ref, store)
        same(w.hash(), was, "what it tells of the file")
        same(names(where), ["data", "data.newer.1", "data.newer.2"], "files")
        w.change(1)
        w.kill_restored()
        w.back(s.ref, store, "--discard-newer")
        same(names(where), ["data", "data.newer.1", "data.newer.2"], "files")
        w.change(1)
        w.end()
    with t.fact("a_file_cut_short_is_as_long_again_by_%s" % how):
        os.truncate(w.path, 1000)
        got = ct.ckptctl("restore", s.ref, "-o", store, "--fd", "1=/nowhere/at/all")
        same((got.status == ct.EXIT_OK, os.path.getsize(w.path)), (False, 1000), "a failed restore, length")
        w.back(s.ref, store, "--discard-newer")
        same(ct.read(w.path), content, "content")
        w.change(1)
        w.end()
    with t.fact("a_removed_file_is_made_again_by_%s" % how):
        os.unlink(w.path)
        w.back(s.ref, store)
        same(ct.read(w.path), content, "content")
        same(names(where), ["data", "data.newer.1", "data.newer.2"], "files")
        w.change(1)
        w.end()


def generations(t):
    with t.fact("each_generation_has_the_file_as_it_was_then_folded_ones_too"):
        where, store = ct.workdir("chain"), ct.workdir("store")
        w = Writer("write", where)
        seen = []
        for _ in range(4):
            w.change(1)
            seen.append((ct.snap(w.pid, store, "-n", "job").ref, ct.read(w.path)))
        w.kill9()
        got = ct.ckptctl("compact", "-o", store, seen[2][0])
        if got.status:
            raise ct.Failed("compact: %r" % got)
        for ref, content in seen:
            ct.verify(ref, store)
            w.back(ref, store, "--discard-newer")
            same(ct.read(w.path), content, ref)
            w.change(1)
            w.kill_restored()


def left_alone(t):
    with t.fact("a_file_that_holds_what_it_held_is_left_alone"):
        where, store = ct.workdir("same"), ct.workdir("store")
        w = Writer("write", where)
        w.change(1)
        s = ct.snap(w.pid, store)
        _, inode = w.kill9()
        w.back(s.ref, store)
        same((os.stat(w.path).st_ino, names(where)), (inode, ["data"]), "inode, files")
        w.change(1)
        w.end()
    with t.fact("a_restore_that_fails_leaves_the_files_as_they_are"):
        w = Writer("write", where)
        s = ct.snap(w.pid, store)
        w.change(1)
        newer = ct.read(w.path)
        got = ct.ckptctl("restore", s.ref, "-o", store)
        if got.status == ct.EXIT_OK or "in use" not in got.err:
            raise ct.Failed("%r" % got)
        same((ct.read(w.path), names(where)), (newer, ["data"]), "content, files")
        w.change(1)
        w.end()


def beside(t):
    with t.fact("what_came_to_stand_beside_it_is_put_aside_what_stood_there_put_back"):
        where, store = ct.workdir("beside"), ct.workdir("store")
        w = Writer("write", where)
        wal = w.path + "-wal"
        with open(wal, "wb") as f:
            f.write(b"as it was")
        s = ct.snap(w.pid, store)
        same(s.info["files"]["kept"], 2, "kept")
        w.change(1)
        with open(w.path + "-journal", "wb") as f:
            f.write(b"rolls back to what never was")
        with open(wal, "wb") as f:
            f.write(b"later")
        with open(w.path + "-other", "wb") as f:
            f.write(b"not known")
        w.kill9()
        w.back(s.ref, store)
        same(names(where), ["data", "data-journal.newer.1", "data-other", "data-wal",
                            "data-wal.newer.1", "data.newer.1"], "files")
        same((ct.read(wal), ct.read(wal + ".newer.1")), (b"as it was", b"later"), "the log")
        w.change(1)
        w.end()


# A database in the middle of a transaction: what it needs for going back it has written so far, and is at
# its end. Told to, it ends the transaction as databases do.
JOURNAL = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
data = os.open("data", os.O_RDWR | os.O_CREAT)
os.pwrite(data, b"old" * 3000, 0)
journal = os.open("data-journal", os.O_RDWR | os.O_CREAT)
os.write(journal, b"goes back to this")
os.write(1, b"ready\\n")
if signal.sigwait([signal.SIGUSR1, signal.SIGTERM]) == signal.SIGUSR1:
    os.pwrite(data, b"new" * 3000, 0)
    os.close(journal)
    os.unlink("data-journal")
    os.write(1, b"ended\\n")
    signal.pause()
assert os.pread(data, 9000, 0) == b"old" * 3000
assert os.pread(journal, 100, 0) == b"goes back to this" and os.lseek(journal, 0, 1) == 17
assert os.fstat(journal).st_ino == os.stat("data-journal").st_ino
"""


def journal(t):
    with t.fact("a_journal_that_was_open_and_is_gone_is_put_back"):
        where, store = ct.workdir("journal"), ct.workdir("store")
        p = ct.Program([ct.PYTHON, "-c", JOURNAL], where)
        p.wait_output(b"ready\n")
        s = ct.snap(p.pid, store)
        os.kill(p.pid, signal.SIGUSR1)
        p.wait_output(b"ended\n")
        p.kill9()
        pid = ct.restore_detached(s.ref, store)
        os.kill(pid, signal.SIGTERM)
        status = ct.reap(pid)
        if status:
            raise ct.Failed("status %s: %s" % (status, p.errors()))


def refused(w, store, needle, *args):
    got = ct.ckptctl("snap", "-o", store, *args, w.pid)
    if got.status != ct.EXIT_UNSUPPORTED or needle not in got.err or w.path not in got.err:
        raise ct.Failed("%r" % got)
    w.change(1)


def not_restored(ref, store, needle, *args):
    got = ct.ckptctl("restore", ref, "-o", store, *args)
    if got.status == ct.EXIT_OK or needle not in got.err:
        raise ct.Failed("%r" % got)


def led_elsewhere(t):
    top, store = ct.workdir("links"), ct.workdir("store")
    where, away, secret = (os.path.join(top, n) for n in ("where", "away", "secret"))
    for d in (where, secret):
        os.mkdir(d)
    w = Writer("write", where)
    ref = ct.snap(w.pid, store).ref
    w.change(1)
    w.kill9()
    precious = os.path.join(secret, "data")
    with open(precious, "wb") as f:
        f.write(b"precious")
    with t.fact("a_link_in_place_of_its_directory_is_not_followed"):
        os.rename(where, away)
        os.symlink(secret, where)
        os.symlink(os.path.join(away, "stdout"), os.path.join(secret, "stdout"))
        os.symlink(os.path.join(away, "stderr"), os.path.join(secret, "stderr"))
        not_restored(ref, store, "--remap")
        not_restored(ref, store, "links", "--remap", "%s=%s" % (os.path.dirname(top), os.path.dirname(top)))
        same((ct.read(precious), len(os.listdir(secret))), (b"precious", 3), "the other directory")
        os.unlink(where)
        os.rename(away, where)
    with t.fact("a_link_in_place_of_it_is_not_followed"):
        os.rename(w.path, w.path + ".mine")
        os.symlink(precious, w.path)
        not_restored(ref, store, w.path)
        same(ct.read(precious), b"precious", "the other file")
        os.unlink(w.path)
        os.rename(w.path + ".mine", w.path)
    with t.fact("a_name_that_leads_to_a_file_with_more_names_is_not_written_to"):
        os.rename(w.path, w.path + ".mine")
        os.link(precious, w.path)
        not_restored(ref, store, "is another file now, which has more names")
        same(ct.read(precious), b"precious", "the other file")
        os.unlink(w.path)
        os.rename(w.path + ".mine", w.path)
    with t.fact("a_file_of_another_user_in_its_place_is_not_written_to"):
        content = ct.read(w.path)
        os.chown(w.path, 1234, -1)
        not_restored(ref, store, "belongs to user 1234")
        same(ct.read(w.path), content, "the file")
        os.chown(w.path, 0, -1)
        w.back(ref, store)
        w.end()
    with t.fact("a_remapped_directory_is_where_it_is_put_back"):
        w.program.forget()
        os.rename(where, away)
        w.path = os.path.join(away, "data")
        with open(w.path, "r+b") as f:
            f.write(b"changed")
        pid = ct.restore_detached(ref, store, "--remap", "%s=%s" % (where, away))
        os.kill(pid, signal.SIGKILL)
        ct.reap(pid)
        same(names(away), ["data", "data.newer.1", "data.newer.2"], "files")


def choices(t):
    where, store = ct.workdir("choices"), ct.workdir("store")
    w = Writer("write", where)
    with t.fact("what_may_not_be_kept_is_refused_with_the_choices"):
        refused(w, store, "--files=auto", "--files", "truncate")
        refused(w, store, "cannot be cloned", "--files", "reflink")
        refused(w, store, "--files-limit", "--files-limit", "100K")
        same(ct.tree(store), [], "the store")
        # the hole does not count
        s = ct.snap(w.pid, store, "--files-limit", "250K")
        if not 0 < s.info["files"]["copied_bytes"] <= 250 << 10:
            raise ct.Failed("%r" % s.info["files"])
    with t.fact("a_file_open_by_two_names_is_refused"):
        os.link(w.path, w.path + "2")
        other = ct.Program([ct.PYTHON, "-c", "import os, time\n"
                            "a = os.open('data', os.O_RDWR); b = os.open('data2', os.O_RDWR)\n"
                            "print('ready', flush=True)\ntime.sleep(1000)"], where)
        other.wait_output(b"ready\n")
        got = ct.ckptctl("snap", "-o", store, other.pid)
        if got.status != ct.EXIT_UNSUPPORTED or "is %s too, which" % w.path not in got.err:
            raise ct.Failed("%r" % got)
        other.kill9()
    with t.fact("a_file_not_kept_has_to_be_what_it_was"):
        s = ct.snap(w.pid, store, "--files", "none")
        same(s.info["files"]["kept"], 0, "kept")
        w.change(1)
        w.kill9()
        got = ct.ckptctl("restore", s.ref, "-o", store)
        if got.status == ct.EXIT_OK or "has changed since the snapshot" not in got.err:
            raise ct.Failed("%r" % got)


def on_disk(t, kind, clones):
    if not ct.has_file_system(kind):
        t.skip("on_" + kind, "this kernel has no %s" % kind)
        return
    with t.fact("on_%s_it_is_%s" % (kind, "cloned" if clones else "copied")):
        store = ct.workdir("store")
        with ct.file_system(kind) as mount:
            for how in ("write", "map"):
                where = os.path.join(mount, how)
                os.mkdir(where)
                w = Writer(how, where)
                w.change(2)
                was = w.hash()
                args = ("--files-limit", "4K") if clones else ()
                s = ct.snap(w.pid, store, *args)
                same(s.info["files"]["cloned"], int(clones), "cloned")
                w.change(2)
                newer, _ = w.kill9()
                w.back(s.ref, store)
                same(w.hash(), was, "what it tells of the file")
                same(ct.read(w.path + ".newer.1"), newer, "the newer one")
                w.change(1)
                w.end()
                w.program.forget()


def when_synced(t):
    with t.fact("the_image_says_when_the_files_were_synced"):
        where, store = ct.workdir("synced"), ct.workdir("store")
        w = Writer("write", where)
        for when in ("strict", "none", "after"):
            s = ct.snap(w.pid, store, "--barrier", when)
            same((s.info["barrier"]["mode"], s.info["barrier"]["files"] > 0), (when, when != "none"), "told")
            got = json.loads(ct.ckptctl("show", "--json", "-o", store, s.ref).out)["snapshot"]
            same((got["barrier"], got["barrier_files"] > 0), (when, when != "none"), "in the image")
        w.change(1)
        w.end()


def main(t):
    for how in ("write", "map"):
        put_back(t, how)
    generations(t)
    left_alone(t)
    beside(t)
    journal(t)
    led_elsewhere(t)
    choices(t)
    when_synced(t)
    for kind, clones in (("ext4", False), ("xfs", True), ("btrfs", True)):
        on_disk(t, kind, clones)


ct.run(main)
