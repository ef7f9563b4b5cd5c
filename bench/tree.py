# SPDX-License-Identifier: GPL-2.0-only
"""tree: how long a tree of processes stands still for `ckptctl snap --tree`, for CRIU, and all their fork()s.

One program, bench/forest.c: so many processes, with as much memory each.  In turn it writes all of it and
forks, each of its processes in turn; and it writes all of it and is snapshotted.  CRIU comes last.  The parts
are those of snap's own account; what grows faster than the number of processes is more for each of them.
"""
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import time

import pause

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
FOREST = os.path.join(TOP, "build/bench/forest")
CKPTCTL = os.environ.get("CKPTCTL") or os.path.join(TOP, "build/ckptctl")
PARTS = ("freeze", "sharers", "capture", "examine", "shared", "files", "thaw")


def add_options(p):
	p.add_argument("--processes", default="1,10,50", metavar="N,...", help="sizes of the tree (default 1,10,50)")
	p.add_argument("--tree-mib", type=int, default=4, metavar="MIB", help="memory of each process (default 4)")
	p.add_argument("--tree-runs", type=int, default=5, metavar="N", help="for each size (default 5)")


class Forest:
	def __init__(self, tmp, processes, mib):
		self.fifo = os.path.join(tmp, "forest.fifo")
		if not os.path.exists(self.fifo):
			os.mkfifo(self.fifo)
			shutil.copy(FOREST, tmp)
		self.proc = subprocess.Popen([os.path.join(tmp, "forest"), self.fifo, str(processes), str(mib)], cwd=tmp,
					     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
					     stderr=subprocess.DEVNULL, start_new_session=True)
		self._line("ready")

	def __enter__(self):
		return self

	def __exit__(self, *_):
		os.killpg(self.proc.pid, signal.SIGKILL)
		self.proc.wait()

	def _line(self, word):
		end = time.monotonic() + pause.DEADLINE
		fd = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
		try:
			text = b""
			while b"\n" not in text:
				if time.monotonic() > end or self.proc.poll() is not None:
					raise RuntimeError(f"forest: no answer \"{word}\"")
				if select.select([fd], [], [], 0.1)[0]:
					text += os.read(fd, 4096)
				# At the end of a file, until somebody opens it.
				time.sleep(0.001)
		finally:
			os.close(fd)
		got = text.decode().split()
		if got[0] != word:
			raise RuntimeError(f"forest said \"{text.decode()}\" instead of \"{word}\"")
		return int(got[1])

	def fork_ns(self):
		"""All have written to their memory before they fork."""
		self.proc.send_signal(signal.SIGUSR1)
		return self._line("fork")


def snap(forest, tmp, into, processes):
	store = os.path.join(tmp, "store")
	try:
		done = subprocess.run([CKPTCTL, "snap", "--tree", "--json", "--no-readback", "-o", store,
				       str(forest.proc.pid)], check=False, stdin=subprocess.DEVNULL,
				      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
		if done.returncode:
			raise RuntimeError("snap: " + done.stderr.strip())
		got = json.loads(done.stdout)
	finally:
		shutil.rmtree(store, ignore_errors=True)
	if got["tree"]["processes"] != processes:
		raise RuntimeError(f"the snapshot has {got['tree']['processes']} of {processes} processes")
	into["pause"].append(got["pause"]["total_ns"])
	for part in PARTS:
		into[part].append(got["tree"][part + "_ns"])


def criu_dump(forest, tmp, into):
	forest.fork_ns()
	why, ns = pause.criu_times(forest.proc.pid, tmp)
	if not why:
		into["criu"].append(ns["freezing"] + ns["frozen"])
	return why


def measure(opt, tmp):
	sizes = [3] if opt.quick else [int(s) for s in opt.processes.split(",")]
	runs, criu_runs = (2, 1) if opt.quick else (opt.tree_runs, opt.criu_runs)
	criu = pause.criu_missing(opt)
	rows = []
	for processes in sizes:
		ns = {name: [] for name in ("fork", "pause", "criu") + PARTS}
		with Forest(tmp, processes, opt.tree_mib) as forest:
			for _ in range(runs):
				ns["fork"].append(forest.fork_ns())
				snap(forest, tmp, ns, processes)
			for _ in range(criu_runs):
				criu = criu or criu_dump(forest, tmp, ns)
		mid = {k: statistics.median(v) for k, v in ns.items() if v}
		rows.append({"processes": processes, "ns": ns, "median_ns": mid, "pause_by_fork": mid["pause"] / mid["fork"],
			     "pause_by_criu": mid["pause"] / mid["criu"] if "criu" in mid else None})
	return {"mib": opt.tree_mib, "runs": runs, "criu_runs": criu_runs, "criu_not_measured": criu, "rows": rows}


def text(result):
	lines = [f"tree: {result['mib']} MiB in each process; milliseconds, min median max of {result['runs']} runs "
		 f"({result['criu_runs']} of CRIU); ratios of medians"]
	rows, parts = [], []
	for row in result["rows"]:
		ns, mid, n = row["ns"], row["median_ns"], row["processes"]
		rows.append([str(n), pause.spread(ns["fork"]), pause.spread(ns["pause"]), pause.spread(ns["criu"]),
			     f"{row['pause_by_fork']:.2f}",
			     f"{row['pause_by_criu']:.3f}" if row["pause_by_criu"] else "-"])
		parts.append([str(n)] + [pause.ms(mid[p]) for p in PARTS] +
			     [pause.ms(mid["pause"] - sum(mid[p] for p in PARTS)), pause.ms(mid["pause"] / n)])
	lines.append(pause.table(["processes", "fork() of each", "ckpt pause", "CRIU frozen", "ckpt/fork", "ckpt/CRIU"],
				 rows))
	lines += ["", "parts of ckpt's pause (medians), and all of it for each process"]
	lines.append(pause.table(["processes", *PARTS, "rest", "pause/N"], parts))
	if result["criu_not_measured"]:
		lines += ["", f"CRIU: {result['criu_not_measured']}"]
	return "\n".join(lines)
