# SPDX-License-Identifier: GPL-2.0-only
"""pause: how long a program stands still for a snapshot, for fork(), and for CRIU.

One program, bench/target.c, which is never at rest. In turn, so that whatever else the machine does
hits all alike: it writes all its pages and forks; it writes all its pages and is snapshotted. CRIU
comes last, if it is there and can dump on this kernel.

Three views of the same pause: fork() as timed by the program around the call, the module's own
figure (freeze until thaw) with its parts, and the longest gap that the program saw in its own time.
"""
import errno
import fcntl
import os
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TARGET = os.path.join(TOP, "build/bench/target")
DEADLINE = 600		# for an answer of the target, seconds: gives up on a hang, judges nothing

# <linux/ckpt.h>
CKPT_SNAP, CKPT_STATS = 0xbc02, 0xbc22
SNAP = struct.Struct("=IIiIiIiiQ")
STATS = struct.Struct("=II6Q6I6QII3Q")
STATS_FIELDS = ("size flags pause freeze state copy arm barrier threads parked asleep woken retries "
		"canceled armed armed_huge copied zero faulted state_bytes full reserved parent dirty "
		"uncovered").split()
PARTS = ("freeze", "state", "copy", "arm")


def add_options(p):
	p.add_argument("--sizes", default="64,256,1024", metavar="MIB,...",
		       help="memory of the program (default 64,256,1024)")
	p.add_argument("--runs", type=int, default=10, help="for each size (default 10)")
	p.add_argument("--criu-runs", type=int, default=3, help="dumps by CRIU for each size (default 3)")
	p.add_argument("--thp", action="store_true", help="also with 2 MiB pages")
	p.add_argument("--no-criu", action="store_true", help="leave CRIU out")


class Target:
	"""bench/target, running."""

	def __init__(self, tmp, mib, pages, *more):
		self.mib = mib
		fifo = os.path.join(tmp, "fifo")
		if not os.path.exists(fifo):
			os.mkfifo(fifo)
			# A program on a network file system is nothing CRIU could dump.
			shutil.copy(TARGET, tmp)
		# For writing too, so that it never ends between two answers.
		self.fifo = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
		self.text = b""
		# CRIU wants a session leader without terminals or pipes to others.
		self.proc = subprocess.Popen([os.path.join(tmp, "target"), fifo, str(mib), pages, *more], cwd=tmp,
					     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
					     stderr=subprocess.DEVNULL, start_new_session=True)
		self._line("ready")

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.proc.kill()
		self.proc.wait()
		os.close(self.fifo)

	def _line(self, word):
		end = time.monotonic() + DEADLINE
		while b"\n" not in self.text:
			left = min(1, end - time.monotonic())
			if left <= 0:
				raise RuntimeError(f"target: no answer \"{word}\" in {DEADLINE} s")
			if self.proc.poll() is not None:
				raise RuntimeError(f"target ended with {self.proc.returncode}, waiting for \"{word}\"")
			if select.select([self.fifo], [], [], left)[0]:
				self.text += os.read(self.fifo, 4096)
		line, self.text = self.text.split(b"\n", 1)
		got = line.decode().split()
		if got[0] != word:
			raise RuntimeError(f"target said \"{line.decode()}\" instead of \"{word}\"")
		return [int(n) for n in got[1:]]

	def _ask(self, sig, word):
		self.proc.send_signal(sig)
		return self._line(word)

	def write(self):
		self._ask(signal.SIGUSR2, "written")

	def fork_ns(self):
		return self._ask(signal.SIGUSR1, "fork")[0]

	def gap_ns(self):
		return self._ask(signal.SIGHUP, "gap")[0]

	def touch(self):
		"""[nanoseconds, page faults] that it took to write to some pages."""
		return self._ask(signal.SIGWINCH, "touched")


def read_stats(fd, target):
	"""The module's figures of snapshot @fd of @target."""
	raw = bytearray(STATS.size)
	STATS.pack_into(raw, 0, STATS.size, *[0] * (len(STATS_FIELDS) - 1))
	fcntl.ioctl(fd, CKPT_STATS, raw)
	stats = dict(zip(STATS_FIELDS, STATS.unpack(raw)))
	# What is held and what is left out must be all there is, else the figures mean nothing.
	if stats["armed"] + stats["copied"] + stats["parent"] < target.mib << 8:
		raise RuntimeError(f"the snapshot lacks pages of {target.mib << 8}: {stats}")
	return stats


def snapshot(device, target):
	"""Takes one and drops it. Returns the module's figures."""
	cmd = bytearray(SNAP.size)
	for left in range(20, -1, -1):
		SNAP.pack_into(cmd, 0, SNAP.size, 0, target.proc.pid, 0, 0, 0, 0, 0, 0)
		try:
			fcntl.ioctl(device, CKPT_SNAP, cmd)
			break
		except OSError as e:
			if e.errno != errno.EAGAIN or not left:
				raise RuntimeError(f"CKPT_SNAP: {e.strerror}, reason {SNAP.unpack(cmd)[5]}") from e
	fd = SNAP.unpack(cmd)[4]
	try:
		return read_stats(fd, target)
	finally:
		os.close(fd)


def sample(device, target, into):
	target.write()
	into["fork"].append(target.fork_ns())
	target.write()
	stats = snapshot(device, target)
	into["gap"].append(target.gap_ns())
	for name in ("pause",) + PARTS:
		into[name].append(stats[name])


