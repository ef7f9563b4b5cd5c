#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: counts=full timeout=600
"""A Go program, esbuild: a runtime with a scheduler, collector and poller of its own, on all processors.

It bundles many generated modules into one file.  Snapshotted at random moments, killed and restored, or left
running: the bundle is the same, byte for byte.
"""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

ESBUILD = "/usr/bin/esbuild"
MODULES = ct.full(5000, 500)

MODULE = """
%(imports)s
const table%(n)d = [%(numbers)s];
export class Shape%(n)d {
	#sides = table%(n)d.map((side, index) => ({ side, index, name: `side ${side} of %(n)d` }));
	area(scale = %(n)d) { return this.#sides.reduce((sum, { side }) => sum + side ** 2 * scale, 0); }
	async *each() { for (const { side, ...rest } of this.#sides) yield rest?.index ?? side; }
}
export const make%(n)d = (...args) => new Shape%(n)d(...args).area() + (%(calls)s);
"""


def prepare(where):
    for n in range(MODULES):
        below = [x for x in (2 * n + 1, 2 * n + 2) if x < MODULES]
        with open(os.path.join(where, "m%d.js" % n), "w") as f:
            f.write(MODULE % {
                "n": n, "numbers": ", ".join(str(n * i % 997) for i in range(400)),
                "imports": "".join('import { make%d } from "./m%d.js";\n' % (x, x) for x in below),
                "calls": " + ".join("make%d()" % x for x in below) or "0"})
    return [ESBUILD, "--bundle", "--minify", "--target=es2018", "--sourcemap", "--log-level=error",
            "--outfile=bundle.js", "m0.js"]


def answer(where):
    return "".join("%s %s\n" % (n, hashlib.sha256(ct.read(os.path.join(where, n))).hexdigest())
                   for n in ("bundle.js", "bundle.js.map")).encode()


def main(t):
    if not os.path.exists(ESBUILD):
        t.skip("esbuild_is_there", "no esbuild")
        return
    job = ct.Job("esbuild", prepare, answer, span=(0.1, 0.9))
    ct.both_ways(t, job, restored=ct.full(5, 1), running=ct.full(5, 1), kill=ct.full(2, 0))


ct.run(main)
