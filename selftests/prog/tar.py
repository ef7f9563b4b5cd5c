#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A job brought from one store to another through a pipe is restored there; one that was cut is not there."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct


def pipe(store, other, ref, *more):
    """export | import, both of which must succeed."""
    with subprocess.Popen([ct.CKPTCTL, "export", "--tar", "-", "-o", store, ref], stdout=subprocess.PIPE) as p:
        got = subprocess.run([ct.CKPTCTL, "import", "-o", other, *more, "-"], stdin=p.stdout, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=ct.DEADLINE)
    if p.returncode or got.returncode:
        raise ct.Failed("export %d, import %d: %r" % (p.returncode, got.returncode, got.stderr))


def snapped(job, where):
    """Three generations of a run, and the run; again if it ended before the last moment came."""
    for i in range(5):
        store, p = os.path.join(where, "a%d" % i), job.start()
        try:
            for amount in sorted(job.moment() for _ in range(3)):
                job.reach(p, amount)
                ct.snap(p.pid, store, "-n", "job")
            return p, store
        except ct.Gone:
            p.finish()
    raise ct.Failed("the program ended before the moments to snap it, five times over")


def main(t):
    job = ct.Job("hashchain", lambda where: [ct.PYTHON, ct.script("hashchain.py"), "20", "1900"],
                 started=b"ready\n", span=(0.05, 0.4))
    job.reference()
    where = ct.workdir("stores")
    p, store = snapped(job, where)
    other = os.path.join(where, "b")
    p.kill9()
    with t.fact("an_archive_that_was_cut_leaves_nothing"):
        whole, cut = os.path.join(where, "tar"), os.path.join(where, "cut")
        got = ct.ckptctl("export", "--tar", whole, "-o", store, "job")
        if got.status != ct.EXIT_OK or os.stat(whole).st_mode & 0o7777 != 0o600:
            raise ct.Failed("%r" % got)
        with open(whole, "rb") as f, open(cut, "wb") as to:
            to.write(f.read(os.path.getsize(whole) - 1024))
        got = ct.ckptctl("import", "-o", other, cut)
        if got.status != ct.EXIT_FAILED or os.path.exists(other):
            raise ct.Failed("%r, and the store: %r" % (got, os.path.exists(other)))
    with t.fact("what_came_through_a_pipe_answers_the_same"):
        pipe(store, other, "job")
        os.rename(store, store + ".gone")
        ct.verify("job", other)
        ct.restore("job", other)
        job.check(p.cwd)
    with t.fact("by_another_name_too"):
        pipe(other, other, "job", "-n", "copy")
        if ct.listing(other) != ["copy@%d" % n for n in range(1, 4)] + ["job@%d" % n for n in range(1, 4)]:
            raise ct.Failed("%r" % ct.listing(other))
        ct.restore("copy@2", other)
        job.check(p.cwd)


ct.run(main)
