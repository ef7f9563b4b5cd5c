# SPDX-License-Identifier: GPL-2.0-only
"""throughput: how fast a program's memory gets to a disk: ckptctl snap, CRIU, and plain copies of as much.

One program, bench/target.c, half of whose memory does not compress. In each round, in turn, so that
whatever else the machine does hits all alike: whole snapshots of it, compressed or not, by all
processors or by one; a dump by CRIU, which is synced afterwards; and the same bytes by cp and by dd, synced
too. All onto one disk, from an empty page cache, with nothing in the background. A figure is the program's
memory by the time until it is safe on the disk, so what compresses can be faster than the disk.
"""
import json
import os
import shutil
import statistics
import subprocess
import time

import pause

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
CKPTCTL = os.environ.get("CKPTCTL") or os.path.join(TOP, "build/ckptctl")
SCRATCH = "/scratch"		# of tools/vm --disk

# Name, options of snap, whether one processor has to do.
SNAPS = (
	("snap", (), False),
	("snap --compress=none", ("--compress=none",), False),
	("snap, 1 processor", (), True),
	("snap --compress=none, 1 processor", ("--compress=none",), True),
	("snap --no-readback", ("--no-readback",), False),
	("snap --no-readback --compress=none", ("--no-readback", "--compress=none"), False),
)
CRIU, CP, DD = "criu dump, sync", "cp, sync", "dd conv=fsync"
BASE = DD


def add_options(p):
	p.add_argument("--throughput-mib", type=int, default=256, metavar="MIB",
		       help="memory of the program (default 256)")
	p.add_argument("--throughput-runs", type=int, default=5, metavar="N",
		       help="rounds (default 5)")
	p.add_argument("--disk", metavar="DIR",
		       help=f"a directory on the disk to write to (default {SCRATCH}, else a temporary one)")


def call(argv):
	done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
			      text=True, check=False)
	if done.returncode:
		raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
	return done.stdout


def used(path):
	"""Bytes of all files below @path."""
	return sum(os.path.getsize(os.path.join(base, n)) for base, _, names in os.walk(path) for n in names)


def snap(target, where, more, alone):
	cmd = [CKPTCTL, "snap", "--json", "--full", "--untracked", "-o", where, "-n", "job", *more,
	       str(target.proc.pid)]
	told = json.loads(call(["taskset", "-c", "0", *cmd] if alone else cmd))
	if told["memory"]["data_pages"] < target.mib << 8:
		raise RuntimeError(f"the image lacks pages of {target.mib << 8}: {told['memory']}")


def criu(target, where):
	argv = ["criu", "dump", "-t", str(target.proc.pid), "-D", where, "--leave-running", "-o", "log"]
	done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
			      text=True, check=False)
	if done.returncode:
		raise RuntimeError(pause.why_not(os.path.join(where, "log")) or done.stdout.strip())
	call(["sync", "-f", where])


def copy(source, where):
	call(["cp", source, os.path.join(where, "copy")])
	call(["sync", "-f", where])


def dd(source, where):
	call(["dd", f"if={source}", f"of={os.path.join(where, 'copy')}", "bs=1M", "conv=fsync"])


def timed(disk, fn):
	"""Seconds, and bytes on the disk."""
	where = os.path.join(disk, "ckpt-throughput")
	os.mkdir(where, 0o700)
	try:
		os.sync()
		with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
			f.write("3")
		begin = time.monotonic()
		fn(where)
		return time.monotonic() - begin, used(where)
	finally:
		shutil.rmtree(where)


def make_copy(target, tmp):
	"""A file of the bytes the program has, in memory."""
	path = os.path.join(tmp, "memory")
	with open(f"/proc/{target.proc.pid}/maps", encoding="ascii", errors="replace") as f:
		spans = [tuple(int(x, 16) for x in line.split()[0].split("-")) for line in f]
	start = next(a for a, b in spans if b - a >= target.mib << 20)
	with open(f"/proc/{target.proc.pid}/mem", "rb") as memory, open(path, "wb") as out:
		memory.seek(start)
		for _ in range(target.mib):
			out.write(memory.read(1 << 20))
	return path


def measure(opt, tmp):
	mib, runs = (16, 1) if opt.quick else (opt.throughput_mib, opt.throughput_runs)
	disk = opt.disk or (SCRATCH if os.path.ismount(SCRATCH) else tempfile_dir())
	no_criu = pause.criu_missing(opt)
	rows = {}

	def note(name, fn):
		seconds, size = timed(disk, fn)
		row = rows.setdefault(name, {"seconds": [], "bytes": []})
		row["seconds"].append(seconds)
		row["bytes"].append(size)

	with pause.Target(tmp, mib, "4k", "1000", "half") as target:
		source = make_copy(target, tmp)
		for _ in range(runs):
			target.write()
			for name, more, alone in SNAPS:
				note(name, lambda where, m=more, a=alone: snap(target, where, m, a))
			if not no_criu:
				try:
					note(CRIU, lambda where: criu(target, where))
				except RuntimeError as e:
					no_criu = str(e)
			note(CP, lambda where: copy(source, where))
			note(DD, lambda where: dd(source, where))
	summarize(rows, mib)
	return {"mib": mib, "runs": runs, "disk": disk, "criu_not_measured": no_criu, "rows": rows}


def tempfile_dir():
	return os.environ.get("TMPDIR") or "/var/tmp"


def summarize(rows, mib):
	base = statistics.median(rows[BASE]["seconds"])
	for row in rows.values():
		row["mib_per_s"] = [mib / s for s in row["seconds"]]
		row["by_dd"] = base / statistics.median(row["seconds"])
		row["stored"] = statistics.median(row["bytes"]) / (mib << 20)


def text(result):
	lines = [f"throughput: {result['mib']} MiB of memory onto {result['disk']}, MiB/s until it is safe there, "
		 f"min median max of {result['runs']} runs"]
	table = []
	for name, row in result["rows"].items():
		rate = " ".join(f"{f(row['mib_per_s']):.0f}" for f in (min, statistics.median, max))
		table.append([name, rate, f"{row['by_dd']:.2f}", f"{row['stored']:.2f}"])
	lines.append(pause.table(["", "MiB/s", "of dd's", "bytes stored/memory"], table))
	if result["criu_not_measured"]:
		lines += ["", f"CRIU: {result['criu_not_measured']}"]
	return "\n".join(lines)
