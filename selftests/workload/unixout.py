#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""unixout.py SERVER NUMBER: unix connections with others, looked at when SIGUSR1 comes.

It connects to SERVER, listens at "here" in its directory and accepts one connection there, has an end of a
pair (seqpacket) on descriptor NUMBER, and a pair of its own whose two ends it has.  When looked at it says of each what
three reads and a write give.  Then it goes on: the next connection is sent its answer.
"""
import os
import signal
import socket
import sys

from looks import look

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listening.bind(os.path.abspath("here"))
listening.listen()
there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
there.connect(sys.argv[1])
own = socket.socketpair()
print("listening", flush=True)
conns = [there, listening.accept()[0], socket.socket(fileno=int(sys.argv[2])), own[0]]
conns[0].recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)

print("ready", flush=True)
while True:
    signal.sigwait([signal.SIGUSR1])
    look(conns)
    caller = listening.accept()[0]
    caller.sendall(b"served %d" % os.getpid())
    caller.close()
