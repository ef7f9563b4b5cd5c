# SPDX-License-Identifier: GPL-2.0-only
"""What a process and all that descend from it look like to others: by /proc and kcmp(2) alone.

look(pid) gives it as one structure of plain data, which does not depend on when it was taken or which
numbers the kernel gave to its own objects: two of them are equal when nobody could tell one tree from the
other.  Inodes of pipes, sockets and memory become numbers in the order of their appearance; what is shared
is told by numbers of groups.  differences(a, b) names what differs.

It knows nothing of the tools that are tested, nor of the programs.
"""
import ctypes
import functools
import os
import re

KCMP = {"files": 2, "fs": 3, "sighand": 4, "memory": 1, "io": 5, "undo": 6}
KCMP_FILE = 0
SYS_KCMP = 312
LIBC = ctypes.CDLL(None, use_errno=True)

# What counts, passes or is the machine's.
IGNORED_STATUS = ("VmPeak", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmPTE", "VmSwap", "SigQ",
		  "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", "FDSize", "Cpus_allowed",
		  "Mems_allowed", "Mems_allowed_list", "HugetlbPages", "CoreDumping", "VmPin", "VmLib", "VmExe")
# Of an open file: those of the mount and of the inode are the kernel's; times that are left run.
IGNORED_FDINFO = ("mnt_id", "ino", "it_value", "eventfd-id", "scm_fds")
# Fields of stat, by their number in proc(5).
STAT = {"ppid": 4, "pgrp": 5, "session": 6, "tty": 7, "tpgid": 8, "priority": 18, "nice": 19, "threads": 20,
	"exit_signal": 38, "rt_priority": 40, "policy": 41, "exit_code": 52}
PLAIN = ("cmdline", "environ", "limits", "oom_score_adj", "coredump_filter", "timerslack_ns", "personality",
	 "timers", "uid_map", "setgroups", "loginuid")
MAPS = re.compile(r"(\w+)-(\w+) (\S+) (\w+) (\w+:\w+) (\d+)\s*(.*)")


class Numbers:
	"""Names by order of appearance."""

	def __init__(self):
		self.seen = {}

	def of(self, kind, what):
		return f"{kind}#{self.seen.setdefault((kind, what), len(self.seen))}"


def read(path):
	with open(path, "rb") as f:
		return f.read().decode(errors="surrogateescape")


def stat(pid):
	fields = ["", ""] + read(f"/proc/{pid}/stat").rsplit(") ", 1)[1].split()
	# The state is field 3.
	return {name: int(fields[number - 1]) for name, number in STAT.items()} | {"state": fields[2]}


def children(pid):
	got = []
	for tid in os.listdir(f"/proc/{pid}/task"):
		got += [int(p) for p in read(f"/proc/{pid}/task/{tid}/children").split()]
	return sorted(got)


def pids(root):
	"""Parents before their children."""
	got = [root]
	for pid in got:
		got += children(pid)
	return got


def status(path):
	lines = dict(line.split(":", 1) for line in read(path).splitlines() if ":" in line)
	return {k: v.strip() for k, v in lines.items() if k not in IGNORED_STATUS and not k.startswith("Vm")}


def kcmp(a, b, kind, x=0, y=0):
	got = LIBC.syscall(SYS_KCMP, a, b, kind, ctypes.c_ulong(x), ctypes.c_ulong(y))
	if got < 0:
		raise OSError(ctypes.get_errno(), f"kcmp {a} {b} {kind} {x} {y}")
	return got


def groups(things, compare):
	"""By thing the first one that is the same; compare is an order."""
	order = sorted(things, key=functools.cmp_to_key(lambda a, b: (0, -1, 1)[compare(a, b)]))
	got, same = {}, []
	for thing in order:
		if same and compare(same[-1], thing):
			got |= {t: min(same) for t in same}
			same = []
		same.append(thing)
	return got | {t: min(same) for t in same}


def joined(maps):
	"""Neighbours that differ in nothing are one: which of them the kernel has joined is its own affair."""
	got = []
	for m in maps:
		last = got[-1] if got else None
		if last and last[1] == m[0] and last[2] == m[2] and last[4:] == m[4:] and \
				(not m[4] or m[4].startswith("[") or
				 int(last[3], 16) + int(last[1], 16) - int(last[0], 16) == int(m[3], 16)):
			last[1] = m[1]
		else:
			got.append(m)
	return {m[0]: m[1:] for m in got}


