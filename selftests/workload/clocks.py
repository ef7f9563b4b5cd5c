#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""clocks.py - watch the clocks that only go forwards, until SIGTERM

A sleep, and a timer that fires every 20 ms, are to be had from the same clocks.
"""
import signal
import sys
import time

CLOCKS = {"CLOCK_MONOTONIC": time.CLOCK_MONOTONIC, "CLOCK_BOOTTIME": time.CLOCK_BOOTTIME}
JUMP = 3600	# seconds nobody lets a test wait

stop = False
alarms = 0


def on_term(_sig, _frame):
	global stop
	stop = True


def on_alarm(_sig, _frame):
	global alarms
	alarms += 1


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
print("steady", flush=True)
