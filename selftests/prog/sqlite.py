#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=400
"""sqlite3 in the middle of transactions on a database file.

The database is changed in place, so after `snap --kill` it is as the image has it and the restore goes
on, journal and locks included.  Without --kill the file would be newer than the image: then the answer
is either a restore that is exact or a refusal that names the file, and never a mixture.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

TRANSACTIONS = ct.full(200, 60)
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


def snap_or_refusal(t, p, store):
    """Without --kill: a snapshot if it comes between transactions, else a refusal by name."""
    got = ct.ckptctl("snap", "-o", store, p.pid)
    if got.status == ct.EXIT_OK:
        return True
    if got.status != ct.EXIT_UNSUPPORTED or "test.db" not in got.err:
        raise ct.Failed("neither a snapshot nor a refusal that names test.db: %r" % got)
    t.diag(got.err.strip().split("\n")[-1])
    return False


def left_running(t, job, moments):
    with t.fact("sqlite_left_running_answers_the_same_snapped_or_refused"):
        p = job.start()
        store = ct.workdir("store")
        tried = 0
        for amount in sorted(job.moment() for _ in range(moments)):
            if job.reach(p, amount):
                snap_or_refusal(t, p, store)
                tried += 1
        if not tried:
            raise ct.Failed("it ended before the first snapshot")
        p.finish()
        job.check(p.cwd)


def ran_on(t, job):
    """Snapped without --kill, gone on to change the file, killed: exact, or refused by name."""
    with t.fact("sqlite_that_ran_on_is_restored_exactly_or_refused_by_name"):
        p = job.start()
        store = ct.workdir("store")
        job.reach(p, job.moment())
        if not snap_or_refusal(t, p, store):
            p.finish()
            job.check(p.cwd)
            return
        ref = ct.listing(store)[0]
        job.reach(p, random.uniform(0.1, 0.3) * job.total)
        p.kill9()
        got = ct.ckptctl("restore", ref, "-o", store)
        if got.status == ct.EXIT_OK:
            job.check(p.cwd)
        elif "test.db" not in got.err:
            raise ct.Failed("refused without a name: %r" % got)


def main(t):
    job = ct.Job("sqlite", prepare, answer=answer, metric="lines", span=(0.05, 0.8),
                 started=b"ready\n")
    ct.both_ways(t, job, restored=0, running=0, kill=ct.full(5, 2))
    if job.want:
        left_running(t, job, ct.full(5, 2))
        ran_on(t, job)


ct.run(main)
