# SPDX-License-Identifier: GPL-2.0-only
"""rig: what selftests/run (on the host) and selftests/rig-guest (in the VM) share.

A test is an executable that prints TAP, or nothing of the kind and tells by its exit status: 0 ok,
4 skipped, else failed. Its source may say in a comment how it wants to be run:

    ckpt-run: timeout=1800 module=no vm=own mem=8G disk=8G:xfs append=lru_gen_enabled=7

    timeout=SECONDS	until it counts as hung and is killed (300; ten times that under CKPT_FULL=1;
			CKPT_SLOW times on a slow kernel; CKPT_TIMEOUT in the environment goes before it)
    stress=N		it has N parts that last CKPT_STRESS seconds each: that much longer
    module=no		the test loads and unloads the module itself
    counts=full		it takes a minute, and is left out unless it is asked for: by CKPT_FULL=1, or its name
    vm=own		boots a VM for this test alone; mem, cpus, disk, append are tools/vm's and imply it
"""
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BUILD = os.path.join(TOP, "build")
LOGS = os.path.join(BUILD, "logs")
JOURNAL = os.environ.get("CKPT_JOURNAL") or os.path.join(LOGS, "results")
FULL = os.environ.get("CKPT_FULL") == "1"
SLOW = float(os.environ.get("CKPT_SLOW") or 1)
STRESS = float(os.environ.get("CKPT_STRESS") or 0)
CGROUP = "/sys/fs/cgroup/ckpt-test"

sys.path.insert(0, os.path.join(TOP, "tools"))

EXIT_SKIP = 4
EXIT_REBOOT = 64	# of rig-guest: the VM is no longer fit for the next test


class Test:
	"""One test file: its name ("kernel/attach"), what to execute, its options."""

	def __init__(self, name, path, source):
		self.name = name
		self.path = path
		self.options = {}
		with open(source, encoding="utf-8", errors="replace") as f:
			for m in re.finditer(r"ckpt-run:[ \t]*([^*\n]*)", f.read(8192)):
				self.options.update(w.split("=", 1) for w in m.group(1).split() if "=" in w)

	@property
	def log(self):
		return os.path.join(LOGS, self.name.replace("/", "-") + ".tap")

	@property
	def deadline(self):
		if "CKPT_TIMEOUT" in os.environ:
			return float(os.environ["CKPT_TIMEOUT"])
		return float(self.options.get("timeout", 300)) * (10 if FULL else 1) * SLOW + \
			STRESS * int(self.options.get("stress", 0))

	@property
	def own_vm(self):
		return any(k in self.options for k in ("vm", "mem", "cpus", "disk", "append"))


def claim_of(test):
	"""What is made by whoever takes a test, where several VMs share the work; None: they do not."""
	where = os.environ.get("CKPT_CLAIMS")
	return where and os.path.join(where, test.name.replace("/", "-"))


def claim(test):
	"""True for the first who asks."""
	try:
		if claim_of(test):
			os.mkdir(claim_of(test))
	except FileExistsError:
		return False
	return True


def claimed(test):
	return bool(claim_of(test)) and os.path.exists(claim_of(test))


def find_tests(kinds):
	"""C programs of unit, kernel and stress, and scripts that may be executed, of every kind.

	A directory with a Makefile of its own builds to build/KIND, where only test_* are tests, and
	NAME.san is the same test with sanitizers; without one every C file is a test.
	"""
	tests = []
	for kind in kinds:
		base = os.path.join(TOP, "selftests", kind)
		own = os.path.exists(os.path.join(base, "Makefile"))
		built = os.path.join(BUILD, kind) if own else os.path.join(BUILD, "selftests", kind)
		for entry in sorted(os.listdir(base)) if os.path.isdir(base) else []:
			stem, ext = os.path.splitext(entry)
			source = os.path.join(base, entry)
			if ext == ".c" and kind in ("unit", "kernel", "stress") and (not own or stem.startswith("test_")):
				tests.append(Test(f"{kind}/{stem}", os.path.join(built, stem), source))
				if os.path.exists(os.path.join(built, stem + ".san")):
					tests.append(Test(f"{kind}/{stem}.san", os.path.join(built, stem + ".san"), source))
			elif ext in (".sh", ".py") and os.access(source, os.X_OK):
				tests.append(Test(f"{kind}/{stem}", source, source))
	return tests


class Result:
	"""What came of one test file."""

	def __init__(self, name):
		self.name = name
		self.passed = self.skipped = 0
		self.failures = []	# text, one each

	@property
	def failed(self):
		return len(self.failures)

	def add_tap(self, text, status):
		"""Counts the cases. Status None: it was killed, which is already counted as a failure."""
		plan = None
		seen = 0
		for line in text.splitlines():
			m = re.match(r"(not )?ok\b\s*(\d*)\s*-?\s*(.*)", line)
			if m:
				seen += 1
				self._case(bool(m.group(1)), m.group(3) or m.group(2))
				continue
			m = re.match(r"1\.\.(\d+)(\s*# SKIP.*)?", line)
			if m:
				plan = int(m.group(1))
		if status is None:
			return
		if not seen and not plan:
			self._by_status(status)
			return
		if plan is None:
			self.failures.append("printed no TAP plan")
		elif plan != seen:
			self.failures.append(f"planned {plan} cases, reported {seen}")
		if status not in (0, EXIT_SKIP) and not self.failures:
			self.failures.append("all cases passed, but it ended with " + describe(status))

	def _case(self, bad, text):
		if bad:
			self.failures.append(text)
		elif re.search(r"#\s*SKIP", text, re.I):
			self.skipped += 1
		else:
			self.passed += 1

	def _by_status(self, status):
		if status == 0:
			self.passed += 1
		elif status == EXIT_SKIP:
			self.skipped += 1
		else:
			self.failures.append("ended with " + describe(status))

	def line(self, seconds):
		parts = [f"{self.passed} passed"]
		if self.failed:
			parts.append(f"{self.failed} failed")
		if self.skipped:
			parts.append(f"{self.skipped} skipped")
		word = "FAIL" if self.failed else "ok  " if self.passed else "skip"
		return f"{word} {self.name}: {', '.join(parts)} ({seconds:.1f} s)"

	def write(self, state):
		record = {"state": state, "name": self.name, "passed": self.passed,
			  "skipped": self.skipped, "failures": self.failures}
		with open(JOURNAL, "a", encoding="utf-8") as f:
			f.write(json.dumps(record) + "\n")
			f.flush()
			os.fsync(f.fileno())


