# SPDX-License-Identifier: GPL-2.0-only
"""kernel_log: what in a kernel's log is a complaint, and a reader of /dev/kmsg.

Used on the host for the VM's console and in the VM after each test, so that both judge alike.
"""
import os
import re

# What a healthy kernel never prints. `WARNING: ` must open the line: boot messages of the
# speculation code carry the word further in.
COMPLAINTS = re.compile(r"""^(\[[^]]*\]\s*)?(
	WARNING:\s | BUG:?\s | -+\[\ cut\ here | kernel\ BUG\ at | Oops | Kernel\ panic |
	.*\bKASAN: | .*\bKFENCE: | .*\bKCSAN: | UBSAN: | .*\[\#\d+\]\ (PREEMPT|SMP) |
	INFO:\ task\ .*blocked\ for | rcu:\ INFO: | .*(soft|hard)\ lockup | .*LOCKUP |
	.*circular\ locking | .*invalid\ wait\ context | .*suspicious\ RCU | .*refcount_t: |
	.*scheduling\ while\ atomic | .*sleeping\ function\ called | .*Objects\ remaining\ in |
	unregister_netdevice: | .*page\ dumped\ because | .*Bad\ page\ (state|map) |
	.*Bad\ rss-counter | .*memory\ leak | kmemleak:.*new\ suspected)""", re.X)

# The kernel repeats its command line, which may hold any of these words.
ECHO = re.compile(r"[Cc]ommand line( parameters)?:")


def complains(line):
	return bool(COMPLAINTS.match(line)) and not ECHO.search(line)


class Log:
	"""The kernel's messages from the moment this is made."""

	def __init__(self):
		self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
		os.lseek(self.fd, 0, os.SEEK_END)

	def lines(self):
		"""Those that came since the last call."""
		while True:
			try:
				record = os.read(self.fd, 8192).decode("utf-8", "replace")
			except BlockingIOError:
				return
			except BrokenPipeError:		# records were overwritten before they were read
				continue
			yield record.partition(";")[2].split("\n")[0]

	def complaints(self):
		"""Messages since the last call, from the first complaint on; [] when there was none."""
		lines = list(self.lines())
		for i, line in enumerate(lines):
			if complains(line):
				return lines[i:]
		return []
