#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Restores among users who do not trust each other: whose rights, whose image, whose files."""
import glob
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

NOBODY = 65534
DROP = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
# What somebody needs who is to restore programs of his own, and no more.
RESTORER = DROP + ["--inh-caps=+checkpoint_restore", "--ambient-caps=+checkpoint_restore"]


def endless(where, prefix=()):
    p = ct.Program([*prefix, ct.prog("counter"), "0", "256"], where)
    p.wait_output(b"ready\n")
    return p


def open_to_all(where):
    """Its files are no secret, so that it does not fail by these."""
    os.chmod(where, 0o755)
    for name in os.listdir(where):
        os.chmod(os.path.join(where, name), 0o666)


def taken(p):
    """Snapped and ended: reference, store, path of the image."""
    store = ct.workdir("store")
    ref = ct.snap(p.pid, store, "--kill").ref
    p.wait_end()
    return ref, store, glob.glob(os.path.join(store, "*", "*.ckpt"))[0]


def refused(words, pid, *args, **kw):
    got = ct.ckptctl("restore", *args, **kw)
    if got.status != ct.EXIT_FAILED or not re.search(words, got.err):
        raise ct.Failed("%r wanted: %r" % (words, got))
    if os.path.exists("/proc/%d" % pid):
        raise ct.Failed("something runs as %d: %s" % (pid, ct.text("/proc/%d/cmdline" % pid, "")))


def end_in_order(pid, p):
    os.kill(pid, signal.SIGTERM)
    if ct.reap(pid) or not p.output().endswith(b"in order\n"):
        raise ct.Failed("it says %r" % p.output())


def status(pid, *fields):
    text = ct.text("/proc/%d/status" % pid)
    return {f: re.search(r"^%s:\s*(.*)$" % f, text, re.M).group(1) for f in fields}


RIGHTS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")


def credentials(t):
    with t.fact("an_image_of_a_users_program_restored_by_root_has_that_users_rights"):
        p = endless(ct.workdir("counter"), DROP + ["--no-new-privs"])
        before = status(p.pid, *RIGHTS)
        ref, store, _ = taken(p)
        pid = ct.restore_detached(ref, store)
        after = status(pid, *RIGHTS)
        end_in_order(pid, p)
        if after != before or before["Uid"].split() != [str(NOBODY)] * 4:
            raise ct.Failed("was %r, is %r" % (before, after))

    with t.fact("an_image_of_roots_program_gives_a_user_no_rights"):
        where = ct.workdir("counter")
        p = endless(where)
        ref, store, image = taken(p)
        open_to_all(where)
        mine = os.path.join(ct.workdir("mine"), "image")
        with open(mine, "wb") as f:
            f.write(ct.read(image))
        os.chmod(os.path.dirname(mine), 0o755)
        os.chmod(mine, 0o644)
        refused("credentials", p.pid, mine, prefix=RESTORER)
        pid = ct.restore_detached(ref, store)
        end_in_order(pid, p)

    with t.fact("an_image_is_closed_to_those_who_do_not_own_it"):
        p = endless(ct.workdir("counter"))
        ref, store, image = taken(p)
        refused("[Pp]ermission denied", p.pid, image, prefix=RESTORER)
        refused("[Pp]ermission denied", p.pid, ref, "-o", store, prefix=RESTORER)


def trust(t):
    p = endless(ct.workdir("counter"))
    ref, store, image = taken(p)
    job = os.path.dirname(image)
    for what, fact in ((image, "an_image_of_somebody_else_is_not_run"),
                       (job, "an_image_in_a_job_of_somebody_else_is_not_run"),
                       (store, "an_image_in_a_store_of_somebody_else_is_not_run")):
        with t.fact(fact):
            os.chown(what, NOBODY, NOBODY)
            refused("%s: belongs to user %d" % (re.escape(what), NOBODY), p.pid, ref, "-o", store)
            if ct.ckptctl("verify", ref, "-o", store).status or ct.listing(store) != [ref]:
                raise ct.Failed("it cannot even be looked at")
            if what == image:
                refused("belongs to user %d" % NOBODY, p.pid, image)
            os.chown(what, 0, 0)
    with t.fact("an_image_others_can_write_to_is_not_run"):
        os.chmod(image, 0o666)
        refused("others may write to it", p.pid, image)
        os.chmod(image, 0o600)
        end_in_order(ct.restore_detached(ref, store), p)
    with t.fact("a_snapshot_into_a_store_of_somebody_else_is_not_taken"):
        p = endless(ct.workdir("counter"))
        os.chown(store, NOBODY, NOBODY)
        before = ct.tree(store)
        got = ct.ckptctl("snap", "-o", store, p.pid)
        if got.status != ct.EXIT_FAILED or "belongs to user" not in got.err or \
                ct.files(store) != [x for x in before if x[0].endswith(".ckpt")]:
            raise ct.Failed("%r, %s" % (got, ct.tree(store)))
        os.kill(p.pid, signal.SIGTERM)
        p.finish()


def planted(t):
    """In the place of its output file, for whoever opens it to hang in."""
    with t.fact("a_fifo_in_the_place_of_a_file_is_refused_and_not_waited_for"):
        p = endless(ct.workdir("counter"))
        ref, store, _ = taken(p)
        os.rename(p.out, p.out + ".old")
        os.mkfifo(p.out)
        refused(re.escape(p.out) + " is not the kind of file it was", p.pid, ref, "-o", store)
        os.rename(p.out + ".old", p.out)
        end_in_order(ct.restore_detached(ref, store), p)


def main(t):
    credentials(t)
    trust(t)
    planted(t)


ct.run(main)
