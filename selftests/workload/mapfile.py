#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""mapfile.py FILE ROUNDS - count in a file that is mapped shared, and in memory, side by side"""
import mmap
import os
import sys

PAGES = 64

path, rounds = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
os.ftruncate(fd, PAGES * mmap.PAGESIZE)
memory = mmap.mmap(fd, PAGES * mmap.PAGESIZE)
os.close(fd)
own = [0] * PAGES
print("ready", flush=True)
for n in range(rounds):
	page = n % PAGES
	at = page * mmap.PAGESIZE
	count = int.from_bytes(memory[at:at + 8], "little")
	if count != own[page]:
		sys.exit("page %d: the file says %d, memory %d" % (page, count, own[page]))
	own[page] += 1
	memory[at:at + 8] = own[page].to_bytes(8, "little")
print("in step", sum(own))
