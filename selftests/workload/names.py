# SPDX-License-Identifier: GPL-2.0-only
"""A program whose names command a terminal: names.py THREAD FILE [written]

THREAD names its only thread, FILE is open for reading, or, when written, for writing in its middle.
"""
import ctypes
import os
import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
PR_SET_NAME = 15
if ctypes.CDLL(None).prctl(PR_SET_NAME, os.fsencode(sys.argv[1]), 0, 0, 0):
    sys.exit("prctl")
fd = os.open(sys.argv[2], os.O_RDWR if sys.argv[3:] else os.O_RDONLY)
os.lseek(fd, 1, os.SEEK_SET)
os.write(1, b"ready\n")
signal.sigwait({signal.SIGTERM})
