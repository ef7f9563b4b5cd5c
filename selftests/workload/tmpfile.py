# SPDX-License-Identifier: GPL-2.0-only
"""A file that is written without a name and gets one at its end: what careful programs do.

    tmpfile.py DIRECTORY NAME

Ends on SIGTERM.
"""
import os
import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
where, name = sys.argv[1:]
fd = os.open(where, os.O_TMPFILE | os.O_WRONLY | os.O_APPEND, 0o640)
os.write(fd, b"first half, ")
os.write(1, b"ready\n")
signal.sigwait({signal.SIGTERM})
os.write(fd, b"second half\n")
# with a directory descriptor, or it does not follow the link
os.link("/proc/self/fd/%d" % fd, os.path.join(where, name), src_dir_fd=0)
os.write(1, b"linked\n")
