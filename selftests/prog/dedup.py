#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=900
"""Programs that hold nearly the same: what they have in common is in the store once, and each comes back as it was."""
import hashlib
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

MIB = 1 << 20
COMMON = 8 * MIB
OWN = 256 << 10
PAGE = 4096

RANK = """
import hashlib, os, random, sys, time
common = random.Random(1).randbytes(%d)
own = bytearray(random.Random(int(sys.argv[1])).randbytes(%d))
print("ready", flush=True)
for step in "go", "end":
    while not os.path.exists(step):
        time.sleep(0.02)
    own[0] ^= 1
print(hashlib.sha256(common + own).hexdigest(), flush=True)
""" % (COMMON, OWN)


def answer(n):
    return hashlib.sha256(random.Random(1).randbytes(COMMON) + random.Random(n).randbytes(OWN)).hexdigest()


def start(n):
    p = ct.Program([ct.PYTHON, "-c", RANK, str(n)], ct.workdir("rank"), name="rank")
    p.wait_output(b"ready\n")
    return p


def touch(p, name):
    with open(os.path.join(p.cwd, name), "wb"):
        pass


def used(store):
    """Bytes on the disk, each file once, whatever it is."""
    seen = {}
    for where, _, names in os.walk(store):
        for name in names:
            st = os.lstat(os.path.join(where, name))
            seen[st.st_ino] = st.st_blocks * 512
    return sum(seen.values())


def comes_back(t, ranks, store):
    with t.fact("each_comes_back_as_it_was"):
        for n, p in ranks:
            touch(p, "go")
            touch(p, "end")
            ct.restore("rank%d" % n, store)
            said = ct.text(os.path.join(p.cwd, "stdout")).split()
            if said != ["ready", answer(n)]:
                raise ct.Failed("rank %d says %r" % (n, said))


def main(t):
    store, ranks = ct.workdir("store"), [(n + 2, start(n + 2)) for n in range(ct.full(64, 4))]
    with t.fact("what_they_have_in_common_is_written_once"):
        first = differ = 0
        for n, p in ranks:
            m = ct.snap(p.pid, store, "-n", "rank%d" % n, "--dedup", "--compress=none").info["memory"]
            if n == 2:
                first = m["data_pages"]
            elif m["shared_pages"] * PAGE < COMMON * 0.99:
                raise ct.Failed("of rank %d only %d pages are shared, of its own are %d" %
                                (n, m["shared_pages"], m["data_pages"]))
            else:
                differ += m["data_pages"]
        t.diag("%d of %d KiB, %d KiB differ: %d KiB on the disk" %
               (len(ranks), first * 4, differ * 4, used(store) // 1024))
        if used(store) > 1.1 * first * PAGE + differ * PAGE + len(ranks) * (256 << 10):
            raise ct.Failed("%d bytes in the store" % used(store))
    with t.fact("a_delta_shares_too"):
        n, p = ranks[1]
        touch(p, "go")
        info = ct.snap(p.pid, store, "-n", "rank%d" % n, "--dedup").info
        if not info["delta"]["parent"]:
            raise ct.Failed("no delta: %r" % info["delta"])
        ct.verify("rank%d" % n, store)
    for _, p in ranks:
        p.kill9()
    with t.fact("the_first_one_can_be_removed"):
        if ct.ckptctl("rm", "--all", "-o", store, "rank2").status or ct.ckptctl("gc", "-o", store).status:
            raise ct.Failed("rm or gc")
        for n, _ in ranks[1:]:
            ct.verify("rank%d" % n, store)
    comes_back(t, ranks[1:], store)
    with t.fact("with_the_last_of_them_all_is_gone"):
        for n, _ in ranks[1:]:
            if ct.ckptctl("rm", "--all", "-o", store, "rank%d" % n).status:
                raise ct.Failed("rm")
        left = [name for name in os.listdir(store) if name not in (".audit", ".catalogue", ".dedup")]
        if left:
            raise ct.Failed("left: %r" % left)


ct.run(main)
