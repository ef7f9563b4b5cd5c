#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""clocks.py [tree] - watch the clocks that only go forwards, until SIGTERM

A sleep, and a timer that fires every 20 ms, are to be had from the same clocks.  With "tree" there are two
children that wait for an hour, in a futex and for a timerfd: which does not go by before.
"""
import ctypes
import os
import signal
import sys
import time

CLOCKS = {"CLOCK_MONOTONIC": time.CLOCK_MONOTONIC, "CLOCK_BOOTTIME": time.CLOCK_BOOTTIME}
JUMP = 3600	# seconds nobody lets a test wait

SYS_FUTEX = 202
SYS_TIMERFD_CREATE, SYS_TIMERFD_SETTIME = 283, 286
libc = ctypes.CDLL(None)

stop = False
alarms = 0


def wait_in_a_futex():
	word, end = ctypes.c_uint32(0), (ctypes.c_long * 2)(JUMP, 0)
	libc.syscall(SYS_FUTEX, ctypes.byref(word), 0, 0, end, None, 0)


def wait_for_a_timer():
	fd = libc.syscall(SYS_TIMERFD_CREATE, time.CLOCK_MONOTONIC, 0)
	libc.syscall(SYS_TIMERFD_SETTIME, fd, 0, (ctypes.c_long * 4)(0, 0, JUMP, 0), None)
	os.read(fd, 8)


def begin(waits):
	pid = os.fork()
	if not pid:
		signal.signal(signal.SIGTERM, signal.SIG_DFL)
		waits()
		os._exit(3)
	return pid


def on_term(_sig, _frame):
	global stop
	stop = True


def on_alarm(_sig, _frame):
	global alarms
	alarms += 1


children = [begin(waits) for waits in (wait_in_a_futex, wait_for_a_timer)] if "tree" in sys.argv else []
signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
last = {name: time.clock_gettime(clock) for name, clock in CLOCKS.items()}
print("ready", flush=True)
while not stop or not alarms:
	begin = time.monotonic()
	time.sleep(0.001)
	if time.monotonic() < begin + 0.001:
		sys.exit("a sleep was too short")
	for name, clock in CLOCKS.items():
		now = time.clock_gettime(clock)
		if not last[name] <= now < last[name] + JUMP:
			sys.exit("%s went from %f to %f" % (name, last[name], now))
		last[name] = now
signal.setitimer(signal.ITIMER_REAL, 0)
for pid in children:
	if os.waitpid(pid, os.WNOHANG)[0]:
		sys.exit("an hour has gone by")
	os.kill(pid, signal.SIGTERM)
	os.waitpid(pid, 0)
print("steady", flush=True)
