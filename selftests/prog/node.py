#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=900
"""A Node.js server with a thread of its own, timers and a listening socket.

Asked over HTTP while it runs, snapshotted when no connection is open, asked on, killed, restored: it is where
it was, to the number, and serves again.
"""
import http.client
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

NODE = "/usr/bin/node"
PORT = 18471
ROUNDS = ct.full(6, 1)

# A chain of digests, one for each /step, of which the thread does every other part; timers beat meanwhile.
SERVER = r"""
const { Worker, isMainThread, parentPort } = require('worker_threads');
const crypto = require('crypto');
const digest = (text) => crypto.createHash('sha256').update(text).digest('hex');
if (!isMainThread) {
	let seen = 0;
	parentPort.on('message', (m) => parentPort.postMessage({ seen: ++seen, hash: digest(m) }));
} else {
	const worker = new Worker(__filename);
	const heap = new Map();
	const waiting = [];
	let chain = 'begin', steps = 0, beats = 0;
	setInterval(() => { beats++; }, 20);
	worker.on('message', (m) => {
		chain = digest(chain + m.hash + m.seen);
		heap.set(++steps, Buffer.alloc(1000, chain));
		waiting.shift()();
	});
	const summary = () => {
		let all = crypto.createHash('sha256');
		for (const [n, b] of heap) all.update(String(n)).update(b);
		return { steps, chain, heap: all.digest('hex'), beats };
	};
	require('http').createServer((request, response) => {
		const answer = () => {
			response.setHeader('Connection', 'close');
			response.end(JSON.stringify(summary()));
		};
		if (request.url === '/step') { waiting.push(answer); worker.postMessage(chain); } else answer();
	}).listen(%d, '127.0.0.1', () => process.stdout.write('ready\n'));
}
""" % PORT


def ask(path):
    """The server's answer; the connection is gone when this returns, on its side too."""
    c = http.client.HTTPConnection("127.0.0.1", PORT, timeout=ct.DEADLINE)
    c.request("GET", path)
    got = json.loads(c.getresponse().read())
    c.close()
    ct.wait_for(lambda: not connections(), "the connection to be gone")
    return got


def connections():
    """Those of the port that some process has still open."""
    lines = [x.split() for x in ct.text("/proc/net/tcp").split("\n")[1:] if x]
    mine = "0100007F:%04X" % PORT
    return [x for x in lines if mine in x[1:3] and x[9] != "0" and x[3] != "0A"]


def steps(n):
    for _ in range(n):
        got = ask("/step")
    return got


def same(got, want, what):
    for k in ("steps", "chain", "heap"):
        if got[k] != want[k]:
            raise ct.Failed("%s: %s: got %s, want %s" % (what, k, got[k], want[k]))


def start():
    where = ct.workdir("node")
    with open(os.path.join(where, "server.js"), "w") as f:
        f.write(SERVER)
    p = ct.Program([NODE, "server.js"], where)
    p.wait_output(b"ready\n")
    return p


def left_running(p):
    store = ct.workdir("store")
    before = steps(20)
    for _ in range(3):
        ct.snap(p.pid, store, "-n", "job")
        same(ask("/"), before, "right after the snapshot")
        before = steps(5)


def killed_and_restored(p):
    """What it answers after the snapshot it answers again after the restore."""
    store = ct.workdir("store")
    before = steps(20)
    ref = ct.snap(p.pid, store, "-n", "job").ref
    after = steps(10)
    p.kill9()
    pid = ct.restore_detached(ref, store)
    back = ask("/")
    same(back, before, "restored")
    if back["beats"] < before["beats"]:
        raise ct.Failed("its timer went back from %d to %d" % (before["beats"], back["beats"]))
    same(steps(10), after, "ten steps on")
    ct.wait_for(lambda: ask("/")["beats"] > back["beats"], "its timer to beat")
    os.kill(pid, 9)
    ct.reap(pid)


def main(t):
    if not os.path.exists(NODE):
        t.skip("node_is_there", "no nodejs")
        return
    for way, rounds in ((left_running, 1), (killed_and_restored, ROUNDS)):
        for _ in range(rounds):
            with t.fact("a_node_server_%s_serves_on_as_it_was" % way.__name__):
                p = start()
                way(p)
                if not p.ended():
                    p.kill9()


ct.run(main)
