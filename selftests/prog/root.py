#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""restore --root: a program goes on in a directory that is its root, with the files that are there."""
import os
import shutil
import signal
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

COUNT = ct.full(200000000, 40000000)


def start():
    p = ct.Program([ct.prog("counter"), str(int(COUNT * ct.SLOW)), "256"], ct.workdir("counter"))
    ct.wait_for(lambda: p.output().count(b"\n") > 2, "its first lines")
    return p


def furnish(root, pid, cwd):
    """With all that the program has mapped, and its directory."""
    for line in ct.text("/proc/%d/maps" % pid).splitlines():
        path = line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
        if path.startswith("/") and not os.path.exists(root + path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            shutil.copy2(path, root + path)
    shutil.copytree(cwd, root + cwd)


def main(t):
    store, root = ct.workdir("store"), ct.workdir("root")
    p = start()
    p.finish()
    whole = p.output()
    p = start()
    ref = ct.snap(p.pid, store).ref
    furnish(root, p.pid, p.cwd)
    p.kill9()
    before = p.output()
    with t.fact("what_is_missing_there_is_named"):
        got = ct.ckptctl("restore", "--detach", ref, "-o", store, "--root", root)
        if not got.status or "/dev/null" not in got.err:
            raise ct.Failed("%r" % got)
    with t.fact("a_root_that_is_not_there_is_named"):
        got = ct.ckptctl("restore", "--detach", ref, "-o", store, "--root", root + "/nowhere")
        if not got.status or root + "/nowhere" not in got.err:
            raise ct.Failed("%r" % got)
    os.makedirs(root + "/dev", exist_ok=True)
    os.mknod(root + "/dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with t.fact("it_ends_as_it_would_have_with_the_files_there"):
        pid = ct.restore_detached(ref, store, "--root", root)
        os.kill(pid, signal.SIGSTOP)
        seen = os.readlink("/proc/%d/root" % pid), os.readlink("/proc/%d/exe" % pid)
        os.kill(pid, signal.SIGCONT)
        if seen != (root, root + ct.prog("counter")):
            raise ct.Failed("its root and executable are %s, %s" % seen)
        if ct.reap(pid):
            raise ct.Failed("how it ended")
        got = ct.read(root + p.out)
        if got != whole:
            raise ct.Failed(ct.difference(got, whole))
    with t.fact("the_files_here_are_not_touched"):
        if p.output() != before:
            raise ct.Failed("%r" % p.output())
    with t.fact("of_wait_and_detach_the_last_counts"):
        shutil.rmtree(root + p.cwd)
        shutil.copytree(p.cwd, root + p.cwd)
        got = ct.ckptctl("restore", "--detach", "--wait", ref, "-o", store, "--root", root)
        if got.status or got.out or ct.read(root + p.out) != whole:
            raise ct.Failed("%r" % got)


ct.run(main)
