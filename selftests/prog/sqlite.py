#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""sqlite3 in the middle of transactions on a database file.

The database is changed in place.  After `snap --kill` it is as the image has it and the restore goes on,
journal and locks included.  Left running it changes its file further, and is killed in the middle of
that: the restore puts back the file of the snapshot and takes away a journal that came later.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

TRANSACTIONS = ct.full(200, 40)
ROWS = ct.full(1000, 300)

SETUP = """
PRAGMA cache_size = 50;
CREATE TABLE item (id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
CREATE INDEX item_k ON item (k);
CREATE TABLE total (n INTEGER PRIMARY KEY, items INTEGER, sum INTEGER);
SELECT 'ready';
"""

# A small page cache makes sqlite spill dirty pages into the file before the commit: the journal is
# needed if it were to die there.
TRANSACTION = """
BEGIN IMMEDIATE;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows})
INSERT INTO item (k, v) SELECT (i * {odd}) % 10007, hex(i * {n}) || printf('%0100d', i) FROM c;
UPDATE item SET v = v || '-{n}' WHERE k % 17 = {n} % 17 AND id > (SELECT max(id) FROM item) - 2000;
DELETE FROM item WHERE k % 23 = {n} % 23;
INSERT INTO total SELECT {n}, count(*), sum(k) FROM item;
COMMIT;
SELECT n, items, sum FROM total WHERE n = {n};
"""


def write_script(path):
    with open(path, "w") as f:
        f.write(SETUP)
        for n in range(1, TRANSACTIONS + 1):
            f.write(TRANSACTION.format(n=n, rows=ROWS, odd=2 * n + 1))
        f.write("PRAGMA integrity_check;\nSELECT 'end';\n")


def prepare(where):
    path = os.path.join(where, "script.sql")
    write_script(path)
    return ["/usr/bin/sqlite3", "-batch", "-bail", "test.db"], path


def answer(where):
    """What it printed, and every row the database has."""
    import sqlite3
    db = sqlite3.connect(os.path.join(where, "test.db"))
    rows = repr(list(db.execute("SELECT * FROM item ORDER BY id"))).encode()
    db.close()
    return ct.read(os.path.join(where, "stdout")) + rows


def left_running(t, job, moments):
    with t.fact("sqlite_left_running_answers_the_same"):
        p = job.start()
        store = ct.workdir("store")
        tried = 0
        for amount in sorted(job.moment() for _ in range(moments)):
            if job.reach(p, amount):
                ct.snap(p.pid, store)
                tried += 1
        if not tried:
            raise ct.Failed("it ended before the first snapshot")
        p.finish()
        job.check(p.cwd)


def ran_on(job, clones):
    """Snapped, gone on to change the file, killed, restored; twice from the same image."""
    p = job.start()
    store = ct.workdir("store")
    if not job.reach(p, random.uniform(0.05, 0.4) * job.total):
        raise ct.Failed("it ended before the snapshot")
    s = ct.snap(p.pid, store)
    if bool(s.info["files"]["cloned"]) != clones:
        raise ct.Failed("%r" % s.info["files"])
    job.reach(p, random.uniform(0.5, 0.9) * job.total)
    p.kill9()
    for _ in range(2):
        ct.restore(s.ref, store)
        job.check(p.cwd)


def ran_on_here(t, job, times):
    with t.fact("sqlite_that_ran_on_and_was_killed_is_restored_exactly"):
        for _ in range(times):
            ran_on(job, False)


def ran_on_disk(t, job, kind, clones, times):
    name = "sqlite_that_ran_on_and_was_killed_is_restored_exactly_on_" + kind
    if not ct.has_file_system(kind):
        t.skip(name, "this kernel has no " + kind)
        return
    with t.fact(name), ct.file_system(kind) as mount:
        saved, ct.TMP = ct.TMP, mount
        try:
            for _ in range(times):
                ran_on(job, clones)
        finally:
            ct.TMP = saved


def main(t):
    job = ct.Job("sqlite", prepare, answer=answer, metric="lines", span=(0.05, 0.8),
                 started=b"ready\n")
    ct.both_ways(t, job, restored=0, running=0, kill=ct.full(5, 1))
    if job.want:
        left_running(t, job, ct.full(5, 2))
        ran_on_here(t, job, ct.full(3, 1))
        for kind, clones in (("ext4", False), ("xfs", True), ("btrfs", True)):
            if ct.FULL or kind == "xfs":
                ran_on_disk(t, job, kind, clones, ct.full(3, 1))


ct.run(main)