def describe(status):
	if status < 0:
		return f"signal {-status} ({signal.Signals(-status).name})"
	return f"exit status {status}"


def test_environment():
	env = dict(os.environ)
	env.update(CKPTCTL=os.path.join(BUILD, "ckptctl"), CKPT_WORKLOAD=os.path.join(BUILD, "workload"),
		   CKPT_MODULE=os.path.join(BUILD, "ckpt.ko"), CKPT_TOP=TOP, PYTHONDONTWRITEBYTECODE="1")
	return env


class Group:
	"""A cgroup for one test, so that all it started can be ended, wherever it went."""

	def __init__(self):
		self.on = os.path.exists("/sys/fs/cgroup/cgroup.procs") and os.geteuid() == 0
		if self.on:
			os.makedirs(CGROUP, exist_ok=True)

	def enter(self):
		os.setsid()
		if self.on:
			with open(CGROUP + "/cgroup.procs", "w", encoding="ascii") as f:
				f.write("0")

	def kill(self, pid):
		if not self.on:
			try:
				os.killpg(pid, signal.SIGKILL)
			except ProcessLookupError:
				pass
			return
		for path, _, _ in os.walk(CGROUP):
			thaw = path + "/cgroup.freeze"
			if os.path.exists(thaw):
				write(thaw, "0")
		write(CGROUP + "/cgroup.kill", "1")

	def stacks(self):
		"""Where each of its threads is, for the log of a test that hangs."""
		text = ["# hung; its threads, with the kernel's stacks:"]
		pids = []
		for path, _, _ in os.walk(CGROUP if self.on else ""):
			pids += read(path + "/cgroup.procs").split()
		for pid in pids:
			try:
				for tid in os.listdir(f"/proc/{pid}/task"):
					task = f"/proc/{pid}/task/{tid}"
					state = read(task + "/stat").rpartition(")")[2].split()[0]
					text.append(f"# {pid}/{tid} {read(task + '/comm').strip()} {state} "
						    f"syscall {read(task + '/syscall').strip()}")
					text += ["#   " + x for x in read(task + "/stack").splitlines()]
			except OSError:		# it ended meanwhile
				pass
		return ("\n".join(text) + "\n").encode()

	def close(self):
		"""True when nothing is left in it."""
		if not self.on:
			return True
		end = time.monotonic() + 10
		while time.monotonic() < end:
			try:
				for path, _, _ in os.walk(CGROUP, topdown=False):
					os.rmdir(path)
				return True
			except OSError:
				time.sleep(0.02)
		return False


def write(path, text):
	with open(path, "w", encoding="ascii") as f:
		f.write(text)


def execute(test, result, verbose):
	"""Runs it until it ends or its deadline passes; its output goes to its log."""
	group = Group()
	with open(test.log, "wb") as log:
		try:
			proc = subprocess.Popen([test.path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
						stderr=subprocess.STDOUT, env=test_environment(), cwd=TOP,
						preexec_fn=group.enter)
		except OSError as e:
			result.failures.append(f"cannot be executed: {e}")
			return
		text = collect(proc, group, log, time.monotonic() + test.deadline, verbose)
	if text is None:
		result.failures.append(f"hung: killed after {test.deadline:.0f} s")
		result.add_tap(read(test.log), None)
	else:
		result.add_tap(text, proc.returncode)
	if not group.close():
		result.failures.append("left processes that cannot be killed")


def collect(proc, group, log, deadline, verbose):
	"""The whole output, or None when the deadline passed. Ends whatever the test left running."""
	sel = selectors.DefaultSelector()
	sel.register(proc.stdout, selectors.EVENT_READ)
	chunks = []
	hung = False
	while True:
		if proc.poll() is not None:
			group.kill(proc.pid)
		elif time.monotonic() >= deadline and not hung:
			hung = True
			log.write(group.stacks())
			group.kill(proc.pid)
		if hung and time.monotonic() >= deadline + 10:
			break
		if not sel.select(0.05):
			continue
		data = os.read(proc.stdout.fileno(), 65536)
		if not data:
			break
		chunks.append(data)
		log.write(data)
		log.flush()
		if verbose:
			sys.stdout.buffer.write(data)
			sys.stdout.flush()
	proc.stdout.close()
	if not hung:
		proc.wait()
		group.kill(proc.pid)
	return None if hung else b"".join(chunks).decode("utf-8", "replace")


def read(path):
	with open(path, encoding="utf-8", errors="replace") as f:
		return f.read()


def report(result, test, seconds, verbose):
	print(result.line(seconds), flush=True)
	for text in result.failures:
		print("     not ok: " + text, flush=True)
	if result.failures and not verbose and os.path.exists(test.log):
		for line in read(test.log).splitlines()[-25:]:
			print("     | " + line, flush=True)
