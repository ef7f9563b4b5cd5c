#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""hashchain.py MB STEPS: a chain of SHA-256 through MB megabytes of live Python objects.

Each step takes an object the last hash points to, hashes it in and puts another in its place, of
another type and size, so that the interpreter's allocator and reference counts are at work all the
time. A line every twentieth of the steps; the sum over all objects last. Same output in every run.
"""
import hashlib
import os
import sys


def make(i, h):
	"""An object of about 4 KiB that follows from i and h."""
	kind = i % 4
	if kind == 0:
		return h * (96 + i % 64)
	if kind == 1:
		return [h[j % 32:] + bytes([j & 255]) for j in range(60 + i % 8)]
	if kind == 2:
		return {j: (h.hex(), j * 1.5) for j in range(20 + i % 8)}
	return (h.hex() * 32, int.from_bytes(h * 8, "little"), [None, i, -i])


def say(text):
	os.write(1, text.encode() + b"\n")


def main():
	mb, steps = int(sys.argv[1]), int(sys.argv[2])
	h = hashlib.sha256(b"ckpt").digest()
	objects = [make(i, hashlib.sha256(b"%d" % i).digest()) for i in range(mb * 256)]
	say("ready")
	for n in range(1, steps + 1):
		at = int.from_bytes(h[:6], "little") % len(objects)
		h = hashlib.sha256(h + repr(objects[at]).encode()).digest()
		objects[at] = make(n, h)
		if n * 20 % steps < 20:
			say("%d %s" % (n, h.hex()))
	end = hashlib.sha256(h)
	for o in objects:
		end.update(repr(o)[:64].encode())
	say("end " + end.hexdigest())


main()
