#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: counts=full timeout=900
"""PostgreSQL under pgbench, both in one tree: a server of many processes, its clients, their connections.

A transfer changes an account, a teller, a branch and the history by the same amount.  So what the server
answers when pgbench has ended shows whether a transaction was lost, done twice, or by halves.  Snapshotted
while they work: left running; or killed by it, and restored, also on a copy of the data directory.
"""
import os
import pwd
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

BIN = "/usr/lib/postgresql/15/bin"
CLIENTS, TRANSACTIONS = 4, ct.full(2000, 80)
PORT = 54329
USER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

# What initdb leaves as it is: 128 MB of shared memory, POSIX shared memory for parallel queries.
CONFIG = """
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
autovacuum_naptime = 2s
""" % PORT

# The root of the tree: the server and, when that answers, the clients.  "ready": all of them are connected.
SCRIPT = r"""
export PGHOST=127.0.0.1 PGPORT=%(port)d PATH=%(bin)s:$PATH
postgres -D data >server.log 2>&1 &
until pg_isready -q; do sleep 0.1; done
pgbench -n -c %(clients)d -j 2 -t %(transactions)d bench >pgbench.log 2>&1 &
clients=$!
connected="select count(*) from pg_stat_activity where application_name = 'pgbench'"
until [ "$(psql -At -c "$connected" postgres)" = %(clients)d ]; do sleep 0.1; done
echo ready
wait $clients
echo "pgbench $?"
psql -At bench -c 'select sum(abalance) from pgbench_accounts' \
	-c 'select sum(bbalance) from pgbench_branches' -c 'select sum(tbalance) from pgbench_tellers' \
	-c 'select sum(delta), count(*) from pgbench_history' >sums
pg_amcheck --heapallindexed bench >amcheck.log 2>&1
echo "amcheck $?"
kill -INT %%1
wait %%1
echo "server $?"
"""


def run(where, *argv):
    env = dict(os.environ, LC_ALL="C", PGHOST="127.0.0.1", PGPORT=str(PORT))
    got = subprocess.run(USER + list(argv), cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         stdin=subprocess.DEVNULL, check=False, env=env)
    if got.returncode:
        raise ct.Failed("%s: %r" % (argv[0], got.stdout))


def own(where):
    """The user's, and nobody else's: what a server asks of its directory."""
    user = pwd.getpwnam("postgres")
    os.chown(where, user.pw_uid, user.pw_gid)


def template():
    """A cluster with pgbench's tables, made once; each run has a copy."""
    where = ct.workdir("cluster")
    own(where)
    run(where, BIN + "/initdb", "-D", "data", "-A", "trust", "-N", "--no-instructions")
    with open(os.path.join(where, "data", "postgresql.conf"), "a") as f:
        f.write(CONFIG)
    run(where, BIN + "/pg_ctl", "-D", "data", "-l", "log", "-w", "start")
    run(where, BIN + "/createdb", "bench")
    run(where, BIN + "/psql", "-c", "create extension amcheck", "bench")
    run(where, BIN + "/pgbench", "-q", "-i", "-s", "1", "bench")
    run(where, BIN + "/pg_ctl", "-D", "data", "-w", "stop")
    return os.path.join(where, "data")


def prepare(cluster, where):
    copy(cluster, where)
    own(where)
    return USER + ["/bin/bash", "-c", SCRIPT % {
        "bin": BIN, "port": PORT, "clients": CLIENTS, "transactions": TRANSACTIONS}]


def copy(what, where):
    subprocess.run(["cp", "-a", what, where], check=True)


def answer(where):
    """Four sums that have to be one; how many transfers; how all of them ended."""
    said, log = ct.text(os.path.join(where, "stdout")), ct.text(os.path.join(where, "pgbench.log"))
    sums = ct.text(os.path.join(where, "sums"), "").split()
    total, count = sums[-1].split("|") if sums else ("", "0")
    if len(sums) != 4 or set(sums[:3]) != {total} or "failed transactions: 0 (" not in log or \
            "processed: %d/" % (CLIENTS * TRANSACTIONS) not in log:
        raise ct.Failed("%s\nsums %s\n%s\n%s" % (said, sums, log, last(where, "server.log")))
    if "amcheck 0\n" not in said:
        raise ct.Failed(last(where, "amcheck.log"))
    return ("%s transfers, %s" % (count, said)).encode()


def last(where, name):
    return ct.text(os.path.join(where, name), "")[-1500:]


def moved(t, job):
    """What is there at the restore was copied behind the snapshot: other inodes, same bytes and times."""
    with t.fact("pgbench_snapped_and_killed_restored_on_a_copy_of_its_data_answers_the_same"):
        p, s, store = ct.snapped(t, job, True)
        if p.wait_end() != -signal.SIGKILL:
            raise ct.Failed("snap --kill: not ended by SIGKILL")
        ct.end_children()
        data, kept = os.path.join(p.cwd, "data"), ct.workdir("copy")
        copy(data, kept)
        shutil.rmtree(data)
        copy(os.path.join(kept, "data"), p.cwd)
        ct.Restored(s.ref, store, p.cwd).finish()
        job.check(p.cwd)


def main(t):
    if not os.path.exists(BIN + "/pgbench"):
        t.skip("postgresql_is_there", "no postgresql-15")
        return
    if subprocess.run(["modprobe", "tcp_diag"], check=False).returncode:
        raise ct.Failed("no module tcp_diag")
    cluster = template()
    job = ct.Job("pgbench", lambda where: prepare(cluster, where), answer, metric="time", span=(0.4, 0.7),
                 started=b"ready\n", snap_args=["--tree"])
    ct.both_ways(t, job, restored=0, running=ct.full(10, 2), kill=ct.full(3, 0))
    for _ in range(ct.full(5, 1) if job.want else 0):
        moved(t, job)


ct.run(main)
