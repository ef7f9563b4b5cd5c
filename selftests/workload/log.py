#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""log.py: a daemon's way: what it hears on standard input goes to syslog(3), and to standard output.

An empty line ends it.
"""
import sys
import syslog

syslog.openlog("ckpt-log", syslog.LOG_NDELAY)
syslog.syslog("begun")
for line in sys.stdin:
    if line == "\n":
        break
    syslog.syslog(line.strip())
    print(line.strip(), flush=True)
