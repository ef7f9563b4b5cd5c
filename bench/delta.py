# SPDX-License-Identifier: GPL-2.0-only
"""delta: what a snapshot of what has changed costs, beside fork() and CRIU's soft-dirty tracking.

One program, bench/target.c, writes to some of its pages between two generations. For each: how long the
program stood still, how many pages the delta holds, and what tracking cost the program meanwhile: page
faults, and the time that its writes took. The same writes without any tracking, and fork() of the
program with all pages written, are measured in the same run.
"""
import fcntl
import os
import re
import shutil
import statistics
import struct
import subprocess

import pause

# <linux/ckpt.h>
CKPT_SNAP, CKPT_COMMIT = 0xbc02, 0xbc24
SNAPSHOT_TRACK = 2
SNAP = struct.Struct("=IIiIiIiiQ16sII")
COMMIT = struct.Struct("=II16s")
COMMIT_PIN = 1
FULL_NO, FULL_ASKED = 0, 2

FIGURES = ("fork plain_touch plain_faults whole delta delta_pages ckpt_touch ckpt_faults "
	   "criu criu_pages criu_touch criu_faults").split()


def add_options(p):
	p.add_argument("--delta-sizes", default="1024", metavar="MIB,...",
		       help="memory of the program (default 1024)")
	p.add_argument("--delta-pages", type=int, default=1000,
		       help="pages written between two generations (default 1000)")


def identity(generation):
	return generation.to_bytes(16, "little")


def snap(device, target, generation):
	"""Generation @generation, a delta from the second on. Returns the module's figures."""
	cmd = bytearray(SNAP.size)
	SNAP.pack_into(cmd, 0, SNAP.size, SNAPSHOT_TRACK, target.proc.pid, 0, 0, 0, 0, 0, 0,
		       identity(generation - 1), 0, 0)
	fcntl.ioctl(device, CKPT_SNAP, cmd)
	fd, full = SNAP.unpack(cmd)[4], SNAP.unpack(cmd)[10]
	try:
		if full != (FULL_NO if generation > 1 else FULL_ASKED):
			raise RuntimeError(f"generation {generation} is whole, because of {full}")
		fcntl.ioctl(fd, CKPT_COMMIT, bytearray(COMMIT.pack(COMMIT.size, COMMIT_PIN, identity(generation))))
		return pause.read_stats(fd, target)
	finally:
		os.close(fd)


def touch(target, figures, who):
	ns, faults = target.touch()
	figures[who + "_touch"].append(ns)
	figures[who + "_faults"].append(faults)


def generations(device, target, runs, figures):
	target.write()
	figures["whole"].append(snap(device, target, 1)["pause"])
	for generation in range(2, runs + 2):
		touch(target, figures, "ckpt")
		stats = snap(device, target, generation)
		figures["delta"].append(stats["pause"])
		figures["delta_pages"].append(stats["armed"] + stats["copied"])


def criu_dump(target, images, last):
	"""One generation of CRIU's: its figures, or why not."""
	cmd = ["criu", "pre-dump", "-t", str(target.proc.pid), "-D", images, "--track-mem", "--display-stats",
	       "-o", "log"]
	if last:
		cmd += ["--prev-images-dir", os.path.relpath(last, images)]
	done = subprocess.run(cmd, stdin=subprocess.DEVNULL, check=False, stdout=subprocess.PIPE,
			      stderr=subprocess.STDOUT, text=True)
	if done.returncode:
		return None, (pause.why_not(os.path.join(images, "log")) or done.stdout.strip() or
			      f"it ended with {done.returncode}")
	found = {k.lower(): int(v) for k, v in
		 re.findall(r"(freezing time|frozen time|memory pages written): (\d+)", done.stdout, re.IGNORECASE)}
	if len(found) != 3:
		return None, "its statistics are not understood: " + done.stdout.strip()
	return found, None


def criu_generations(target, tmp, runs, figures):
	"""Why CRIU could not be measured, or None."""
	last = why = None
	for nr in range(runs + 1):
		images = os.path.join(tmp, f"criu-{nr}")
		os.mkdir(images)
		if last:
			touch(target, figures, "criu")
		found, why = criu_dump(target, images, last)
		if why:
			break
		if last:
			figures["criu"].append(1000 * (found["freezing time"] + found["frozen time"]))
			figures["criu_pages"].append(found["memory pages written"])
		# Of the one before the last nothing is asked any more, and memory is short.
		if nr:
			shutil.rmtree(os.path.join(tmp, f"criu-{nr - 1}"))
		last = images
	for nr in range(runs + 1):
		shutil.rmtree(os.path.join(tmp, f"criu-{nr}"), ignore_errors=True)
	return why


def measure(opt, tmp):
	sizes = [16] if opt.quick else [int(s) for s in opt.delta_sizes.split(",")]
	runs, criu_runs = (2, 1) if opt.quick else (opt.runs, opt.criu_runs)
	criu = pause.criu_missing(opt)
	rows = []
	device = os.open("/dev/ckpt", os.O_RDWR | os.O_CLOEXEC)
	try:
		for pages in ("4k", "thp") if opt.thp else ("4k",):
			for mib in sizes:
				figures = {name: [] for name in FIGURES}
				with pause.Target(tmp, mib, pages, str(opt.delta_pages)) as target:
					for _ in range(runs):
						target.write()
						touch(target, figures, "plain")
						figures["fork"].append(target.fork_ns())
					generations(device, target, runs, figures)
				if not criu:
					with pause.Target(tmp, mib, pages, str(opt.delta_pages)) as target:
						criu = criu_generations(target, tmp, criu_runs, figures)
				median = {k: statistics.median(v) for k, v in figures.items() if v}
				rows.append({"mib": mib, "pages": pages, "figures": figures, "median": median,
					     "delta_by_fork": median["delta"] / median["fork"]})
	finally:
		os.close(device)
	return {"runs": runs, "criu_runs": criu_runs, "pages": opt.delta_pages, "criu_not_measured": criu,
		"rows": rows}


def count(samples):
	return f"{statistics.median(samples):.0f}" if samples else "-"


def text(result):
	lines = [f"delta: {result['pages']} pages written between two generations; milliseconds, min median max "
		 f"of {result['runs']} runs"]
	pauses, costs = [], []
	for row in result["rows"]:
		f, name = row["figures"], f"{row['mib']} MiB {row['pages']}"
		pauses.append([name] + [pause.spread(f[k]) for k in ("fork", "whole", "delta", "criu")] +
			      [f"{row['delta_by_fork']:.3f}"])
		for who, pages in (("plain", None), ("ckpt", "delta_pages"), ("criu", "criu_pages")):
			costs.append([f"{name}, {who}", count(f[who + "_faults"]), pause.spread(f[who + "_touch"]),
				      count(f[pages]) if pages else "-"])
	lines.append(pause.table(["memory", "fork()", "whole", "delta", "CRIU pre-dump", "delta/fork"], pauses))
	lines += ["", "what it cost the program meanwhile, and pages in the delta (medians)"]
	lines.append(pause.table(["tracked by", "page faults", "its writes", "pages"], costs))
	if result["criu_not_measured"]:
		lines += ["", f"CRIU: {result['criu_not_measured']}"]
	return "\n".join(lines)
