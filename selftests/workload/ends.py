#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""ends.py PORT: three connections; at SIGUSR1 it says what is in them, says "bye" and ends.

In the first something waits, the second has an end as well, and the third it has shut down itself.
"""
import signal
import socket
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
conns = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(3)]
conns[0].recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
while conns[1].recv(5, socket.MSG_PEEK) != b"last":
    pass
conns[2].sendall(b"gone")
conns[2].shutdown(socket.SHUT_WR)
print("ready", flush=True)
signal.sigwait([signal.SIGUSR1])
print(conns[0].recv(100), conns[1].recv(100), conns[1].recv(100), conns[2].recv(100), flush=True)
conns[0].sendall(b"bye")
conns[1].sendall(b"bye")
