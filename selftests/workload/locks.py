# SPDX-License-Identifier: GPL-2.0-only
"""POSIX locks on files that are also open in a way that does not allow them.

    locks.py WRITTEN READ

The lowest descriptor of WRITTEN can only read, and a write lock is held on it; that of READ can only
write, and a read lock is held on it.  Ends on SIGTERM.
"""
import fcntl
import os
import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
written = [os.open(sys.argv[1], how) for how in (os.O_RDONLY, os.O_RDWR)]
fcntl.lockf(written[1], fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
read = [os.open(sys.argv[2], how) for how in (os.O_WRONLY | os.O_APPEND, os.O_RDONLY)]
fcntl.lockf(read[1], fcntl.LOCK_SH | fcntl.LOCK_NB, 20, 7)
if written[0] > written[1] or read[0] > read[1]:
    sys.exit("the descriptors are not in order")
os.write(1, b"ready\n")
signal.sigwait({signal.SIGTERM})
os.write(1, b"in order\n")
