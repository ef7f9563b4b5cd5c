# SPDX-License-Identifier: GPL-2.0-only
"""What outside.py and unixout.py say of connections with others."""
import errno
import socket


def said(call, *args):
    try:
        return repr(call(*args))
    except OSError as err:
        return errno.errorcode[err.errno]


def look(conns):
    """Of each: what three reads and a write give."""
    for s in conns:
        print(*[said(s.recv, 100, socket.MSG_DONTWAIT) for _ in range(3)], said(s.send, b"x"))
    print("looked", flush=True)