def shared_files(fds):
	"""By descriptor the first one of the same open file."""
	alike = {}
	for pid, fd in fds:
		alike.setdefault(os.readlink(f"/proc/{pid}/fd/{fd}"), []).append((pid, fd))
	got = {}
	for some in alike.values():
		got |= groups(some, lambda a, b: kcmp(a[0], b[0], KCMP_FILE, a[1], b[1]))
	return got


def mappings(pid, numbers):
	got = []
	for line in read(f"/proc/{pid}/smaps").splitlines():
		m = MAPS.match(line)
		if m:
			start, end, access, offset, device, inode, name = m.groups()
			if name.endswith(" (deleted)"):
				name = numbers.of("deleted", (device, inode))
			got.append([start, end, access, offset, name])
		elif line.startswith("VmFlags:"):
			# Soft-dirty is what somebody else may ask for.
			got[-1].append(" ".join(f for f in line.split()[1:] if f != "sd"))
	return joined(got)


def fd_info(pid, fd):
	got = []
	for line in read(f"/proc/{pid}/fdinfo/{fd}").splitlines():
		key = line.split(":", 1)[0]
		if key == "tfd":
			line = re.sub(r" *(pos:\S*|ino:\S*|sdev:\S*)", "", line)
		elif key == "lock":
			# Number and file aside, and whom the kernel noted: of flock(2) any of those who share it.
			line = " ".join(w for i, w in enumerate(line.split()) if i not in (1, 5, 6))
		if key not in IGNORED_FDINFO:
			got.append(line.rstrip())
	return sorted(got)


def fd_link(pid, fd, numbers):
	link = os.readlink(f"/proc/{pid}/fd/{fd}")
	st = os.stat(f"/proc/{pid}/fd/{fd}")
	m = re.match(r"(\w+):\[\d+\]$", link)
	if m:
		return numbers.of(m[1], st.st_ino)
	if link.endswith(" (deleted)"):
		return numbers.of("deleted", (st.st_dev, st.st_ino)) + f" of {st.st_size} mode {st.st_mode:o}"
	return f"{link} of {st.st_size} mode {st.st_mode:o}"


def thread(pid, tid):
	base = f"/proc/{pid}/task/{tid}"
	return {"status": status(f"{base}/status"), "comm": read(f"{base}/comm"),
		"call": read(f"{base}/syscall").split()[0]}


def process(pid, numbers, files):
	st = stat(pid)
	got = {"stat": st, "status": status(f"/proc/{pid}/status"), "comm": read(f"/proc/{pid}/comm")}
	if st["state"] == "Z":
		# It has no use for signals any more.
		got["status"] = {k: v for k, v in got["status"].items() if not re.match("Sig|ShdPnd", k)}
		return got
	for name in PLAIN:
		got[name] = read(f"/proc/{pid}/{name}")
	for name in ("cwd", "root", "exe"):
		got[name] = os.readlink(f"/proc/{pid}/{name}")
	got["namespaces"] = {n: os.readlink(f"/proc/{pid}/ns/{n}") for n in sorted(os.listdir(f"/proc/{pid}/ns"))}
	got["maps"] = mappings(pid, numbers)
	got["fds"] = {fd: {"is": fd_link(pid, fd, numbers), "info": fd_info(pid, fd), "shared": files[pid, fd]}
		      for fd in sorted(int(f) for f in os.listdir(f"/proc/{pid}/fd"))}
	got["threads"] = {int(t): thread(pid, t) for t in sorted(os.listdir(f"/proc/{pid}/task"), key=int)}
	return got


def look(root):
	all_pids = pids(root)
	living = [p for p in all_pids if stat(p)["state"] != "Z"]
	files = shared_files([(p, int(fd)) for p in living for fd in os.listdir(f"/proc/{p}/fd")])
	numbers = Numbers()
	return {"order": all_pids,
		"shared": {name: groups(living, lambda a, b, kind=kind: kcmp(a, b, kind))
			   for name, kind in KCMP.items()},
		"processes": {p: process(p, numbers, files) for p in all_pids}}


def differences(a, b, where=""):
	"""Lines that tell what is another in b."""
	if isinstance(a, dict) and isinstance(b, dict):
		return [line for k in list(a) + [k for k in b if k not in a]
			for line in differences(a.get(k), b.get(k), f"{where}/{k}")]
	if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
		return [line for i, (x, y) in enumerate(zip(a, b)) for line in differences(x, y, f"{where}/{i}")]
	return [] if a == b else [f"{where}: {a!r} became {b!r}"]


def at_rest(root):
	"""Whether all sleep: only then is what is seen not passing."""
	return all(read(f"/proc/{p}/task/{t}/stat").rsplit(") ", 1)[1][0] in "SZT"
		   for p in pids(root) for t in os.listdir(f"/proc/{p}/task"))
