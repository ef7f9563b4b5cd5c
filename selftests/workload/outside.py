#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""outside.py ADDRESS PORT PORT6: TCP connections with others, looked at when SIGUSR1 comes.

It listens for IPv4 and for both, accepts one connection on each and makes one to each of the ports; the
first has "hello" in it.  When looked at it says of each what three reads and a write give.  Then it goes on:
the next connection is sent its answer.
"""
import os
import signal
import socket
import sys

from looks import look

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
four = socket.create_server(("", 0), family=socket.AF_INET)
both = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
print("ports", four.getsockname()[1], both.getsockname()[1], flush=True)
conns = [four.accept()[0], both.accept()[0], both.accept()[0],
         socket.create_connection((sys.argv[1], int(sys.argv[2]))),
         socket.create_connection(("::1", int(sys.argv[3])))]
conns[0].recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)

print("ready", flush=True)
while True:
    signal.sigwait([signal.SIGUSR1])
    look(conns)
    caller = four.accept()[0]
    caller.sendall(b"served %d" % os.getpid())
    caller.close()
