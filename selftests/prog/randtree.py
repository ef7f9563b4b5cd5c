#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: timeout=3600
"""Random trees of processes that share what can be shared: as they were, to others and to themselves.

Each seed is a tree (workload/randtree.c).  It is snapshotted and left running, and afterwards verifies all
that it has, or is killed; then it is restored, twice from one image, and verifies that each time.  What
/proc tells of all of it is compared before and after (lib/proctree.py), which a tree that runs on has not
changed in, either.  CKPT_TREES=SEED,SEED... takes those.
"""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct
import proctree
from fact import Fact

COUNT = ct.full(300, 2)
SHOWN = 12


def seeds():
	wanted = os.environ.get("CKPT_TREES")
	if wanted:
		return [int(s) for s in wanted.split(",")]
	return [ct.SEED * 1000 + i for i in range(COUNT)]


def look(pid):
	ct.wait_for(lambda: proctree.at_rest(pid), "the tree to be at rest")
	return proctree.look(pid)


def same(before, pid, when):
	wrong = proctree.differences(before, look(pid))
	if wrong:
		raise ct.Failed(f"{when}, {len(wrong)} differences\n" + "\n".join(wrong[:SHOWN]))


def kill_all(fact, pids):
	for pid in pids:
		os.kill(pid, signal.SIGKILL)
	fact.kill()
	all_gone(pids)


def all_gone(pids):
	ct.end_children()
	ct.wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), "all to be gone")


def verifies(fact):
	"""By itself, and that ends it."""
	os.kill(fact.pid, signal.SIGTERM)
	status = ct.reap(fact.pid) if fact.restored else fact.program.wait_end()
	said = fact.program.output()
	if status or said != b"ready\nas it was\n":
		raise ct.Failed(f"status {status}, it says {said} {fact.program.errors()}")


def one_tree(t, seed):
	fact = Fact("randtree", "--tree", env={"RANDTREE_SEED": str(seed)})
	before = look(fact.pid)
	pids = before["order"]
	t.diag(f"{len(pids)} processes")
	fact.snap()
	same(before, fact.pid, "left running")
	if seed % 2:
		verifies(fact)
		all_gone(pids)
	else:
		kill_all(fact, pids)
	for n in range(2):
		fact.restore()
		same(before, fact.pid, f"restored, time {n + 1}")
		verifies(fact)
		all_gone(pids)
	ct.drop_workdir(fact.store)
	ct.drop_workdir(fact.program.cwd)


def main(t):
	for seed in seeds():
		with t.fact(f"the_tree_of_seed_{seed}_is_as_it_was"):
			one_tree(t, seed)
		ct.Program.end_all()


ct.run(main)
