#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Stores that cannot take an image: the snap fails with the reason and leaves nothing behind."""
import contextlib
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


@contextlib.contextmanager
def mounted(options):
    """A small file system of its own."""
    where = ct.workdir("mount")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ckpt-test", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


def remount(where, options):
    subprocess.run(["mount", "-o", "remount," + options, where], check=True)


def fails(p, store, words, *args):
    got = ct.ckptctl("snap", "-o", store, *args, p.pid)
    if got.status != ct.EXIT_FAILED or not re.search(words, got.err, re.I):
        raise ct.Failed("status %d and %r wanted: %r" % (ct.EXIT_FAILED, words, got))


def runs_on(p):
    before = p.cpu()
    ct.wait_for(lambda: p.ended() or p.cpu() > before, "the target to run on")
    if p.ended():
        raise ct.Failed("the target ended: %r" % p.output())


def full_disk(t, p):
    with t.fact("a_full_disk_fails_the_snap_and_keeps_what_was_there"), mounted("size=1m") as store:
        fails(p, store, "no space")
        if ct.tree(store):
            raise ct.Failed("left behind: %s" % ct.tree(store))
        runs_on(p)
    with t.fact("a_generation_survives_a_later_one_that_found_the_disk_full"), \
            mounted("size=256m") as store:
        s = ct.snap(p.pid, store, "-n", "job")
        before = ct.files(store)
        used = sum(size for _, size, _ in before)
        remount(store, "size=%dk" % (used // 1024 + 600))
        fails(p, store, "no space", "-n", "job")
        if ct.files(store) != before or ct.listing(store) != [s.ref]:
            raise ct.Failed("not as before: %s, %s" % (ct.files(store), before))
        ct.verify(s.ref, store)
        runs_on(p)


def read_only(t, p):
    with t.fact("a_read_only_store_fails_the_snap"), mounted("size=64m,ro") as store:
        fails(p, store, "read-only")
        runs_on(p)


def no_store(t, p):
    with t.fact("a_store_below_a_missing_directory_fails_the_snap"):
        where = ct.workdir("none")
        fails(p, os.path.join(where, "a", "b"), "no such file|does not exist")
        if ct.tree(where):
            raise ct.Failed("made on the way: %s" % ct.tree(where))
    with t.fact("a_store_that_is_a_file_fails_the_snap"):
        path = os.path.join(ct.workdir("file"), "store")
        with open(path, "w") as f:
            f.write("mine")
        fails(p, path, "not a directory")
        if ct.text(path) != "mine":
            raise ct.Failed("the file was touched")
    with t.fact("a_link_in_the_store_is_not_followed"):
        store, aside = ct.workdir("store"), ct.workdir("aside")
        os.symlink(aside, os.path.join(store, "job"))
        fails(p, store, ".", "-n", "job")
        if ct.tree(aside):
            raise ct.Failed("written through the link: %s" % ct.tree(aside))


def image_is_private(t, p):
    with t.fact("an_image_is_readable_by_its_owner_only"):
        store = ct.workdir("store")
        old = os.umask(0)
        try:
            ct.snap(p.pid, store)
        finally:
            os.umask(old)
        modes = {n: os.stat(os.path.join(store, n)).st_mode & 0o777 for n, _, _ in ct.tree(store)}
        if any(m & 0o077 for m in modes.values()):
            raise ct.Failed("modes: %s" % {n: oct(m) for n, m in modes.items()})


def main(t):
    # incompressible enough that a megabyte does not hold it
    p = ct.Program([ct.prog("counter"), "0", "16384"], ct.workdir("counter"))
    p.wait_output(b"ready\n")
    full_disk(t, p)
    read_only(t, p)
    no_store(t, p)
    image_is_private(t, p)
    with t.fact("the_target_of_all_that_is_unharmed"):
        os.kill(p.pid, signal.SIGTERM)
        p.finish()
        if p.output() != b"ready\nin order\n":
            raise ct.Failed("it says %r" % p.output())


ct.run(main)
