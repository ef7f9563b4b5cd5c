# SPDX-License-Identifier: GPL-2.0-only
"""encryption: throughput of writing the same memory plain and encrypted, by one thread each.

bench/seal.c writes both by turns into memory and counts processor time, so that a busy host does not
count for much. Needs no module: it can be run by hand, build/bench/seal /dev/shm 256 5.
"""
import os
import statistics
import subprocess

import pause

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
LEVELS = ("auto", "1", "none")


def add_options(p):
	p.add_argument("--encryption-size", type=int, default=256, metavar="MIB", help="memory to write (default 256)")


def measure(opt, tmp):
	mib, runs = (16, 2) if opt.quick else (opt.encryption_size, opt.runs)
	done = subprocess.run([os.path.join(TOP, "build/bench/seal"), tmp, str(mib), str(runs)], check=True,
			      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
	figures = {level: {"plain": [], "encrypted": []} for level in LEVELS}
	for line in done.stdout.splitlines():
		level, plain, encrypted = line.split()
		figures[level]["plain"].append(int(plain))
		figures[level]["encrypted"].append(int(encrypted))
	rows = []
	for level, f in figures.items():
		pairs = [p / e for p, e in zip(f["plain"], f["encrypted"])]
		rows.append({"level": level, "figures": f, "ratio": statistics.median(pairs)})
	return {"mib": mib, "runs": runs, "rows": rows}


def rate(mib, ns):
	return f"{mib * 1e9 / statistics.median(ns):.0f}"


def text(result):
	lines = [f"encryption: {result['mib']} MiB by one thread, medians of {result['runs']} runs"]
	lines.append(pause.table(["--compress", "plain MiB/s", "encrypted MiB/s", "encrypted/plain"],
				 [[row["level"], rate(result["mib"], row["figures"]["plain"]),
				   rate(result["mib"], row["figures"]["encrypted"]), f"{row['ratio']:.2f}"]
				  for row in result["rows"]]))
	return "\n".join(lines)