def criu_missing(opt):
	"""Why CRIU is not to be measured, or None."""
	if opt.no_criu:
		return "not asked for"
	if not shutil.which("criu"):
		return "not installed"
	# It wants to know about sockets and the network, also for a program that has none.
	subprocess.run(["/sbin/modprobe", "-aq", "unix_diag", "tcp_diag", "udp_diag", "inet_diag", "raw_diag",
			"netlink_diag", "af_packet_diag", "nf_tables", "tun", "veth"], check=False)
	return None


def criu_dump(target, tmp, into):
	target.write()
	why, ns = criu_times(target.proc.pid, tmp, target.gap_ns)
	if why:
		return why
	into["criu_gap"].append(ns["gap"])
	for name in ("freezing", "frozen"):
		into["criu_" + name].append(ns[name])
	return None


def criu_times(pid, tmp, gap_ns=None):
	"""One dump of a process and its descendants, thrown away: why there is none, or nanoseconds by name.

	gap_ns tells, right after it, how long the target was still.
	"""
	images = os.path.join(tmp, "criu")
	os.mkdir(images)
	try:
		done = subprocess.run(["criu", "dump", "-t", str(pid), "-D", images, "--leave-running",
				       "--display-stats", "-o", "log"], stdin=subprocess.DEVNULL, check=False,
				      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
		if done.returncode:
			return why_not(os.path.join(images, "log")) or done.stdout.strip(), None
		ns = {"gap": gap_ns()} if gap_ns else {}
		for name in ("freezing", "frozen"):
			us = re.search(rf"{name} time: (\d+) us", done.stdout, re.IGNORECASE)
			if not us:
				return "its statistics are not understood: " + done.stdout.strip(), None
			ns[name] = int(us[1]) * 1000
		return None, ns
	finally:
		shutil.rmtree(images)


def why_not(log):
	try:
		with open(log, encoding="utf-8", errors="replace") as f:
			errors = [line.split("Error", 1)[1].strip(" :\n") for line in f if "Error" in line]
	except FileNotFoundError:
		return None
	return errors[-1] if errors else None


def measure(opt, tmp):
	sizes = [16] if opt.quick else [int(s) for s in opt.sizes.split(",")]
	runs, criu_runs = (2, 1) if opt.quick else (opt.runs, opt.criu_runs)
	criu = criu_missing(opt)
	rows = []
	device = os.open("/dev/ckpt", os.O_RDWR | os.O_CLOEXEC)
	try:
		for pages in ("4k", "thp") if opt.thp else ("4k",):
			for mib in sizes:
				row = {"mib": mib, "pages": pages, "ns": {}}
				ns = row["ns"]
				for name in ("fork", "pause", "gap", "criu_freezing", "criu_frozen", "criu_gap") + PARTS:
					ns[name] = []
				with Target(tmp, mib, pages) as target:
					for _ in range(runs):
						sample(device, target, ns)
					for _ in range(criu_runs):
						criu = criu or criu_dump(target, tmp, ns)
				summarize(row)
				rows.append(row)
	finally:
		os.close(device)
	return {"runs": runs, "criu_runs": criu_runs, "criu_not_measured": criu, "rows": rows}


def summarize(row):
	row["median_ns"] = {k: statistics.median(v) for k, v in row["ns"].items() if v}
	mid, low = row["median_ns"], {k: min(v) for k, v in row["ns"].items() if v}
	row["pause_by_fork"] = {"median": mid["pause"] / mid["fork"], "min": low["pause"] / low["fork"]}
	if "criu_frozen" in mid:
		row["pause_by_criu"] = {k: v["pause"] / (v["criu_freezing"] + v["criu_frozen"])
					for k, v in (("median", mid), ("min", low))}


def ms(ns):
	value = ns / 1e6
	return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(samples):
	if not samples:
		return "-"
	return " ".join(ms(f(samples)) for f in (min, statistics.median, max))


def table(head, rows):
	widths = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
	return "\n".join("  ".join(c.ljust(w) if not i else c.rjust(w)
				   for i, (c, w) in enumerate(zip(r, widths))) for r in [head] + rows)


def text(result):
	of_criu = "" if result["criu_not_measured"] else f" ({result['criu_runs']} of CRIU)"
	lines = [f"pause: milliseconds, min median max of {result['runs']} runs{of_criu}; "
		 "ratios of medians (of minima)"]
	rows, parts = [], []
	for row in result["rows"]:
		ns, mid = row["ns"], row["median_ns"]
		name = f"{row['mib']} MiB {row['pages']}"
		by_criu = row.get("pause_by_criu")
		criu = [a + b for a, b in zip(ns["criu_freezing"], ns["criu_frozen"])]
		rows.append([name, spread(ns["fork"]), spread(ns["pause"]), spread(criu),
			     "{median:.2f} ({min:.2f})".format(**row["pause_by_fork"]),
			     "{median:.3f} ({min:.3f})".format(**by_criu) if by_criu else "-"])
		parts.append([name] + [ms(mid[p]) for p in PARTS] +
			     [ms(mid["pause"] - sum(mid[p] for p in PARTS)), spread(ns["gap"]), spread(ns["criu_gap"])])
	lines.append(table(["memory", "fork()", "ckpt pause", "CRIU frozen", "ckpt/fork", "ckpt/CRIU"], rows))
	lines += ["", "parts of ckpt's pause (medians), and the longest gap the program itself saw meanwhile"]
	lines.append(table(["memory", *PARTS, "rest", "gap ckpt", "gap CRIU"], parts))
	if result["criu_not_measured"]:
		lines += ["", f"CRIU: {result['criu_not_measured']}"]
	return "\n".join(lines)
