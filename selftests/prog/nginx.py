#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=600
"""Debian's nginx, a master and two workers, under load (wrk, and clients that look at what they get): no
request fails while it is snapshotted, whether its connection is kept or its own.  Killed and restored it serves again, and its master still has its
workers in hand: it replaces them when told to, and ends all of them in order.
"""
import contextlib
import http.client
import os
import re
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

NGINX = "/usr/sbin/nginx"
PORT = 18472
SNAPS = ct.full(30, 4)
BODY = bytes(i * 7 % 251 for i in range(60000))

CONFIG = """
daemon off;
worker_processes 2;
user root;
pid pid;
error_log errors notice;
events { worker_connections 64; }
http {
	access_log access;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
	server { listen 127.0.0.1:%d; root www; }
}
""" % PORT


def connection():
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=ct.DEADLINE)


def get(c):
    c.request("GET", "/file")
    return c.getresponse().read()


def serves():
    with contextlib.suppress(OSError, http.client.HTTPException):
        return get(connection()) == BODY
    return False


class Load(threading.Thread):
    """Requests without end; what went wrong with any of them is kept."""

    def __init__(self, kept):
        super().__init__(daemon=True)
        self.kept, self.done, self.wrong, self.stop = kept, 0, [], False

    def run(self):
        c = connection()
        while not self.stop:
            if not self.kept:
                c.close()
                c = connection()
            try:
                if get(c) != BODY:
                    self.wrong.append("another file")
            except (OSError, http.client.HTTPException) as err:
                self.wrong.append(repr(err))
                c = connection()
            self.done += 1
        c.close()


class Wrk:
    """Eight connections that are kept, as many requests as there is time for."""

    def __init__(self):
        where = ct.workdir("wrk")
        self.p = ct.Program(["/usr/bin/wrk", "-t2", "-c8", "-d1h", "--timeout", "%ds" % ct.DEADLINE,
                             "http://127.0.0.1:%d/file" % PORT], where)

    def end(self):
        """How many requests were answered."""
        os.kill(self.p.pid, signal.SIGINT)
        if self.p.wait_end():
            raise ct.Failed("wrk: %s" % self.p.errors())
        said = self.p.output().decode()
        wrong = re.findall(r"Socket errors:.*|Non-2xx.*", said)
        done = re.search(r"(\d+) requests in", said)
        if wrong or not done or not int(done[1]):
            raise ct.Failed("wrk: %s" % (wrong or said))
        return int(done[1])


def start():
    where = ct.workdir("nginx")
    with open(os.path.join(where, "conf"), "w") as f:
        f.write(CONFIG)
    os.mkdir(os.path.join(where, "www"))
    with open(os.path.join(where, "www", "file"), "wb") as f:
        f.write(BODY)
    p = ct.Program([NGINX, "-p", where, "-e", "errors", "-c", "conf"], where)

    def up():
        if p.ended():
            raise ct.Failed("nginx ended: %s" % log(p))
        return serves() and len(workers(p.pid)) == 2
    ct.wait_for(up, "nginx to serve")
    return p


def log(p):
    return ct.text(os.path.join(p.cwd, "errors"), "")


def workers(pid):
    return set(ct.text("/proc/%d/task/%d/children" % (pid, pid), "").split())


def in_order(p):
    """Nothing it would complain of."""
    bad = [line for line in log(p).splitlines() if not re.search(r"\[notice\]", line)]
    if bad:
        raise ct.Failed("its log: %s" % bad[:3])


def under_load(t, p, store):
    wrk, loads = Wrk(), [Load(n % 2) for n in range(2)]
    for load in loads:
        load.start()
    for _ in range(SNAPS):
        before = [load.done for load in loads]
        ct.snap(p.pid, store, "--tree", "--tcp=close", "-n", "job")
        ct.wait_for(lambda: all(load.done > n for load, n in zip(loads, before)), "requests to be served")
    for load in loads:
        load.stop = True
    for load in loads:
        load.join()
    wrong = sum((load.wrong for load in loads), [])
    t.diag("%d requests, %d of wrk, %d snapshots" % (sum(load.done for load in loads), wrk.end(), SNAPS))
    if wrong:
        raise ct.Failed("%d requests failed: %s" % (len(wrong), wrong[:3]))
    in_order(p)


def restored(p, store):
    """With a connection that is kept, which it has lost then."""
    c = connection()
    if get(c) != BODY:
        raise ct.Failed("it does not serve")
    ref = ct.snap(p.pid, store, "--tree", "--kill", "--tcp=close", "-n", "job").ref
    p.wait_end()
    ct.end_children()       # its workers, which are ours now
    c.close()
    ct.restore_detached(ref, store)
    ct.wait_for(serves, "it to serve again")


def main(t):
    p, store = start(), ct.workdir("store")
    with t.fact("no_request_fails_while_it_is_snapshotted"):
        under_load(t, p, store)
    with t.fact("killed_and_restored_it_serves_again"):
        restored(p, store)
        for _ in range(20):
            if not serves():
                raise ct.Failed("not always")
        in_order(p)
    with t.fact("its_master_has_its_workers_in_hand"):
        old = workers(p.pid)
        os.kill(p.pid, signal.SIGHUP)
        ct.wait_for(lambda: len(workers(p.pid)) == 2 and not workers(p.pid) & old, "new workers")
        ct.wait_for(serves, "them to serve")
        os.kill(p.pid, signal.SIGQUIT)
        if ct.reap(p.pid):
            raise ct.Failed("it does not end in order: %s" % log(p))
        in_order(p)


ct.run(main)
